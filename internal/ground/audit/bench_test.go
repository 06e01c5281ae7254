package audit

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkLogAppend measures durable entries a second with many callers at
// once: an entry counts when Record has returned.
func BenchmarkLogAppend(b *testing.B) {
	l, _ := made(b, options())
	const callers = 8192
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := l.Record(context.Background(), event(int(i))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkLogLatency measures how long a lone caller waits for one entry to
// stand under a published checkpoint.
func BenchmarkLogLatency(b *testing.B) {
	l, _ := made(b, options())
	var worst time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		if _, err := l.Record(b.Context(), event(i)); err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(began))
	}
	b.ReportMetric(float64(worst.Milliseconds()), "ms-worst")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/entry")
}
