package deliver

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// MaxPlain is the largest CSV text of one part, in bytes.
const MaxPlain = 32 << 20

// maxRow is the longest row of a part, in bytes: half of what the hub's CSV
// reader takes.
const maxRow = 8 << 20

// shelf takes sealed parts as they are finished, numbers them and keeps their
// description. Safe for concurrent use.
type shelf struct {
	put func(name string, sealed []byte) error

	mu     sync.Mutex
	number map[envelope.Purpose]int
	parts  []envelope.Part
}

func newShelf(put func(string, []byte) error) *shelf {
	return &shelf{put: put, number: map[envelope.Purpose]int{}}
}

func (s *shelf) add(p envelope.Part, sealed []byte) error {
	sum := sha256.Sum256(sealed)
	p.Size, p.SHA256 = int64(len(sealed)), hex.EncodeToString(sum[:])
	s.mu.Lock()
	s.number[p.Purpose]++
	p.Name = fmt.Sprintf("%s-%04d.age", p.Purpose, s.number[p.Purpose])
	s.mu.Unlock()
	if err := s.put(p.Name, sealed); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, p)
	return nil
}

// list gives the parts by purpose and number.
func (s *shelf) list() []envelope.Part {
	slices.SortFunc(s.parts, func(a, b envelope.Part) int {
		if len(a.Name) != len(b.Name) && a.Purpose == b.Purpose {
			return len(a.Name) - len(b.Name)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return s.parts
}

// writer makes the parts of one purpose, table and set of columns: CSV into
// zstd into age, so that only sealed bytes pile up. Not safe for concurrent use.
type writer struct {
	shelf  *shelf
	to     seal.Recipient
	part   envelope.Part
	header []byte
	line   []byte // the row being made
	first  bool   // no value of the row yet

	open   bool // a part is being written
	out    bytes.Buffer
	packed *zstd.Encoder
	sealed io.WriteCloser
}

func newWriter(s *shelf, to seal.Recipient, purpose envelope.Purpose, table string, columns []string) *writer {
	return &writer{
		shelf: s, to: to, first: true, header: []byte(strings.Join(columns, ",") + "\n"),
		part: envelope.Part{Purpose: purpose, Table: table, Columns: columns},
	}
}

// value adds a value to the row.
func (w *writer) value(v []byte) {
	if !w.first {
		w.line = append(w.line, ',')
	}
	w.first = false
	if !needsQuotes(v) {
		w.line = append(w.line, v...)
		return
	}
	w.line = append(w.line, '"')
	for _, c := range v {
		if c == '"' {
			w.line = append(w.line, '"')
		}
		w.line = append(w.line, c)
	}
	w.line = append(w.line, '"')
}

func needsQuotes(v []byte) bool {
	for _, c := range v {
		if c == ',' || c == '"' || c == '\n' || c == '\r' {
			return true
		}
	}
	return false
}

// endRow ends the row. It is not ok, and the row is dropped, if it is longer
// than a row may be.
func (w *writer) endRow() (ok bool, err error) {
	if len(w.line) == 0 {
		w.line = append(w.line, `""`...) // an empty line would be no row
	}
	w.line = append(w.line, '\n')
	defer func() { w.line, w.first = w.line[:0], true }()
	size := int64(len(w.line))
	if size > maxRow {
		return false, nil
	}
	if w.open && w.part.PlainSize+size > MaxPlain {
		if err := w.finish(); err != nil {
			return false, err
		}
	}
	if !w.open {
		if err := w.begin(); err != nil {
			return false, err
		}
	}
	w.part.Rows++
	w.part.PlainSize += size
	return true, w.write(w.line)
}

func (w *writer) begin() (err error) {
	w.open = true
	w.out.Reset()
	if w.sealed, err = seal.Writer(&w.out, w.to); err != nil {
		return err
	}
	if w.packed == nil {
		w.packed, err = zstd.NewWriter(w.sealed, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	} else {
		w.packed.Reset(w.sealed)
	}
	if err != nil {
		return sealError(err)
	}
	w.part.Rows, w.part.PlainSize = 0, int64(len(w.header))
	return w.write(w.header)
}

func (w *writer) write(b []byte) error {
	if _, err := w.packed.Write(b); err != nil {
		return sealError(err)
	}
	return nil
}

// finish seals the part that is open, if one is.
func (w *writer) finish() error {
	if !w.open {
		return nil
	}
	w.open = false
	if err := w.packed.Close(); err != nil {
		return sealError(err)
	}
	if err := w.sealed.Close(); err != nil {
		return sealError(err)
	}
	return w.shelf.add(w.part, w.out.Bytes())
}

func sealError(err error) error {
	return havre.E("deliver.seal", havre.Internal, "a part cannot be sealed").Wrap(err)
}
