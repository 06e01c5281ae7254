package cohort

import (
	"slices"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// exit gives the day on which a person leaves after an event: the earliest, not
// before the event, of the end that the strategy says and the first censoring
// event. noDate if there is none: then the event lets nobody in.
func (w *work) exit(d *plannedDefinition, e *entry, local int) date {
	end := noDate
	take := func(at date) {
		if at != noDate && at >= e.start && (end == noDate || at < end) {
			end = at
		}
	}
	switch d.End.Kind {
	case circe.EndAtOffset:
		from := e.start
		if d.End.FromEnd {
			from = e.end
		}
		if from != noDate {
			take(min(addDays(from, d.End.Days), e.opEnd))
		}
	case circe.EndOfExposure:
		take(e.opEnd)
		for _, era := range w.exposures(d, local) {
			if era.Start <= e.start && e.start <= era.End {
				take(era.End)
			}
		}
	default:
		take(e.opEnd)
	}
	for _, c := range d.censoring {
		for _, h := range w.of(c, local) {
			if h.start >= e.start {
				if h.start <= e.opEnd {
					take(h.start)
				}
				break // events come by start
			}
		}
	}
	return end
}

// exposures unites the exposures to the drugs of a custom era: those that lie
// no more than the gap apart, the offset added to each.
func (w *work) exposures(d *plannedDefinition, local int) []Period {
	w.eras = w.eras[:0]
	for _, c := range d.drugs {
		for _, h := range w.of(c, local) {
			if h.end != noDate {
				w.eras = append(w.eras, Period{h.start, h.end})
			}
		}
	}
	w.eras = unite(w.eras, int64(d.End.GapDays)+int64(d.End.Days))
	for i := range w.eras {
		w.eras[i].End = addDays(w.eras[i].End, d.End.Days)
	}
	return w.eras
}

// unite joins periods that overlap or lie no more than the pad apart; it works
// in place.
func unite(periods []Period, pad int64) []Period {
	if len(periods) > 1 {
		slices.SortFunc(periods, func(a, b Period) int { return inOrder(a.Start, b.Start, b.End, a.End) })
	}
	n := 0
	for _, p := range periods {
		if n > 0 && int64(p.Start) <= int64(periods[n-1].End)+pad {
			periods[n-1].End = max(periods[n-1].End, p.End)
			continue
		}
		periods[n] = p
		n++
	}
	return periods[:n]
}

// member is a period of one person in a cohort.
type member struct {
	person int32
	Period
}

// collapse unites the periods of a person, cuts them to the censor window and
// adds them to the cohort.
func (w *work) collapse(n int, d *plannedDefinition, person int) {
	out := &w.members[n]
	w.periods = unite(w.periods, int64(d.EraPad))
	censored := d.CensorStart != noDate || d.CensorEnd != noDate
	before := len(*out)
	for _, era := range w.periods {
		if d.CensorStart != noDate {
			era.Start = max(era.Start, d.CensorStart)
		}
		if d.CensorEnd != noDate {
			era.End = min(era.End, d.CensorEnd)
		}
		if censored && era.Start > era.End {
			continue
		}
		*out = append(*out, member{int32(person), era})
	}
	if w.attrition != nil && len(w.periods) > 0 && len(*out) == before {
		w.attrition[n].lose(int32(person))
	}
}

// cohorts gives the members of each definition, in memory of their own.
func (w *work) cohorts() []Members {
	all := 0
	for _, of := range w.members {
		all += len(of)
	}
	memory := make([]int32, 3*all)
	take := func(n int) []int32 {
		some := memory[:n:n]
		memory = memory[n:]
		return some
	}
	out := make([]Members, len(w.members))
	for n, of := range w.members {
		if len(of) == 0 {
			continue
		}
		m := Members{take(len(of)), take(len(of)), take(len(of))}
		for i, x := range of {
			m.Person[i], m.Start[i], m.End[i] = x.person, x.Start, x.End
		}
		out[n] = m
	}
	return out
}
