package warehouse

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/havre-hub/havre/internal/havre"
)

// batch gives the rows of a part that pass all filters; nil if there is none.
// Where none passes, no other column is decoded.
func (c *columns) batch(ctx context.Context, p part, schema *arrow.Schema, filters []filter) (arrow.RecordBatch, error) {
	read := map[string]arrow.Array{}
	defer func() {
		for _, a := range read {
			a.Release()
		}
	}()
	column := func(name string, dt arrow.DataType) (arrow.Array, error) {
		if a, ok := read[name]; ok {
			return a, nil
		}
		a, err := c.read(ctx, p, name, dt)
		if err == nil {
			read[name] = a
		}
		return a, err
	}
	rows := p.rows()
	if rows == 0 {
		return nil, nil
	}
	runs := []run{{0, rows}}
	for _, f := range filters {
		a, err := column(f.column, arrow.PrimitiveTypes.Int64)
		if err != nil {
			return nil, err
		}
		if runs = both(runs, matching(a.(*array.Int64), f.wanted)); len(runs) == 0 {
			return nil, nil
		}
	}
	if p.byPage { // the pages stay: take from them what is wanted
		for name, a := range read {
			a.Release()
			delete(read, name)
		}
		p = p.narrow(runs)
		runs = []run{{0, p.rows()}}
	}
	cols := make([]arrow.Array, schema.NumFields())
	defer releaseColumns(cols)
	for i, f := range schema.Fields() {
		a, err := column(f.Name, f.Type)
		if err != nil {
			return nil, err
		}
		if cols[i], err = gather(a, runs); err != nil {
			return nil, err
		}
		a.Release() // its memory serves the next column
		delete(read, f.Name)
	}
	return array.NewRecordBatch(schema, cols, int64(cols[0].Len())), nil
}

// gather gives some runs of rows of a column, without copying where it is one.
func gather(a arrow.Array, runs []run) (arrow.Array, error) {
	if len(runs) == 1 {
		return array.NewSlice(a, runs[0].lo, runs[0].hi), nil
	}
	if dt, ok := a.DataType().(arrow.FixedWidthDataType); ok && dt.BitWidth()%8 == 0 {
		return gatherFixed(a, dt.Bytes(), runs), nil
	}
	pieces := make([]arrow.Array, len(runs))
	defer releaseColumns(pieces)
	for i, r := range runs {
		pieces[i] = array.NewSlice(a, r.lo, r.hi)
	}
	all, err := array.Concatenate(pieces, memory.DefaultAllocator)
	if err != nil {
		return nil, havre.E("warehouse.read", havre.Internal, "rows could not be joined").Wrap(err)
	}
	return all, nil
}

func gatherFixed(a arrow.Array, width int, runs []run) arrow.Array {
	rows := 0
	for _, r := range runs {
		rows += int(r.hi - r.lo)
	}
	values := resized(rows * width)
	defer values.Release()
	from, to := a.Data().Buffers()[1].Bytes()[a.Data().Offset()*width:], values.Bytes()
	for _, r := range runs {
		to = to[copy(to, from[int(r.lo)*width:int(r.hi)*width]):]
	}
	if a.NullN() == 0 {
		return newArray(a.DataType(), rows, nil, values, 0)
	}
	valid := resized(int(bitutil.BytesForBits(int64(rows))))
	defer valid.Release()
	clear(valid.Bytes())
	n := 0
	for _, r := range runs {
		bitutil.CopyBitmap(a.NullBitmapBytes(), a.Data().Offset()+int(r.lo), int(r.hi-r.lo), valid.Bytes(), n)
		n += int(r.hi - r.lo)
	}
	return newArray(a.DataType(), rows, valid, values, rows-bitutil.CountSetBits(valid.Bytes(), 0, rows))
}
