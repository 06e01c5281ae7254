// Package studytest holds small populations in memory for the tests of
// studies: it answers as a permit's view of the warehouse answers, from rows
// that a test writes down or reads from Parquet files.
package studytest

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Table is a CDM table by columns. A column that is not there is all null, as
// is a table that is not there at all.
type Table map[string]*Column

// Column has its values in the slice of its type: Ints, Floats, Days (since
// 1970-01-01) or Texts. Null, if not nil, says which are null.
type Column struct {
	Ints   []int64
	Floats []float64
	Days   []int32
	Texts  []string
	Null   []bool
}

func (c *Column) isNull(row int) bool { return c == nil || c.Null != nil && c.Null[row] }

// Len is the number of rows.
func (t Table) Len() int {
	for _, c := range t {
		return max(len(c.Ints), len(c.Floats), len(c.Days), len(c.Texts))
	}
	return 0
}

// Population is a set of tables spread over buckets. It is not changed by
// reading and may be read by several goroutines.
type Population struct {
	Tables  map[string]Table
	buckets int
	rows    map[string][][]int // by table and bucket
}

// New spreads the tables over buckets by person, each person into one bucket.
func New(buckets int, tables map[string]Table) *Population {
	p := &Population{Tables: tables, buckets: buckets, rows: map[string][][]int{}}
	for name, t := range tables {
		spec, ok := omop.Lookup(name)
		if !ok || !spec.PersonLevel || t[spec.Person] == nil {
			continue
		}
		split := make([][]int, buckets)
		for row, person := range t[spec.Person].Ints {
			b := BucketOf(person, buckets)
			split[b] = append(split[b], row)
		}
		p.rows[name] = split
	}
	return p
}

// BucketOf gives the bucket of a person, the same in every process.
func BucketOf(person int64, buckets int) int {
	h := fnv.New64a()
	_ = binary.Write(h, binary.BigEndian, person) // a hash never fails
	return int(h.Sum64() % uint64(buckets))
}

// Buckets gives the number of buckets.
func (p *Population) Buckets() int { return p.buckets }

// Read gives the rows wanted of one bucket in one batch, or in none.
func (p *Population) Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	spec, ok := omop.Lookup(w.Table)
	if ok && !spec.PersonLevel && bucket == -1 { // a table that is not about persons
		return batches(spec, p.Tables[w.Table], w, everyRow(p.Tables[w.Table]))
	}
	if !ok || bucket < 0 || bucket >= p.buckets {
		return nil, havre.E("studytest.read", havre.Internal, fmt.Sprintf("there is no bucket %d of table %s", bucket, w.Table))
	}
	t := p.Tables[w.Table]
	var rows []int
	if split := p.rows[w.Table]; split != nil {
		rows = split[bucket]
	}
	return batches(spec, t, w, rows)
}

func everyRow(t Table) []int {
	rows := make([]int, t.Len())
	for i := range rows {
		rows[i] = i
	}
	return rows
}

func batches(spec omop.Table, t Table, w warehouse.Want, rows []int) ([]arrow.RecordBatch, error) {
	if w.Concepts != nil {
		col := t[spec.Concept]
		rows = slices.DeleteFunc(slices.Clone(rows), func(row int) bool {
			if col.isNull(row) {
				return true
			}
			_, in := slices.BinarySearch(w.Concepts, col.Ints[row])
			return !in
		})
	}
	if len(rows) == 0 {
		return nil, nil
	}
	fields := make([]arrow.Field, len(w.Columns))
	columns := make([]arrow.Array, len(w.Columns))
	for i, name := range w.Columns {
		field, ok := spec.Field(name)
		if !ok {
			return nil, havre.E("studytest.read", havre.Internal, fmt.Sprintf("table %s has no column %s", w.Table, name))
		}
		columns[i] = build(field.Type, t[name], rows)
		fields[i] = arrow.Field{Name: name, Type: columns[i].DataType(), Nullable: true}
	}
	batch := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(len(rows)))
	for _, c := range columns {
		c.Release()
	}
	return []arrow.RecordBatch{batch}, nil
}

func build(t omop.Type, c *Column, rows []int) arrow.Array {
	mem := memory.DefaultAllocator
	switch t {
	case omop.Integer:
		b := array.NewInt64Builder(mem)
		defer b.Release()
		for _, row := range rows {
			if c.isNull(row) {
				b.AppendNull()
			} else {
				b.Append(c.Ints[row])
			}
		}
		return b.NewArray()
	case omop.Float:
		b := array.NewFloat64Builder(mem)
		defer b.Release()
		for _, row := range rows {
			if c.isNull(row) {
				b.AppendNull()
			} else {
				b.Append(c.Floats[row])
			}
		}
		return b.NewArray()
	case omop.Date:
		b := array.NewDate32Builder(mem)
		defer b.Release()
		for _, row := range rows {
			if c.isNull(row) {
				b.AppendNull()
			} else {
				b.Append(arrow.Date32(c.Days[row]))
			}
		}
		return b.NewArray()
	default:
		b := array.NewStringBuilder(mem)
		defer b.Release()
		for _, row := range rows {
			if c.isNull(row) {
				b.AppendNull()
			} else {
				b.Append(c.Texts[row])
			}
		}
		return b.NewArray()
	}
}
