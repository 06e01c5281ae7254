package app

import (
	"slices"

	"github.com/havre-hub/havre/internal/chart"
	"github.com/havre-hub/havre/internal/hub/study"
)

// drawShares makes the chart of proportions: lines with their intervals over
// the first dimension, in per cent.
func drawShares(h chart.Heading, o study.Output) ([]byte, error) {
	h.Axis = "per cent of persons"
	last := len(o.Dimensions) - 1
	if last < 1 {
		return chart.Bars{Heading: h, Labels: []string{"all"}, Series: []chart.Series{{Points: []chart.Point{{Absent: true}}}}}.SVG()
	}
	with := o
	with.Dimensions, with.Cells = o.Dimensions[:last], nil
	for _, c := range o.Cells {
		if len(c.Key) == last+1 && c.Key[last] == study.With {
			c.Key = slices.Clone(c.Key[:last])
			with.Cells = append(with.Cells, c)
		}
	}
	p := pictureOver(with, 0, func(c study.Cell) chart.Point {
		pt := pointOf(c, study.MeasureShare, study.MeasureShareLow, study.MeasureShareHigh)
		pt.Value, pt.Low, pt.High = 100*pt.Value, 100*pt.Low, 100*pt.High
		return pt
	}, chart.Point{Absent: true})
	p.series = slices.DeleteFunc(p.series, func(s chart.Series) bool { // a category of nobody
		return len(p.series) > 1 && !slices.ContainsFunc(s.Points, func(pt chart.Point) bool { return !pt.Absent })
	})
	if len(p.series) == 0 {
		p.series = []chart.Series{{Points: slices.Repeat([]chart.Point{{Absent: true}}, len(p.labels))}}
	}
	return chart.Lines{Heading: h, Labels: p.labels, Series: p.series}.SVG()
}
