package warehouse

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/havre"
)

// scribbler is an allocator that never gives zeroed memory and spoils what is
// freed: whoever reads what it did not write, or what it released, reads rubbish.
type scribbler struct{ memory.Allocator }

func (s scribbler) Allocate(size int) []byte {
	b := s.Allocator.Allocate(size)
	scribble(b, 0xa5)
	return b
}

func (s scribbler) Free(b []byte) {
	scribble(b[:cap(b)], 0x5a)
	s.Allocator.Free(b)
}

func (s scribbler) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	larger := s.Allocate(size)
	copy(larger, b)
	s.Free(b)
	return larger
}

func scribble(b []byte, with byte) {
	for i := range b {
		b[i] = with
	}
}

// Scribble makes all reads of this process go through a scribbler.
func Scribble() { recycled = scribbler{recycled} }

func TestRecycler(t *testing.T) {
	r := new(recycler)
	var held [][]byte
	for _, n := range []int{0, 1, 63, 64, 2047, 2048, 4095, 4096, 4097, 1 << 20, 1<<20 + 1, 1 << 26, 1<<26 + 1} {
		b := r.Allocate(n)
		if len(b) != n {
			t.Fatalf("%d bytes, asked for %d", len(b), n)
		}
		scribble(b, byte(len(held)))
		if held = append(held, b); n > 0 && n <= 1<<20 {
			grown := r.Reallocate(3*n, slices.Clone(b))
			if len(grown) != 3*n || !bytes.Equal(grown[:n], b) {
				t.Errorf("%d bytes were lost in growing", n)
			}
			r.Free(grown[:1])
		}
	}
	for i, b := range held {
		if slices.ContainsFunc(b, func(x byte) bool { return x != byte(i) }) {
			t.Errorf("block %d was given out twice", i)
		}
		r.Free(b)
	}
	r.Free(nil)
	r.Free(make([]byte, 100, 5000)) // not one of its own
	if b := r.Allocate(5000); cap(b) != 8192 {
		t.Errorf("a foreign block came back: %d", cap(b))
	}
}

// sourceOf gives an opened source of Parquet that is fetched, for tests of
// decoding alone.
func sourceOf(data []byte, rows int64) (s *source, err error) {
	s = newSource(nil, Segment{Rows: rows, Size: int64(len(data)), Plain: int64(len(data))}, func(*source, int64) {})
	for i := range s.blocks {
		s.blocks[i].Store(new([]byte))
	}
	s.begun, s.plain = true, bytes.NewReader(data)
	if err := s.keepTail(0); err != nil {
		return nil, err
	}
	if s.meta, s.schema, err = footerOf(s.window()); err != nil {
		return nil, err
	}
	footer := int64(len(data)) - 8 - int64(binary.LittleEndian.Uint32(data[len(data)-8:]))
	return s, s.openIndex(context.Background(), s.meta, footer)
}

// columnKinds are the columns of random tables: concepts ascend, as in a segment.
var columnKinds = arrow.NewSchema([]arrow.Field{
	{Name: "concept", Type: arrow.PrimitiveTypes.Int64}, {Name: "person", Type: arrow.PrimitiveTypes.Int64}, {Name: "key", Type: arrow.PrimitiveTypes.Int64},
	{Name: "value", Type: arrow.PrimitiveTypes.Float64}, {Name: "day", Type: arrow.FixedWidthTypes.Date32},
	{Name: "time", Type: &arrow.TimestampType{Unit: arrow.Microsecond}}, {Name: "text", Type: arrow.BinaryTypes.String},
}, nil)

// randomRows makes rows of which a share of the values is null; if it is
// negative, none can be.
func randomRows(r *rand.Rand, rows int, nulls float64) arrow.RecordBatch {
	fields := columnKinds.Fields()
	cols := make([]arrow.Array, len(fields))
	for c := range fields {
		fields[c].Nullable = nulls >= 0
		b := array.NewBuilder(memory.DefaultAllocator, fields[c].Type)
		concept := int64(0)
		for range rows {
			concept += r.Int64N(100) / 98
			if r.Float64() < nulls {
				b.AppendNull()
				continue
			}
			n := r.Int64N(1 << 40)
			switch to := b.(type) {
			case *array.Int64Builder:
				to.Append(map[string]int64{"concept": concept, "person": n % 50, "key": n}[fields[c].Name])
			case *array.Float64Builder:
				to.Append(float64(n%1000) / 8)
			case *array.Date32Builder:
				to.Append(arrow.Date32(n % 20000))
			case *array.TimestampBuilder:
				to.Append(arrow.Timestamp(n))
			case *array.StringBuilder:
				to.Append("t" + strconv.FormatInt(n%500, 10))
			}
		}
		cols[c] = b.NewArray()
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(rows))
}

func asParquet(rows arrow.RecordBatch, group int64, more ...parquet.WriterProperty) ([]byte, error) {
	var buf bytes.Buffer
	props := append([]parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDataPageSize(5000),
		parquet.WithDictionaryFor("key", false), parquet.WithEncodingFor("key", parquet.Encodings.DeltaBinaryPacked)}, more...)
	w, err := pqarrow.NewFileWriter(rows.Schema(), &buf, parquet.NewWriterProperties(props...), pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	for lo := int64(0); lo < rows.NumRows(); lo += group {
		part := rows.NewSlice(lo, min(lo+group, rows.NumRows()))
		if err := w.Write(part); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return buf.Bytes(), err
}

func rowText(b arrow.RecordBatch, i int) string {
	var s string
	for c, a := range b.Columns() {
		s += b.ColumnName(c) + " " + a.ValueStr(i) + "; "
	}
	return s
}

// readAllOf reads all columns of a source, group by group, as readSource does,
// and says of how many rows.
func readAllOf(s *source, filters []filter) (rows []string, read int64, err error) {
	ctx := context.Background()
	parts := make([]part, s.meta.NumRowGroups())
	for g := range parts {
		parts[g] = s.wholeGroup(g)
		if len(filters) > 0 && filters[0].column == "concept" {
			if parts[g], err = s.partOf(g, "concept", filters[0].wanted); err != nil {
				return nil, 0, err
			}
		}
		read += parts[g].rows()
	}
	var names []string
	for _, f := range columnKinds.Fields() {
		names = append(names, f.Name)
	}
	c, err := s.columns(ctx, parts, names)
	if err != nil {
		return nil, 0, err
	}
	for _, p := range parts {
		b, err := c.batch(ctx, p, columnKinds, filters)
		if err != nil {
			return nil, 0, err
		}
		if b == nil {
			continue
		}
		for i := range int(b.NumRows()) {
			rows = append(rows, rowText(b, i))
		}
		b.Release()
	}
	return rows, read, nil
}

// TestColumns: whatever encodings, nulls, pages, row groups and filters there
// are, the rows that come are those that were written and are wanted.
func TestColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	encodings := map[string][]parquet.WriterProperty{
		"dictionary": nil, "plain": {parquet.WithDictionaryDefault(false)}, "short dictionary": {parquet.WithDictionaryPageSizeLimit(700)},
		"index": {parquet.WithPageIndexEnabled(true)}, "index of one column": {parquet.WithPageIndexEnabledFor("concept", true)}, "index, plain": {parquet.WithPageIndexEnabled(true), parquet.WithDictionaryDefault(false)},
		"index, second format": {parquet.WithPageIndexEnabled(true), parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithDictionaryPageSizeLimit(700)},
		"second format":        {parquet.WithDataPageVersion(parquet.DataPageV2)}, "uncompressed": {parquet.WithCompression(compress.Codecs.Uncompressed)},
	}
	var leftOut int64
	for _, nulls := range []float64{-1, 0, 0.02, 0.9, 1} {
		for _, size := range []struct{ rows, group int }{{1, 10}, {8, 3}, {999, 100}, {4000, 4000}, {4001, 2000}} {
			for name, props := range encodings {
				rows := randomRows(r, size.rows, nulls)
				data, err := asParquet(rows, int64(size.group), props...)
				if err != nil {
					t.Fatal(err)
				}
				s, err := sourceOf(data, rows.NumRows())
				if err != nil {
					t.Fatal(err)
				}
				for _, filters := range [][]filter{nil, {{"concept", []int64{0, 3, 4, 17}}}, {{"concept", []int64{1, 30}}}, {{"person", []int64{1, 2, 40}}}, {{"concept", []int64{0, 1, 2, 3, 5, 8}}, {"person", []int64{0, 7, 8, 9, 49}}}, {{"concept", nil}}} {
					var want []string
					for i := range size.rows {
						if !slices.ContainsFunc(filters, func(f filter) bool {
							a := column(rows, f.column).(*array.Int64)
							return a.IsNull(i) || !slices.Contains(f.wanted, a.Value(i))
						}) {
							want = append(want, rowText(rows, i))
						}
					}
					got, read, err := readAllOf(s, filters)
					if indexed := strings.HasPrefix(name, "index"); indexed {
						leftOut += rows.NumRows() - read
					} else if read < rows.NumRows() {
						t.Errorf("%s: rows were left out without an index", name)
					}
					if err != nil || !slices.Equal(got, want) {
						t.Fatalf("%s, %g null, %d rows by %d, filters %v: %d rows, want %d: %v", name, nulls, size.rows, size.group, filters, len(got), len(want), err)
					}
				}
			}
		}
	}
	if leftOut < 10_000 {
		t.Errorf("the indexes of pages left out %d rows only", leftOut)
	}
}

// TestColumnOfAnotherType: a column that is not what the CDM says is Tampered.
func TestColumnOfAnotherType(t *testing.T) {
	data, err := asParquet(randomRows(rand.New(rand.NewPCG(1, 1)), 10, 0), 10)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sourceOf(data, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []arrow.Field{{Name: "day", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.FixedWidthTypes.Date32}, {Name: "key", Type: arrow.BinaryTypes.String}, {Name: "none", Type: arrow.BinaryTypes.String}} {
		whole := s.wholeGroup(0)
		c, err := s.columns(t.Context(), []part{whole}, []string{f.Name})
		if err == nil {
			_, err = c.batch(t.Context(), whole, arrow.NewSchema([]arrow.Field{f}, nil), nil)
		}
		if havre.KindOf(err) != havre.Tampered {
			t.Errorf("%s as %s: %v", f.Name, f.Type, err)
		}
	}
	s.entry.Rows = 9
	if _, _, err := readAllOf(s, nil); havre.KindOf(err) != havre.Tampered {
		t.Errorf("more rows than the manifest says: %v", err)
	}
}

// FuzzColumns: Parquet of any bytes gives rows or Tampered.
func FuzzColumns(f *testing.F) {
	for i, nulls := range []float64{-1, 0.3, 1} {
		data, err := asParquet(randomRows(rand.New(rand.NewPCG(1, uint64(i))), 40, nulls), 30, parquet.WithCompression(compress.Codecs.Uncompressed), parquet.WithPageIndexEnabled(true), parquet.WithDataPageSize(100), parquet.WithBatchSize(5))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := sourceOf(data, 1000)
		if err != nil {
			return
		}
		for _, f := range []filter{{"person", []int64{3, 4, 5}}, {"concept", []int64{0}}} {
			if _, _, err := readAllOf(s, []filter{f}); err != nil && havre.KindOf(err) != havre.Tampered {
				t.Error(err)
			}
		}
	})
}
