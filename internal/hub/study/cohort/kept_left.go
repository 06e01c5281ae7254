package cohort

import (
	"cmp"
	"context"
	"slices"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// leftover settles, for one bucket, what of the answer is taken over and what is
// evaluated.
type leftover struct {
	k      *Keeper
	bucket int
	people *People
	now    *keptState
	old    *kept

	from  []*keptCohort // by definition: what is taken over; nil: nothing
	whole []int         // definitions that are evaluated for everybody
	some  []int         // those that are evaluated for the persons of again
	again []bool        // by place in people

	touched map[touchedKey]touched
	gone    bool // somebody for whom there are kept members is no longer there
}

type touchedKey struct {
	state int
	table string // "" for persons who were not there
}

// touched are the persons whose members cannot be taken over.
type touched struct {
	all     bool
	persons []int32 // places in people
}

// wholeBucket is what is left when nothing is taken over.
func (l *leftover) wholeBucket() *leftover {
	l.whole, l.some = l.whole[:0], nil
	for i := range l.k.plan.definitions {
		l.whole = append(l.whole, i)
	}
	return l
}

func (l *leftover) answer(ctx context.Context, attrition bool) (*Result, error) {
	if err := l.settle(ctx, attrition); err != nil {
		return nil, err
	}
	n := len(l.k.plan.definitions)
	res := &Result{People: l.people, Cohorts: make([]Members, n)}
	how := countNothing
	if attrition {
		how, res.Attrition, res.counts = countEach, make([]Attrition, n), make([][]count, n)
	}
	if err := l.evaluate(ctx, res, l.whole, nil, how); err != nil {
		return nil, err
	}
	if err := l.evaluate(ctx, res, l.some, l.again, how); err != nil {
		return nil, err
	}
	for i, c := range l.from {
		if c != nil {
			l.takeOver(res, i, c, slices.Contains(l.some, i), attrition)
		}
	}
	return res, nil
}

// settle says of each definition what is evaluated.
func (l *leftover) settle(ctx context.Context, attrition bool) error {
	l.from = make([]*keptCohort, len(l.k.plan.definitions))
	for i := range l.k.plan.definitions {
		c := l.old.find(l.k.plan.definitions[i].key)
		if c == nil || attrition && !c.Counted || l.old.states[c.State].Cut != l.now.Cut {
			l.whole = append(l.whole, i)
			continue
		}
		all, any := false, false
		for _, table := range append([]string{""}, l.k.tables[i]...) {
			t, err := l.touchedBy(ctx, c.State, table)
			if err != nil {
				return err
			}
			all, any = all || t.all, any || len(t.persons) > 0
		}
		if all {
			l.whole = append(l.whole, i)
			continue
		}
		l.from[i] = c
		if any {
			l.some = append(l.some, i)
			for _, table := range append([]string{""}, l.k.tables[i]...) {
				for _, at := range l.touched[touchedKey{c.State, table}].persons {
					l.again[at] = true
				}
			}
		}
	}
	return nil
}

// touchedBy says who was touched by what has changed in a table since a state.
func (l *leftover) touchedBy(ctx context.Context, state int, table string) (touched, error) {
	key := touchedKey{state, table}
	if t, ok := l.touched[key]; ok {
		return t, nil
	}
	var t touched
	was := l.old.states[state]
	if table == "" {
		for at, id := range l.people.ID {
			if _, there := slices.BinarySearch(was.persons, id); !there {
				t.persons = append(t.persons, int32(at))
			}
		}
		l.touched[key] = t
		return t, nil
	}
	known, read := was.Segments[table]
	added, same := since(known, l.now.Segments[table])
	spec, _ := omop.Lookup(table)
	switch {
	case !read || !same || len(added) > 0 && !spec.PersonLevel:
		t.all = true
	case len(added) > 0:
		persons, err := l.k.rows.PersonsIn(ctx, table, l.bucket, added)
		if err != nil {
			return t, err
		}
		for _, id := range persons {
			if at := l.people.Find(id); at >= 0 {
				t.persons = append(t.persons, int32(at))
			}
		}
		slices.Sort(t.persons)
		t.persons = slices.Compact(t.persons)
	}
	l.touched[key] = t
	return t, nil
}

// since lists what came to a list; same says that all the rest is still there,
// in order.
func since(old, now []string) (added []string, same bool) {
	for _, s := range now {
		if len(old) > 0 && s == old[0] {
			old = old[1:]
		} else {
			added = append(added, s)
		}
	}
	return added, len(old) == 0
}

// evaluate answers some definitions, for the persons marked; nil for all.
func (l *leftover) evaluate(ctx context.Context, res *Result, which []int, marked []bool, how counting) error {
	if len(which) == 0 {
		return nil
	}
	plan, err := l.k.sub(ctx, which)
	if err != nil {
		return err
	}
	people, places := l.people, []int32(nil)
	if marked != nil {
		people, places = l.people.only(marked)
	}
	r, err := plan.evaluateOf(ctx, l.k.rows, l.bucket, people, how)
	if err != nil {
		return err
	}
	for n, i := range which {
		res.Cohorts[i] = r.Cohorts[n]
		if marked != nil {
			for row, at := range res.Cohorts[i].Person {
				res.Cohorts[i].Person[row] = places[at]
			}
		}
		if how == countNothing {
			continue
		}
		res.Attrition[i], res.counts[i] = r.Attrition[n], r.counts[n]
		if marked != nil {
			for row := range res.counts[i] {
				c := &res.counts[i][row]
				c.person = places[c.person]
			}
		}
	}
	return nil
}

// takeOver puts kept members among those that were evaluated.
func (l *leftover) takeOver(res *Result, i int, c *keptCohort, butAgain, attrition bool) {
	place := func(id int64) int {
		at := l.people.Find(id)
		if at < 0 {
			l.gone = true
		} else if butAgain && l.again[at] {
			return -1
		}
		return at
	}
	fresh := &res.Cohorts[i]
	var m Members
	take := func(before int32) { // what was evaluated of the persons before
		n := 0
		for n < len(fresh.Person) && fresh.Person[n] < before {
			n++
		}
		m.Person, m.Start, m.End = append(m.Person, fresh.Person[:n]...), append(m.Start, fresh.Start[:n]...), append(m.End, fresh.End[:n]...)
		fresh.Person, fresh.Start, fresh.End = fresh.Person[n:], fresh.Start[n:], fresh.End[n:]
	}
	for row, id := range c.person {
		if at := place(id); at >= 0 {
			take(int32(at))
			m.Person, m.Start, m.End = append(m.Person, int32(at)), append(m.Start, c.start[row]), append(m.End, c.end[row])
		}
	}
	take(int32(len(l.people.ID)))
	res.Cohorts[i] = m
	if !attrition {
		return
	}
	a := Attrition{Events: map[uint64]int64{}, Persons: map[uint64]int64{}}
	counts := res.counts[i]
	for _, kc := range c.counts {
		if at := place(kc.id); at >= 0 {
			kc.count.person = int32(at)
			counts = append(counts, kc.count)
			kc.count.addTo(&a)
		}
	}
	a.Merge(res.Attrition[i])
	slices.SortStableFunc(counts, func(a, b count) int { return cmp.Compare(a.person, b.person) })
	res.Attrition[i], res.counts[i] = a, counts
}

// asBefore says whether all that would be kept is kept already.
func (l *leftover) asBefore() bool {
	if len(l.whole) > 0 || len(l.some) > 0 || l.gone {
		return false
	}
	for _, c := range l.from {
		if !l.old.states[c.State].is(l.now) {
			return false
		}
	}
	return true
}

// kept is what is kept from here on: this answer, then what was kept of other
// definitions, as long as there is room.
func (l *leftover) kept(res *Result, attrition bool) *kept {
	out := &kept{states: []*keptState{l.now}}
	room := keptRows - len(l.people.ID)
	for i := range l.k.plan.definitions {
		c := &keptCohort{Key: l.k.plan.definitions[i].key, Counted: attrition}
		m := &res.Cohorts[i]
		for row, at := range m.Person {
			c.person = append(c.person, l.people.ID[at])
			c.start, c.end = append(c.start, m.Start[row]), append(c.end, m.End[row])
		}
		if attrition {
			for _, x := range res.counts[i] {
				c.counts = append(c.counts, keptCount{l.people.ID[x.person], x})
			}
		} else if f := l.from[i]; f != nil && f.Counted && !slices.Contains(l.some, i) && !l.gone {
			c.Counted, c.counts = true, f.counts
		}
		room = out.add(c, room)
	}
	states := map[int]int{}
	for _, c := range l.old.cohorts {
		if out.find(c.Key) != nil {
			continue
		}
		at, ok := states[c.State]
		if !ok {
			state := l.old.states[c.State].without(l.people)
			if room -= len(state.persons); room < 0 {
				break
			}
			at = len(out.states)
			states[c.State] = at
			out.states = append(out.states, state)
		}
		other := c.without(l.people)
		other.State = at
		room = out.add(other, room)
	}
	return out
}

// only gives the persons marked, and their places.
func (p *People) only(marked []bool) (*People, []int32) {
	few := &People{}
	var places []int32
	for at, m := range marked {
		if !m {
			continue
		}
		places = append(places, int32(at))
		few.ID = append(few.ID, p.ID[at])
		few.periodStart = append(few.periodStart, int32(len(few.periods)))
		few.periods = append(few.periods, p.Periods(at)...)
		if p.known == nil {
			continue
		}
		few.known, few.Gender, few.BirthYear = append(few.known, p.known[at]), append(few.Gender, p.Gender[at]), append(few.BirthYear, p.BirthYear[at])
		if p.race != nil {
			few.race = append(few.race, p.race[at])
		}
		if p.ethnicity != nil {
			few.ethnicity = append(few.ethnicity, p.ethnicity[at])
		}
	}
	few.periodStart = append(few.periodStart, int32(len(few.periods)))
	few.few = few.ID
	few.index = newIndex(few.ID)
	return few, places
}
