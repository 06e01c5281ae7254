package permit

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// What the rows of a view hang on, for whoever keeps what was made of them:
// persons whose segments, cut and standing are as they were have the same rows.

// RankedIDs says what becomes of a table's own key: see Read.
func (v *View) RankedIDs() bool { return true }

// Cut says in one word what rows are left out for, beside opt-outs: the permit's
// period. It fails as a read does when the permit is not in force.
func (v *View) Cut(ctx context.Context) (string, error) {
	p, err := v.inForce(ctx)
	if err != nil {
		return "", err
	}
	return p.Period.From + ".." + p.Period.To, nil
}

// OptOutSerial changes with every opt-out recorded.
func (v *View) OptOutSerial() int64 {
	if a, ok := v.gate.(*Authority); ok {
		return a.OptOutSerial()
	}
	return 0 // away from the hub, who is opted out stands in the grant
}

// Segments names what a table's rows in a bucket come from, in order; see
// warehouse.Snapshot.Segments. Tables that are not about persons have one bucket.
func (v *View) Segments(table string, bucket int) []string {
	if t, ok := omop.Lookup(table); ok && !t.PersonLevel {
		bucket = unbucketed
	}
	return v.snap.Segments(table, bucket)
}

// PersonsIn gives the persons who have rows in some segments of a table about
// persons, as often as they have, by the permit's pseudonyms. Rows outside the
// period count too: of a person known to several holders they say which row
// stands for all. Who has opted out is not among them.
func (v *View) PersonsIn(ctx context.Context, table string, bucket int, segments []string) ([]int64, error) {
	p, err := v.inForce(ctx)
	if err != nil {
		return nil, err
	}
	t, ok := omop.Lookup(table)
	if !ok || !t.PersonLevel {
		return nil, havre.E("permit.persons", havre.Internal, "the table "+table+" is not about persons")
	}
	if err := covers(p, t, []string{t.Person}); err != nil {
		return nil, err
	}
	batches, err := v.snap.Only(table, bucket, segments).Read(ctx, bucket, warehouse.Want{Table: table, Columns: []string{t.Person}})
	if err != nil {
		return nil, err
	}
	defer releaseAll(batches)
	var out []int64
	for _, b := range batches {
		persons := b.Column(0).(*array.Int64)
		keep := make([]bool, persons.Len())
		v.gate.mark(persons.Int64Values(), keep)
		for i, k := range keep {
			if k && !persons.IsNull(i) {
				out = append(out, persons.Value(i))
			}
		}
	}
	return out, v.names.bucket(bucket).replace(out)
}
