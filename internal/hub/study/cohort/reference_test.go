package cohort

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/realinput"
)

// row is one row of a cohort table.
type row struct {
	person     int64
	start, end int32
}

func compareRows(a, b row) int {
	if c := cmp.Compare(a.person, b.person); c != 0 {
		return c
	}
	return firstOrder(a.start, b.start, a.end, b.end)
}

// rowsOf lists the rows of each cohort over all buckets of a population, sorted.
func rowsOf(t testing.TB, plan *Plan, r *studytest.Population) [][]row {
	t.Helper()
	out := make([][]row, len(plan.definitions))
	for b := range r.Buckets() {
		res, err := plan.Evaluate(context.Background(), r, b)
		if err != nil {
			t.Fatal(err)
		}
		for d, m := range res.Cohorts {
			for i, p := range m.Person {
				out[d] = append(out[d], row{res.People.ID[p], m.Start[i], m.End[i]})
			}
		}
	}
	for d := range out {
		slices.SortFunc(out[d], compareRows)
	}
	return out
}

// library reads the published definitions, all of which must parse.
func library(t testing.TB) (ids []int, definitions []*Definition) {
	t.Helper()
	documents := studytest.Published(t, realinput.Path(t, "cohorts/definitions.json.tar.zst"), ".json")
	for _, id := range slices.Sorted(maps.Keys(documents)) {
		d, err := Parse(documents[id])
		if err != nil {
			t.Errorf("definition %d: %v", id, err)
			continue
		}
		ids, definitions = append(ids, id), append(definitions, d)
	}
	return ids, definitions
}

func expected(t testing.TB, name string) map[int][]row {
	t.Helper()
	columns := map[string][]int64{}
	studytest.ReadParquet(t, realinput.Path(t, name), func(name string, values arrow.Array) {
		for i := range values.Len() {
			v := int64(0)
			if strings.HasSuffix(name, "_date") {
				v = int64(studytest.Day(t, values, i))
			} else {
				v = studytest.Int(t, values, i)
			}
			columns[name] = append(columns[name], v)
		}
	})
	out := map[int][]row{}
	for i, id := range columns["cohort_definition_id"] {
		out[int(id)] = append(out[int(id)], row{columns["subject_id"][i],
			int32(columns["cohort_start_date"][i]), int32(columns["cohort_end_date"][i])})
	}
	for id := range out {
		slices.SortFunc(out[id], compareRows)
	}
	return out
}

// TestReference demands the rows of the reference SQL, row for row, of every
// definition of a published library, over two populations.
func TestReference(t *testing.T) {
	ids, definitions := library(t)
	for _, set := range []struct{ name, folder, expected string }{
		{"gibleed", "omop/gibleed", "cohorts/expected-gibleed.parquet"},
		{"dense", "cohorts/dense-cdm", "cohorts/expected-dense.parquet"},
	} {
		t.Run(set.name, func(t *testing.T) {
			tables := studytest.ReadFolder(t, realinput.Path(t, set.folder))
			plan, err := Compile(context.Background(), studytest.NewVocabulary(tables), definitions, false)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			got := rowsOf(t, plan, studytest.New(8, tables))
			took := time.Since(begin)
			want := expected(t, set.expected)
			total, filled := 0, 0
			for i, id := range ids {
				total += len(got[i])
				if len(got[i]) > 0 {
					filled++
				}
				if !slices.Equal(got[i], want[id]) {
					t.Errorf("definition %d: %s", id, difference(got[i], want[id]))
				}
			}
			t.Logf("%d definitions, %d of them with rows, %d rows equal, in %s", len(ids), filled, total, took)
		})
	}
}

func difference(got, want []row) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			g, _ := json.Marshal([]any{got[i].person, got[i].start, got[i].end})
			w, _ := json.Marshal([]any{want[i].person, want[i].start, want[i].end})
			return strconv.Itoa(len(got)) + " rows, " + strconv.Itoa(len(want)) + " expected; first difference: " + string(g) + " for " + string(w)
		}
	}
	return strconv.Itoa(len(got)) + " rows, " + strconv.Itoa(len(want)) + " expected"
}

// TestDemoDefinition is a definition as ATLAS exports it, with its rows.
func TestDemoDefinition(t *testing.T) {
	data, err := os.ReadFile(realinput.Path(t, "cohorts/demo/new-users-of-diclofenac.json"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	tables := studytest.ReadFolder(t, realinput.Path(t, "omop/gibleed"))
	plan, err := Compile(context.Background(), studytest.NewVocabulary(tables), []*Definition{d}, false)
	if err != nil {
		t.Fatal(err)
	}
	got := rowsOf(t, plan, studytest.New(4, tables))[0]

	file, err := os.ReadFile(realinput.Path(t, "cohorts/demo/new-users-of-diclofenac-expected-gibleed.csv"))
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) int { return slices.Index(records[0], name) }
	var want []row
	for _, r := range records[1:] {
		person, _ := strconv.ParseInt(r[at("subject_id")], 10, 64)
		start, err1 := time.Parse(time.DateOnly, r[at("cohort_start_date")])
		end, err2 := time.Parse(time.DateOnly, r[at("cohort_end_date")])
		if err := firstError(err1, err2); err != nil {
			t.Fatal(err)
		}
		want = append(want, row{person, int32(start.Unix() / secondsPerDay), int32(end.Unix() / secondsPerDay)})
	}
	slices.SortFunc(want, compareRows)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Error(difference(got, want))
	}
}
