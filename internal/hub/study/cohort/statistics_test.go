package cohort

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/realinput"
)

// TestReferenceStatistics demands the statistics that the reference SQL gives
// of every definition with inclusion rules.
func TestReferenceStatistics(t *testing.T) {
	ids, definitions := library(t)
	tables := studytest.ReadFolder(t, realinput.Path(t, "omop/gibleed"))
	plan, err := Compile(context.Background(), studytest.NewVocabulary(tables), definitions, false)
	if err != nil {
		t.Fatal(err)
	}
	population := studytest.New(8, tables)
	total := make([]Attrition, len(definitions))
	for b := range population.Buckets() {
		plain, err := plan.Evaluate(context.Background(), population, b)
		if err != nil {
			t.Fatal(err)
		}
		res, err := plan.EvaluateAttrition(context.Background(), population, b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range total {
			total[i].Merge(res.Attrition[i])
			if !slices.Equal(plain.Cohorts[i].Person, res.Cohorts[i].Person) || !slices.Equal(plain.Cohorts[i].End, res.Cohorts[i].End) {
				t.Errorf("definition %d: counting changes who belongs to it", ids[i])
			}
		}
	}
	var results, stats, summary []string
	for i, d := range definitions {
		if len(d.Rules) == 0 {
			continue
		}
		for _, r := range total[i].Results() {
			results = append(results, fmt.Sprint(ids[i], ",", int(r.Mode), ",", r.Mask, ",", r.Count))
		}
		for _, s := range total[i].Stats(len(d.Rules)) {
			stats = append(stats, fmt.Sprint(ids[i], ",", s.Rule, ",", int(s.Mode), ",", s.Count, ",", s.Gain, ",", s.Total))
		}
		for _, s := range total[i].Summary(len(d.Rules)) {
			summary = append(summary, fmt.Sprint(ids[i], ",", int(s.Mode), ",", s.Base, ",", s.Final))
		}
	}
	for name, got := range map[string][]string{"result": results, "stats": stats} {
		compareLines(t, "cohorts/expected-inclusion-"+name+"-gibleed.csv", got)
	}
	compareLines(t, "cohorts/expected-summary-stats-gibleed.csv", summary)
}

func compareLines(t *testing.T, file string, got []string) {
	t.Helper()
	f, err := os.Open(realinput.Path(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range records[1:] {
		want = append(want, strings.Join(r, ","))
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("%s: %d lines, %d expected", file, len(got), len(want))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("first difference: %s for %s", got[i], want[i])
				break
			}
		}
	}
}
