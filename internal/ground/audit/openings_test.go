package audit

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/havre"
)

// shelf is an Openings in memory.
type shelf struct {
	mu sync.Mutex
	m  map[string]tlog.Opening
}

func (s *shelf) Put(_ context.Context, openings []tlog.Opening) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range openings {
		s.m[o.Commitment] = o
	}
	return nil
}

func (s *shelf) Get(_ context.Context, c string) (tlog.Opening, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.m[c]
	if !ok {
		return o, havre.E("opening", havre.NotFound, "no opening")
	}
	return o, nil
}

func (s *shelf) Erase(_ context.Context, commitments ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range commitments {
		delete(s.m, c)
	}
	return nil
}

// failing is an Openings that cannot keep anything.
type failing struct{ *shelf }

func (failing) Put(context.Context, []tlog.Opening) error {
	return havre.E("opening", havre.NoSpace, "the control database is full")
}

func TestErasingAnOpeningKeepsTheProof(t *testing.T) {
	t.Parallel()
	o := options()
	s := &shelf{m: map[string]tlog.Opening{}}
	o.Openings = s
	l, dir := made(t, o)
	const actor, reason = "marker-actor@havre.example", "marker-reason"
	at, err := l.Record(t.Context(), Event{
		Action: "permit.decided", Subject: "p-0001",
		Actor:   havre.NewPersonal(actor),
		Private: map[string]havre.Personal[string]{"reason": havre.NewPersonal(reason)},
	})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := l.Entry(at.Index)
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range map[string]string{rec.Actor: actor, rec.Commitments["reason"]: reason} {
		got, err := s.Get(t.Context(), c)
		if err != nil || !got.Opens() || got.Value.Reveal() != want {
			t.Errorf("the commitment does not open to what was logged: %v", err)
		}
		got.Value = havre.NewPersonal(want + "x")
		if got.Opens() {
			t.Error("the commitment opens to another value")
		}
	}
	before := verified(t, dir, o)
	if err := s.Erase(t.Context(), rec.Actor, rec.Commitments["reason"]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), rec.Actor); havre.KindOf(err) != havre.NotFound {
		t.Errorf("the erased opening is still there: %v", err)
	}
	if after := verified(t, dir, o); after.Root != before.Root || !after.OK() {
		t.Error("erasing changed the log")
	}
	if again, err := l.Entry(at.Index); err != nil || again.Actor != rec.Actor {
		t.Errorf("the entry is no longer proven: %v", err)
	}
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(os.DirFS(dir), path)
		if bytes.Contains(b, []byte("marker-")) {
			t.Errorf("%s holds a personal value", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoOpeningNoEntry(t *testing.T) {
	t.Parallel()
	o := options()
	o.Openings = failing{}
	l, _ := made(t, o)
	if _, err := l.Record(t.Context(), event(0)); havre.KindOf(err) != havre.NoSpace {
		t.Fatalf("got %v", err)
	}
	if c, err := l.Checkpoint(); err != nil || c.Size != 0 {
		t.Errorf("an entry was logged though its openings were lost: %d, %v", c.Size, err)
	}
}

func TestSaltsDiffer(t *testing.T) {
	t.Parallel()
	v := havre.NewPersonal("same")
	first, second := tlog.Commit(v), tlog.Commit(v)
	if first.Commitment == second.Commitment {
		t.Error("two commitments to one value are equal: it can be guessed")
	}
}
