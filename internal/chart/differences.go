package chart

import "math"

// Differences compares two groups trait by trait: the standardised difference
// of each as a point beside its label, and what each group has in words (a Love
// plot). Points within Close of zero lie in a shaded band.
type Differences struct {
	Heading
	Groups [2]string // over the words
	Rows   []Difference
	Close  float64
}

// Difference is a row. One whose Section is not that of the row before is
// preceded by it as a heading. Words of a hidden number are drawn as a hatch.
type Difference struct {
	Section, Label string
	Point          Point
	Words          [2]string
	Hidden         [2]bool
}

// SVG draws the chart. Kind Invalid if it has no row.
func (d Differences) SVG() ([]byte, error) {
	labels, points := make([]string, len(d.Rows)), make([]Point, len(d.Rows))
	most, hidden := d.Close, false
	for i, r := range d.Rows {
		labels[i], points[i] = r.Label, r.Point
		if !r.Point.Hidden && !r.Point.Absent {
			most = math.Max(most, math.Abs(tame(r.Point.Value)))
		}
		hidden = hidden || r.Hidden[0] || r.Hidden[1]
	}
	if err := check(labels, []Series{{Points: points}}); err != nil {
		return nil, err
	}
	const rowHeight, sectionHeight, column = 19.0, 26.0, 104.0
	right := width - margin
	left := labelWidth(labels) + 12
	s := linear([]float64{-most, most}, left, right-2*column-16)
	centre := [2]float64{right - 1.5*column, right - 0.5*column}

	var c canvas
	y := c.heading(d.Heading) + 4
	y = c.legend(d.Heading, []Series{{Points: []Point{{Hidden: hidden}}}}, nil, y+4)
	for i, name := range d.Groups {
		c.el(`<text x="%s" y="%s" text-anchor="middle" font-weight="bold">%s</text>`, centre[i], y+10, cut(name, column-8))
	}
	top := y + 18
	bottom, last := top, ""
	for _, r := range d.Rows {
		if r.Section != last {
			bottom, last = bottom+sectionHeight, r.Section
		}
		bottom += rowHeight
	}
	if most > 0 {
		c.el(`<rect x="%s" y="%s" width="%s" height="%s" fill="#eeeeee"/>`, s.at(-d.Close), top, s.at(d.Close)-s.at(-d.Close), bottom-top)
	}
	c.axis(s, top, bottom, d.Axis)
	c.line(s.at(0), top, s.at(0), bottom, ink, 1)
	y, last = top, ""
	for _, r := range d.Rows {
		if r.Section != last {
			c.el(`<text x="%s" y="%s" font-weight="bold">%s</text>`, margin, y+sectionHeight-8, cut(r.Section, left-margin))
			y, last = y+sectionHeight, r.Section
		}
		middle := y + rowHeight/2
		c.text(left-8, middle+4, "end", cut(r.Label, left-margin-16))
		if !r.Point.Absent && !r.Point.Hidden {
			c.marker(0, s.at(tame(r.Point.Value)), middle)
		}
		for i := range r.Words {
			if r.Hidden[i] {
				c.hatched(centre[i]-23, middle-6, 46, 12)
				continue
			}
			c.text(centre[i], middle+4, "middle", cut(r.Words[i], column-4))
		}
		y += rowHeight
	}
	return c.finish(d.Heading, bottom+46), nil
}
