package cohort

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// sealedShelf is a shelf in a folder store.
type sealedShelf struct {
	store blob.Store
	key   *seal.Key
	bytes int64
}

func shelfName(bucket int) string {
	return "members/" + string(rune('a'+bucket/26)) + string(rune('a'+bucket%26))
}

func (s *sealedShelf) Get(ctx context.Context, bucket int) ([]byte, bool, error) {
	sealed, err := blob.GetAll(ctx, s.store, shelfName(bucket))
	if err != nil {
		return nil, false, nil
	}
	plain, err := seal.Open(sealed, s.key)
	return plain, err == nil, err
}

func (s *sealedShelf) Put(ctx context.Context, bucket int, data []byte) error {
	sealed, err := seal.Seal(data, s.key.Recipient())
	if err != nil {
		return err
	}
	_ = s.store.Delete(ctx, shelfName(bucket))
	return s.store.Put(ctx, shelfName(bucket), sealed)
}

// BenchmarkIncremental runs the library under a permit on the dense population:
// with nothing kept; for the first time, when all is kept; unchanged; with one
// definition changed; and after a delivery that brings one new person in a
// hundred. Ratios are to the full run.
func BenchmarkIncremental(b *testing.B) {
	_, definitions := library(b)
	late := *densePersons / 100
	w := newDenseWorld(b, definitions, *densePersons, late)
	hub := newHubWorld(b, rand.New(rand.NewPCG(1, 1)))
	hub.house = w.house
	hub.apply(definitions)
	key, err := seal.NewKey()
	ok(b, err)
	changed := append([]*Definition{}, definitions...)
	one := *changed[len(changed)/2]
	one.Primary.PriorDays += 100
	changed[len(changed)/2] = &one

	var compiled time.Duration
	run := func(v *permit.View, d []*Definition, shelf Shelf) (took, work time.Duration, t TakenOver) {
		b.Helper()
		begin, busy := time.Now(), cpu(b)
		s, err := w.house.Current(b.Context())
		ok(b, err)
		p, err := Compile(b.Context(), s, d, true)
		ok(b, err)
		compiled = time.Since(begin)
		g := errgroup.Group{}
		g.SetLimit(2)
		k := p.Keep(v, shelf, "1", s)
		for n := range v.Buckets() {
			g.Go(func() error {
				if shelf == nil {
					_, err := p.Evaluate(b.Context(), v, n)
					return err
				}
				_, err := k.Evaluate(b.Context(), n, false)
				return err
			})
		}
		ok(b, g.Wait())
		return time.Since(begin), cpu(b) - busy, k.TakenOver()
	}
	for b.Loop() {
		shelf := &sealedShelf{store: warehousetest.Store(b), key: key}
		v := hub.view()
		run(v, definitions, nil) // segments are fetched
		full, fullWork, _ := run(v, definitions, nil)
		report := func(name string, v *permit.View, d []*Definition, evaluated int, persons int64) {
			b.Helper()
			took, work, t := run(v, d, shelf)
			if t.Evaluated != evaluated || t.Again != persons {
				b.Fatalf("%s: %+v", name, t)
			}
			b.ReportMetric(took.Seconds(), name+"-s")
			b.ReportMetric(full.Seconds()/took.Seconds(), name+"-ratio")
			b.ReportMetric(fullWork.Seconds()/work.Seconds(), name+"-cpu-ratio")
		}
		b.ReportMetric(full.Seconds(), "full-s")
		b.ReportMetric(compiled.Seconds(), "of-it-compile-s")
		before := int64(*densePersons - late)
		report("first", v, definitions, len(definitions), before)
		report("unchanged", v, definitions, 0, 0)
		report("changed", v, changed, 1, before)
		if b.N > 1 {
			continue // what is delivered stays delivered
		}
		w.deliver(b, "late", *densePersons-late+1, *densePersons)
		v = hub.view()
		run(v, definitions, nil)
		full, fullWork, _ = run(v, definitions, nil)
		report("delivered", v, changed, len(definitions), int64(late))
		for info, err := range shelf.store.List(b.Context(), "") {
			ok(b, err)
			shelf.bytes += info.Size
		}
		b.ReportMetric(float64(shelf.bytes)/1e6, "kept-MB")
	}
}
