package app

import (
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/chart"
	"github.com/havre-hub/havre/internal/hub/study"
)

// drawPaths makes the chart of pathways: a sunburst and a Sankey diagram. Of
// nobody, or where only the total is told, it is a bar.
func drawPaths(h chart.Heading, o study.Output) ([]byte, error) {
	p := chart.Paths{Heading: h, Join: "+", Other: study.OtherStep, None: study.NoStep}
	total := chart.Point{Absent: true}
	for _, c := range o.Cells {
		switch {
		case len(c.Key) != 1:
		case c.Key[0] == study.TotalKey:
			if total = chart.Of(float64(c.Count)); c.Suppressed != "" {
				total = chart.Point{Hidden: true}
			}
		case c.Suppressed == "" && c.Count > 0:
			steps := strings.Split(c.Key[0], study.PathJoin)
			p.Paths = append(p.Paths, chart.Path{Steps: steps, Persons: float64(c.Count)})
			p.Hidden = p.Hidden || slices.Contains(steps, study.OtherStep)
		}
	}
	if len(p.Paths) == 0 {
		return chart.Bars{Heading: h, Labels: []string{"all"}, Series: []chart.Series{{Points: []chart.Point{total}}}}.SVG()
	}
	return p.SVG()
}
