package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// Bounds of one segment: a reader may hold a whole one in memory.
const (
	MaxSegmentRows  = 1 << 20
	MaxSegmentBytes = 32 << 20 // of Parquet, unless a single row group is larger
	maxGroupBytes   = 16 << 20 // of packed rows in a row group, unless a single row is larger
)

// Sizes within a segment (docs/adr/0001-order-inside-a-segment.md).
const (
	RowGroupRows = 128 << 10 // rows in a row group
	pageBytes    = 64 << 10  // values in a page, before they are encoded: 8,192 numbers
)

// holderColumn comes first in every segment.
const holderColumn = "holder_id"

var arrowType = map[omop.Type]arrow.DataType{
	omop.Integer: arrow.PrimitiveTypes.Int64, omop.Float: arrow.PrimitiveTypes.Float64, omop.Date: arrow.FixedWidthTypes.Date32,
	omop.Datetime: &arrow.TimestampType{Unit: arrow.Microsecond}, omop.Text: arrow.BinaryTypes.String,
}

// Schema is that of a table's segments: what the CDM requires is never null.
func Schema(t omop.Table) *arrow.Schema {
	fields := []arrow.Field{{Name: holderColumn, Type: arrow.PrimitiveTypes.Int64}}
	for _, f := range t.Fields {
		if !f.Identifying {
			fields = append(fields, arrow.Field{Name: f.Name, Type: arrowType[f.Type], Nullable: !f.Required})
		}
	}
	return arrow.NewSchema(fields, nil)
}

// WriterProperties say how the segments of a table are encoded: Snappy, for text
// zstd, an index of small pages, and a dictionary for each column except keys of
// events, whose values hardly repeat. Further properties, which benchmarks give,
// come last.
func WriterProperties(t omop.Table, further ...parquet.WriterProperty) *parquet.WriterProperties {
	o := []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(RowGroupRows),
		parquet.WithDataPageSize(pageBytes), parquet.WithPageIndexEnabled(true), parquet.WithCreatedBy("havre")}
	for _, f := range t.Fields {
		if f.Type == omop.Text {
			o = append(o, parquet.WithCompressionFor(f.Name, compress.Codecs.Zstd))
		}
	}
	for _, c := range []string{t.ID, "visit_occurrence_id", "visit_detail_id"} {
		if f, ok := t.Field(c); ok && f.Type == omop.Integer {
			o = append(o, parquet.WithDictionaryFor(c, false), parquet.WithEncodingFor(c, parquet.Encodings.DeltaBinaryPacked))
		}
	}
	return parquet.NewWriterProperties(append(o, further...)...)
}

// segments writes the rows of one bucket.
func (p *pass) segments(ctx context.Context, bucket int, h *heap) error {
	refs := p.sorted(h)
	s := &segmenter{pass: p, heap: h, schema: Schema(p.table)}
	defer s.release()
	for len(refs) > 0 {
		data, n, err := s.segment(refs)
		if err != nil {
			return err
		}
		out := Segment{Table: p.table.Name, Bucket: bucket, Delivery: p.in.Manifest.Delivery, HolderID: p.in.HolderID,
			Rows: int64(n), First: day10(s.first), Last: day10(s.last), Parquet: data}
		if err := p.in.Batch.Add(ctx, out); err != nil {
			return err
		}
		p.tally(p.table.Name, 0, out.Rows, nil, nil)
		refs = refs[n:]
	}
	return nil
}

// day10 writes a day as 2006-01-02; "" for none.
func day10(d int64) string {
	if d == math.MaxInt64 || d == math.MinInt64 {
		return ""
	}
	return time.Unix(d*24*60*60, 0).UTC().Format(time.DateOnly)
}

// segmenter writes segments, one after the other.
type segmenter struct {
	*pass
	heap        *heap
	schema      *arrow.Schema
	builders    []array.Builder // by field; nil for one without any value
	first, last int64           // days of the segment's rows; first > last if none has one
}

func (s *segmenter) release() {
	for _, b := range s.builders {
		if b != nil {
			b.Release()
		}
	}
}

// segment writes as many of the rows as one segment takes.
func (s *segmenter) segment(refs []ref) (data []byte, n int, err error) {
	fail := func(err error) ([]byte, int, error) {
		return nil, 0, havre.E("ingest", havre.Internal, "a segment of "+s.table.Name+" could not be written as Parquet").Wrap(err)
	}
	var buf bytes.Buffer
	w, err := pqarrow.NewFileWriter(s.schema, &buf, WriterProperties(s.table), pqarrow.DefaultWriterProps())
	if err != nil {
		return fail(err)
	}
	s.first, s.last = math.MaxInt64, math.MinInt64
	largest := 0
	for n < len(refs) && n < MaxSegmentRows && (n == 0 || buf.Len()+largest <= MaxSegmentBytes) {
		before := buf.Len()
		batch, rows := s.group(refs[n:min(len(refs), n+RowGroupRows, MaxSegmentRows)])
		err := w.Write(batch)
		batch.Release()
		if err != nil {
			return fail(err)
		}
		n += rows
		largest = max(largest, buf.Len()-before)
	}
	if err := w.Close(); err != nil {
		return fail(err)
	}
	return buf.Bytes(), n, nil
}

// group makes one row group of the first rows and says of how many.
func (s *segmenter) group(refs []ref) (arrow.RecordBatch, int) {
	if s.builders == nil {
		s.builders = make([]array.Builder, len(s.fields))
		for i, used := range s.used {
			if used {
				s.builders[i] = array.NewBuilder(memory.DefaultAllocator, arrowType[s.fields[i].Type])
			}
		}
	}
	for _, b := range s.builders {
		if b != nil {
			b.Reserve(len(refs))
		}
	}
	n, size := 0, 0
	for n < len(refs) && (n == 0 || size < maxGroupBytes) {
		size += s.append(refs[n])
		n++
	}
	columns := make([]arrow.Array, 0, len(s.fields)+1)
	holder := array.NewInt64Builder(memory.DefaultAllocator)
	holder.Reserve(n)
	for range n {
		holder.UnsafeAppend(int64(s.in.HolderID))
	}
	columns = append(columns, holder.NewArray())
	holder.Release()
	for i, b := range s.builders {
		if b == nil {
			columns = append(columns, array.MakeArrayOfNull(memory.DefaultAllocator, arrowType[s.fields[i].Type], n))
		} else {
			columns = append(columns, b.NewArray())
		}
	}
	batch := array.NewRecordBatch(s.schema, columns, int64(n))
	for _, c := range columns {
		c.Release()
	}
	return batch, n
}

// append unpacks one row into the builders and gives its size in bytes.
func (s *segmenter) append(r ref) int {
	b := s.heap.pieces[r.piece][r.at:]
	flags := b[:s.flags()]
	has := func(i int) bool { return flags[i/8]&(1<<(i%8)) != 0 }
	at := len(flags) + 8*len(s.keys)
	for k, i := range s.keys {
		if s.fields[i].Name == s.table.Start && s.fields[i].Type == omop.Date && has(i) {
			s.first, s.last = min(s.first, r.keys[k]), max(s.last, r.keys[k])
		}
		s.value(i, has(i), r.keys[k])
	}
	for _, i := range s.rest {
		if !has(i) {
			s.value(i, false, 0)
			continue
		}
		switch s.fields[i].Type {
		case omop.Text:
			size, n := binary.Uvarint(b[at:])
			at += n
			s.builders[i].(*array.StringBuilder).BinaryBuilder.Append(b[at : at+int(size)])
			at += int(size)
		case omop.Float:
			s.value(i, true, int64(binary.LittleEndian.Uint64(b[at:])))
			at += 8
		default:
			v, n := binary.Varint(b[at:])
			s.value(i, true, v)
			at += n
		}
	}
	return at
}

// value appends a number, or that there is none.
func (s *segmenter) value(i int, has bool, v int64) {
	switch b := s.builders[i].(type) {
	case nil:
	case *array.Int64Builder:
		if has {
			b.UnsafeAppend(v)
		} else {
			b.UnsafeAppendBoolToBitmap(false)
		}
	case *array.Date32Builder:
		if has {
			b.UnsafeAppend(arrow.Date32(v))
		} else {
			b.UnsafeAppendBoolToBitmap(false)
		}
	case *array.Float64Builder:
		if has {
			b.UnsafeAppend(math.Float64frombits(uint64(v)))
		} else {
			b.UnsafeAppendBoolToBitmap(false)
		}
	case *array.TimestampBuilder:
		if has {
			b.UnsafeAppend(arrow.Timestamp(v))
		} else {
			b.UnsafeAppendBoolToBitmap(false)
		}
	default:
		b.AppendNull()
	}
}
