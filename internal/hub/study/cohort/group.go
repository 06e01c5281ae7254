package cohort

import (
	"math"
	"slices"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// entry is an event, in one observation period that it starts in: a primary
// event, or one that a condition is asked of.
type entry struct {
	start, end     date
	opStart, opEnd date
	visit          int64  // NoConcept: none
	row            int32  // in the table of its criterion
	sort           date   // what decides which event is first
	place          int32  // of its criterion in the definition
	met            uint64 // inclusion rules that it meets
}

// holds says whether a condition holds for an event. rows are the event in
// each observation period that it starts in, usually one.
//
// As in the reference's SQL, everything is counted once for each of them, also
// the parts of a group.
func (w *work) holds(g *groupPlan, rows []entry, person, local int) bool {
	parts := g.parts()
	if parts == 0 {
		return true
	}
	need, most, times := g.count, math.MaxInt, len(rows)
	switch g.kind {
	case circe.All:
		need, most = parts, parts
	case circe.Any:
		need = 1
	case circe.AtMost:
		need, most = 0, g.count
	}
	n := 0
	// Enough says, after each part, whether the rest can still matter.
	left := parts
	decided := func() bool {
		return n > most || n+left*times < need || most == math.MaxInt && n >= need
	}
	count := func(ok bool) bool {
		left--
		if ok {
			n += times
		}
		return decided()
	}
	for i := range g.people {
		if count(w.personHolds(&g.people[i], rows, person)) {
			return n >= need && n <= most
		}
	}
	for i := range g.correlated {
		if count(w.occurs(&g.correlated[i], rows, local)) {
			return n >= need && n <= most
		}
	}
	for i := range g.groups {
		if count(w.holds(&g.groups[i], rows, person, local)) {
			return n >= need && n <= most
		}
	}
	return n >= need && n <= most
}

func (w *work) personHolds(d *demographicPlan, rows []entry, person int) bool {
	if !w.people.known[person] {
		return false
	}
next:
	for k := range rows {
		for i := range d.filters {
			if !w.people.passes(&d.filters[i], rows[k].start, rows[k].end, person) {
				continue next
			}
		}
		return true
	}
	return false
}

// span is what a window allows: starts and ends of events.
type span struct {
	startFrom, startTo, endFrom, endTo date
	byEnd                              bool // the end must be there
}

// within gives the span of a correlated criterion around an event, and whether
// any event can lie in it.
func (c *correlatedPlan) within(r *entry) (span, bool) {
	s := span{noDate + 1, math.MaxInt32, noDate + 1, math.MaxInt32, false}
	if !c.AnyTime {
		s.startFrom, s.startTo = r.opStart, r.opEnd
	}
	if !s.cut(&c.Start, r, c.AnyTime) || c.End != nil && !s.cut(c.End, r, c.AnyTime) {
		return s, false
	}
	return s, s.startFrom <= s.startTo && s.endFrom <= s.endTo
}

// cut narrows the span to a window; false if the window has no place.
func (s *span) cut(win *circe.Window, r *entry, anyTime bool) bool {
	index := r.start
	if win.IndexEnd {
		index = r.end
	}
	from, to := noDate+1, date(math.MaxInt32)
	bounded := false
	for _, b := range [2]struct {
		e  circe.Endpoint
		to *date
	}{{win.From, &from}, {win.To, &to}} {
		switch {
		case !b.e.Open && index == noDate:
			return false
		case !b.e.Open:
			*b.to = addDays(index, b.e.Days)
		case anyTime:
			continue
		case b.e.Before:
			*b.to = r.opStart
		default:
			*b.to = r.opEnd
		}
		bounded = true
	}
	if win.EventEnd {
		s.endFrom, s.endTo, s.byEnd = max(s.endFrom, from), min(s.endTo, to), s.byEnd || bounded
	} else {
		s.startFrom, s.startTo = max(s.startFrom, from), min(s.startTo, to)
	}
	return true
}

// occurs says whether there are as many events around another one as a
// correlated criterion asks for.
func (w *work) occurs(c *correlatedPlan, rows []entry, local int) bool {
	o := &c.Occurrence
	list := w.of(c.criterion, local)
	enough := math.MaxInt
	if o.Comparison == circe.NoFewerThan && !o.Distinct {
		enough = o.Count
	}
	n := 0
	w.values = w.values[:0]
	for i := range rows {
		if len(list) == 0 || n >= enough {
			break
		}
		r := &rows[i]
		s, ok := c.within(r)
		if !ok || c.RestrictVisit && r.visit == NoConcept {
			continue
		}
		for k := range list {
			h := &list[k]
			if h.start > s.startTo {
				break // events come by start
			}
			if h.start < s.startFrom || s.byEnd && (h.end == noDate || h.end < s.endFrom || h.end > s.endTo) {
				continue
			}
			if c.RestrictVisit && w.visitOf(c.criterion, h.row) != r.visit {
				continue
			}
			n++
			if o.Distinct {
				w.value(c, h)
			} else if n >= enough {
				break
			}
		}
	}
	// The reference joins the counted events to the event itself where none is
	// allowed, and so counts them again for each of its rows.
	if o.Comparison == circe.NoMoreThan || o.Count == 0 {
		n *= len(rows)
	}
	if o.Distinct {
		slices.Sort(w.values)
		n = len(slices.Compact(w.values))
	}
	switch o.Comparison {
	case circe.Exactly:
		return n == o.Count
	case circe.NoMoreThan:
		return n <= o.Count
	default:
		return n >= o.Count
	}
}

// visitOf gives the visit of a row, NoConcept for none.
func (w *work) visitOf(criterion, row int32) int64 {
	d := w.plan.criteria[criterion].domain
	return w.events[d].visit[row]
}

// value notes what is counted distinct of an event, if it is there.
func (w *work) value(c *correlatedPlan, h *hit) {
	e := &w.events[w.plan.criteria[c.criterion].domain]
	v, there := int64(0), true
	switch c.distinct {
	case countStart:
		v = int64(h.start)
	case countEnd:
		v, there = int64(h.end), h.end != noDate
	case countLength:
		v, there = int64(h.end)-int64(h.start), h.end != noDate
	case countOne:
		v = 1
	case countVisit:
		v, there = e.visit[h.row], e.visit[h.row] != NoConcept
	case countConcept:
		v = e.concept[h.row]
		if there = v != NoConcept; !there && w.plan.domains[w.plan.criteria[c.criterion].domain].ID == "" {
			v, there = 0, true // a death without a cause
		}
	case countNone:
		there = false
	default:
		x := &e.extra[c.distinct]
		if x.ints != nil {
			v, there = x.concept(h.row)
		} else {
			var f float64
			f, there = x.float(h.row)
			v = int64(math.Float64bits(f + 0)) // -0 is 0
		}
	}
	if there {
		w.values = append(w.values, v)
	}
}

// of gives the events that a criterion keeps of a person at hand. A condition on
// each event is asked of those persons only for whom somebody wants to know.
func (w *work) of(criterion int32, local int) []hit {
	h := &w.hits[criterion]
	if h.where && h.who.has(local) && !h.settled.has(local) {
		w.keepWhere(&w.plan.criteria[criterion], h, local)
	}
	return h.of(local)
}

// keepWhere keeps the events of a person for which the criterion's condition
// holds. All deaths of a person are one event to the reference, which knows them
// by the person's id.
func (w *work) keepWhere(c *plannedCriterion, h *hits, local int) {
	e := &w.events[c.domain]
	together := w.plan.domains[c.domain].ID == ""
	mine := h.of(local)
	kept, rows := 0, len(w.rows) // those before belong to conditions that this one is part of
	for k, x := range mine {
		for _, op := range w.people.Periods(w.lo + local) {
			if op.Start <= x.start && x.start <= op.End {
				r := entry{start: x.start, end: x.end, opStart: op.Start, opEnd: op.End, visit: NoConcept}
				if len(e.visit) > 0 {
					r.visit = e.visit[x.row]
				}
				w.rows = append(w.rows, r)
			}
		}
		if together && k < len(mine)-1 {
			continue
		}
		if len(w.rows) > rows && w.holds(c.group, w.rows[rows:], w.lo+local, local) {
			first := k
			if together {
				first = 0
			}
			kept += copy(mine[kept:], mine[first:k+1])
		}
		w.rows = w.rows[:rows]
	}
	h.spans[local].to = h.spans[local].from + int32(kept)
	h.settled.put(local)
}
