package synth

import (
	"strconv"
	"strings"
)

// rows collects the lines of a CSV file (RFC 4180, LF). Values are appended in
// the order of the columns; end closes the line.
type rows struct {
	b     []byte
	lines int // data lines
}

func (r *rows) header(columns string) { r.b = append(append(r.b, columns...), '\n') }

func (r *rows) int(v int64) *rows {
	r.b = append(strconv.AppendInt(r.b, v, 10), ',')
	return r
}

// raw appends a value that needs no quotes.
func (r *rows) raw(v string) *rows {
	r.b = append(append(r.b, v...), ',')
	return r
}

// text appends any value, in quotes when it needs them.
func (r *rows) text(v string) *rows {
	if !strings.ContainsAny(v, ",\"\r\n") {
		return r.raw(v)
	}
	r.b = append(r.b, '"')
	r.b = append(r.b, strings.ReplaceAll(v, `"`, `""`)...)
	r.b = append(r.b, '"', ',')
	return r
}

// none leaves n columns empty.
func (r *rows) none(n int) *rows {
	for range n {
		r.b = append(r.b, ',')
	}
	return r
}

func (r *rows) end() {
	r.b[len(r.b)-1] = '\n'
	r.lines++
}

func (r *rows) reset() { r.b, r.lines = r.b[:0], 0 }
