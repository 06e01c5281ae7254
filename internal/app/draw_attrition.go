package app

import (
	"github.com/havre-hub/havre/internal/chart"
	"github.com/havre-hub/havre/internal/hub/study"
)

// drawAttrition shows who are left after each step, from all with a qualifying
// event down to those in the cohort.
func drawAttrition(h chart.Heading, o study.Output) ([]byte, error) {
	h.Axis = "persons left"
	bars := chart.Bars{Heading: h, Series: []chart.Series{{Name: h.Axis}}}
	for _, c := range o.Cells {
		label, p := c.Key[0], pointOf(c, study.MeasureRemaining, "", "")
		if label == study.TotalKey {
			label = "all with a qualifying event"
		}
		if p.Absent { // who are left cannot be told, for a number beside it is hidden
			p = chart.Point{Hidden: true}
		}
		bars.Labels, bars.Series[0].Points = append(bars.Labels, label), append(bars.Series[0].Points, p)
	}
	return bars.SVG()
}
