package deliver

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake"
)

// tooLong is the reason of a row that is longer than maxRow.
const tooLong = "too_long"

// personDomain is the concept of the domain Person; where a fact of
// fact_relationship is of that domain, its id is a person's.
const personDomain = "56"

// job delivers the files of one table, in order.
type job struct {
	*making
	table     omop.Table
	health    *writer
	malformed *writer
	first     string // first and last date of an event
	last      string
}

// plan is what becomes of the columns of one file.
type plan struct {
	file     intake.File
	person   int        // column of the person id, -1 if none
	send     []int      // columns that are sent
	columns  []*guarded // of send; nil: not looked at
	withhold []int      // columns that stay
	start    int        // column of the start date, -1 if none
	facts    [2][2]int  // fact_relationship: columns of domain and id
	others   []int      // ignored columns whose names are those of identities
}

func (j *job) plan(f intake.File) *plan {
	p := &plan{file: f, person: -1, start: -1}
	for i, name := range f.Columns {
		field, _ := j.table.Field(name)
		switch {
		case j.table.PersonLevel && name == j.table.Person:
			p.person = i
			continue
		case field.Identifying:
			p.withhold = append(p.withhold, i)
			continue
		}
		if name == j.table.Start {
			p.start = i
		}
		var c *guarded
		if !j.table.Vocabulary && !j.accepted[f.Table+"."+name] {
			c = newGuarded(field)
		}
		p.send, p.columns = append(p.send, i), append(p.columns, c)
	}
	for i, name := range f.Ignored {
		if !j.table.Vocabulary && identityColumn(name) && !j.accepted[f.Table+"."+name] {
			p.others = append(p.others, i)
		}
	}
	for k, n := range []string{"1", "2"} {
		p.facts[k] = [2]int{slices.Index(f.Columns, "domain_concept_id_"+n), slices.Index(f.Columns, "fact_id_"+n)}
	}
	return p
}

// header is the columns of the part.
func (p *plan) header() []string {
	var names []string
	if p.person >= 0 {
		names = append(names, "tid")
	}
	for _, i := range p.send {
		names = append(names, p.file.Columns[i])
	}
	return names
}

// deliver reads one file. What came of it is written into src.
func (j *job) deliver(ctx context.Context, f intake.File, src *envelope.Source) error {
	p := j.plan(f)
	h := p.header()
	if len(h) == 0 {
		return havre.E("deliver", havre.Invalid, f.Name+" has no column that may leave the holder").WithHint("leave the file out of the delivery")
	}
	if j.health == nil || !slices.Equal(h, j.health.part.Columns) {
		if err := j.finish(); err != nil {
			return err
		}
		j.health = newWriter(j.shelf, j.o.HubRecipient, envelope.Health, f.Table, h)
	}
	*src = envelope.Source{File: f.Name, Table: f.Table, Ignored: f.Ignored}
	withheld := make([]int64, len(f.Columns))
	g := newGuard(j.names)
	var id [32]byte
	pending := int64(0)
	for row, err := range j.o.Source.Rows(ctx, f) {
		if err != nil {
			return err
		}
		src.RowsIn++
		if pending++; pending == 1<<13 {
			j.rows.Add(pending)
			pending = 0
		}
		if row.Fault != intake.NoFault {
			if err := j.set(f, row, string(row.Fault), row.Raw, src); err != nil {
				return err
			}
			continue
		}
		src.Recoded += int64(row.Recoded)
		own := ownNames{}
		if p.person >= 0 {
			t, names := j.person(row.Values[p.person])
			j.health.value(t.append(id[:0]))
			own = names
		}
		if f.Table == "fact_relationship" {
			hidePersons(p, row, withheld)
		}
		for k, i := range p.send {
			v := row.Values[i]
			if c := p.columns[k]; c != nil && len(v) > 0 {
				if r := g.check(c, v, own); r != nothing {
					j.hits.add(hit{f, f.Columns[i], row.Number, r})
				}
			}
			j.health.value(v)
		}
		for _, i := range p.withhold {
			if len(row.Values[i]) > 0 {
				withheld[i]++
			}
		}
		for _, i := range p.others {
			if len(bytes.TrimSpace(row.Others[i])) > 0 {
				j.hits.add(hit{f, f.Ignored[i], row.Number, ruleColumn})
			}
		}
		if p.start >= 0 {
			j.date(row.Values[p.start])
		}
		ok, err := j.health.endRow()
		if err != nil {
			return err
		}
		if !ok {
			if err := j.set(f, row, tooLong, nil, src); err != nil {
				return err
			}
			continue
		}
		src.RowsSent++
	}
	j.rows.Add(pending)
	for i, n := range withheld {
		if n > 0 {
			if src.Withheld == nil {
				src.Withheld = map[string]int64{}
			}
			src.Withheld[f.Columns[i]] = n
		}
	}
	return nil
}

// person gives the tid for a person id.
func (j *job) person(id []byte) (tid, ownNames) {
	if i, ok := j.people.find(id); ok {
		return j.people.tids[i], j.people.names(i)
	}
	return j.people.stranger(id), ownNames{}
}

// hidePersons blanks the ids of facts that are persons.
func hidePersons(p *plan, row *intake.Row, withheld []int64) {
	for _, c := range p.facts {
		if c[0] >= 0 && c[1] >= 0 && string(row.Values[c[0]]) == personDomain && len(row.Values[c[1]]) > 0 {
			row.Values[c[1]] = nil
			withheld[c[1]]++
		}
	}
}

// set counts a line that is no row, and puts it into a malformed part.
func (j *job) set(f intake.File, row *intake.Row, reason string, raw []byte, src *envelope.Source) error {
	if src.Malformed == nil {
		src.Malformed = map[string]int64{}
	}
	src.Malformed[reason]++
	if j.malformed == nil {
		j.malformed = newWriter(j.shelf, j.o.HubRecipient, envelope.Malformed, j.table.Name, malformedColumns)
	}
	if !j.table.Vocabulary {
		raw = shape(raw)
	}
	w := j.malformed
	w.value([]byte(f.Table))
	w.value([]byte(f.Name))
	w.value(strconv.AppendInt(nil, row.Number, 10))
	w.value([]byte(reason))
	w.value(bytes.ToValidUTF8(raw[:min(len(raw), longestRaw)], []byte("?")))
	_, err := w.endRow()
	return err
}

// date widens the period of the delivery by a start date that is one.
func (j *job) date(v []byte) {
	if len(v) != len(time.DateOnly) {
		return
	}
	if len(j.first) > 0 && string(v) >= j.first && string(v) <= j.last {
		return
	}
	if _, err := time.Parse(time.DateOnly, string(v)); err != nil {
		return
	}
	if j.first == "" || string(v) < j.first {
		j.first = string(v)
	}
	if string(v) > j.last {
		j.last = string(v)
	}
}

func (j *job) finish() error {
	for _, w := range []*writer{j.health, j.malformed} {
		if w != nil {
			if err := w.finish(); err != nil {
				return err
			}
		}
	}
	return nil
}

// malformedColumns are the columns of a malformed part.
var malformedColumns = []string{"table", "file", "line", "reason", "raw"}

// longestRaw is how much of a line that is no row is kept.
const longestRaw = 64 << 10

// shape replaces letters by x and digits by 9. What a line that cannot be
// split says of whom cannot be told, so only its shape leaves the holder: it
// shows the defect, and file and line say where the line itself is.
func shape(raw []byte) []byte {
	out := bytes.Clone(raw[:min(len(raw), longestRaw)])
	for i, c := range out {
		switch {
		case isDigit(c):
			out[i] = '9'
		case isLetter(c) || c >= 0x80:
			out[i] = 'x'
		case c < ' ' && c != '\t':
			out[i] = '?'
		}
	}
	return out
}
