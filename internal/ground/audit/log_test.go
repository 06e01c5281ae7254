package audit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

const origin = "hub.example/log"

func options() Options {
	return Options{Origin: origin, Signer: sign.NewSigner(), Openings: NoOpenings}
}

func event(i int) Event {
	return Event{
		Action:  "test.happened",
		Actor:   havre.NewPersonal("officer@havre.example"),
		Subject: fmt.Sprintf("s-%04d", i),
		Facts:   map[string]string{"n": fmt.Sprint(i)},
	}
}

// made creates and opens a log in a fresh folder.
func made(t testing.TB, o Options) (*Log, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	if err := Create(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	return opened(t, dir, o), dir
}

func opened(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// fill records n events, all at once.
func fill(t testing.TB, l *Log, from, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := from; i < from+n; i++ {
		wg.Go(func() {
			if _, err := l.Record(context.Background(), event(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func verified(t testing.TB, dir string, o Options) *tlog.Report {
	t.Helper()
	r, err := tlog.Open(dir, o.trust())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rep, err := r.Verify(t.Context(), havre.NoProgress)
	if err != nil {
		t.Fatalf("%v\n%+v", err, rep)
	}
	return rep
}

func TestRecord(t *testing.T) {
	t.Parallel()
	o := options()
	l, dir := made(t, o)
	for i := range 3 {
		e := event(i)
		if i == 2 {
			e.Actor = havre.Personal[string]{} // the hub itself
		}
		at, err := l.Record(t.Context(), e)
		if err != nil || at.Index != int64(i) {
			t.Fatalf("entry %d got position %d, %v", i, at.Index, err)
		}
		c, err := l.Checkpoint()
		if err != nil || c.Size <= at.Index {
			t.Fatalf("entry %d was acknowledged under a checkpoint of %d entries, %v", i, c.Size, err)
		}
		kept, err := l.Kept()
		if err != nil || kept[len(kept)-1].Size <= at.Index {
			t.Fatalf("the checkpoint of entry %d was not kept: %v", i, err)
		}
	}
	fill(t, l, 3, 600)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Record(t.Context(), event(0)); err == nil {
		t.Error("a closed log took an entry")
	}
	rep := verified(t, dir, o)
	if rep.Size != 603 || rep.Actions["test.happened"] != 603 {
		t.Errorf("the log holds %d entries: %v", rep.Size, rep.Actions)
	}

	again := opened(t, dir, o)
	if at, err := again.Record(t.Context(), event(603)); err != nil || at.Index != 603 {
		t.Fatalf("after reopening: position %d, %v", at.Index, err)
	}
	seen := map[string]bool{}
	for rec, err := range again.Entries(t.Context(), 0, -1, tlog.Filter{Action: "test"}) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Index != int64(len(seen)) || seen[rec.Subject] {
			t.Fatalf("entry %d (%s) came out of turn", rec.Index, rec.Subject)
		}
		seen[rec.Subject] = true
	}
	if len(seen) != 604 {
		t.Errorf("%d entries were read", len(seen))
	}
}

func TestRecordRefuses(t *testing.T) {
	t.Parallel()
	l, _ := made(t, options())
	actor := havre.NewPersonal("a")
	for name, e := range map[string]Event{
		"no action":         {Actor: actor},
		"an action in caps": {Action: "Permit.Decided", Actor: actor},
		"one word":          {Action: "permit", Actor: actor},
		"actor not UTF-8":   {Action: "permit.decided", Actor: havre.NewPersonal("\xff")},
		"not UTF-8":         {Action: "permit.decided", Actor: actor, Subject: "\xff"},
		"a fact not UTF-8":  {Action: "permit.decided", Actor: actor, Facts: map[string]string{"a": "\xff"}},
		"private not UTF-8": {Action: "permit.decided", Actor: actor, Private: map[string]havre.Personal[string]{"a": havre.NewPersonal("\xff")}},
		"too large":         {Action: "permit.decided", Actor: actor, Facts: map[string]string{"a": strings.Repeat("x", 1<<16)}},
	} {
		if _, err := l.Record(t.Context(), e); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := l.Checkpoint(); err != nil || c.Size != 0 {
		t.Errorf("refused events left %d entries, %v", c.Size, err)
	}
}

func TestOpenNeverBegins(t *testing.T) {
	t.Parallel()
	o := options()
	base := t.TempDir()
	l, whole := made(t, o)
	fill(t, l, 0, 40)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stranger := options()
	for name, tc := range map[string]struct {
		harm func(dir string)
		with Options
		kind havre.Kind
	}{
		"missing":               {func(dir string) { os.RemoveAll(dir) }, o, havre.NotFound},
		"no checkpoint":         {func(dir string) { os.Remove(filepath.Join(dir, "checkpoint")) }, o, havre.NotFound},
		"no tree state":         {func(dir string) { os.RemoveAll(filepath.Join(dir, ".state")) }, o, havre.Tampered},
		"no history":            {func(dir string) { os.Remove(filepath.Join(dir, tlog.HistoryName)) }, o, havre.Tampered},
		"an empty history":      {func(dir string) { os.Truncate(filepath.Join(dir, tlog.HistoryName), 0) }, o, havre.Tampered},
		"no tiles":              {func(dir string) { os.RemoveAll(filepath.Join(dir, "tile", "0")) }, o, havre.NotFound},
		"no entries":            {func(dir string) { os.RemoveAll(filepath.Join(dir, "tile", "entries")) }, o, havre.NotFound},
		"another key":           {func(string) {}, stranger, havre.Tampered},
		"a flipped tile":        {func(dir string) { flip(t, filepath.Join(dir, "tile/0/000.p/40"), 100) }, o, havre.Tampered},
		"a flipped checkpoint":  {func(dir string) { flip(t, filepath.Join(dir, "checkpoint"), 20) }, o, havre.Tampered},
		"a flipped tree state":  {func(dir string) { flip(t, filepath.Join(dir, ".state/treeState"), 30) }, o, havre.Tampered},
		"a flipped last bundle": {func(dir string) { flip(t, filepath.Join(dir, "tile/entries/000.p/40"), -3) }, o, havre.Tampered},
		"a checkpoint rolled back": {func(dir string) {
			kept, _ := os.ReadFile(filepath.Join(dir, tlog.HistoryName))
			all, _, _ := tlog.ParseHistory(kept, o.trust())
			os.WriteFile(filepath.Join(dir, "checkpoint"), all[0].Raw, 0o644)
		}, o, havre.Tampered},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copied(t, whole)
			tc.harm(dir)
			l, err := Open(t.Context(), dir, tc.with)
			if havre.KindOf(err) != tc.kind {
				t.Errorf("got %v (%s), want %s", err, havre.KindOf(err), tc.kind)
			}
			if err == nil {
				l.Close()
			}
		})
	}
	if err := Create(t.Context(), filepath.Join(base, "a"), o); err != nil {
		t.Fatal(err)
	}
	if err := Create(t.Context(), filepath.Join(base, "a"), o); havre.KindOf(err) != havre.Exists {
		t.Errorf("a second log at one place: %v", err)
	}
	if err := Create(t.Context(), filepath.Join(base, "b"), Options{Origin: "two words", Signer: o.Signer, Openings: NoOpenings}); havre.KindOf(err) != havre.Invalid {
		t.Errorf("an origin with a space: %v", err)
	}
}

func TestSecondProcessIsLockedOut(t *testing.T) {
	t.Parallel()
	o := options()
	l, dir := made(t, o)
	if _, err := Open(t.Context(), dir, o); havre.KindOf(err) != havre.Locked {
		t.Fatalf("a second opening gave %v", err)
	}
	if _, err := l.Record(t.Context(), event(0)); err != nil {
		t.Fatalf("the first one was harmed: %v", err)
	}
	verified(t, dir, o) // readers need no lock
}

func TestClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	o := options()
	o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	set := func(t time.Time) { mu.Lock(); defer mu.Unlock(); now = t }
	l, dir := made(t, o)
	fill(t, l, 0, 3)
	set(now.Add(-time.Hour))
	_, err := l.Record(t.Context(), event(3))
	if havre.KindOf(err) != havre.Clock || havre.HintOf(err) == "" {
		t.Fatalf("a clock set back gives %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, dir, o) // the last time is read from the log, not remembered
	if _, err := l.Record(t.Context(), event(3)); havre.KindOf(err) != havre.Clock {
		t.Fatalf("after reopening, a clock set back gives %v", err)
	}
	set(now.Add(time.Hour))
	if at, err := l.Record(t.Context(), event(3)); err != nil || at.Index != 3 {
		t.Fatalf("the same time again must do: %v", err)
	}
}

func TestTornHistoryIsMended(t *testing.T) {
	t.Parallel()
	o := options()
	l, dir := made(t, o)
	fill(t, l, 0, 5)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, tlog.HistoryName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:len(b)-10], 0o644); err != nil {
		t.Fatal(err)
	}
	l = opened(t, dir, o)
	fill(t, l, 5, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rep := verified(t, dir, o); rep.Size != 6 {
		t.Errorf("%d entries", rep.Size)
	}
}

// flip inverts a bit of a file; a negative offset counts from the end.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReadersNeedNoRest verifies and exports a log while it grows.
func TestReadersNeedNoRest(t *testing.T) {
	t.Parallel()
	o := options()
	l, dir := made(t, o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 4 {
			fill(t, l, 1000*i, 900)
		}
	}()
	for i := 0; ; i++ {
		rep := verified(t, dir, o)
		to := filepath.Join(t.TempDir(), fmt.Sprint(i))
		c, err := l.Export(t.Context(), to)
		if err != nil || c.Size < rep.Size {
			t.Fatalf("exported %d entries after %d were verified: %v", c.Size, rep.Size, err)
		}
		if out := verified(t, to, o); out.Size != c.Size {
			t.Errorf("the export of %d entries holds %d", c.Size, out.Size)
		}
		select {
		case <-done:
			if rep := verified(t, dir, o); rep.Size != 3600 {
				t.Errorf("%d entries", rep.Size)
			}
			return
		default:
		}
	}
}

// TestWriteFails: a disk that refuses gives an error and no entry, and the log
// goes on when the disk does.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	o := options()
	l, dir := made(t, o)
	fill(t, l, 0, 2)
	entries, aside := filepath.Join(dir, "tile", "entries"), filepath.Join(dir, "aside")
	if err := os.Rename(entries, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(entries, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Record(t.Context(), event(2)); havre.KindOf(err) != havre.StoreUnavailable {
		t.Fatalf("a disk that refuses gives %v", err)
	}
	if err := os.Remove(entries); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, entries); err != nil {
		t.Fatal(err)
	}
	if at, err := l.Record(t.Context(), event(2)); err != nil || at.Index != 2 {
		t.Fatalf("after it was mended: %d, %v", at.Index, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rep := verified(t, dir, o); rep.Size != 3 {
		t.Errorf("%d entries", rep.Size)
	}
}

func TestRecordStopped(t *testing.T) {
	t.Parallel()
	l, _ := made(t, options())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Record(ctx, event(0)); havre.KindOf(err) != havre.Cancelled {
		t.Errorf("got %v", err)
	}
	if at, err := l.Record(t.Context(), event(1)); err != nil || at.Index > 1 {
		t.Errorf("the next one: %d, %v", at.Index, err)
	}
}
