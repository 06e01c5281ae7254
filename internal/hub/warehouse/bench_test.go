package warehouse_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// meter counts what is read from a store, and adds a wait for each answer as
// a store beyond a network has.
type meter struct {
	blob.Store
	wait        time.Duration
	gets, bytes atomic.Int64
}

func (m *meter) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	time.Sleep(m.wait)
	b, err := m.Store.Get(ctx, name, off, n)
	m.gets.Add(1)
	m.bytes.Add(int64(len(b)))
	return b, err
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

// conditionsAs makes a warehouse of generated conditions, one segment a
// bucket, with the given order and COPY options.
func conditionsAs(b *testing.B, c warehouse.Config, rows, buckets int, order, options string) {
	b.Helper()
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	w := warehousetest.Create(b, c, buckets)
	db, err := duck.Open(duck.Options{Memory: 2 << 30, Threads: runtime.GOMAXPROCS(0), Files: 1})
	check(err)
	defer db.Close()
	// Every person has some 30 rows; concepts are skewed, and follow no order.
	_, err = db.Exec(ctx, fmt.Sprintf(`CREATE TABLE t AS SELECT i AS id, hash(i // 30) >> 1 AS person, (i // 30) %% %d AS bucket,
		CAST(4000000 + floor(3000 * pow(hash(i, 1) / 18446744073709551616.0, 2)) AS BIGINT) AS concept,
		DATE '2014-01-01' + CAST(hash(i, 2) %% 3650 AS INTEGER) AS day FROM range(%d) r(i)`, buckets, rows))
	check(err)
	batch, err := w.Begin(ctx, warehousetest.Actor)
	check(err)
	table, _ := omop.Lookup("condition_occurrence")
	have := map[string]string{"condition_occurrence_id": "id", "person_id": "person::BIGINT", "condition_concept_id": "concept", "condition_start_date": "day",
		"condition_start_datetime": "day::TIMESTAMP", "condition_end_date": "day + 3", "condition_type_concept_id": "32817::BIGINT", "provider_id": "(hash(id, 3) % 3000)::BIGINT",
		"visit_occurrence_id": "id // 3", "condition_source_value": "'K' || (concept % 100) || '.' || concept % 10", "condition_source_concept_id": "concept + 41000000"}
	sqlType := map[omop.Type]string{omop.Integer: "BIGINT", omop.Date: "DATE", omop.Datetime: "TIMESTAMP", omop.Text: "VARCHAR"}
	columns := []string{"1::BIGINT AS holder_id"}
	for _, f := range table.Fields {
		expr := have[f.Name]
		if expr == "" {
			expr = "NULL::" + sqlType[f.Type]
		}
		columns = append(columns, expr+" AS "+f.Name)
	}
	for n := range buckets {
		data, err := db.CopyOut(ctx, fmt.Sprintf("SELECT %s FROM t WHERE bucket = %d ORDER BY %s", strings.Join(columns, ", "), n, order), "FORMAT parquet, "+options)
		check(err)
		var of int64
		check(db.Query(ctx, func(scan func(...any) error) error { return scan(&of) }, fmt.Sprintf("SELECT count(*) FROM t WHERE bucket = %d", n)))
		check(batch.Add(ctx, ingest.Segment{Table: table.Name, Bucket: n, Delivery: "bench", HolderID: 1, Rows: of, Parquet: data}))
	}
	check(batch.Account(ingest.Account{Delivery: "bench", Tables: []ingest.TableAccount{{Table: table.Name, RowsIn: int64(rows), Stored: int64(rows)}}}))
	_, err = batch.Commit(ctx)
	check(err)
}

// readGrouped reads three columns of every bucket with a cold cache, and puts the
// rows of each bucket in the order of persons and dates, as an evaluator needs.
func readGrouped(b *testing.B, c warehouse.Config, concepts []int64) (rows int) {
	ctx := context.Background()
	w, err := warehouse.Open(ctx, c)
	if err != nil {
		b.Fatal(err)
	}
	s, err := w.Current(ctx)
	if err != nil {
		b.Fatal(err)
	}
	type event struct {
		person  int64
		day     int32
		concept int64
	}
	var events []event
	byPerson := func(x, y event) int {
		if x.person != y.person {
			if x.person < y.person {
				return -1
			}
			return 1
		}
		return int(x.day - y.day)
	}
	for n := range s.Buckets() {
		batches, err := s.Read(ctx, n, warehouse.Want{Table: "condition_occurrence", Columns: []string{"person_id", "condition_concept_id", "condition_start_date"}, Concepts: concepts})
		if err != nil {
			b.Fatal(err)
		}
		events = events[:0]
		for _, batch := range batches {
			person, concept, day := batch.Column(0).(*array.Int64), batch.Column(1).(*array.Int64), batch.Column(2).(*array.Date32)
			for i := range int(batch.NumRows()) {
				events = append(events, event{person.Value(i), int32(day.Value(i)), concept.Value(i)})
			}
			batch.Release()
		}
		if !slices.IsSortedFunc(events, byPerson) {
			slices.SortFunc(events, byPerson)
		}
		rows += len(events)
	}
	return rows
}

// BenchmarkSegmentOrder measures physical order, row-group size and encodings
// on the two uses that matter: one definition that names 5 concepts, and a library
// that names 2,000 of 3,000. It is the evidence of
// docs/adr/0001-order-inside-a-segment.md.
func BenchmarkSegmentOrder(b *testing.B) {
	const rows = 2_000_000
	few := []int64{4000100, 4000700, 4001500, 4002200, 4002900}
	var library []int64
	for i := range int64(2000) {
		library = append(library, 4000000+i*3/2)
	}
	orders := map[string]string{"concept": "concept, person, day", "person": "person, day, concept"}
	type variant struct {
		order, name, options string
		buckets              int
	}
	var variants []variant
	for _, buckets := range []int{32, 4} {
		for _, order := range []string{"concept", "person"} {
			for _, n := range []int{8, 16, 32, 120} {
				variants = append(variants, variant{order, fmt.Sprintf("rows=%dk/%s/group=%dk", rows/buckets/1000, order, n),
					fmt.Sprintf("COMPRESSION zstd, ROW_GROUP_SIZE %d", n<<10), buckets})
			}
		}
	}
	for _, o := range [][2]string{{"snappy", "COMPRESSION snappy"}, {"zstd9", "COMPRESSION zstd, COMPRESSION_LEVEL 9"}, {"v2", "COMPRESSION zstd, PARQUET_VERSION V2"}} {
		variants = append(variants, variant{"concept", "rows=500k/concept/group=32k/" + o[0], o[1] + ", ROW_GROUP_SIZE 32768", 4})
	}
	for _, v := range variants {
		c := warehousetest.Config(b, warehousetest.Store(b))
		m := &meter{Store: c.Store}
		c.Store = m
		conditionsAs(b, c, rows, v.buckets, orders[v.order], v.options)
		size := int64(0)
		for info, err := range c.Store.List(context.Background(), "segment/") {
			if err != nil {
				b.Fatal(err)
			}
			size += info.Size
		}
		for _, use := range []struct {
			name     string
			concepts []int64
		}{{"definition", few}, {"library", library}, {"all", nil}} {
			b.Run(v.name+"/"+use.name, func(b *testing.B) {
				m.bytes.Store(0)
				n, before := 0, cpu(b)
				for b.Loop() {
					n += readGrouped(b, c, use.concepts)
				}
				b.ReportMetric((cpu(b)-before).Seconds()*1000/float64(b.N), "cpu_ms")
				b.ReportMetric(float64(m.bytes.Load())/float64(b.N)/(1<<20), "MiB_fetched")
				b.ReportMetric(float64(size)/(1<<20), "MiB_stored")
				b.ReportMetric(float64(n)/float64(b.N), "rows")
			})
		}
	}
}

// BenchmarkFetch measures what it costs to read few columns of small and large
// segments from a store that takes 20 ms to answer; it set blockSize and wholeSize.
func BenchmarkFetch(b *testing.B) {
	for _, rows := range []int{50_000, 400_000, 1_000_000} {
		c := warehousetest.Config(b, warehousetest.Store(b))
		m := &meter{Store: c.Store}
		c.Store = m
		conditionsAs(b, c, rows, 1, "concept, person, day", fmt.Sprintf("COMPRESSION zstd, ROW_GROUP_SIZE %d", ingest.RowGroupRows))
		m.wait = 20 * time.Millisecond
		for name, concepts := range map[string][]int64{"definition": {4000100, 4000700, 4001500}, "all": nil} {
			b.Run(fmt.Sprintf("rows=%d/%s", rows, name), func(b *testing.B) {
				m.bytes.Store(0)
				m.gets.Store(0)
				for b.Loop() {
					readGrouped(b, c, concepts)
				}
				b.ReportMetric(float64(m.gets.Load())/float64(b.N)-2, "gets") // two are the manifest's
				b.ReportMetric(float64(m.bytes.Load())/float64(b.N)/(1<<20), "MiB_fetched")
			})
		}
	}
}

// BenchmarkQuery runs one aggregate query on an opened snapshot and on plain
// Parquet files of the same rows, as DuckDB itself writes them: one file a
// table. x_plain is the ratio of median times, x_plain_cpu that of processor
// times; the goal is 1.15.
func BenchmarkQuery(b *testing.B) {
	ctx := context.Background()
	d := warehousetest.Synthetic(1, 9_000_000, 90_000)
	_, s := warehousetest.Take(b, warehousetest.New(b, 64), d, 1)
	threads := runtime.GOMAXPROCS(0)
	tables := []string{"measurement", "condition_occurrence"}
	opened, err := s.OpenSQL(ctx, tables, nil, duck.Options{Memory: 1 << 30, Threads: threads})
	if err != nil {
		b.Fatal(err)
	}
	defer opened.Close()
	plain, err := duck.Open(duck.Options{Memory: 1 << 30, Threads: threads, Files: len(tables)})
	if err != nil {
		b.Fatal(err)
	}
	defer plain.Close()
	writer, err := s.OpenSQL(ctx, tables, nil, duck.Options{Memory: 4 << 30, Threads: threads, Files: 1})
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range tables {
		data, err := writer.CopyOut(ctx, "SELECT * FROM "+t+" ORDER BY "+t+"_id", "FORMAT parquet, COMPRESSION zstd")
		if err != nil {
			b.Fatal(err)
		}
		f, err := plain.Load(data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := plain.Exec(ctx, "CREATE VIEW "+t+" AS SELECT * FROM read_parquet("+duck.Quote(f.Path())+")"); err != nil {
			b.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		b.Fatal(err)
	}
	const query = `SELECT count(*), count(DISTINCT person_id), avg(value_as_number) FROM measurement
		WHERE measurement_date >= DATE '2016-01-01' AND person_id IN (SELECT person_id FROM condition_occurrence WHERE condition_concept_id < 4000500)`
	time1 := func(db *duck.Session) (time.Duration, string) {
		var n, persons int64
		var mean float64
		start := time.Now()
		err := db.Query(ctx, func(scan func(...any) error) error { return scan(&n, &persons, &mean) }, query)
		if err != nil {
			b.Fatal(err)
		}
		return time.Since(start), fmt.Sprintf("%d %d %.6f", n, persons, mean)
	}
	var ours, theirs []time.Duration
	var oursCPU, theirsCPU time.Duration
	for b.Loop() {
		t0 := cpu(b)
		o, x := time1(opened)
		t1 := cpu(b)
		p, y := time1(plain)
		oursCPU, theirsCPU = oursCPU+t1-t0, theirsCPU+cpu(b)-t1
		if x != y {
			b.Fatalf("answers differ: %s and %s", x, y)
		}
		ours, theirs = append(ours, o), append(theirs, p)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	o, p := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(float64(o.Microseconds())/1000, "snapshot_ms")
	b.ReportMetric(float64(p.Microseconds())/1000, "plain_ms")
	b.ReportMetric(float64(o)/float64(p), "x_plain")
	b.ReportMetric(float64(oursCPU)/float64(theirsCPU), "x_plain_cpu")
}
