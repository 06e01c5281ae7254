package ingest

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// scanned is what one look at the bytes of a part tells.
type scanned struct {
	rows  int64
	used  []bool // by column: has a value in at least one row
	plain bool   // every value of a typed column is in its plain spelling
}

// scan walks over CSV text (RFC 4180, header included) and says whether every
// value is in the one plain spelling of its type: digits; 2006-01-02; that and
// 15:04:05. DuckDB's typed reader is fast but lenient: it takes 12.5 for the
// integer 13, "infinity" and "epoch" for dates, and text after a date.
// Only plain parts go through it; all others take the slow, exact way.
//
// It fails with Invalid if the text is not a table of len(columns) columns
// under that header.
func scan(part string, csv []byte, columns []string, types []omop.Type) (scanned, error) {
	s := scanned{used: make([]bool, len(columns)), plain: true}
	fail := func(line int64, what string) (scanned, error) {
		return s, havre.E("ingest", havre.Invalid, "part "+part+", line "+strconv.FormatInt(line, 10)+": "+what).
			WithHint("the part is whole as its holder sealed it: the holder must deliver it again, well formed")
	}
	head, rest, _ := bytes.Cut(csv, []byte{'\n'})
	if string(head) != strings.Join(columns, ",") {
		return fail(1, "the header is not the columns that the manifest lists")
	}
	for line := int64(2); len(rest) > 0; line++ {
		col, first := 0, line
		for more := true; more; col++ {
			if col == len(columns) {
				return fail(first, "there are more values than the "+strconv.Itoa(len(columns))+" columns")
			}
			end, quoted := fieldEnd(rest)
			if end < 0 {
				return fail(first, "a quote or a carriage return stands where none may")
			}
			value := rest[:end]
			if quoted {
				line += int64(bytes.Count(value, []byte{'\n'}))
			}
			if len(value) > 0 {
				s.used[col] = true
				s.plain = s.plain && isPlain(value, quoted, types[col])
			}
			more = end < len(rest) && rest[end] == ','
			rest = rest[min(end+1, len(rest)):]
		}
		if col != len(columns) {
			return fail(first, "there are "+strconv.Itoa(col)+" values for "+strconv.Itoa(len(columns))+" columns")
		}
		s.rows++
	}
	return s, nil
}

// fieldEnd gives the index of the comma or line feed that ends the first
// value, or len(b); -1 if its quotes are wrong.
func fieldEnd(b []byte) (end int, quoted bool) {
	if len(b) == 0 || b[0] != '"' {
		for i, c := range b {
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

func isPlain(v []byte, quoted bool, t omop.Type) bool {
	if t == omop.Text {
		return true
	}
	if quoted {
		return false
	}
	switch t {
	case omop.Integer:
		if v[0] == '-' {
			v = v[1:]
		}
		return len(v) > 0 && len(v) <= 18 && digits(v)
	case omop.Float:
		if v[0] == '-' {
			v = v[1:]
		}
		whole, part, dot := bytes.Cut(v, []byte{'.'})
		return len(whole) > 0 && len(v) <= 40 && digits(whole) && (!dot || len(part) > 0 && digits(part))
	case omop.Date:
		return len(v) == 10 && isDate(v)
	case omop.Datetime:
		return len(v) == 10 && isDate(v) ||
			len(v) == 19 && isDate(v[:10]) && (v[10] == ' ' || v[10] == 'T') && v[13] == ':' && v[16] == ':' &&
				digits(v[11:13]) && digits(v[14:16]) && digits(v[17:]) && string(v[11:13]) < "24"
	}
	return false
}

func isDate(v []byte) bool {
	return v[4] == '-' && v[7] == '-' && digits(v[:4]) && digits(v[5:7]) && digits(v[8:10]) && string(v[:4]) != "0000"
}

func digits(v []byte) bool {
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
