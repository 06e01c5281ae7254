package warehouse

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/havre"
)

// headerBytes is what is read ahead of a page, for its header.
const headerBytes = 256

// columns reads whole column chunks of a source, whose bytes are fetched.
// Numbers and days are decoded straight into recycled memory; text, which callers
// may keep longer than its batch, into memory of its own.
type columns struct {
	src    *source
	window *window
	file   *file.Reader
	text   *pqarrow.FileReader // nil until there is a text column
}

// columns gives a reader of some columns of some row groups, which it fetches.
// It serves one goroutine.
func (s *source) columns(ctx context.Context, groups []int, names []string) (*columns, error) {
	var ranges [][2]int64
	for _, g := range groups {
		for _, name := range names {
			r, err := s.chunk(g, name)
			if err != nil {
				return nil, err
			}
			ranges = append(ranges, r)
		}
	}
	if err := s.fetchPlain(ctx, ranges); err != nil {
		return nil, err
	}
	w := &window{SectionReader: io.NewSectionReader(s.plain, 0, s.entry.Plain)}
	props := parquet.NewReaderProperties(recycled)
	props.BufferedStreamEnabled, props.BufferSize = true, headerBytes
	f, err := file.NewParquetReader(w, file.WithMetadata(s.meta), file.WithReadProps(props))
	if err != nil {
		return nil, s.damaged("it is not Parquet", err)
	}
	return &columns{src: s, window: w, file: f}, nil
}

// chunk gives offset and length, in the plaintext, of one column in one row group.
func (s *source) chunk(group int, name string) (r [2]int64, err error) {
	i := s.meta.Schema.ColumnIndexByName(name)
	if i < 0 {
		return r, s.damaged("it has no column "+name, nil)
	}
	c, err := s.meta.RowGroup(group).ColumnChunk(i)
	if err != nil {
		return r, s.damaged("a column chunk is unreadable", err)
	}
	r = [2]int64{c.DataPageOffset(), c.TotalCompressedSize()}
	if c.HasDictionaryPage() {
		r[0] = min(r[0], c.DictionaryPageOffset())
	}
	if r[0] < 0 || r[1] < 0 || r[1] > s.entry.Plain-r[0] {
		return r, s.damaged("a column chunk lies outside of it", nil)
	}
	return r, nil
}

// window is the plaintext of a source, of which one stretch is in memory.
type window struct {
	*io.SectionReader
	at   int64
	data []byte
}

func (w *window) ReadAt(p []byte, off int64) (int, error) {
	if off >= w.at && off+int64(len(p)) <= w.at+int64(len(w.data)) {
		return copy(p, w.data[off-w.at:]), nil
	}
	return w.SectionReader.ReadAt(p, off)
}

// read gives one column of one row group, which must be of the type.
func (c *columns) read(ctx context.Context, group int, name string, dt arrow.DataType) (arrow.Array, error) {
	if at := c.src.schema.FieldIndices(name); len(at) != 1 || !arrow.TypeEqual(c.src.schema.Field(at[0]).Type, dt) {
		return nil, havre.E("warehouse.read", havre.Tampered, "a segment's column "+name+" is not of the type "+dt.String())
	}
	a, err := c.decode(ctx, group, name, dt)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, c.src.damaged("its rows cannot be read", err)
	}
	return a, nil
}

func (c *columns) decode(ctx context.Context, group int, name string, dt arrow.DataType) (a arrow.Array, err error) {
	defer gaveUp(&err)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at := c.src.meta.Schema.ColumnIndexByName(name)
	rows := c.src.meta.RowGroup(group).NumRows()
	if rows < 0 || rows > c.src.entry.Rows {
		return nil, errors.New("a row group is longer than the segment")
	}
	if dt.ID() == arrow.STRING {
		return c.decodeText(ctx, group, at)
	}
	chunk, err := c.src.chunk(group, name)
	if err != nil {
		return nil, err
	}
	data := recycled.Allocate(int(chunk[1]))
	defer recycled.Free(data)
	if n, err := c.window.SectionReader.ReadAt(data, chunk[0]); n < len(data) {
		return nil, err
	}
	c.window.at, c.window.data = chunk[0], data
	defer func() { c.window.data = nil }()
	r, err := c.file.RowGroup(group).Column(at)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	switch r := r.(type) {
	case *file.Int64ColumnChunkReader:
		return decodeFixed(r, int(rows), dt, arrow.Int64Traits.CastFromBytes)
	case *file.Int32ColumnChunkReader:
		return decodeFixed(r, int(rows), dt, arrow.Int32Traits.CastFromBytes)
	case *file.Float64ColumnChunkReader:
		return decodeFixed(r, int(rows), dt, arrow.Float64Traits.CastFromBytes)
	}
	return nil, errors.New("a column is of an unknown kind")
}

// fixedReader is a file.ColumnChunkReader of a type of fixed width.
type fixedReader[T any] interface {
	file.ColumnChunkReader
	ReadBatch(rows int64, values []T, definition, repetition []int16) (int64, int, error)
}

// decodeFixed reads all rows of a column of fixed width. What is null is zero.
func decodeFixed[T int32 | int64 | float64](r fixedReader[T], rows int, dt arrow.DataType, cast func([]byte) []T) (arrow.Array, error) {
	values := resized(rows * dt.(arrow.FixedWidthDataType).Bytes())
	defer values.Release()
	to := cast(values.Bytes())
	if d := r.Descriptor(); d.MaxRepetitionLevel() > 0 || d.MaxDefinitionLevel() > 1 || len(to) != rows {
		return nil, errors.New("a column is not flat")
	}
	var levels []int16 // 1 where there is a value, if the column may have nulls
	if r.Descriptor().MaxDefinitionLevel() > 0 {
		b := resized(rows * 2)
		defer b.Release()
		levels = arrow.Int16Traits.CastFromBytes(b.Bytes())
	}
	n, present, err := r.ReadBatch(int64(rows), to, levels, nil)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return nil, err
	}
	if int(n) != rows || levels == nil && present != rows {
		return nil, errors.New("a column has fewer rows than its group")
	}
	if present == rows {
		return newArray(dt, rows, nil, values, 0), nil
	}
	valid := resized(int(bitutil.BytesForBits(int64(rows))))
	defer valid.Release()
	nulls := rows - present
	spread(to, levels, valid.Bytes(), present)
	return newArray(dt, rows, valid, values, nulls), nil
}

// spread moves the values that are present, which come first, to where they
// belong, and marks them.
func spread[T any](values []T, levels []int16, valid []byte, present int) {
	clear(valid)
	var none T
	for i := len(levels) - 1; i >= 0; i-- {
		if levels[i] == 0 {
			values[i] = none
			continue
		}
		present--
		values[i] = values[present]
		valid[i/8] |= 1 << (i % 8)
	}
}

// resized gives a buffer of recycled memory.
func resized(n int) *memory.Buffer {
	b := memory.NewResizableBuffer(recycled)
	b.Resize(n)
	return b
}

func newArray(dt arrow.DataType, rows int, valid, values *memory.Buffer, nulls int) arrow.Array {
	d := array.NewData(dt, rows, []*memory.Buffer{valid, values}, nil, nulls, 0)
	defer d.Release()
	return array.MakeFromData(d)
}

func (c *columns) decodeText(ctx context.Context, group, at int) (arrow.Array, error) {
	if c.text == nil {
		f, err := file.NewParquetReader(io.NewSectionReader(c.src.plain, 0, c.src.entry.Plain), file.WithMetadata(c.src.meta))
		if err != nil {
			return nil, err
		}
		if c.text, err = pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator); err != nil {
			return nil, err
		}
	}
	table, err := c.text.ReadRowGroups(ctx, []int{at}, []int{group})
	if err != nil {
		return nil, err
	}
	defer table.Release()
	chunks := table.Column(0).Data().Chunks()
	if len(chunks) == 1 {
		chunks[0].Retain()
		return chunks[0], nil
	}
	return array.Concatenate(chunks, memory.DefaultAllocator)
}
