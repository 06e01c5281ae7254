package disclose

import (
	"slices"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/proportion"
)

// withPlace is the place of With on the last dimension of an output of kind
// Proportions.
const withPlace = 0

// proportionsTable reads an output of kind Proportions: counts of those with,
// those without and all. The shares are left out and computed of what is shown.
func proportionsTable(o *study.Output, index int) (*table, error) {
	last := len(o.Dimensions) - 1
	if last < 0 || !o.Dimensions[last].Total || !slices.Equal(o.Dimensions[last].Categories, []string{study.With, study.Without}) {
		return nil, invalid(o.Name, "proportions have those "+study.With+" and those "+study.Without+" last, and their total")
	}
	counts := *o
	counts.Cells = slices.Clone(o.Cells)
	for i := range counts.Cells {
		counts.Cells[i].Values = nil
	}
	t, err := newTable(&counts, index)
	if err != nil {
		return nil, err
	}
	for i := range t.cells { // nothing else is known of the parts of a share
		if sum := t.line(i, last); t.at(i, last) == 0 && t.layers[0].x[sum[0]]+t.layers[0].x[sum[1]] != t.layers[0].x[t.lineTotal(i, last)] {
			return nil, invalid(o.Name, "those with and those without are not all")
		}
	}
	return t, nil
}

// judgeShares judges those with the outcome as the persons with an event of a
// rate: that nobody has it, or nearly everybody, tells it of all who are in the
// line. That nobody is without it tells the same.
func (t *table) judgeShares(r record.Rules) {
	j := len(t.dims) - 1
	for i := range t.cells {
		if t.at(i, j) != withPlace || t.virtualBut(i, j) {
			continue
		}
		line, total := t.line(i, j), t.layers[0].x[t.lineTotal(i, j)]
		with, without := &t.cells[line[0]], &t.cells[line[1]]
		switch {
		case total == 0:
		case with.Count == 0 && !r.ZeroIsSafe:
			with.findings = append(with.findings, ZeroCell)
		case float64(with.Count) > r.MaxShare*total:
			with.findings = append(with.findings, MaxShare)
			if without.Count == 0 {
				without.findings = append(without.findings, MaxShare)
			}
		}
	}
}

// publishProportions gives the output as it may leave, with the shares of the
// counts that do, and its evidence.
func (t *table) publishProportions(r record.Rules) (study.Output, OutputEvidence) {
	out, ev := t.publish(r)
	proportion.Fill(out.Cells)
	for i := range out.Cells {
		for m, v := range out.Cells[i].Values {
			out.Cells[i].Values[m] = few(v, 1)
		}
	}
	return out, ev
}
