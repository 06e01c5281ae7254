package warehouse_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// TestReadPersons: rows of the wanted persons, with and without concepts, over
// segments that have some of them, all or none.
func TestReadPersons(t *testing.T) {
	type row struct{ person, concept, id int64 }
	var all []row
	house := warehousetest.New(t, 1)
	var s *warehouse.Snapshot
	for n := range int64(3) {
		d := warehousetest.NewDelivery(fmt.Sprint("h", n))
		var text strings.Builder
		text.WriteString("tid,measurement_id,measurement_concept_id,measurement_date,measurement_type_concept_id\n")
		for i := range int64(3000) {
			r := row{n*10 + i%20, i * 7 % 50, n*10_000 + i}
			all = append(all, r)
			tid := fmt.Sprintf("%032x", r.person)
			d.Link(tid, r.person)
			fmt.Fprintf(&text, "%s,%d,%d,2020-01-01,1\n", tid, r.id, r.concept)
		}
		d.Part(envelope.Health, "measurement", text.String())
		_, s = warehousetest.Take(t, house, d, int(n)+1)
	}
	for _, persons := range [][]int64{nil, {}, {-1, 99}, {0}, {0, 39}, {10, 11, 12}, {5, 25}} {
		for _, concepts := range [][]int64{nil, {}, {3}, {0, 7, 49}} {
			var want []string
			for _, r := range all {
				if (persons == nil || slices.Contains(persons, r.person)) && (concepts == nil || slices.Contains(concepts, r.concept)) {
					want = append(want, fmt.Sprint(r.id))
				}
			}
			got := warehousetest.Rows(t, s, 0, warehouse.Want{Table: "measurement", Columns: []string{"measurement_id"}, Concepts: concepts, Persons: persons})
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("persons %v, concepts %v: %d rows, want %d", persons, concepts, len(got), len(want))
			}
		}
	}
	for what, w := range map[string]warehouse.Want{
		"not ascending":     {Table: "measurement", Columns: []string{"person_id"}, Persons: []int64{2, 1}},
		"not about persons": {Table: "concept", Columns: []string{"concept_id"}, Persons: []int64{1}},
	} {
		bucket := 0
		if w.Table == "concept" {
			bucket = -1
		}
		if _, err := s.Read(t.Context(), bucket, w); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}
