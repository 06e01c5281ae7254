package disclose

import "math"

// target is what must stay unknown about one hidden unit in one measure.
type target struct {
	unit   int32
	layer  int
	width  float64 // the possible values must lie at least so far apart
	down   float64 // and reach at least so far below the true one
	reader bool    // against a reader who does not know which rule hid which cell
}

// proof is a pair of alternative tables: all equations hold, only hidden units
// differ, and the target's unit is lower in one and higher in the other.
type proof struct {
	ok        bool
	low, high float64
	moved     map[int32]bool // units that differ in one of them
	walks     [2]*walk       // down, up
}

// walk is one alternative table, reached from the true one by moves.
type walk struct {
	s   *system
	t   target
	dir float64
	got float64
	dx  [][]float64 // by layer and unit; nil where the layer is as it is
}

// certify looks for a proof that uses only what is hidden already.
func (s *system) certify(t target) proof {
	down := s.walk(t, -1, math.Max(t.down, t.width))
	up := &walk{s: s, t: t, dir: 1, dx: make([][]float64, len(s.layers))}
	if t.width > down.got {
		up = s.walk(t, 1, t.width-down.got)
	}
	p := proof{walks: [2]*walk{down, up}, moved: map[int32]bool{}}
	x := s.layers[t.layer].x[t.unit]
	p.low, p.high = x-down.got, x+up.got
	p.ok = reaches(down.got, t.down) && reaches(down.got+up.got, t.width)
	for _, w := range p.walks {
		w.eachMoved(func(u int32) { p.moved[u] = true })
	}
	return p
}

func reaches(got, need float64) bool { return got >= need-1e-9*math.Max(1, need) }

// walk goes from the true table as far as need in direction dir, each step by
// the move that carries farthest.
func (s *system) walk(t target, dir, need float64) *walk {
	w := &walk{s: s, t: t, dir: dir, dx: make([][]float64, len(s.layers))}
	sets := s.layerSets(t.layer)
	for !reaches(w.got, need) {
		best := struct {
			amount float64
			move   move
			layers []int
		}{}
		s.moves(t.unit, func(m *move) bool {
			for _, set := range sets {
				if s.hideCost(m, set) > 0 {
					continue
				}
				if c := math.Min(w.room(m, set), need-w.got); c > best.amount {
					best.amount, best.layers = c, set
					best.move = m.clone()
				}
			}
			return !reaches(w.got+best.amount, need)
		})
		if best.amount < 1e-9*math.Max(1, need) {
			break
		}
		w.apply(&best.move, best.layers, best.amount)
	}
	if !w.holds() {
		return &walk{s: s, t: t, dir: dir, dx: make([][]float64, len(s.layers))}
	}
	return w
}

// layerSets lists which measures a move may change together: a group of
// contributors cannot outgrow the persons it is part of.
func (s *system) layerSets(l int) [][]int {
	sets := [][]int{{l}}
	switch s.layers[l].kind {
	case countLayer:
		all := []int{l}
		for n := range s.layers {
			if s.layers[n].kind == contributorLayer {
				all = append(all, n)
			}
		}
		if len(all) > 1 {
			sets = append(sets, all)
		}
	case contributorLayer:
		sets = append(sets, []int{l, s.countLayer()})
	}
	return sets
}

// countLayer is the first layer: every table has it.
func (s *system) countLayer() int { return 0 }

// hideCost is what hiding all that the move changes would cost; 0 if all is
// hidden. A cell shown as empty is no cover: a reader guesses it.
func (s *system) hideCost(m *move, set []int) (cost float64) {
	for _, u := range m.units {
		if !s.isShown(u) {
			continue
		}
		for _, l := range set {
			if s.layers[l].in[u] {
				if s.units[u].count == 0 {
					return math.Inf(1)
				}
				cost += s.units[u].cost
				break
			}
		}
	}
	return cost
}

func (s *system) isShown(u int32) bool { return !s.units[u].hidden && !s.dark }

// bounds are what a reader knows of a hidden number besides the equations. One
// who knows the rule and which cells it hid knows on which side of the
// threshold each number lies. An empty cell would have been shown unless
// emptiness is hidden too.
func (s *system) bounds(l int, u int32, reader bool) (low, high float64) {
	ly, un := &s.layers[l], &s.units[u]
	x, threshold := ly.x[u], float64(s.rules.MinCount)
	if ly.kind == valueLayer {
		if ly.signed {
			return math.Inf(-1), math.Inf(1)
		}
		return 0, math.Inf(1)
	}
	if un.virtual {
		return 0, math.Inf(1)
	}
	if x > 0 && !s.zeroHides(l, u) {
		low = 1
	}
	switch {
	case reader:
		return low, math.Inf(1)
	case x < threshold:
		return low, threshold - 1
	}
	return threshold, math.Inf(1)
}

func (s *system) zeroHides(l int, u int32) bool {
	if s.layers[l].kind == contributorLayer {
		return !s.rules.ZeroIsSafe
	}
	return s.units[u].zeroHides
}

// room is how far the move can be made in the measures of set.
func (w *walk) room(m *move, set []int) float64 {
	room := math.Inf(1)
	for _, l := range set {
		ly := &w.s.layers[l]
		for _, u := range m.units {
			if !ly.in[u] {
				continue
			}
			low, high := w.s.bounds(l, u, w.t.reader)
			if x := w.value(l, u); m.coef[u]*w.dir > 0 {
				room = math.Min(room, high-x)
			} else {
				room = math.Min(room, x-low)
			}
		}
		if ly.kind != valueLayer && ly.integral {
			room = math.Floor(room)
		}
		if room <= 0 {
			return 0
		}
	}
	room = math.Min(w.coupling(m, set), room)
	for _, l := range set {
		if room > 0 {
			room = math.Min(room, w.lineRoom(m, l))
		}
	}
	return room
}

func (w *walk) value(l int, u int32) float64 {
	x := w.s.layers[l].x[u]
	if w.dx[l] != nil {
		x += w.dx[l][u]
	}
	return x
}

// coupling is the room that is left by contributors <= count.
func (w *walk) coupling(m *move, set []int) float64 {
	room := math.Inf(1)
	count, moves := w.s.countLayer(), map[int]bool{}
	for _, l := range set {
		moves[l] = true
	}
	for l := range w.s.layers {
		ly := &w.s.layers[l]
		if ly.kind != contributorLayer || moves[l] == moves[count] {
			continue
		}
		for _, u := range m.units {
			growing := m.coef[u]*w.dir > 0
			if ly.in[u] && growing == moves[l] { // the group grows, or the count shrinks
				room = math.Min(room, w.value(count, u)-w.value(l, u))
			}
		}
	}
	return room
}

// lineRoom is how far the move can go before a line of the measure breaks; 0
// if it breaks an equation at once.
func (w *walk) lineRoom(m *move, l int) float64 {
	ly, room := &w.s.layers[l], math.Inf(1)
	change := map[int32]float64{}
	for _, u := range m.units {
		for _, c := range ly.of[u] {
			change[c.line] += c.sign * m.coef[u] * w.dir
		}
	}
	for n, rate := range change {
		ln := &ly.lines[n]
		if ln.rel == equal {
			if rate != 0 {
				return 0
			}
			continue
		}
		sum, total := 0.0, w.value(l, ln.total)
		for _, p := range ln.parts {
			sum += w.value(l, p)
			gap := (m.coef[ln.total] - m.coef[p]) * w.dir
			if ln.rel == atLeast && gap < 0 {
				room = math.Min(room, (total-w.value(l, p))/-gap)
			}
		}
		switch {
		case ln.rel == atLeast && rate < 0:
			room = math.Min(room, (sum-total)/-rate)
		case ln.rel == atMost && rate > 0:
			room = math.Min(room, (total-sum)/rate)
		}
	}
	return math.Floor(room)
}

func (w *walk) apply(m *move, set []int, amount float64) {
	for _, l := range set {
		if w.dx[l] == nil {
			w.dx[l] = make([]float64, len(w.s.units))
		}
		for _, u := range m.units {
			if w.s.layers[l].in[u] {
				w.dx[l][u] += amount * w.dir * m.coef[u]
			}
		}
	}
	w.got += amount
}

func (w *walk) eachMoved(f func(u int32)) {
	for _, dx := range w.dx {
		for u, d := range dx {
			if d != 0 {
				f(int32(u))
			}
		}
	}
}

// holds checks the alternative table from scratch: only hidden units differ,
// every number is within its bounds, every line and contributors <= count
// hold, and the target's unit is where the walk says.
func (w *walk) holds() bool {
	s := w.s
	for l := range s.layers {
		if w.dx[l] == nil {
			continue
		}
		ly := &s.layers[l]
		checked := map[int32]bool{}
		for u, d := range w.dx[l] {
			if d == 0 {
				continue
			}
			low, high := s.bounds(l, int32(u), w.t.reader)
			x := ly.x[u] + d
			if s.isShown(int32(u)) || x < low-tolerance(ly, x) || x > high+tolerance(ly, x) {
				return false
			}
			for _, c := range ly.of[u] {
				if !checked[c.line] && !w.lineHolds(l, &ly.lines[c.line]) {
					return false
				}
				checked[c.line] = true
			}
		}
	}
	for l := range s.layers {
		if s.layers[l].kind != contributorLayer {
			continue
		}
		for u := range s.units {
			if s.layers[l].in[u] && w.value(l, int32(u)) > w.value(s.countLayer(), int32(u)) {
				return false
			}
		}
	}
	l, want := w.t.layer, w.dir*w.got
	return w.got == 0 || w.dx[l] != nil && math.Abs(w.dx[l][w.t.unit]-want) <= tolerance(&s.layers[l], want)
}

func (w *walk) lineHolds(l int, ln *line) bool {
	sum, total, most, scale := 0.0, w.value(l, ln.total), math.Inf(-1), 1.0
	for _, p := range ln.parts {
		x := w.value(l, p)
		sum += x
		scale += math.Abs(x)
		most = math.Max(most, x)
	}
	tol := tolerance(&w.s.layers[l], scale)
	switch ln.rel {
	case equal:
		return math.Abs(sum-total) <= tol
	case atLeast:
		return sum >= total-tol && most <= total+tol
	case atMost:
		return sum <= total+tol
	}
	return true
}

// tolerance is 0 for counts: whole numbers are exact. Values that are measured
// may differ by rounding.
func tolerance(l *layer, scale float64) float64 {
	if l.kind != valueLayer {
		return 0
	}
	return 1e-8 * math.Max(1, math.Abs(scale))
}

func (m *move) clone() move {
	c := move{units: append([]int32(nil), m.units...), coef: make([]float64, len(m.coef))}
	for _, u := range m.units {
		c.coef[u] = m.coef[u]
	}
	return c
}
