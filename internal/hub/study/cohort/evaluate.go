package cohort

import (
	"cmp"
	"context"
	"slices"
)

// Result is the answer for one bucket.
type Result struct {
	People  *People
	Cohorts []Members // one for each definition of the plan, in that order
}

// Members are the periods of one cohort, by person, then start. Periods of one
// person neither overlap nor touch, up to the definition's collapse settings.
type Members struct {
	Person []int32 // place in People
	Start  []int32 // first day, counted from 1970-01-01
	End    []int32 // last day
}

// Of gives the range of the periods of the person at place i.
func (m *Members) Of(i int) (from, to int) {
	from, _ = slices.BinarySearch(m.Person, int32(i))
	to = from
	for to < len(m.Person) && m.Person[to] == int32(i) {
		to++
	}
	return from, to
}

// Evaluate answers every definition of the plan over one bucket. An error of
// the reader is given back as it is.
func (p *Plan) Evaluate(ctx context.Context, r Reader, bucket int) (*Result, error) {
	people, err := loadPeople(ctx, r, bucket, p.demographics)
	if err != nil {
		return nil, err
	}
	w := &work{
		plan:   p,
		people: people,
		events: make([]*events, len(p.domains)),
		hits:   make([][]int32, len(p.criteria)),
		active: make([]bool, len(p.definitions)),
		result: &Result{People: people, Cohorts: make([]Members, len(p.definitions))},
	}
	for i := range p.domains {
		if w.events[i], err = p.domains[i].loadEvents(ctx, r, bucket, people); err != nil {
			return nil, err
		}
	}
	for person := range people.ID {
		if person%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		w.person(person)
	}
	return w.result, nil
}

// work is the state of one evaluation. Its lists are used again for each
// person, so that evaluating allocates next to nothing.
type work struct {
	plan   *Plan
	people *People
	events []*events // by domain
	result *Result

	hits    [][]int32 // by criterion: rows of the person at hand, in order
	touched []int32   // criteria with hits
	active  []bool    // definitions that one of them belongs to
	asked   []int     // the same as a list
	primary []entry
	periods []Period
}

// entry is an event that lets a person enter.
type entry struct {
	start, end date
	id         int64
	place      int32 // of its criterion in the definition
	periodEnd  date  // end of the observation period that it lies in
}

// person evaluates all definitions that any event of the person can match.
func (w *work) person(person int) {
	for i, e := range w.events {
		d := &w.plan.domains[i]
		for row := e.first[person]; row < e.first[person+1]; row++ {
			for _, c := range d.byStandard.criteria[e.standard[row]] {
				if source := w.plan.criteria[c].source; source != nil {
					if _, ok := slices.BinarySearch(source, e.sourceID[row]); !ok {
						continue
					}
				}
				w.hit(c, row)
			}
			for _, c := range d.bySource.criteria[e.source[row]] {
				w.hit(c, row)
			}
			for _, c := range d.every {
				w.hit(int32(c), row)
			}
		}
	}
	for _, c := range w.touched {
		for _, d := range w.plan.criteria[c].definitions {
			if !w.active[d] {
				w.active[d] = true
				w.asked = append(w.asked, d)
			}
		}
	}
	for _, d := range w.asked {
		w.definition(d, person)
		w.active[d] = false
	}
	for _, c := range w.touched {
		w.hits[c] = w.hits[c][:0]
	}
	w.touched, w.asked = w.touched[:0], w.asked[:0]
}

func (w *work) hit(criterion, row int32) {
	if len(w.hits[criterion]) == 0 {
		w.touched = append(w.touched, criterion)
	}
	w.hits[criterion] = append(w.hits[criterion], row)
}

// definition follows the steps of circe-be's generateCohort.sql for one person.
func (w *work) definition(n, person int) {
	d := &w.plan.definitions[n]
	w.primaryEvents(d, person)
	if d.primaryLimit != limitAll && len(w.primary) > 1 {
		w.primary = w.primary[:1]
	}
	w.limitEntries(d.expressionLimit)
	w.periods = w.periods[:0]
	for _, e := range w.primary {
		if end := d.end.of(e); end != noDate && end >= e.start {
			w.periods = append(w.periods, Period{e.start, end})
		}
	}
	w.collapse(d, person, &w.result.Cohorts[n])
}

// primaryEvents lists the entries in the order that decides which is first:
// by start (the latest first if the last is wanted), then event id.
func (w *work) primaryEvents(d *plannedDefinition, person int) {
	w.primary = w.primary[:0]
	for place, c := range d.criteria {
		pc := &w.plan.criteria[c]
		e := w.events[pc.domain]
		rows := w.hits[c]
		if pc.first && len(rows) > 1 { // the first of the concepts, before any filter
			rows = rows[:1]
		}
		for _, row := range rows {
			if !w.passes(pc, e, row, person) {
				continue
			}
			for _, op := range w.people.Periods(person) {
				start := e.start[row]
				if op.Start <= start && start <= op.End &&
					addDays(op.Start, d.priorDays) <= start && addDays(start, d.postDays) <= op.End {
					w.primary = append(w.primary, entry{start, e.end[row], e.id[row], int32(place), op.End})
				}
			}
		}
	}
	if len(d.criteria) == 1 && d.primaryLimit != limitLast {
		return // the rows are in order
	}
	slices.SortFunc(w.primary, func(a, b entry) int {
		c := cmp.Compare(a.start, b.start)
		if d.primaryLimit == limitLast {
			c = -c
		}
		if c != 0 {
			return c
		}
		if c := cmp.Compare(a.id, b.id); c != 0 {
			return c
		}
		return firstOrder(a.place, b.place, a.end, b.end, a.periodEnd, b.periodEnd)
	})
}

// limitEntries keeps all entries, the earliest or the latest. Of several on
// that day the reference takes any; here it is the one that comes first in the
// order of primaryEvents.
func (w *work) limitEntries(l limit) {
	if l == limitAll || len(w.primary) < 2 {
		return
	}
	best := w.primary[0]
	for _, e := range w.primary[1:] {
		if l == limitFirst && e.start < best.start || l == limitLast && e.start > best.start {
			best = e
		}
	}
	w.primary = append(w.primary[:0], best)
}

// of gives the day on which an entry ends, noDate if that is not known.
func (s endStrategy) of(e entry) date {
	if !s.offset {
		return e.periodEnd
	}
	from := e.start
	if s.fromEnd {
		from = e.end
	}
	if from == noDate {
		return noDate
	}
	return min(addDays(from, s.days), e.periodEnd)
}

// collapse unites periods that overlap or lie no more than the pad apart, cuts
// them to the censor window and adds them to the cohort.
func (w *work) collapse(d *plannedDefinition, person int, out *Members) {
	if len(w.periods) > 1 {
		slices.SortFunc(w.periods, func(a, b Period) int { return firstOrder(a.Start, b.Start, a.End, b.End) })
	}
	for i := 0; i < len(w.periods); {
		era := w.periods[i]
		for i++; i < len(w.periods) && w.periods[i].Start <= addDays(era.End, d.eraPad); i++ {
			era.End = max(era.End, w.periods[i].End)
		}
		censored := d.censorStart != noDate || d.censorEnd != noDate
		if d.censorStart != noDate {
			era.Start = max(era.Start, d.censorStart)
		}
		if d.censorEnd != noDate {
			era.End = min(era.End, d.censorEnd)
		}
		if censored && era.Start > era.End {
			continue
		}
		out.Person = append(out.Person, int32(person))
		out.Start = append(out.Start, era.Start)
		out.End = append(out.End, era.End)
	}
}

// passes says whether an event passes all filters of its criterion.
func (w *work) passes(c *plannedCriterion, e *events, row int32, person int) bool {
	for i := range c.filters {
		if !w.passesFilter(&c.filters[i], e, row, person) {
			return false
		}
	}
	return true
}

func (w *work) passesFilter(f *plannedFilter, e *events, row int32, person int) bool {
	start, end := e.start[row], e.end[row]
	atEnd := f.subject == subjectEnd || f.subject == subjectLength || f.subject == subjectAgeAtEnd
	if atEnd && end == noDate {
		return false
	}
	age := func(at date) bool {
		born := w.people.BirthYear[person]
		return born != NoYear && f.keeps(float64(Year(at))-float64(born))
	}
	switch f.subject {
	case subjectStart:
		return f.keeps(float64(start))
	case subjectEnd:
		return f.keeps(float64(end))
	case subjectLength:
		return f.keeps(float64(end) - float64(start))
	case subjectAgeAtStart:
		return age(start)
	case subjectAgeAtEnd:
		return age(end)
	case subjectGender:
		g := w.people.Gender[person]
		return g != NoConcept && f.keepsConcept(g)
	}
	col := &e.extra[f.extra]
	switch {
	case !col.ok[row]:
		return false
	case f.op == opIn || f.op == opNotIn:
		return col.ints != nil && f.keepsConcept(col.ints[row])
	case col.ints != nil:
		return f.keeps(float64(col.ints[row]))
	default:
		return f.keeps(col.floats[row])
	}
}
