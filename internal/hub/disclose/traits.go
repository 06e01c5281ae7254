package disclose

import (
	"math"
	"slices"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/proportion"
)

// traits are the cells of an output of kind Characteristics. The cells of the
// table are those of the output, in its order. Traits of which everybody has
// one are protected as tables of their own, with all others of the release
// (traitGroups). A concept that persons have or have not stands alone: whoever
// knows the persons of the group knows how many have it not, and nothing else follows from it.
type traits struct {
	at      map[traitCell]int // cell of the table
	groups  []string
	persons map[string]int   // cell of a group's persons
	parted  map[string]bool  // traits of which everybody has one
	rows    map[int]traitRow // by cell
}

type traitCell struct{ trait, category, group string }

type traitRow int

const (
	rowPersons traitRow = iota
	rowPart             // a category of a trait of which everybody has one
	rowPresent          // who has a concept
	rowValue            // who of them has a value
	rowMean
)

// traitsTable reads an output of kind Characteristics.
func traitsTable(o *study.Output, index int) (*table, error) {
	if !havre.ValidName(o.Name) {
		return nil, havre.E("disclose", havre.Invalid, "an output has no valid name")
	}
	if len(o.Dimensions) != 3 || o.Dimensions[0].Name != study.TraitDim || o.Dimensions[1].Name != study.CategoryDim || o.Dimensions[2].Name != study.Group {
		return nil, invalid(o.Name, "characteristics have a trait, a category and a group")
	}
	if len(o.Cells) > maxCells {
		return nil, invalid(o.Name, "it has too many cells to be checked")
	}
	ts := &traits{at: map[traitCell]int{}, groups: o.Dimensions[2].Categories, persons: map[string]int{}, parted: map[string]bool{}, rows: map[int]traitRow{}}
	t := &table{out: o, index: index, traits: ts}
	present := map[string]bool{}
	for n := range o.Cells {
		g := &o.Cells[n]
		if len(g.Key) != 3 || !slices.Contains(o.Dimensions[0].Categories, g.Key[0]) || !slices.Contains(o.Dimensions[1].Categories, g.Key[1]) || !slices.Contains(ts.groups, g.Key[2]) {
			return nil, invalid(o.Name, "a cell's key is none of its categories")
		}
		k := traitCell{g.Key[0], g.Key[1], g.Key[2]}
		if _, twice := ts.at[k]; twice {
			return nil, invalid(o.Name, "a cell is there twice")
		}
		if err := t.sane(g); err != nil {
			return nil, err
		}
		ts.at[k] = n
		t.cells = append(t.cells, cell{Cell: *g, given: n})
		switch {
		case k.trait == study.TraitPersons && k.category == study.All:
			ts.rows[n], ts.persons[k.group] = rowPersons, n
		case k.trait == study.TraitAge && k.category == study.Mean:
			ts.rows[n] = rowMean
		case k.category == study.Present:
			ts.rows[n], present[k.trait] = rowPresent, true
		case present[k.trait]:
			ts.rows[n] = rowValue
		default:
			ts.rows[n], ts.parted[k.trait] = rowPart, true
		}
	}
	return t, ts.check(t)
}

// check holds the cells against each other.
func (ts *traits) check(t *table) error {
	sums := map[traitCell]int64{}
	for n := range t.cells {
		c := &t.cells[n]
		k := traitCell{c.Key[0], c.Key[1], c.Key[2]}
		if _, ok := ts.persons[k.group]; !ok {
			return invalid(t.out.Name, "a group has no number of persons")
		}
		whole := t.cells[ts.persons[k.group]].Count
		switch ts.rows[n] {
		case rowValue:
			at, ok := ts.at[traitCell{k.trait, study.Present, k.group}]
			if !ok {
				return invalid(t.out.Name, "a value has nobody who has the concept")
			}
			whole = t.cells[at].Count
		case rowPart:
			sums[traitCell{k.trait, "", k.group}] += c.Count
		case rowPresent:
			if ts.parted[k.trait] {
				return invalid(t.out.Name, "the categories of trait "+k.trait+" are of two kinds")
			}
		}
		if c.Count > whole {
			return invalid(t.out.Name, "a trait has more persons than its group")
		}
	}
	for trait := range ts.parted {
		for _, g := range ts.groups {
			if n := t.cells[ts.persons[g]].Count; sums[traitCell{trait, "", g}] != n {
				return invalid(t.out.Name, "the categories of trait "+trait+" do not add up to the persons of the group")
			}
		}
	}
	return nil
}

// judgeTraits finds the rules that cells break in view of their group. Who has
// a concept is judged as who has an event (rates), and so are those who have it not.
func (t *table) judgeTraits(r record.Rules) {
	small := func(n int64) bool { return n > 0 && n < int64(r.MinCount) }
	for n := range t.cells {
		c := &t.cells[n]
		group := t.cells[t.traits.persons[c.Key[2]]].Count
		switch t.traits.rows[n] {
		case rowPresent:
			if small(group - c.Count) {
				c.findings = append(c.findings, MinCount)
			}
			if c.Count == 0 && group > 0 && !r.ZeroIsSafe {
				c.findings = append(c.findings, ZeroCell)
			}
			if float64(c.Count) > r.MaxShare*float64(group) {
				c.findings = append(c.findings, MaxShare)
			}
		case rowValue:
			if small(t.cells[t.traits.at[traitCell{c.Key[0], study.Present, c.Key[2]}]].Count - c.Count) {
				c.findings = append(c.findings, MinCount)
			}
		case rowMean:
			if sd, ok := c.Values[study.MeasureSD]; ok && sd == 0 {
				c.findings = append(c.findings, MaxShare) // everybody is of the mean age
			}
		}
	}
}

// traitGroups lays out, for each group, each trait of which everybody has one
// as a table whose total is the group.
func traitGroups(t *table, r record.Rules) (groups []*table, err error) {
	for _, group := range t.traits.groups {
		all := t.traits.persons[group]
		for _, d := range append([]string{study.TraitPersons}, t.out.Dimensions[0].Categories...) {
			o := study.Output{Name: t.out.Name, Kind: study.Frequencies}
			cells := map[string]int{study.TotalKey: all}
			if t.traits.parted[d] {
				o.Dimensions = []study.Dimension{{Name: d, Total: true}}
				for _, c := range t.out.Dimensions[1].Categories {
					if n, ok := t.traits.at[traitCell{d, c, group}]; ok {
						o.Dimensions[0].Categories = append(o.Dimensions[0].Categories, c)
						o.Cells = append(o.Cells, study.Cell{Key: []string{c}, Count: t.cells[n].Count})
						cells[c] = n
					}
				}
			} else if d != study.TraitPersons || len(groups) > 0 && len(groups[len(groups)-1].dims) == 0 && groups[len(groups)-1].parent[0] == all {
				continue
			}
			o.Cells = append(o.Cells, study.Cell{Key: slices.Repeat([]string{study.TotalKey}, len(o.Dimensions)), Count: t.cells[all].Count})
			g, err := newTable(&o, t.index)
			if err != nil {
				return nil, err
			}
			g.judge(r)
			for i := range g.cells {
				key := study.TotalKey
				if len(g.cells[i].Key) > 0 {
					key = g.cells[i].Key[0]
				}
				g.parent = append(g.parent, cells[key])
			}
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// hideTraits hides what rests on hidden cells: a group of which the number of
// persons is hidden, or so small that who has a concept could be told from who has it
// not; values of a concept that is hidden; the mean age where a band of ages is
// hidden. It says whether it found any.
func (t *table) hideTraits(r record.Rules) (found bool) {
	banded := map[string]bool{} // groups with a hidden band of ages
	for n := range t.cells {
		if c := &t.cells[n]; c.Key[0] == study.TraitAgeBand && c.mark != "" {
			banded[c.Key[2]] = true
		}
	}
	for n := range t.cells {
		c := &t.cells[n]
		row, group := t.traits.rows[n], &t.cells[t.traits.persons[c.Key[2]]]
		rests := group.mark != ""
		switch row {
		case rowPresent:
			rests = rests || group.Count < 2*int64(r.MinCount)
		case rowValue:
			rests = rests || t.cells[t.traits.at[traitCell{c.Key[0], study.Present, c.Key[2]}]].mark != ""
		case rowMean:
			rests = rests || banded[c.Key[2]]
		}
		if rests && c.mark == "" && c.Count+group.Count > 0 {
			c.mark, found = primaryMark+Source, true
			c.findings = append(c.findings, Source)
		}
	}
	return found
}

// publishTraits gives the output as it may leave, and its evidence. Shares and
// differences are computed of the numbers that are shown. Concepts of which
// nothing is shown are left out, so that being listed says nothing.
func (t *table) publishTraits(r record.Rules) (study.Output, OutputEvidence) {
	out := *t.out
	ev := OutputEvidence{Name: out.Name}
	out.Cells = nil
	listed := map[[2]string]bool{}
	for n := range t.cells {
		c := &t.cells[n]
		ev.Cells = append(ev.Cells, CellEvidence{Key: c.Key, Count: c.Count, MaxShare: c.MaxShare, Values: c.Values, Findings: c.findings, Suppressed: c.mark})
		if row := t.traits.rows[n]; c.mark == "" || row != rowPresent && row != rowValue {
			listed[[2]string{c.Key[0], c.Key[1]}] = true
		}
	}
	shown := map[traitCell]study.Cell{}
	for n := range t.cells {
		c := &t.cells[n]
		if !listed[[2]string{c.Key[0], c.Key[1]}] {
			continue
		}
		p := study.Cell{Key: c.Key, Suppressed: c.mark}
		if c.mark == "" {
			p = t.shownTrait(n, r.RoundTo)
			shown[traitCell{c.Key[0], c.Key[1], c.Key[2]}] = p
		}
		out.Cells = append(out.Cells, p)
	}
	for n := range out.Cells {
		c := &out.Cells[n]
		if other, ok := shown[traitCell{c.Key[0], c.Key[1], study.GroupComparator}]; ok && c.Suppressed == "" && c.Key[2] == study.GroupTarget {
			if d, ok := difference(c.Values, other.Values); ok {
				c.Values[study.MeasureDifference] = few(d, r.RoundTo)
			}
		}
	}
	out.Dimensions = slices.Clone(out.Dimensions)
	for j := range out.Dimensions {
		out.Dimensions[j].Categories = slices.DeleteFunc(slices.Clone(out.Dimensions[j].Categories), func(k string) bool {
			return !slices.ContainsFunc(out.Cells, func(c study.Cell) bool { return c.Key[j] == k })
		})
	}
	return out, ev
}

// shownTrait is a cell as it leaves, without the difference.
func (t *table) shownTrait(n, base int) study.Cell {
	c := &t.cells[n]
	p := rounded(study.Cell{Key: c.Key, Count: c.Count}, nil, base)
	p.Values = map[string]float64{}
	if t.traits.rows[n] == rowMean {
		for _, m := range []string{study.MeasureMean, study.MeasureSD} {
			if v, ok := c.Values[m]; ok {
				p.Values[m] = few(v, base)
			}
		}
		return p
	}
	group := rounded(study.Cell{Count: t.cells[t.traits.persons[c.Key[2]]].Count}, nil, base).Count
	if group > 0 {
		p.Values[study.MeasureShare] = few(float64(p.Count)/float64(group), 1)
	}
	return p
}

// difference is the standardised difference of two cells' shares or means.
func difference(a, b map[string]float64) (float64, bool) {
	if m, ok := a[study.MeasureMean]; ok {
		other, ok := b[study.MeasureMean]
		d, finite := proportion.MeanDifference(m, a[study.MeasureSD], other, b[study.MeasureSD])
		return d, ok && finite
	}
	p, ok1 := a[study.MeasureShare]
	q, ok2 := b[study.MeasureShare]
	d, finite := proportion.Difference(p, q)
	return d, ok1 && ok2 && finite && !math.IsNaN(d)
}

// few rounds what is not a count for release.
func few(v float64, base int) float64 {
	n := digits
	if base > 1 {
		n = 2
	}
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', n, 64), 64)
	return v
}
