package move

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/verify"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// TestWholeMove: between two folders, with a hub that reads and writes all the
// time; the report is checked by the log alone.
func TestWholeMove(t *testing.T) {
	from, to := folder(t), folder(t)
	h := newHub(t, from, 200)
	ctx, stop := context.WithCancel(t.Context())
	wrote := make(chan int)
	go func() { // a hub at work
		i := 1000
		for ; ctx.Err() == nil; i++ {
			if err := put(context.Background(), h.Live, i, 1); err != nil {
				t.Error(err)
			}
			if name, data := content(i, 1); i%3 == 0 {
				if b, err := blob.GetAll(context.Background(), h.Live, name); err != nil || string(b) != string(data) {
					t.Errorf("the hub read %q: %v", b, err)
				}
			}
			if i%5 == 0 {
				name, _ := content(i, 1)
				if err := h.Live.Delete(context.Background(), name); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(2 * time.Millisecond)
		}
		wrote <- i
	}()
	p, err := h.Mover.Plan(ctx, PlanOptions{To: to, Actor: "op@hub.example", PerGB: "0.08", Notice: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)})
	must(t, err)
	if p.ID != "m-0001" || p.Objects < 200 || p.Bytes == 0 || p.Free <= 0 || p.Seconds <= 0 {
		t.Errorf("plan %+v", p)
	}
	if p.Clock.NoticeEnds != "2027-02-28" || p.Clock.TransitionEnd != "2027-03-30" {
		t.Errorf("the Data Act's clock is %+v", p.Clock)
	}
	if got := objects(t, h, to); len(got) != 0 {
		t.Errorf("the plan left %d objects", len(got))
	}
	st, err := h.Mover.Run(ctx, Pace{})
	must(t, err)
	if st.State != Switched || st.FreezeMS > 5000 || st.Next != "havre move verify" {
		t.Errorf("after run: %+v", st)
	}
	if at, _ := h.Store(); at != to {
		t.Errorf("the hub is configured for %s", at)
	}
	time.Sleep(50 * time.Millisecond) // the hub writes at its new place
	if _, err := h.Mover.Verify(ctx, Pace{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Mover.Finish(ctx, "m-0002", Pace{}); havre.KindOf(err) != havre.Usage {
		t.Errorf("finish of another move: %v", err)
	}
	signed, err := h.Mover.Finish(ctx, p.ID, Pace{})
	must(t, err)
	stop()
	last := <-wrote

	want := map[string]string{"snapshot/000000000000": "snapshot 0"}
	for i := range 200 {
		name, data := content(i, 0)
		want[name] = string(data)
	}
	for i := 1000; i < last; i++ {
		if name, data := content(i, 1); i%5 != 0 {
			want[name] = string(data)
		}
	}
	same(t, h, to, want)
	dead(t, h, from)
	entries, err := os.ReadDir(strings.TrimPrefix(from, "file://"))
	if err != nil || len(entries) > 0 {
		t.Errorf("the old folder still has %v, %v", entries, err)
	}
	keys := verify.OneKey("test", "havre.hub/test", signer.Public())
	m, err := verify.Move(t.Context(), signed, os.DirFS(filepath.Join(h.dir, "log")), keys)
	if havre.KindOf(err) != havre.Tampered || !strings.Contains(err.Error(), "snapshot") { // this log knows no snapshot
		t.Fatalf("%+v, %v", m, err)
	}
	r := report(t, h)
	if r.Root != r.RootBack || r.Objects < 200 || !r.Keys.Changed || r.Keys.Before[0] != "old" || r.Keys.After[0] != "new" || r.Removed.Probed < r.Objects || r.Runs != 1 || r.Traffic.Read < r.Bytes {
		t.Errorf("report %+v", r)
	}
	if _, err := h.Mover.Run(t.Context(), Pace{}); havre.KindOf(err) != havre.NotFound {
		t.Errorf("a run after the end: %v", err)
	}
}

// TestDrill: the hub stays, the second copy goes, and the report says so.
func TestDrill(t *testing.T) {
	from, at := folder(t), folder(t)
	h := newHub(t, from, 40)
	want := objects(t, h, from)
	signed, err := h.Mover.Drill(t.Context(), PlanOptions{To: at, Actor: "op@hub.example"}, Pace{})
	must(t, err)
	r, err := record.VerifyMove(signed, signer.Public())
	must(t, err)
	if r.ID != "d-0001" || r.Kind != record.KindDrill || !r.Times.Switched.IsZero() || r.Keys.Changed || r.Before.Studies[0].Mark == "" {
		t.Errorf("report %+v", r)
	}
	same(t, h, from, want)
	dead(t, h, at)
	if now, _ := h.Store(); now != from {
		t.Errorf("the drill moved the hub to %s", now)
	}
	last, err := LastDrill(t.Context(), h.DB)
	if err != nil || last.ID != "d-0001" || last.Finished.IsZero() {
		t.Errorf("the last drill is %+v, %v", last, err)
	}
}

// TestBack: at each stage before the end, with all that was written meanwhile.
func TestBack(t *testing.T) {
	for _, stage := range []State{Planned, Copying, Switched, Verified} {
		from, to := folder(t), folder(t)
		h := newHub(t, from, 40, func(h *hub) { h.lines = true })
		want := objects(t, h, from)
		_, err := advance(t.Context(), h, to)
		must(t, err)
		if stage == Copying {
			ctx, cancel := context.WithCancel(t.Context())
			h.Mover.c.Progress = onStep{"copy", cancel}
			if _, err := h.Mover.Run(ctx, Pace{}); havre.KindOf(err) != havre.Cancelled {
				t.Fatalf("a stopped run: %v", err)
			}
			h.Mover.c.Progress = havre.NoProgress
		}
		for s := Planned; s != stage && stage != Copying; {
			_, err := advance(t.Context(), h, to)
			must(t, err)
			st, err := h.Mover.Status(t.Context())
			must(t, err)
			s = st.State
		}
		must(t, put(t.Context(), h.Live, 500, 1))
		name, data := content(500, 1)
		want[name] = string(data)
		changed, _ := content(3, 0) // one that has no hash in its name
		must(t, h.Live.Delete(t.Context(), changed))
		must(t, h.Live.Put(t.Context(), changed, []byte("another")))
		want[changed] = "another"
		gone, _ := content(0, 0)
		must(t, h.Live.Delete(t.Context(), gone))
		delete(want, gone)

		st, err := h.Mover.Back(t.Context(), Pace{}, false)
		must(t, err)
		if st.State != Returned {
			t.Errorf("from %s: %+v", stage, st)
		}
		same(t, h, from, want)
		dead(t, h, to)
		if at, _ := h.Store(); at != from || h.Live.note != nil {
			t.Errorf("from %s the hub went to %s", stage, at)
		}
		whole(t, h, to) // and it can go again
		same(t, h, to, want)
	}
}

// onStep calls do when a step of that name begins.
type onStep struct {
	name string
	do   func()
}

func (o onStep) Step(name string, _ int64, _ string) havre.Counter {
	if name == o.name {
		o.do()
	}
	return havre.NoProgress.Step(name, 0, "")
}

// TestRefusals: what is wrong is told, and the hub is as it was.
func TestRefusals(t *testing.T) {
	ctx := t.Context()
	from, to := folder(t), folder(t)
	h := newHub(t, from, 12, func(h *hub) { h.lines = true })
	want := objects(t, h, from)
	other, occupied := newHub(t, folder(t), 4, func(h *hub) { h.lines = true }), folder(t)
	elsewhere, err := other.Store()
	must(t, err)
	s, err := registry.Open(ctx, occupied, blob.Options{Create: true})
	must(t, err)
	must(t, s.Put(ctx, "holiday.jpeg", []byte("beach")))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(strings.TrimPrefix(from, "file://"), link))

	small := newHub(t, folder(t), 4, func(h *hub) {
		h.lines = true
		h.wrap = func(_ string, s blob.Store) blob.Store { return tight{s} }
	})
	if _, err := small.Mover.Plan(ctx, PlanOptions{To: folder(t), PerGB: "0"}); havre.KindOf(err) != havre.NoSpace {
		t.Errorf("to a store that is too small: %v", err)
	}
	for name, tc := range map[string]struct {
		o    PlanOptions
		kind havre.Kind
	}{
		"to the same place":        {PlanOptions{To: from}, havre.Refused},
		"to the same by a link":    {PlanOptions{To: "file:" + link}, havre.Refused},
		"into itself":              {PlanOptions{To: from + "/inside"}, havre.Refused},
		"around itself":            {PlanOptions{To: "file:" + filepath.Dir(strings.TrimPrefix(from, "file://"))}, havre.Refused},
		"where another hub is":     {PlanOptions{To: elsewhere}, havre.Exists},
		"where something else is":  {PlanOptions{To: occupied}, havre.Exists},
		"to no store":              {PlanOptions{To: "gopher://hole"}, havre.Invalid},
		"at a price that is none":  {PlanOptions{To: to, PerGB: "cheap"}, havre.Invalid},
		"at a price below nothing": {PlanOptions{To: to, PerGB: "-1"}, havre.Invalid},
	} {
		_, err := h.Mover.Plan(ctx, tc.o)
		if havre.KindOf(err) != tc.kind || havre.HintOf(err) == "" && tc.kind != havre.Invalid {
			t.Errorf("%s: %v (%s), hint %q", name, err, havre.KindOf(err), havre.HintOf(err))
		}
		if _, err := h.Mover.Status(ctx); havre.KindOf(err) != havre.NotFound {
			t.Errorf("%s: a move is on record: %v", name, err)
		}
	}
	same(t, h, from, want)

	// Two moves at once: of one hub, and of two hubs to one place.
	_, err = h.Mover.Plan(ctx, PlanOptions{To: to})
	must(t, err)
	_, err = other.Mover.Plan(ctx, PlanOptions{To: to})
	must(t, err)
	_, err = h.Mover.Run(ctx, Pace{})
	must(t, err)
	if _, err := other.Mover.Run(ctx, Pace{}); havre.KindOf(err) != havre.Refused || !strings.Contains(err.Error(), "m-0001") {
		t.Errorf("a second hub to the same place: %v", err)
	}
	for name, do := range map[string]func() error{
		"plan":  func() error { _, err := h.Mover.Plan(ctx, PlanOptions{To: folder(t)}); return err },
		"drill": func() error { _, err := h.Mover.Drill(ctx, PlanOptions{To: folder(t)}, Pace{}); return err },
		"finish without verify": func() error {
			_, err := h.Mover.Finish(ctx, "m-0001", Pace{})
			return err
		},
	} {
		if err := do(); havre.KindOf(err) != havre.Refused || havre.HintOf(err) == "" {
			t.Errorf("%s while a move is open: %v", name, err)
		}
	}
	release, err := h.Mover.exclusive()
	must(t, err)
	if _, err := h.Mover.Verify(ctx, Pace{}); havre.KindOf(err) != havre.Locked {
		t.Errorf("two steps at once: %v", err)
	}
	release()
	// Something that writes beside the hub is not deleted unseen.
	old, err := registry.Open(ctx, from, blob.Options{})
	must(t, err)
	must(t, old.Put(ctx, "stray", []byte("x")))
	if _, err := h.Mover.Verify(ctx, Pace{}); havre.KindOf(err) != havre.Refused || !strings.Contains(err.Error(), "stray") {
		t.Errorf("a stray object: %v", err)
	}
	must(t, old.Delete(ctx, "stray"))
	whole(t, h, to)
	same(t, h, to, want)
	if _, err := h.Mover.Back(ctx, Pace{}, false); havre.KindOf(err) != havre.NotFound {
		t.Errorf("back after the end: %v", err)
	}
}

// tight is a store with little room.
type tight struct{ blob.Store }

func (tight) Free(context.Context) (int64, error) { return 1000, nil }

// TestEditedReport: whatever is changed after signing is seen; what a hub signs
// that contradicts itself is seen as well.
func TestEditedReport(t *testing.T) {
	h := newHub(t, folder(t), 12, func(h *hub) { h.lines = true })
	whole(t, h, folder(t))
	all, err := Reports(t.Context(), h.DB)
	must(t, err)
	signed := all[0].Signed
	for i := 20; i < len(signed)-1; i += 37 {
		b := append([]byte{}, signed...)
		b[i] ^= 1
		if _, err := record.VerifyMove(b, signer.Public()); havre.KindOf(err) != havre.Tampered {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for name, edit := range map[string]func(*record.Move){
		"another root":           func(m *record.Move) { m.RootBack = strings.Repeat("0", 64) },
		"a copy that is left":    func(m *record.Move) { m.Removed.Readable = 1 },
		"fewer asked for":        func(m *record.Move) { m.Removed.Probed-- },
		"other rows":             func(m *record.Move) { m.After.Rows++ },
		"another study result":   func(m *record.Move) { m.After.Studies[0].Mark = "x" },
		"a cheaper bill":         func(m *record.Move) { m.Cost.Total = "-1.00" },
		"a later end":            func(m *record.Move) { m.Clock.TransitionEnd = "2099-01-01" },
		"time that goes back":    func(m *record.Move) { m.Times.Finished = m.Times.Planned.Add(-time.Hour) },
		"no objects":             func(m *record.Move) { m.Objects = 0 },
		"neither move nor drill": func(m *record.Move) { m.Kind = "holiday" },
	} {
		m, err := record.VerifyMove(signed, signer.Public())
		must(t, err)
		edit(m)
		again, err := record.SignMove(m, signer)
		must(t, err)
		if _, err := record.VerifyMove(again, signer.Public()); havre.KindOf(err) != havre.Tampered {
			t.Errorf("%s: %v", name, err)
		}
	}
}
