package cohort

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
)

// Attrition is how many events and persons meet which inclusion rules of one
// definition. The rules that an event meets are a set of bits, bit i for rule
// i. A person counts with the best event: the one that meets most rules, then
// that with the lowest first rule, then the earliest.
type Attrition struct {
	Events  map[uint64]int64 // qualified events by the rules that they meet
	Persons map[uint64]int64 // persons with such events, by those of their best one
	Lost    int64            // persons none of whose periods the censor window leaves
}

// Merge adds the counts of another part of the population.
func (a *Attrition) Merge(b Attrition) {
	for _, m := range []struct{ to, from *map[uint64]int64 }{{&a.Events, &b.Events}, {&a.Persons, &b.Persons}} {
		if *m.to == nil {
			*m.to = map[uint64]int64{}
		}
		for mask, n := range *m.from {
			(*m.to)[mask] += n
		}
	}
	a.Lost += b.Lost
}

// Mode says what is counted: events or persons. The numbers are the
// reference's mode_id.
type Mode int

// The modes.
const (
	ByEvent Mode = iota
	ByPerson
)

func (a *Attrition) counts(m Mode) map[uint64]int64 {
	if m == ByPerson {
		return a.Persons
	}
	return a.Events
}

// InclusionResult is a row of the reference's cohort_inclusion_result.
type InclusionResult struct {
	Mode  Mode   // mode_id
	Mask  uint64 // inclusion_rule_mask
	Count int64  // person_count
}

// InclusionStats is a row of the reference's cohort_inclusion_stats.
type InclusionStats struct {
	Rule  int   // rule_sequence
	Mode  Mode  // mode_id
	Count int64 // person_count: those that meet the rule
	Gain  int64 // gain_count: those that meet all rules but this one
	Total int64 // person_total
}

// SummaryStats is a row of the reference's cohort_summary_stats.
type SummaryStats struct {
	Mode        Mode  // mode_id
	Base, Final int64 // base_count and final_count: before and after all rules
}

// Left lists those of the mode that are left before any of so many rules, after
// the first, after the first two, and so on.
func (a *Attrition) Left(m Mode, rules int) []int64 {
	left := make([]int64, rules+1)
	for mask, n := range a.counts(m) {
		for i := range min(rules, bits.TrailingZeros64(^mask)) + 1 {
			left[i] += n
		}
	}
	return left
}

// Results lists the rows of cohort_inclusion_result. As the next two, it is for
// definitions that have rules; of others the reference keeps no statistics.
func (a *Attrition) Results() (out []InclusionResult) {
	for _, m := range []Mode{ByEvent, ByPerson} {
		for _, mask := range slices.Sorted(maps.Keys(a.counts(m))) {
			out = append(out, InclusionResult{m, mask, a.counts(m)[mask]})
		}
	}
	return out
}

// Stats lists the rows of cohort_inclusion_stats of a definition with so many
// rules, 63 at most.
func (a *Attrition) Stats(rules int) (out []InclusionStats) {
	for _, m := range []Mode{ByEvent, ByPerson} {
		for r := range rules {
			s := InclusionStats{Rule: r, Mode: m}
			for mask, n := range a.counts(m) {
				s.Total += n
				if mask&(1<<r) != 0 {
					s.Count += n
				}
			}
			s.Gain = a.counts(m)[(1<<rules-1)&^(1<<r)]
			out = append(out, s)
		}
	}
	return out
}

// Summary lists the rows of cohort_summary_stats of a definition with so many
// rules.
func (a *Attrition) Summary(rules int) (out []SummaryStats) {
	for _, m := range []Mode{ByEvent, ByPerson} {
		s := SummaryStats{Mode: m, Final: a.counts(m)[1<<rules-1]}
		for _, n := range a.counts(m) {
			s.Base += n
		}
		out = append(out, s)
	}
	return out
}

// tally counts for one definition during an evaluation. With few rules the
// counts stand in a list, else in a map.
type tally struct {
	dense [2][]int64
	rare  [2]map[uint64]int64
	lost  int64
	each  *[]count // nil: persons are not told apart
}

// count is what one person adds to an attrition: so many events that meet the
// same rules, the best one among them; no events: the person is lost.
type count struct {
	person int32
	met    uint64
	events int64
	best   bool
}

// addTo adds it.
func (c count) addTo(a *Attrition) {
	switch {
	case c.events == 0:
		a.Lost++
		return
	case c.best:
		a.Persons[c.met]++
	}
	a.Events[c.met] += c.events
}

type tallies []tally

// denseRules is how many rules a list of counts is kept for.
const denseRules = 10

func newTallies(p *Plan, each bool) tallies {
	t := make(tallies, len(p.definitions))
	for i := range t {
		if each {
			t[i].each = &[]count{}
		}
		rules := len(p.definitions[i].rules)
		for m := range 2 {
			if rules <= denseRules {
				t[i].dense[m] = make([]int64, 1<<rules)
			} else {
				t[i].rare[m] = map[uint64]int64{}
			}
		}
	}
	return t
}

func (t *tally) count(m Mode, mask uint64) {
	if t.dense[m] != nil {
		t.dense[m][mask]++
	} else {
		t.rare[m][mask]++
	}
}

// add counts the qualified events of one person, of which there is at least one.
func (t *tally) add(events []entry, person int32) {
	best := &events[0]
	for i := range events {
		e := &events[i]
		t.count(ByEvent, e.met)
		if i > 0 && better(e, best) {
			best = e
		}
	}
	t.count(ByPerson, best.met)
	if t.each == nil {
		return
	}
	from := len(*t.each)
next:
	for i := range events {
		for k := range (*t.each)[from:] {
			if c := &(*t.each)[from+k]; c.met == events[i].met {
				c.events++
				continue next
			}
		}
		*t.each = append(*t.each, count{person, events[i].met, 1, events[i].met == best.met})
	}
}

// lose counts a person none of whose periods is left.
func (t *tally) lose(person int32) {
	t.lost++
	if t.each != nil {
		*t.each = append(*t.each, count{person: person})
	}
}

// better says whether an event is better than one that comes before it.
func better(a, b *entry) bool {
	if c := cmp.Compare(bits.OnesCount64(b.met), bits.OnesCount64(a.met)); c != 0 {
		return c < 0
	}
	first := func(met uint64) int {
		if met == 0 {
			return 0
		}
		return bits.TrailingZeros64(met)
	}
	if c := cmp.Compare(first(a.met), first(b.met)); c != 0 {
		return c < 0
	}
	return a.start < b.start
}

func (t tallies) done() ([]Attrition, [][]count) {
	out, each := make([]Attrition, len(t)), make([][]count, len(t))
	for i := range t {
		for m := range 2 {
			counts := t[i].rare[m]
			if counts == nil {
				counts = map[uint64]int64{}
				for mask, n := range t[i].dense[m] {
					if n > 0 {
						counts[uint64(mask)] = n
					}
				}
			}
			if Mode(m) == ByEvent {
				out[i].Events = counts
			} else {
				out[i].Persons = counts
			}
		}
		out[i].Lost = t[i].lost
		if t[i].each != nil {
			each[i] = *t[i].each
		}
	}
	return out, each
}
