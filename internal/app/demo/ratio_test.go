package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// BenchmarkIngest compares a hub's whole ingest of a delivery (open the sealed
// parts, judge every row, sort into buckets, seal, commit, log, destroy the
// transport ids; a folder store with all its fsyncs) with DuckDB's own COPY of
// the CSV that the holder delivered it from, into one plain zstd Parquet file a
// table, all in memory, with the column types told to it.
//
// Both run five times by turns on the same corpus: the payer of 50,000
// synthetic residents, 3.7 M rows. x_duckdb is the ratio of the median speeds,
// x_duckdb_cpu that of processor times; the goal is 0.4.
func BenchmarkIngest(b *testing.B) {
	const residents, rounds = 50_000, 5
	ctx := b.Context()
	try := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	j := beforeDelivery(b, residents)
	cdm := j.at("holders", payer, "omop")
	var ours, theirs, oursCPU, theirsCPU []float64 // seconds
	var rows int64
	for b.Loop() {
		for range rounds {
			id := deliverToHub(b, j, payer, cdm)
			hub, err := app.OpenHub(ctx, j.at("hub"))
			try(err)
			runtime.GC()
			wall, used := time.Now(), processor(b)
			report, err := hub.Ingest(ctx, id, envelope.Folder(filepath.Join(j.linkage(), string(id))), havre.NoProgress)
			try(err)
			ours, oursCPU = append(ours, time.Since(wall).Seconds()), append(oursCPU, processor(b)-used)
			try(hub.Close())
			rows = report.RowsIn()
			if rows < 3_000_000 || report.Stored() < rows*99/100 {
				b.Fatalf("%d rows in, %d stored", rows, report.Stored())
			}
			w, c := copyByDuckDB(b, cdm, rows)
			theirs, theirsCPU = append(theirs, w), append(theirsCPU, c)
		}
	}
	b.ReportMetric(float64(rows)/median(ours), "rows/s")
	b.ReportMetric(float64(rows)/median(theirs), "duckdb_rows/s")
	b.ReportMetric(median(theirs)/median(ours), "x_duckdb")
	b.ReportMetric(median(theirsCPU)/median(oursCPU), "x_duckdb_cpu")
}

const payer = "assurance"

// beforeDelivery makes a population and the zones.
func beforeDelivery(b *testing.B, residents int) *journey {
	b.Helper()
	j := &journey{Options: Options{Out: b.TempDir(), Residents: residents, Seed: 1, Progress: havre.NoProgress}, s: &Summary{Seconds: map[string]float64{}}}
	for _, step := range []func(context.Context) error{j.population, j.zones} {
		if err := step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	return j
}

// BenchmarkQuery runs one aggregate query on an opened snapshot, as ingest left
// it (64 buckets, several segments each), and on plain zstd Parquet files of
// the same rows in the order of their keys, as DuckDB writes them by default: one file
// a table. Both are in memory files. The payer of 100,000 synthetic residents,
// 6 M rows of drug_exposure and visit_occurrence. x_plain is the ratio of the
// median times of 21 turns, x_plain_cpu that of processor times; the goal is 1.15.
func BenchmarkQuery(b *testing.B) {
	const residents, rounds = 100_000, 21
	ctx := b.Context()
	try := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	j := beforeDelivery(b, residents)
	id := deliverToHub(b, j, payer, j.at("holders", payer, "omop"))
	hub, err := app.OpenHub(ctx, j.at("hub"))
	try(err)
	defer hub.Close()
	_, err = hub.Ingest(ctx, id, envelope.Folder(filepath.Join(j.linkage(), string(id))), havre.NoProgress)
	try(err)
	s, err := hub.Warehouse.Current(ctx)
	try(err)
	threads := runtime.GOMAXPROCS(0)
	tables := []string{"drug_exposure", "visit_occurrence"}
	plain, err := duck.Open(duck.Options{Memory: 1 << 30, Threads: threads, Files: len(tables)})
	try(err)
	defer plain.Close()
	writer, err := s.OpenSQL(ctx, tables, nil, duck.Options{Memory: 4 << 30, Threads: threads, Files: 1})
	try(err)
	for _, t := range tables {
		data, err := writer.CopyOut(ctx, "SELECT * FROM "+t+" ORDER BY "+t+"_id", "FORMAT parquet, COMPRESSION zstd")
		try(err)
		f, err := plain.Load(data)
		try(err)
		_, err = plain.Exec(ctx, "CREATE VIEW "+t+" AS SELECT * FROM read_parquet("+duck.Quote(f.Path())+")")
		try(err)
	}
	try(writer.Close())
	opened, err := s.OpenSQL(ctx, tables, nil, duck.Options{Memory: 1 << 30, Threads: threads})
	try(err)
	defer opened.Close()
	const query = `SELECT count(*), count(DISTINCT person_id), avg(quantity), sum(days_supply) FROM drug_exposure
		WHERE drug_exposure_start_date >= DATE '2016-01-01' AND person_id IN (SELECT person_id FROM visit_occurrence WHERE visit_start_date < DATE '2015-06-01')`
	ask := func(db *duck.Session) (wall, used float64, answer string) {
		var n, persons, days int64
		var mean float64
		start, before := time.Now(), processor(b)
		try(db.Query(ctx, func(scan func(...any) error) error { return scan(&n, &persons, &mean, &days) }, query))
		return time.Since(start).Seconds(), processor(b) - before, fmt.Sprintf("%d %d %.6f %d", n, persons, mean, days)
	}
	var ours, theirs, oursCPU, theirsCPU []float64
	for b.Loop() {
		for range rounds {
			w, c, x := ask(opened)
			ours, oursCPU = append(ours, w), append(oursCPU, c)
			w, c, y := ask(plain)
			theirs, theirsCPU = append(theirs, w), append(theirsCPU, c)
			if x != y {
				b.Fatalf("answers differ: %s and %s", x, y)
			}
		}
	}
	b.ReportMetric(median(ours)*1000, "snapshot_ms")
	b.ReportMetric(median(theirs)*1000, "plain_ms")
	b.ReportMetric(median(ours)/median(theirs), "x_plain")
	b.ReportMetric(median(oursCPU)/median(theirsCPU), "x_plain_cpu")
}

// deliverToHub makes a new delivery of the holder's files and takes it as far
// as the hub's door: received, and linked by the keeper.
func deliverToHub(b *testing.B, j *journey, holder, cdm string) havre.DeliveryID {
	b.Helper()
	ctx := b.Context()
	sent, err := app.Deliver(ctx, app.Delivery{Home: j.home(holder), CDM: cdm, Identity: j.at("holders", holder, "identity.csv"),
		ToHub: j.toHub(), ToKeeper: j.toKeeper(), Progress: havre.NoProgress})
	if err != nil {
		b.Fatal(err)
	}
	id := sent.Manifest.Delivery
	k, err := app.OpenKeeper(ctx, j.at("keeper"))
	if err != nil {
		b.Fatal(err)
	}
	_, err = k.LinkDelivery(ctx, envelope.Folder(filepath.Join(j.toKeeper(), string(id))), j.linkage(), havre.NoProgress)
	if cerr := k.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		b.Fatal(err)
	}
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		b.Fatal(err)
	}
	_, err = hub.Desk.Receive(ctx, envelope.Folder(filepath.Join(j.toHub(), string(id))), havre.HolderID(holder), havre.NoProgress)
	if cerr := hub.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		b.Fatal(err)
	}
	return id
}

// copyByDuckDB gives the seconds by the clock and of processor time that
// DuckDB takes for the CSV files of a CDM, which are in memory before.
func copyByDuckDB(b *testing.B, cdm string, rows int64) (wall, used float64) {
	b.Helper()
	db, err := duck.Open(duck.Options{Memory: 2 << 30, Threads: runtime.GOMAXPROCS(0), Files: 2})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	files, err := filepath.Glob(filepath.Join(cdm, "*.csv"))
	if err != nil || len(files) == 0 {
		b.Fatal("no CSV files", err)
	}
	var copied int64
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		f, err := db.Load(text)
		if err != nil {
			b.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text[:min(len(text), 1<<16)]), "\n")
		table, _ := omop.Lookup(strings.ToLower(strings.TrimSuffix(filepath.Base(path), ".csv")))
		text = nil
		var columns []string
		for _, c := range strings.Split(strings.TrimSpace(head), ",") {
			kind := "VARCHAR"
			if field, ok := table.Field(strings.ToLower(c)); ok {
				kind = map[omop.Type]string{omop.Integer: "BIGINT", omop.Float: "DOUBLE", omop.Date: "DATE", omop.Datetime: "TIMESTAMP", omop.Text: "VARCHAR"}[field.Type]
			}
			columns = append(columns, duck.Quote(c)+": '"+kind+"'")
		}
		from := "read_csv(" + duck.Quote(f.Path()) + `, header=true, delim=',', quote='"', escape='"', columns={` + strings.Join(columns, ", ") + "})"
		runtime.GC()
		start, before := time.Now(), processor(b)
		if _, err := db.CopyOut(context.Background(), "SELECT * FROM "+from, "FORMAT parquet, COMPRESSION zstd"); err != nil {
			b.Fatalf("%s: %v", path, err)
		}
		wall, used = wall+time.Since(start).Seconds(), used+processor(b)-before
		var n int64
		if err := db.Query(context.Background(), func(row func(...any) error) error { return row(&n) }, "SELECT count(*) FROM "+from); err != nil {
			b.Fatal(err)
		}
		copied += n
		f.Release()
	}
	if copied != rows {
		b.Fatalf("DuckDB copied %d rows and %d were delivered", copied, rows)
	}
	return wall, used
}

// processor is the seconds of processor time that this process has used: on a
// busy machine they say more than the clock.
func processor(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/2]
}
