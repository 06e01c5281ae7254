package chart

import (
	"math"
	"slices"
)

// Steps follows shares of persons that fall in steps, such as survival, in one
// or more panels over the same axis. Under each panel stand the persons whom
// each curve rests on.
type Steps struct {
	Heading
	Across string // what the horizontal axis is, with the unit
	Below  string // what the numbers under a panel are
	Panels []Panel
}

// Panel is one picture of curves that are to be compared.
type Panel struct {
	Name   string // "" for none
	Curves []Curve
}

// Curve starts at 1 at 0 and has a new value at each end of a step. Persons
// has the number at the start of each step and, if it is one longer, after the
// last. A hidden curve has neither.
type Curve struct {
	Name    string
	At      []float64 // ends of the steps, above 0 and rising
	Points  []Point   // the values there, from 0 to 1, with their intervals
	Persons []float64
	Hidden  bool
}

const (
	stepsPlot = 230.0
	stepsLeft = 150.0
)

// SVG draws the chart. Kind Invalid if it has no curve, a panel has too many,
// or a curve is not as Curve says.
func (s Steps) SVG() ([]byte, error) {
	end := 0.0
	var all []Series
	for _, p := range s.Panels {
		if len(p.Curves) > MostSeries {
			return nil, bad("there are more curves in a panel than can be told apart")
		}
		for i, c := range p.Curves {
			if err := c.check(); err != nil {
				return nil, err
			}
			if n := len(c.At); n > 0 {
				end = math.Max(end, c.At[n-1])
			}
			if i == len(all) {
				all = append(all, Series{Name: c.Name})
			}
			if c.Hidden {
				all[i].Points = []Point{{Hidden: true}}
			}
		}
	}
	if len(all) == 0 {
		return nil, bad("there is nothing to draw")
	}
	var c canvas
	y := c.heading(s.Heading) + 4
	y = c.legend(s.Heading, all, func(x, y float64, n int) { c.path(n, []float64{x, x + 22}, []float64{y, y}) }, y+4)
	x := scale{high: math.Max(end, 1), from: stepsLeft, to: width - margin - 10} // it ends where the curves do
	for k, step := 0.0, roundStep(x.high/8); k*step <= x.high; k++ {
		x.ticks = append(x.ticks, k*step)
	}
	for _, p := range s.Panels {
		y = c.panel(s, p, x, y+6)
	}
	return c.finish(s.Heading, y+margin), nil
}

func (c Curve) check() error {
	if c.Hidden && len(c.At)+len(c.Points)+len(c.Persons) > 0 || len(c.At) != len(c.Points) || !c.Hidden && len(c.Persons)-len(c.At) > 1 || len(c.Persons) < len(c.At) {
		return bad("curve " + c.Name + " has not one value and one number of persons for each step")
	}
	last := 0.0
	for i, at := range c.At {
		if !(at > last) || math.IsInf(tame(at), 0) || !(c.Points[i].Value >= 0 && c.Points[i].Value <= 1) {
			return bad("curve " + c.Name + " does not go forward, or leaves the span from 0 to 1")
		}
		last = at
	}
	for _, n := range c.Persons {
		if math.IsNaN(n) || math.IsInf(tame(n), 0) {
			return bad("curve " + c.Name + " has a number of persons that is none")
		}
	}
	return nil
}

// panel draws one panel from y on and gives the y below it.
func (c *canvas) panel(s Steps, p Panel, x scale, y float64) float64 {
	if p.Name != "" {
		c.el(`<text x="%s" y="%s" font-weight="bold">%s</text>`, margin, y+12, cut(p.Name, width-2*margin))
		y += 20
	}
	c.el(`<text x="%s" y="%s" fill="#555555">%s</text>`, margin, y+10, s.Axis)
	y += 20
	v := scale{low: 0, high: 1, from: y + stepsPlot, to: y}
	for _, t := range []float64{0, 0.2, 0.4, 0.6, 0.8, 1} {
		c.line(stepsLeft, v.at(t), width-margin, v.at(t), grid, 1)
		c.text(stepsLeft-8, v.at(t)+4, "end", label(t))
	}
	for n, curve := range p.Curves {
		c.band(curve, n, x, v)
	}
	for n, curve := range p.Curves {
		xs, ys := []float64{x.at(0)}, []float64{v.at(1)}
		for i, at := range curve.At {
			xs, ys = append(xs, x.at(at), x.at(at)), append(ys, ys[len(ys)-1], v.at(curve.Points[i].Value))
		}
		if len(curve.At) > 0 {
			c.path(n, xs, ys)
			c.marker(n, xs[len(xs)-1], ys[len(ys)-1])
		}
	}
	y += stepsPlot
	c.line(stepsLeft, y, width-margin, y, ink, 1)
	for _, t := range x.ticks {
		c.line(x.at(t), y, x.at(t), y+4, ink, 1)
		c.text(x.at(t), y+18, "middle", label(t))
	}
	c.el(`<text x="%s" y="%s" text-anchor="end" fill="#555555">%s</text>`, width-margin, y+34, s.Across)
	return c.below(s, p, x, y+34)
}

// below writes the persons of each curve under the ticks.
func (c *canvas) below(s Steps, p Panel, x scale, y float64) float64 {
	c.el(`<text x="%s" y="%s" fill="#555555">%s</text>`, margin, y, s.Below)
	y += 4
	for n, curve := range p.Curves {
		y += 17
		c.el(`<rect x="%s" y="%s" width="8" height="8" fill="%s"/>`, margin, y-8, palette[n].colour)
		c.text(margin+14, y, "start", cut(curve.Name, stepsLeft-margin-44))
		if curve.Hidden {
			c.hatched(x.at(0), y-10, 46, 12)
			c.el(`<text x="%s" y="%s" font-size="10" fill="#555555">%s</text>`, x.at(0)+52, y, hiddenWord)
			continue
		}
		for _, t := range x.ticks {
			if persons, ok := curve.personsAt(t); ok {
				c.text(x.at(t), y, "middle", label(persons))
			}
		}
	}
	return y + 10
}

// personsAt is the last number known at t.
func (c Curve) personsAt(t float64) (float64, bool) {
	i, exact := slices.BinarySearch(c.At, t)
	if exact {
		i++ // the step after
	}
	if len(c.At) == 0 && t > 0 || i == len(c.At) && !exact && t > 0 || i >= len(c.Persons) {
		return 0, false
	}
	return c.Persons[i], true
}

// band draws the interval of a curve, where it has one, in its colour: from
// each end of a step to the next, as the curve runs.
func (c *canvas) band(curve Curve, n int, x, v scale) {
	upper, lower := "", ""
	for i, at := range curve.At {
		p := curve.Points[i]
		if math.IsNaN(p.Low) || math.IsNaN(p.High) {
			continue
		}
		from, to := x.at(at), x.at(at)
		if i+1 < len(curve.At) {
			to = x.at(curve.At[i+1])
		}
		op := " L "
		if upper == "" {
			op = "M "
		}
		upper += op + coord(from) + " " + coord(v.at(p.High)) + " L " + coord(to) + " " + coord(v.at(p.High))
		lower = " L " + coord(to) + " " + coord(v.at(p.Low)) + " L " + coord(from) + " " + coord(v.at(p.Low)) + lower
	}
	if upper != "" {
		c.el(`<path d="%s" fill="%s" fill-opacity="0.15" stroke="none"/>`, upper+lower+" Z", palette[n].colour)
	}
}
