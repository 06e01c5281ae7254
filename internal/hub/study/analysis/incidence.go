package analysis

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// daysPerYear turns days at risk into person-years.
const daysPerYear = 365.25

// incidence counts first days of an outcome over the days at risk of a target
// cohort.
type incidence struct {
	spec   study.Spec
	strata strata
}

// Places of the numbers in a cell of incidence and rate_ratio.
const (
	sumPersons = iota // with a day at risk
	sumCases          // persons with an event
	sumEvents
	sumDays // at risk
	riskSums
)

const (
	maxEvents = iota // of one person
	maxDays
	riskMaxima
)

// Name is as in study.Analysis.
func (a *incidence) Name() string { return a.spec.Name }

// Map is as in study.Analysis.
func (a *incidence) Map(_ context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(riskSums, riskMaxima)
	r := risk{spec: &a.spec}
	r.each(b, a.spec.Target, func(person int, entry int32, days, events int64) {
		t.at(a.strata.key(b.People, person, entry)).addPerson(days, events)
	})
	return t, nil
}

// addPerson adds one person at risk.
func (n *numbers) addPerson(days, events int64) {
	n.sum[sumPersons]++
	if events > 0 {
		n.sum[sumCases]++
	}
	n.sum[sumEvents] += events
	n.sum[sumDays] += days
	n.max[maxEvents] = max(n.max[maxEvents], events)
	n.max[maxDays] = max(n.max[maxDays], days)
}

// Decode is as in study.Analysis.
func (a *incidence) Decode(data []byte) (study.Partial, error) {
	return decodeTally(data, max(1, len(a.spec.By)), riskSums, riskMaxima)
}

// Finish is as in study.Analysis.
func (a *incidence) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	dims := a.strata.dimensions(t)
	return study.Output{
		Name: a.spec.Name, Title: titleOf(&a.spec, fmt.Sprintf("Incidence of %s in %s", a.spec.Outcome, a.spec.Target)),
		Kind: study.Rates, Dimensions: dims,
		Measures: []string{"events", "person_years", "rate", "rate_low", "rate_high"},
		Cells:    cells(dims, t, rateCell),
		Notes: []string{
			"Rates are events per 1,000 person-years of 365.25 days, with the exact 95 % interval of the Poisson distribution (Garwood 1936).",
			timeAtRiskNote(&a.spec),
		},
	}, nil
}

func rateCell(key []string, n *numbers) study.Cell {
	c := study.Cell{
		Key: key, Count: n.sum[sumPersons], Contributors: map[string]int64{"events": n.sum[sumCases]},
		MaxShare: math.Max(share(n.max[maxEvents], n.sum[sumEvents]), share(n.max[maxDays], n.sum[sumDays])),
		Values:   map[string]float64{"events": float64(n.sum[sumEvents]), "person_years": years(n)},
	}
	if y := years(n); y > 0 {
		low, high := poissonInterval(n.sum[sumEvents])
		c.Values["rate"] = float64(n.sum[sumEvents]) / y * 1000
		c.Values["rate_low"], c.Values["rate_high"] = low/y*1000, high/y*1000
	}
	return c
}

func years(n *numbers) float64 { return float64(n.sum[sumDays]) / daysPerYear }

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func timeAtRiskNote(s *study.Spec) string {
	end := fmt.Sprintf("day %d", s.TimeAtRisk.End)
	if s.TimeAtRisk.CohortEnd {
		end = "the last day in the cohort"
	}
	clean := "Persons are at risk until their first outcome ever."
	if s.CleanWindow != study.Ever {
		clean = fmt.Sprintf("For %d days after each outcome nobody is at risk.", s.CleanWindow)
	}
	return fmt.Sprintf("At risk from day %d after entry to %s, no longer than observed. %s", s.TimeAtRisk.Start, end, clean)
}

// risk finds the days on which persons are at risk and the outcomes on them.
type risk struct {
	spec   *study.Spec
	atRisk []cohort.Period
}

// each calls visit for every person of the cohort who has a day at risk, with
// the first day in the cohort, the number of days at risk and of outcomes that
// start on one of them.
//
// The days of a person are those of the time at risk after each entry, each
// day once, as far as the observation period of the entry reaches. Not among
// them are the days of the clean window after any outcome, counted or not; the
// day of an outcome itself is.
func (r *risk) each(b *study.Bucket, target string, visit func(person int, entry int32, days, events int64)) {
	m, o := b.Cohort(target), b.Cohort(r.spec.Outcome)
	for from := 0; from < len(m.Person); {
		to := from
		for to < len(m.Person) && m.Person[to] == m.Person[from] {
			to++
		}
		person := int(m.Person[from])
		r.spans(b.People.Periods(person), m.Start[from:to], m.End[from:to])
		of, ot := o.Of(person)
		r.clean(o.Start[of:ot])
		if days, events := r.count(o.Start[of:ot]); days > 0 {
			visit(person, m.Start[from], days, events)
		}
		from = to
	}
}

// spans unites the times at risk of all entries of one person.
func (r *risk) spans(observed []cohort.Period, starts, ends []int32) {
	r.atRisk = r.atRisk[:0]
	t := r.spec.TimeAtRisk
	for i, start := range starts {
		end := start + int32(t.End)
		if t.CohortEnd {
			end = ends[i]
		}
		p := cohort.Period{Start: start + int32(t.Start), End: min(end, observedUntil(observed, start))}
		if p.Start <= p.End {
			r.atRisk = append(r.atRisk, p)
		}
	}
	slices.SortFunc(r.atRisk, func(a, b cohort.Period) int { return int(a.Start) - int(b.Start) })
	n := 0
	for _, p := range r.atRisk {
		if n > 0 && p.Start <= r.atRisk[n-1].End {
			r.atRisk[n-1].End = max(r.atRisk[n-1].End, p.End)
			continue
		}
		r.atRisk[n] = p
		n++
	}
	r.atRisk = r.atRisk[:n]
}

// observedUntil gives the last day of the observation periods that hold a day:
// the latest, should several hold it.
func observedUntil(observed []cohort.Period, day int32) int32 {
	last := day - 1
	for _, p := range observed {
		if p.Start <= day && day <= p.End {
			last = max(last, p.End)
		}
	}
	return last
}

// clean takes away the days of the clean window after each outcome.
func (r *risk) clean(outcomes []int32) {
	window := int32(r.spec.CleanWindow)
	for _, day := range outcomes {
		if r.spec.CleanWindow == study.Ever {
			window = math.MaxInt32 / 2
		}
		if window == 0 {
			return
		}
		r.remove(day+1, day+window)
	}
}

// remove cuts the days from first to last out of the spans.
func (r *risk) remove(first, last int32) {
	for i := 0; i < len(r.atRisk); i++ {
		p := r.atRisk[i]
		switch {
		case last < p.Start || first > p.End:
		case first <= p.Start && last >= p.End:
			r.atRisk = slices.Delete(r.atRisk, i, i+1)
			i--
		case first <= p.Start:
			r.atRisk[i].Start = last + 1
		case last >= p.End:
			r.atRisk[i].End = first - 1
		default:
			r.atRisk[i].End = first - 1
			r.atRisk = slices.Insert(r.atRisk, i+1, cohort.Period{Start: last + 1, End: p.End})
			return
		}
	}
}

func (r *risk) count(outcomes []int32) (days, events int64) {
	for _, p := range r.atRisk {
		days += int64(p.End) - int64(p.Start) + 1
	}
	for _, day := range outcomes {
		i := sort.Search(len(r.atRisk), func(i int) bool { return r.atRisk[i].End >= day })
		if i < len(r.atRisk) && r.atRisk[i].Start <= day {
			events++
		}
	}
	return days, events
}
