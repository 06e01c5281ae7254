package cohort

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// cpu is the processor time this process has used: on a busy machine it says
// more than the clock.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runAll answers a plan over a snapshot and gives the number of rows.
func runAll(t testing.TB, s *warehouse.Snapshot, p *Plan, attrition bool) int64 {
	t.Helper()
	var rows atomic.Int64
	err := p.EvaluateAll(context.Background(), s, attrition, func(_ int, res *Result) error {
		for i := range res.Cohorts {
			rows.Add(int64(len(res.Cohorts[i].Person)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows.Load()
}

func compileAll(t testing.TB, s *warehouse.Snapshot, d ...*Definition) *Plan {
	t.Helper()
	p, err := Compile(context.Background(), s, d, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// BenchmarkLibrary answers the whole library in one batch from a sealed
// snapshot, concept sets, attrition and all, five times from a cold cache, and runs
// the reference SQL of each definition one after another in DuckDB, all in memory.
// ratio is how many times longer the latter takes than the median batch.
func BenchmarkLibrary(b *testing.B) {
	ids, definitions := library(b)
	w := newDenseWorld(b, definitions, *densePersons, 0)
	for b.Loop() {
		var rows int64
		var compiled, batch, work []float64
		for range 5 {
			runtime.GC()
			begin, busy := time.Now(), cpu(b)
			s := w.open(b)
			p := compileAll(b, s, definitions...)
			compiled = append(compiled, time.Since(begin).Seconds())
			rows = runAll(b, s, p, true)
			batch, work = append(batch, time.Since(begin).Seconds()), append(work, (cpu(b)-busy).Seconds())
		}
		busy := cpu(b)
		reference := w.reference(b, ids).Seconds()
		referenceWork := (cpu(b) - busy).Seconds() * float64(*denseEvery)
		b.ReportMetric(float64(rows), "rows")
		b.ReportMetric(float64(w.events), "events")
		b.ReportMetric(median(compiled), "compile-s")
		b.ReportMetric(median(batch), "batch-s")
		b.ReportMetric(median(work), "batch-cpu-s")
		b.ReportMetric(reference, "reference-s")
		b.ReportMetric(referenceWork, "reference-cpu-s")
		b.ReportMetric(reference/median(batch), "ratio")
		b.ReportMetric(referenceWork/median(work), "cpu-ratio")
		b.ReportMetric(median(batch)/float64(*densePersons)*1e6, "us/person")
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// reference runs the reference SQL, and gives the time.
func (w *denseWorld) reference(b testing.TB, ids []int) time.Duration {
	b.Helper()
	texts := referenceSQL(b)
	w.prepareReference(b)
	var took time.Duration
	for i, id := range ids {
		if i%*denseEvery != 0 {
			continue
		}
		begin := time.Now()
		if _, err := w.db.Exec(context.Background(), texts[id]); err != nil {
			b.Fatalf("reference of %d: %v", id, err)
		}
		took += time.Since(begin)
	}
	return took * time.Duration(*denseEvery)
}

// BenchmarkSingle answers each definition alone: with the snapshot open and its
// segments in the cache, and from cold. The figures are medians over the
// library; ratio is over the reference SQL of the same definitions.
func BenchmarkSingle(b *testing.B) {
	ids, definitions := library(b)
	w := newDenseWorld(b, definitions, *densePersons, 0)
	texts := referenceSQL(b)
	w.prepareReference(b)
	open := w.open(b)
	for b.Loop() {
		var warm, cold, reference, warmRatio, coldRatio []float64
		for i, d := range definitions {
			if i%*denseEvery != 0 {
				continue
			}
			timed := func(f func()) float64 { t := time.Now(); f(); return time.Since(t).Seconds() }
			one := func(s *warehouse.Snapshot) { runAll(b, s, compileAll(b, s, d), true) }
			c := timed(func() { one(w.open(b)) })
			one(open)
			v := timed(func() { one(open) })
			r := timed(func() {
				if _, err := w.db.Exec(context.Background(), texts[ids[i]]); err != nil {
					b.Fatal(err)
				}
			})
			warm, cold, reference = append(warm, v), append(cold, c), append(reference, r)
			warmRatio, coldRatio = append(warmRatio, r/v), append(coldRatio, r/c)
		}
		b.ReportMetric(median(warm)*1e3, "open-ms")
		b.ReportMetric(median(cold)*1e3, "cold-ms")
		b.ReportMetric(median(reference)*1e3, "reference-ms")
		b.ReportMetric(median(warmRatio), "open-ratio")
		b.ReportMetric(median(coldRatio), "cold-ratio")
	}
}

// BenchmarkPersons shows that time is linear in persons.
func BenchmarkPersons(b *testing.B) {
	_, definitions := library(b)
	for _, share := range []int{10, 2, 1} {
		persons := *densePersons / share
		b.Run(fmt.Sprintf("persons=%d", persons), func(b *testing.B) {
			w := newDenseWorld(b, definitions, persons, 0)
			s := w.open(b)
			p := compileAll(b, s, definitions...)
			_ = w.db.Close()
			for b.Loop() {
				runAll(b, s, p, true)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(persons)*1e6, "us/person")
		})
	}
}

// BenchmarkCompile resolves the concept sets of the library and plans it, from a
// sealed snapshot.
func BenchmarkCompile(b *testing.B) {
	_, definitions := library(b)
	w := newDenseWorld(b, definitions, 50, 0)
	for b.Loop() {
		compileAll(b, w.open(b), definitions...)
	}
}

// BenchmarkEvaluate answers the library over a population in memory: the
// evaluator alone, on one processor.
func BenchmarkEvaluate(b *testing.B) {
	_, definitions := library(b)
	w := newDenseWorld(b, definitions, *densePersons, 0)
	s := w.open(b)
	p := compileAll(b, s, definitions...)
	held := &heldRows{s: s}
	if _, err := p.EvaluateAttrition(context.Background(), held, 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	busy, persons := cpu(b), 0
	for b.Loop() {
		res, err := p.EvaluateAttrition(context.Background(), held, 0)
		if err != nil {
			b.Fatal(err)
		}
		persons += len(res.People.ID)
	}
	b.ReportMetric((cpu(b)-busy).Seconds()/float64(persons)*1e6, "cpu-us/person")
}

// TestDenseEqualsReference: over a generated population, every definition gives
// the rows that its reference SQL gives in DuckDB.
func TestDenseEqualsReference(t *testing.T) {
	ids, definitions := library(t)
	w := newDenseWorld(t, definitions, 200, 0)
	s := w.open(t)
	p := compileAll(t, s, definitions...)
	got := make([][]row, len(definitions))
	for bucket := range s.Buckets() {
		res, err := p.Evaluate(context.Background(), s, bucket)
		if err != nil {
			t.Fatal(err)
		}
		for d, m := range res.Cohorts {
			for i, at := range m.Person {
				got[d] = append(got[d], row{res.People.ID[at], m.Start[i], m.End[i]})
			}
		}
	}
	texts := referenceSQL(t)
	w.prepareReference(t)
	filled := 0
	for i, id := range ids {
		if i%20 != 0 { // a part of them takes seconds
			continue
		}
		if _, err := w.db.Exec(context.Background(), texts[id]); err != nil {
			t.Fatal(err)
		}
		want := w.referenceRows(t, id)
		slices.SortFunc(got[i], compareRows)
		if !slices.Equal(got[i], want) {
			t.Errorf("definition %d: %s", id, difference(got[i], want))
		}
		if len(want) > 0 {
			filled++
		}
	}
	if filled < 15 {
		t.Errorf("only %d definitions found somebody", filled)
	}
}
