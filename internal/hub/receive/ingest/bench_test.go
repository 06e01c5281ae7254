package ingest_test

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// BenchmarkIngest compares the way from delivered CSV to a sealed, committed
// snapshot with DuckDB's own COPY of the same CSV into plain zstd Parquet, with
// the column types told to it. x_duckdb is the ratio of speeds by the clock, x_duckdb_cpu by
// processor time; the goal is 0.4.
func BenchmarkIngest(b *testing.B) {
	const rows, persons = 3_000_000, 60_000
	d := warehousetest.Synthetic(1, rows, persons).Keep()
	ctx := context.Background()
	var theirs, ours, theirsCPU, oursCPU time.Duration
	for b.Loop() {
		wall, used := duckCopies(b, ctx, d)
		theirs, theirsCPU = theirs+wall, theirsCPU+used
		runtime.GC()
		d.Manifest.Delivery = havre.NewDeliveryID()
		w := warehousetest.New(b, 64)
		start, before := time.Now(), cpu(b)
		_, s := warehousetest.Take(b, w, d, 1)
		ours, oursCPU = ours+time.Since(start), oursCPU+cpu(b)-before
		if s.Rows()["measurement"] != rows/100*60 {
			b.Fatal(s.Rows())
		}
	}
	n := float64(rows * b.N)
	b.ReportMetric(n/ours.Seconds(), "rows/s")
	b.ReportMetric(n/theirs.Seconds(), "duckdb_rows/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x_duckdb")
	b.ReportMetric(theirsCPU.Seconds()/oursCPU.Seconds(), "x_duckdb_cpu")
}

// cpu is the processor time this process has used: on a busy machine it says
// more than the clock.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func duckCopies(b *testing.B, ctx context.Context, d *warehousetest.Delivery) (took, used time.Duration) {
	db, err := duck.Open(duck.Options{Memory: 2 << 30, Threads: runtime.GOMAXPROCS(0), Files: len(d.Manifest.Parts) + 1})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	sqlType := map[omop.Type]string{omop.Integer: "BIGINT", omop.Float: "DOUBLE", omop.Date: "DATE", omop.Datetime: "TIMESTAMP", omop.Text: "VARCHAR"}
	for _, g := range warehousetest.Tables {
		var paths, columns []string
		var files []*duck.File
		for _, p := range d.Manifest.Parts {
			if p.Table != g.Name {
				continue
			}
			text, err := d.Open(ctx, p)
			if err != nil {
				b.Fatal(err)
			}
			f, err := db.Load(text)
			if err != nil {
				b.Fatal(err)
			}
			files, paths = append(files, f), append(paths, duck.Quote(f.Path()))
		}
		t, _ := omop.Lookup(g.Name)
		for _, c := range strings.Split(g.Columns, ",") {
			kind := "VARCHAR"
			if f, ok := t.Field(c); ok {
				kind = sqlType[f.Type]
			}
			columns = append(columns, "'"+c+"': '"+kind+"'")
		}
		start, before := time.Now(), cpu(b)
		_, err := db.CopyOut(ctx, "SELECT * FROM read_csv(["+strings.Join(paths, ",")+"], header=true, delim=',', columns={"+strings.Join(columns, ",")+"})", "FORMAT parquet, COMPRESSION zstd")
		took, used = took+time.Since(start), used+cpu(b)-before
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range files {
			f.Release()
		}
	}
	return took, used
}

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
