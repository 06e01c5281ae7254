package disclose

import (
	"math"
	"slices"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// groupTables lays out the groups of contributors of ratios as tables of their
// own: a ratio shows how many persons each of its rates rests on, which may be
// the total of another table.
func groupTables(tables []*table, r record.Rules) (groups []*table, err error) {
	for _, t := range tables {
		if t.curves != nil {
			list, err := curveGroups(t, r)
			if err != nil {
				return nil, err
			}
			groups = append(groups, list...)
		}
		if t.traits != nil {
			list, err := traitGroups(t, r)
			if err != nil {
				return nil, err
			}
			groups = append(groups, list...)
		}
		if t.out.Kind != study.Ratios {
			continue
		}
		for _, l := range t.layers {
			if l.kind != contributorLayer {
				continue
			}
			o := study.Output{Name: t.out.Name, Kind: study.Frequencies, Dimensions: t.out.Dimensions}
			for i := range t.cells {
				if !t.cells[i].virtual {
					o.Cells = append(o.Cells, study.Cell{Key: t.cells[i].Key, Count: int64(l.x[i])})
				}
			}
			g, err := newTable(&o, t.index)
			if err != nil {
				return nil, err
			}
			g.judge(r)
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// hideDerived hides the cells whose sources are hidden, and ratios, curves and
// traits together with their groups; it says whether it found any.
func hideDerived(tables, groups []*table, r record.Rules) bool {
	found := false
	for _, g := range groups {
		t := tables[g.index]
		for i := range g.cells {
			k := i
			if g.parent != nil {
				k = g.parent[i]
			}
			if k < 0 || g.cells[i].virtual {
				continue
			}
			if a, b := &t.cells[k], &g.cells[i]; (a.mark == "") != (b.mark == "") {
				found = true
				if a.mark == "" {
					a.mark = secondary
				} else {
					b.mark = secondary
				}
			}
		}
	}
	for _, t := range tables {
		if t.traits != nil {
			found = t.hideTraits(r) || found
		}
		for _, name := range t.out.Sources {
			k := slices.IndexFunc(tables, func(s *table) bool { return s.out.Name == name })
			if k < 0 {
				continue // not in this release: its cells cannot be compared with
			}
			for i := range t.cells {
				c := &t.cells[i]
				if !c.virtual && c.given >= 0 && c.mark == "" && tables[k].hides(t, i) {
					c.mark, found = primaryMark+Source, true
					c.findings = append(c.findings, Source)
				}
			}
		}
	}
	return found
}

// hides says whether a cell of t from which cell i of derived is made is hidden.
func (t *table) hides(derived *table, i int) bool {
	for k := range t.cells {
		c := &t.cells[k]
		if c.virtual || c.mark == "" {
			continue
		}
		made := true
		for j, d := range t.dims {
			dj := slices.IndexFunc(derived.dims, func(x tableDim) bool { return x.name == d.name })
			switch {
			case dj >= 0:
				made = made && c.Key[j] == derived.cells[i].Key[dj]
			case d.total:
				made = made && t.at(k, j) == d.n
			}
		}
		if made {
			return true
		}
	}
	return false
}

// publish gives the output as it may leave, and its evidence.
func (t *table) publish(r record.Rules) (study.Output, OutputEvidence) {
	out := *t.out
	out.Cells = make([]study.Cell, len(t.out.Cells))
	ev := OutputEvidence{Name: out.Name}
	whole := t.wholeMeasures()
	for i := range t.cells {
		c := &t.cells[i]
		if c.virtual {
			continue
		}
		ev.Cells = append(ev.Cells, CellEvidence{Key: c.Key, Count: c.Count, Contributors: c.Contributors,
			MaxShare: c.MaxShare, Values: c.Values, Findings: c.findings, Suppressed: c.mark, Ranges: c.ranges})
		shown := rounded(c.Cell, whole, r.RoundTo)
		if c.mark != "" {
			shown = study.Cell{Key: c.Key, Suppressed: c.mark}
		}
		switch {
		case c.given >= 0:
			out.Cells[c.given] = shown
		case c.mark != "":
			out.Cells = append(out.Cells, shown)
		}
	}
	return out, ev
}

// wholeMeasures are the values that are counts: whole numbers in every cell.
func (t *table) wholeMeasures() map[string]bool {
	whole := map[string]bool{}
	for _, m := range t.out.Measures {
		whole[m] = true
		for i := range t.cells {
			v := t.cells[i].Values[m]
			whole[m] = whole[m] && v == math.Trunc(v)
		}
	}
	return whole
}

// rounded is the cell as shown. With a base above 1 every count is rounded to
// it, and all other values to two significant digits, since an exact rate
// would give the exact counts away.
func rounded(c study.Cell, whole map[string]bool, base int) study.Cell {
	c.MaxShare = 0 // evidence, not a result
	if base == 1 {
		return c
	}
	to := func(v float64) float64 { return math.Round(v/float64(base)) * float64(base) }
	c.Count = int64(to(float64(c.Count)))
	contributors, values := map[string]int64{}, map[string]float64{}
	for k, n := range c.Contributors {
		contributors[k] = int64(to(float64(n)))
	}
	for k, v := range c.Values {
		if values[k] = to(v); !whole[k] {
			values[k], _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 2, 64), 64)
		}
	}
	if c.Contributors != nil {
		c.Contributors = contributors
	}
	if c.Values != nil {
		c.Values = values
	}
	return c
}
