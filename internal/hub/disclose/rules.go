package disclose

import (
	"math"
	"slices"
	"sort"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// judge finds every rule that each cell breaks by itself and marks the cell
// with the first of them.
func (t *table) judge(r record.Rules) {
	for i := range t.cells {
		c := &t.cells[i]
		if !c.virtual {
			c.findings = t.findings(i, r)
		}
	}
	if t.traits != nil {
		t.judgeTraits(r)
	}
	if t.out.Kind == study.Proportions {
		t.judgeShares(r)
	}
	for j, d := range t.dims {
		if d.sensitive || slices.Contains(r.SensitiveCols, d.name) {
			t.dims[j].sensitive = true
			t.judgeLines(j, r)
		}
	}
	for i := range t.cells {
		c := &t.cells[i]
		sort.SliceStable(c.findings, func(a, b int) bool { return ruleRank(c.findings[a]) < ruleRank(c.findings[b]) })
		c.findings = slices.Compact(c.findings)
		if len(c.findings) > 0 {
			c.mark = primaryMark + c.findings[0]
		}
	}
}

func ruleRank(rule string) int {
	return slices.Index([]string{MinCount, ZeroCell, MaxShare, Dominance, Source}, rule)
}

// findings applies the rules that look at one cell alone. An empty group of
// persons says nothing about anybody; a group of some in which nobody, or
// nearly everybody, has the event does.
func (t *table) findings(i int, r record.Rules) (found []string) {
	c := &t.cells[i]
	if c.Count > 0 && c.Count < int64(r.MinCount) {
		found = append(found, MinCount)
	}
	for _, l := range t.layers {
		n := int64(l.x[i])
		switch {
		case l.kind != contributorLayer || c.Count == 0:
			continue
		case n == 0 && !r.ZeroIsSafe:
			found = append(found, ZeroCell)
		case n > 0 && n < int64(r.MinCount):
			found = append(found, MinCount)
		}
		if t.out.Kind == study.Rates && float64(n) > r.MaxShare*float64(c.Count) {
			found = append(found, MaxShare)
		}
	}
	if c.Count > 0 && c.MaxShare > r.MaxTop1 {
		found = append(found, Dominance)
	}
	return found
}

// judgeLines applies the rules of sensitive traits along dimension j: nobody
// in a category, or nearly everybody in one, tells the trait of all who are in
// the line (class disclosure). A line of nobody tells nothing.
func (t *table) judgeLines(j int, r record.Rules) {
	if t.dims[j].n < 2 {
		return // with one category the dimension divides nobody
	}
	counts := t.layers[0].x
	for i := range t.cells {
		if t.at(i, j) != 0 || t.virtualBut(i, j) {
			continue
		}
		total := counts[t.lineTotal(i, j)]
		if total == 0 {
			continue
		}
		for _, p := range t.line(i, j) {
			c := &t.cells[p]
			if c.Count == 0 && !r.ZeroIsSafe {
				c.findings = append(c.findings, ZeroCell)
			}
			if float64(c.Count) > r.MaxShare*total {
				c.findings = append(c.findings, MaxShare)
			}
		}
	}
}

// virtualBut says whether the line of dimension j through cell i lies in a
// total that is not shown.
func (t *table) virtualBut(i, j int) bool {
	for k, d := range t.dims {
		if k != j && !d.total && t.at(i, k) == d.n {
			return true
		}
	}
	return false
}

// shareLimit is the largest count that a cell may have on every sensitive
// dimension without breaking the share rule.
func (t *table) shareLimit(i int, r record.Rules) float64 {
	limit := math.Inf(1)
	for j, d := range t.dims {
		if d.sensitive && t.at(i, j) != d.n && d.n > 1 {
			limit = math.Min(limit, math.Floor(r.MaxShare*t.layers[0].x[t.lineTotal(i, j)]))
		}
	}
	if j := len(t.dims) - 1; t.out.Kind == study.Proportions && t.at(i, j) == withPlace {
		limit = math.Min(limit, math.Floor(r.MaxShare*t.layers[0].x[t.lineTotal(i, j)]))
	}
	return limit
}

// zeroHides says whether the cell would have been hidden if it were zero, so
// that a reader of a hidden cell cannot rule zero out.
func (t *table) zeroHides(i int, r record.Rules) bool {
	if j := len(t.dims) - 1; t.out.Kind == study.Proportions && t.at(i, j) != t.dims[j].n {
		return t.at(i, j) == withPlace && !r.ZeroIsSafe || t.at(i, j) != withPlace && r.MaxShare < 1
	}
	if r.ZeroIsSafe {
		return false
	}
	for j, d := range t.dims {
		if d.sensitive && d.n > 1 && t.at(i, j) != d.n {
			return true
		}
	}
	return false
}
