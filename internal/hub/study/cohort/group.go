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
	row, criterion int32
	sort           date   // what decides which event is first
	place          int32  // of its criterion in the definition
	met            uint64 // inclusion rules that it meets
}

// enter adds an event in an observation period to a list. It fills the entry in
// its place: one that is made elsewhere would be copied before it has left the
// processor's store buffer, which takes several times as long.
func enter(list []entry, x hit, op Period, criterion, place int32) []entry {
	list = slices.Grow(list, 1)[:len(list)+1]
	e := &list[len(list)-1]
	e.start, e.end, e.row = x.start, x.end, x.row
	e.opStart, e.opEnd = op.Start, op.End
	e.criterion, e.place, e.sort, e.met = criterion, place, x.start, 0
	return list
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

// settled says of a condition on one event, as far as can be told from who has
// events at all, for whom of the persons at hand it holds, whichever event it
// is, and for whom it does not.
type settled struct{ yes, no persons }

// settle settles a condition for the persons at hand. An event that counts twice
// (see holds) is not settled by it.
func (w *work) settle(g *groupPlan) (s settled) {
	if g.parts() == 0 {
		return settled{yes: everybody}
	}
	switch g.kind {
	case circe.All:
		s.yes = everybody
	case circe.Any:
		s.no = everybody
	default:
		return settled{}
	}
	part := func(yes, no persons) {
		if g.kind == circe.All {
			s.yes, s.no = s.yes&yes, s.no|no
		} else {
			s.yes, s.no = s.yes|yes, s.no&no
		}
	}
	if len(g.people) > 0 {
		part(0, 0)
	}
	for i := range g.correlated {
		c := &g.correlated[i]
		if without := ^w.hits[c.criterion].who; c.allows(0) {
			part(without, 0)
		} else {
			part(0, without)
		}
	}
	for i := range g.groups {
		sub := w.settle(&g.groups[i])
		part(sub.yes, sub.no)
	}
	return s
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
	if index == noDate && !(win.From.Open && win.To.Open) {
		return false
	}
	from, to := noDate+1, date(math.MaxInt32)
	if !anyTime || !win.From.Open {
		from = bound(win.From, index, r)
	}
	if !anyTime || !win.To.Open {
		to = bound(win.To, index, r)
	}
	if win.EventEnd {
		s.endFrom, s.endTo = max(s.endFrom, from), min(s.endTo, to)
		s.byEnd = s.byEnd || !(anyTime && win.From.Open && win.To.Open)
	} else {
		s.startFrom, s.startTo = max(s.startFrom, from), min(s.startTo, to)
	}
	return true
}

// bound gives the day on which a window around an event begins or ends.
func bound(e circe.Endpoint, index date, r *entry) date {
	switch {
	case !e.Open:
		return addDays(index, e.Days)
	case e.Before:
		return r.opStart
	default:
		return r.opEnd
	}
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
		if !ok {
			continue
		}
		visit := int64(NoConcept)
		if c.RestrictVisit {
			if visit = w.visitOf(r.criterion, r.row); visit == NoConcept {
				continue
			}
		}
		for k := range list {
			h := &list[k]
			if h.start > s.startTo {
				break // events come by start
			}
			if h.start < s.startFrom || s.byEnd && (h.end == noDate || h.end < s.endFrom || h.end > s.endTo) {
				continue
			}
			if c.RestrictVisit && w.visitOf(c.criterion, h.row) != visit {
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
	return c.allows(n)
}

// allows says whether so many events are as many as are asked for.
func (c *correlatedPlan) allows(n int) bool {
	switch c.Occurrence.Comparison {
	case circe.Exactly:
		return n == c.Occurrence.Count
	case circe.NoMoreThan:
		return n <= c.Occurrence.Count
	default:
		return n >= c.Occurrence.Count
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
	if h.unasked.has(local) {
		w.keepWhere(criterion, local)
	}
	return h.of(local)
}

// keepWhere keeps the events of a person for which the criterion's condition
// holds. All deaths of a person are one event to the reference, which knows them
// by the person's id.
func (w *work) keepWhere(criterion int32, local int) {
	c, h := &w.plan.criteria[criterion], &w.hits[criterion]
	together := w.plan.domains[c.domain].together()
	mine := h.of(local)
	kept, rows := 0, len(w.rows) // those before belong to conditions that this one is part of
	for k, x := range mine {
		for _, op := range w.people.Periods(w.lo + local) {
			if op.Start <= x.start && x.start <= op.End {
				w.rows = enter(w.rows, x, op, criterion, 0)
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
	if kept == 0 {
		h.drop(local)
		return
	}
	s := h.span(local)
	s.to = s.from + int32(kept)
	h.unasked &^= 1 << (local % atOnce)
}
