package chart

import "math"

// Lines follows series over an ordered axis, such as calendar years. Intervals
// are drawn as bars, those of several series side by side.
type Lines struct {
	Heading
	Labels []string // of the axis, in order
	Series []Series
}

// SVG draws the chart. A hidden point breaks its line and is marked by a
// hatched box at the foot, edged in the series' colour. Kind Invalid if it has no point or too many series.
func (l Lines) SVG() ([]byte, error) {
	if err := check(l.Labels, l.Series); err != nil {
		return nil, err
	}
	var values []float64
	apart := 0.0 // between the marks of two series, where they have intervals
	for _, s := range l.Series {
		for _, p := range s.Points {
			if p.Hidden || p.Absent {
				continue
			}
			values = append(values, p.Value)
			if p.bounded() {
				values, apart = append(values, p.Low, p.High), 10
			}
		}
	}
	var c canvas
	top := c.heading(l.Heading) + 4
	top = c.legend(l.Heading, l.Series, func(x, y float64, n int) {
		c.path(n, []float64{x, x + 22}, []float64{y, y})
		c.marker(n, x+11, y)
	}, top+4)
	c.el(`<text x="%s" y="%s" fill="#555555">%s</text>`, margin, top+10, l.Axis)
	top += 22
	const plot, left = 260.0, 76.0
	s := linear(values, top+plot, top)
	for _, t := range s.ticks {
		c.line(left, s.at(t), width-margin, s.at(t), grid, 1)
		c.text(left-8, s.at(t)+4, "end", label(t))
	}
	step := (width - margin - left) / float64(len(l.Labels))
	middle := func(i int) float64 { return left + step*(float64(i)+0.5) }
	c.labels(l.Labels, step, middle, top+plot+18)
	apart = math.Min(apart, step*0.8/float64(len(l.Series)))
	for n, series := range l.Series {
		x := func(i int) float64 { return middle(i) + apart*(float64(n)-float64(len(l.Series)-1)/2) }
		var xs, ys []float64
		flush := func() {
			c.path(n, xs, ys)
			for i := range xs {
				c.marker(n, xs[i], ys[i])
			}
			xs, ys = nil, nil
		}
		for i, p := range series.Points {
			switch {
			case p.Hidden:
				flush()
				c.hatched(x(i)-6+float64(n)*3, top+plot-14, 12, 14)
				c.el(`<rect x="%s" y="%s" width="12" height="14" fill="none" stroke="%s" stroke-width="2"/>`, x(i)-6+float64(n)*3, top+plot-14, palette[n].colour)
			case p.Absent:
				flush()
			default:
				if p.bounded() {
					low, high := s.at(tame(p.Low)), s.at(tame(p.High))
					c.line(x(i), low, x(i), high, palette[n].colour, 1.5)
					c.line(x(i)-3, low, x(i)+3, low, palette[n].colour, 1.5)
					c.line(x(i)-3, high, x(i)+3, high, palette[n].colour, 1.5)
				}
				xs, ys = append(xs, x(i)), append(ys, s.at(p.Value))
			}
		}
		flush()
	}
	c.line(left, top+plot, width-margin, top+plot, ink, 1)
	return c.finish(l.Heading, top+plot+34), nil
}

// bounded says whether the point has an interval that ends.
func (p Point) bounded() bool {
	low, high := tame(p.Low), tame(p.High)
	return !math.IsNaN(low) && !math.IsNaN(high) && !math.IsInf(low, 0) && !math.IsInf(high, 0)
}

// labels writes as many labels as fit under the axis.
func (c *canvas) labels(labels []string, step float64, x func(int) float64, y float64) {
	widest := 0.0
	for _, s := range labels {
		widest = math.Max(widest, textWidth(s, fontSize))
	}
	every := int(math.Ceil((widest + 8) / step))
	for i, s := range labels {
		if i%every == 0 {
			c.text(x(i), y, "middle", s)
		}
	}
}

func (c *canvas) path(n int, xs, ys []float64) {
	if len(xs) < 2 {
		return
	}
	d := ""
	for i := range xs {
		d += map[bool]string{true: "M ", false: " L "}[i == 0] + coord(xs[i]) + " " + coord(ys[i])
	}
	c.el(`<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`, d, palette[n].colour, palette[n].dash)
}

// marker draws a shape of the series' own.
func (c *canvas) marker(n int, x, y float64) {
	f := palette[n].colour
	switch n % 4 {
	case 0:
		c.el(`<circle cx="%s" cy="%s" r="4" fill="%s" stroke="%s"/>`, x, y, f, ink)
	case 1:
		c.el(`<rect x="%s" y="%s" width="8" height="8" fill="%s" stroke="%s"/>`, x-4, y-4, f, ink)
	case 2:
		c.el(`<path d="M %s %s l 5 9 h -10 Z" fill="%s" stroke="%s"/>`, x, y-5, f, ink)
	default:
		c.el(`<path d="M %s %s l 5 5 l -5 5 l -5 -5 Z" fill="%s" stroke="%s"/>`, x, y-5, f, ink)
	}
}
