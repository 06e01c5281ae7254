package permit

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// cutter turns the rows of one read into those that the permit lets exist.
type cutter struct {
	view    *View
	table   omop.Table
	bucket  int
	asked   []string       // columns of the caller
	want    warehouse.Want // those, and what the rules need besides
	days    days
	names   *bucketNames
	clipped bool // observation periods are clipped, not dropped
}

func newCutter(v *View, p *record.Permit, t omop.Table, w warehouse.Want, bucket int) (*cutter, error) {
	d, err := daysOf(p.Period)
	if err != nil {
		return nil, err
	}
	c := &cutter{view: v, table: t, bucket: bucket, asked: w.Columns, days: d, names: v.names.bucket(bucket), clipped: t.Name == "observation_period"}
	c.want = warehouse.Want{Table: w.Table, Columns: slices.Clone(w.Columns), Concepts: w.Concepts, Persons: c.names.persons(w.Persons)}
	c.need(t.Person)
	if d.bounded && t.Start != "" {
		c.need(t.Start)
	}
	if d.bounded && c.clipped {
		c.need(t.End)
	}
	if c.ranked() || slices.ContainsFunc(c.asked, func(column string) bool { return target(column) != "" }) {
		c.need(warehouse.HolderColumn)
	}
	return c, nil
}

func (c *cutter) need(column string) {
	if !slices.Contains(c.want.Columns, column) {
		c.want.Columns = append(c.want.Columns, column)
	}
}

// ranked says whether the table's own key is asked for and a rank within this
// read replaces it; keys that other rows name are replaced as they are there.
func (c *cutter) ranked() bool {
	return c.table.ID != "" && c.table.ID != c.table.Person && target(c.table.ID) == "" && slices.Contains(c.asked, c.table.ID)
}

// cut takes the batches over and gives those that the caller may see.
func (c *cutter) cut(ctx context.Context, batches []arrow.RecordBatch) ([]arrow.RecordBatch, error) {
	defer func() { releaseAll(batches) }()
	for i, b := range batches {
		kept, err := c.rows(ctx, b)
		if err != nil {
			return nil, err
		}
		b.Release()
		batches[i] = kept
	}
	ranks, err := c.ranks(batches)
	if err != nil {
		return nil, err
	}
	held := batches
	batches = nil // shown releases them
	return c.shown(ctx, held, ranks)
}

// shown takes the batches over and gives the columns that the caller asked for.
func (c *cutter) shown(ctx context.Context, batches []arrow.RecordBatch, ranks []int64) (out []arrow.RecordBatch, err error) {
	defer func() {
		releaseAll(batches)
		if err != nil {
			releaseAll(out)
			out = nil
		}
	}()
	for _, b := range batches {
		n := int(b.NumRows())
		if n == 0 {
			continue
		}
		var own []int64
		if ranks != nil {
			own, ranks = ranks[:n], ranks[n:]
		}
		seen, err := c.columns(ctx, b, own)
		if err != nil {
			return out, err
		}
		out = append(out, seen)
	}
	return out, nil
}

// rows drops what does not exist for the permit: persons who opted out, rows of
// no person, and rows that start outside the period.
func (c *cutter) rows(ctx context.Context, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	persons, err := intsOf(b, c.table.Person)
	if err != nil {
		return nil, err
	}
	n := int(b.NumRows())
	keep := make([]bool, n)
	kept := 0
	values := persons.Int64Values()
	c.view.gate.mark(values, keep)
	var start, end *array.Date32
	if c.days.bounded && c.table.Start != "" {
		if start, err = datesOf(b, c.table.Start); err != nil {
			return nil, err
		}
		if c.clipped {
			if end, err = datesOf(b, c.table.End); err != nil {
				return nil, err
			}
		}
	}
	for i := range n {
		switch {
		case persons.IsNull(i):
			keep[i] = false
		case start == nil:
		case start.IsNull(i):
			keep[i] = false
		case end != nil:
			keep[i] = keep[i] && !end.IsNull(i) && start.Value(i) <= c.days.to && end.Value(i) >= c.days.from
		default:
			keep[i] = keep[i] && start.Value(i) >= c.days.from && start.Value(i) <= c.days.to
		}
		if keep[i] {
			kept++
		}
	}
	if kept == n {
		b.Retain()
		return b, nil
	}
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	mask.AppendValues(keep, nil)
	filter := mask.NewBooleanArray()
	defer filter.Release()
	out, err := compute.FilterRecordBatch(ctx, b, filter, compute.DefaultFilterOptions())
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, havre.E("permit.read", havre.Internal, "rows could not be left out").Wrap(err)
	}
	return out, nil
}

// columns gives the columns that the caller asked for, in order, with what the
// permit puts in place of ids and dates.
func (c *cutter) columns(ctx context.Context, b arrow.RecordBatch, ranks []int64) (arrow.RecordBatch, error) {
	fields := make([]arrow.Field, len(c.asked))
	columns := make([]arrow.Array, len(c.asked))
	defer func() {
		for _, a := range columns {
			if a != nil {
				a.Release()
			}
		}
	}()
	for i, name := range c.asked {
		at := slices.Index(c.want.Columns, name)
		fields[i] = b.Schema().Field(at)
		switch {
		case name == c.table.Person:
			persons, err := intsOf(b, name)
			if err != nil {
				return nil, err
			}
			pseudonyms := slices.Clone(persons.Int64Values())
			if err := c.names.replace(pseudonyms); err != nil {
				return nil, err
			}
			columns[i] = ints(pseudonyms)
		case target(name) != "":
			keys, err := c.replaceKeys(ctx, b, name)
			if err != nil {
				return nil, err
			}
			columns[i] = keys
		case name == c.table.ID:
			columns[i] = ints(ranks)
		case c.clipped && c.days.bounded && (name == c.table.Start || name == c.table.End):
			dates, err := datesOf(b, name)
			if err != nil {
				return nil, err
			}
			columns[i] = clip(dates, c.days)
		default:
			columns[i] = b.Column(at)
			columns[i].Retain()
		}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, b.NumRows()), nil
}

// ranks numbers the rows of all batches from 1 in the order of the table's own
// key, then of the holder; nil if the key is not asked for.
func (c *cutter) ranks(batches []arrow.RecordBatch) ([]int64, error) {
	if !c.ranked() {
		return nil, nil
	}
	n := 0
	for _, b := range batches {
		n += int(b.NumRows())
	}
	ids, holders := make([]int64, 0, n), make([]int64, 0, n)
	for _, b := range batches {
		id, err := intsOf(b, c.table.ID)
		if err != nil {
			return nil, err
		}
		holder, err := intsOf(b, warehouse.HolderColumn)
		if err != nil {
			return nil, err
		}
		ids, holders = append(ids, id.Int64Values()...), append(holders, holder.Int64Values()...)
	}
	return rank(ids, holders), nil
}

func releaseAll(batches []arrow.RecordBatch) {
	for _, b := range batches {
		b.Release()
	}
}

// clip moves dates into the period; none is null, rows that had one are gone.
func clip(dates *array.Date32, d days) arrow.Array {
	b := array.NewDate32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(dates.Len())
	for _, v := range dates.Date32Values() {
		b.UnsafeAppend(min(max(v, d.from), d.to))
	}
	return b.NewArray()
}

func ints(values []int64) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(values, nil)
	return b.NewArray()
}

func intsOf(b arrow.RecordBatch, column string) (*array.Int64, error) {
	return columnOf[*array.Int64](b, column)
}

func datesOf(b arrow.RecordBatch, column string) (*array.Date32, error) {
	return columnOf[*array.Date32](b, column)
}

func columnOf[A any](b arrow.RecordBatch, column string) (none A, err error) {
	at := b.Schema().FieldIndices(column)
	if len(at) == 1 {
		if a, ok := b.Column(at[0]).(A); ok {
			return a, nil
		}
	}
	return none, havre.E("permit.read", havre.Internal, "the warehouse gave no column "+column+" of the type it has in the CDM")
}
