package permit

import (
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// keyColumns reads columns of int64 through a view, null as "-".
func keyColumns(t *testing.T, v *View, bucket int, table string, columns ...string) (out [][]string) {
	t.Helper()
	batches, err := v.Read(t.Context(), bucket, warehouse.Want{Table: table, Columns: columns})
	must(t, err)
	for _, b := range batches {
		for i := range int(b.NumRows()) {
			var row []string
			for _, c := range b.Columns() {
				text := "-"
				if !c.IsNull(i) {
					text = fmt.Sprint(c.(*array.Int64).Value(i))
				}
				row = append(row, text)
			}
			out = append(out, row)
		}
		b.Release()
	}
	return out
}

// TestKeysJoinAndNothingElse: two hospitals number their visits and their
// professionals alike; through a permit rows still find their own visit, those
// of absent visits find each other, and no key of the warehouse is seen.
func TestKeysJoinAndNothingElse(t *testing.T) {
	w := newWorld(t)
	house := warehousetest.New(t, 1)
	var snap *warehouse.Snapshot
	for h, name := range []string{"chu-nord", "chu-sud"} {
		d := warehousetest.NewDelivery(name)
		tid := fmt.Sprintf("%032x", h)
		d.Link(tid, w.id[h])
		d.Part(envelope.Health, "visit_occurrence", "tid,visit_occurrence_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id,provider_id\n"+
			tid+",5000,9201,2016-01-01,2016-01-03,32817,70\n"+tid+",-5001,9201,2016-01-01,2016-01-03,32817,\n")
		d.Part(envelope.Health, "condition_occurrence", "tid,condition_occurrence_id,condition_concept_id,condition_start_date,condition_type_concept_id,visit_occurrence_id,provider_id\n"+
			tid+",1,192671,2016-01-01,32817,5000,70\n"+tid+",2,192671,2016-01-02,32817,6000,71\n"+tid+",3,192671,2016-01-03,32817,6000,\n"+tid+",4,192671,2016-01-04,32817,,\n"+tid+",5,192671,2016-01-05,32817,-5001,\n")
		d.Part(envelope.Health, "provider", "provider_id,specialty_concept_id,year_of_birth\n70,"+[]string{"38004477", "38004451"}[h]+",1970\n71,38004446,1980\n")
		_, snap = warehousetest.Take(t, house, d, h+1)
	}
	w.snap = snap
	id := w.granted(func(a *Application) {
		a.Tables = append(a.Tables[1:],
			record.Table{Name: "condition_occurrence", Columns: []string{"person_id", "condition_occurrence_id", "visit_occurrence_id", "provider_id"}},
			record.Table{Name: "visit_occurrence", Columns: []string{"person_id", "visit_occurrence_id", "provider_id"}},
			record.Table{Name: "provider", Columns: []string{"provider_id", "specialty_concept_id"}})
		a.Period = record.Period{}
	})
	v := w.view(id)
	visits := keyColumns(t, v, 0, "visit_occurrence", "person_id", "visit_occurrence_id", "provider_id")
	conditions := keyColumns(t, v, 0, "condition_occurrence", "person_id", "condition_occurrence_id", "visit_occurrence_id", "provider_id")
	providers := keyColumns(t, v, -1, "provider", "specialty_concept_id", "provider_id")
	if len(visits) != 4 || len(conditions) != 10 || len(providers) != 4 {
		t.Fatalf("%d visits, %d conditions, %d providers", len(visits), len(conditions), len(providers))
	}
	ranks := map[string]string{}
	specialty := map[string]string{}
	for _, p := range providers {
		specialty[p[1]] = p[0]
	}
	for _, r := range visits {
		if slices.Contains([]string{"5000", "-5001"}, r[1]) || ranks[r[1]] != "" {
			t.Errorf("visit %v", r)
		}
		ranks[r[1]] = r[0]
	}
	if len(specialty) != 4 {
		t.Errorf("professionals of two hospitals with the same number are one: %v", providers)
	}
	orphans := map[string][]string{}
	found := 0
	for _, r := range conditions {
		switch person, known := ranks[r[2]]; {
		case known && person != r[0]:
			t.Errorf("the condition %v finds the visit of another person", r)
		case known:
			found++
		case r[2] != "-":
			orphans[r[0]] = append(orphans[r[0]], r[2])
		}
		if r[3] != "-" && specialty[r[3]] == "" {
			t.Errorf("the condition %v finds no professional", r)
		}
	}
	if found != 4 || len(orphans) != 2 {
		t.Errorf("%d conditions found their visit, want 4; orphans %v", found, orphans)
	}
	var all []string
	for _, o := range orphans {
		if len(o) != 2 || o[0] != o[1] || slices.Contains(all, o[0]) {
			t.Errorf("conditions of an absent visit: %v", orphans)
		}
		all = append(all, o...)
	}
	// Another permit sees other numbers of professionals; this one the same again.
	again := keyColumns(t, w.view(id), -1, "provider", "specialty_concept_id", "provider_id")
	other := keyColumns(t, w.view(w.granted(func(a *Application) {
		a.Tables = []record.Table{{Name: "provider", Columns: []string{"provider_id", "specialty_concept_id"}}}
	})), -1, "provider", "specialty_concept_id", "provider_id")
	for i := range providers {
		if again[i][1] != providers[i][1] || other[i][1] == providers[i][1] {
			t.Errorf("professional %v: again %v, under another permit %v", providers[i], again[i], other[i])
		}
	}
}
