package chart

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Paths shows persons by the sequence of their steps, twice: as rings around
// all of them, the first step innermost (a sunburst), and as streams from step to
// step (a Sankey diagram).
type Paths struct {
	Heading
	Paths  []Path
	Hidden bool   // some are not told: the legend says so
	Join   string // between the events of a step that is a combination
	Other  string // the step that stands for all not told
	None   string // the step of those without any
}

// Path is a sequence of steps and the persons on it.
type Path struct {
	Steps   []string
	Persons float64
}

// A step's looks: one colour for each event, those of a combination side by side.
const (
	otherColour = "#bbbbbb"
	noneColour  = "#ffffff"
)

// SVG draws the chart. Kind Invalid if it has no person or a path without a step.
func (p Paths) SVG() ([]byte, error) {
	total, events := 0.0, []string{}
	for _, path := range p.Paths {
		if len(path.Steps) == 0 || !(path.Persons > 0) || path.Persons > 1e15 {
			return nil, bad("a path has no step or no persons")
		}
		total += path.Persons
		for _, s := range path.Steps {
			for _, e := range strings.Split(s, p.Join) {
				if e != p.Other && e != p.None && !slices.Contains(events, e) {
					events = append(events, e)
				}
			}
		}
	}
	if total == 0 {
		return nil, bad("there is nothing to draw")
	}
	slices.Sort(events)
	d := pathDrawing{Paths: p, total: total, events: events}
	y := d.heading(p.Heading) + 4
	y = d.key(y + 4)
	y = d.sunburst(y + 4)
	y = d.sankey(y + 24)
	return d.finish(p.Heading, y+16), nil
}

type pathDrawing struct {
	canvas
	Paths
	total  float64
	events []string
}

// colours lists those of a step's events.
func (d *pathDrawing) colours(step string) (out []string) {
	switch step {
	case d.Other:
		return []string{otherColour}
	case d.None:
		return []string{noneColour}
	}
	for _, e := range strings.Split(step, d.Join) {
		i, _ := slices.BinarySearch(d.events, e)
		out = append(out, palette[i%len(palette)].colour)
	}
	return out
}

// key draws the legend.
func (d *pathDrawing) key(y float64) float64 {
	x := margin
	names := slices.Clone(d.events)
	for _, special := range []string{d.Other, d.None} {
		if slices.ContainsFunc(d.Paths.Paths, func(p Path) bool { return slices.Contains(p.Steps, special) }) {
			names = append(names, special)
		}
	}
	for _, name := range names {
		w := 30 + textWidth(name, fontSize) + 14
		if x > margin && x+w > width-margin {
			x, y = margin, y+20
		}
		d.el(`<rect x="%s" y="%s" width="22" height="12" fill="%s" stroke="%s"/>`, x, y-6, d.colours(name)[0], ink)
		d.text(x+28, y+4, "start", name)
		x += w
	}
	if d.Hidden {
		y += 20
		d.text(margin, y+4, "start", d.Other+": "+d.HiddenText)
	}
	return y + 18
}

// arc is a piece of a ring: the persons who share the first steps.
type arc struct {
	steps    []string
	persons  float64
	from, to float64 // of the circle, in parts of all persons
}

// arcs lays out the pieces of each ring, larger ones first, within the piece
// of the ring before.
func (d *pathDrawing) arcs(paths []Path, before []string, from float64) (out []arc) {
	depth := len(before)
	sums := map[string]float64{}
	var names []string
	for _, p := range paths {
		if len(p.Steps) <= depth {
			continue
		}
		if sums[p.Steps[depth]] == 0 {
			names = append(names, p.Steps[depth])
		}
		sums[p.Steps[depth]] += p.Persons
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(d.rank(a), d.rank(b)), -cmp.Compare(sums[a], sums[b]), cmp.Compare(a, b))
	})
	for _, name := range names {
		a := arc{append(slices.Clone(before), name), sums[name], from, from + sums[name]/d.total}
		var on []Path
		for _, p := range paths {
			if len(p.Steps) > depth && p.Steps[depth] == name {
				on = append(on, p)
			}
		}
		out = append(append(out, a), d.arcs(on, a.steps, from)...)
		from = a.to
	}
	return out
}

// rank puts steps that are told before those that are not, and those before none.
func (d *pathDrawing) rank(step string) int {
	return slices.Index([]string{d.Other, d.None}, step)
}

func (d *pathDrawing) sunburst(y float64) float64 {
	const radius, hole, room = 190.0, 44.0, 20.0
	arcs := d.arcs(d.Paths.Paths, nil, 0)
	depth := 1
	for _, a := range arcs {
		depth = max(depth, len(a.steps))
	}
	ring := (radius - hole) / float64(depth)
	cx, cy := width/2, y+room+radius
	for _, a := range arcs {
		inner := hole + ring*float64(len(a.steps)-1)
		colours := d.colours(a.steps[len(a.steps)-1])
		band := ring / float64(len(colours))
		for i, c := range colours {
			d.sector(cx, cy, inner+band*float64(i), inner+band*float64(i+1), a.from, a.to, c)
		}
	}
	d.text(cx, cy, "middle", label(d.total))
	d.text(cx, cy+14, "middle", d.Axis)
	for _, a := range arcs { // who is large enough is named, in a plate that keeps to its ring
		share := math.Round(1000*(a.to-a.from)) / 10
		r := hole + ring*(float64(len(a.steps))-0.5)
		words := label(share) + " %"
		if w := textWidth(words, 10) + 6; w < ring+8 && (a.to-a.from)*2*math.Pi*r > 20 {
			x, y := polar(cx, cy, r, (a.from+a.to)/2)
			d.el(`<rect x="%s" y="%s" width="%s" height="14" rx="3" fill="#ffffff" fill-opacity="0.85"/>`, x-w/2, y-7, w)
			d.el(`<text x="%s" y="%s" text-anchor="middle" font-size="10">%s</text>`, x, y+3.5, words)
		}
	}
	return cy + radius + room
}

// polar is a point of a circle, at a part of the way round from the top.
func polar(cx, cy, r, part float64) (x, y float64) {
	return cx + r*math.Sin(2*math.Pi*part), cy - r*math.Cos(2*math.Pi*part)
}

func (d *pathDrawing) sector(cx, cy, inner, outer, from, to float64, colour string) {
	if to-from > 0.9999 { // an arc of SVG cannot end where it starts
		mid := (from + to) / 2
		d.sector(cx, cy, inner, outer, from, mid, colour)
		d.sector(cx, cy, inner, outer, mid, to, colour)
		return
	}
	edge := "#ffffff"
	if colour == noneColour {
		edge = grid
	}
	large := map[bool]string{true: "1", false: "0"}[to-from > 0.5]
	x1, y1 := polar(cx, cy, outer, from)
	x2, y2 := polar(cx, cy, outer, to)
	x3, y3 := polar(cx, cy, inner, to)
	x4, y4 := polar(cx, cy, inner, from)
	d.el(`<path d="M %s %s A %s %s 0 %s 1 %s %s L %s %s A %s %s 0 %s 0 %s %s Z" fill="%s" stroke="%s"/>`,
		x1, y1, outer, outer, large, x2, y2, x3, y3, inner, inner, large, x4, y4, colour, edge)
}

// stage is a step at its place: all who have it as their first, second, ...
type stage struct {
	depth   int
	name    string
	persons float64
	top     float64
	in, out float64 // how much of its sides is taken
}

type flow struct {
	from, to *stage
	persons  float64
}

func (d *pathDrawing) sankey(y float64) float64 {
	const height, gap, bar, words = 300.0, 12.0, 14.0, 150.0
	var stages []*stage
	at := func(depth int, name string) *stage {
		for _, s := range stages {
			if s.depth == depth && s.name == name {
				return s
			}
		}
		s := &stage{depth: depth, name: name}
		stages = append(stages, s)
		return s
	}
	var flows []*flow
	depth := 0
	for _, p := range d.Paths.Paths {
		for i, name := range p.Steps {
			s := at(i, name)
			s.persons += p.Persons
			depth = max(depth, i)
			if i == 0 {
				continue
			}
			before := at(i-1, p.Steps[i-1])
			k := slices.IndexFunc(flows, func(f *flow) bool { return f.from == before && f.to == s })
			if k < 0 {
				k = len(flows)
				flows = append(flows, &flow{from: before, to: s})
			}
			flows[k].persons += p.Persons
		}
	}
	slices.SortFunc(stages, func(a, b *stage) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(d.rank(a.name), d.rank(b.name)), -cmp.Compare(a.persons, b.persons), cmp.Compare(a.name, b.name))
	})
	place := func(s *stage) int { return slices.Index(stages, s) }
	slices.SortFunc(flows, func(a, b *flow) int {
		return cmp.Or(cmp.Compare(place(a.from), place(b.from)), cmp.Compare(place(a.to), place(b.to)))
	})
	step := (width - 2*margin - words - bar) / math.Max(1, float64(depth))
	x := func(s *stage) float64 { return margin + step*float64(s.depth) }
	scale := height / d.total
	bottom, last, below := y+20, -1, y+20
	for _, s := range stages {
		if s.depth != last {
			d.el(`<text x="%s" y="%s" fill="#555555">%s</text>`, x(s), y+6, "step "+coord(float64(s.depth+1)))
			last, below = s.depth, y+20
		}
		s.top = below
		below += math.Max(s.persons*scale, 10) + gap
		bottom = math.Max(bottom, below)
	}
	for _, f := range flows {
		h := f.persons * scale
		x1, x2 := x(f.from)+bar, x(f.to)
		y1, y2 := f.from.top+f.from.out, f.to.top+f.to.in
		f.from.out, f.to.in = f.from.out+h, f.to.in+h
		mid := (x1 + x2) / 2
		d.el(`<path d="M %s %s C %s %s %s %s %s %s L %s %s C %s %s %s %s %s %s Z" fill="%s" fill-opacity="0.35"/>`,
			x1, y1, mid, y1, mid, y2, x2, y2, x2, y2+h, mid, y2+h, mid, y1+h, x1, y1+h, d.colours(f.from.name)[0])
	}
	for _, s := range stages {
		colours := d.colours(s.name)
		for i, c := range colours {
			w := bar / float64(len(colours))
			d.el(`<rect x="%s" y="%s" width="%s" height="%s" fill="%s" stroke="%s" stroke-width="0.5"/>`, x(s)+w*float64(i), s.top, w, math.Max(s.persons*scale, 1), c, ink)
		}
		most := words
		if s.depth < depth {
			most = step - bar - 8
		}
		h := math.Max(s.persons*scale, 1)
		d.text(x(s)+bar+4, s.top+math.Min(h/2, 40)+4, "start", cut(label(s.persons)+" "+s.name, most))
	}
	return bottom
}
