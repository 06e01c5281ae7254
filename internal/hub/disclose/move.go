package disclose

// A move is a change of the tables that keeps every equation: some persons are
// thought to have other categories, or to be there at all. It is a product of
// one choice for each dimension, so it hits the corners of a box, with
// alternating signs where a dimension is a swap (the hypercube method of
// Repsilber and of Giessing); choosing on the dimensions of all tables at once
// makes it hold in every table of the population.
type move struct {
	units []int32
	coef  []float64 // by unit of the system; 0 where the move changes nothing
}

// choice is what a move does on one dimension.
type choice struct {
	mode mode
	a, b int // categories; b only for swap
}

type mode int

const (
	single mode = iota // persons come into category a; the total grows
	swap               // persons go from b to a
	part               // persons already counted are counted in a as well; the total stays
	idle               // nothing: no table with the dimension is changed
)

// maxMoves bounds the search for one cell. Beyond it moves are not seen, and
// more is hidden than need be.
const maxMoves = 50_000

// moves calls yield with every move that adds 1 to unit target, until yield
// returns false. The move is valid during the call only.
func (s *system) moves(target int32, yield func(*move) bool) {
	m := &mover{s: s, target: target, yield: yield, left: maxMoves,
		choices: make([]choice, len(s.dims)), m: move{coef: make([]float64, len(s.units))}}
	home := s.home(target)
	for k := range s.dims { // the target's own dimensions first
		if home[k] >= 0 {
			m.order = append(m.order, k)
		}
	}
	m.own = len(m.order)
	for _, steps := range []bool{true, false} { // steps decide which other tables are changed at all
		for k := range s.dims {
			if home[k] < 0 && (s.dims[k].steps != nil) == steps {
				m.order = append(m.order, k)
			}
		}
	}
	m.home = home
	m.choose(0)
}

// home gives the unit's category on each dimension, -1 for all of them.
func (s *system) home(u int32) []int {
	home := make([]int, len(s.dims))
	for k := range home {
		home[k] = -1
	}
	for n := range s.tables {
		st := &s.tables[n]
		for i, v := range st.unit {
			if v != u {
				continue
			}
			for k := range s.dims {
				j := st.dimOf[k]
				if j < 0 {
					home[k] = st.in[k]
					continue
				}
				if st.t.at(i, j) == st.t.dims[j].n {
					continue
				}
				for c, p := range st.pos[k] {
					if p == st.t.at(i, j) {
						home[k] = c
					}
				}
			}
			return home
		}
	}
	return home
}

type mover struct {
	s       *system
	target  int32
	home    []int
	order   []int
	own     int // the first own dimensions of order are the target's
	choices []choice
	left    int
	yield   func(*move) bool
	m       move
}

// choose tries every choice on the dimensions from order[n] on; false ends it.
func (m *mover) choose(n int) bool {
	if n == len(m.order) {
		m.left--
		return (!m.build() || m.yield(&m.m)) && m.left > 0
	}
	k := m.order[n]
	try := func(c choice) bool {
		m.choices[k] = c
		return m.choose(n + 1)
	}
	cats := len(m.s.dims[k].categories)
	if n >= m.own { // the target lies in a total of this dimension, or knows it not
		if !m.matters(k, n) {
			return try(choice{mode: idle})
		}
		if st := m.s.dims[k].steps; st != nil {
			return try(choice{mode: single, a: m.s.likeliest(st)})
		}
		for c := range cats {
			if !try(choice{mode: single, a: c}) {
				return false
			}
		}
		return true
	}
	a := m.home[k]
	for b := range cats {
		if b != a && !try(choice{mode: swap, a: a, b: b}) {
			return false
		}
	}
	if !try(choice{mode: single, a: a}) {
		return false
	}
	return !m.s.free || try(choice{mode: part, a: a})
}

// matters says whether the category chosen on dimension k changes anything:
// whether a table with k is touched by the choices made so far.
func (m *mover) matters(k, n int) bool {
	for i := range m.s.tables {
		st := &m.s.tables[i]
		if st.dimOf[k] >= 0 && !m.vanishes(st, n) {
			return true
		}
	}
	return false
}

// vanishes says whether the first n choices leave the table as it is: a swap
// on a dimension that it does not have, or a step of an attrition that does not
// concern its persons.
func (m *mover) vanishes(st *systemTable, n int) bool {
	for _, k := range m.order[:n] {
		if !m.touches(st, k) {
			return true
		}
	}
	return false
}

func (m *mover) touches(st *systemTable, k int) bool {
	c, steps := m.choices[k], m.s.dims[k].steps
	switch {
	case st.dimOf[k] >= 0:
		return c.mode != idle
	case st.in[k] >= 0:
		return c.mode != idle && c.a == st.in[k] || c.mode == swap && c.b == st.in[k]
	case c.mode == idle:
		return true
	case steps != nil: // one more person at the start of the steps, in every table of all who start there
		return c.mode == single && st.whole() == steps.whole()
	}
	return c.mode == single
}

// build fills m.m from the choices; false if the tables disagree on a cell.
func (m *mover) build() bool {
	for _, u := range m.m.units {
		m.m.coef[u] = 0
	}
	m.m.units = m.m.units[:0]
	ok := true
	for n := range m.s.tables {
		st := &m.s.tables[n]
		if !m.vanishes(st, len(m.order)) {
			ok = m.corners(st, 0, 0, 1) && ok
		}
	}
	return ok && m.m.coef[m.target] == 1
}

// corners adds the table's corners of the box, dimension k on.
func (m *mover) corners(st *systemTable, k, cell int, coef float64) bool {
	if k == len(m.choices) {
		u := st.unit[cell]
		if m.m.coef[u] == 0 {
			m.m.units = append(m.m.units, u)
			m.m.coef[u] = coef
		}
		return m.m.coef[u] == coef
	}
	j := st.dimOf[k]
	c, ok := m.choices[k], true
	if j < 0 {
		if c.mode == swap && st.in[k] >= 0 && st.in[k] == c.b {
			coef = -coef
		}
		return m.corners(st, k+1, cell, coef)
	}
	d := st.t.dims[j]
	if p := st.pos[k][c.a]; p >= 0 {
		ok = m.corners(st, k+1, cell+p*d.stride, coef)
	}
	switch c.mode {
	case swap:
		if p := st.pos[k][c.b]; p >= 0 {
			ok = m.corners(st, k+1, cell+p*d.stride, -coef) && ok
		}
	case single:
		ok = m.corners(st, k+1, cell+d.n*d.stride, coef) && ok
	}
	return ok
}
