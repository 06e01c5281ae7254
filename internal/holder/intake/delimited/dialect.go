// Package delimited reads delimited text (CSV and its kin) as holders really
// write it: any of the usual delimiters, encodings and line ends, with records
// that are broken told apart and kept.
package delimited

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/havre-hub/havre/internal/holder/intake"
)

// SniffSize is how much of a file Sniff wants to see.
const SniffSize = 64 << 10

// Delimiters are those that are known.
var Delimiters = []byte{',', ';', '\t', '|'}

// Dialect is how a text is written.
type Dialect struct {
	Delimiter byte
	macEnds   bool                // lines end in CR alone
	utf16     *unicode.Endianness // nil: bytes
}

// Sniff tells encoding and line ends from the first bytes of a file, and
// chooses the delimiter whose header is best: score says how good a header
// is. No header at all means that the file is empty.
func Sniff(head []byte, score func(header []string) int) (Dialect, []string, error) {
	d := Dialect{}
	little, big := unicode.LittleEndian, unicode.BigEndian
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		d.utf16 = &little
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		d.utf16 = &big
	case len(head) >= 4 && head[1] == 0 && head[3] == 0 && head[0] != 0:
		d.utf16 = &little
	case len(head) >= 4 && head[0] == 0 && head[2] == 0 && head[1] != 0:
		d.utf16 = &big
	}
	d.macEnds = bytes.IndexByte(head, '\r') >= 0 && bytes.IndexByte(head, '\n') < 0
	var header []string
	best := -1
	for _, c := range Delimiters {
		try := d
		try.Delimiter = c
		names, err := try.header(head)
		if err != nil {
			return d, nil, err
		}
		if n := score(names); n > best {
			header, best, d.Delimiter = names, n, c
		}
	}
	return d, header, nil
}

func (d Dialect) header(head []byte) ([]string, error) {
	s := NewScanner(d.Decode(bytes.NewReader(head)), d.Delimiter, 0)
	if ok, err := s.Next(); !ok {
		return nil, err
	}
	fields := s.Fields
	if s.Fault != intake.NoFault {
		fields = bytes.Split(s.Raw, []byte{d.Delimiter})
	}
	names := make([]string, len(fields))
	blank := true
	for i, f := range fields {
		text, _, _ := UTF8(f)
		names[i] = string(text)
		blank = blank && len(bytes.TrimSpace(f)) == 0
	}
	if blank {
		return nil, nil
	}
	return names, nil
}

// Decode takes away a byte order mark, UTF-16 and the line ends of old Macs.
func (d Dialect) Decode(r io.Reader) io.Reader {
	if d.utf16 != nil {
		r = unicode.UTF16(*d.utf16, unicode.UseBOM).NewDecoder().Reader(r)
	} else {
		r = &noMark{r: r}
	}
	if d.macEnds {
		r = macReader{r}
	}
	return r
}

// noMark drops a UTF-8 byte order mark.
type noMark struct {
	r    io.Reader
	done bool
	rest []byte
}

func (m *noMark) Read(p []byte) (int, error) {
	if !m.done {
		m.done = true
		var head [3]byte
		n, err := io.ReadFull(m.r, head[:])
		if m.rest = head[:n]; string(m.rest) == "\ufeff" {
			m.rest = nil
		}
		if n < len(head) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
	}
	if len(m.rest) > 0 {
		n := copy(p, m.rest)
		m.rest = m.rest[n:]
		return n, nil
	}
	return m.r.Read(p)
}

type macReader struct{ r io.Reader }

func (m macReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	for i, c := range p[:n] {
		if c == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// NeedsCare says whether a record holds bytes that may be no UTF-8, or NUL.
func NeedsCare(record []byte) bool {
	return bytes.IndexByte(record, 0) >= 0 || !utf8.Valid(record)
}

// UTF8 gives v as UTF-8: as it is, or read as Windows-1252 (recoded). It is
// not ok if v is neither, or holds a NUL.
func UTF8(v []byte) (text []byte, recoded, ok bool) {
	if bytes.IndexByte(v, 0) >= 0 {
		return v, false, false
	}
	if utf8.Valid(v) {
		return v, false, true
	}
	out := make([]byte, 0, len(v)+8)
	for _, c := range v {
		switch c {
		case 0x81, 0x8d, 0x8f, 0x90, 0x9d: // no characters of Windows-1252
			return v, false, false
		}
		out = utf8.AppendRune(out, charmap.Windows1252.DecodeByte(c))
	}
	return out, true, true
}
