package disclose

import (
	"math"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// system is all that can be computed from one another: the tables of one
// population, their cells joined where two tables show the same one, and the
// equations between them.
type system struct {
	rules  record.Rules
	dims   []systemDim
	tables []systemTable
	units  []unit
	layers []layer
	free   bool // some dimension does not add up, see relation
	dark   bool // take everything as hidden
}

// unit is a cell that is hidden or shown as one, though several tables may
// have it.
type unit struct {
	places    []place
	virtual   bool // no table shows it
	count     float64
	shareMax  float64 // see table.shareLimit
	zeroHides bool
	cost      float64 // of hiding it
	hidden    bool
}

type place struct {
	t    *table
	cell int
}

type systemDim struct {
	name       string
	categories []string
	steps      *systemTable // of an attrition: its table, the only one with the dimension
}

type systemTable struct {
	t     *table
	unit  []int32         // by cell
	dimOf []int           // by system dimension: the table's, or -1
	pos   [][]int         // by system dimension and category: the table's position, or -1
	in    []int           // by system dimension: the category in which all its persons are, or -1
	lays  map[string]bool // names of its layers in the system
}

// layer is one measure over the units, with the lines that tie its numbers.
type layer struct {
	name     string
	kind     layerKind
	x        []float64
	in       []bool // whether the unit has the measure
	integral bool   // only whole numbers
	signed   bool   // some number is negative
	lines    []line
	of       [][]crossing // by unit
}

// crossing is one line through a unit; sign is +1 for a part, -1 for the total.
type crossing struct {
	line int32
	sign float64
}

// line ties the cells of a row or column to its total.
type line struct {
	parts []int32
	total int32
	rel   relation
}

// relation is how parts and total compare. Persons who are counted in several
// categories (calendar years) make the parts exceed the total; categories that
// leave persons out make them fall short.
type relation int

const (
	none relation = iota
	equal
	atLeast // sum of parts >= total >= each part
	atMost  // sum of parts <= total
)

// systems groups the tables by population and builds one system for each.
// Two tables are of one population when they share a cell of somebody and
// every shown cell that both have has the same count.
func systems(tables []*table, r record.Rules) []*system {
	group := make([]int, len(tables))
	for i, t := range tables {
		group[i] = i
		for k := range i {
			if group[k] == group[i] || !samePopulation(t, tables[k]) {
				continue
			}
			old, joined := group[i], group[k]
			for m := range i + 1 {
				if group[m] == old {
					group[m] = joined
				}
			}
		}
	}
	var out []*system
	for g := range tables {
		var members []*table
		for i, t := range tables {
			if group[i] == g {
				members = append(members, t)
			}
		}
		if len(members) > 0 {
			out = append(out, newSystem(members, r))
		}
	}
	return out
}

func samePopulation(a, b *table) bool {
	at := map[string]int{}
	for i := range a.cells {
		at[a.cells[i].key] = i
	}
	shared := false
	for k := range b.cells {
		i, ok := at[b.cells[k].key]
		if !ok {
			continue
		}
		same := a.layers[0].x[i] == b.layers[0].x[k]
		if !same && !a.cells[i].virtual && !b.cells[k].virtual && !a.startsAt(i) && !b.startsAt(k) {
			return false
		}
		shared = shared || same && a.layers[0].x[i] > 0
	}
	return shared
}

func newSystem(tables []*table, r record.Rules) *system {
	s := &system{rules: r}
	byKey := map[string][]int32{}
	for _, t := range tables {
		st := systemTable{t: t, unit: make([]int32, len(t.cells))}
		for i := range t.cells {
			st.unit[i] = s.place(byKey, t, i)
		}
		s.tables = append(s.tables, st)
	}
	s.addDims()
	for n := range s.tables {
		s.addTableLayers(&s.tables[n])
	}
	for n := range s.layers {
		s.layers[n].finish(len(s.units))
	}
	return s
}

// place finds or makes the unit of a table's cell.
func (s *system) place(byKey map[string][]int32, t *table, i int) int32 {
	c, x := &t.cells[i], t.layers[0].x[i]
	id := int32(-1)
	for _, u := range byKey[c.key] {
		if s.units[u].count == x && !slices.ContainsFunc(s.units[u].places, func(p place) bool { return p.t == t }) {
			id = u
			break
		}
	}
	if id < 0 {
		id = int32(len(s.units))
		s.units = append(s.units, unit{count: x, virtual: true, hidden: true, shareMax: math.Inf(1)})
		byKey[c.key] = append(byKey[c.key], id)
	}
	u := &s.units[id]
	if c.virtual {
		return id
	}
	if u.virtual {
		u.virtual, u.hidden = false, false
	}
	u.places = append(u.places, place{t, i})
	u.hidden = u.hidden || c.mark != ""
	u.zeroHides = u.zeroHides || t.zeroHides(i, s.rules)
	u.shareMax = math.Min(u.shareMax, t.shareLimit(i, s.rules))
	cost := math.Log2(2 + x)
	if len(t.dims) == 0 {
		cost *= 256 // the one number of a table is its whole result
	}
	for j, d := range t.dims {
		if t.at(i, j) == d.n {
			cost *= 4 // a margin is worth more to a reader than an inner cell
		}
	}
	if t.out.Kind == study.Attrition && i == t.inCohort() {
		cost *= 16 // what the attrition is of
	}
	u.cost += cost
	return id
}

func (s *system) addDims() {
	index := map[string]int{}
	for n := range s.tables {
		for j, d := range s.tables[n].t.dims {
			k, ok := index[d.name]
			if !ok {
				k = len(s.dims)
				index[d.name] = k
				s.dims = append(s.dims, systemDim{name: d.name})
			}
			for _, c := range s.tables[n].t.out.Dimensions[j].Categories {
				if !slices.Contains(s.dims[k].categories, c) {
					s.dims[k].categories = append(s.dims[k].categories, c)
				}
			}
		}
	}
	for n := range s.tables {
		st := &s.tables[n]
		st.dimOf, st.pos, st.in = make([]int, len(s.dims)), make([][]int, len(s.dims)), make([]int, len(s.dims))
		for k := range s.dims {
			st.dimOf[k] = slices.IndexFunc(st.t.dims, func(d tableDim) bool { return d.name == s.dims[k].name })
			st.in[k] = st.t.categoryWithin(&s.dims[k])
			if st.dimOf[k] >= 0 && st.t.out.Kind == study.Attrition {
				s.dims[k].steps = st
			}
			if st.dimOf[k] < 0 {
				continue
			}
			for _, c := range s.dims[k].categories {
				st.pos[k] = append(st.pos[k], slices.Index(st.t.out.Dimensions[st.dimOf[k]].Categories, c))
			}
		}
	}
}

// addTableLayers joins the table's measures with those of the same name and
// the same numbers, and ties them by the table's lines.
func (s *system) addTableLayers(st *systemTable) {
	st.lays = map[string]bool{}
	for _, tl := range st.t.layers {
		rel := make([]relation, len(st.t.dims))
		useful := tl.kind == countLayer
		for j := range st.t.dims {
			rel[j] = relationOf(st.t, tl, j)
			useful = useful || rel[j] != none
		}
		if !useful {
			continue // nothing can be added up: nothing follows from it
		}
		l := s.layer(tl, st)
		st.lays[l.name] = true
		for i, u := range st.unit {
			l.x[u], l.in[u] = tl.x[i], true
		}
		for j, d := range st.t.dims {
			s.free = s.free || rel[j] != equal
			for i := range st.unit {
				if rel[j] == none || st.t.at(i, j) != 0 {
					continue
				}
				ln := line{total: st.unit[st.t.lineTotal(i, j)], rel: rel[j], parts: make([]int32, 0, d.n)}
				for _, p := range st.t.line(i, j) {
					ln.parts = append(ln.parts, st.unit[p])
				}
				l.lines = append(l.lines, ln)
			}
		}
	}
}

// layer finds the layer of that name whose numbers agree with the table's, or
// makes one.
func (s *system) layer(tl tableLayer, st *systemTable) *layer {
	for n := range s.layers {
		l := &s.layers[n]
		base, _, _ := strings.Cut(l.name, "@")
		agrees := base == tl.name
		for i, u := range st.unit {
			agrees = agrees && (!l.in[u] || near(l.x[u], tl.x[i], l.x[u]))
		}
		if agrees {
			return l
		}
	}
	name := tl.name
	if slices.ContainsFunc(s.layers, func(l layer) bool { return l.name == name }) {
		name += "@" + st.t.out.Name
	}
	s.layers = append(s.layers, layer{name: name, kind: tl.kind, x: make([]float64, len(s.units)), in: make([]bool, len(s.units))})
	return &s.layers[len(s.layers)-1]
}

// relationOf looks how the lines of dimension j behave in the measure.
func relationOf(t *table, l tableLayer, j int) relation {
	le, ge := true, true
	for i := range t.cells {
		if t.at(i, j) != 0 {
			continue
		}
		sum, scale, largest := 0.0, 0.0, math.Inf(-1)
		for _, p := range t.line(i, j) {
			sum += l.x[p]
			scale += math.Abs(l.x[p])
			largest = math.Max(largest, l.x[p])
		}
		total := l.x[t.lineTotal(i, j)]
		if near(sum, total, scale) {
			continue
		}
		le = le && sum < total
		ge = ge && sum > total && largest <= total
	}
	switch {
	case le && ge:
		return equal
	case l.kind == valueLayer:
		return none
	case ge:
		return atLeast
	case le:
		return atMost
	}
	return none
}

// near compares sums of floating-point numbers of the given size.
func near(a, b, scale float64) bool {
	return math.Abs(a-b) <= 1e-9*math.Max(1e-3, math.Abs(scale))
}

func (l *layer) finish(units int) {
	l.integral = true
	for _, v := range l.x {
		l.integral = l.integral && v == math.Trunc(v)
		l.signed = l.signed || v < 0
	}
	l.of = make([][]crossing, units)
	for n, ln := range l.lines {
		for _, u := range ln.parts {
			l.of[u] = append(l.of[u], crossing{int32(n), 1})
		}
		l.of[ln.total] = append(l.of[ln.total], crossing{int32(n), -1})
	}
}
