package omop

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	cdm "github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/holder/intake"
	"github.com/havre-hub/havre/internal/holder/intake/delimited"
)

const batchRows = 8192

// parquetHeader gives the names of the top-level columns. Columns of nested
// types have no values that a CDM field could take; they are named so that
// they are listed as ignored.
func (r *reading) parquetHeader(ctx context.Context) (names []string, err error) {
	if r.entry.duck != nil {
		return r.entry.duck.columns, nil
	}
	defer r.entry.recovered(&err)
	p, err := r.openParquet(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer p.close()
	for _, f := range p.reader.Manifest.Fields {
		names = append(names, f.Field.Name)
	}
	return names, nil
}

type parquetFile struct {
	reader *pqarrow.FileReader
	close  func()
}

func (r *reading) openParquet(ctx context.Context, batch int64) (*parquetFile, error) {
	src, closer, err := r.entry.openAt(ctx)
	if err != nil {
		return nil, err
	}
	pf, err := file.NewParquetReader(src)
	if err != nil {
		_ = closer.Close()
		return nil, r.entry.broken("it is not a whole Parquet file", err)
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: batch}, memory.DefaultAllocator)
	if err != nil {
		_ = closer.Close()
		return nil, r.entry.broken("its Parquet schema cannot be read", err)
	}
	return &parquetFile{fr, func() { _ = pf.Close(); _ = closer.Close() }}, nil
}

// recovered turns a panic of the Parquet library over a damaged file into an
// error that names the file.
func (e entry) recovered(err *error) {
	if p := recover(); p != nil {
		*err = e.broken("its Parquet content cannot be read", fmt.Errorf("%v", p))
	}
}

// parquetRows gives the rows of a Parquet file, one batch of a row group in
// memory at a time.
func (r reading) parquetRows(ctx context.Context, yield func(*intake.Row, error) bool) error {
	p, err := r.openParquet(ctx, batchRows)
	if err != nil {
		return err
	}
	defer p.close()
	leaves, batchColumn := p.leaves(r.layout)
	next, release, err := r.batches(ctx, p, leaves)
	if err != nil {
		return err
	}
	defer release()
	out := parquetRow{reading: r, row: &intake.Row{Values: make([][]byte, len(r.layout.from)), Others: make([][]byte, len(r.layout.others))}}
	for {
		b, err := next()
		if err != nil || b == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		out.bind(b, batchColumn)
		for i := range int(b.NumRows()) {
			if !yield(out.at(i), nil) {
				return nil
			}
		}
	}
}

// leaves lists the Parquet leaf columns that the layout wants, and for each
// source column its place in the batches, -1 if it is nested.
func (p *parquetFile) leaves(l layout) (leaves []int, place []int) {
	place = make([]int, l.columns)
	wanted := make([]bool, l.columns)
	for _, i := range append(append([]int{}, l.from...), l.others...) {
		wanted[i] = true
	}
	for i, f := range p.reader.Manifest.Fields {
		place[i] = -1
		if wanted[i] && f.IsLeaf() && f.ColIndex >= 0 {
			place[i] = len(leaves)
			leaves = append(leaves, f.ColIndex)
		}
	}
	return leaves, place
}

// batches gives a function that reads the next batch, nil at the end. The
// Parquet library runs only inside it, so that its panics over damaged files
// are told apart from those of the caller.
func (r reading) batches(ctx context.Context, p *parquetFile, leaves []int) (next func() (arrow.RecordBatch, error), release func(), err error) {
	defer r.entry.recovered(&err)
	if p.reader.ParquetReader().NumRows() == 0 {
		return func() (arrow.RecordBatch, error) { return nil, nil }, func() {}, nil
	}
	rr, err := p.reader.GetRecordReader(ctx, leaves, nil)
	if err != nil {
		return nil, nil, r.entry.broken("its Parquet content cannot be read", err)
	}
	next = func() (b arrow.RecordBatch, err error) {
		defer r.entry.recovered(&err)
		b, err = rr.Read()
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, r.entry.broken("its Parquet content cannot be read", err)
		}
		return b, nil
	}
	return next, rr.Release, nil
}

// parquetRow makes rows of a batch.
type parquetRow struct {
	reading
	row     *intake.Row
	values  []printer // by layout.from
	others  []printer // by layout.others
	norm    normaliser
	scratch []byte
}

// printer appends the text of row i, nothing for null.
type printer func(b []byte, i int) []byte

func (o *parquetRow) bind(b arrow.RecordBatch, place []int) {
	column := func(from int, t cdm.Type) printer {
		if place[from] < 0 {
			return func(b []byte, _ int) []byte { return b }
		}
		return printerOf(b.Column(place[from]), t)
	}
	o.values, o.others = o.values[:0], o.others[:0]
	for i, from := range o.layout.from {
		o.values = append(o.values, column(from, o.layout.fields[i].Type))
	}
	for _, from := range o.layout.others {
		o.others = append(o.others, column(from, cdm.Text))
	}
}

func (o *parquetRow) at(i int) *intake.Row {
	row := o.row
	row.Number++
	row.Recoded, row.Fault, row.Raw = 0, intake.NoFault, nil
	o.norm.reset()
	o.scratch = o.scratch[:0]
	for k, p := range o.values {
		row.Values[k] = o.text(p, i, o.layout.fields[k].Type)
	}
	for k, p := range o.others {
		row.Others[k] = o.text(p, i, cdm.Text)
	}
	if row.Fault != intake.NoFault {
		row.Raw, row.Recoded = o.scratch, 0
	}
	return row
}

func (o *parquetRow) text(p printer, i int, t cdm.Type) []byte {
	start := len(o.scratch)
	o.scratch = p(o.scratch, i)
	v := o.scratch[start:len(o.scratch):len(o.scratch)]
	if delimited.NeedsCare(v) {
		text, recoded, ok := delimited.UTF8(v)
		if !ok {
			o.row.Fault = intake.Encoding
		}
		if recoded {
			o.row.Recoded++
		}
		v = text
	}
	return o.norm.value(t, v)
}

// printerOf prints the values of a column as the CDM type t would have them.
func printerOf(a arrow.Array, t cdm.Type) printer {
	some := someOf(a, t)
	if a.NullN() == 0 {
		return some
	}
	return func(b []byte, i int) []byte {
		if a.IsNull(i) {
			return b
		}
		return some(b, i)
	}
}

func someOf(a arrow.Array, t cdm.Type) printer {
	switch a := a.(type) {
	case *array.Int64:
		return func(b []byte, i int) []byte { return strconv.AppendInt(b, a.Value(i), 10) }
	case *array.Int32:
		return func(b []byte, i int) []byte { return strconv.AppendInt(b, int64(a.Value(i)), 10) }
	case *array.Int16:
		return func(b []byte, i int) []byte { return strconv.AppendInt(b, int64(a.Value(i)), 10) }
	case *array.Int8:
		return func(b []byte, i int) []byte { return strconv.AppendInt(b, int64(a.Value(i)), 10) }
	case *array.Uint64:
		return func(b []byte, i int) []byte { return strconv.AppendUint(b, a.Value(i), 10) }
	case *array.Uint32:
		return func(b []byte, i int) []byte { return strconv.AppendUint(b, uint64(a.Value(i)), 10) }
	case *array.Uint16:
		return func(b []byte, i int) []byte { return strconv.AppendUint(b, uint64(a.Value(i)), 10) }
	case *array.Uint8:
		return func(b []byte, i int) []byte { return strconv.AppendUint(b, uint64(a.Value(i)), 10) }
	case *array.Float64:
		return func(b []byte, i int) []byte { return appendFloat(b, a.Value(i), 64, t) }
	case *array.Float32:
		return func(b []byte, i int) []byte { return appendFloat(b, float64(a.Value(i)), 32, t) }
	case *array.Float16:
		return func(b []byte, i int) []byte { return appendFloat(b, float64(a.Value(i).Float32()), 32, t) }
	case *array.Boolean:
		return func(b []byte, i int) []byte {
			if a.Value(i) {
				return append(b, '1')
			}
			return append(b, '0')
		}
	case *array.String:
		return func(b []byte, i int) []byte { return append(b, a.Value(i)...) }
	case *array.LargeString:
		return func(b []byte, i int) []byte { return append(b, a.Value(i)...) }
	case *array.Binary:
		return func(b []byte, i int) []byte { return append(b, a.Value(i)...) }
	case *array.LargeBinary:
		return func(b []byte, i int) []byte { return append(b, a.Value(i)...) }
	case *array.FixedSizeBinary:
		return func(b []byte, i int) []byte { return append(b, a.Value(i)...) }
	case *array.Date32:
		return func(b []byte, i int) []byte { return a.Value(i).ToTime().AppendFormat(b, time.DateOnly) }
	case *array.Date64:
		return func(b []byte, i int) []byte { return a.Value(i).ToTime().AppendFormat(b, time.DateOnly) }
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return func(b []byte, i int) []byte {
			return a.Value(i).ToTime(unit).UTC().AppendFormat(b, "2006-01-02 15:04:05.999999999")
		}
	case *array.Time32:
		unit := a.DataType().(*arrow.Time32Type).Unit
		return func(b []byte, i int) []byte { return a.Value(i).ToTime(unit).AppendFormat(b, "15:04:05.999999") }
	case *array.Time64:
		unit := a.DataType().(*arrow.Time64Type).Unit
		return func(b []byte, i int) []byte { return a.Value(i).ToTime(unit).AppendFormat(b, "15:04:05.999999999") }
	case *array.Decimal32:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return func(b []byte, i int) []byte { return append(b, a.Value(i).ToString(scale)...) }
	case *array.Decimal64:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return func(b []byte, i int) []byte { return append(b, a.Value(i).ToString(scale)...) }
	case *array.Decimal128:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return func(b []byte, i int) []byte { return append(b, a.Value(i).ToString(scale)...) }
	case *array.Decimal256:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return func(b []byte, i int) []byte { return append(b, a.Value(i).ToString(scale)...) }
	case *array.Dictionary:
		inner := printerOf(a.Dictionary(), t)
		return func(b []byte, i int) []byte { return inner(b, a.GetValueIndex(i)) }
	case array.ExtensionArray:
		return printerOf(a.Storage(), t)
	}
	return func(b []byte, i int) []byte { return append(b, a.ValueStr(i)...) }
}

// appendFloat prints the shortest digits that give the number back; a whole
// number meant for an integer field, all its digits. NaN is null.
func appendFloat(b []byte, v float64, bits int, t cdm.Type) []byte {
	switch {
	case math.IsNaN(v):
		return b
	case t != cdm.Float && v == math.Trunc(v) && math.Abs(v) < 1<<63:
		return strconv.AppendInt(b, int64(v), 10)
	}
	if size := math.Abs(v); size == 0 || (size >= 1e-6 && size < 1e21) {
		return strconv.AppendFloat(b, v, 'f', -1, bits)
	}
	return strconv.AppendFloat(b, v, 'e', -1, bits)
}
