package analysis_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/analysis"
	"github.com/havre-hub/havre/internal/hub/study/runner/pool"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// rules are those of drug-a's users in the tests below.
var rules = []string{
	`{"name": "women", "expression": {"Type": "ALL", "DemographicCriteriaList": [{"Gender": [{"CONCEPT_ID": 8532}]}]}}`,
	`{"name": " from\n40 ", "expression": {"Type": "ALL", "DemographicCriteriaList": [{"Age": {"Value": 40, "Op": "gte"}}]}}`,
	`{"name": "", "expression": {"Type": "ALL", "CriteriaList": [{"Criteria": {"ConditionOccurrence": {"CodesetId": 4}},
		"StartWindow": {"Start": {"Coeff": -1}, "End": {"Coeff": 1}}, "Occurrence": {"Type": 2, "Count": 1}}]}}`,
}

// ruled is drug-a with so many of the rules, and more keys.
func ruled(n int, more string) string {
	return fmt.Sprintf(`{"ConceptSets": [{"id": 3, "name": "drug", "expression": {"items": [{"concept": {"CONCEPT_ID": 1}}]}},
			{"id": 4, "name": "condition", "expression": {"items": [{"concept": {"CONCEPT_ID": 11}}]}}],
		"PrimaryCriteria": {"CriteriaList": [{"DrugExposure": {"CodesetId": 3}}],
		"ObservationWindow": {"PriorDays": 0, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "All"}},
		"InclusionRules": [%s]%s}`, strings.Join(rules[:n], ","), more)
}

// rulesStudy has the cohort with all rules, with its attrition, and the cohorts
// with the first of them.
func rulesStudy(more string) *study.Definition {
	d := &study.Definition{Name: "rules"}
	for n := range len(rules) + 1 {
		name := fmt.Sprint("first-", n)
		d.Cohorts = append(d.Cohorts, study.Cohort{Name: name, Circe: json.RawMessage(ruled(n, ""))})
		d.Analyses = append(d.Analyses, study.Spec{Name: name, Kind: study.KindCounts, Cohort: name})
	}
	d.Cohorts = append(d.Cohorts, study.Cohort{Name: "whole", Circe: json.RawMessage(ruled(len(rules), more))})
	d.Analyses = append(d.Analyses, study.Spec{Name: "whole", Kind: study.KindCounts, Cohort: "whole"},
		study.Spec{Name: "attrition", Kind: study.KindAttrition, Cohort: "whole"})
	return d
}

// TestAttrition: who are left after each rule are the cohort of the definition
// with the rules up to it.
func TestAttrition(t *testing.T) {
	tables := drugWorld(600)
	for name, more := range map[string]string{
		"":                   "",
		"with censor window": `, "CensorWindow": {"StartDate": "2016-06-01"}`,
		"ends before":        `, "EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 400}}, "CensorWindow": {"StartDate": "2013-06-01"}`,
	} {
		out := run(t, job(t, rulesStudy(more), tables, 1))
		o := outputNamed(t, out, "attrition")
		if want := []string{"1: women", "2: from 40", "3: rule 3", "4: a period in the cohort", study.InCohort}; !slices.Equal(o.Dimensions[0].Categories, want) {
			t.Errorf("%s: steps %q", name, o.Dimensions[0].Categories)
		}
		var want []int64
		for n := range len(rules) + 1 {
			want = append(want, cellOf(t, outputNamed(t, out, fmt.Sprint("first-", n))).Count)
		}
		want = append(want, cellOf(t, outputNamed(t, out, "whole")).Count)
		got := []int64{cellOf(t, o, study.TotalKey).Count}
		for _, c := range o.Dimensions[0].Categories[:len(rules)+1] {
			got = append(got, got[len(got)-1]-cellOf(t, o, c).Count)
		}
		if !slices.Equal(got, want) || cellOf(t, o, study.InCohort).Count != want[len(want)-1] {
			t.Errorf("%s: left are %v, the cohorts are %v", name, got, want)
		}
		if lost := want[len(rules)] - want[len(rules)+1]; (lost > 0) != (more != "") || want[len(rules)+1] == 0 {
			t.Errorf("%s: the censor window leaves out %d of %d", name, lost, want[len(rules)])
		}
		same := encode(t, out)
		for _, buckets := range []int{2, 16} {
			j := job(t, rulesStudy(more), tables, buckets)
			j.Runner = pool.Pool{Workers: 3}
			if got := encode(t, run(t, j)); got != same {
				t.Errorf("%s: %d buckets give other bytes", name, buckets)
			}
		}
	}
}

func TestAttritionOfNobody(t *testing.T) {
	out := run(t, job(t, rulesStudy(""), map[string]studytest.Table{}, 2))
	if o := outputNamed(t, out, "attrition"); len(o.Cells) != 6 || cellOf(t, o, study.TotalKey).Count != 0 {
		t.Errorf("%+v", o)
	}
}

// TestAttritionDecode: only what Map can have written is read.
func TestAttritionDecode(t *testing.T) {
	all, err := analysis.Build(rulesStudy(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := all[len(all)-1]
	for text, ok := range map[string]bool{
		`[]`: true,
		`[{"key":["0"],"max":[],"sum":[12]},{"key":["4"],"max":[],"sum":[1]}]`: true,
		`[{"key":["5"],"max":[],"sum":[1]}]`:                                   false,
		`[{"key":["-1"],"max":[],"sum":[1]}]`:                                  false,
		`[{"key":["01"],"max":[],"sum":[1]}]`:                                  false,
		`[{"key":["x"],"max":[],"sum":[1]}]`:                                   false,
		`[{"key":["1"],"max":[],"sum":[0]}]`:                                   false,
	} {
		if _, err := a.Decode([]byte(text)); (err == nil) != ok || err != nil && havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzAttritionDecode: what is read is written again to the byte, and makes an
// output that adds up.
func FuzzAttritionDecode(f *testing.F) {
	all, err := analysis.Build(rulesStudy(""), nil)
	if err != nil {
		f.Fatal(err)
	}
	a := all[len(all)-1]
	f.Add([]byte(`[{"key":["0"],"max":[],"sum":[12]},{"key":["4"],"max":[],"sum":[1]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := a.Decode(data)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil || string(again) != string(data) {
			t.Fatalf("%q is written as %q, %v", data, again, err)
		}
		o, err := a.Finish(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, c := range o.Cells[1:] {
			sum += c.Count
		}
		if sum != o.Cells[0].Count {
			t.Errorf("%d lost and left of %d", sum, o.Cells[0].Count)
		}
	})
}

func TestAttritionWithoutRules(t *testing.T) {
	_, err := study.Parse([]byte("name: x\ncohorts:\n  drug-a: {circe: drug-a.json}\nanalyses:\n  - {name: y, kind: attrition, cohort: drug-a}\n"), openFile)
	if err == nil || !strings.Contains(err.Error(), `line 5, column 5: analysis "y": cohort "drug-a" has no inclusion rules`) {
		t.Errorf("got %v", err)
	}
}
