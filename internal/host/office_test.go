package host

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/host/placement"
	"github.com/havre-hub/havre/internal/host/strict"
)

var operator = havre.NewPersonal("operator@hub.example")

// world is an office over a real log and a real control database.
type world struct {
	*Office
	t      *testing.T
	log    *audit.Log
	dbPath string
	signer *sign.Signer
	now    time.Time
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, what string, err error, kind havre.Kind, says string) {
	t.Helper()
	if havre.KindOf(err) != kind || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v (%s), want %s with %q", what, err, havre.KindOf(err), kind, says)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, dbPath: filepath.Join(dir, "control.db"), signer: sign.NewSigner(), now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	db, err := meta.Create(t.Context(), w.dbPath)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	opts := audit.Options{Origin: "havre.hub/test", Signer: sign.NewSigner(), Openings: db.Openings(), Now: func() time.Time { return w.now }}
	must(t, audit.Create(t.Context(), filepath.Join(dir, "log"), opts))
	w.log, err = audit.Open(t.Context(), filepath.Join(dir, "log"), opts)
	must(t, err)
	t.Cleanup(func() { _ = w.log.Close() })
	w.Office = New(Config{Hub: "test", DB: db, Signer: w.signer, Log: w.log, Now: func() time.Time { return w.now }})
	return w
}

// beside is the office of another process, which does not hold the log.
func (w *world) beside() *Office {
	db, err := meta.Open(w.t.Context(), w.dbPath)
	must(w.t, err)
	w.t.Cleanup(func() { _ = db.Close() })
	return New(Config{Hub: "test", DB: db, Signer: w.signer, Now: func() time.Time { return w.now }})
}

// entries lists the actions in the log, with the facts of the last one.
func (w *world) entries() (actions []string, last map[string]string) {
	w.t.Helper()
	for e, err := range w.log.Entries(w.t.Context(), 0, -1, tlog.Filter{}) {
		must(w.t, err)
		actions, last = append(actions, e.Action), e.Facts
	}
	return actions, last
}

func (w *world) host(name string) *descriptor.Host {
	w.t.Helper()
	h, err := descriptor.Example(name)
	must(w.t, err)
	return h
}

func date(s string) strict.Date { d, _ := strict.ParseDate(s); return d }

func cnil(until string) Derogation {
	return Derogation{Host: "azure-france", Data: placement.NationalBase, Authority: "CNIL", Reference: "2023-146", Reasons: "no host fulfils the list in time", Until: date(until)}
}

// TestStory: the hub of the story. Refused on a foreign host, allowed there by
// a derogation, read-only when it ends, open again after the move.
func TestStory(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	must(t, w.Writable(ctx)) // nothing is on record yet

	_, err := w.Place(ctx, Store, w.host("azure-france"), placement.NationalBase, operator)
	wantKind(t, "without a derogation", err, havre.Refused, "Microsoft Corporation, under the law of US")
	s, err := w.Standing(ctx)
	must(t, err)
	if len(s.Stands) != 0 || s.State != Open {
		t.Errorf("the hub is not as it was: %+v", s)
	}
	if actions, facts := w.entries(); !slices.Equal(actions, []string{"host.refused"}) || !strings.Contains(facts["failed"], "iaas: SecNumCloud 19.6.b") {
		t.Errorf("the refusal is not in the log: %v %v", actions, facts)
	}

	wantKind(t, "an end in the past", second(w.Derogate(ctx, cnil("2026-11-23"), operator)), havre.Invalid, "lies ahead")
	noReference := cnil("2029-11-23")
	noReference.Reference = " "
	wantKind(t, "no reference", second(w.Derogate(ctx, noReference, operator)), havre.Invalid, "its reference")
	d, err := w.Derogate(ctx, cnil("2029-11-23"), operator)
	must(t, err)
	if d.ID != "dg-0001" {
		t.Errorf("the first derogation is %s", d.ID)
	}
	p, err := w.Place(ctx, Store, w.host("azure-france"), placement.NationalBase, operator)
	must(t, err)
	if p.By != "dg-0001" || len(p.Failed) == 0 {
		t.Errorf("placed by %q, with %v", p.By, p.Failed)
	}
	must(t, w.Writable(ctx))
	// A derogation is for one host and one class.
	wantKind(t, "another foreign host", second(w.Place(ctx, Store, w.host("aws-paris"), placement.NationalBase, operator)), havre.Refused, "Amazon")
	// The machine sees what the store holds, in clear: it is held to the same class, whatever was said of it.
	wantKind(t, "a foreign machine", second(w.Place(ctx, Compute, w.host("aws-paris"), placement.Synthetic, operator)), havre.Refused, "compute")
	must(t, second(w.Place(ctx, Compute, w.host("own-machines"), placement.NationalBase, operator)))
	// Who plans a move asks first, and nothing is decided by asking.
	wantKind(t, "a move to a foreign host", second(w.MayPlace(ctx, Store, w.host("google-paris"))), havre.Refused, "Alphabet")
	if p, err := w.MayPlace(ctx, Store, w.host("example-sovereign")); err != nil || p.By != ByCriteria || p.Data != placement.NationalBase {
		t.Errorf("a move to a sovereign host: %+v, %v", p, err)
	}

	// The nearer the end, the louder: first rehearsals, then the end itself.
	placed := w.now
	for _, c := range []struct {
		at      time.Time
		drilled time.Time
		want    []string
	}{
		{placed.AddDate(0, 0, 180), time.Time{}, nil},
		{placed.AddDate(0, 0, 181), time.Time{}, []string{"was to be rehearsed by 2027-05-23, every 180 days"}},
		{placed.AddDate(0, 0, 181), placed.AddDate(0, 0, 100), nil},
		{date("2029-06-01").Start(), date("2029-05-10").Start(), []string{"for 175 days more; notice to the host is due by 2029-08-24, and from 2029-11-24 nothing is written any more"}},
		{date("2029-11-20").Start(), date("2029-05-10").Start(), []string{"for 3 days more", "every 7 days"}},
	} {
		w.now = c.at
		s, err := w.Standing(ctx)
		must(t, err)
		got := s.Alarms(c.drilled)
		if len(got) != len(c.want) {
			t.Errorf("on %s the hub says %q, want %q", c.at, got, c.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("on %s the hub says %q, want %q", c.at, got[i], c.want[i])
			}
		}
	}
	w.now = time.Date(2029, 11, 23, 23, 59, 59, 0, time.UTC)
	must(t, w.Writable(ctx))
	w.now = w.now.Add(time.Second)
	wantKind(t, "after its end", w.Writable(ctx), havre.PermitDenied, "read-only: national-base data lie on azure-france (store), and the derogation dg-0001 ended on 2029-11-23 (1 day ago)")
	must(t, w.Readable(ctx))
	if s, err := w.Standing(ctx); err != nil || s.State != ReadOnly {
		t.Errorf("standing %+v, %v", s, err)
	}
	w.now = w.now.Add(-time.Hour) // a clock set back revives nothing
	wantKind(t, "the clock set back", w.Writable(ctx), havre.Clock, "")

	w.now = w.now.Add(2 * time.Hour)
	must(t, second(w.Place(ctx, Store, w.host("own-machines"), placement.NationalBase, operator)))
	must(t, w.Writable(ctx))
	actions, _ := w.entries()
	if want := []string{"host.refused", "host.derogated", "host.placed", "host.refused", "host.refused", "host.placed", "host.placed"}; !slices.Equal(actions, want) {
		t.Errorf("the log tells %v, want %v", actions, want)
	}
}

// TestLapsedCertificate: nobody is put on a host by a lapsed paper; a hub that
// stands there becomes read-only when it lapses.
func TestLapsedCertificate(t *testing.T) {
	w := newWorld(t)
	h := w.host("example-sovereign")
	must(t, second(w.Place(t.Context(), Store, h, placement.NationalBase, operator)))
	must(t, w.Writable(t.Context()))
	w.now = time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC)
	wantKind(t, "lapsed while in use", w.Writable(t.Context()), havre.PermitDenied, "no longer hold")
	wantKind(t, "placed by a lapsed one", second(w.Place(t.Context(), Store, h, placement.NationalBase, operator)), havre.Invalid, "lapsed on 2028-12-31")
}

// TestSuspended: an order given by another process acts on the next read, is
// logged by whoever holds the log, and tells everybody who decided it.
func TestSuspended(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	must(t, w.Readable(ctx))
	other := w.beside()
	order := Order{Authority: "Conseil d'Etat", Reference: "no. 400000", Reason: "interim order"}
	began := time.Now()
	must(t, second(other.Suspend(ctx, order, operator)))
	wantKind(t, "the next read", w.Readable(ctx), havre.PermitDenied, "by order of Conseil d'Etat (no. 400000)")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	wantKind(t, "the next write", w.Writable(ctx), havre.PermitDenied, "suspended")
	wantKind(t, "beside", other.Readable(ctx), havre.PermitDenied, "suspended")
	if actions, facts := w.entries(); !slices.Equal(actions, []string{"hub.suspended"}) || facts["authority"] != "Conseil d'Etat" {
		t.Errorf("the log tells %v %v", actions, facts)
	}
	wantKind(t, "resumed without the log", second(other.Resume(ctx, order, operator)), havre.Locked, "another process")
	wantKind(t, "placed without the log", second(other.Place(ctx, Store, w.host("own-machines"), placement.Synthetic, operator)), havre.Locked, "another process")
	wantKind(t, "no authority", second(other.Suspend(ctx, Order{Reference: "x"}, operator)), havre.Invalid, "its authority")

	must(t, second(w.Resume(ctx, Order{Authority: "Conseil d'Etat", Reference: "no. 400001"}, operator)))
	must(t, w.Readable(ctx))
	must(t, other.Readable(ctx))
	wantKind(t, "resumed twice", second(w.Resume(ctx, order, operator)), havre.Refused, "not suspended")
	must(t, second(w.Suspend(ctx, order, operator))) // by the process that holds the log: logged at once
	if actions, _ := w.entries(); !slices.Equal(actions, []string{"hub.suspended", "hub.resumed", "hub.suspended"}) {
		t.Errorf("the log tells %v", actions)
	}
}

// TestTampered: what is edited in the control database is found, and found
// orders stop the hub rather than let it run.
func TestTampered(t *testing.T) {
	for name, edit := range map[string]string{
		"altered": `UPDATE host_document SET signed = CAST(replace(CAST(signed AS TEXT), 'a', 'b') AS BLOB) WHERE kind = 'order'`,
		"moved":   `UPDATE host_document SET number = 7 WHERE kind = 'order'`,
		"foreign": `UPDATE host_document SET signed = (SELECT signed FROM host_document WHERE kind = 'placement') WHERE kind = 'order'`,
	} {
		w := newWorld(t)
		must(t, second(w.Place(t.Context(), Store, w.host("own-machines"), placement.NationalBase, operator)))
		must(t, second(w.Suspend(t.Context(), Order{Authority: "a", Reference: "b"}, operator)))
		_, err := w.DB.DB().ExecContext(t.Context(), edit)
		must(t, err)
		wantKind(t, name, w.beside().Readable(t.Context()), havre.Tampered, "")
		wantKind(t, name, w.Readable(t.Context()), havre.Tampered, "")
	}
	w := newWorld(t)
	must(t, second(w.Derogate(t.Context(), cnil("2027-01-01"), operator)))
	must(t, second(w.Derogate(t.Context(), cnil("2028-01-01"), operator)))
	_, err := w.DB.DB().ExecContext(t.Context(), `DELETE FROM host_document WHERE kind = 'derogation' AND number = 1`)
	must(t, err)
	_, err = w.Derogations(t.Context())
	wantKind(t, "one removed", err, havre.Tampered, "gap")
}

// TestClock: the nearer the end, the more often leaving is rehearsed.
func TestClock(t *testing.T) {
	d := cnil("2026-12-31")
	for at, want := range map[string]Clock{
		"2025-01-01": {Days: 729, DrillEvery: 180},
		"2026-01-15": {Days: 350, DrillEvery: 90},
		"2026-07-02": {Days: 182, DrillEvery: 30, Alarm: true},
		"2026-12-20": {Days: 11, DrillEvery: 7, Alarm: true},
		"2027-01-02": {Days: -2, DrillEvery: 7, Alarm: true},
	} {
		got := d.ClockOf(date(at).Start().Add(20 * time.Hour))
		if got.Days != want.Days || got.DrillEvery != want.DrillEvery || got.Alarm != want.Alarm {
			t.Errorf("%s: %+v, want %+v", at, got, want)
		}
		if got.NoticeBy.String() != "2026-10-01" || got.ReadOnly.String() != "2027-01-01" {
			t.Errorf("notice by %s, read-only from %s", got.NoticeBy, got.ReadOnly)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func BenchmarkReadable(b *testing.B) {
	dir := b.TempDir()
	db, err := meta.Create(context.Background(), filepath.Join(dir, "control.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	o := New(Config{Hub: "b", DB: db, Signer: sign.NewSigner(), Now: havre.SystemNow})
	for b.Loop() {
		if err := o.Readable(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
