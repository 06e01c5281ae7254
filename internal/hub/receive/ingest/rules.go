package ingest

import (
	"math"
	"strings"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// placeholder is 1600-01-01, which some systems write for "not known", in days.
const placeholder = -135140

// field is one stored field of a table and the rules that it stands under.
type field struct {
	omop.Field
	defaults bool // a required concept: no value becomes 0, "no matching concept"
	dated    bool // a date or datetime, which may be the placeholder
}

// stored lists the fields of a table that segments hold: all but those that
// never leave a holder.
func stored(t omop.Table) (fields []field) {
	for _, f := range t.Fields {
		if !f.Identifying {
			fields = append(fields, field{f,
				f.Required && f.Type == omop.Integer && strings.HasSuffix(f.Name, "_concept_id"),
				f.Type == omop.Date || f.Type == omop.Datetime})
		}
	}
	return fields
}

// isPlaceholder says whether a date or datetime lies on the placeholder's day.
func (f field) isPlaceholder(v int64) bool {
	if f.Type == omop.Datetime {
		return v >= placeholder*dayMicros && v < (placeholder+1)*dayMicros
	}
	return v == placeholder
}

// bad is the reason of rejection for a value that cannot be read.
func (f field) bad() string {
	return map[omop.Type]string{omop.Integer: "bad_integer:", omop.Float: "bad_number:", omop.Date: "bad_date:", omop.Datetime: "bad_datetime:"}[f.Type] + f.Name
}

// layout says which column of a part is which field.
type layout struct {
	table   omop.Table
	columns []string // of the CSV, in order
	fields  []field
	person  int      // the field of the person, -1 if the table is not about persons
	at      []int    // CSV column -> field, -1 if it is not stored
	ignored []string // CSV columns that the CDM does not know
}

// newLayout reads the columns of a part of a known table. It refuses a part
// that has an identifying column, or names a column twice, or is about persons
// and has no tid.
func newLayout(t omop.Table, p envelope.Part) (*layout, error) {
	l := &layout{table: t, columns: p.Columns, fields: stored(t), person: -1}
	refuse := func(kind havre.Kind, what string) (*layout, error) {
		return nil, havre.E("ingest", kind, "part "+p.Name+" of "+t.Name+": "+what).
			WithHint("nothing of this delivery was taken in; the holder must correct its extract and deliver anew")
	}
	index := map[string]int{}
	for i, f := range l.fields {
		index[f.Name] = i
	}
	if t.PersonLevel {
		l.person = index[t.Person]
	}
	taken := map[string]bool{}
	for i, name := range p.Columns {
		l.at = append(l.at, -1)
		if i == 0 && t.PersonLevel {
			if name != "tid" {
				return refuse(havre.Invalid, "its first column is not tid")
			}
			continue
		}
		f, known := t.Field(omop.Current(t.Name, name))
		switch {
		case !known:
			l.ignored = append(l.ignored, name)
			continue
		case f.Identifying || f.Name == t.Person:
			return refuse(havre.Refused, "the column "+f.Name+" identifies persons or places and may not leave a holder")
		case taken[f.Name]:
			return refuse(havre.Invalid, "the column "+f.Name+" is there twice")
		}
		taken[f.Name], l.at[i] = true, index[f.Name]
	}
	if t.PersonLevel && len(p.Columns) == 0 {
		return refuse(havre.Invalid, "it has no columns")
	}
	return l, nil
}

// state is what is known of a value.
type state byte

const (
	absent state = iota
	present
	unreadable
)

// row is one row, typed: by field, its state and its value. Integers, days and
// microseconds are numbers; floats are their bits; texts stand apart.
type row struct {
	state  []state
	number []int64
	text   [][]byte
	known  bool // the person is known, or none is wanted
	bucket int
}

func newRow(fields int) *row {
	return &row{state: make([]state, fields), number: make([]int64, fields), text: make([][]byte, fields)}
}

// read types the cells of a row; who says whose a transport id is.
func (l *layout) read(r *row, cells []cell, who func([]byte) (havre.PersonID, int, bool)) {
	clear(r.state)
	r.known, r.bucket = true, Unbucketed
	if l.person >= 0 {
		var person havre.PersonID
		if person, r.bucket, r.known = who(cells[0].text()); r.known {
			r.state[l.person], r.number[l.person] = present, int64(person)
		}
	}
	for i, c := range cells {
		if at := l.at[i]; at >= 0 && len(c.raw) > 0 {
			r.state[at] = r.value(at, l.fields[at].Type, c.text())
		}
	}
}

// value reads one value that has some text.
func (r *row) value(at int, t omop.Type, v []byte) state {
	ok := true
	switch t {
	case omop.Integer:
		r.number[at], ok = integer(v)
	case omop.Float:
		var f float64
		f, ok = float(v)
		r.number[at] = int64(math.Float64bits(f))
	case omop.Date:
		r.number[at], ok = date(v)
	case omop.Datetime:
		r.number[at], ok = datetime(v)
	default:
		r.text[at] = v
		ok = len(v) > 0
	}
	switch {
	case ok:
		return present
	case len(strings.Trim(string(v), " ")) == 0: // blanks say nothing
		return absent
	}
	return unreadable
}

// judge gives the first rule that a row breaks, in the order of its fields, or "".
func (l *layout) judge(r *row) string {
	if !r.known {
		return "unknown_person"
	}
	for i := range l.fields {
		f := &l.fields[i]
		switch {
		case r.state[i] == unreadable:
			return f.bad()
		case !f.Required:
		case r.state[i] == absent && !f.defaults:
			return "missing:" + f.Name
		case f.dated && f.isPlaceholder(r.number[i]):
			return "missing_date:" + f.Name
		}
	}
	return ""
}

// warned counts, by field, the values of stored rows that were changed.
type warned []int64

// noted is what is counted over the good rows of a part.
type noted struct {
	warned warned
	used   []bool // by field: has a value in at least one row
}

// settle makes of a good row what is stored: concept 0 for a missing required
// concept, no value for a placeholder in an optional date.
func (l *layout) settle(r *row, n noted) {
	for i := range l.fields {
		f := &l.fields[i]
		switch {
		case f.defaults && r.state[i] == absent:
			r.state[i], r.number[i] = present, 0
			n.warned[i]++
		case f.dated && r.state[i] == present && f.isPlaceholder(r.number[i]):
			r.state[i] = absent
			n.warned[i]++
		}
		if r.state[i] == present {
			n.used[i] = true
		}
	}
}

// warnings names what was counted over the good rows of a part.
func (l *layout) warnings(w warned, good int64) map[string]int64 {
	named := map[string]int64{}
	for i, n := range w {
		if n == 0 {
			continue
		}
		if l.fields[i].defaults {
			named["concept_defaulted:"+l.fields[i].Name] = n
		} else {
			named["placeholder_date:"+l.fields[i].Name] = n
		}
	}
	if good > 0 {
		for _, c := range l.ignored {
			named["ignored_column:"+c] = good
		}
	}
	return named
}
