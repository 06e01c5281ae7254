package app

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/chart"
	"github.com/havre-hub/havre/internal/hub/study"
)

// drawCurves makes the chart of survival curves: all in one panel if they can
// be told apart there, else a panel for each category of all dimensions but the
// first that fits one. Medians and the test are told in words.
func drawCurves(h chart.Heading, o study.Output) ([]byte, error) {
	h.Axis = "share without the event"
	s := chart.Steps{Heading: h, Across: "days at risk", Below: "at risk at the start of the step"}
	curves := curvesOf(o)
	if len(o.Dimensions) == 0 {
		return s.SVG()
	}
	within := len(o.Dimensions) // curves of one panel differ in the dimensions from 0 to within
	if len(curves) > chart.MostSeries {
		within = slices.IndexFunc(o.Dimensions, func(d study.Dimension) bool { return d.Name != study.Days && len(d.Categories) <= chart.MostSeries })
	}
	var words []string
	for _, c := range curves {
		panel, name := "", strings.Join(c.key, ", ")
		if within < len(o.Dimensions) {
			rest := slices.Clone(c.key)
			name = o.Name
			if within >= 0 {
				name = c.key[within]
				rest = slices.Delete(rest, within, within+1)
			}
			panel = strings.Join(rest, ", ")
		}
		if name == "" {
			name = "all"
		}
		c.Name = name
		i := slices.IndexFunc(s.Panels, func(p chart.Panel) bool { return p.Name == panel })
		if i < 0 {
			i = len(s.Panels)
			s.Panels = append(s.Panels, chart.Panel{Name: panel})
		}
		s.Panels[i].Curves = append(s.Panels[i].Curves, c.Curve)
		if c.median != "" {
			words = append(words, strings.TrimPrefix(strings.Join(append(c.key, ""), ", "), ", ")+c.median)
		}
	}
	if len(words) > 0 {
		words = []string{"Median in days: " + strings.Join(words, "; ") + "."}
	}
	if t := testOf(o); t != "" {
		words = append(words, t)
	}
	s.Description = strings.Join(append(words, s.Description), " ")
	return s.SVG()
}

type keyedCurve struct {
	chart.Curve
	key    []string // its categories
	median string   // in words
}

// curvesOf gathers the cells of each curve, in the output's order, without
// those of nobody.
func curvesOf(o study.Output) (out []keyedCurve) {
	for _, c := range o.Cells {
		last := len(c.Key) - 1
		if last < 0 || last > 0 && !slices.ContainsFunc(c.Key, func(k string) bool { return k != study.TotalKey }) {
			continue
		}
		key := c.Key[:last]
		i := slices.IndexFunc(out, func(k keyedCurve) bool { return slices.Equal(k.key, key) })
		if i < 0 {
			i = len(out)
			out = append(out, keyedCurve{key: key})
		}
		k := &out[i]
		switch {
		case c.Suppressed != "":
			k.Curve = chart.Curve{Hidden: true}
		case c.Key[last] == study.TotalKey:
			if len(k.Persons) == 0 {
				k.Persons = []float64{float64(c.Count)}
			}
			k.median = medianOf(c)
		case c.Key[last] == study.Later:
			k.Persons = append(k.Persons, float64(c.Count))
		default:
			k.At = append(k.At, c.Values[study.MeasureDay])
			k.Points = append(k.Points, pointOf(c, study.MeasureSurvival, study.MeasureSurvivalLow, study.MeasureSurvivalHigh))
			k.Persons = append(k.Persons, float64(c.Count))
		}
	}
	return slices.DeleteFunc(out, func(k keyedCurve) bool { return len(k.Persons) == 1 && k.Persons[0] == 0 })
}

func medianOf(c study.Cell) string {
	m, ok := c.Values[study.MeasureMedian]
	if !ok {
		return ""
	}
	bound := func(measure string) string {
		if v, ok := c.Values[measure]; ok {
			return fmt.Sprintf("%g", v)
		}
		return "not reached"
	}
	return fmt.Sprintf("%g (95 %% interval %s to %s)", m, bound(study.MeasureMedianLow), bound(study.MeasureMedianHigh))
}

// testOf tells the log-rank test, if the output has one.
func testOf(o study.Output) string {
	for _, c := range o.Cells {
		x, ok := c.Values[study.MeasureChiSquared]
		if !ok {
			continue
		}
		p := c.Values[study.MeasureP]
		text := fmt.Sprintf("p %.3g", p)
		if p < 0.0001 {
			text = "p below 0.0001"
		}
		degrees := "degrees"
		if math.Round(c.Values[study.MeasureFreedom]) == 1 {
			degrees = "degree"
		}
		return fmt.Sprintf("Log-rank test: chi-squared %g with %g %s of freedom, %s.", x, c.Values[study.MeasureFreedom], degrees, text)
	}
	return ""
}
