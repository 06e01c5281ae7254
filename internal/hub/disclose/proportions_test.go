package disclose

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

func outcomeDim() study.Dimension {
	return study.Dimension{Name: "outcome_x", Categories: []string{study.With, study.Without}, Total: true}
}

// shares is an output of kind Proportions by year: with, without.
func shares(counts ...[2]int64) study.Output {
	o := study.Output{Name: "shares", Kind: study.Proportions, Measures: []string{study.MeasureShare, study.MeasureShareLow, study.MeasureShareHigh},
		Dimensions: []study.Dimension{{Name: "observed_year"}, outcomeDim()}}
	for i, n := range counts {
		year := string(rune('a' + i))
		o.Dimensions[0].Categories = append(o.Dimensions[0].Categories, year)
		o.Cells = append(o.Cells,
			study.Cell{Key: []string{year, study.With}, Count: n[0], Values: map[string]float64{study.MeasureShare: 0.123}},
			study.Cell{Key: []string{year, study.Without}, Count: n[1]},
			study.Cell{Key: []string{year, study.TotalKey}, Count: n[0] + n[1]})
	}
	return o
}

func TestSharesByHand(t *testing.T) {
	rules := record.DefaultRules()
	o := check(t, rules, shares([2]int64{30, 70}, [2]int64{3, 97}, [2]int64{0, 100}, [2]int64{95, 5}, [2]int64{100, 0}, [2]int64{0, 0}, [2]int64{96, 20})).Outputs[0]
	if got, want := marks(o), "- - - "+ // 30 of 100
		"min_count secondary - "+ // 3 of 100: those without follow
		"zero secondary - "+ // nobody
		"max_share min_count - "+
		"max_share max_share - "+ // everybody
		"- - - "+ // nobody is there
		"- - -"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c := o.Cells[0] // binom.test(30, 100) in R: 0.2124064 to 0.3998147
	if c.Values[study.MeasureShare] != 0.3 || c.Values[study.MeasureShareLow] != 0.2124 || c.Values[study.MeasureShareHigh] != 0.3998 {
		t.Errorf("30 of 100: %v", c.Values)
	}
	if o.Cells[1].Values != nil || o.Cells[3].Values != nil {
		t.Error("a share of a hidden number")
	}
	rules.ZeroIsSafe, rules.MaxShare = true, 1
	if got := marks(check(t, rules, shares([2]int64{0, 100}, [2]int64{100, 0})).Outputs[0]); got != "- - - - - -" {
		t.Errorf("where zeros are safe: %s", got)
	}
	rules.RoundTo = 10
	if c := check(t, rules, shares([2]int64{33, 71})).Outputs[0].Cells[0]; c.Count != 30 || c.Values[study.MeasureShare] != 0.3 {
		t.Errorf("the share is not of rounded counts: %+v", c)
	}
	for name, o := range map[string]study.Output{
		"no outcome": {Name: "x", Kind: study.Proportions, Dimensions: []study.Dimension{dim("a", 2, true, false)}},
		"more than all": func() study.Output {
			o := shares([2]int64{30, 70})
			o.Cells[2].Count++
			return o
		}(),
	} {
		if _, err := Check([]study.Output{o}, record.DefaultRules()); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoShareCanBeComputedBack attacks proportions alone and beside the counts
// of the same persons.
func TestNoShareCanBeComputedBack(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 15))
	var cells, primary, second int
	for i := range 24 {
		year, sex := dim("observed_year", 3, false, false), dim("sex", 2, true, false)
		dims := [][]study.Dimension{{year, outcomeDim()}, {year, sex, outcomeDim()}, {dim("age", 4, true, false), outcomeDim()}}[i%3]
		in := []study.Output{randomTable(r, "t", dims, 60+r.IntN(500), false)}
		in[0].Kind = study.Proportions
		if i%2 == 0 { // the denominators in another output
			counts := study.Output{Name: "counts", Kind: study.Frequencies, Dimensions: dims[:len(dims)-1]}
			for _, c := range in[0].Cells {
				if last := len(c.Key) - 1; c.Key[last] == study.TotalKey {
					counts.Cells = append(counts.Cells, study.Cell{Key: c.Key[:last], Count: c.Count})
				}
			}
			in = append(in, counts)
		}
		rules := record.DefaultRules()
		res, err := Check(in, rules)
		if err != nil {
			t.Fatal(err)
		}
		truth := slices.Clone(in) // zeros are hidden: the attacker cannot rule them out
		truth[0].Dimensions = slices.Clone(dims)
		truth[0].Dimensions[len(dims)-1].Sensitive = true
		c, p, q := attackOn(t, truth, res.Outputs, rules, []string{"count"})
		cells, primary, second = cells+c, primary+p, second+q
		if t.Failed() {
			return
		}
	}
	t.Logf("%d cells, %d primary, %d secondary", cells, primary, second)
	if primary == 0 || second == 0 || primary+second == cells {
		t.Error("the attack had nothing to do")
	}
}
