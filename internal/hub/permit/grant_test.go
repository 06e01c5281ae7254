package permit

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// faraway is a permit, its view at the hub, and what is needed to open it elsewhere.
type faraway struct {
	*world
	id    string
	view  *View
	grant Grant
	away  *warehouse.Snapshot
	outs  []int64
	live  error
}

func newFaraway(t *testing.T) *faraway {
	w := newWorld(t)
	store := warehousetest.Store(t)
	house := warehousetest.Create(t, warehousetest.Config(t, store), 1)
	d := warehousetest.NewDelivery("chu-nord")
	for n := range 4 {
		tid := fmt.Sprintf("%032x", n)
		d.Link(tid, w.id[n])
	}
	var visits, conditions string
	for n := range 4 {
		visits += fmt.Sprintf("%032x,%d,9201,2016-01-0%d,2016-01-09,32817\n", n, 5000-n, n+1)
		conditions += fmt.Sprintf("%032x,%d,192671,2016-02-0%d,32817,%d\n", n, 10-n, n+1, 5000-n)
	}
	d.Part(envelope.Health, "visit_occurrence", "tid,visit_occurrence_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id\n"+visits)
	d.Part(envelope.Health, "condition_occurrence", "tid,condition_occurrence_id,condition_concept_id,condition_start_date,condition_type_concept_id,visit_occurrence_id\n"+conditions)
	_, w.snap = warehousetest.Take(t, house, d, 1)
	f := &faraway{world: w}
	f.id = w.granted(func(a *Application) {
		a.Tables = []record.Table{{Name: "condition_occurrence", Columns: []string{"person_id", "condition_occurrence_id", "condition_start_date", "visit_occurrence_id"}}}
	})
	must(t, w.a.RecordOptOut(t.Context(), w.optOut(true, w.now, 1)))
	f.view = w.view(f.id)
	var err error
	f.grant, err = f.view.Grant(t.Context())
	must(t, err)
	f.outs = f.view.OptedOutIn()[0]
	parts, err := w.snap.Part(Opens("condition_occurrence", []string{"visit_occurrence_id"}), []int{0})
	must(t, err)
	if len(parts) != 2 {
		t.Fatalf("%d segments are given away, want those of two tables", len(parts))
	}
	f.away = warehouse.OpenPart(store, w.snap.Number(), w.snap.Root(), 1, parts, 0)
	return f
}

func (f *faraway) accept(hub sign.PublicKey) (*View, error) {
	return Accept(f.grant, hub, f.outs, func(context.Context) error { return f.live }, f.config.Now, f.away)
}

// TestAwayReadsAlike: a view elsewhere gives the very rows of the view at the
// hub, with its pseudonyms, its numbers and without who opted out.
func TestAwayReadsAlike(t *testing.T) {
	f := newFaraway(t)
	v, err := f.accept(f.config.Signer.Public())
	must(t, err)
	columns := []string{"person_id", "condition_occurrence_id", "condition_start_date", "visit_occurrence_id"}
	want, got := rows(t, f.view, "condition_occurrence", columns...), rows(t, v, "condition_occurrence", columns...)
	if len(want) != 3 || !slices.Equal(got, want) {
		t.Errorf("elsewhere %v, at the hub %v", got, want)
	}
}

// TestAwayRefuses: elsewhere no permit means no row, for the same reasons.
func TestAwayRefuses(t *testing.T) {
	f := newFaraway(t)
	hub := f.config.Signer.Public()
	_, err := f.accept(sign.NewSigner().Public())
	wantKind(t, "a permit of another hub", err, havre.PermitDenied)
	good := f.grant
	f.grant.Account = ben
	_, err = f.accept(hub)
	wantKind(t, "an account that the permit does not name", err, havre.PermitDenied)
	f.grant = good
	f.grant.Permit = append(slices.Clone(good.Permit[:40]), good.Permit[41:]...)
	_, err = f.accept(hub)
	wantKind(t, "an altered permit", err, havre.PermitDenied)
	f.grant = good

	v, err := f.accept(hub)
	must(t, err)
	read := func(table, column string) error {
		_, err := tryRows(t.Context(), v, warehouse.Want{Table: table, Columns: []string{column}})
		return err
	}
	must(t, read("condition_occurrence", "condition_start_date"))
	wantKind(t, "a column outside", read("condition_occurrence", "condition_concept_id"), havre.PermitDenied)
	wantKind(t, "a table outside", read("visit_occurrence", "visit_start_date"), havre.PermitDenied)
	f.live = denied("suspended", "")
	wantKind(t, "no longer live", read("condition_occurrence", "condition_start_date"), havre.PermitDenied)
	f.live = nil
	now := f.now
	f.now = f.now.AddDate(2, 0, 0)
	wantKind(t, "after its end", read("condition_occurrence", "condition_start_date"), havre.PermitDenied)
	f.now = now
	must(t, read("condition_occurrence", "condition_start_date"))

	must(t, f.a.Suspend(t.Context(), f.id, officer, "query"))
	_, err = f.view.Grant(t.Context())
	wantKind(t, "a grant of a suspended permit", err, havre.PermitDenied)
	_, err = v.Grant(t.Context())
	wantKind(t, "a grant of a grant", err, havre.Refused)
}
