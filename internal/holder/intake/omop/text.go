package omop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"

	cdm "github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/holder/intake"
)

// dialect is how a text file is written, seen from its first bytes.
type dialect struct {
	delimiter byte
	macEnds   bool                // lines end in CR alone
	utf16     *unicode.Endianness // nil: bytes
}

const (
	sniffSize   = 64 << 10
	maxLine     = 64 << 20 // a longer line is no text file
	maxQuoted   = 4 << 20  // a record whose quotes hold it open for longer is broken
	firstBuffer = 256 << 10
)

// textHeader reads the first record; none means that the file is empty.
func (r *reading) textHeader(t cdm.Table) ([]string, error) {
	src, err := r.entry.open()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	head := make([]byte, sniffSize)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, r.entry.broken("it cannot be read", err)
	}
	r.text.sniff(head[:n])
	var header []string
	for _, delimiter := range []byte{',', ';', '\t', '|'} {
		d := r.text
		d.delimiter = delimiter
		names, err := d.firstRecord(head[:n])
		if err != nil {
			return nil, r.entry.broken("its header line cannot be read", err)
		}
		if len(header) == 0 || known(t, names) > known(t, header) {
			header, r.text = names, d
		}
	}
	return header, nil
}

// known counts the columns of the table that a header names.
func known(t cdm.Table, header []string) int {
	_, columns, _, _ := arrange(t, header)
	return len(columns)
}

func (d *dialect) sniff(head []byte) {
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
	cr, lf := bytes.IndexByte(head, '\r'), bytes.IndexByte(head, '\n')
	d.macEnds = cr >= 0 && lf < 0
}

func (d dialect) firstRecord(head []byte) ([]string, error) {
	s := newScanner(d.decode(bytes.NewReader(head)), d.delimiter, 0)
	if ok, err := s.next(); !ok {
		return nil, err
	}
	if s.fault != intake.NoFault {
		return strings.Split(string(s.raw), string(d.delimiter)), nil
	}
	names := make([]string, len(s.fields))
	blank := true
	for i, f := range s.fields {
		text, _, _ := utf8Text(f)
		names[i] = string(text)
		blank = blank && len(bytes.TrimSpace(f)) == 0
	}
	if blank {
		return nil, nil
	}
	return names, nil
}

// decode takes away a byte order mark, UTF-16 and the line ends of old Macs.
func (d dialect) decode(r io.Reader) io.Reader {
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

// textRows gives the records after the header.
func (r reading) textRows(ctx context.Context, yield func(*intake.Row, error) bool) error {
	src, err := r.entry.open()
	if err != nil {
		return err
	}
	defer src.Close()
	s := newScanner(r.text.decode(src), r.text.delimiter, r.layout.columns)
	if _, err := s.header(); err != nil {
		return r.entry.broken("its header line cannot be read", err)
	}
	row := &intake.Row{Values: make([][]byte, len(r.layout.from)), Others: make([][]byte, len(r.layout.others))}
	norm := normaliser{comma: r.text.delimiter == ';'}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ok, err := s.next()
		if err != nil {
			return r.entry.broken(fmt.Sprintf("it cannot be read after line %d", s.line), err)
		}
		if !ok {
			return nil
		}
		r.fill(row, s, &norm)
		if !yield(row, nil) {
			return nil
		}
	}
}

// fill makes a row of the scanner's record.
func (r reading) fill(row *intake.Row, s *scanner, norm *normaliser) {
	row.Number, row.Recoded, row.Fault, row.Raw = s.line, 0, s.fault, nil
	norm.reset()
	if row.Fault == intake.NoFault && s.odd {
		for i, f := range s.fields {
			text, recoded, ok := utf8Text(f)
			if !ok {
				row.Fault = intake.Encoding
				break
			}
			if recoded {
				row.Recoded++
			}
			s.fields[i] = text
		}
	}
	if row.Fault != intake.NoFault {
		row.Raw, row.Recoded = s.raw, 0
		clear(row.Values)
		clear(row.Others)
		return
	}
	for i, f := range r.layout.fields {
		row.Values[i] = norm.value(f.Type, s.fields[r.layout.from[i]])
	}
	for i, from := range r.layout.others {
		row.Others[i] = s.fields[from]
	}
}

// needsCare says whether a record holds bytes that may be no UTF-8, or NUL.
func needsCare(record []byte) bool {
	return bytes.IndexByte(record, 0) >= 0 || !utf8.Valid(record)
}
