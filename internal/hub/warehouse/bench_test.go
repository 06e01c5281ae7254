package warehouse_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/ground/blob"
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

// condition is one generated row; other columns follow from these.
type condition struct {
	id, person, concept int64
	day                 int32
}

// generated gives rows of which every person has 30; concepts are skewed, and
// follow no order.
func generated(rows int) []condition {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]condition, rows)
	var person int64
	for i := range out {
		if i%30 == 0 {
			person = r.Int64()
		}
		x := r.Float64()
		out[i] = condition{int64(i), person, 4000000 + int64(3000*x*x), 16071 + int32(r.IntN(3650))}
	}
	return out
}

// conditionsAs makes a warehouse of generated conditions, one segment a
// bucket, in an order and an encoding.
func conditionsAs(b *testing.B, c warehouse.Config, rows []condition, buckets int, order func(x, y condition) int, props *parquet.WriterProperties) {
	b.Helper()
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	w := warehousetest.Create(b, c, buckets)
	batch, err := w.Begin(ctx, warehousetest.Actor)
	check(err)
	table, _ := omop.Lookup("condition_occurrence")
	per := len(rows) / buckets / 30 * 30 // persons are whole
	for n := range buckets {
		mine := slices.Clone(rows[n*per : (n+1)*per])
		slices.SortFunc(mine, order)
		data := parquetOf(b, table, mine, props)
		check(batch.Add(ctx, ingest.Segment{Table: table.Name, Bucket: n, Delivery: "bench", HolderID: 1, Rows: int64(per), Parquet: data}))
	}
	all := int64(per * buckets)
	check(batch.Account(ingest.Account{Delivery: "bench", Tables: []ingest.TableAccount{{Table: table.Name, RowsIn: all, Stored: all}}}))
	_, err = batch.Commit(ctx)
	check(err)
}

func parquetOf(b *testing.B, table omop.Table, rows []condition, props *parquet.WriterProperties) []byte {
	b.Helper()
	number := map[string]func(condition) int64{"holder_id": func(condition) int64 { return 1 }, "condition_occurrence_id": func(c condition) int64 { return c.id }, "person_id": func(c condition) int64 { return c.person },
		"condition_concept_id": func(c condition) int64 { return c.concept }, "condition_type_concept_id": func(condition) int64 { return 32817 },
		"provider_id": func(c condition) int64 { return c.id * 7919 % 3000 }, "visit_occurrence_id": func(c condition) int64 { return c.id / 3 }, "condition_source_concept_id": func(c condition) int64 { return c.concept + 41000000 }}
	day := map[string]int32{"condition_start_date": 0, "condition_end_date": 3}
	names := append([]string{"holder_id"}, table.Names()...)
	var fields []arrow.Field
	var builders []array.Builder
	for _, name := range names {
		var dt arrow.DataType = arrow.PrimitiveTypes.Int64
		if f, ok := table.Field(name); ok {
			dt = map[omop.Type]arrow.DataType{omop.Integer: dt, omop.Date: arrow.FixedWidthTypes.Date32, omop.Datetime: &arrow.TimestampType{Unit: arrow.Microsecond}, omop.Text: arrow.BinaryTypes.String}[f.Type]
		}
		fields = append(fields, arrow.Field{Name: name, Type: dt, Nullable: true})
		builders = append(builders, array.NewBuilder(memory.DefaultAllocator, dt))
	}
	schema := arrow.NewSchema(fields, nil)
	var buf bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &buf, props, pqarrow.DefaultWriterProps())
	if err != nil {
		b.Fatal(err)
	}
	for group := range slices.Chunk(rows, int(props.MaxRowGroupLength())) {
		columns := make([]arrow.Array, len(names))
		for i, name := range names {
			for _, c := range group {
				switch to := builders[i].(type) {
				case *array.Int64Builder:
					if f := number[name]; f != nil {
						to.Append(f(c))
					} else {
						to.AppendNull()
					}
				case *array.Date32Builder:
					to.Append(arrow.Date32(c.day + day[name]))
				case *array.TimestampBuilder:
					to.Append(arrow.Timestamp(c.day) * 86_400_000_000)
				case *array.StringBuilder:
					if name == "condition_source_value" {
						to.Append("K" + strconv.Itoa(int(c.concept)%100) + "." + strconv.Itoa(int(c.concept)%10))
					} else {
						to.AppendNull()
					}
				}
			}
			columns[i] = builders[i].NewArray()
		}
		if err := w.Write(array.NewRecordBatch(schema, columns, int64(len(group)))); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

// readGrouped reads three columns of every bucket with a cold cache, and puts the
// rows of each bucket in the order of persons and dates, as an evaluator needs.
// Rows of other concepts are left out by the warehouse, or here if scan is set.
func readGrouped(b *testing.B, c warehouse.Config, concepts []int64, scan bool) (rows int) {
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
	want := warehouse.Want{Table: "condition_occurrence", Columns: []string{"person_id", "condition_concept_id", "condition_start_date"}, Concepts: concepts}
	wanted := make([]bool, 3000)
	for _, id := range concepts {
		wanted[id-4000000] = true
	}
	if scan {
		want.Concepts = nil
	}
	for n := range s.Buckets() {
		batches, err := s.Read(ctx, n, want)
		if err != nil {
			b.Fatal(err)
		}
		events = events[:0]
		for _, batch := range batches {
			person, concept, day := batch.Column(0).(*array.Int64), batch.Column(1).(*array.Int64), batch.Column(2).(*array.Date32)
			for i := range int(batch.NumRows()) {
				if scan && !wanted[concept.Value(i)-4000000] {
					continue
				}
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
// that names 2,000 of 3,000, which either lets the warehouse choose its rows
// or reads all and chooses itself ("scan"). It is the evidence of
// docs/adr/0001-order-inside-a-segment.md.
func BenchmarkSegmentOrder(b *testing.B) {
	rows := generated(2_400_000)
	few := []int64{4000100, 4000700, 4001500, 4002200, 4002900}
	var library []int64
	for i := range int64(2000) {
		library = append(library, 4000000+i*3/2)
	}
	orders := map[string]func(x, y condition) int{
		"concept": func(x, y condition) int {
			return cmp.Or(cmp.Compare(x.concept, y.concept), cmp.Compare(x.person, y.person), cmp.Compare(x.day, y.day))
		},
		"person": func(x, y condition) int {
			return cmp.Or(cmp.Compare(x.person, y.person), cmp.Compare(x.day, y.day), cmp.Compare(x.concept, y.concept))
		},
	}
	table, _ := omop.Lookup("condition_occurrence")
	chosen := func(groupK int) *parquet.WriterProperties {
		return ingest.WriterProperties(table, parquet.WithMaxRowGroupLength(int64(groupK)<<10))
	}
	type variant struct {
		order, name string
		buckets     int
		props       *parquet.WriterProperties
	}
	var variants []variant
	for _, buckets := range []int{32, 4} {
		for _, order := range []string{"concept", "person"} {
			for _, n := range []int{8, 32, 128} {
				variants = append(variants, variant{order, fmt.Sprintf("rows=%dk/%s/group=%dk", len(rows)/buckets/1000, order, n), buckets, chosen(n)})
			}
		}
	}
	plain := []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(ingest.RowGroupRows), parquet.WithPageIndexEnabled(true), parquet.WithDataPageSize(64 << 10)}
	with := func(p parquet.WriterProperty) *parquet.WriterProperties { return ingest.WriterProperties(table, p) }
	for name, props := range map[string]*parquet.WriterProperties{
		"chosen":        ingest.WriterProperties(table),
		"alldictionary": parquet.NewWriterProperties(plain...),
		"nodictionary":  parquet.NewWriterProperties(append(plain, parquet.WithDictionaryDefault(false))...),
		"page=8k":       with(parquet.WithDataPageSize(8 << 10)),
		"page=32k":      with(parquet.WithDataPageSize(32 << 10)),
		"page=1024k":    with(parquet.WithDataPageSize(1 << 20)),
		"lz4":           with(parquet.WithCompression(compress.Codecs.Lz4Raw)),
		"zstd":          with(parquet.WithCompression(compress.Codecs.Zstd)),
	} {
		variants = append(variants, variant{"concept", "rows=600k/concept/group=128k/" + name, 4, props})
	}
	for _, v := range variants {
		c := warehousetest.Config(b, warehousetest.Store(b))
		m := &meter{Store: c.Store}
		c.Store = m
		began := cpu(b)
		conditionsAs(b, c, rows, v.buckets, orders[v.order], v.props)
		written := cpu(b) - began
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
			scan     bool
		}{{"definition", few, false}, {"library", library, false}, {"library-scan", library, true}} {
			b.Run(v.name+"/"+use.name, func(b *testing.B) {
				const rounds = 5
				m.bytes.Store(0)
				var spent []float64
				n := 0
				for b.Loop() {
					for range rounds {
						before := cpu(b)
						n = readGrouped(b, c, use.concepts, use.scan)
						spent = append(spent, (cpu(b)-before).Seconds()*1000)
					}
				}
				slices.Sort(spent)
				b.ReportMetric(spent[len(spent)/2], "cpu_ms")
				b.ReportMetric(float64(m.bytes.Load())/float64(len(spent))/(1<<20), "MiB_fetched")
				b.ReportMetric(float64(size)/(1<<20), "MiB_stored")
				b.ReportMetric(written.Seconds()*1000, "write_cpu_ms")
				b.ReportMetric(float64(n), "rows")
			})
		}
	}
}

// BenchmarkFetch measures what it costs to read few columns of small and large
// segments from a store that takes 20 ms to answer; it set blockSize and wholeSize.
func BenchmarkFetch(b *testing.B) {
	table, _ := omop.Lookup("condition_occurrence")
	for _, rows := range []int{60_000, 420_000, 1_020_000} {
		c := warehousetest.Config(b, warehousetest.Store(b))
		m := &meter{Store: c.Store}
		c.Store = m
		conditionsAs(b, c, generated(rows), 1, func(x, y condition) int {
			return cmp.Or(cmp.Compare(x.concept, y.concept), cmp.Compare(x.person, y.person))
		}, ingest.WriterProperties(table))
		m.wait = 20 * time.Millisecond
		for name, concepts := range map[string][]int64{"definition": {4000100, 4000700, 4001500}, "all": nil} {
			b.Run(fmt.Sprintf("rows=%d/%s", rows, name), func(b *testing.B) {
				m.bytes.Store(0)
				m.gets.Store(0)
				for b.Loop() {
					readGrouped(b, c, concepts, false)
				}
				b.ReportMetric(float64(m.gets.Load())/float64(b.N)-1, "gets") // one is the manifest's
				b.ReportMetric(float64(m.bytes.Load())/float64(b.N)/(1<<20), "MiB_fetched")
			})
		}
	}
}

// BenchmarkRead measures reading five columns of an opened snapshot, all rows
// of them and those of most concepts, in large and small segments.
func BenchmarkRead(b *testing.B) {
	ctx := context.Background()
	table, _ := omop.Lookup("condition_occurrence")
	rows := generated(4_800_000)
	var most []int64
	for i := range int64(2000) {
		most = append(most, 4000000+i*3/2)
	}
	for _, buckets := range []int{16, 64} {
		c := warehousetest.Config(b, warehousetest.Store(b))
		conditionsAs(b, c, rows, buckets, func(x, y condition) int {
			return cmp.Or(cmp.Compare(x.concept, y.concept), cmp.Compare(x.person, y.person), cmp.Compare(x.day, y.day))
		}, ingest.WriterProperties(table))
		w, err := warehouse.Open(ctx, c)
		if err != nil {
			b.Fatal(err)
		}
		s, err := w.Current(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for name, concepts := range map[string][]int64{"all": nil, "most": most} {
			want := warehouse.Want{Table: table.Name, Concepts: concepts, Columns: []string{"person_id", "condition_start_date", "condition_concept_id", "condition_occurrence_id", "condition_end_date"}}
			read := func() (rows int64) {
				for n := range buckets {
					batches, err := s.Read(ctx, n, want)
					if err != nil {
						b.Fatal(err)
					}
					for _, batch := range batches {
						rows += batch.NumRows()
						batch.Release()
					}
				}
				return rows
			}
			b.Run(fmt.Sprintf("rows=%dk/%s", len(rows)/buckets/1000, name), func(b *testing.B) {
				read() // fetches
				var rows int64
				began := cpu(b)
				for b.Loop() {
					rows += read()
				}
				b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/float64(rows), "cpu-ns/row")
			})
		}
	}
}
