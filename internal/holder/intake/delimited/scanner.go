package delimited

import (
	"bytes"
	"errors"
	"io"

	"github.com/havre-hub/havre/internal/holder/intake"
)

const (
	maxLine     = 64 << 20 // a longer line is no text file
	maxQuoted   = 4 << 20  // a record whose quotes hold it open for longer is broken
	firstBuffer = 256 << 10
)

// Scanner cuts a text into records and values (RFC 4180), at the speed of
// memory where there are no quotes. A record that is broken costs its own
// line and no more: the Scanner goes on at the next line.
//
// Leniences, none of which changes a well-formed file: lines may end in LF or
// CRLF; empty lines are passed over; a quote inside a value that does not
// begin with one is an ordinary character; and where the delimiter is a tab,
// values are taken as they stand if the line has the right number of them, for
// the vocabulary files of OHDSI are written without quoting.
//
// The exported fields describe the record that Next read and are valid until
// the next call.
type Scanner struct {
	r         io.Reader
	delimiter byte
	columns   int // values that a record must have; 0 takes any number

	buf      []byte
	from, to int // what of buf is not yet used
	eof      bool
	nextLine int64 // number of the line at from, from 1

	joined []byte // unquoted values that differ from their source

	Line   int64        // where the record begins, from 1
	Fields [][]byte     // its values, without quotes
	Raw    []byte       // it, as it stands, without its line end
	Fault  intake.Fault // why it is no row
	Odd    bool         // it may hold bytes that are no UTF-8, or NUL: see UTF8
}

var errEndless = errors.New("the line does not end")

// NewScanner reads records of that many values; 0 takes any number.
func NewScanner(r io.Reader, delimiter byte, columns int) *Scanner {
	return &Scanner{r: r, delimiter: delimiter, columns: columns, buf: make([]byte, firstBuffer), nextLine: 1}
}

// Header reads the first record, whatever its number of values.
func (s *Scanner) Header() (bool, error) {
	columns := s.columns
	s.columns = 0
	ok, err := s.Next()
	s.columns = columns
	return ok, err
}

// Next reads a record. It is not ok at the end.
func (s *Scanner) Next() (bool, error) {
	for {
		end, err := s.lineEnd(0, maxLine)
		if err != nil || end < 0 {
			return false, err
		}
		line := trimCR(s.buf[s.from : s.from+end])
		if len(line) == 0 {
			s.use(end, 1)
			continue
		}
		s.Line, s.Fault, s.joined = s.nextLine, intake.NoFault, s.joined[:0]
		if bytes.IndexByte(line, '"') < 0 || s.asItStands(line) {
			if bytes.IndexByte(line, '"') < 0 {
				s.split(line)
			}
			s.take(line, end, 1)
			return true, nil
		}
		return true, s.quoted(end)
	}
}

// take ends a record of that many lines; end is where its last line ends.
func (s *Scanner) take(raw []byte, end int, lines int64) {
	s.Raw, s.Odd = raw, NeedsCare(raw)
	if s.columns > 0 && len(s.Fields) != s.columns && s.Fault == intake.NoFault {
		s.Fault = intake.ColumnCount
	}
	s.use(end, lines)
}

func (s *Scanner) use(end int, lines int64) {
	s.from += min(end+1, s.to-s.from) // the line end too, where there is one
	s.nextLine += lines
}

func (s *Scanner) split(line []byte) {
	s.Fields = s.Fields[:0]
	start := 0
	for i, c := range line {
		if c == s.delimiter {
			s.Fields = append(s.Fields, line[start:i])
			start = i + 1
		}
	}
	s.Fields = append(s.Fields, line[start:])
}

// asItStands splits a line of a tab-delimited file without regard to quotes,
// save those that enclose a whole value.
func (s *Scanner) asItStands(line []byte) bool {
	if s.delimiter != '\t' || s.columns == 0 || bytes.Count(line, []byte{'\t'})+1 != s.columns {
		return false
	}
	s.split(line)
	for i, f := range s.Fields {
		if n := len(f); n >= 2 && f[0] == '"' && f[n-1] == '"' && doubled(f[1:n-1]) {
			s.Fields[i] = s.unescape(f[1 : n-1])
		}
	}
	return true
}

// doubled says whether every quote in v stands twice.
func doubled(v []byte) bool {
	for i := bytes.IndexByte(v, '"'); i >= 0; i = bytes.IndexByte(v, '"') {
		if i+1 == len(v) || v[i+1] != '"' {
			return false
		}
		v = v[i+2:]
	}
	return true
}

// quoted reads a record whose first line, which ends at firstEnd, holds a quote.
func (s *Scanner) quoted(firstEnd int) error {
	s.Fields = s.Fields[:0]
	lines, at, end, from := int64(1), 0, firstEnd, s.from
	for {
		value, stop, ok, err := s.value(at, &end, &lines)
		if err != nil {
			return err
		}
		if s.from != from { // the record moved: read it again where it stands now
			return s.quoted(firstEnd)
		}
		if !ok {
			return s.brokenQuote(firstEnd)
		}
		s.Fields = append(s.Fields, value)
		if stop >= end || (stop == end-1 && s.buf[s.from+stop] == '\r') {
			break
		}
		at = stop + 1
	}
	if lines > 1 && s.columns > 0 && len(s.Fields) != s.columns {
		return s.brokenQuote(firstEnd) // a stray quote swallowed lines that are records of their own
	}
	s.take(trimCR(s.buf[s.from:s.from+end]), end, lines)
	return nil
}

func (s *Scanner) brokenQuote(firstEnd int) error {
	s.Fields, s.Fault = s.Fields[:0], intake.Quote
	s.take(trimCR(s.buf[s.from:s.from+firstEnd]), firstEnd, 1)
	return nil
}

// value reads the value that begins at offset at and gives the offset of the
// delimiter or line end that stops it. A quoted value may go on over lines: end
// and lines then move on. It is not ok if its quote is broken.
func (s *Scanner) value(at int, end *int, lines *int64) (value []byte, stop int, ok bool, err error) {
	rest := s.buf[s.from+at : s.from+*end]
	if len(rest) == 0 || rest[0] != '"' {
		if i := bytes.IndexByte(rest, s.delimiter); i >= 0 {
			return rest[:i], at + i, true, nil
		}
		return trimCR(rest), *end, true, nil
	}
	escaped := false
	for i := at + 1; ; {
		q := bytes.IndexByte(s.buf[s.from+i:s.from+*end], '"')
		if q < 0 {
			i = *end // no offset in the next line is before it
			next, err := s.lineEnd(*end+1, maxQuoted)
			if errors.Is(err, errEndless) || (err == nil && next < 0) {
				return nil, 0, false, nil
			}
			if err != nil {
				return nil, 0, false, err
			}
			*end = next
			*lines++
			continue
		}
		i += q
		after := byte('\n')
		if i+1 < *end {
			after = s.buf[s.from+i+1]
		}
		switch {
		case after == '"':
			escaped = true
			i += 2
			continue
		case after == s.delimiter, after == '\n', after == '\r' && i+2 == *end:
			value = s.buf[s.from+at+1 : s.from+i]
			if escaped {
				value = s.unescape(value)
			}
			return value, i + 1, true, nil
		}
		return nil, 0, false, nil
	}
}

// unescape turns doubled quotes into single ones.
func (s *Scanner) unescape(v []byte) []byte {
	if bytes.IndexByte(v, '"') < 0 {
		return v
	}
	start := len(s.joined)
	for i := 0; i < len(v); i++ {
		s.joined = append(s.joined, v[i])
		if v[i] == '"' && i+1 < len(v) && v[i+1] == '"' {
			i++
		}
	}
	return s.joined[start:len(s.joined):len(s.joined)]
}

// lineEnd finds the end of the line that holds offset at, reading on as
// needed; -1 if the text ends before at. Offsets count from s.from. It gives up
// with errEndless when it would look further than limit.
func (s *Scanner) lineEnd(at, limit int) (int, error) {
	searched := at
	for {
		if s.from+searched < s.to {
			if i := bytes.IndexByte(s.buf[s.from+searched:s.to], '\n'); i >= 0 {
				return searched + i, nil
			}
			searched = s.to - s.from
		}
		if s.eof {
			if s.from+at < s.to {
				return s.to - s.from, nil
			}
			return -1, nil
		}
		if s.to-s.from > limit {
			return 0, errEndless
		}
		if err := s.more(); err != nil {
			return 0, err
		}
	}
}

// more reads on. The record being read moves to the front of the buffer, once
// at most, which makes slices of it wrong: see quoted.
func (s *Scanner) more() error {
	if s.from > 0 {
		s.to = copy(s.buf, s.buf[s.from:s.to])
		s.from = 0
	}
	if s.to == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.to:])
		s.to += n
		if errors.Is(err, io.EOF) {
			s.eof = true
			return nil
		}
		if err != nil || n > 0 {
			return err
		}
	}
	return io.ErrNoProgress
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}
