package warehouse

import (
	"context"
	"slices"
	"sort"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

// HolderColumn is the column that the warehouse adds to every table: the small
// number of the holder, so that (holder_id, primary key) is unique.
const HolderColumn = "holder_id"

// Want says which rows and columns of one table are wanted.
type Want struct {
	Table    string   // CDM table
	Columns  []string // CDM columns in the order wanted; "holder_id" may be asked for too
	Concepts []int64  // ascending; nil = all rows; else only rows whose main concept column (omop.Table.Concept) is among them
	// Persons, ascending; nil = everybody. Rows of others may be left out; of
	// person and observation_period they are not.
	Persons []int64
}

var arrowType = map[omop.Type]arrow.DataType{
	omop.Integer: arrow.PrimitiveTypes.Int64, omop.Float: arrow.PrimitiveTypes.Float64, omop.Date: arrow.FixedWidthTypes.Date32,
	omop.Datetime: &arrow.TimestampType{Unit: arrow.Microsecond}, omop.Text: arrow.BinaryTypes.String,
}

// Read gives the wanted rows of one bucket (ingest.Unbucketed for tables that are
// not about persons): batches with exactly w.Columns in order, typed int64,
// float64, date32, timestamp[us] without zone, or utf8. The caller releases
// them, and then keeps no slice of their numbers and days: that memory is used
// again. Rows come ordered by main concept, person and start date within each
// segment, and in no order across segments.
//
// Of person, one row per person is given: that of the lowest holder number,
// and of its latest delivery. Observation periods of a person for whom several
// holders have some are united where they overlap or touch; those of a person
// known to one holder stay as delivered.
//
// Errors: Invalid (no such table, column or bucket), Tampered, KeyUnavailable,
// those of the store, and the context's own.
func (s *Snapshot) Read(ctx context.Context, bucket int, w Want) ([]arrow.RecordBatch, error) {
	t, err := s.check(bucket, w)
	if err != nil {
		return nil, err
	}
	if t.Name == "person" || t.Name == "observation_period" {
		return s.readResolved(ctx, bucket, t, w)
	}
	return s.readAll(ctx, bucket, t, w)
}

func (s *Snapshot) check(bucket int, w Want) (omop.Table, error) {
	bad := func(what string) (omop.Table, error) {
		return omop.Table{}, havre.E("warehouse.read", havre.Invalid, what)
	}
	t, ok := omop.Lookup(w.Table)
	if !ok {
		return bad("there is no table " + strconv.Quote(w.Table) + " in CDM " + omop.Version)
	}
	if t.PersonLevel && (bucket < 0 || bucket >= s.manifest.Buckets) || !t.PersonLevel && bucket != ingest.Unbucketed {
		return bad("the table " + t.Name + " has no bucket " + strconv.Itoa(bucket))
	}
	if len(w.Columns) == 0 {
		return bad("no column of " + t.Name + " is asked for")
	}
	for i, c := range w.Columns {
		if _, ok := columnType(t, c); !ok {
			return bad("the table " + t.Name + " has no column " + strconv.Quote(c) + " in the warehouse")
		}
		if slices.Contains(w.Columns[:i], c) {
			return bad("the column " + c + " is asked for twice")
		}
	}
	if w.Concepts != nil && t.Concept == "" {
		return bad("the table " + t.Name + " has no main concept to choose rows by")
	}
	if !slices.IsSorted(w.Concepts) || !slices.IsSorted(w.Persons) {
		return bad("the wanted concepts or persons are not in ascending order")
	}
	if w.Persons != nil && !t.PersonLevel {
		return bad("the table " + t.Name + " is not about persons")
	}
	return t, nil
}

func columnType(t omop.Table, name string) (arrow.DataType, bool) {
	if name == HolderColumn {
		return arrow.PrimitiveTypes.Int64, true
	}
	f, ok := t.Field(name)
	return arrowType[f.Type], ok && !f.Identifying
}

func schemaOf(t omop.Table, columns []string) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		dt, _ := columnType(t, c)
		fields[i] = arrow.Field{Name: c, Type: dt, Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// readAll reads every segment of the bucket as it is.
func (s *Snapshot) readAll(ctx context.Context, bucket int, t omop.Table, w Want) (out []arrow.RecordBatch, err error) {
	for _, e := range s.segments[t.Name][bucket] {
		got, err := s.readSegment(ctx, e, t, w)
		out = append(out, got...)
		if err != nil {
			releaseAll(out)
			return nil, err
		}
	}
	return out, nil
}

func releaseAll(batches []arrow.RecordBatch) {
	for _, b := range batches {
		b.Release()
	}
}

func (s *Snapshot) readSegment(ctx context.Context, e Segment, t omop.Table, w Want) ([]arrow.RecordBatch, error) {
	src := s.w.cache.get(s.w.c.Store, e)
	batches, err := s.readSource(ctx, src, e, t, w)
	if havre.KindOf(err) == havre.Tampered {
		s.w.cache.drop(src)
	}
	return batches, err
}

// readSource reads the rows of the pages that may hold a wanted concept, in row
// groups that may hold a wanted person, one batch a group.
func (s *Snapshot) readSource(ctx context.Context, src *source, e Segment, t omop.Table, w Want) (out []arrow.RecordBatch, err error) {
	if err := src.open(ctx, s.opener(e)); err != nil {
		return nil, err
	}
	var groups []int
	for g := range src.meta.NumRowGroups() {
		if w.Concepts == nil || mayHold(src.meta.RowGroup(g), src.meta.Schema.ColumnIndexByName(t.Concept), w.Concepts) {
			groups = append(groups, g)
		}
	}
	if w.Persons != nil {
		if groups, err = src.groupsOf(ctx, groups, t.Person, w.Persons); err != nil {
			return nil, err
		}
	}
	columns := slices.Clone(w.Columns)
	for _, f := range w.filters(t) {
		if !slices.Contains(columns, f.column) {
			columns = append(columns, f.column)
		}
	}
	parts := make([]part, len(groups))
	for i, g := range groups {
		parts[i] = src.wholeGroup(g)
		if w.Concepts != nil {
			if parts[i], err = src.partOf(g, t.Concept, w.Concepts); err != nil {
				return nil, err
			}
		}
		parts[i].byPage = parts[i].byPage || everyQuestionWants(t)
	}
	c, err := src.columns(ctx, parts, columns)
	if err != nil {
		return nil, err
	}
	defer c.close()
	schema := schemaOf(t, w.Columns)
	for _, p := range parts {
		b, err := c.batch(ctx, p, schema, w.filters(t))
		if err != nil {
			releaseAll(out)
			return nil, err
		}
		if b != nil {
			out = append(out, b)
		}
	}
	return out, nil
}

// everyQuestionWants says of which tables the pages stay, however much of them is
// read: the small ones that are read for each question anew.
func everyQuestionWants(t omop.Table) bool {
	return !t.PersonLevel || t.Name == "person" || t.Name == "observation_period"
}

// filter keeps the rows whose value in a column is wanted.
type filter struct {
	column string
	wanted []int64 // ascending
}

func (w Want) filters(t omop.Table) (out []filter) {
	if w.Concepts != nil {
		out = append(out, filter{t.Concept, w.Concepts})
	}
	if w.Persons != nil {
		out = append(out, filter{t.Person, w.Persons})
	}
	return out
}

// groupsOf gives, of some row groups, those that have rows of some persons. Of
// the rest no other column is fetched.
func (s *source) groupsOf(ctx context.Context, groups []int, column string, persons []int64) (out []int, err error) {
	parts := make([]part, len(groups))
	for i, g := range groups {
		parts[i] = s.wholeGroup(g)
	}
	c, err := s.columns(ctx, parts, []string{column})
	if err != nil {
		return nil, err
	}
	defer c.close()
	for i, g := range groups {
		ids, err := c.read(ctx, parts[i], column, arrow.PrimitiveTypes.Int64)
		if err != nil {
			return nil, err
		}
		if len(matching(ids.(*array.Int64), persons)) > 0 {
			out = append(out, g)
		}
		ids.Release()
	}
	return out, nil
}

// mayHold says, by its statistics, whether a row group can hold one of the
// concepts, which ascend.
func mayHold(rg *metadata.RowGroupMetaData, column int, concepts []int64) bool {
	c, err := rg.ColumnChunk(column)
	if err != nil {
		return true
	}
	stats, err := c.Statistics()
	if err != nil || stats == nil {
		return true
	}
	if !stats.HasMinMax() {
		return stats.NullCount() < rg.NumRows()
	}
	n, ok := stats.(*metadata.Int64Statistics)
	if !ok {
		return true
	}
	i := sort.Search(len(concepts), func(i int) bool { return concepts[i] >= n.Min() })
	return i < len(concepts) && concepts[i] <= n.Max()
}

// run is the rows [lo, hi) of a batch.
type run struct{ lo, hi int64 }

// matching gives the runs of rows whose concept, or person, is wanted. Rows are
// sorted by concept, then person, so runs are as few as the wanted concepts.
func matching(column *array.Int64, wanted []int64) (runs []run) {
	values, nulls := column.Int64Values(), column.NullN() > 0
	last, match := int64(0), false
	for i, v := range values {
		if i == 0 || v != last {
			_, match = slices.BinarySearch(wanted, v)
			last = v
		}
		if !match || nulls && column.IsNull(i) {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].hi == int64(i) {
			runs[n-1].hi++
		} else {
			runs = append(runs, run{int64(i), int64(i) + 1})
		}
	}
	return runs
}

// both gives the rows that are in both lists of runs.
func both(a, b []run) (out []run) {
	for len(a) > 0 && len(b) > 0 {
		if lo, hi := max(a[0].lo, b[0].lo), min(a[0].hi, b[0].hi); lo < hi {
			out = append(out, run{lo, hi})
		}
		if a[0].hi < b[0].hi {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// pick gives the rows of some runs as one batch, without copying where it is
// one run; nil if there is none.
func pick(batch arrow.RecordBatch, runs []run) (arrow.RecordBatch, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	cols := make([]arrow.Array, batch.NumCols())
	defer releaseColumns(cols)
	for i := range cols {
		var err error
		if cols[i], err = gather(batch.Column(i), runs); err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(batch.Schema(), cols, int64(cols[0].Len())), nil
}

func releaseColumns(cols []arrow.Array) {
	for _, c := range cols {
		if c != nil {
			c.Release()
		}
	}
}

// only keeps the first n columns of a batch, which it takes over.
func only(batch arrow.RecordBatch, n int) arrow.RecordBatch {
	if int(batch.NumCols()) == n {
		return batch
	}
	defer batch.Release()
	return array.NewRecordBatch(arrow.NewSchema(batch.Schema().Fields()[:n], nil), batch.Columns()[:n], batch.NumRows())
}
