package disclose

import (
	"math"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/survival"
)

// curves are the curves of an output of kind Survival. The totals of the
// curves are judged and protected as a table; what becomes of their steps is
// decided by chooseSteps.
type curves struct {
	out  *study.Output
	ends []int // last days of the output's own steps
	list []*curve
	test int // the cell of the log-rank test, -1 if there is none
}

// curve is one curve: how many leave in each step, and after the last one.
type curve struct {
	cell             int // of the table of totals
	persons          int64
	events, censored []int64
	cells            []int // of the output: the steps and what comes later
	total            int   // of the output
	from             *curves

	steps []survival.Row // as released; Time is the last day
}

// survivalTable reads an output of kind Survival into the table of its curves'
// totals.
func survivalTable(o *study.Output, index int) (*table, error) {
	if len(o.Dimensions) == 0 || o.Dimensions[len(o.Dimensions)-1].Name != study.Days {
		return nil, invalid(o.Name, "curves have the dimension "+study.Days+" last")
	}
	last := len(o.Dimensions) - 1
	cats := o.Dimensions[last].Categories
	if n := len(cats); n < 2 || cats[n-1] != study.Later {
		return nil, invalid(o.Name, "the steps of curves are followed by "+study.Later)
	}
	cs := &curves{out: o, ends: make([]int, len(cats)-1), test: -1}
	totals := &study.Output{Name: o.Name, Title: o.Title, Kind: study.Frequencies, Sources: o.Sources}
	for _, d := range o.Dimensions[:last] {
		d.Total = false
		totals.Dimensions = append(totals.Dimensions, d)
	}
	place := map[string]int{}
	for i, c := range cats {
		place[c] = i
	}
	byKey := map[string]*curve{}
	for n := range o.Cells {
		g := &o.Cells[n]
		if len(g.Key) != last+1 {
			return nil, invalid(o.Name, "a cell's key is none of its categories")
		}
		if last > 0 && !slices.ContainsFunc(g.Key, func(k string) bool { return k != study.TotalKey }) {
			if cs.test >= 0 {
				return nil, invalid(o.Name, "a cell is there twice")
			}
			cs.test = n
			continue
		}
		key := strings.Join(g.Key[:last], "\x00")
		c := byKey[key]
		if c == nil {
			c = &curve{from: cs, total: -1, events: make([]int64, len(cats)), censored: make([]int64, len(cats))}
			byKey[key] = c
			cs.list = append(cs.list, c)
		}
		if err := cs.read(c, g, n, place); err != nil {
			return nil, err
		}
	}
	for _, c := range cs.list {
		if err := cs.check(c); err != nil {
			return nil, err
		}
		g := &o.Cells[c.total]
		totals.Cells = append(totals.Cells, study.Cell{Key: g.Key[:last], Count: g.Count,
			Contributors: map[string]int64{study.FreeGroup: g.Contributors[study.FreeGroup]}})
	}
	t, err := newTable(totals, index)
	if err != nil {
		return nil, err
	}
	t.curves = cs
	for i := range t.cells {
		if n := t.cells[i].given; n >= 0 {
			cs.list[n].cell = i
		}
	}
	return t, nil
}

// read takes one cell of a curve.
func (cs *curves) read(c *curve, g *study.Cell, n int, place map[string]int) error {
	if g.Suppressed != "" {
		return invalid(cs.out.Name, "a cell is hidden already")
	}
	for m, v := range g.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) || !slices.Contains(cs.out.Measures, m) {
			return invalid(cs.out.Name, "a cell has an impossible number or an unnamed measure")
		}
	}
	category := g.Key[len(g.Key)-1]
	if category == study.TotalKey {
		if c.total >= 0 {
			return invalid(cs.out.Name, "a cell is there twice")
		}
		c.total, c.persons = n, g.Count
		return nil
	}
	i, ok := place[category]
	if !ok || c.events[i]+c.censored[i] != 0 {
		return invalid(cs.out.Name, "a cell's key is none of its categories, or there twice")
	}
	c.events[i], c.censored[i] = g.Contributors[study.EventsGroup], g.Contributors[study.CensoredGroup]
	c.cells = append(c.cells, n)
	if i < len(cs.ends) {
		cs.ends[i] = int(g.Values[study.MeasureDay])
	}
	return nil
}

// check holds a curve against itself: those at risk fall by those who leave,
// until nobody is left.
func (cs *curves) check(c *curve) error {
	bad := invalid(cs.out.Name, "the numbers of a curve do not add up")
	if c.total < 0 {
		return bad
	}
	var events int64
	left, total := c.persons, cs.out.Cells[c.total].Contributors
	for _, n := range c.cells {
		g := &cs.out.Cells[n]
		e, x := g.Contributors[study.EventsGroup], g.Contributors[study.CensoredGroup]
		if g.Count != left || e < 0 || x < 0 {
			return bad
		}
		left -= e + x
		events += e
	}
	if left != 0 || c.persons < 0 || total[study.EventsGroup] != events || total[study.FreeGroup] != c.persons-events {
		return bad
	}
	for i, end := range cs.ends {
		if c.persons > 0 && (end < 1 || i > 0 && end <= cs.ends[i-1]) {
			return bad
		}
	}
	return nil
}

// curveGroups lays out the persons of each group, and how many have the event,
// as a table of its own: it is a population that other outputs may show.
func curveGroups(t *table, r record.Rules) (groups []*table, err error) {
	names := []string{""}
	dims := t.out.Dimensions
	grouped := len(dims) > 0 && dims[0].Name == study.Group
	if grouped {
		names, dims = dims[0].Categories, dims[1:]
	}
	for _, name := range names {
		o := study.Output{Name: t.out.Name, Kind: study.Rates, Dimensions: dims}
		var parents []int
		for _, c := range t.curves.list {
			key := t.cells[c.cell].Key
			if grouped {
				if key[0] != name {
					continue
				}
				key = key[1:]
			}
			o.Cells = append(o.Cells, study.Cell{Key: key, Count: c.persons, Contributors: map[string]int64{study.EventsGroup: sum(c.events)}})
			parents = append(parents, c.cell)
		}
		g, err := newTable(&o, t.index)
		if err != nil {
			return nil, err
		}
		g.parent = make([]int, len(g.cells))
		for i := range g.cells {
			g.parent[i] = -1
			if n := g.cells[i].given; n >= 0 {
				g.parent[i] = parents[n]
			}
		}
		g.judge(r)
		for i, k := range g.parent {
			if c := &g.cells[i]; k >= 0 && c.mark != "" { // what the group breaks, the curve does
				t.cells[k].findings = append(t.cells[k].findings, c.findings...)
				t.cells[k].mark = c.mark
			}
		}
		groups = append(groups, g)
	}
	return groups, nil
}

func sum(list []int64) (n int64) {
	for _, v := range list {
		n += v
	}
	return n
}

// chooseSteps decides which steps of each curve are shown. Curves of outputs
// that count the same persons get the same steps, else the steps of one would
// cut those of another into small pieces; and where one of them is hidden, its
// output shows no steps beside the others, else it were their difference.
func chooseSteps(tables []*table, r record.Rules) {
	done := map[*table]bool{}
	for i, t := range tables {
		if t.curves == nil || done[t] {
			continue
		}
		linked := []*table{t}
		for k := 0; k < len(linked); k++ {
			for _, other := range tables[i+1:] {
				if other.curves != nil && !slices.Contains(linked, other) && samePersons(linked[k], other) {
					linked = append(linked, other)
				}
			}
		}
		var shown []*curve
		for _, member := range linked {
			done[member] = true
			own, all := member.shownCurves()
			if len(linked) == 1 {
				for _, c := range own {
					releaseSteps([]*curve{c}, r)
				}
			} else if all {
				shown = append(shown, own...)
			}
		}
		if len(shown) > 0 {
			releaseSteps(shown, r)
		}
	}
}

// shownCurves lists the curves of somebody that are not hidden, and says
// whether that is all of them.
func (t *table) shownCurves() (shown []*curve, all bool) {
	all = true
	for _, c := range t.curves.list {
		switch {
		case t.cells[c.cell].mark != "":
			all = all && c.persons == 0
		case c.persons > 0:
			shown = append(shown, c)
		}
	}
	return shown, all
}

// samePersons says whether a group of each has as many persons.
func samePersons(a, b *table) bool {
	for _, n := range a.groupPersons() {
		if n > 0 && slices.Contains(b.groupPersons(), n) {
			return true
		}
	}
	return false
}

func (t *table) groupPersons() (list []int64) {
	by := map[string]int64{}
	for _, c := range t.curves.list {
		group := ""
		if len(t.dims) > 0 && t.dims[0].name == study.Group {
			group = t.cells[c.cell].Key[0]
		}
		by[group] += c.persons
	}
	for _, n := range by {
		list = append(list, n)
	}
	return list
}

// releaseSteps finds the steps that all of the curves can show, each as short
// as it can be: in each at least min_count persons of each curve have the
// event. What follows the last step is counted as one, and there too nobody
// may be among few. If no step can be shown the curves are left with none.
func releaseSteps(set []*curve, r record.Rules) {
	days := slices.Clone(set[0].from.ends)
	for _, c := range set[1:] {
		days = slices.DeleteFunc(days, func(d int) bool { return !slices.Contains(c.from.ends, d) })
	}
	var cuts []int
	for _, day := range days {
		from := 0
		if len(cuts) > 0 {
			from = cuts[len(cuts)-1]
		}
		if !slices.ContainsFunc(set, func(c *curve) bool { e, _ := c.between(from, day); return e < int64(r.MinCount) }) {
			cuts = append(cuts, day)
		}
	}
	for ; len(cuts) > 0; cuts = cuts[:len(cuts)-1] {
		for k := len(days) - 1; k >= 0 && days[k] >= cuts[len(cuts)-1]; k-- { // the last step goes as far as it can
			if layOut(set, append(slices.Clone(cuts[:len(cuts)-1]), days[k]), r); !slices.ContainsFunc(set, func(c *curve) bool { return !c.holds(r) }) {
				return
			}
		}
	}
	for _, c := range set {
		c.steps = nil
	}
}

// between counts who leaves after day from, up to and with day to.
func (c *curve) between(from, to int) (events, censored int64) {
	for i, end := range c.from.ends {
		if end > from && end <= to {
			events, censored = events+c.events[i], censored+c.censored[i]
		}
	}
	return events, censored
}

// layOut makes the steps between the cuts. The censored of a step count in the
// first one by whose end each curve has min_count of them, or none.
func layOut(set []*curve, cuts []int, r record.Rules) {
	waiting := make([]int64, len(set))
	for _, c := range set {
		c.steps = nil
	}
	from := 0
	for _, to := range cuts {
		ready := true
		for i, c := range set {
			e, x := c.between(from, to)
			c.steps = append(c.steps, survival.Row{Time: to, Events: e})
			waiting[i] += x
			ready = ready && (waiting[i] == 0 || waiting[i] >= int64(r.MinCount))
		}
		for i, c := range set {
			if ready {
				c.steps[len(c.steps)-1].Censored, waiting[i] = waiting[i], 0
			}
		}
		from = to
	}
}

// later counts who leaves after the last step.
func (c *curve) later() (events, censored int64) {
	shown := survival.Events(c.steps)
	events = sum(c.events) - shown
	return events, c.persons - survival.Persons(c.steps) - events
}

// holds says whether the curve's steps, and what comes later, break no rule:
// in no group of persons are fewer than min_count but some, at the end of each
// step so many are still at risk, and nowhere it is known of all who are at
// risk, or nearly all, that they have the event, or do not have it.
func (c *curve) holds(r record.Rules) bool {
	least := int64(r.MinCount)
	events, censored := c.later()
	at := c.persons
	for _, s := range c.steps {
		if s.Events < least || float64(s.Events) > r.MaxShare*float64(at) {
			return false
		}
		at -= s.Events + s.Censored
	}
	whole := c.steps[len(c.steps)-1].Time == c.from.ends[len(c.from.ends)-1]
	switch {
	case at < least || censored > 0 && censored < least || events > 0 && events < least:
		return false
	case events == 0 && !whole && !r.ZeroIsSafe:
		return false
	}
	return float64(events) <= r.MaxShare*float64(at)
}
