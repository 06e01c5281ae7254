package warehouse

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// Ciphertext is fetched in blocks of blockSize. An object no longer than
// wholeSize is fetched whole at once: below that, the further answers that
// ranges need cost more than the bytes they save (BenchmarkFetch).
const (
	blockSize = 256 << 10
	wholeSize = 2 << 20
)

// usualTail is how much of the end of a segment is opened first: most footers and
// indexes of pages are no longer.
const usualTail = 32 << 10

// Sizes of the age v1 payload: chunks of 64 KiB, each with a tag of 16 bytes.
const (
	chunkPlain  = 64 << 10
	chunkSealed = chunkPlain + 16
)

// source is one sealed segment, opened for random access. Blocks of ciphertext
// are fetched before they are read and stay. Plaintext is made at each read; what
// is read page by page stays decoded, as long as the cache has room. Safe for
// concurrent use.
type source struct {
	store blob.Store
	entry Segment
	grown func(*source, int64) // told how many bytes more are kept

	// blocks are set once each, under mu, and read without it: other reads of
	// the segment go on while one fetches.
	blocks []atomic.Pointer[[]byte]

	mu     sync.Mutex // guards fetching and all below
	begun  bool       // something was fetched
	plain  io.ReaderAt
	meta   *metadata.FileMetaData
	schema *arrow.Schema // what meta says, as types of Arrow

	index []*metadata.RowGroupPageIndexReader // by row group; nil: it has no index of pages
	tail  stretch                             // the plaintext of the indexes, or all if that is no more than a chunk
	// columnPages, by row group and column, has the pages that were asked for.
	columnPages map[[2]int]*pages
}

func newSource(store blob.Store, e Segment, grown func(*source, int64)) *source {
	return &source{store: store, entry: e, grown: grown, blocks: make([]atomic.Pointer[[]byte], (max(e.Size, 0)+blockSize-1)/blockSize)}
}

// open fetches and checks the head, and reads the Parquet footer.
func (s *source) open(ctx context.Context, with opener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meta != nil {
		return nil
	}
	e := s.entry
	tail := max(0, e.Size-2*chunkSealed) // the last chunk, whose tag proves the length, and most footers
	if err := s.fetch(ctx, [2]int64{0, e.Head}, [2]int64{tail, e.Size}); err != nil {
		return err
	}
	head := make([]byte, e.Head)
	if _, err := (ciphertext{s}).ReadAt(head, 0); err != nil {
		return s.damaged("its head is missing", err)
	}
	if sum(head) != e.HeadSHA {
		return s.damaged("it is not the object that the snapshot names", nil)
	}
	plain, size, err := with(ciphertext{s}, e.Size)
	if err != nil {
		return havre.E("warehouse.open", havre.KindOf(err), "segment "+e.Object+" could not be opened").Wrap(err)
	}
	if size != e.Plain {
		return s.damaged("its length is not what the snapshot says", nil)
	}
	s.plain = plain
	tailPlain := min(size, usualTail)
	if size <= chunkPlain { // one chunk, opened once and kept
		tailPlain = size
	}
	if err := s.keepTail(size - tailPlain); err != nil {
		return err
	}
	footer := int64(binary.LittleEndian.Uint32(s.tail.data[len(s.tail.data)-8:])) + 8
	if footer > size {
		return s.damaged("its footer is longer than it is", nil)
	}
	if size-footer < s.tail.at {
		if err := s.fetch(ctx, s.sealed(size-footer, footer)); err != nil {
			return err
		}
		if err := s.keepTail(size - footer); err != nil {
			return err
		}
	}
	meta, schema, err := footerOf(s.window())
	if err != nil {
		return s.damaged("it is not Parquet", err)
	}
	if err := s.openIndex(ctx, meta, size-footer); err != nil {
		return err
	}
	s.grown(s, int64(len(s.tail.data)))
	s.meta, s.schema = meta, schema // now it is open
	return nil
}

// keepTail reads the plaintext from a place to the end.
func (s *source) keepTail(from int64) error {
	if s.entry.Plain < 8 {
		return s.damaged("it is not Parquet", nil)
	}
	s.tail = stretch{from, make([]byte, s.entry.Plain-from)}
	if _, err := s.plain.ReadAt(s.tail.data, from); err != nil && err != io.EOF {
		return s.damaged("its footer cannot be read", err)
	}
	return nil
}

// trimTail keeps, of the tail, what lies between two places, unless the segment is
// no more than a chunk.
func (s *source) trimTail(from, to int64) {
	if s.entry.Plain > chunkPlain {
		s.tail = stretch{from, slices.Clone(s.tail.data[max(0, from-s.tail.at):max(0, to-s.tail.at)])}
	}
}

func footerOf(plain parquet.ReaderAtSeeker) (meta *metadata.FileMetaData, schema *arrow.Schema, err error) {
	defer gaveUp(&err)
	r, err := file.NewParquetReader(plain)
	if err != nil {
		return nil, nil, err
	}
	schema, err = pqarrow.FromParquet(r.MetaData().Schema, nil, nil)
	return r.MetaData(), schema, err
}

// openIndex fetches the indexes of pages, which lie between the rows and the
// footer. The caller holds mu.
func (s *source) openIndex(ctx context.Context, meta *metadata.FileMetaData, footer int64) (err error) {
	defer s.gaveUp(&err)
	first := footer
	for g := range meta.NumRowGroups() {
		group := meta.RowGroup(g)
		for c := range group.NumColumns() {
			if at, ok := group.ColumnIndexLocation(c); ok {
				first = min(first, at.Offset)
			}
			if at, ok := group.OffsetIndexLocation(c); ok {
				first = min(first, at.Offset)
			}
		}
	}
	s.index = make([]*metadata.RowGroupPageIndexReader, meta.NumRowGroups())
	if first == footer {
		s.trimTail(footer, footer)
		return nil
	}
	if first < 0 {
		return s.damaged("its indexes of pages lie outside of it", nil)
	}
	if first < s.tail.at {
		if err := s.fetch(ctx, s.sealed(first, footer-first)); err != nil {
			return err
		}
		if err := s.keepTail(first); err != nil {
			return err
		}
	}
	s.trimTail(first, footer)
	r, err := file.NewParquetReader(s.window(), file.WithMetadata(meta))
	if err != nil {
		return s.damaged("it is not Parquet", err)
	}
	for g := range s.index {
		if s.index[g], err = r.GetPageIndexReader().RowGroup(g); err != nil {
			return s.damaged("its indexes of pages lie outside of it", err)
		}
	}
	return nil
}

// gaveUp, deferred, makes an error of a panic: decoders panic on what no writer
// makes.
func gaveUp(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("a decoder gave up: %v", p)
	}
}

// gaveUp, deferred, does so for the indexes of pages.
func (s *source) gaveUp(err *error) {
	if p := recover(); p != nil {
		*err = s.damaged("its indexes of pages cannot be read", fmt.Errorf("a decoder gave up: %v", p))
	}
}

func (s *source) damaged(what string, err error) error {
	return havre.E("warehouse.open", havre.Tampered, "segment "+s.entry.Object+": "+what).
		WithHint("havre fsck lists all that is damaged; restore the object from a copy of the store").Wrap(err)
}

// sealed gives the range of ciphertext that holds n bytes of plaintext at off.
func (s *source) sealed(off, n int64) [2]int64 {
	first, last := off/chunkPlain, (off+max(n, 1)-1)/chunkPlain
	return [2]int64{s.entry.Head + first*chunkSealed, min(s.entry.Head+(last+1)*chunkSealed, s.entry.Size)}
}

// fetchPlain fetches the ciphertext of some ranges of plaintext (offset and
// length).
func (s *source) fetchPlain(ctx context.Context, ranges [][2]int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sealed := make([][2]int64, len(ranges))
	for i, r := range ranges {
		sealed[i] = s.sealed(r[0], r[1])
	}
	return s.fetch(ctx, sealed...)
}

// fetch gets the blocks of some ranges of ciphertext that are not here yet,
// neighbours in one request. The caller holds mu.
func (s *source) fetch(ctx context.Context, ranges ...[2]int64) error {
	last := (s.entry.Size - 1) / blockSize
	want := make(map[int64]bool)
	for _, r := range ranges {
		for b := r[0] / blockSize; b <= min((r[1]-1)/blockSize, last); b++ {
			want[b] = s.blocks[b].Load() == nil
		}
	}
	if s.entry.Size <= wholeSize && !s.begun {
		for b := range last + 1 {
			want[b] = true
		}
	}
	for b := int64(0); b <= last; b++ {
		if !want[b] {
			continue
		}
		end := b
		for want[end+1] {
			end++
		}
		off := b * blockSize
		n := min((end+1)*blockSize, s.entry.Size) - off
		data, err := s.store.Get(ctx, s.entry.Object, off, n)
		if err != nil {
			return err
		}
		if int64(len(data)) != n {
			return s.damaged("the store gave fewer bytes than were asked for", nil)
		}
		for i := b; i <= end; i++ {
			lo := (i - b) * blockSize
			block := data[lo:min(lo+blockSize, n)]
			s.blocks[i].Store(&block)
		}
		s.begun = true
		s.grown(s, n)
		b = end
	}
	return nil
}

// ciphertext reads what was fetched; the seal reads through it.
type ciphertext struct{ s *source }

func (c ciphertext) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < c.s.entry.Size {
		b := c.s.blocks[off/blockSize].Load()
		if b == nil {
			return n, havre.E("warehouse.open", havre.Internal, "a block of "+c.s.entry.Object+" was read before it was fetched")
		}
		k := copy(p[n:], (*b)[off%blockSize:])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
