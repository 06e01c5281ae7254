package disclose

import (
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// maxCells bounds one table, margins included. Larger ones are no table that
// a person can check.
const maxCells = 200_000

// table is an output in dense form: one cell for every combination of
// categories and totals. Cells that the output left out are nobody's; a total
// that it does not show is there as a virtual cell, since it follows from the
// others.
type table struct {
	out    *study.Output
	index  int
	dims   []tableDim
	cells  []cell // row-major; the last dimension varies fastest
	layers []tableLayer
	curves *curves // of an output of kind Survival, whose totals the cells are
	paths  *paths  // of an output of kind Pathways, whose total the one cell is
	traits *traits // of an output of kind Characteristics, whose cells are laid out otherwise
	parent []int   // of a group of curves or traits: by cell, the cell of its output's table, or -1
	within []within
}

type tableDim struct {
	name      string
	n         int // categories; position n is the total
	total     bool
	sensitive bool
	stride    int
}

type cell struct {
	study.Cell
	given    int    // index in the output's cells, -1 if it left the cell out
	virtual  bool   // a total that the output does not show
	key      string // canonical: "dim=category" of the dimensions not at total, sorted
	findings []string
	mark     string // "" shown; else what goes into Cell.Suppressed
	ranges   map[string]Range
}

// tableLayer is one measure that can be added up: the count, a group of
// contributors or a value.
type tableLayer struct {
	name string
	kind layerKind
	x    []float64 // by cell
}

type layerKind int

const (
	countLayer layerKind = iota
	contributorLayer
	valueLayer
)

func newTable(o *study.Output, index int) (*table, error) {
	if !havre.ValidName(o.Name) {
		return nil, havre.E("disclose", havre.Invalid, "an output has no valid name")
	}
	switch o.Kind {
	case study.Frequencies, study.Rates, study.Ratios, study.Attrition, study.Proportions:
	default:
		return nil, invalid(o.Name, "its kind is unknown, so no rule covers it")
	}
	t := &table{out: o, index: index}
	size := 1
	seen := map[string]bool{}
	for _, d := range o.Dimensions {
		if d.Name == "" || strings.ContainsAny(d.Name, "=\x00") || seen[d.Name] || len(d.Categories) == 0 {
			return nil, invalid(o.Name, "a dimension has no name, no category, or is there twice")
		}
		seen[d.Name] = true
		cats := slices.Clone(d.Categories)
		sort.Strings(cats)
		if len(slices.Compact(cats)) != len(d.Categories) || slices.Contains(d.Categories, study.TotalKey) {
			return nil, invalid(o.Name, "dimension "+d.Name+" names a category twice, or names one "+study.TotalKey)
		}
		if size *= len(d.Categories) + 1; size > maxCells {
			return nil, invalid(o.Name, "it has too many cells to be checked")
		}
		t.dims = append(t.dims, tableDim{name: d.Name, n: len(d.Categories), total: d.Total, sensitive: d.Sensitive})
	}
	stride := 1
	for j := len(t.dims) - 1; j >= 0; j-- {
		t.dims[j].stride = stride
		stride *= t.dims[j].n + 1
	}
	t.cells = make([]cell, size)
	for i := range t.cells {
		t.name(i)
	}
	if err := t.fill(); err != nil {
		return nil, err
	}
	t.addLayers()
	return t, nil
}

// at gives the position of cell i on dimension j.
func (t *table) at(i, j int) int { return i / t.dims[j].stride % (t.dims[j].n + 1) }

func (t *table) name(i int) {
	c := &t.cells[i]
	c.given = -1
	c.Key = make([]string, len(t.dims))
	var parts []string
	for j, d := range t.dims {
		p := t.at(i, j)
		if p == d.n {
			c.Key[j] = study.TotalKey
			c.virtual = c.virtual || !d.total
			continue
		}
		c.Key[j] = t.out.Dimensions[j].Categories[p]
		parts = append(parts, d.name+"="+c.Key[j])
	}
	sort.Strings(parts)
	c.key = strings.Join(parts, "\x00")
}

// fill puts the output's cells in their places.
func (t *table) fill() error {
	place := map[string]int{}
	for i := range t.cells {
		place[strings.Join(t.cells[i].Key, "\x00")] = i
	}
	for n := range t.out.Cells {
		g := &t.out.Cells[n]
		i, ok := place[strings.Join(g.Key, "\x00")]
		if !ok || t.cells[i].virtual || len(g.Key) != len(t.dims) {
			return invalid(t.out.Name, "a cell's key is none of its categories")
		}
		c := &t.cells[i]
		if c.given >= 0 {
			return invalid(t.out.Name, "a cell is there twice")
		}
		if err := t.sane(g); err != nil {
			return err
		}
		c.Cell, c.given = *g, n
	}
	for i := range t.cells {
		c := &t.cells[i]
		if c.given >= 0 || c.virtual || !slices.Contains(c.Key, study.TotalKey) {
			continue
		}
		for _, p := range t.parts(i) {
			if t.cells[p].Count > 0 {
				return invalid(t.out.Name, "a total is missing though somebody is counted under it")
			}
		}
	}
	return nil
}

func (t *table) sane(c *study.Cell) error {
	const limit = 1 << 52 // counts beyond it are no longer exact as floating point
	bad := c.Suppressed != "" || c.Count < 0 || c.Count > limit || !(c.MaxShare >= 0 && c.MaxShare <= 1)
	for _, n := range c.Contributors {
		bad = bad || n < 0 || n > c.Count
	}
	for m, v := range c.Values {
		bad = bad || math.IsNaN(v) || !slices.Contains(t.out.Measures, m)
	}
	if bad {
		return invalid(t.out.Name, "a cell has a negative or impossible number, an unnamed measure, or is hidden already")
	}
	return nil
}

// parts lists the cells directly under total cell i on its first dimension at
// total.
func (t *table) parts(i int) []int {
	for j, d := range t.dims {
		if t.at(i, j) == d.n {
			return t.line(i, j)
		}
	}
	return nil
}

// line lists the categories' cells of the line of dimension j through cell i;
// the line's total is at line's first cell + n*stride.
func (t *table) line(i, j int) []int {
	d := t.dims[j]
	base := i - t.at(i, j)*d.stride
	out := make([]int, d.n)
	for p := range out {
		out[p] = base + p*d.stride
	}
	return out
}

func (t *table) lineTotal(i, j int) int {
	d := t.dims[j]
	return i + (d.n-t.at(i, j))*d.stride
}

// addLayers collects the measures and adds up the totals that are not shown.
func (t *table) addLayers() {
	contributors, values := map[string]bool{}, map[string]bool{}
	for i := range t.cells {
		for k := range t.cells[i].Contributors {
			contributors[k] = true
		}
		for k, v := range t.cells[i].Values {
			if math.IsInf(v, 0) { // a ratio over nothing: no measure that adds up
				values[k] = false
			} else if _, known := values[k]; !known {
				values[k] = true
			}
		}
	}
	add := func(name string, kind layerKind, get func(*cell) float64) {
		l := tableLayer{name: name, kind: kind, x: make([]float64, len(t.cells))}
		for i := range t.cells {
			l.x[i] = get(&t.cells[i])
		}
		for j, d := range t.dims { // a virtual total on several dimensions is summed over the last of them
			if d.total {
				continue
			}
			for i := range t.cells {
				if t.at(i, j) != d.n {
					continue
				}
				l.x[i] = 0
				for _, p := range t.line(i, j) {
					l.x[i] += l.x[p]
				}
			}
		}
		t.layers = append(t.layers, l)
	}
	add("count", countLayer, func(c *cell) float64 { return float64(c.Count) })
	for _, k := range sortedKeys(contributors) {
		add("contributors:"+k, contributorLayer, func(c *cell) float64 { return float64(c.Contributors[k]) })
	}
	for _, k := range sortedKeys(values) {
		if values[k] {
			add("value:"+k, valueLayer, func(c *cell) float64 { return c.Values[k] })
		}
	}
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
