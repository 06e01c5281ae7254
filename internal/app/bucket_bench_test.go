package app_test

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/app/demo"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/realinput"
)

// BenchmarkBucket measures what one bucket costs a worker, in seconds of one
// core (so that a busy machine does not matter): making the plan, opening it,
// mapping with one definition and with the whole library, and the answer's way
// back. The rows are those of the dense CDM, 5,000 persons and 2 M rows in 64
// buckets. These are the constants of package scale.
func BenchmarkBucket(b *testing.B) {
	s := newSite(b, demo.Options{From: realinput.Path(b, "cohorts/dense-cdm"), Study: libraryStudy(b)}, nil)
	snap, err := s.hub.Warehouse.Current(b.Context())
	must(b, err)
	rows, size := int64(0), int64(0)
	for _, e := range snap.Manifest().Segments {
		if e.Bucket >= 0 {
			rows, size = rows+e.Rows, size+e.Size
		}
	}
	library := s.study
	for _, d := range []struct {
		name  string
		study *study.Definition
	}{{"one", one(library)}, {"library", library}} {
		b.Run(d.name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			s.study = d.study
			for range b.N {
				made := cpu()
				p, task := s.plan(b, "")
				made = cpu() - made
				w, err := app.OpenWorker(b.Context(), s.worker)
				must(b, err)
				serve := func(buckets []int) ([]string, time.Duration) {
					var lines, out strings.Builder
					for _, n := range buckets {
						lines.WriteString(p.Line(n) + "\n")
					}
					began := cpu()
					must(b, w.Serve(b.Context(), strings.NewReader(lines.String()), &out))
					return strings.Split(strings.TrimSpace(out.String()), "\n"), cpu() - began
				}
				first, opened := serve(task.Buckets[:1])
				peak := watchHeap()
				rest, mapped := serve(task.Buckets[1:])
				heap := peak()
				back, bytes := cpu(), 0
				for _, line := range append(first, rest...) {
					_, partial, err := p.Answer(line)
					must(b, err)
					bytes += len(partial)
				}
				back = cpu() - back
				each := mapped.Seconds() / 63
				b.ReportMetric(made.Seconds()*1e3/float64(len(snap.Manifest().Segments)), "ms/segment-planned")
				b.ReportMetric((opened.Seconds()-each)*1e3, "ms/plan-opened")
				b.ReportMetric(each*1e3, "ms/bucket")
				b.ReportMetric(each*64/float64(rows)*1e9, "ns/row")
				b.ReportMetric(back.Seconds()*1e3/64, "ms/answer")
				b.ReportMetric(float64(bytes)/64, "B/partial")
				b.ReportMetric(float64(heap)/(float64(rows)/64), "heap-B/row")
				b.ReportMetric(float64(size)/float64(rows), "sealed-B/row")
			}
		})
	}
}

// one is the study's first cohort that reads conditions, counted.
func one(d *study.Definition) *study.Definition {
	c := d.Cohorts[0]
	return &study.Definition{Name: "one", Cohorts: []study.Cohort{c}, Analyses: []study.Spec{{Name: "n", Kind: study.KindCounts, Cohort: c.Name, By: []string{study.BySex}}}}
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchHeap watches how much the heap grows until the function it gives is called.
func watchHeap() func() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var over atomic.Bool
	result := make(chan uint64)
	go func() {
		most := before
		for !over.Load() {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			time.Sleep(5 * time.Millisecond)
		}
		result <- most - before
	}()
	return func() uint64 { over.Store(true); return <-result }
}
