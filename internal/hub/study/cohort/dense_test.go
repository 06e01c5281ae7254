package cohort

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
	"github.com/havre-hub/havre/internal/realinput"
	"github.com/havre-hub/havre/internal/synth/dense"
)

var (
	densePersons = flag.Int("dense.persons", 2000, "persons of the dense population; the goal is measured with 100000")
	denseEvery   = flag.Int("dense.every", 1, "run the reference SQL of every n-th definition only, and multiply")
)

// denseOptions draws events from the concept sets that the definitions name.
func denseOptions(definitions []*Definition, persons int) dense.Options {
	o := dense.Options{Persons: persons, Seed: 1, Sets: map[string][][]int64{}}
	units, values := map[int64]bool{}, map[int64]bool{}
	for _, d := range definitions {
		d.Walk(func(c *circe.Criterion) {
			set := c.Set
			if set < 0 {
				set = c.Source
			}
			if set >= 0 {
				var ids []int64
				for _, item := range d.ConceptSets[set].Items {
					if !item.Excluded {
						ids = append(ids, item.Concept.ID)
					}
				}
				o.Sets[c.Kind.Table] = append(o.Sets[c.Kind.Table], ids)
			}
			for _, f := range c.Filters {
				for _, concept := range f.Concepts {
					switch f.Attribute.Name {
					case "Unit":
						units[concept.ID] = true
					case "ValueAsConcept":
						values[concept.ID] = true
					}
				}
			}
		})
	}
	o.Sets["condition_era"] = append(o.Sets["condition_era"], o.Sets["condition_occurrence"]...)
	o.Sets["drug_era"] = append(o.Sets["drug_era"], o.Sets["drug_exposure"]...)
	o.Units, o.Values = slices.Sorted(maps.Keys(units)), slices.Sorted(maps.Keys(values))
	return o
}

// denseWorld is one dense population twice: in tables of DuckDB in memory, and
// as a sealed snapshot in a folder.
type denseWorld struct {
	db     *duck.Session
	config warehouse.Config
	house  *warehouse.Warehouse
	events int64 // rows about persons
}

// newDenseWorld makes it, the last late persons in DuckDB only until deliver
// brings them. Without the reference, DuckDB holds nothing once the snapshot is
// there.
func newDenseWorld(t testing.TB, definitions []*Definition, persons, late int) *denseWorld {
	t.Helper()
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &denseWorld{config: warehousetest.Config(t, warehousetest.Store(t))}
	var err error
	w.db, err = duck.Open(duck.Options{Memory: 12 << 30, Threads: runtime.GOMAXPROCS(0), Files: 4})
	check(err)
	t.Cleanup(func() { _ = w.db.Close() })
	exec := func(format string, args ...any) {
		t.Helper()
		_, err := w.db.Exec(ctx, fmt.Sprintf(format, args...))
		check(err)
	}
	exec("CREATE SCHEMA cdm")
	buckets := 4
	for buckets*2*1000 <= persons {
		buckets *= 2 // as a hub of 64 buckets has for 100,000 persons
	}
	w.house = warehousetest.Create(t, w.config, buckets)
	batch, err := w.house.Begin(ctx, warehousetest.Actor)
	check(err)
	g := dense.New(denseOptions(definitions, persons))
	exec("CREATE TABLE bucket(person BIGINT, bucket INTEGER)")
	for from := 0; from < persons; from += 1000 {
		var values []string
		for p := from + 1; p <= min(from+1000, persons); p++ {
			values = append(values, fmt.Sprintf("(%d,%d)", p, batch.BucketOf(havre.PersonID(p))))
		}
		exec("INSERT INTO bucket VALUES %s", strings.Join(values, ","))
	}
	for _, table := range append(dense.PersonTables(), dense.SharedTables()...) {
		made := false
		check(g.Each(ctx, table, func(b arrow.RecordBatch) error {
			f, err := w.db.Load(parquetOf(t, b))
			if err != nil {
				return err
			}
			defer f.Release()
			verb := "INSERT INTO cdm." + table
			if !made {
				made, verb = true, "CREATE TABLE cdm."+table+" AS"
			}
			_, err = w.db.Exec(ctx, fmt.Sprintf("%s SELECT * FROM read_parquet(%s)", verb, duck.Quote(f.Path())))
			return err
		}))
	}
	w.deliver(t, "dense", 1, persons-late)
	return w
}

// deliver commits the rows of the persons from first to last; the tables that
// are not about persons come with the first of them.
func (w *denseWorld) deliver(t testing.TB, id havre.DeliveryID, first, last int) {
	t.Helper()
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	batch, err := w.house.Begin(ctx, warehousetest.Actor)
	check(err)
	account := ingest.Account{Delivery: id}
	for _, table := range append(dense.PersonTables(), dense.SharedTables()...) {
		spec, _ := omop.Lookup(table)
		if !spec.PersonLevel && first > 1 {
			continue
		}
		total := int64(0)
		for _, n := range bucketsOf(spec, batch.Buckets()) {
			where, order := "", ""
			if spec.PersonLevel {
				where = fmt.Sprintf("JOIN bucket b ON b.person = t.person_id AND b.bucket = %d AND b.person BETWEEN %d AND %d", n, first, last)
				order = "person_id, " + spec.Start
			}
			if spec.Concept != "" {
				order = strings.TrimSuffix(spec.Concept+", "+order, ", ")
			}
			if order = strings.TrimSuffix(order, ", "); order == "" {
				order = "1"
			}
			columns := []string{"1::BIGINT AS holder_id"}
			for _, f := range spec.Fields {
				if !f.Identifying {
					columns = append(columns, f.Name)
				}
			}
			data, err := w.db.CopyOut(ctx, fmt.Sprintf("SELECT %s FROM cdm.%s t %s ORDER BY %s", strings.Join(columns, ", "), table, where, order),
				"FORMAT parquet, COMPRESSION uncompressed")
			check(err)
			data = asSegment(t, spec, data)
			var rows int64
			check(w.db.Query(ctx, func(scan func(...any) error) error { return scan(&rows) }, fmt.Sprintf("SELECT count(*) FROM cdm.%s t %s", table, where)))
			if rows == 0 {
				continue
			}
			check(batch.Add(ctx, ingest.Segment{Table: table, Bucket: n, Delivery: id, HolderID: 1, Rows: rows, Parquet: data}))
			total += rows
		}
		if spec.PersonLevel {
			w.events += total
		}
		account.Tables = append(account.Tables, ingest.TableAccount{Table: table, RowsIn: total, Stored: total})
	}
	check(batch.Account(account))
	_, err = batch.Commit(ctx)
	check(err)
}

func bucketsOf(spec omop.Table, buckets int) (out []int) {
	if !spec.PersonLevel {
		return []int{ingest.Unbucketed}
	}
	for n := range buckets {
		out = append(out, n)
	}
	return out
}

// asSegment writes rows anew as ingest writes them.
func asSegment(t testing.TB, spec omop.Table, plain []byte) []byte {
	t.Helper()
	ctx := context.Background()
	rows, err := pqarrow.ReadTable(ctx, bytes.NewReader(plain), nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	fields := ingest.Schema(spec).Fields()
	columns := make([]arrow.Column, len(fields))
	for i := range fields {
		fields[i].Type = rows.Column(i).DataType() // DuckDB's times have a zone
		columns[i] = *arrow.NewColumn(fields[i], rows.Column(i).Data())
	}
	rows = array.NewTable(arrow.NewSchema(fields, nil), columns, rows.NumRows())
	var out bytes.Buffer
	if err := pqarrow.WriteTable(rows, &out, ingest.RowGroupRows, ingest.WriterProperties(spec), pqarrow.DefaultWriterProps()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func parquetOf(t testing.TB, b arrow.RecordBatch) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(b.Schema(), &out, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// open opens the snapshot with a cold cache.
func (w *denseWorld) open(t testing.TB) *warehouse.Snapshot {
	t.Helper()
	store, err := warehouse.Open(context.Background(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Current(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// referenceSQL reads the published SQL of the definitions, by their number.
func referenceSQL(t testing.TB) map[int]string {
	t.Helper()
	texts := map[int]string{}
	for id, text := range studytest.Published(t, realinput.Path(t, "cohorts/reference-sql.tar.zst"), ".sql") {
		texts[id] = string(text)
	}
	return texts
}

// prepareReference makes the tables that the reference writes into.
func (w *denseWorld) prepareReference(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(realinput.Path(t, "cohorts/results-tables.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Exec(context.Background(), string(text)); err != nil {
		t.Fatal(err)
	}
}

// referenceRows gives the rows of a cohort that the reference wrote, sorted.
func (w *denseWorld) referenceRows(t testing.TB, id int) (out []row) {
	t.Helper()
	err := w.db.Query(context.Background(), func(scan func(...any) error) error {
		var r row
		if err := scan(&r.person, &r.start, &r.end); err != nil {
			return err
		}
		out = append(out, r)
		return nil
	}, "SELECT subject_id, cohort_start_date - DATE '1970-01-01', cohort_end_date - DATE '1970-01-01' FROM results.cohort WHERE cohort_definition_id = "+strconv.Itoa(id))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out, compareRows)
	return out
}
