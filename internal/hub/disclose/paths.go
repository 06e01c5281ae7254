package disclose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// paths are the paths of an output of kind Pathways, as a tree. All persons
// are the one cell of the table, which is protected with all other tables of
// the release. What leaves is a division of these persons, each part of at least
// min_count: whatever is added up or subtracted is of parts.
type paths struct {
	out    *study.Output
	root   *pathNode
	silent bool // only the total is told

	told   []pathCount
	hidden map[string]bool // paths that are told with others only
}

// pathNode is a step after those before it.
type pathNode struct {
	name  string // of the whole path
	stop  int64  // whose path ends here
	total int64
	next  []*pathNode
}

type pathCount struct {
	path    string
	persons int64
}

// pathwaysTable reads an output of kind Pathways into the table of its total.
func pathwaysTable(o *study.Output, index int) (*table, error) {
	bad := func(msg string) (*table, error) { return nil, invalid(o.Name, msg) }
	if len(o.Dimensions) != 1 || o.Dimensions[0].Name != study.PathDim || !o.Dimensions[0].Total {
		return bad("pathways have the dimension " + study.PathDim + " with its total")
	}
	p := &paths{out: o, root: &pathNode{}, hidden: map[string]bool{}}
	seen := map[string]bool{}
	total, sum := int64(-1), int64(0)
	for i := range o.Cells {
		g := &o.Cells[i]
		if len(g.Key) != 1 || g.Suppressed != "" || g.Count < 0 || g.Count > 1<<52 || len(g.Contributors) > 0 || seen[g.Key[0]] {
			return bad("a path is there twice, or has another number than its persons")
		}
		seen[g.Key[0]] = true
		if g.Key[0] == study.TotalKey {
			total = g.Count
			continue
		}
		if !slices.Contains(o.Dimensions[0].Categories, g.Key[0]) || slices.Contains(strings.Split(g.Key[0], study.PathJoin), study.OtherStep) {
			return bad("a cell's key is none of its categories, or a way on that is not told")
		}
		p.root.add(g.Key[0], g.Count)
		sum += g.Count
	}
	if total != sum {
		return bad("the paths do not add up to all persons")
	}
	t, err := newTable(&study.Output{Name: o.Name, Title: o.Title, Kind: study.Frequencies, Cells: []study.Cell{{Key: []string{}, Count: total}}}, index)
	if err != nil {
		return nil, err
	}
	t.paths = p
	return t, nil
}

// add counts the persons of a path.
func (n *pathNode) add(path string, persons int64) {
	n.total += persons
	if path == study.NoStep {
		n.stop += persons
		return
	}
	at, name := n, ""
	for _, step := range strings.Split(path, study.PathJoin) {
		if name != "" {
			name += study.PathJoin
		}
		name += step
		i := slices.IndexFunc(at.next, func(k *pathNode) bool { return k.name == name })
		if i < 0 {
			i = len(at.next)
			at.next = append(at.next, &pathNode{name: name})
		}
		at = at.next[i]
		at.total += persons
	}
	at.stop += persons
}

// choosePaths decides which paths are told. A second output of as many persons
// is taken to be of the same ones: with other rules for eras it would divide
// them otherwise, and parts of both could be told apart. Only its total is told.
func choosePaths(tables []*table, r record.Rules) {
	seen := map[int64]bool{}
	for _, t := range tables {
		p := t.paths
		if p == nil || t.cells[0].mark != "" {
			continue
		}
		p.silent = seen[p.root.total]
		seen[p.root.total] = true
		if !p.silent {
			p.choose(p.root, r)
		}
		if slices.Contains(r.SensitiveCols, study.PathDim) || p.out.Dimensions[0].Sensitive {
			p.silent = p.silent || slices.ContainsFunc(p.told, func(c pathCount) bool {
				return float64(c.persons) > r.MaxShare*float64(p.root.total)
			})
		}
	}
}

// choose tells the parts of the persons who come to a node: whose path ends
// there and who go each way on. Parts of fewer than min_count persons are told
// together, and with them as many of the smallest others as it takes.
func (p *paths) choose(n *pathNode, r record.Rules) {
	least := int64(r.MinCount)
	parts := slices.Clone(n.next)
	if n.stop > 0 {
		parts = append(parts, &pathNode{name: stopName(n), stop: n.stop, total: n.stop})
	}
	parts = slices.DeleteFunc(parts, func(k *pathNode) bool { return k.total == 0 })
	slices.SortStableFunc(parts, func(a, b *pathNode) int {
		return cmp.Or(-cmp.Compare(a.total, b.total), cmp.Compare(a.name, b.name))
	})
	told := slices.IndexFunc(parts, func(k *pathNode) bool { return k.total < least })
	if told < 0 {
		told = len(parts)
	}
	for told > 0 && told < len(parts) && !together(parts[told:], least, int64(protection(r))) {
		told--
	}
	for _, k := range parts[:told] {
		if len(k.next) == 0 {
			p.told = append(p.told, pathCount{k.name, k.total})
		} else {
			p.choose(k, r)
		}
	}
	rest := int64(0)
	for _, k := range parts[told:] {
		rest += k.total
		p.hide(k)
	}
	if rest > 0 {
		name := study.OtherStep
		if n.name != "" {
			name = n.name + study.PathJoin + name
		}
		p.told = append(p.told, pathCount{name, rest})
	}
}

func stopName(n *pathNode) string {
	if n.name == "" {
		return study.NoStep
	}
	return n.name
}

func (p *paths) hide(n *pathNode) {
	p.hidden[n.name] = true
	for _, k := range n.next {
		p.hide(k)
	}
}

// together says whether parts can be told as one number: it reaches the
// threshold, and one who knows which paths there are and which of them are small
// is left with the range that must remain for each (protection), where the rule alone leaves it.
func together(parts []*pathNode, least, width int64) bool {
	whole := &pathNode{next: parts}
	for _, k := range parts {
		whole.total += k.total
	}
	all := spanOf(whole, least)
	var known, dark []int64
	all.widths(whole.total, whole.total, &known)
	all.widths(0, endless, &dark)
	for i, w := range known {
		if w < width && dark[i] >= width {
			return false
		}
	}
	return whole.total >= least
}

// span is what one who knows the rule thinks possible of the persons of a part,
// and of its own parts.
type span struct {
	low, high int64
	small     bool
	parts     []*span
}

const endless = 1 << 40

func spanOf(n *pathNode, least int64) *span {
	s := &span{small: n.total < least}
	if len(n.next) == 0 {
		s.low, s.high = 1, endless
	}
	for _, k := range n.next {
		if k.total > 0 {
			s.parts = append(s.parts, spanOf(k, least))
		}
	}
	if len(n.next) > 0 && n.stop > 0 {
		s.parts = append(s.parts, spanOf(&pathNode{stop: n.stop, total: n.stop}, least))
	}
	for _, k := range s.parts {
		s.low, s.high = s.low+k.low, s.high+k.high
	}
	if s.small {
		s.high = min(s.high, least-1)
	} else {
		s.low = max(s.low, least)
	}
	return s
}

// widths lists the widths of the ranges of all small parts, if the persons of
// this one are from low to high.
func (s *span) widths(low, high int64, out *[]int64) {
	low, high = max(low, s.low), min(high, s.high)
	if s.small {
		*out = append(*out, high-low)
	}
	var lows, highs int64
	for _, k := range s.parts {
		lows, highs = lows+k.low, highs+k.high
	}
	for _, k := range s.parts {
		k.widths(low-(highs-k.high), high-(lows-k.low), out)
	}
}

// publishPaths gives the output as it may leave, and its evidence.
func (t *table) publishPaths(r record.Rules) (study.Output, OutputEvidence) {
	p := t.paths
	o := *p.out
	ev := OutputEvidence{Name: o.Name}
	for _, g := range p.out.Cells {
		e := CellEvidence{Key: g.Key, Count: g.Count}
		switch {
		case g.Key[0] == study.TotalKey:
			e.Findings, e.Suppressed, e.Ranges = t.cells[0].findings, t.cells[0].mark, t.cells[0].ranges
		case t.cells[0].mark != "" || p.silent:
			e.Suppressed = secondary
		case p.hidden[g.Key[0]]:
			e.Suppressed = Joined
		}
		ev.Cells = append(ev.Cells, e)
	}
	total := rounded(study.Cell{Key: []string{study.TotalKey}, Count: p.root.total}, nil, r.RoundTo)
	o.Dimensions, o.Cells = []study.Dimension{{Name: study.PathDim, Total: true, Categories: []string{}}}, nil
	if t.cells[0].mark != "" {
		total = study.Cell{Key: total.Key, Suppressed: t.cells[0].mark}
	} else if !p.silent {
		for _, c := range p.told {
			o.Dimensions[0].Categories = append(o.Dimensions[0].Categories, c.path)
			o.Cells = append(o.Cells, rounded(study.Cell{Key: []string{c.path}, Count: c.persons}, nil, r.RoundTo))
		}
	}
	if len(o.Cells) == 0 {
		o.Dimensions[0].Categories = []string{study.OtherStep}
	}
	o.Cells = append(o.Cells, total)
	for i := range o.Cells {
		if c := &o.Cells[i]; c.Suppressed == "" && total.Count > 0 {
			c.Values = map[string]float64{study.MeasureShare: few(float64(c.Count)/float64(total.Count), 1)}
		}
	}
	o.Notes = append(slices.Clone(o.Notes), "other: all ways on, or none, that are not told by themselves, of which some have few persons.")
	return o, ev
}
