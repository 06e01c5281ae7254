package warehouse_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/audit/audittest"
	"github.com/havre-hub/havre/internal/ground/blob/fault"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

func small() *warehousetest.Delivery {
	d := warehousetest.NewDelivery("h")
	person, condition := "tid,gender_concept_id,year_of_birth\n", "tid,condition_occurrence_id,condition_concept_id,condition_start_date\n"
	for p := range 6 {
		tid := warehousetest.TID(p)
		d.Link(tid, int64(100+p))
		person += fmt.Sprintf("%s,8507,%d\n", tid, 1950+p)
		condition += fmt.Sprintf("%s,%d,%d,2020-01-0%d\n", tid, p, 40+p%2, p+1)
	}
	return d.Part(envelope.Health, "person", person+"nobody,8507,1950\n").Part(envelope.Health, "condition_occurrence", condition)
}

var conditions = warehouse.Want{Table: "condition_occurrence", Columns: []string{"person_id", "condition_occurrence_id", "condition_concept_id"}}

// TestEveryPutFails ingests with each write failing in turn: not stored,
// stored with the answer lost, disk full. The last snapshot stays in force and
// readable; the next attempt succeeds.
func TestEveryPutFails(t *testing.T) {
	ctx := context.Background()
	count := fault.Wrap(warehousetest.Store(t))
	w := warehousetest.Create(t, warehousetest.Config(t, count), 1)
	before := count.Count(fault.Put)
	_, whole := warehousetest.Take(t, w, small(), 1)
	want := warehousetest.AllRows(t, whole, conditions)
	puts := count.Count(fault.Put) - before
	if puts != 4 { // persons, conditions, rejected rows, snapshot
		t.Fatalf("%d writes", puts)
	}
	kinds := map[fault.Effect]havre.Kind{fault.FailBefore: havre.StoreUnavailable, fault.FailAfter: havre.StoreUnavailable, fault.Full: havre.NoSpace}
	for at := 1; at <= puts; at++ {
		for effect, kind := range kinds {
			name := fmt.Sprintf("write %d: %s", at, effect)
			sound := warehousetest.Config(t, warehousetest.Store(t))
			w := warehousetest.Create(t, sound, 1)
			_, first := warehousetest.Take(t, w, small(), 1)
			second := small()
			broken := sound
			broken.Store = fault.Wrap(sound.Store, fault.Fault{Op: fault.Put, Nth: at, Do: effect})
			faulty, err := warehouse.Open(ctx, broken)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := warehousetest.TryTake(faulty, second, 2); havre.KindOf(err) != kind {
				t.Fatalf("%s: %v", name, err)
			}
			now, err := w.Current(ctx)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if committed := effect == fault.FailAfter && at == puts; !committed && now.Root() != first.Root() {
				t.Errorf("%s: a snapshot came into force", name)
			}
			if got := warehousetest.AllRows(t, first, conditions); !slices.Equal(got, want) {
				t.Errorf("%s: the old snapshot reads %q", name, got)
			}
			r, after := warehousetest.Take(t, w, second, 2)
			if got := warehousetest.AllRows(t, after, conditions); len(got) != 2*len(want) || r.RowsIn() != 13 {
				t.Errorf("%s: after the second attempt %d rows", name, len(got))
			}
			report, err := w.Fsck(ctx, warehouse.FsckOptions{Collect: true, Age: -1}, nil)
			if err != nil || len(report.Faults) > 0 || report.Collected != len(report.Orphans) {
				t.Errorf("%s: %+v, %v", name, report, err)
			}
		}
	}
}

// TestCommitIsRepeatable: the last write fails, or only its answer is lost,
// and the same batch commits again to the same snapshot.
func TestCommitIsRepeatable(t *testing.T) {
	ctx := context.Background()
	for _, effect := range []fault.Effect{fault.FailBefore, fault.FailAfter} {
		c := warehousetest.Config(t, warehousetest.Store(t))
		warehousetest.Create(t, c, 2)
		c.Store = fault.Wrap(c.Store, fault.Fault{Op: fault.Put, Prefix: "snapshot/", Nth: 1, Do: effect})
		w, err := warehouse.Open(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.Begin(ctx, warehousetest.Actor)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ingest.Run(ctx, small().Input(b, 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Commit(ctx); havre.KindOf(err) != havre.StoreUnavailable {
			t.Fatal(err)
		}
		s, err := b.Commit(ctx)
		if err != nil || s.Number() != 1 || len(warehousetest.AllRows(t, s, conditions)) != 6 {
			t.Errorf("%s: %v", effect, err)
		}
	}
}

// TestStoreLies: a bit turned or a byte missing in any answer is found, and no
// row of it is given.
func TestStoreLies(t *testing.T) {
	ctx := context.Background()
	c := warehousetest.Config(t, warehousetest.Store(t))
	_, s := warehousetest.Take(t, warehousetest.Create(t, c, 1), small(), 1)
	want := warehousetest.AllRows(t, s, conditions)
	for _, effect := range []fault.Effect{fault.Corrupt, fault.Short} {
		for _, prefix := range []string{"snapshot/", "segment/"} {
			lying := c
			lying.Store = fault.Wrap(c.Store, fault.Fault{Op: fault.Get, Prefix: prefix, Do: effect})
			w, err := warehouse.Open(ctx, lying)
			if err == nil {
				var s *warehouse.Snapshot
				if s, err = w.Current(ctx); err == nil {
					_, err = s.Read(ctx, 0, conditions)
				}
			}
			if havre.KindOf(err) != havre.Tampered {
				t.Errorf("%s of %s: %v", effect, prefix, err)
			}
		}
	}
	gone := c
	gone.Store = fault.Wrap(c.Store, fault.Fault{Op: fault.Get, Prefix: "segment/", Do: fault.FailBefore})
	w, err := warehouse.Open(ctx, gone)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = w.Current(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(ctx, 0, conditions); havre.KindOf(err) != havre.StoreUnavailable {
		t.Errorf("store away: %v", err)
	}
	if len(want) != 6 {
		t.Errorf("%q", want)
	}
}

// TestNoRecordNoEffect: a log that refuses the intent stops the commit; one
// that refuses the result leaves the snapshot and an error, and a repeat heals.
func TestNoRecordNoEffect(t *testing.T) {
	ctx := context.Background()
	c := warehousetest.Config(t, warehousetest.Store(t))
	diary := c.Log.(*audittest.Diary)
	w := warehousetest.Create(t, c, 2)
	b, err := w.Begin(ctx, warehousetest.Actor)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.Run(ctx, small().Input(b, 1)); err != nil {
		t.Fatal(err)
	}
	refuse := func(action string) {
		diary.Fail = func(e audit.Event) error {
			if e.Action == action {
				return havre.E("test.log", havre.NoSpace, "the log is full")
			}
			return nil
		}
	}
	refuse(warehouse.IntentAction)
	if _, err := b.Commit(ctx); havre.KindOf(err) != havre.NoSpace {
		t.Fatal(err)
	}
	if s, _ := w.Current(ctx); s.Number() != 0 {
		t.Fatal("committed without a record")
	}
	refuse(warehouse.CommittedAction)
	if _, err := b.Commit(ctx); havre.KindOf(err) != havre.NoSpace {
		t.Fatal(err)
	}
	diary.Fail = nil
	s, err := b.Commit(ctx)
	if err != nil || s.Number() != 1 {
		t.Fatal(err)
	}
	events := diary.Events()
	last := events[len(events)-1]
	if last.Action != warehouse.CommittedAction || last.Facts["root"] != s.Root() || last.Subject != "1" || last.Facts["rows"] != "12" {
		t.Errorf("%+v", last)
	}
	if n := len(events); events[n-2].Action != warehouse.IntentAction || events[n-2].Facts["root"] != s.Root() {
		t.Errorf("no intent before: %+v", events[n-2])
	}
}

// TestTwoCommit: of batches begun on one snapshot, by warehouses that know
// nothing of each other, one commits and the others are told.
func TestTwoCommit(t *testing.T) {
	ctx := context.Background()
	c := warehousetest.Config(t, warehousetest.Store(t))
	warehousetest.Create(t, c, 2)
	var batches []*warehouse.Batch
	for holder := range 4 {
		w, err := warehouse.Open(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.Begin(ctx, warehousetest.Actor)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ingest.Run(ctx, small().Input(b, holder+1)); err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b)
	}
	results := make(chan error)
	for _, b := range batches {
		go func() {
			_, err := b.Commit(ctx)
			results <- err
		}()
	}
	won := 0
	for range batches {
		if err := <-results; err == nil {
			won++
		} else if havre.KindOf(err) != havre.Locked || havre.HintOf(err) == "" {
			t.Errorf("the loser is told %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d batches committed snapshot 1", won)
	}
}
