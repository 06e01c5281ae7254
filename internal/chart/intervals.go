package chart

import "math"

// Intervals compares estimates with their intervals, one row each (a forest
// plot). Log draws ratios evenly on both sides of 1; Reference is a line to
// compare with, NaN for none.
type Intervals struct {
	Heading
	Labels    []string
	Points    []Point
	Log       bool
	Reference float64
}

// SVG draws the chart. Kind Invalid if it has no point, or a value that is not
// above 0 on a logarithmic scale.
func (v Intervals) SVG() ([]byte, error) {
	series := []Series{{Points: v.Points}}
	if err := check(v.Labels, series); err != nil {
		return nil, err
	}
	s, left, err := v.scale()
	if err != nil {
		return nil, err
	}
	var c canvas
	y := c.heading(v.Heading) + 4
	y = c.legend(v.Heading, series, nil, y+4)
	const band = 26.0
	bottom := y + band*float64(len(v.Labels))
	c.axis(s, y, bottom, v.Axis)
	if v.referenced() {
		x := s.at(v.Reference)
		c.el(`<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s" stroke-dasharray="4 3"/>`, x, y, x, bottom, ink)
	}
	for i, l := range v.Labels {
		row := y + band*(float64(i)+0.5)
		c.text(left-8, row+4, "end", cut(l, left-margin-8))
		c.interval(s, v.Points[i], row)
	}
	return c.finish(v.Heading, bottom+46), nil
}

// referenced says whether the reference can be drawn.
func (v Intervals) referenced() bool {
	r := tame(v.Reference)
	return !math.IsNaN(r) && !math.IsInf(r, 0) && (!v.Log || r > 0)
}

// scale covers all estimates and finite bounds.
func (v Intervals) scale() (s scale, left float64, err error) {
	var values []float64
	for _, p := range v.Points {
		if p.Hidden || p.Absent {
			continue
		}
		for _, x := range []float64{p.Value, p.Low, p.High} {
			x = tame(x)
			if !math.IsNaN(x) && !math.IsInf(x, 0) && (!v.Log || x > 0) {
				values = append(values, x)
			}
		}
		if v.Log && tame(p.Value) <= 0 {
			return s, 0, bad("a value is not above 0 on a logarithmic scale")
		}
	}
	if v.referenced() {
		values = append(values, tame(v.Reference))
	}
	if len(values) == 0 {
		values = []float64{1}
	}
	left = labelWidth(v.Labels)
	if v.Log {
		return logarithmic(values, left, width-margin-150), left, nil
	}
	return linear(values, left, width-margin-150), left, nil
}

func (c *canvas) interval(s scale, p Point, y float64) {
	switch {
	case p.Absent:
		return
	case p.Hidden:
		c.hatched(s.from+4, y-6, 46, 12)
		c.el(`<text x="%s" y="%s" font-size="10" fill="#555555">%s</text>`, s.from+56, y+4, hiddenWord)
		return
	}
	words := label(p.Value)
	if !math.IsNaN(p.Low) && !math.IsNaN(p.High) {
		words += " (" + bound(p.Low) + " to " + bound(p.High) + ")"
		c.line(s.at(p.Low), y, s.at(p.High), y, palette[0].colour, 2)
		for _, b := range []struct{ v, dir float64 }{{p.Low, -1}, {p.High, 1}} {
			x := s.at(b.v)
			if math.IsInf(b.v, 0) || b.v < s.low || b.v > s.high { // it goes on beyond the picture
				c.el(`<path d="M %s %s L %s %s L %s %s Z" fill="%s"/>`, x+b.dir*7, y, x, y-5, x, y+5, palette[0].colour)
				continue
			}
			c.line(x, y-5, x, y+5, palette[0].colour, 2)
		}
	}
	c.el(`<rect x="%s" y="%s" width="8" height="8" fill="%s" stroke="%s"/>`, s.at(p.Value)-4, y-4, palette[0].colour, ink)
	c.text(width-margin, y+4, "end", words)
}

func bound(v float64) string {
	if math.IsInf(v, 1) {
		return "∞"
	}
	if math.IsInf(v, -1) {
		return "−∞"
	}
	return label(v)
}
