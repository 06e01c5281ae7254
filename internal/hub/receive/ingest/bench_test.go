package ingest_test

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// BenchmarkIngestMemory runs a large delivery and reports the highest
// resident set of the process. HAVRE_BENCH_ROWS sets the rows (10 million).
func BenchmarkIngestMemory(b *testing.B) {
	rows := 10_000_000
	if s := os.Getenv("HAVRE_BENCH_ROWS"); s != "" {
		rows, _ = strconv.Atoi(s)
	}
	d := warehousetest.Synthetic(1, rows, rows/100)
	ctx := context.Background()
	for b.Loop() {
		w := warehousetest.New(b, 64)
		batch, err := w.Begin(ctx, warehousetest.Actor)
		if err != nil {
			b.Fatal(err)
		}
		d.Manifest.Delivery = havre.NewDeliveryID()
		start := time.Now()
		if _, err := ingest.Run(ctx, d.Input(batch, 1)); err != nil {
			b.Fatal(err)
		}
		s, err := batch.Commit(ctx)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(rows)/time.Since(start).Seconds(), "rows/s")
		b.ReportMetric(float64(len(s.Manifest().Segments)), "segments")
	}
	b.ReportMetric(peakMiB(b), "peak_MiB")
}

func peakMiB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	kib, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) / 1024
}
