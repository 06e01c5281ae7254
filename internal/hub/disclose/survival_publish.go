package disclose

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/survival"
)

// publishCurves gives the output as it may leave, and its evidence. Nothing in
// it rests on anything but the numbers of the steps that are shown, save the
// step in which a median lies and the test.
func (t *table) publishCurves(r record.Rules) (study.Output, OutputEvidence) {
	o := *t.curves.out
	ev := OutputEvidence{Name: o.Name}
	last := len(o.Dimensions) - 1
	days := study.Dimension{Name: study.Days, Total: true}
	var ranges [][2]int
	var cells []study.Cell
	for _, c := range t.curves.list {
		total := t.cells[c.cell]
		for _, n := range append(slices.Clone(c.cells), c.total) {
			g := t.curves.out.Cells[n]
			e := CellEvidence{Key: g.Key, Count: g.Count, Contributors: g.Contributors, Values: g.Values, Suppressed: total.mark}
			if n == c.total {
				e.Findings, e.Ranges = total.findings, total.ranges
			}
			ev.Cells = append(ev.Cells, e)
		}
		key := t.curves.out.Cells[c.total].Key
		if total.mark != "" {
			cells = append(cells, study.Cell{Key: key, Suppressed: total.mark})
			continue
		}
		from := 0
		for _, s := range c.steps {
			if span := [2]int{from + 1, s.Time}; !slices.Contains(ranges, span) {
				ranges = append(ranges, span)
			}
			from = s.Time
		}
		cells = append(cells, c.publish(key[:last], t.curves.out.Cells[c.total], r)...)
	}
	if n := t.curves.test; n >= 0 {
		g := t.curves.out.Cells[n]
		e := CellEvidence{Key: g.Key, Count: g.Count, Values: g.Values}
		if t.testHidden() {
			g = study.Cell{Key: g.Key, Suppressed: primaryMark + Source}
			e.Suppressed, e.Findings = g.Suppressed, []string{Source}
		}
		ev.Cells = append(ev.Cells, e)
		cells = append(cells, roundedCurve(g, r.RoundTo))
	}
	slices.SortFunc(ranges, func(a, b [2]int) int { return (a[1]-b[1])*2 + max(-1, min(1, a[0]-b[0])) })
	for _, span := range ranges {
		days.Categories = append(days.Categories, study.StepName(span[0], span[1]))
	}
	days.Categories = append(days.Categories, study.Later)
	o.Dimensions = append(slices.Clone(o.Dimensions[:last]), days)
	o.Cells = cells
	o.Notes = append(slices.Clone(o.Notes), fmt.Sprintf("Steps are long enough for %d events in each; those censored are counted in the step in which %d have gathered. "+
		"The curve is that of the numbers shown, by the life table (Cutler and Ederer 1958); a median is the last day of the step in which the exact one lies.", r.MinCount, r.MinCount))
	return o, ev
}

// testHidden says whether a curve of somebody is hidden: the test rests on it.
func (t *table) testHidden() bool {
	return t.curves.test >= 0 && slices.ContainsFunc(t.curves.list, func(c *curve) bool { return c.persons > 0 && t.cells[c.cell].mark != "" })
}

// publish makes the cells of one curve.
func (c *curve) publish(key []string, total study.Cell, r record.Rules) (out []study.Cell) {
	from := 0
	shown := study.Cell{Key: total.Key, Count: total.Count, Contributors: total.Contributors}
	for _, p := range survival.LifeTable(c.persons, c.steps) {
		cell := study.Cell{Key: append(slices.Clone(key), study.StepName(from+1, p.Time)), Count: p.AtRisk,
			Contributors: map[string]int64{study.EventsGroup: p.Events, study.CensoredGroup: p.Censored},
			Values: map[string]float64{study.MeasureDay: float64(p.Time), study.MeasureSurvival: p.Survival,
				study.MeasureSurvivalLow: p.Low, study.MeasureSurvivalHigh: p.High}}
		for _, m := range []string{study.MeasureMedian, study.MeasureMedianLow, study.MeasureMedianHigh} {
			if day, ok := total.Values[m]; ok && day > float64(from) && day <= float64(p.Time) {
				if shown.Values == nil {
					shown.Values = map[string]float64{}
				}
				shown.Values[m] = float64(p.Time)
			}
		}
		from = p.Time
		out = append(out, roundedCurve(cell, r.RoundTo))
	}
	if len(c.steps) > 0 {
		if events, censored := c.later(); events+censored > 0 {
			out = append(out, roundedCurve(study.Cell{Key: append(slices.Clone(key), study.Later), Count: events + censored,
				Contributors: map[string]int64{study.EventsGroup: events, study.CensoredGroup: censored}}, r.RoundTo))
		}
	}
	return append(out, roundedCurve(shown, r.RoundTo))
}

// digits of what is not a count: enough to read, too few to try out what a
// single person's day would change.
const digits = 4

// roundedCurve rounds the numbers of a cell for release. Days are the ends of
// steps and stay as they are.
func roundedCurve(c study.Cell, base int) study.Cell {
	days := map[string]bool{study.MeasureDay: true, study.MeasureMedian: true, study.MeasureMedianLow: true, study.MeasureMedianHigh: true, study.MeasureFreedom: true}
	values := c.Values
	c.Values = nil
	c = rounded(c, nil, base)
	for m, v := range values {
		if c.Values == nil {
			c.Values = map[string]float64{}
		}
		if !days[m] {
			n := digits
			if base > 1 {
				n = 2
			}
			v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', n, 64), 64)
		}
		c.Values[m] = v
	}
	return c
}
