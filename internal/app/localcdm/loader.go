package localcdm

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// loader spreads the rows of one file over buckets.
type loader struct {
	table   omop.Table
	columns []columnOf
	person  int // place among columns, -1 of a table about no person
	buckets []*part
	left    map[string]int64
	parsed  []value // of the row under way
}

// columnOf is a wanted column of the file; one that the file does not have is
// null throughout.
type columnOf struct {
	field omop.Field
	from  int // place in intake.Row.Values, -1 if the file does not have it
}

// value is one parsed value: a whole number or a day, a number, a text.
type value struct {
	ok    bool
	int   int64
	float float64
	text  []byte
}

// part is the rows of one bucket by columns, as they come.
type part struct {
	rows    int
	columns []values
}

type values struct {
	ints   []int64
	days   []int32
	floats []float64
	texts  []string
	valid  []bool
}

func newLoader(t omop.Table, f intake.File, columns []string) *loader {
	l := &loader{table: t, person: -1, buckets: make([]*part, 1), left: map[string]int64{}}
	if t.PersonLevel {
		l.buckets = make([]*part, Buckets)
	}
	wanted := columns
	for _, key := range []string{t.Person, t.Concept} { // rows are spread by one and sorted by the other
		if key != "" && !slices.Contains(wanted, key) {
			wanted = append(slices.Clip(wanted), key)
		}
	}
	for i, name := range wanted {
		field, _ := t.Field(name)
		l.columns = append(l.columns, columnOf{field, slices.Index(f.Columns, name)})
		if name == t.Person {
			l.person = i
		}
	}
	l.parsed = make([]value, len(l.columns))
	return l
}

// seed is one for the whole process: the pieces of a table agree on the bucket
// of a person.
var seed = maphash.MakeSeed()

func bucketOf(person int64) int {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(person))
	return int(maphash.Bytes(seed, b[:]) % Buckets)
}

// take adds a row, or counts why not.
func (l *loader) take(row *intake.Row) {
	if row.Fault != intake.NoFault {
		l.left[string(row.Fault)+":"+l.table.Name]++
		return
	}
	for i, c := range l.columns {
		v := &l.parsed[i]
		v.ok = false
		if c.from < 0 || len(row.Values[c.from]) == 0 {
			continue
		}
		if !v.parse(c.field.Type, row.Values[c.from]) {
			l.left["bad_"+string(c.field.Type)+":"+l.table.Name+"."+c.field.Name]++
			return
		}
	}
	bucket := 0
	if l.person >= 0 {
		if !l.parsed[l.person].ok {
			l.left["unknown_person:"+l.table.Name]++
			return
		}
		bucket = bucketOf(l.parsed[l.person].int)
	}
	p := l.buckets[bucket]
	if p == nil {
		p = &part{columns: make([]values, len(l.columns))}
		l.buckets[bucket] = p
	}
	p.rows++
	for i := range l.columns {
		p.columns[i].add(l.columns[i].field.Type, &l.parsed[i])
	}
}

// parse reads a value in the one spelling that intake gives.
func (v *value) parse(t omop.Type, text []byte) bool {
	var err error
	switch t {
	case omop.Integer:
		v.int, err = strconv.ParseInt(string(text), 10, 64)
	case omop.Float:
		v.float, err = strconv.ParseFloat(string(text), 64)
	case omop.Date:
		v.int, err = day(text)
	default:
		v.text = text
	}
	v.ok = err == nil
	return v.ok
}

// day gives a date as days since 1970.
func day(text []byte) (int64, error) {
	if len(text) == 10 && text[4] == '-' && text[7] == '-' { // nearly all: without time.Parse, which takes most of a load
		y, m, d := decimal(text[:4]), decimal(text[5:7]), decimal(text[8:])
		if y >= 0 && m >= 1 && m <= 12 && d >= 1 && d <= 28 {
			return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC).Unix() / 86400, nil
		}
	}
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return 0, err
	}
	return t.Unix() / 86400, nil // whole days, so exact before 1970 too
}

// decimal reads digits, -1 if there is anything else.
func decimal(text []byte) (n int) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

func (c *values) add(t omop.Type, v *value) {
	c.valid = append(c.valid, v.ok)
	if !v.ok {
		*v = value{}
	}
	switch t {
	case omop.Integer:
		c.ints = append(c.ints, v.int)
	case omop.Float:
		c.floats = append(c.floats, v.float)
	case omop.Date:
		c.days = append(c.days, int32(v.int))
	default:
		c.texts = append(c.texts, string(v.text))
	}
}

// sorted is the rows of one file in one bucket, in the order of their concepts.
type sorted struct {
	rows     int
	names    []string
	columns  []arrow.Array
	concepts []int64 // of the main concept column, in order; null is 0; nil if the table has none
}

// finish sorts each bucket by concept and frees what was gathered.
func (l *loader) finish() []*sorted {
	out := make([]*sorted, len(l.buckets))
	for b, p := range l.buckets {
		if p == nil {
			continue
		}
		s := &sorted{rows: p.rows}
		order := make([]int32, p.rows)
		for i := range order {
			order[i] = int32(i)
		}
		at := slices.IndexFunc(l.columns, func(c columnOf) bool { return c.field.Name == l.table.Concept })
		if l.table.Concept != "" && at >= 0 {
			ids := p.columns[at].ints
			slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(ids[a], ids[b]) })
			s.concepts = pick(ids, order)
		}
		for i, c := range l.columns {
			s.names = append(s.names, c.field.Name)
			s.columns = append(s.columns, p.columns[i].array(c.field.Type, order))
			p.columns[i] = values{}
		}
		out[b], l.buckets[b] = s, nil
	}
	return out
}

func pick[T any](from []T, order []int32) []T {
	out := make([]T, len(order))
	for i, row := range order {
		out[i] = from[row]
	}
	return out
}

func (c *values) array(t omop.Type, order []int32) arrow.Array {
	valid := pick(c.valid, order)
	if !slices.Contains(valid, false) {
		valid = nil
	}
	mem := memory.DefaultAllocator
	switch t {
	case omop.Integer:
		b := array.NewInt64Builder(mem)
		defer b.Release()
		b.AppendValues(pick(c.ints, order), valid)
		return b.NewArray()
	case omop.Float:
		b := array.NewFloat64Builder(mem)
		defer b.Release()
		b.AppendValues(pick(c.floats, order), valid)
		return b.NewArray()
	case omop.Date:
		b := array.NewDate32Builder(mem)
		defer b.Release()
		for i, row := range order {
			if valid != nil && !valid[i] {
				b.AppendNull()
				continue
			}
			b.Append(arrow.Date32(c.days[row]))
		}
		return b.NewArray()
	default:
		b := array.NewStringBuilder(mem)
		defer b.Release()
		b.AppendValues(pick(c.texts, order), valid)
		return b.NewArray()
	}
}

// read gives the wanted rows and columns, nil if there are none.
func (s *sorted) read(t omop.Table, w warehouse.Want) (arrow.RecordBatch, error) {
	fields := make([]arrow.Field, len(w.Columns))
	columns := make([]arrow.Array, len(w.Columns))
	for i, name := range w.Columns {
		at := slices.Index(s.names, name)
		if at < 0 {
			return nil, havre.E("cohort.read", havre.Internal, "the column "+name+" of "+t.Name+" was not asked for when the CDM was read")
		}
		columns[i] = s.columns[at]
		fields[i] = arrow.Field{Name: name, Type: columns[i].DataType(), Nullable: true}
	}
	schema := arrow.NewSchema(fields, nil)
	if w.Concepts == nil || s.concepts == nil {
		return array.NewRecordBatch(schema, columns, int64(s.rows)), nil
	}
	return gather(schema, columns, ranges(s.concepts, w.Concepts))
}

// ranges lists the runs of rows whose concept is wanted; both are ascending.
func ranges(concepts, wanted []int64) (runs [][2]int) {
	at := 0
	for _, c := range wanted {
		from, found := slices.BinarySearch(concepts[at:], c)
		at += from
		if !found {
			continue
		}
		n, _ := slices.BinarySearchFunc(concepts[at:], c, func(have, c int64) int {
			if have > c {
				return 1
			}
			return -1
		})
		if last := len(runs) - 1; last >= 0 && runs[last][1] == at {
			runs[last][1] = at + n
		} else {
			runs = append(runs, [2]int{at, at + n})
		}
		at += n
	}
	return runs
}

// gather makes one batch of runs of rows.
func gather(schema *arrow.Schema, columns []arrow.Array, runs [][2]int) (arrow.RecordBatch, error) {
	total := 0
	for _, r := range runs {
		total += r[1] - r[0]
	}
	if total == 0 {
		return nil, nil
	}
	out := make([]arrow.Array, len(columns))
	for i, c := range columns {
		parts := make([]arrow.Array, len(runs))
		for k, r := range runs {
			parts[k] = array.NewSlice(c, int64(r[0]), int64(r[1]))
		}
		joined, err := array.Concatenate(parts, memory.DefaultAllocator)
		for _, p := range parts {
			p.Release()
		}
		if err != nil {
			return nil, havre.E("cohort.read", havre.Internal, "rows could not be put together").Wrap(err)
		}
		out[i] = joined
	}
	batch := array.NewRecordBatch(schema, out, int64(total))
	for _, a := range out {
		a.Release()
	}
	return batch, nil
}
