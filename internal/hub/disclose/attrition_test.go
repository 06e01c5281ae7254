package disclose

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// attrition is an output of so many lost at each step and left.
func attrition(name string, in int64, lost ...int64) study.Output {
	o := study.Output{Name: name, Title: name, Kind: study.Attrition, Measures: []string{study.MeasureRemaining}}
	d := study.Dimension{Name: study.Rule, Total: true}
	all := in
	var cells []study.Cell
	for i, n := range append(slices.Clone(lost), in) {
		category := study.InCohort
		if i < len(lost) {
			category = study.RuleName(i+1, "r"+string(rune('a'+i)))
			all += n
		}
		d.Categories = append(d.Categories, category)
		cells = append(cells, study.Cell{Key: []string{category}, Count: n})
	}
	o.Dimensions, o.Cells = []study.Dimension{d}, append([]study.Cell{{Key: []string{study.TotalKey}, Count: all}}, cells...)
	return o
}

// table of persons by a trait.
func byTrait(name string, counts ...int64) study.Output {
	o := study.Output{Name: name, Kind: study.Frequencies, Dimensions: []study.Dimension{dim("a", len(counts), true, false)}}
	total := int64(0)
	for i, n := range counts {
		o.Cells = append(o.Cells, study.Cell{Key: []string{fmt.Sprintf("a%d", i)}, Count: n})
		total += n
	}
	o.Cells = append(o.Cells, study.Cell{Key: []string{study.TotalKey}, Count: total})
	return o
}

// told is an output in words: "total 503(503) | 1: ra 20(483) | ...", - for a
// number that is not told.
func told(o study.Output) string {
	var out []string
	for _, c := range o.Cells {
		remaining := "-"
		if v, ok := c.Values[study.MeasureRemaining]; ok {
			remaining = fmt.Sprint(v)
		}
		if c.Suppressed != "" {
			out = append(out, c.Key[0]+" -")
			continue
		}
		out = append(out, fmt.Sprintf("%s %d(%s)", c.Key[0], c.Count, remaining))
	}
	return strings.Join(out, " | ")
}

func TestAttrition(t *testing.T) {
	for name, c := range map[string]struct {
		in   []study.Output
		want []string
	}{
		"nothing small": {[]study.Output{attrition("a", 400, 20, 0, 83)},
			[]string{"total 503(503) | 1: ra 20(483) | 2: rb 0(483) | 3: rc 83(400) | in the cohort 400(400)"}},
		"a small loss joins the next": {[]study.Output{attrition("a", 400, 20, 4, 30, 0)},
			[]string{"total 454(454) | 1: ra 20(434) | 2-3: rb; rc 34(400) | 4: rd 0(400) | in the cohort 400(400)"}},
		"the last joins the one before": {[]study.Output{attrition("a", 400, 20, 0, 4)},
			[]string{"total 424(424) | 1-3: ra; rb; rc 24(400) | in the cohort 400(400)"}},
		"too few are lost: who start is not told": {[]study.Output{attrition("a", 500, 3)},
			[]string{"total - | 1: ra - | in the cohort 500(500)"}},
		"few are left": {[]study.Output{attrition("a", 5, 100, 200)},
			[]string{"total 305(305) | 1: ra - | 2: rb 200(-) | in the cohort -"}},
		"nobody is left": {[]study.Output{attrition("a", 0, 100, 200)},
			[]string{"total 300(300) | 1: ra 100(200) | 2: rb 200(0) | in the cohort 0(0)"}},
		"too few are lost, beside the cohort's table": {[]study.Output{attrition("a", 500, 3), byTrait("t", 200, 300)},
			[]string{"total - | 1: ra - | in the cohort 500(500)", "a0 200(-) | a1 300(-) | total 500(-)"}},
		"another attrition of the same start must not tell it": {[]study.Output{attrition("a", 500, 3), attrition("b", 463, 40)},
			[]string{"total - | 1: ra - | in the cohort 500(500)", "total - | 1: ra - | in the cohort 463(463)"}},
		"the same start and first steps: steps are joined alike": {[]study.Output{attrition("a", 400, 20, 4, 30), attrition("b", 427, 20, 4, 3)},
			[]string{"total 454(454) | 1-3: ra; rb; rc 54(400) | in the cohort 400(400)", "total 454(454) | 1-3: ra; rb; rc 27(427) | in the cohort 427(427)"}},
	} {
		t.Run(name, func(t *testing.T) {
			res := check(t, record.DefaultRules(), c.in...)
			for i, want := range c.want {
				if got := told(res.Outputs[i]); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
}

// TestAttritionEvidence: a checker sees every step, also those told together.
func TestAttritionEvidence(t *testing.T) {
	res := check(t, record.DefaultRules(), attrition("a", 400, 20, 4, 30))
	var got []string
	for _, c := range res.Evidence.Outputs[0].Cells {
		if c.Suppressed == Joined {
			got = append(got, fmt.Sprint(c.Key[0], " ", c.Count))
		}
	}
	if want := []string{"2: rb 4", "3: rc 30"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAttritionMalformed(t *testing.T) {
	for name, change := range map[string]func(*study.Output){
		"no total":           func(o *study.Output) { o.Dimensions[0].Total = false },
		"no last category":   func(o *study.Output) { o.Dimensions[0].Categories = o.Dimensions[0].Categories[:2] },
		"parts and total":    func(o *study.Output) { o.Cells[0].Count++ },
		"another number":     func(o *study.Output) { o.Cells[1].Values = map[string]float64{study.MeasureRemaining: 1} },
		"a negative number":  func(o *study.Output) { o.Cells[1].Count = -1 },
		"hidden before":      func(o *study.Output) { o.Cells[1].Suppressed = "x" },
		"another dimension":  func(o *study.Output) { o.Dimensions[0].Name = "sex" },
		"two dimensions":     func(o *study.Output) { o.Dimensions = append(o.Dimensions, dim("a", 2, true, false)) },
		"a cell of no place": func(o *study.Output) { o.Cells[1].Key = []string{"9: rx"} },
		"a cell twice":       func(o *study.Output) { o.Cells = append(o.Cells, study.Cell{Key: o.Cells[2].Key}) },
	} {
		o := attrition("a", 400, 20, 30)
		change(&o)
		if _, err := Check([]study.Output{o}, record.DefaultRules()); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestJoinedSteps tries every attrition of three or four steps: one who knows
// the rule by which steps are joined, and everything that is told, must still
// think enough numbers possible for who are lost at a step, or between two,
// where these are few.
func TestJoinedSteps(t *testing.T) {
	for _, c := range []struct{ steps, most, least int }{{3, 24, 11}, {4, 14, 5}} {
		rules := record.DefaultRules()
		rules.MinCount = c.least
		type span struct{ low, high, few int64 }
		seen := map[string][]span{}
		lost := make([]int64, c.steps)
		var each func(i int, visit func())
		each = func(i int, visit func()) {
			if i == len(lost) {
				visit()
				return
			}
			for lost[i] = 0; lost[i] <= int64(c.most); lost[i]++ {
				each(i+1, visit)
			}
		}
		each(0, func() {
			ch := chain{lost: lost}
			ch.choose(int64(c.least))
			told, n, from := "", int64(0), 0
			for i := range lost {
				if n += lost[i]; ch.cut[i+1] {
					if i > from && n > int64(c.most) {
						return // not all that add up to it are tried
					}
					told += fmt.Sprintf("%d-%d:%d ", from, i+1, n)
					n, from = 0, i+1
				}
			}
			if told == "" || !strings.Contains(told, " ") {
				t.Fatalf("%v is told as %q", lost, told)
			}
			all := int64(0)
			for _, n := range lost {
				all += n
			}
			if all < int64(c.least) {
				return // hidden as a cell
			}
			spans := seen[told]
			k := 0
			for i := range lost {
				sum := int64(0)
				for j := i; j < len(lost); j++ {
					sum += lost[j]
					if k == len(spans) {
						spans = append(spans, span{low: sum, high: sum})
					}
					s := &spans[k]
					s.low, s.high = min(s.low, sum), max(s.high, sum)
					if sum > 0 && sum < int64(c.least) {
						s.few++
					}
					k++
				}
			}
			seen[told] = spans
		})
		joined := 0
		for told, spans := range seen {
			for k, s := range spans {
				if s.few == 0 {
					continue
				}
				joined++
				if s.high-s.low < int64(protection(rules)) {
					t.Errorf("least %d: of %q, sum %d is known to be in %d..%d", c.least, told, k, s.low, s.high)
				}
			}
		}
		if joined < 100 {
			t.Errorf("only %d", joined)
		}
	}
}

// variants draws persons, and definitions over the same events that are
// variants of one another: the first rules are the same. Of each there is the
// attrition and the cohort by traits, and of all who start a table too.
func variants(r *rand.Rand, persons int) (outputs []study.Output, lost [][]int64, shared int) {
	shared = r.IntN(4)
	people := make([]map[string]string, persons)
	met := make([][]bool, persons)
	weights := make([]float64, 9)
	for i := range weights {
		weights[i] = []float64{0.002, 0.01, 0.03, 0.1, 0.4}[r.IntN(5)]
	}
	a, b := dim("a", 3, true, false), dim("b", 2, true, false)
	for i := range people {
		people[i] = map[string]string{"a": fmt.Sprintf("a%d", pick(r, []float64{1, 0.3, 0.02})), "b": fmt.Sprintf("b%d", r.IntN(2))}
		for _, w := range weights {
			met[i] = append(met[i], r.Float64() >= w)
		}
	}
	none, years := make([]bool, persons), make([]float64, persons)
	for n, name := range []string{"x", "y"} {
		rules := []int{0, 1, 2}[:min(3, shared)]
		for k := range 1 + r.IntN(3) {
			rules = append(slices.Clone(rules), 3+3*n+k)
		}
		gone := make([]int64, len(rules))
		var in []map[string]string
	next:
		for i, p := range people {
			for k, rule := range rules {
				if !met[i][rule] {
					gone[k]++
					continue next
				}
			}
			in = append(in, p)
		}
		lost = append(lost, gone)
		outputs = append(outputs, attrition(name, int64(len(in)), gone...),
			tabulate(study.Output{Name: name + "-by-a", Kind: study.Frequencies, Dimensions: []study.Dimension{a}}, in, none[:len(in)], years[:len(in)]),
			tabulate(study.Output{Name: name + "-by-b-a", Kind: study.Frequencies, Dimensions: []study.Dimension{b, a}}, in, none[:len(in)], years[:len(in)]))
	}
	if r.IntN(2) == 0 {
		outputs = append(outputs, tabulate(study.Output{Name: "all", Kind: study.Frequencies, Dimensions: []study.Dimension{b}}, people, none, years))
	}
	return outputs, lost, min(3, shared)
}

// asKnown writes outputs so that equal names are equal persons: what a reader
// knows who has read the definitions.
func asKnown(outputs []study.Output) []study.Output {
	out := slices.Clone(outputs)
	for i, o := range out {
		owner, _, table := strings.Cut(o.Name, "-")
		o.Cells = slices.Clone(o.Cells)
		switch {
		case o.Kind == study.Attrition:
			o.Dimensions = slices.Clone(o.Dimensions)
			o.Dimensions[0].Name = "rule-" + o.Name
		case table:
			o.Dimensions = append([]study.Dimension{{Name: "rule-" + owner, Categories: []string{study.InCohort}}}, o.Dimensions...)
			for k := range o.Cells {
				o.Cells[k].Key = append([]string{study.InCohort}, o.Cells[k].Key...)
			}
		}
		out[i] = o
	}
	return out
}

// TestNoAttritionCanBeComputedBack attacks attritions of variants of a
// definition, with the tables of their cohorts: no hidden number can be told,
// nor who are lost between any two steps, where they are few.
func TestNoAttritionCanBeComputedBack(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	var cells, primary, second, few, whole int
	for try := range 60 {
		rules := record.DefaultRules()
		rules.MinCount = []int{5, 10, 11}[r.IntN(3)]
		outputs, lost, shared := variants(r, 60+r.IntN(600))
		joined, err := joinRules(outputs, rules)
		if err != nil {
			t.Fatal(err)
		}
		res := check(t, rules, outputs...)
		released := asKnown(res.Outputs)
		c, p, q := attackOn(t, asKnown(joined), released, rules, []string{"count"})
		cells, primary, second = cells+c, primary+p, second+q
		n, open := attackSteps(t, released, lost, shared, rules)
		few, whole = few+n, whole+open
		if t.Failed() {
			t.Fatalf("try %d", try)
		}
	}
	if few < 50 || whole < 20 {
		t.Errorf("only %d small differences were attacked, and %d attritions told in full", few, whole)
	}
	t.Logf("%d cells, %d primary, %d secondary; %d small differences attacked; %d attritions told in full", cells, primary, second, few, whole)
}

// attackSteps tries to tell how many are lost from one step to another where
// these are few, and counts attempts and attritions of which nothing is hidden.
func attackSteps(t *testing.T, released []study.Output, lost [][]int64, shared int, rules record.Rules) (few, whole int) {
	a := newAttack(released, []string{"count"}, rules)
	for name := range a.vars {
		if _, shown := a.known[name]; shown {
			t.Errorf("%s is hidden in one output and shown in another", name)
		}
	}
	variable := func(name string) int {
		if _, ok := a.vars[name]; !ok {
			a.vars[name] = len(a.low)
			a.low, a.high = append(a.low, 0), append(a.high, 1e6)
		}
		return a.vars[name]
	}
	step := func(n, k int) int {
		if k < shared {
			return variable(fmt.Sprint("step ", k))
		}
		return variable(fmt.Sprint("step ", n, " ", k))
	}
	n := -1
	for i := range released {
		o := &released[i]
		if o.Kind != study.Attrition {
			continue
		}
		n++
		from, open := 0, true
		for _, c := range o.Dimensions[0].Categories[:len(o.Dimensions[0].Categories)-1] {
			to := from + 1
			if span, _, _ := strings.Cut(c, ":"); strings.Contains(span, "-") {
				_, _ = fmt.Sscanf(span[strings.Index(span, "-")+1:], "%d", &to)
				open = false
			}
			row, rhs := map[int]float64{}, 0.0
			for k := from; k < to; k++ {
				row[step(n, k)]++
			}
			name := "count|" + cellName(o, []string{c})
			if v, hidden := a.vars[name]; hidden {
				row[v]--
				open = false
			} else {
				rhs = a.known[name]
			}
			a.rows, a.rhs = append(a.rows, row), append(a.rhs, rhs)
			from = to
		}
		if open {
			whole++
		}
	}
	for n, gone := range lost {
		for i := range gone {
			sum := int64(0)
			for j := i; j < len(gone); j++ {
				if sum += gone[j]; sum == 0 || sum >= int64(rules.MinCount) {
					continue
				}
				few++
				b := *a
				b.rows, b.rhs = slices.Clone(a.rows), slices.Clone(a.rhs)
				b.low, b.high = append(slices.Clone(a.low), 0), append(slices.Clone(a.high), 1e6)
				row := map[int]float64{len(a.low): -1}
				for k := i; k <= j; k++ {
					row[step(n, k)]++
				}
				b.rows, b.rhs = append(b.rows, row), append(b.rhs, 0)
				low, high := b.interval(t, len(a.low))
				if low > float64(sum)+1e-6 || high < float64(sum)-1e-6 {
					t.Fatalf("the attack is wrong: %d is not in %g..%g", sum, low, high)
				}
				if high-low < float64(protection(rules))-1e-6 {
					t.Errorf("lost at steps %d to %d of %d: %d is known to be in %g..%g", i+1, j+1, n, sum, low, high)
				}
			}
		}
	}
	return few, whole
}
