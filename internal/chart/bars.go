package chart

import "math"

// Bars compares counts of groups: for each label a bar per series, lying, so
// that long labels can be read.
type Bars struct {
	Heading
	Labels []string
	Series []Series
}

// SVG draws the chart. Kind Invalid if it has no point, too many series, or a
// negative value.
func (b Bars) SVG() ([]byte, error) {
	if err := check(b.Labels, b.Series); err != nil {
		return nil, err
	}
	var values []float64
	for _, s := range b.Series {
		for _, p := range s.Points {
			if p.Value < 0 {
				return nil, bad("a bar is negative")
			}
			if !p.Hidden {
				values = append(values, p.Value)
			}
		}
	}
	thick := math.Max(7, 18-4*float64(len(b.Series)-1))
	band := thick*float64(len(b.Series)) + 10

	var c canvas
	y := c.heading(b.Heading) + 4
	y = c.legend(b.Heading, b.Series, func(x, y float64, n int) {
		c.el(`<rect x="%s" y="%s" width="22" height="12" fill="%s" stroke="%s"/>`, x, y-6, palette[n].colour, ink)
	}, y+4)
	left := labelWidth(b.Labels)
	s := linear(values, left, width-margin-70)
	bottom := y + band*float64(len(b.Labels))
	c.axis(s, y, bottom, b.Axis)
	for i, l := range b.Labels {
		top := y + band*float64(i) + 5
		c.text(left-8, top+(band-10)/2+4, "end", cut(l, left-margin-8))
		for n, series := range b.Series {
			c.bar(s, series.Points[i], top+thick*float64(n), thick-1, palette[n].colour)
		}
	}
	c.line(left, y, left, bottom, ink, 1)
	return c.finish(b.Heading, bottom+46), nil
}

// bar draws one point; a hidden one as a hatched stub whose length says nothing.
func (c *canvas) bar(s scale, p Point, y, thick float64, colour string) {
	switch {
	case p.Absent:
	case p.Hidden:
		c.hatched(s.from, y, 46, thick)
		if thick >= 10 {
			c.el(`<text x="%s" y="%s" font-size="10" fill="#555555">%s</text>`, s.from+52, y+thick/2+4, hiddenWord)
		}
	default:
		end := s.at(p.Value)
		c.el(`<rect x="%s" y="%s" width="%s" height="%s" fill="%s" stroke="%s" stroke-width="0.5"/>`, s.from, y, end-s.from, thick, colour, ink)
		c.el(`<text x="%s" y="%s" font-size="%s">%s</text>`, end+4, y+thick/2+math.Min(11, thick+2)*0.35, math.Min(11, thick+2), label(p.Value))
	}
}

// axis draws the grid and the numbers under it.
func (c *canvas) axis(s scale, top, bottom float64, name string) {
	last := math.Inf(-1)
	for _, t := range s.ticks {
		x := s.at(t)
		c.line(x, top, x, bottom, grid, 1)
		if w := textWidth(label(t), fontSize); x-w/2 > last { // no two numbers over one another
			c.text(x, bottom+16, "middle", label(t))
			last = x + w/2 + 4
		}
	}
	c.text((s.from+s.to)/2, bottom+36, "middle", name)
}

func labelWidth(labels []string) float64 {
	w := 60.0
	for _, l := range labels {
		w = math.Max(w, textWidth(l, fontSize))
	}
	return margin + math.Min(w, 260) + 8
}
