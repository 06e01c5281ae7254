package permit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// BenchmarkRead compares a read through a permit with the same read of the
// snapshot: 500,000 conditions of 20,000 persons in one bucket.
func BenchmarkRead(b *testing.B) {
	w := newWorld(b)
	const persons, each = 20_000, 25
	d := warehousetest.NewDelivery("chu-nord")
	var people, conditions strings.Builder
	people.WriteString("tid,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id\n")
	conditions.WriteString("tid,condition_occurrence_id,condition_concept_id,condition_start_date,condition_type_concept_id\n")
	for n := range persons {
		tid := fmt.Sprintf("%032x", n)
		d.Link(tid, int64(n)*7_919_000_000_001)
		fmt.Fprintf(&people, "%s,8507,1960,0,0\n", tid)
		for k := range each {
			fmt.Fprintf(&conditions, "%s,%d,%d,20%02d-03-04,32817\n", tid, (n*each+k)*7, 1000+(n+k*13)%300, 10+k%12)
		}
	}
	d.Part(envelope.Health, "person", people.String())
	d.Part(envelope.Health, "condition_occurrence", conditions.String())
	_, w.snap = warehousetest.Take(b, warehousetest.New(b, 1), d, 1)
	v := w.view(w.granted(func(a *Application) { a.Period = record.Period{From: "2012-01-01"} }))
	want := warehouse.Want{Table: "condition_occurrence", Columns: []string{"person_id", "condition_occurrence_id", "condition_concept_id", "condition_start_date"}}
	few := warehouse.Want{Table: want.Table, Columns: want.Columns[:1], Concepts: []int64{1100}}
	for name, want := range map[string]warehouse.Want{"whole": want, "one_concept": few} {
		b.Run(name+"/snapshot", func(b *testing.B) {
			for b.Loop() {
				batches, err := w.snap.Read(b.Context(), 0, want)
				must(b, err)
				for _, x := range batches {
					x.Release()
				}
			}
		})
		b.Run(name+"/permit", func(b *testing.B) {
			for b.Loop() {
				batches, err := v.Read(b.Context(), 0, want)
				must(b, err)
				for _, x := range batches {
					x.Release()
				}
			}
		})
	}
}
