package app

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/chart"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/release"
	"github.com/havre-hub/havre/internal/hub/study"
)

// Drawer makes the chart of an output: lines over calendar years, intervals
// for rates and ratios, steps for survival, differences for characteristics, lines with intervals for proportions,
// rings and streams for pathways,
// bars of who are left for attrition and for all other counts. It shows two
// dimensions; on further ones it shows the totals or, where there are none,
// every category.
type Drawer struct{}

var _ release.Drawer = Drawer{}

// Draw gives the SVG.
func (Drawer) Draw(o study.Output, rules record.Rules) ([]byte, error) {
	h := chart.Heading{Title: o.Title, Description: strings.Join(o.Notes, " "), Axis: "persons",
		HiddenText: fmt.Sprintf("suppressed: fewer than %d persons, or needed to hide such a number", rules.MinCount)}
	if h.Title == "" {
		h.Title = o.Name
	}
	switch {
	case o.Kind == study.Survival:
		return drawCurves(h, o)
	case o.Kind == study.Attrition:
		return drawAttrition(h, o)
	case o.Kind == study.Characteristics:
		return drawTraits(h, o)
	case o.Kind == study.Pathways:
		return drawPaths(h, o)
	case o.Kind == study.Proportions:
		return drawShares(h, o)
	case o.Kind == study.Rates || o.Kind == study.Ratios:
		estimate, low, high := intervalMeasures(o.Measures)
		h.Axis = strings.ReplaceAll(estimate, "_", " ")
		v := chart.Intervals{Heading: h, Reference: math.NaN()}
		if o.Kind == study.Ratios {
			v.Log, v.Reference = true, 1
		}
		for _, c := range o.Cells {
			pt := pointOf(c, estimate, low, high)
			if v.Log && !pt.Hidden && pt.Value <= 0 {
				pt.Absent = true // a ratio of zero has no place on a logarithmic scale
			}
			v.Labels, v.Points = append(v.Labels, rowName(o, c)), append(v.Points, pt)
		}
		return v.SVG()
	}
	p := newPicture(o)
	if p.x >= 0 && isYears(o.Dimensions[p.x]) {
		return chart.Lines{Heading: h, Labels: p.labels, Series: p.series}.SVG()
	}
	return chart.Bars{Heading: h, Labels: p.labels, Series: p.series}.SVG()
}

// intervalMeasures finds the estimate and its bounds: "low" and "high", or
// NAME_low and NAME_high, beside the measure that they bound.
func intervalMeasures(measures []string) (estimate, low, high string) {
	for i, m := range measures {
		name, ok := strings.CutSuffix(m, "low")
		if !ok || !slices.Contains(measures, name+"high") {
			continue
		}
		estimate = strings.TrimSuffix(name, "_")
		if !slices.Contains(measures, estimate) && i > 0 {
			estimate = measures[i-1]
		}
		return estimate, m, name + "high"
	}
	if n := len(measures); n > 0 {
		estimate = measures[n-1]
	}
	return estimate, "", ""
}

func pointOf(c study.Cell, estimate, low, high string) chart.Point {
	if c.Suppressed != "" {
		return chart.Point{Hidden: true}
	}
	v, ok := c.Values[estimate]
	if !ok {
		return chart.Point{Absent: true}
	}
	p := chart.Of(v)
	if l, ok := c.Values[low]; ok {
		p.Low, p.High = l, math.Inf(1)
	}
	if u, ok := c.Values[high]; ok {
		p.High = u
	}
	return p
}

// rowName is the cell's categories in words.
func rowName(o study.Output, c study.Cell) string {
	var parts []string
	for _, k := range c.Key {
		if k != study.TotalKey {
			parts = append(parts, k)
		}
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, ", ")
}

var year = regexp.MustCompile(`^[0-9]{4}$`)

func isYears(d study.Dimension) bool {
	return len(d.Categories) > 2 && !slices.ContainsFunc(d.Categories, func(c string) bool { return !year.MatchString(c) })
}

// picture is an output's counts laid out on an axis and in series.
type picture struct {
	x      int // the dimension on the axis, -1 if there is none
	labels []string
	series []chart.Series
}

// newPicture puts years, else the dimension of most categories, on the axis.
func newPicture(o study.Output) picture {
	x := -1
	for j, d := range o.Dimensions {
		if x < 0 || isYears(d) && !isYears(o.Dimensions[x]) || isYears(d) == isYears(o.Dimensions[x]) && len(d.Categories) > len(o.Dimensions[x].Categories) {
			x = j
		}
	}
	count := func(c study.Cell) chart.Point { return chart.Of(float64(c.Count)) }
	return pictureOver(o, x, count, chart.Of(0)) // a cell that the output leaves out is nobody
}

// pictureOver puts dimension x on the axis and the smallest other one into
// series; nobody is the point of a cell that the output leaves out.
func pictureOver(o study.Output, x int, value func(study.Cell) chart.Point, nobody chart.Point) picture {
	s := -1
	for j, d := range o.Dimensions {
		if j != x && len(d.Categories) <= chart.MostSeries && (s < 0 || len(d.Categories) < len(o.Dimensions[s].Categories)) {
			s = j
		}
	}
	p := picture{x: x}
	at := map[string]chart.Point{}
	names := []string{"all"}
	if s >= 0 {
		names = o.Dimensions[s].Categories
	}
	for _, c := range o.Cells {
		label, name, shown := "all", "all", true
		var rest []string
		for j, k := range c.Key {
			total := k == study.TotalKey
			switch {
			case j == x:
				label, shown = k, shown && !total
			case j == s:
				name, shown = k, shown && !total
			case o.Dimensions[j].Total:
				shown = shown && total
			default:
				rest = append(rest, k)
			}
		}
		if !shown {
			continue
		}
		label = strings.Join(append([]string{label}, rest...), ", ")
		if !slices.Contains(p.labels, label) {
			p.labels = append(p.labels, label)
		}
		pt := value(c)
		if c.Suppressed != "" {
			pt = chart.Point{Hidden: true}
		}
		at[label+"\x00"+name] = pt
	}
	p.labels = inOrder(p.labels, o, x)
	for _, n := range names {
		row := chart.Series{Name: n}
		for _, l := range p.labels {
			pt, ok := at[l+"\x00"+n]
			if !ok {
				pt = nobody
			}
			row.Points = append(row.Points, pt)
		}
		p.series = append(p.series, row)
	}
	return p
}

// inOrder lists the labels as the dimension does, with those it has and no
// cell shows, when they are its categories alone.
func inOrder(labels []string, o study.Output, x int) []string {
	if x < 0 {
		return []string{"all"}
	}
	for _, l := range labels {
		if !slices.Contains(o.Dimensions[x].Categories, l) {
			return labels
		}
	}
	return o.Dimensions[x].Categories
}
