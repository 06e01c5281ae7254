package analysis

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// pathways counts the persons of a cohort by the sequence of events after
// their first day in it. The key of a tally is the path.
//
// The terms are those of TreatmentPatterns (A. F. Markus et al., "TreatmentPatterns:
// An R package to facilitate the standardized development and analysis of
// treatment patterns across disease domains", Comput Methods Programs Biomed
// 225 (2022) 107081).
type pathways struct {
	spec study.Spec
}

// Name is as in study.Analysis.
func (a *pathways) Name() string { return a.spec.Name }

// Map is as in study.Analysis.
func (a *pathways) Map(_ context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(1, 0)
	m := b.Cohort(a.spec.Target)
	for i, person := range m.Person {
		if i > 0 && m.Person[i-1] == person {
			continue // a later period of the same person
		}
		var eras []era
		for e, name := range a.sorted() {
			c := b.Cohort(name)
			from, to := c.Of(int(person))
			var own []cohort.Period
			for _, p := range periodsOf(c, from, to) {
				if p.Start >= m.Start[i] && p.Start <= m.End[i] && int(p.End)-int(p.Start)+1 >= a.spec.MinEra {
					own = append(own, p)
				}
			}
			for _, p := range collapse(own, int64(a.spec.Collapse)) {
				eras = append(eras, era{int64(p.Start), int64(p.End) + 1, 1 << e})
			}
		}
		t.at(a.path(a.combine(eras))).sum[0]++
	}
	return t, nil
}

// sorted lists the events by name: that is the order within a combination.
func (a *pathways) sorted() []string { return slices.Sorted(slices.Values(a.spec.Events)) }

// era is a stretch of days, the last not included, with the events that go on in it.
type era struct {
	start, end int64
	events     uint64 // a bit for each
}

// collapse joins periods of which each starts at most so many days after the
// end of the one before.
func collapse(periods []cohort.Period, gap int64) (out []cohort.Period) {
	slices.SortFunc(periods, func(a, b cohort.Period) int { return cmp.Compare(a.Start, b.Start) })
	for _, p := range periods {
		if n := len(out); n > 0 && int64(p.Start)-int64(out[n-1].End) <= gap {
			out[n-1].End = max(out[n-1].End, p.End)
			continue
		}
		out = append(out, p)
	}
	return out
}

// combine turns eras that overlap into eras that follow one another. Where
// two overlap for at least the combination window, or are of the same days, they
// are a combination meanwhile. Else the earlier one ends where the later one
// starts, and goes on after it if it lasts longer; of two that start on one day the
// shorter one comes first. Pieces shorter than the shortest era are dropped.
func (a *pathways) combine(eras []era) []era {
	order := func(x, y era) int {
		return cmp.Or(cmp.Compare(x.start, y.start), cmp.Compare(x.end, y.end), cmp.Compare(x.events, y.events))
	}
	slices.SortFunc(eras, order)
	for i := 0; i+1 < len(eras); {
		x, y := eras[i], eras[i+1]
		if y.start >= x.end {
			i++
			continue
		}
		until := min(x.end, y.end)
		first, middle, last := era{x.start, y.start, x.events}, era{y.start, until, x.events | y.events}, era{until, max(x.end, y.end), x.events}
		if y.end > x.end {
			last.events = y.events
		}
		switch {
		case x.events|y.events == x.events || x.events|y.events == y.events: // of the same event
		case x.start == y.start && x.end == y.end, until-y.start >= int64(a.spec.CombinationWindow):
		case x.start == y.start:
			middle.events = x.events
		default:
			middle.events = y.events
		}
		if middle.events == last.events {
			middle.end, last.end = last.end, last.start
		}
		eras = slices.Delete(eras, i, i+2)
		for _, piece := range []era{first, middle, last} {
			if piece.start < piece.end {
				eras = append(eras, piece)
			}
		}
		slices.SortFunc(eras, order)
	}
	return slices.DeleteFunc(eras, func(e era) bool { return e.end-e.start < int64(a.spec.MinEra) })
}

// path names the steps that count of eras that follow one another.
func (a *pathways) path(eras []era) string {
	names := a.sorted()
	var steps []string
	seen := map[uint64]bool{}
	var before uint64
	for _, e := range eras {
		again := e.events == before || a.spec.Filter == study.FilterFirst && seen[e.events]
		before, seen[e.events] = e.events, true
		if again || len(steps) == a.spec.Depth {
			continue
		}
		var together []string
		for left := e.events; left != 0; left &= left - 1 {
			together = append(together, names[bits.TrailingZeros64(left)])
		}
		steps = append(steps, strings.Join(together, combined))
	}
	if len(steps) == 0 {
		return study.NoStep
	}
	return strings.Join(steps, study.PathJoin)
}

// combined joins the events of a combination; no name of a cohort has it.
const combined = "+"

// Decode is as in study.Analysis.
func (a *pathways) Decode(data []byte) (study.Partial, error) {
	t, err := decodeTally(data, 1, 1, 0)
	if err != nil {
		return nil, err
	}
	for path, n := range t.cells {
		if !a.walks(path) || n.sum[0] == 0 {
			return nil, havre.E("analysis.decode", havre.Invalid, "a partial result has a path that the analysis does not know")
		}
	}
	return t, nil
}

// walks says whether Map may write the path.
func (a *pathways) walks(path string) bool {
	if path == study.NoStep {
		return true
	}
	steps := strings.Split(path, study.PathJoin)
	for i, step := range steps {
		events := strings.Split(step, combined)
		for k, e := range events {
			if !slices.Contains(a.spec.Events, e) || k > 0 && e <= events[k-1] {
				return false
			}
		}
		if i > 0 && step == steps[i-1] || a.spec.Filter == study.FilterFirst && slices.Contains(steps[:i], step) {
			return false
		}
	}
	return len(steps) <= a.spec.Depth
}

// Finish is as in study.Analysis.
func (a *pathways) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	o := study.Output{
		Name: a.spec.Name, Title: titleOf(&a.spec, "Pathways of "+a.spec.Target), Kind: study.Pathways,
		Dimensions: []study.Dimension{{Name: study.PathDim, Categories: sortedKeys(t.cells), Total: true}}, Measures: []string{study.MeasureShare}, Notes: a.notes(),
	}
	if len(t.cells) == 0 {
		o.Dimensions[0].Categories = []string{study.NoStep}
		t.at(study.NoStep)
	}
	total := int64(0)
	for _, n := range t.cells {
		total += n.sum[0]
	}
	for _, path := range append(slices.Clone(o.Dimensions[0].Categories), study.TotalKey) {
		c := study.Cell{Key: []string{path}, Count: total}
		if path != study.TotalKey {
			c.Count = t.cells[path].sum[0]
		}
		if total > 0 {
			c.Values = map[string]float64{study.MeasureShare: share(c.Count, total)}
		}
		o.Cells = append(o.Cells, c)
	}
	return o, nil
}

func (a *pathways) notes() []string {
	counts := "Each event or combination counts where it comes first"
	if a.spec.Filter == study.FilterChanges {
		counts = "An event or combination counts wherever it differs from the one before"
	}
	short := ""
	if a.spec.MinEra > 0 {
		short = fmt.Sprintf(" Shorter than %d days they do not count.", a.spec.MinEra)
	}
	return []string{
		fmt.Sprintf("Events (%s) that start in the first period in %s. %s, up to %d steps.", strings.Join(a.sorted(), ", "), a.spec.Target, counts, a.spec.Depth),
		fmt.Sprintf("Eras of one event at most %d days apart are one; an overlap of %d days or more is a combination (+).%s", a.spec.Collapse, a.spec.CombinationWindow, short),
	}
}
