package disclose

import (
	"math"
	"sort"
	"strings"
)

// valueShare is how uncertain a sum or person-time of a hidden cell must stay:
// the possible values span at least this share of it (10 % on either side).
const valueShare = 0.2

// protect hides further units until every target has a proof, takes back what
// was hidden in excess, and marks the tables' cells.
func (s *system) protect() {
	targets := s.targets()
	proofs := make([]proof, len(targets))
	added := map[int32]bool{}
	for i := range targets {
		t := &targets[i]
		t.reader = t.reader || !s.certifyDark(*t)
		for {
			proofs[i] = s.certify(*t)
			if proofs[i].ok || !s.extend(*t, &proofs[i], added) {
				break
			}
		}
	}
	s.reduce(targets, proofs, added)
	s.mark(targets, proofs)
}

// certifyDark says whether the target would hold if nothing at all were shown.
// What the rule alone gives away to one who knows it is not the release's doing.
func (s *system) certifyDark(t target) bool {
	s.dark = true
	defer func() { s.dark = false }()
	return s.certify(t).ok
}

// targets lists what must stay unknown, from the cells that a rule hides.
func (s *system) targets() (ts []target) {
	least := float64(protection(s.rules))
	for u := range s.units {
		un := &s.units[u]
		if !un.primary() {
			continue
		}
		for l := range s.layers {
			ly := &s.layers[l]
			if !ly.in[u] {
				continue
			}
			x, t := ly.x[u], target{unit: int32(u), layer: l}
			small := x < float64(s.rules.MinCount) && (x > 0 || s.zeroHides(l, int32(u)))
			switch {
			case ly.kind == valueLayer && x != 0:
				t.width = valueShare * math.Abs(x)
				if ly.integral && x < float64(s.rules.MinCount) {
					t.width = math.Max(t.width, least)
				}
			case ly.kind == valueLayer || ly.kind == contributorLayer && un.count == 0:
				continue
			case small:
				t.width = least
			default:
				if limit := s.shareLimit(l, int32(u)); x > limit {
					t.down, t.reader = x-limit, true
				}
			}
			if t.width > 0 || t.down > 0 {
				ts = append(ts, t)
			}
		}
	}
	return ts
}

// shareLimit is the largest number that does not break the share rule.
func (s *system) shareLimit(l int, u int32) float64 {
	if s.layers[l].kind == contributorLayer {
		return math.Floor(s.rules.MaxShare * s.units[u].count)
	}
	return s.units[u].shareMax
}

func (u *unit) primary() bool {
	for _, p := range u.places {
		if strings.HasPrefix(p.t.cells[p.cell].mark, primaryMark) {
			return true
		}
	}
	return false
}

// extend hides the cheapest units that carry the target's proof farther; when
// no move does, it hides the target's tables whole, then all. It says whether
// anything was left to hide.
func (s *system) extend(t target, p *proof, added map[int32]bool) bool {
	missing := math.Max(t.down-p.walks[0].got, t.width-p.walks[0].got-p.walks[1].got)
	var hide []int32
	best := math.Inf(1)
	sets := s.layerSets(t.layer)
	s.moves(t.unit, func(m *move) bool {
		for _, set := range sets {
			cost := s.hideCost(m, set)
			if cost >= best || cost == 0 {
				continue
			}
			for _, w := range p.walks {
				if w.dir > 0 && t.width == 0 {
					continue
				}
				room := w.room(m, set)
				if score := cost * math.Max(1, missing/room); room > 0 && score < best {
					best, hide = score, s.shown(m, set)
				}
			}
		}
		return true
	})
	if hide == nil {
		hide = s.wholeTables(t.unit)
	}
	for _, u := range hide {
		s.units[u].hidden, added[u] = true, true
	}
	return len(hide) > 0
}

// shown lists the units that the move changes and that are not hidden yet.
func (s *system) shown(m *move, set []int) (out []int32) {
	for _, u := range m.units {
		for _, l := range set {
			if !s.units[u].hidden && s.layers[l].in[u] {
				out = append(out, u)
				break
			}
		}
	}
	return out
}

// wholeTables lists what is still shown of the tables with the unit, or, when
// that is nothing, of all tables.
func (s *system) wholeTables(unit int32) []int32 {
	var own, all []int32
	for u := range s.units {
		if s.units[u].hidden {
			continue
		}
		all = append(all, int32(u))
		if s.sameTable(int32(u), unit) {
			own = append(own, int32(u))
		}
	}
	if len(own) > 0 {
		return own
	}
	return all
}

func (s *system) sameTable(a, b int32) bool {
	for _, p := range s.units[a].places {
		for _, q := range s.units[b].places {
			if p.t == q.t {
				return true
			}
		}
	}
	return false
}

// reduce shows again each added unit that no proof needs, dearest first.
func (s *system) reduce(targets []target, proofs []proof, added map[int32]bool) {
	order := make([]int32, 0, len(added))
	for u := range added {
		order = append(order, u)
	}
	sort.Slice(order, func(a, b int) bool {
		x, y := &s.units[order[a]], &s.units[order[b]]
		if x.cost != y.cost {
			return x.cost > y.cost
		}
		return order[a] < order[b]
	})
	for _, u := range order {
		s.units[u].hidden = false
		again := map[int]proof{}
		for i := range targets {
			if !proofs[i].ok || !proofs[i].moved[u] {
				continue
			}
			p := s.certify(targets[i])
			if !p.ok {
				s.units[u].hidden = true
				break
			}
			again[i] = p
		}
		if s.units[u].hidden {
			continue
		}
		for i, p := range again {
			proofs[i] = p
		}
	}
}

// mark carries the outcome over to the tables.
func (s *system) mark(targets []target, proofs []proof) {
	for u := range s.units {
		if !s.units[u].hidden {
			continue
		}
		for _, p := range s.units[u].places {
			if c := &p.t.cells[p.cell]; c.mark == "" {
				c.mark = secondary
			}
		}
	}
	for i, t := range targets {
		if !proofs[i].ok {
			continue
		}
		for _, p := range s.units[t.unit].places {
			c := &p.t.cells[p.cell]
			if c.ranges == nil {
				c.ranges = map[string]Range{}
			}
			c.ranges[s.layers[t.layer].name] = Range{proofs[i].low, proofs[i].high}
		}
	}
}
