package ingest

import (
	"bytes"
	"io"
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
// The rows go to out without the header. If who is not nil, the first column is
// a transport id and two columns take its place: person and bucket, both empty
// where the id is nobody's.
//
// It fails with Invalid if the text is not a table of len(columns) columns
// under that header, else with what out says.
func scan(part string, csv []byte, columns []string, types []omop.Type, who func(tid []byte) (havre.PersonID, int, bool), out io.Writer) (scanned, error) {
	s := scanned{used: make([]bool, len(columns)), plain: true}
	fail := func(line int64, what string) (scanned, error) {
		return s, havre.E("ingest", havre.Invalid, "part "+part+", line "+strconv.FormatInt(line, 10)+": "+what).
			WithHint("the part is whole as its holder sealed it: the holder must deliver it again, well formed")
	}
	head, rest, _ := bytes.Cut(csv, []byte{'\n'})
	if string(head) != strings.Join(columns, ",") {
		return fail(1, "the header is not the columns that the manifest lists")
	}
	if who == nil {
		if _, err := out.Write(rest); err != nil {
			return s, err
		}
	}
	var named []byte // rows with persons in place of transport ids, on their way out
	for line := int64(2); len(rest) > 0; line++ {
		col, first, row, tid := 0, line, rest, 0
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
			if col == 0 && who != nil {
				tid = end
				named = appendPerson(named, value, quoted, who)
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
		if who == nil {
			continue
		}
		named = append(named, row[tid:len(row)-len(rest)]...)
		if len(named) >= 1<<20 || len(rest) == 0 {
			if _, err := out.Write(named); err != nil {
				return s, err
			}
			named = named[:0]
		}
	}
	return s, nil
}

// appendPerson writes "person,bucket" for a transport id as it stands in CSV.
func appendPerson(b, tid []byte, quoted bool, who func([]byte) (havre.PersonID, int, bool)) []byte {
	if quoted {
		tid = bytes.ReplaceAll(tid[1:len(tid)-1], []byte(`""`), []byte(`"`))
	}
	person, bucket, ok := who(tid)
	if !ok {
		return append(b, ',')
	}
	b = strconv.AppendInt(b, int64(person), 10)
	return strconv.AppendInt(append(b, ','), int64(bucket), 10)
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
