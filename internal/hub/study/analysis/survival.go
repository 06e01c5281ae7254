package analysis

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/survival"
)

// survivalCurves estimates how long persons stay without an outcome.
type survivalCurves struct {
	times
}

// curve is one line of the picture: a group in a stratum.
type curve struct {
	key  []string // its categories
	rows []survival.Row
}

// Finish is as in study.Analysis. The curve is that of exact days, shown at the
// ends of steps; the disclosure rules make longer steps of these.
func (a *survivalCurves) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	_, byKey := rows(t)
	dims := a.dimensions(t)
	var curves []curve
	last := 0
	grid(withoutTotals(dims), nil, func(parts []string) {
		c, full := curve{key: slices.Clone(parts)}, parts
		if a.spec.Comparator == "" {
			full = append([]string{groupTarget}, parts...)
		}
		c.rows = byKey[strings.Join(full, keySeparator)]
		if n := len(c.rows); n > 0 {
			last = max(last, c.rows[n-1].Time)
		}
		curves = append(curves, c)
	})
	steps := a.steps(last)
	days := study.Dimension{Name: study.Days, Total: true}
	for i := range steps {
		days.Categories = append(days.Categories, stepName(steps, i))
	}
	days.Categories = append(days.Categories, study.Later)

	o := study.Output{
		Name: a.spec.Name, Title: titleOf(&a.spec, a.title()), Kind: study.Survival, Dimensions: append(dims, days),
		Measures: []string{study.MeasureDay, study.MeasureSurvival, study.MeasureSurvivalLow, study.MeasureSurvivalHigh,
			study.MeasureMedian, study.MeasureMedianLow, study.MeasureMedianHigh},
		Notes: a.notes(),
	}
	for _, c := range curves {
		o.Cells = append(o.Cells, a.cells(c, steps)...)
	}
	if len(curves) > 1 {
		o.Measures = append(o.Measures, study.MeasureChiSquared, study.MeasureFreedom, study.MeasureP)
		o.Cells = append(o.Cells, a.test(curves, len(o.Dimensions)))
	}
	return o, nil
}

func (a *survivalCurves) title() string {
	title := fmt.Sprintf("Time to %s in %s", a.spec.Outcome, a.spec.Target)
	if a.spec.Comparator != "" {
		title += " and " + a.spec.Comparator
	}
	return title
}

func (a *survivalCurves) notes() []string {
	notes := []string{
		"Survival without the outcome (Kaplan and Meier 1958) with its 95 % interval (Greenwood 1926, on the scale of log(-log)).",
		followNote(&a.spec),
	}
	switch {
	case a.spec.Comparator != "" && len(a.spec.By) > 0:
		notes = append(notes, "The log-rank test (Mantel 1966) is of target against comparator at exact days, within each stratum that is known.")
	case a.spec.Comparator != "":
		notes = append(notes, "The log-rank test (Mantel 1966) is of target against comparator at exact days.")
	case len(a.spec.By) > 0:
		notes = append(notes, "The log-rank test (Mantel 1966) is between all strata that are known, at exact days.")
	}
	if a.spec.Comparator != "" {
		notes = append(notes, "A person of both cohorts counts in both.")
	}
	return notes
}

// dimensions are the group, if there are two, and the traits. Their totals are
// there for the cell of the test alone.
func (a *survivalCurves) dimensions(t *tally) []study.Dimension {
	dims := a.strata.dimensions(t)
	if a.spec.Comparator != "" {
		dims = append([]study.Dimension{{Name: study.Group, Categories: []string{groupTarget, groupComparator}}}, dims...)
	}
	for i := range dims {
		dims[i].Total = true
	}
	return dims
}

func withoutTotals(dims []study.Dimension) []study.Dimension {
	out := slices.Clone(dims)
	for i := range out {
		out[i].Total = false
	}
	return out
}

// horizon is the day at risk with which a fixed time at risk ends, 0 if it
// hangs on the cohort.
func (a *survivalCurves) horizon() int {
	if a.spec.TimeAtRisk.CohortEnd {
		return 0
	}
	return a.spec.TimeAtRisk.End - a.spec.TimeAtRisk.Start + 1
}

// steps lists the last days of the steps, the last of them covering day last.
func (a *survivalCurves) steps(last int) (ends []int) {
	for end := a.spec.Step; ; end += a.spec.Step {
		if h := a.horizon(); h > 0 && end >= h {
			end = h
		}
		ends = append(ends, end)
		if end >= last {
			return ends
		}
	}
}

func stepName(ends []int, i int) string {
	first := 1
	if i > 0 {
		first = ends[i-1] + 1
	}
	return study.StepName(first, ends[i])
}

// cells are those of one curve. Who reaches the end of a fixed time at risk is
// not censored in its last step but comes later.
func (a *survivalCurves) cells(c curve, ends []int) (out []study.Cell) {
	persons, events := survival.Persons(c.rows), survival.Events(c.rows)
	total := study.Cell{Key: append(slices.Clone(c.key), study.TotalKey), Count: persons,
		Contributors: map[string]int64{study.EventsGroup: events, study.FreeGroup: persons - events}}
	points := survival.KaplanMeier(c.rows)
	median, low, high := survival.Median(points)
	for m, day := range map[string]int{study.MeasureMedian: median, study.MeasureMedianLow: low, study.MeasureMedianHigh: high} {
		if median > 0 && day > 0 {
			setValue(&total, m, float64(day))
		}
	}
	left, now, at := persons, survival.Point{Survival: 1, Low: math.NaN(), High: math.NaN()}, 0
	for i, end := range ends {
		if left == 0 {
			break
		}
		cell := study.Cell{Key: append(slices.Clone(c.key), stepName(ends, i)), Count: left,
			Contributors: map[string]int64{study.EventsGroup: 0, study.CensoredGroup: 0}}
		for at < len(points) && points[at].Time <= end {
			now = points[at]
			cell.Contributors[study.EventsGroup] += now.Events
			left -= now.Events
			if now.Time != a.horizon() {
				cell.Contributors[study.CensoredGroup] += now.Censored
				left -= now.Censored
			}
			at++
		}
		setValue(&cell, study.MeasureDay, float64(end))
		setValue(&cell, study.MeasureSurvival, now.Survival)
		if !math.IsNaN(now.Low) {
			setValue(&cell, study.MeasureSurvivalLow, now.Low)
			setValue(&cell, study.MeasureSurvivalHigh, now.High)
		}
		out = append(out, cell)
	}
	if left > 0 {
		out = append(out, study.Cell{Key: append(slices.Clone(c.key), study.Later), Count: left,
			Contributors: map[string]int64{study.EventsGroup: 0, study.CensoredGroup: left}})
	}
	return append(out, total)
}

func setValue(c *study.Cell, measure string, v float64) {
	if c.Values == nil {
		c.Values = map[string]float64{}
	}
	c.Values[measure] = v
}

// test is the cell of the log-rank test. Strata that are not known are in it
// neither as groups nor as strata.
func (a *survivalCurves) test(curves []curve, dims int) study.Cell {
	cell := study.Cell{Key: slices.Repeat([]string{study.TotalKey}, dims)}
	var strata [][][]survival.Row
	at := map[string]int{}
	for _, c := range curves {
		cell.Count += survival.Persons(c.rows)
		if slices.Contains(c.key, unknown) {
			continue
		}
		stratum := ""
		if a.spec.Comparator != "" {
			stratum = strings.Join(c.key[1:], keySeparator)
		}
		s, known := at[stratum]
		if !known {
			s = len(strata)
			at[stratum] = s
			strata = append(strata, nil)
		}
		strata[s] = append(strata[s], c.rows)
	}
	if r := survival.LogRank(strata); r.Freedom > 0 {
		setValue(&cell, study.MeasureChiSquared, r.ChiSquared)
		setValue(&cell, study.MeasureFreedom, float64(r.Freedom))
		setValue(&cell, study.MeasureP, r.P)
	}
	return cell
}
