package disclose

import (
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// Joined in CellEvidence.Suppressed marks a step of an attrition that is told
// only together with its neighbours.
const Joined = "joined"

// chain is an attrition as counts: who start, who are lost at each step, who
// are in the cohort.
type chain struct {
	start, in int64
	lost      []int64
	cut       []bool // by the number of steps before: whether it is told who are left there
}

// readChain reads an output of kind Attrition.
func readChain(o *study.Output) (*chain, error) {
	bad := func(msg string) (*chain, error) { return nil, invalid(o.Name, msg) }
	if len(o.Dimensions) != 1 || o.Dimensions[0].Name != study.Rule || !o.Dimensions[0].Total {
		return bad("an attrition has the dimension " + study.Rule + " with its total")
	}
	cats := o.Dimensions[0].Categories
	steps := len(cats) - 1
	if steps < 1 || cats[steps] != study.InCohort {
		return bad("the steps of an attrition are followed by " + study.InCohort)
	}
	c := &chain{start: -1, lost: make([]int64, steps)}
	left, seen := int64(0), map[string]bool{}
	for i := range o.Cells {
		g := &o.Cells[i]
		if len(g.Key) != 1 || g.Suppressed != "" || g.Count < 0 || len(g.Values)+len(g.Contributors) > 0 {
			return bad("a cell of an attrition has a count and no other number")
		}
		k := slices.Index(cats, g.Key[0])
		if seen[g.Key[0]] || k < 0 && g.Key[0] != study.TotalKey {
			return bad("a cell is there twice, or of no step")
		}
		seen[g.Key[0]] = true
		switch {
		case g.Key[0] == study.TotalKey:
			c.start = g.Count
			continue
		case k == steps:
			c.in = g.Count
		default:
			c.lost[k] = g.Count
		}
		left += g.Count
	}
	if c.start != left {
		return bad("who start are not those lost and those left")
	}
	return c, nil
}

// choose joins steps in a row until at least as many are lost as may be told,
// so that between any two numbers that are told nobody is lost or so many. Who
// remain at the end join the last steps that lost somebody. If all steps
// together lose too few, these stay a cell that the rules hide.
func (c *chain) choose(least int64) {
	c.cut = make([]bool, len(c.lost)+1)
	c.cut[0] = true
	last := len(c.lost)
	for last > 0 && c.lost[last-1] == 0 {
		c.cut[last] = true
		last--
	}
	open, from := int64(0), 0
	for i, n := range c.lost[:last] {
		if open += n; open == 0 || open >= least {
			c.cut[i+1] = true
			open, from = 0, i+1
		}
	}
	c.cut[last] = true
	if open == 0 {
		return
	}
	before := from
	for before > 0 && c.lost[before-1] == 0 {
		before--
	}
	if before > 0 {
		clear(c.cut[before : from+1])
	}
}

// agree makes two attritions that lose the same numbers from the same start
// tell of the same steps, as far as they agree: who are left would be known in
// both from either. It says whether anything changed.
func (c *chain) agree(d *chain) bool {
	changed := false
	if c.start != d.start {
		return false
	}
	for k := 1; k < len(c.lost) && k < len(d.lost) && c.lost[k-1] == d.lost[k-1]; k++ {
		if c.cut[k] != d.cut[k] {
			c.cut[k], d.cut[k], changed = false, false, true
		}
	}
	return changed
}

// joinRules gives the outputs with the steps of attritions joined.
func joinRules(outputs []study.Output, r record.Rules) ([]study.Output, error) {
	chains := map[int]*chain{}
	var order []int
	for i := range outputs {
		if outputs[i].Kind != study.Attrition {
			continue
		}
		c, err := readChain(&outputs[i])
		if err != nil {
			return nil, err
		}
		c.choose(int64(r.MinCount))
		chains[i] = c
		order = append(order, i)
	}
	for changed := true; changed; {
		changed = false
		for n, i := range order {
			for _, k := range order[:n] {
				changed = chains[i].agree(chains[k]) || changed
			}
		}
	}
	out := slices.Clone(outputs)
	for i, c := range chains {
		out[i] = c.output(&outputs[i])
	}
	return out, nil
}

// output is the attrition with its steps joined.
func (c *chain) output(o *study.Output) study.Output {
	out := *o
	cats := o.Dimensions[0].Categories
	dim := study.Dimension{Name: study.Rule, Total: true, Sensitive: o.Dimensions[0].Sensitive}
	out.Cells = []study.Cell{{Key: []string{study.TotalKey}, Count: c.start}}
	add := func(category string, n int64) {
		dim.Categories = append(dim.Categories, category)
		out.Cells = append(out.Cells, study.Cell{Key: []string{category}, Count: n})
	}
	from, n := 0, int64(0)
	for i, lost := range c.lost {
		if n += lost; c.cut[i+1] {
			add(study.JoinRules(cats[from:i+1]), n)
			from, n = i+1, 0
		}
	}
	add(study.InCohort, c.in)
	out.Dimensions = []study.Dimension{dim}
	return out
}

// joined is the evidence of the steps of given that out tells only together.
func joined(given, out *study.Output) (cells []CellEvidence) {
	if given.Kind != study.Attrition {
		return nil
	}
	for _, c := range given.Cells {
		if c.Key[0] != study.TotalKey && !slices.Contains(out.Dimensions[0].Categories, c.Key[0]) {
			cells = append(cells, CellEvidence{Key: c.Key, Count: c.Count, Suppressed: Joined})
		}
	}
	return cells
}

// within says that all persons of a table are those in one category of a
// dimension that the table does not have: those whom an attrition leaves.
type within struct{ dim, category string }

// nest finds the tables that count the persons whom an attrition leaves: their
// total is the last number of the attrition, and what is hidden in the one must
// not follow from the other. As everywhere in this package, tables that show
// the same number of persons are taken to show the same persons.
func nest(tables []*table) {
	var attritions []*table
	for _, t := range tables {
		if t.out.Kind == study.Attrition {
			t.dims[0].name += "\x01" + t.out.Name // its steps are its own
			attritions = append(attritions, t)
		}
	}
	if attritions == nil {
		return
	}
	// Attritions that lose somebody, so that those who start always become more
	// from one to the next within which it lies.
	leaves := func(persons float64) *table {
		for _, a := range attritions {
			if n := a.layers[0].x[a.inCohort()]; n == persons && n > 0 && n < a.layers[0].x[len(a.cells)-1] {
				return a
			}
		}
		return nil
	}
	for _, t := range tables {
		for a := leaves(t.layers[0].x[len(t.cells)-1]); a != nil; a = leaves(a.layers[0].x[len(a.cells)-1]) {
			t.within = append(t.within, within{a.dims[0].name, study.InCohort})
		}
		for i := range t.cells {
			t.cells[i].key = t.nestedKey(i)
		}
	}
	for _, t := range attritions { // two that leave the same number leave the same persons
		i := t.inCohort()
		if a := leaves(t.layers[0].x[i]); a != nil {
			t.cells[i].key = a.nestedKey(a.inCohort())
		}
	}
}

// inCohort is the cell of those whom an attrition leaves.
func (t *table) inCohort() int { return t.dims[0].n - 1 }

// startsAt says whether cell i is of those with whom an attrition starts.
func (t *table) startsAt(i int) bool {
	return t.out.Kind == study.Attrition && i == len(t.cells)-1
}

// nestedKey is the canonical name of cell i among nested tables.
func (t *table) nestedKey(i int) string {
	var parts []string
	for j, d := range t.dims {
		if t.at(i, j) < d.n {
			parts = append(parts, d.name+"="+t.cells[i].Key[j])
		}
	}
	for _, w := range t.within {
		parts = append(parts, w.dim+"="+w.category)
	}
	sort.Strings(parts)
	return strings.Join(parts, "\x00")
}

// categoryWithin is the category of the dimension in which all persons of the
// table are, -1 if nothing is known.
func (t *table) categoryWithin(d *systemDim) int {
	for _, w := range t.within {
		if w.dim == d.name {
			return slices.Index(d.categories, w.category)
		}
	}
	return -1
}

// whole is the unit of all persons of the table.
func (st *systemTable) whole() int32 { return st.unit[len(st.unit)-1] }

// likeliest is the category of an attrition that a move counts one more person
// in: the largest that is hidden, else the cheapest to hide. Other choices are
// not tried: with many attritions of one start their product would be endless.
func (s *system) likeliest(st *systemTable) int {
	best, most := st.t.inCohort(), math.Inf(-1)
	for i := range st.t.dims[0].n {
		u := &s.units[st.unit[i]]
		worth := -u.cost
		switch {
		case u.count == 0: // no cover
			continue
		case u.hidden:
			worth = u.count
		}
		if worth > most {
			best, most = i, worth
		}
	}
	return best
}

// tellRemaining gives each step that is shown who are left after it, as far as
// that is a sum of numbers that are shown.
func (t *table) tellRemaining() {
	in, all := t.inCohort(), len(t.cells)-1
	shown := func(from, to int) bool { // the cells [from, to)
		return !slices.ContainsFunc(t.cells[from:to], func(c cell) bool { return c.mark != "" })
	}
	left := t.cells[all].Count
	for i := range t.cells {
		if i < in {
			left -= t.cells[i].Count
		}
		known := i >= in || shown(all, all+1) && shown(0, i) || shown(i+1, in+1)
		if !known || !shown(i, i+1) {
			continue
		}
		n := left
		if i == all {
			n = t.cells[all].Count
		}
		t.cells[i].Values = map[string]float64{study.MeasureRemaining: float64(n)}
	}
}
