package ingest

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/havre-hub/havre/internal/havre"
)

// cell is one value as it stands in CSV text, with its quotes if it has any.
type cell struct {
	raw    []byte
	quoted bool
}

// text is the value itself.
func (c cell) text() []byte {
	if !c.quoted {
		return c.raw
	}
	inside := c.raw[1 : len(c.raw)-1]
	if bytes.IndexByte(inside, '"') < 0 {
		return inside
	}
	return bytes.ReplaceAll(inside, []byte(`""`), []byte(`"`))
}

// eachRow walks over CSV text (RFC 4180 in UTF-8, header included) and calls
// each with the number of the row, from 1, and its cells, which are valid until
// each returns. It stops at the first error of each.
//
// It fails with Invalid if the text is not a table of these columns.
func eachRow(part string, csv []byte, columns []string, each func(row int64, cells []cell) error) (rows int64, err error) {
	fail := func(line int64, what string) (int64, error) {
		return rows, havre.E("ingest", havre.Invalid, "part "+part+", line "+strconv.FormatInt(line, 10)+": "+what).
			WithHint("the part is whole as its holder sealed it: the holder must deliver it again, well formed")
	}
	head, rest, _ := bytes.Cut(csv, []byte{'\n'})
	if string(head) != strings.Join(columns, ",") {
		return fail(1, "the header is not the columns that the manifest lists")
	}
	if !utf8.Valid(csv) {
		return fail(1+int64(bytes.Count(validStart(csv), []byte{'\n'})), "the text is not UTF-8")
	}
	cells := make([]cell, len(columns))
	for line := int64(2); len(rest) > 0; line++ {
		col, first := 0, line
		for more := true; more; col++ {
			if col == len(columns) {
				return fail(first, "there are more values than the "+strconv.Itoa(len(columns))+" columns")
			}
			end, quoted := cellEnd(rest)
			if end < 0 {
				return fail(first, "a quote or a carriage return stands where none may")
			}
			cells[col] = cell{rest[:end], quoted}
			if quoted {
				line += int64(bytes.Count(rest[:end], []byte{'\n'}))
			}
			more = end < len(rest) && rest[end] == ','
			rest = rest[min(end+1, len(rest)):]
		}
		if col != len(columns) {
			return fail(first, "there are "+strconv.Itoa(col)+" values for "+strconv.Itoa(len(columns))+" columns")
		}
		rows++
		if err := each(rows, cells); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// validStart is the text before the first byte that is not UTF-8.
func validStart(b []byte) []byte {
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return b[:n]
}

// cellEnd gives the index of the comma or line feed that ends the first
// value, or len(b); -1 if its quotes are wrong.
func cellEnd(b []byte) (end int, quoted bool) {
	if len(b) == 0 || b[0] != '"' {
		for i, c := range b {
			if c > ',' {
				continue
			}
			switch c {
			case ',', '\n':
				return i, false
			case '"', '\r':
				return -1, false
			}
		}
		return len(b), false
	}
	for i := 1; i < len(b); i++ {
		if b[i] != '"' {
			continue
		}
		if i+1 < len(b) && b[i+1] == '"' {
			i++
			continue
		}
		if i+1 == len(b) || b[i+1] == ',' || b[i+1] == '\n' {
			return i + 1, true
		}
		return -1, true
	}
	return -1, true
}
