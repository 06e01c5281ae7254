package warehouse

import (
	"context"
	"errors"
	"io"
	"slices"

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

// columns reads parts of row groups of a source, whose bytes are fetched.
// Numbers and days are decoded straight into recycled memory; text, which callers
// may keep longer than its batch, into memory of its own.
type columns struct {
	src    *source
	places []int // of the columns in the file
	window *window
	file   *file.Reader
	text   *pqarrow.FileReader // nil until there is a text column
}

// columns gives a reader of some columns of some parts, which it fetches. It
// serves one goroutine.
func (s *source) columns(ctx context.Context, parts []part, names []string) (*columns, error) {
	places := make([]int, len(names))
	for i, name := range names {
		var err error
		if places[i], err = s.place(name); err != nil {
			return nil, err
		}
	}
	var ranges [][2]int64
	for _, p := range parts {
		some, err := s.stretches(p, places...)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, some...)
	}
	if err := s.fetchPlain(ctx, ranges); err != nil {
		return nil, err
	}
	w := s.window()
	props := parquet.NewReaderProperties(recycled)
	props.BufferedStreamEnabled, props.BufferSize = true, headerBytes
	f, err := file.NewParquetReader(w, file.WithMetadata(s.meta), file.WithReadProps(props))
	if err != nil {
		return nil, s.damaged("it is not Parquet", err)
	}
	return &columns{src: s, places: places, window: w, file: f}, nil
}

// place gives the place of a column in the file.
func (s *source) place(name string) (int, error) {
	at := s.meta.Schema.ColumnIndexByName(name)
	if at < 0 {
		return 0, s.damaged("it has no column "+name, nil)
	}
	return at, nil
}

// chunk gives offset and length, in the plaintext, of one column in one row group.
func (s *source) chunk(group, column int) (r [2]int64, err error) {
	c, err := s.meta.RowGroup(group).ColumnChunk(column)
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

// window is the plaintext of a source, of which some stretches are in memory.
type window struct {
	*io.SectionReader
	tail stretch // stays
	held []stretch
}

type stretch struct {
	at   int64
	data []byte
}

func (s stretch) holds(off int64) bool { return off >= s.at && off < s.at+int64(len(s.data)) }

func (s *source) window() *window {
	return &window{SectionReader: io.NewSectionReader(s.plain, 0, s.entry.Plain), tail: s.tail}
}

// ReadAt gives no more than is left of a stretch: what is read ahead of a page's
// header is not worth opening more.
func (w *window) ReadAt(p []byte, off int64) (int, error) {
	from := w.tail
	if i := slices.IndexFunc(w.held, func(s stretch) bool { return s.holds(off) }); i >= 0 {
		from = w.held[i]
	}
	if !from.holds(off) {
		return w.SectionReader.ReadAt(p, off)
	}
	n := copy(p, from.data[off-from.at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// hold opens stretches of the plaintext in place of those held; each is one read,
// since each read costs the memory of a chunk besides.
func (w *window) hold(stretches [][2]int64) error {
	w.release()
	for _, s := range stretches {
		data := recycled.Allocate(int(s[1]))
		w.held = append(w.held, stretch{s[0], data})
		if n, err := w.SectionReader.ReadAt(data, s[0]); n < len(data) {
			return err
		}
	}
	return nil
}

// holds says whether a stretch (offset and length) is in memory.
func (w *window) holds(s [2]int64) bool {
	in := func(h stretch) bool { return h.holds(s[0]) && h.holds(s[0]+s[1]-1) }
	return in(w.tail) || slices.ContainsFunc(w.held, in)
}

// release gives the memory of what is held back.
func (w *window) release() {
	for _, s := range w.held {
		recycled.Free(s.data)
	}
	w.held = w.held[:0]
}

// read gives one column of a part, which must be of the type. The caller releases
// it.
func (c *columns) read(ctx context.Context, p part, name string, dt arrow.DataType) (arrow.Array, error) {
	if at := c.src.schema.FieldIndices(name); len(at) != 1 || !arrow.TypeEqual(c.src.schema.Field(at[0]).Type, dt) {
		return nil, havre.E("warehouse.read", havre.Tampered, "a segment's column "+name+" is not of the type "+dt.String())
	}
	a, err := c.values(ctx, p, name, dt)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, c.src.damaged("its rows cannot be read", err)
	}
	return a, nil
}

func (c *columns) values(ctx context.Context, p part, name string, dt arrow.DataType) (a arrow.Array, err error) {
	defer gaveUp(&err)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at, err := c.src.place(name)
	if err != nil {
		return nil, err
	}
	if rows := c.src.meta.RowGroup(p.group).NumRows(); rows < 0 || rows > c.src.entry.Rows {
		return nil, errors.New("a row group is longer than the segment")
	}
	if !p.byPage {
		return c.decode(ctx, p, at, dt)
	}
	return c.byPage(ctx, p, at, dt)
}

// byPage reads a part from the blocks that stay, after it has decoded those that
// are missing.
func (c *columns) byPage(ctx context.Context, p part, at int, dt arrow.DataType) (arrow.Array, error) {
	pages, err := c.src.pages(p.group, at)
	if err != nil {
		return nil, err
	}
	places := touched(pages.blocks, p.spans)
	have := make([]kept, len(places))
	missing := part{group: p.group, byPage: true}
	c.src.mu.Lock()
	for i, k := range places {
		if have[i] = pages.kept[k]; have[i].values == nil {
			missing.spans = extended(missing.spans, pages.blocks[k])
		}
	}
	c.src.mu.Unlock()
	if len(missing.spans) > 0 {
		values, err := c.decode(ctx, missing, at, dt)
		if err != nil {
			return nil, err
		}
		c.src.grown(c.src, int64(values.Data().SizeInBytes()))
		from := int64(0)
		c.src.mu.Lock()
		for i, k := range places {
			if have[i].values == nil {
				have[i] = kept{values, from}
				pages.kept[k] = have[i]
				from += pages.blocks[k].hi - pages.blocks[k].lo
			}
		}
		c.src.mu.Unlock()
	}
	return assemble(p.spans, pages.blocks, places, have)
}

// assemble gives the rows of some spans from the blocks that have them.
func assemble(spans, blocks []run, places []int, have []kept) (arrow.Array, error) {
	var from []arrow.Array // of each piece
	var rows []run         // there
	i := 0
	for _, span := range spans {
		for lo := span.lo; lo < span.hi; {
			block := blocks[places[i]]
			if block.hi <= lo {
				i++
				continue
			}
			hi := min(span.hi, block.hi)
			at := run{have[i].from + lo - block.lo, have[i].from + hi - block.lo}
			if n := len(from); n > 0 && from[n-1] == have[i].values && rows[n-1].hi == at.lo {
				rows[n-1].hi = at.hi
			} else {
				from, rows = append(from, have[i].values), append(rows, at)
			}
			lo = hi
		}
	}
	pieces := make([]arrow.Array, len(from))
	defer func() { releaseColumns(pieces) }()
	for i := range from {
		pieces[i] = array.NewSlice(from[i], rows[i].lo, rows[i].hi)
	}
	if len(pieces) == 1 {
		pieces[0].Retain()
		return pieces[0], nil
	}
	return array.Concatenate(pieces, memory.DefaultAllocator)
}

// decode decodes a part of a column.
func (c *columns) decode(ctx context.Context, p part, at int, dt arrow.DataType) (a arrow.Array, err error) {
	if dt.ID() == arrow.STRING {
		return c.decodeText(ctx, p.group, at)
	}
	if err := c.open(p, at); err != nil {
		return nil, err
	}
	pages := []run{{0, c.src.meta.RowGroup(p.group).NumRows()}}
	if p.byPage {
		x, err := c.src.pages(p.group, at)
		if err != nil {
			return nil, err
		}
		pages = x.rows
	}
	r, err := c.file.RowGroup(p.group).Column(at)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	switch r := r.(type) {
	case *file.Int64ColumnChunkReader:
		return decodeFixed(r, p, pages, dt, arrow.Int64Traits.CastFromBytes)
	case *file.Int32ColumnChunkReader:
		return decodeFixed(r, p, pages, dt, arrow.Int32Traits.CastFromBytes)
	case *file.Float64ColumnChunkReader:
		return decodeFixed(r, p, pages, dt, arrow.Float64Traits.CastFromBytes)
	}
	return nil, errors.New("a column is of an unknown kind")
}

// open sees to it that a column of a part is held, and with it all others that
// are wanted.
func (c *columns) open(p part, at int) error {
	want, err := c.src.stretches(p, at)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(want, func(s [2]int64) bool { return !c.window.holds(s) }) {
		return nil
	}
	if want, err = c.src.stretches(p, c.places...); err != nil {
		return err
	}
	return c.window.hold(want)
}

// close gives memory back; the reader may be used again.
func (c *columns) close() { c.window.release() }

// fixedReader is a file.ColumnChunkReader of a type of fixed width.
type fixedReader[T any] interface {
	file.ColumnChunkReader
	ReadBatch(rows int64, values []T, definition, repetition []int16) (int64, int, error)
	Skip(rows int64) (int64, error)
}

// decodeFixed reads a part of a column of fixed width; pages are the rows of each
// page. What is null is zero.
func decodeFixed[T int32 | int64 | float64](r fixedReader[T], p part, pages []run, dt arrow.DataType, cast func([]byte) []T) (arrow.Array, error) {
	rows := int(p.rows())
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
	done, nulls := 0, 0
	at := int64(0) // the row that the reader is at
	for _, span := range p.spans {
		var err error
		if at > pages[holder(pages, span.lo)].lo { // in the same page
			_, err = r.Skip(span.lo - at)
		} else if span.lo > at {
			err = r.SeekToRow(span.lo)
		}
		if err != nil {
			return nil, err
		}
		at = span.hi
		end := done + int(span.hi-span.lo)
		var here []int16
		if levels != nil {
			here = levels[done:end]
		}
		n, present, err := r.ReadBatch(span.hi-span.lo, to[done:end], here, nil)
		if err == nil {
			err = r.Err()
		}
		if err != nil {
			return nil, err
		}
		if int(n) != end-done || levels == nil && present != end-done {
			return nil, errors.New("a column has fewer rows than its group")
		}
		if present < end-done {
			spread(to[done:end], here, present)
			nulls += end - done - present
		}
		done = end
	}
	if nulls == 0 {
		return newArray(dt, rows, nil, values, 0), nil
	}
	valid := resized(int(bitutil.BytesForBits(int64(rows))))
	defer valid.Release()
	clear(valid.Bytes())
	for i, level := range levels {
		valid.Bytes()[i/8] |= byte(level) << (i % 8)
	}
	return newArray(dt, rows, valid, values, nulls), nil
}

// spread moves the values that are present, which come first, to where they
// belong.
func spread[T any](values []T, levels []int16, present int) {
	var none T
	for i := len(levels) - 1; i >= 0; i-- {
		if levels[i] == 0 {
			values[i] = none
			continue
		}
		present--
		values[i] = values[present]
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
