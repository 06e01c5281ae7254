package cohort

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// Result is the answer for one bucket.
type Result struct {
	People  *People
	Cohorts []Members // one for each definition of the plan, in that order
	// Attrition is how many events and persons meet which inclusion rules, one
	// for each definition; nil if it was not asked for.
	Attrition []Attrition

	counts [][]count // what the attrition of each definition is made of, by person
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

// atOnce is how many persons are evaluated together: few enough that their
// events stay in the processor's cache, and a set of them is one word.
const atOnce = 64

// Evaluate answers every definition of the plan over one bucket. An error of
// the reader is given back as it is.
func (p *Plan) Evaluate(ctx context.Context, r Reader, bucket int) (*Result, error) {
	return p.evaluate(ctx, r, bucket, false)
}

// EvaluateAttrition is Evaluate, and counts events and persons by the inclusion
// rules that they meet. That takes longer: every rule is asked of every event.
func (p *Plan) EvaluateAttrition(ctx context.Context, r Reader, bucket int) (*Result, error) {
	return p.evaluate(ctx, r, bucket, true)
}

func (p *Plan) evaluate(ctx context.Context, r Reader, bucket int, attrition bool) (*Result, error) {
	people, err := p.people(ctx, r, bucket)
	if err != nil {
		return nil, err
	}
	how := countNothing
	if attrition {
		how = countAll
	}
	return p.evaluateOf(ctx, r, bucket, people, how)
}

// people loads the persons of a bucket, if the CDM has all that the plan asks.
func (p *Plan) people(ctx context.Context, r Reader, bucket int) (*People, error) {
	if err := circe.Refuse("cohort.evaluate", havre.Refused, p.absent, "the reference's SQL fails on such a CDM too; leave the attribute out"); err != nil {
		return nil, err
	}
	return loadPeople(ctx, r, bucket, p.person)
}

// counting says what is counted by the inclusion rules that it meets.
type counting int

const (
	countNothing counting = iota
	countAll
	countEach // and who adds what
)

// evaluateOf answers every definition for the given persons of a bucket.
func (p *Plan) evaluateOf(ctx context.Context, r Reader, bucket int, people *People, how counting) (*Result, error) {
	w := p.works.get(p)
	defer p.works.put(w)
	var err error
	w.people = people
	if w.outside, err = p.lookups.get(ctx, r, p); err != nil {
		return nil, err
	}
	w.ranked = ranked(r)
	if p.visits {
		if err = w.visits.load(ctx, r, bucket, w.people); err != nil {
			return nil, err
		}
	}
	for i := range p.domains {
		if err = p.domains[i].load(ctx, r, bucket, w.people, &w.events[i], &w.kept); err != nil {
			return nil, err
		}
	}
	for n := range w.members {
		w.members[n] = w.members[n][:0]
	}
	w.attrition = nil
	if how != countNothing {
		w.attrition = newTallies(p, how == countEach)
	}
	clear(w.seen)
	for lo := 0; lo < len(w.people.ID); lo += atOnce {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		hi := min(lo+atOnce, len(w.people.ID))
		w.collect(lo, hi)
		for n := range p.definitions {
			w.definition(n, lo)
		}
	}
	res := &Result{People: w.people, Cohorts: w.cohorts()}
	if how != countNothing {
		res.Attrition, res.counts = w.attrition.done()
	}
	return res, nil
}

// work is the state of one evaluation. Its lists are used again for each
// person and each bucket, so that evaluating allocates next to nothing.
type work struct {
	plan    *Plan
	people  *People
	lo      int     // the first person at hand
	once    persons // those who have one observation period
	outside outside
	visits  visits
	events  []events   // by domain
	hits    []hits     // by criterion
	seen    []int32    // by criterion that wants the first event: 1 + the last person who had one
	members [][]member // by definition
	ranked  bool       // ids are ranks: see ranker

	attrition tallies

	rules   []settled // of the definition at hand
	kept    []int32
	values  []int64
	rows    []entry
	entries []entry
	periods []Period
	eras    []Period
}

func newWork(p *Plan) *work {
	return &work{plan: p, events: make([]events, len(p.domains)), hits: make([]hits, len(p.criteria)), seen: make([]int32, len(p.criteria)), members: make([][]member, len(p.definitions))}
}

// works are those of a plan that nothing is evaluated with, as many as there were
// evaluations at once. A pool of package sync would be emptied several times a
// second, and with it the memory that this is about.
type works struct {
	mu   sync.Mutex
	idle []*work
}

func (s *works) get(p *Plan) *work {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.idle)
	if n == 0 {
		return newWork(p)
	}
	w := s.idle[n-1]
	s.idle = s.idle[:n-1]
	return w
}

func (s *works) put(w *work) {
	w.people, w.outside, w.attrition = nil, outside{}, nil // these belong to the result, or to the reader
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, w)
}

// definition follows the steps of circe-be's generateCohort.sql for the persons
// at hand, of whom lo is the first, who have a primary event.
func (w *work) definition(n, lo int) {
	d := &w.plan.definitions[n]
	var who persons
	for _, c := range d.primary {
		who |= w.hits[c].who
	}
	if who == 0 {
		return
	}
	w.rules = w.rules[:0]
	for r := range d.rules {
		rule := w.settle(&d.rules[r])
		w.rules = append(w.rules, rule)
		if w.attrition == nil {
			who &^= rule.no
		}
	}
	var additional settled
	if d.additional != nil {
		additional = w.settle(d.additional)
		who &^= additional.no
	}
	who.each(func(i int) { w.person(n, d, additional.yes, lo+i, i) })
}

// person does so for one; local is the person's place among those at hand.
func (w *work) person(n int, d *plannedDefinition, additional persons, person, local int) {
	w.primary(d, person, local)
	if len(w.entries) == 0 {
		return
	}
	if d.additional != nil && !additional.has(local) {
		kept := w.entries[:0]
		for i := range w.entries {
			if w.holds(d.additional, w.entries[i:i+1], person, local) {
				kept = append(kept, w.entries[i])
			}
		}
		w.entries = kept
	}
	w.limit(d.qualify)
	if len(w.entries) == 0 {
		return
	}
	w.include(n, d, person, local)
	w.limit(d.ExpressionLimit)
	w.periods = w.periods[:0]
	for i := range w.entries {
		e := &w.entries[i]
		if end := w.exit(d, e, local); end != noDate {
			w.periods = append(w.periods, Period{e.start, end})
		}
	}
	w.collapse(n, d, person)
}

// primary lists the primary events in the order that decides which is first:
// by the date to sort by (the latest first if the last is wanted), then event
// id. Of events that the reference cannot tell apart the first criterion's
// comes first. Where ids are ranks, events of one table come before those of
// the next, in the order of the criteria.
func (w *work) primary(d *plannedDefinition, person, local int) {
	w.entries = w.entries[:0]
	periods := w.people.Periods(person)
	latest := date(math.MaxInt32) // what starts later is not the first
	for place, c := range d.primary {
		if !w.hits[c].who.has(local) {
			continue
		}
		pc := &w.plan.criteria[c]
		for _, h := range w.of(c, local) {
			if h.start > latest && pc.period == nil {
				break // events come by start
			}
			for _, op := range periods {
				if h.start < op.Start || h.start > op.End ||
					addDays(op.Start, d.Primary.PriorDays) > h.start || addDays(h.start, d.Primary.PostDays) > op.End {
					continue
				}
				w.entries = enter(w.entries, h, op, c, int32(place))
				e := &w.entries[len(w.entries)-1]
				if pc.period != nil && pc.period.Start != noDate {
					e.sort = pc.ownStart(&w.events[pc.domain], h.row)
				}
				if d.Primary.Limit == circe.LimitFirst {
					latest = min(latest, e.sort)
				}
			}
		}
	}
	if len(w.entries) < 2 || d.unordered {
		return
	}
	last := d.Primary.Limit == circe.LimitLast
	slices.SortFunc(w.entries, func(a, b entry) int {
		c := cmp.Compare(a.sort, b.sort)
		if last {
			c = -c
		}
		if c != 0 {
			return c
		}
		if w.ranked {
			if c := cmp.Compare(d.tables[a.place], d.tables[b.place]); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(w.idOf(&a), w.idOf(&b)); c != 0 {
			return c
		}
		if w.ranked && a.row != b.row {
			return cmp.Compare(a.row, b.row)
		}
		return firstOrder(a.place, b.place, a.end, b.end, a.opEnd, b.opEnd)
	})
	if d.Primary.Limit != circe.LimitAll {
		w.entries = w.entries[:1]
	}
}

// idOf gives the id of a primary event.
func (w *work) idOf(e *entry) int64 {
	return w.events[w.plan.criteria[e.criterion].domain].id[e.row]
}

// ownStart gives the start of an event for which a fixed date is taken.
func (c *plannedCriterion) ownStart(e *events, row int32) date {
	if a := c.adjust; a != nil {
		if a.StartFromEnd {
			return addDays(e.rows[row].end, a.StartDays)
		}
		return addDays(e.rows[row].start, a.StartDays)
	}
	return e.rows[row].start
}

// limit keeps all events, the earliest or the latest. Of several on that day
// the reference takes any; here it is the one that comes first in the order of
// primary.
func (w *work) limit(l circe.Limit) {
	if l == circe.LimitAll || len(w.entries) < 2 {
		return
	}
	best := w.entries[0]
	for _, e := range w.entries[1:] {
		if l == circe.LimitFirst && e.start < best.start || l == circe.LimitLast && e.start > best.start {
			best = e
		}
	}
	w.entries = append(w.entries[:0], best)
}

// include keeps the events that meet every inclusion rule.
func (w *work) include(n int, d *plannedDefinition, person, local int) {
	if w.attrition != nil {
		for i := range w.entries {
			e := &w.entries[i]
			for r := range d.rules {
				if w.meets(d, r, i, person, local) {
					e.met |= 1 << r
				}
			}
		}
		w.attrition[n].add(w.entries, int32(person))
	}
	if len(d.rules) == 0 {
		return
	}
	kept := 0
next:
	for i := range w.entries {
		if w.attrition != nil {
			if w.entries[i].met != d.everyMask {
				continue
			}
		} else {
			for r := range d.rules {
				if !w.meets(d, r, i, person, local) {
					continue next
				}
			}
		}
		w.entries[kept] = w.entries[i]
		kept++
	}
	w.entries = w.entries[:kept]
}

// meets says whether the i-th event meets a rule.
func (w *work) meets(d *plannedDefinition, rule, i, person, local int) bool {
	s := w.rules[rule]
	return s.yes.has(local) || !s.no.has(local) && w.holds(&d.rules[rule], w.entries[i:i+1], person, local)
}
