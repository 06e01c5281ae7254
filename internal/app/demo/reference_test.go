package demo

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/realinput"
)

// TestCohortsThroughTheHub: the rows of the reference SQL come out of a hub just
// as well: delivered, linked, ingested, and read through a permit. Persons have
// the permit's own pseudonyms there, so each is known by all rows that it has in
// all cohorts.
func TestCohortsThroughTheHub(t *testing.T) {
	for _, set := range []struct{ name, folder, expected string }{
		{"gibleed", "omop/gibleed", "cohorts/expected-gibleed.parquet"},
		{"dense", "cohorts/dense-cdm", "cohorts/expected-dense.parquet"},
	} {
		t.Run(set.name, func(t *testing.T) {
			ctx := t.Context()
			out := t.TempDir()
			if _, err := Run(ctx, Options{Out: out, From: realinput.Path(t, set.folder), Progress: havre.NoProgress}); err != nil {
				t.Fatal(err)
			}
			hub, err := app.OpenHub(ctx, out+"/hub")
			if err != nil {
				t.Fatal(err)
			}
			defer hub.Close()
			var ids []int
			var definitions []*cohort.Definition
			library := studytest.Published(t, realinput.Path(t, "cohorts/definitions.json.tar.zst"), ".json")
			for id := range library {
				ids = append(ids, id)
			}
			sort.Ints(ids)
			kept := ids[:0]
			for _, id := range ids {
				d, err := cohort.Parse(library[id])
				if havre.KindOf(err) == havre.Refused {
					continue // named by the test of the evaluator
				}
				if err != nil {
					t.Fatal(err)
				}
				kept, definitions = append(kept, id), append(definitions, d)
			}
			ids = kept
			view := reader(t, hub, cohort.Needs(definitions, false))
			snap, err := hub.Warehouse.Current(ctx)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := cohort.Compile(ctx, snap, definitions, false)
			if err != nil {
				t.Fatal(err)
			}
			got := map[int64][]string{}
			for b := range view.Buckets() {
				res, err := plan.Evaluate(ctx, view, b)
				if err != nil {
					t.Fatal(err)
				}
				for d, m := range res.Cohorts {
					for i, p := range m.Person {
						person := res.People.ID[p]
						got[person] = append(got[person], fmt.Sprint(ids[d], m.Start[i], m.End[i]))
					}
				}
			}
			want := map[int64][]string{}
			for _, r := range expectedRows(t, set.expected) {
				if slices.Contains(ids, r.definition) {
					want[r.person] = append(want[r.person], fmt.Sprint(r.definition, r.start, r.end))
				}
			}
			g, w := signatures(got), signatures(want)
			if len(w) == 0 || !slices.Equal(g, w) {
				t.Errorf("%d persons in cohorts, %d expected; the first that differ: %s", len(g), len(w), firstDifference(g, w))
			}
			t.Logf("%d definitions, %d persons in cohorts", len(ids), len(g))
		})
	}
}

// reader gets a permit for what is needed and opens a view under it.
func reader(t *testing.T, hub *app.Hub, needs []cohort.Need) *permit.View {
	t.Helper()
	a := permit.Application{Title: "The library", Purpose: "scientific_research", Benefit: "Shows that cohorts are exact.",
		People: []string{researcher}, Rules: record.DefaultRules(), Checkers: 2, End: havre.SystemNow().AddDate(1, 0, 0).Truncate(time.Second)}
	for _, n := range needs {
		a.Tables = append(a.Tables, record.Table{Name: n.Table, Columns: n.Columns})
	}
	id, err := hub.Permits.Apply(t.Context(), researcher, a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Permits.Decide(t.Context(), id, officer, true, "It is a test."); err != nil {
		t.Fatal(err)
	}
	snap, err := hub.Warehouse.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	view, err := hub.Permits.Restrict(t.Context(), id, researcher, snap)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

type cohortRow struct {
	definition int
	person     int64
	start, end int64 // days since 1970
}

// expectedRows reads a table of the reference.
func expectedRows(t *testing.T, name string) (rows []cohortRow) {
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
	for i, id := range columns["cohort_definition_id"] {
		rows = append(rows, cohortRow{int(id), columns["subject_id"][i], columns["cohort_start_date"][i], columns["cohort_end_date"][i]})
	}
	return rows
}

// signatures gives for each person all their rows as one text, sorted.
func signatures(rows map[int64][]string) (out []string) {
	for _, r := range rows {
		sort.Strings(r)
		out = append(out, strings.Join(r, "; "))
	}
	sort.Strings(out)
	return out
}

func firstDifference(g, w []string) string {
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("got %.300s, want %.300s", g[i], w[i])
		}
	}
	return "one list is longer"
}
