package analysis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/proportion"
)

// prevalence counts, for each calendar year, the persons of a cohort who are
// observed and those of them who are in the outcome cohort meanwhile. The key of
// a tally is the year, the other traits in that year, and with or without the outcome.
// A person counts in several years and once in each.
type prevalence struct {
	spec   study.Spec
	strata strata // without the year
}

// Name is as in study.Analysis.
func (a *prevalence) Name() string { return a.spec.Name }

// Map is as in study.Analysis.
func (a *prevalence) Map(_ context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(1, 0)
	m, outcomes := b.Cohort(a.spec.Target), b.Cohort(a.spec.Outcome)
	for from := 0; from < len(m.Person); {
		person := int(m.Person[from])
		_, to := m.Of(person)
		inside := common(periodsOf(m, from, to), b.People.Periods(person))
		of, ot := outcomes.Of(person)
		ill := periodsOf(outcomes, of, ot)
		a.years(inside, func(year int, days []cohort.Period) {
			status := study.Without
			if len(common(days, ill)) > 0 {
				status = study.With
			}
			first, _ := daysOf(year)
			parts := []string{a.label(year)}
			if len(a.strata.by) > 0 {
				parts = append(parts, a.strata.key(b.People, person, first))
			}
			t.at(traitKey(append(parts, status)...)).sum[0]++
		})
		from = to
	}
	return t, nil
}

// years visits each year in which a person counts who is in the cohort and
// observed on the days inside, with the days on which the outcome counts.
func (a *prevalence) years(inside []cohort.Period, visit func(year int, days []cohort.Period)) {
	if len(inside) == 0 {
		return
	}
	last := min(cohort.Year(inside[len(inside)-1].End), maxYear)
	for year := max(cohort.Year(inside[0].Start), 0); year <= last; year++ {
		whole := cohort.Period{}
		whole.Start, whole.End = daysOf(year)
		if a.spec.Type == study.Point {
			at, _ := time.Parse("2006-"+study.DayLayout, "2001-"+a.spec.Day) // Check has read it
			day := dayOf(year, at.Month(), at.Day())
			whole = cohort.Period{Start: day, End: day}
		}
		days := common(inside, []cohort.Period{whole})
		if len(days) == 0 || a.spec.Observed == study.ObservedWhole && days[0] != whole {
			continue
		}
		visit(year, days)
	}
}

func dayOf(year int, month time.Month, day int) int32 {
	const seconds = 24 * 60 * 60
	return int32(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / seconds)
}

func daysOf(year int) (first, last int32) {
	return dayOf(year, time.January, 1), dayOf(year, time.December, 31)
}

func periodsOf(m *cohort.Members, from, to int) []cohort.Period {
	out := make([]cohort.Period, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, cohort.Period{Start: m.Start[i], End: m.End[i]})
	}
	return out
}

// common gives the days that lie in a period of both lists: disjoint periods
// by start; those that overlap or touch are one.
func common(a, b []cohort.Period) []cohort.Period {
	var both []cohort.Period
	for _, p := range a {
		for _, q := range b {
			if s, e := max(p.Start, q.Start), min(p.End, q.End); s <= e {
				both = append(both, cohort.Period{Start: s, End: e})
			}
		}
	}
	slices.SortFunc(both, func(p, q cohort.Period) int { return int(p.Start) - int(q.Start) })
	n := 0
	for _, p := range both {
		if n > 0 && int64(p.Start) <= int64(both[n-1].End)+1 {
			both[n-1].End = max(both[n-1].End, p.End)
			continue
		}
		both[n] = p
		n++
	}
	return both[:n]
}

// label is the category of a year: the year, or its day.
func (a *prevalence) label(year int) string {
	if a.spec.Type == study.Point {
		return strconv.Itoa(year) + "-" + a.spec.Day
	}
	return strconv.Itoa(year)
}

// maxYear bounds the years in which persons count.
const maxYear = 9999

// Decode is as in study.Analysis.
func (a *prevalence) Decode(data []byte) (study.Partial, error) {
	t, err := decodeTally(data, 2+len(a.strata.by), 1, 0)
	if err != nil {
		return nil, err
	}
	for key, n := range t.cells {
		k := strings.Split(key, keySeparator)
		year, status := k[0], k[len(k)-1]
		if a.spec.Type == study.Point {
			year = strings.TrimSuffix(year, "-"+a.spec.Day)
		}
		number, err := strconv.Atoi(year)
		ok := err == nil && number >= 0 && number <= maxYear && a.label(number) == k[0] &&
			(status == study.With || status == study.Without) && n.sum[0] > 0
		for i, by := range a.strata.by {
			ok = ok && a.strata.has(by, k[1+i])
		}
		if !ok {
			return nil, havre.E("analysis.decode", havre.Invalid, "a partial result has a year or a trait that the analysis does not know")
		}
	}
	return t, nil
}

// Finish is as in study.Analysis.
func (a *prevalence) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	dims := append([]study.Dimension{{Name: "observed_year", Categories: a.categories(t)}}, a.strata.dimensions(t)...)
	dims = append(dims, study.Dimension{Name: "outcome_" + a.spec.Outcome, Categories: []string{study.With, study.Without}, Total: true})
	o := study.Output{
		Name: a.spec.Name, Title: titleOf(&a.spec, fmt.Sprintf("Prevalence of %s in %s", a.spec.Outcome, a.spec.Target)),
		Kind: study.Proportions, Dimensions: dims, Measures: []string{study.MeasureShare, study.MeasureShareLow, study.MeasureShareHigh},
		Cells: cells(dims, t, func(key []string, n *numbers) study.Cell { return study.Cell{Key: key, Count: n.sum[0]} }),
		Notes: a.notes(),
	}
	proportion.Fill(o.Cells)
	return o, nil
}

// categories lists the years from the first to the last in which somebody counts.
func (a *prevalence) categories(t *tally) (out []string) {
	first, last := maxYear+1, -1
	for key := range t.cells {
		label, _, _ := strings.Cut(key, keySeparator)
		year, _ := strconv.Atoi(strings.TrimSuffix(label, "-"+a.spec.Day)) // Map and Decode write nothing else
		first, last = min(first, year), max(last, year)
	}
	for year := first; year <= last; year++ {
		out = append(out, a.label(year))
	}
	if out == nil {
		return []string{nobody}
	}
	return out
}

func (a *prevalence) notes() []string {
	who := "on a day of the year"
	counts := "on one of these days"
	switch {
	case a.spec.Type == study.Point:
		who, counts = "on the day", "on it"
	case a.spec.Observed == study.ObservedWhole:
		who = "on all days of the year"
	}
	return []string{
		fmt.Sprintf("Of the persons who are in %s and observed %s, those who are in %s %s, with the exact 95 %% interval (Clopper and Pearson 1934).", a.spec.Target, who, a.spec.Outcome, counts),
		"A person counts in every year that holds for; age is the year less the year of birth.",
	}
}
