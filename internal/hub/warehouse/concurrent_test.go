package warehouse_test

import (
	"context"
	"sync"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob/fault"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// TestConcurrentReads: many read one large segment, each other columns and
// concepts, so that some fetch while others decode.
func TestConcurrentReads(t *testing.T) {
	c := warehousetest.Config(t, warehousetest.Store(t))
	d := warehousetest.Synthetic(1, 400_000, 4_000)
	_, s := warehousetest.Take(t, warehousetest.Create(t, c, 1), d, 1)
	for _, e := range s.Manifest().Segments {
		if e.Table == "measurement" && e.Size < 4<<20 {
			t.Fatalf("the segment has %d bytes: too few to be fetched in ranges", e.Size)
		}
	}
	columns := []string{"person_id", "measurement_id", "measurement_date", "value_as_number", "visit_occurrence_id", "measurement_source_value", "provider_id", "unit_concept_id"}
	for range 2 {
		w, err := warehouse.Open(context.Background(), c) // a cold cache
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.Current(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i, column := range columns {
			wg.Go(func() {
				want := warehouse.Want{Table: "measurement", Columns: []string{column}}
				if i%2 == 1 {
					want.Concepts = []int64{3000001, int64(3000100 + i), 3002000}
				}
				batches, err := s.Read(context.Background(), 0, want)
				if err != nil {
					t.Error(err)
				}
				rows := int64(0)
				for _, b := range batches {
					rows += b.NumRows()
					b.Release()
				}
				if i%2 == 0 && rows != 240_000 || rows == 0 {
					t.Errorf("%s: %d rows", column, rows)
				}
			})
		}
		wg.Wait()
	}
}

// TestDamageOnTheWay: bytes that were spoilt between store and hub fail one
// read, not all that come after it.
func TestDamageOnTheWay(t *testing.T) {
	ctx := context.Background()
	c := warehousetest.Config(t, warehousetest.Store(t))
	_, s := warehousetest.Take(t, warehousetest.Create(t, c, 1), small(), 1)
	want := warehousetest.AllRows(t, s, conditions)
	c.Store = fault.Wrap(c.Store, fault.Fault{Op: fault.Get, Prefix: "segment/", Nth: 1, Do: fault.Corrupt})
	w, err := warehouse.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = w.Current(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(ctx, 0, conditions); havre.KindOf(err) != havre.Tampered {
		t.Fatalf("spoilt bytes: %v", err)
	}
	if got := warehousetest.AllRows(t, s, conditions); len(got) != len(want) {
		t.Errorf("the next read gives %q", got)
	}
}
