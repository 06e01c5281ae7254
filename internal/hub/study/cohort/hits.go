package cohort

import (
	"math/bits"
	"slices"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// hit is an event that a criterion keeps.
type hit struct {
	start, end date // as the criterion gives them
	row        int32
}

// hits are the events that one criterion keeps of the persons at hand, by
// person, then start.
type hits struct {
	list  []hit
	who   persons         // who has some
	spans [atOnce]hitSpan // of those

	where   bool    // there is a condition on each event
	settled persons // for whom it was asked
}

// hitSpan is a range of a list of hits.
type hitSpan struct{ from, to int32 }

// persons is a set of the persons at hand.
type persons [atOnce / 64]uint64

func (p *persons) has(i int) bool { return p[i/64]&(1<<(i%64)) != 0 }
func (p *persons) put(i int)      { p[i/64] |= 1 << (i % 64) }

// each calls f for every one, in order.
func (p *persons) each(f func(i int)) {
	for k, left := range p {
		for ; left != 0; left &= left - 1 {
			f(k*64 + bits.TrailingZeros64(left))
		}
	}
}

// of gives those of the i-th person at hand.
func (h *hits) of(i int) []hit {
	if !h.who.has(i) {
		return nil
	}
	return h.list[h.spans[i].from:h.spans[i].to]
}

// add keeps an event of the i-th person; persons come in order.
func (h *hits) add(i int, start, end date, row int32) {
	s := &h.spans[i]
	if !h.who.has(i) {
		h.who.put(i)
		s.from = int32(len(h.list))
	}
	h.list = append(h.list, hit{start, end, row})
	s.to = int32(len(h.list))
}

// collect hands the events of the persons [lo, hi) to the criteria.
func (w *work) collect(lo, hi int) {
	w.lo = lo
	for i := range w.hits {
		h := &w.hits[i]
		h.list, h.who, h.settled = h.list[:0], persons{}, persons{}
	}
	for i := range w.plan.domains {
		d, e := &w.plan.domains[i], &w.events[i]
		standard, source, bySource := d.byStandard.criteria, d.bySource.criteria, len(d.bySource.criteria) > 1
		for person := lo; person < hi; person++ {
			for _, row := range e.order[e.first[person]:e.first[person+1]] {
				w.hand(&standard[e.standard[row]], e, row, person, person-lo)
				if bySource {
					w.hand(&source[e.source[row]], e, row, person, person-lo)
				}
				for _, c := range d.every {
					w.offer(c, e, row, person, person-lo)
				}
			}
		}
	}
	for i := range w.plan.criteria {
		c, h := &w.plan.criteria[i], &w.hits[i]
		if c.adjust != nil {
			h.reorder(&w.events[c.domain])
		}
	}
}

// endOf gives the end of a row, if ends were read.
func (e *events) endOf(row int32) date {
	if len(e.end) == 0 {
		return noDate
	}
	return e.end[row]
}

// hand gives a row to the criteria that want its concept.
func (w *work) hand(to *wanting, e *events, row int32, person, local int) {
	if len(to.plain) > 0 {
		start, end := e.start[row], e.endOf(row)
		for _, c := range to.plain {
			w.hits[c].add(local, start, end, row)
		}
	}
	for _, c := range to.asked {
		w.offer(c, e, row, person, local)
	}
}

// offer lets a criterion see one of its rows, in order; local is the person's
// place among those at hand.
func (w *work) offer(i int32, e *events, row int32, person, local int) {
	c, h := &w.plan.criteria[i], &w.hits[i]
	start, end := e.start[row], e.endOf(row)
	if c.plain {
		h.add(local, start, end, row)
		return
	}
	if c.source != nil && !contains(c.source, e.sourceID[row]) {
		return
	}
	if c.first { // the first of the concepts, before any filter
		if w.seen[i] == int32(person)+1 {
			return
		}
		w.seen[i] = int32(person) + 1
	}
	if c.supply != nil {
		end = addDays(start, *c.supply)
	}
	if a := c.adjust; a != nil {
		from, to := start, end
		if a.StartFromEnd {
			from = end
		}
		if !a.EndFromEnd {
			to = start
		}
		if from == noDate || to == noDate {
			return
		}
		start, end = addDays(from, a.StartDays), addDays(to, a.EndDays)
		if end < start {
			return
		}
	}
	for k := range c.filters {
		if !w.passes(&c.filters[k], e, row, start, end, person) {
			return
		}
	}
	if p := c.period; p != nil {
		for _, at := range [2]date{p.Start, p.End} {
			if at != noDate && (start > at || end == noDate || end < at) {
				return
			}
		}
		if p.Start != noDate {
			start = p.Start
		}
		if p.End != noDate {
			end = p.End
		}
	}
	h.add(local, start, end, row)
}

// reorder puts moved events in order again.
func (h *hits) reorder(e *events) {
	h.who.each(func(i int) {
		slices.SortStableFunc(h.of(i), func(a, b hit) int {
			if a.start != b.start || len(e.id) == 0 {
				return firstOrder(a.start, b.start)
			}
			return firstOrder(e.id[a.row], e.id[b.row])
		})
	})
}

// passes says whether an event passes a filter; of an event without rows in
// PERSON, no condition on the person does.
func (w *work) passes(f *plannedFilter, e *events, row int32, start, end date, person int) bool {
	switch f.subject {
	case circe.SubjectColumn:
		x := &e.extra[f.columns[0]]
		if f.op == circe.OpIn || f.op == circe.OpNotIn {
			return f.keepsConcept(x.concept(row))
		}
		v, there := x.float(row)
		return there && f.keeps(v)
	case circe.SubjectText:
		return e.extra[f.columns[0]].ok[row]
	case circe.SubjectLength:
		return end != noDate && f.keeps(float64(end)-float64(start))
	case circe.SubjectSpecialty:
		kind, there := e.kind(f.columns[0], row, w.outside.providers)
		return f.keepsConcept(kind, there && kind != NoConcept)
	case circe.SubjectPlace:
		kind, there := e.kind(f.columns[0], row, w.outside.sites)
		return there && f.keepsConcept(kind, kind != NoConcept)
	case circe.SubjectVisit:
		kind, there := w.visits.kind(person, e.visit[row])
		return there && f.keepsConcept(kind, kind != NoConcept)
	case circe.SubjectLowRatio, circe.SubjectHighRatio:
		v, there := e.extra[f.columns[0]].float(row)
		by, also := e.extra[f.columns[1]].float(row)
		return there && also && by != 0 && f.keeps(v/by)
	case circe.SubjectAbnormal:
		v, there := e.extra[f.columns[0]].float(row)
		low, hasLow := e.extra[f.columns[1]].float(row)
		high, hasHigh := e.extra[f.columns[2]].float(row)
		concept, coded := e.extra[f.columns[3]].concept(row)
		return there && (hasLow && v < low || hasHigh && v > high) || coded && contains(abnormalConcepts, concept)
	}
	return w.people.passes(f, start, end, person)
}

// kind gives the kind of the provider or care site of a row.
func (e *events) kind(column, row int32, kinds kinds) (int64, bool) {
	id, there := e.extra[column].concept(row)
	if !there {
		return 0, false
	}
	kind, there := kinds[id]
	return kind, there
}

// passes says whether a person, and the dates of an event, pass a filter.
func (p *People) passes(f *plannedFilter, start, end date, person int) bool {
	age := func(at date) bool {
		born := p.BirthYear[person]
		return born != NoYear && f.keeps(float64(Year(at))-float64(born))
	}
	switch f.subject {
	case circe.SubjectStart:
		return f.keeps(float64(start))
	case circe.SubjectEnd:
		return end != noDate && f.keeps(float64(end))
	case circe.SubjectAgeAtStart:
		return age(start)
	case circe.SubjectAgeAtEnd:
		return end != noDate && age(end)
	}
	value := p.Gender
	switch f.subject {
	case circe.SubjectRace:
		value = p.race
	case circe.SubjectEthnicity:
		value = p.ethnicity
	}
	return p.known[person] && f.keepsConcept(value[person], value[person] != NoConcept)
}
