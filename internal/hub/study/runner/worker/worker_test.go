package worker

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, what string, err error, kind havre.Kind) {
	t.Helper()
	if havre.KindOf(err) != kind {
		t.Errorf("%s: kind %q of %v, want %q", what, havre.KindOf(err), err, kind)
	}
}

var plan = strings.Repeat("ab", 32)

// tenancy is a hub and a worker with a store between them and a clock each.
type tenancy struct {
	store         blob.Store
	hub           *sign.Signer
	key           *seal.Key
	hubNow, ofNow time.Time
	lessor        *lessor
}

func newTenancy(t *testing.T) *tenancy {
	t.Helper()
	store, err := file.Create(filepath.Join(t.TempDir(), "store"))
	must(t, err)
	key, err := seal.NewKey()
	must(t, err)
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	y := &tenancy{store: store, hub: sign.NewSigner(), key: key, hubNow: noon, ofNow: noon}
	y.lessor = &lessor{store: store, signer: y.hub, to: []seal.Recipient{key.Recipient()}, plan: plan, now: func() time.Time { return y.hubNow }}
	return y
}

// tenant is a worker process.
func (y *tenancy) tenant() *tenant {
	return &tenant{store: y.store, key: y.key, hub: y.hub.Public(), plan: plan, now: func() time.Time { return y.ofNow }}
}

// TestLease: a worker reads while the hub says so, and no longer.
func TestLease(t *testing.T) {
	y := newTenancy(t)
	ctx := t.Context()
	must(t, y.lessor.renew(ctx, true))
	w := y.tenant()
	must(t, w.live(ctx))
	y.ofNow = y.ofNow.Add(leaseFresh + time.Second) // it looks again
	must(t, y.lessor.renew(ctx, true))
	must(t, w.live(ctx))
	for range 5 {
		must(t, y.lessor.renew(ctx, true))
	}
	left := 0
	for _, err := range y.store.List(ctx, leasePrefix) {
		must(t, err)
		left++
	}
	if left != 2 {
		t.Errorf("%d leases are left in the store, want the last two", left)
	}
	must(t, y.lessor.renew(ctx, false))
	must(t, y.lessor.renew(ctx, true)) // after the end there is none
	y.ofNow = y.ofNow.Add(leaseFresh + time.Second)
	began := time.Now()
	wantKind(t, "after the end", w.live(ctx), havre.PermitDenied)
	wantKind(t, "a new process after the end", y.tenant().live(ctx), havre.PermitDenied)
	if time.Since(began) > time.Second {
		t.Error("an end on record is waited for")
	}
}

// TestLeaseRefuses: nothing but the hub's newest word for this plan counts.
func TestLeaseRefuses(t *testing.T) {
	ctx := t.Context()
	t.Run("clock behind", func(t *testing.T) {
		y := newTenancy(t)
		y.ofNow = y.ofNow.Add(-time.Minute)
		must(t, y.lessor.renew(ctx, true))
		wantKind(t, "clock behind", y.tenant().live(ctx), havre.Clock)
	})
	t.Run("run out", func(t *testing.T) {
		y := newTenancy(t)
		must(t, y.lessor.renew(ctx, true))
		w := y.tenant()
		must(t, w.live(ctx))
		y.ofNow = y.ofNow.Add(leaseLife + time.Second)
		w.now = func() time.Time { y.ofNow = y.ofNow.Add(20 * time.Second); return y.ofNow }
		wantKind(t, "run out", w.live(ctx), havre.PermitDenied)
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		y.ofNow = time.Date(2026, 5, 4, 12, 1, 0, 0, time.UTC)
		if err := y.tenant().live(stopped); !errors.Is(err, context.Canceled) {
			t.Errorf("a worker that is stopped: %v", err)
		}
	})
	t.Run("another signer", func(t *testing.T) {
		y := newTenancy(t)
		y.lessor.signer = sign.NewSigner()
		must(t, y.lessor.renew(ctx, true))
		wantKind(t, "another signer", y.tenant().live(ctx), havre.Tampered)
	})
	t.Run("an older lease under a new name", func(t *testing.T) {
		y := newTenancy(t)
		must(t, y.lessor.renew(ctx, true))
		old, err := blob.GetAll(ctx, y.store, leaseName(plan, 1))
		must(t, err)
		must(t, y.lessor.renew(ctx, false))
		must(t, y.store.Put(ctx, leaseName(plan, 3), old))
		wantKind(t, "renamed", y.tenant().live(ctx), havre.Tampered)
	})
	t.Run("an older lease than before", func(t *testing.T) {
		y := newTenancy(t)
		must(t, y.lessor.renew(ctx, true))
		must(t, y.lessor.renew(ctx, true))
		w := y.tenant()
		must(t, w.live(ctx))
		must(t, y.store.Delete(ctx, leaseName(plan, 2)))
		y.ofNow = y.ofNow.Add(leaseFresh + time.Second)
		wantKind(t, "rolled back", w.live(ctx), havre.Tampered)
	})
}

// TestWords: a worker's vocabulary answers as the hub's did and knows no more.
func TestWords(t *testing.T) {
	r := newRecorder(smallVocabulary{})
	ctx := t.Context()
	down, err := r.Descendants(ctx, []int64{1, 2})
	must(t, err)
	_, err = r.Concepts(ctx, []int64{3})
	must(t, err)
	w := replay{r.words}
	again, err := w.Descendants(ctx, []int64{1, 2})
	if err != nil || len(again) != len(down) || again[0] != down[0] {
		t.Errorf("%v, %v", again, err)
	}
	c, err := w.Concepts(ctx, []int64{3})
	if err != nil || len(c) != 1 || c[0].Name != "three" {
		t.Errorf("%v, %v", c, err)
	}
	for what, err := range map[string]error{
		"other ids":      second(w.Descendants(ctx, []int64{1})),
		"another method": second(w.Mapped(ctx, []int64{1, 2})),
	} {
		wantKind(t, what, err, havre.Internal)
	}
}

func second[T any](_ T, err error) error { return err }

type smallVocabulary struct{}

func (smallVocabulary) Descendants(context.Context, []int64) ([]int64, error) {
	return []int64{7, 8}, nil
}
func (smallVocabulary) Mapped(context.Context, []int64) ([]int64, error) { return nil, nil }
func (smallVocabulary) Concepts(context.Context, []int64) ([]omop.Concept, error) {
	return []omop.Concept{{ID: 3, Name: "three"}}, nil
}

// FuzzTask: what is read has one spelling.
func FuzzTask(f *testing.F) {
	f.Add(Task{plan, 7, 0}.String())
	f.Add("havre1 " + plan + " 07 0")
	f.Add("havre1 " + plan + " 7")
	f.Fuzz(func(t *testing.T, line string) {
		task, err := ParseTask(line)
		if err != nil {
			wantKind(t, "a line that is not read", err, havre.Invalid)
			return
		}
		if task.String() != line {
			t.Errorf("%q is read as %q", line, task)
		}
	})
}

// FuzzPartial: a line that was not made by the worker is never taken, and every
// other error of a worker is read without harm.
func FuzzPartial(f *testing.F) {
	key, err := seal.NewKey()
	must(f, err)
	s := sign.NewSigner()
	good, err := partialLine(partialHead{Bucket: 3, Plan: plan}, []byte(`{"n":1}`), s, key.Recipient())
	must(f, err)
	h, body, by, err := openPartial(good, key, s.Public())
	if err != nil || h.Bucket != 3 || !bytes.Equal(body, []byte(`{"n":1}`)) || by.String() != s.Public().String() {
		f.Fatalf("%+v %s %v", h, body, err)
	}
	_, _, _, err = openPartial(good, key, sign.NewSigner().Public())
	wantKind(f, "another worker", err, havre.Tampered)
	f.Add(good)
	f.Add(partialMark + base64.StdEncoding.EncodeToString([]byte("age-encryption.org/v1\n")))
	f.Add(ErrorLine(havre.E("x", havre.PermitDenied, "ended")))
	f.Add(`error {"kind":"nothing that is known"}`)
	f.Fuzz(func(t *testing.T, line string) {
		if _, _, _, err := openPartial(line, key, s.Public()); err == nil && line != good {
			t.Errorf("%.80q is taken", line)
		} else if err != nil {
			wantKind(t, "a line that is not taken", err, havre.Tampered)
		}
		if err, ok := ParseError(line); ok && havre.KindOf(err).ExitCode() == 1 && havre.KindOf(err) != havre.Internal {
			t.Errorf("%.80q is an error of no kind", line)
		}
	})
}
