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
// person, then start. They fill one line of the processor's cache.
type hits struct {
	list    []hit
	spans   []hitSpan // of those who have some, one after another
	who     persons   // who has some
	unasked persons   // of whom the condition on each event was not asked yet
}

// hitSpan is a range of a list of hits.
type hitSpan struct{ from, to int32 }

// persons is a set of the persons at hand.
type persons uint64

const everybody = ^persons(0)

func (p persons) has(i int) bool { return p>>(i%atOnce)&1 != 0 }

// before counts those who come before the i-th.
func (p persons) before(i int) int { return bits.OnesCount64(uint64(p & (1<<(i%atOnce) - 1))) }

// each calls f for every one, in order.
func (p persons) each(f func(i int)) {
	for ; p != 0; p &= p - 1 {
		f(bits.TrailingZeros64(uint64(p)))
	}
}

// span gives where those of the i-th person at hand are, who has some.
func (h *hits) span(i int) *hitSpan { return &h.spans[h.who.before(i)] }

// of gives those of the i-th person at hand.
func (h *hits) of(i int) []hit {
	if !h.who.has(i) {
		return nil
	}
	s := h.span(i)
	return h.list[s.from:s.to]
}

// drop keeps nothing of the i-th person, who has some.
func (h *hits) drop(i int) {
	at := h.who.before(i)
	h.spans = slices.Delete(h.spans, at, at+1)
	h.who &^= 1 << (i % atOnce)
	h.unasked &= h.who
}

// add keeps an event of the i-th person; persons come in order.
func (h *hits) add(i int, x hit) {
	h.list = append(h.list, x)
	if !h.who.has(i) {
		h.who |= 1 << (i % atOnce)
		h.spans = append(h.spans, hitSpan{from: int32(len(h.list)) - 1})
	}
	h.spans[len(h.spans)-1].to = int32(len(h.list))
}

// collect hands the events of the persons [lo, hi) to the criteria.
func (w *work) collect(lo, hi int) {
	w.lo, w.once = lo, 0
	for person := lo; person < hi; person++ {
		if len(w.people.Periods(person)) == 1 {
			w.once |= 1 << (person - lo)
		}
	}
	for i := range w.hits {
		h := &w.hits[i]
		*h = hits{list: h.list[:0], spans: h.spans[:0]}
	}
	for i := range w.plan.domains {
		d, e := &w.plan.domains[i], &w.events[i]
		standard, source, bySource := d.byStandard.criteria, d.bySource.criteria, len(d.bySource.criteria) > 1
		for person := lo; person < hi; person++ {
			mine := e.sorted[e.first[person]:e.first[person+1]]
			for k := range mine {
				row := &mine[k]
				w.hand(&standard[row.standard], e, row.hit, person, person-lo)
				if bySource {
					w.hand(&source[row.source], e, row.hit, person, person-lo)
				}
				for _, c := range d.every {
					w.offer(c, e, row.hit, person, person-lo)
				}
			}
		}
	}
	for i := range w.plan.criteria {
		c, h := &w.plan.criteria[i], &w.hits[i]
		if c.adjust != nil {
			h.reorder(&w.events[c.domain])
		}
		if c.group != nil {
			h.unasked = h.who
			if !w.plan.domains[c.domain].together() {
				(h.who & w.once & w.settle(c.group).no).each(h.drop)
			}
		}
	}
}

// hand gives a row to the criteria that want its concept.
func (w *work) hand(to *wanting, e *events, x hit, person, local int) {
	for _, c := range to.plain {
		w.hits[c].add(local, x)
	}
	for _, c := range to.asked {
		w.offer(c, e, x, person, local)
	}
}

// offer lets a criterion see one of its rows, in order; local is the person's
// place among those at hand.
func (w *work) offer(i int32, e *events, x hit, person, local int) {
	c, h := &w.plan.criteria[i], &w.hits[i]
	if c.plain {
		h.add(local, x)
		return
	}
	if c.source != nil && !contains(c.source, e.sourceID[x.row]) {
		return
	}
	if c.first { // the first of the concepts, before any filter
		if w.seen[i] == int32(person)+1 {
			return
		}
		w.seen[i] = int32(person) + 1
	}
	if c.supply != nil {
		x.end = addDays(x.start, *c.supply)
	}
	if a := c.adjust; a != nil {
		from, to := x.start, x.end
		if a.StartFromEnd {
			from = x.end
		}
		if !a.EndFromEnd {
			to = x.start
		}
		if from == noDate || to == noDate {
			return
		}
		x.start, x.end = addDays(from, a.StartDays), addDays(to, a.EndDays)
		if x.end < x.start {
			return
		}
	}
	for k := range c.filters {
		if !w.passes(&c.filters[k], e, x, person) {
			return
		}
	}
	if p := c.period; p != nil {
		for _, at := range [2]date{p.Start, p.End} {
			if at != noDate && (x.start > at || x.end == noDate || x.end < at) {
				return
			}
		}
		if p.Start != noDate {
			x.start = p.Start
		}
		if p.End != noDate {
			x.end = p.End
		}
	}
	h.add(local, x)
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
func (w *work) passes(f *plannedFilter, e *events, x hit, person int) bool {
	switch f.subject {
	case circe.SubjectColumn:
		column := &e.extra[f.columns[0]]
		if f.op == circe.OpIn || f.op == circe.OpNotIn {
			return f.keepsConcept(column.concept(x.row))
		}
		v, there := column.float(x.row)
		return there && f.keeps(v)
	case circe.SubjectText:
		return e.extra[f.columns[0]].ok[x.row]
	case circe.SubjectLength:
		return x.end != noDate && f.keeps(float64(x.end)-float64(x.start))
	case circe.SubjectSpecialty:
		kind, there := e.kind(f.columns[0], x.row, w.outside.providers)
		return f.keepsConcept(kind, there && kind != NoConcept)
	case circe.SubjectPlace:
		kind, there := e.kind(f.columns[0], x.row, w.outside.sites)
		return there && f.keepsConcept(kind, kind != NoConcept)
	case circe.SubjectVisit:
		kind, there := w.visits.kind(person, e.visit[x.row])
		return there && f.keepsConcept(kind, kind != NoConcept)
	case circe.SubjectLowRatio, circe.SubjectHighRatio:
		v, there := e.extra[f.columns[0]].float(x.row)
		by, also := e.extra[f.columns[1]].float(x.row)
		return there && also && by != 0 && f.keeps(v/by)
	case circe.SubjectAbnormal:
		v, there := e.extra[f.columns[0]].float(x.row)
		low, hasLow := e.extra[f.columns[1]].float(x.row)
		high, hasHigh := e.extra[f.columns[2]].float(x.row)
		concept, coded := e.extra[f.columns[3]].concept(x.row)
		return there && (hasLow && v < low || hasHigh && v > high) || coded && contains(abnormalConcepts, concept)
	}
	return w.people.passes(f, x.start, x.end, person)
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
