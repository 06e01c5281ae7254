package disclose

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// waysOf is an output of kind Pathways.
func waysOf(name string, counts map[string]int64) study.Output {
	o := study.Output{Name: name, Kind: study.Pathways, Measures: []string{study.MeasureShare}, Dimensions: []study.Dimension{{Name: study.PathDim, Total: true}}}
	total := int64(0)
	for path, n := range counts {
		o.Dimensions[0].Categories = append(o.Dimensions[0].Categories, path)
		total += n
	}
	slices.Sort(o.Dimensions[0].Categories)
	for _, path := range o.Dimensions[0].Categories {
		o.Cells = append(o.Cells, study.Cell{Key: []string{path}, Count: counts[path], Values: map[string]float64{study.MeasureShare: 0.77}})
	}
	o.Cells = append(o.Cells, study.Cell{Key: []string{study.TotalKey}, Count: total})
	return o
}

func toldPaths(o study.Output) map[string]int64 {
	out := map[string]int64{}
	for _, c := range o.Cells {
		out[c.Key[0]] = c.Count
		if c.Suppressed != "" {
			out[c.Key[0]] = -1
		}
	}
	return out
}

func TestPathsByHand(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want map[string]int64
	}{
		{"nothing is small", map[string]int64{"none": 20, "a": 30, "a > b": 15}, map[string]int64{"none": 20, "a": 30, "a > b": 15, "total": 65}},
		// 3 stop at b: told with 15, 18 in all; he who knows that 15 are not
		// few knows that 1 to 7 are.
		{"one is small", map[string]int64{"none": 20, "a": 30, "b": 3, "b > c": 15}, map[string]int64{"none": 20, "a": 30, "b > other": 18, "total": 68}},
		{"at the first step", map[string]int64{"none": 20, "a": 30, "b": 3}, map[string]int64{"other": 23, "a": 30, "total": 53}},
		{"small ones cover each other", map[string]int64{"none": 5, "a": 30, "b": 6, "c": 7}, map[string]int64{"other": 18, "a": 30, "total": 48}},
		// 10 and 10 would be 20 that nobody else could make.
		{"two of ten", map[string]int64{"none": 10, "a": 30, "b": 10}, map[string]int64{"other": 50, "total": 50}},
		{"deep small ones are in what is told above", map[string]int64{"a": 20, "a > b": 2, "a > b > c": 4, "a > b > d": 6, "a > c": 40}, map[string]int64{"a": 20, "a > b > other": 12, "a > c": 40, "total": 72}},
		{"too few in all", map[string]int64{"none": 4, "a": 5}, map[string]int64{"total": -1}},
	} {
		res := check(t, record.DefaultRules(), waysOf("ways", c.in))
		if got := toldPaths(res.Outputs[0]); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	res := check(t, record.DefaultRules(), waysOf("ways", map[string]int64{"none": 20, "a": 30, "b": 3}))
	if c := res.Outputs[0].Cells[0]; c.Key[0] != "a" || c.Values[study.MeasureShare] != 0.566 {
		t.Errorf("%+v", res.Outputs[0])
	}
	hidden := 0
	for _, c := range res.Evidence.Outputs[0].Cells {
		if c.Suppressed == Joined {
			hidden++
		}
	}
	if hidden != 2 {
		t.Errorf("evidence: %+v", res.Evidence.Outputs[0])
	}
	// Two divisions of the same persons: one of them.
	two := check(t, record.DefaultRules(), waysOf("first", map[string]int64{"none": 20, "a": 30}), waysOf("second", map[string]int64{"none": 25, "a": 25}))
	if got := toldPaths(two.Outputs[1]); !maps.Equal(got, map[string]int64{"total": 50}) || len(toldPaths(two.Outputs[0])) != 3 {
		t.Errorf("two of the same persons: %v", got)
	}
	rules := record.DefaultRules()
	rules.SensitiveCols = []string{study.PathDim}
	if got := toldPaths(check(t, rules, waysOf("ways", map[string]int64{"none": 20, "a": 300})).Outputs[0]); !maps.Equal(got, map[string]int64{"total": 320}) {
		t.Errorf("nearly everybody on one sensitive path: %v", got)
	}
	for name, spoil := range map[string]func(o *study.Output){
		"does not add up": func(o *study.Output) { o.Cells[0].Count++ },
		"twice":           func(o *study.Output) { o.Cells = append(o.Cells, o.Cells[0]) },
		"no total":        func(o *study.Output) { o.Cells = o.Cells[:2] },
		"an other":        func(o *study.Output) { o.Cells[0].Key[0], o.Dimensions[0].Categories[0] = "a > other", "a > other" },
		"no dimension":    func(o *study.Output) { o.Dimensions = nil },
	} {
		o := waysOf("ways", map[string]int64{"a": 20, "none": 30})
		spoil(&o)
		if _, err := Check([]study.Output{o}, record.DefaultRules()); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pathAttack is a reader with a linear-programming solver who knows which
// paths exist, and of the parts of each step which are small. Variables are
// who stops at each prefix of a path and who comes to it.
func pathAttack(truth, released study.Output, rules record.Rules, insider, dark bool) (a *attack, values map[string]float64) {
	a = &attack{vars: map[string]int{}, rules: rules}
	values = map[string]float64{}
	add := func(name string, n float64) {
		if _, ok := a.vars[name]; !ok {
			a.vars[name] = len(a.low)
			a.low, a.high = append(a.low, 0), append(a.high, math.Inf(1))
		}
		values[name] += n
	}
	kids := map[string]map[string]bool{"": {}}
	for _, c := range truth.Cells {
		path, n := c.Key[0], float64(c.Count)
		if path == study.TotalKey || n == 0 {
			continue
		}
		add("come ", n)
		if path == study.NoStep {
			add("stop ", n)
			continue
		}
		before := ""
		for _, step := range strings.Split(path, study.PathJoin) {
			name := strings.TrimPrefix(before+study.PathJoin+step, study.PathJoin)
			if kids[name] == nil {
				kids[name] = map[string]bool{}
			}
			kids[before][name] = true
			add("come "+name, n)
			before = name
		}
		add("stop "+path, n)
	}
	for node, next := range kids { // who come to a step stop there or go on
		row := map[int]float64{a.vars["come "+node]: -1}
		if v, ok := a.vars["stop "+node]; ok {
			row[v] = 1
		}
		for k := range next {
			row[a.vars["come "+k]] = 1
		}
		a.rows, a.rhs = append(a.rows, row), append(a.rhs, 0)
	}
	for name, v := range a.vars {
		a.low[v] = 1
		if !insider {
			a.low[v] = 0
			continue
		}
		if values[name] < float64(rules.MinCount) {
			a.high[v] = float64(rules.MinCount - 1)
		} else {
			a.low[v] = float64(rules.MinCount)
		}
	}
	if dark {
		return a, values
	}
	// A part that is told; other is what the parts beside it leave.
	shown := map[string]float64{}
	for _, c := range released.Cells {
		shown[c.Key[0]] = float64(c.Count)
	}
	come := map[string]float64{} // by prefix
	for path, n := range shown {
		if path == study.TotalKey {
			continue
		}
		steps := strings.Split(path, study.PathJoin)
		if last := len(steps) - 1; steps[last] == study.OtherStep || path == study.NoStep {
			steps = steps[:last]
		}
		for i := range len(steps) + 1 {
			come[strings.Join(steps[:i], study.PathJoin)] += n
		}
		name := path
		if path == study.NoStep {
			name = ""
		}
		if v, ok := a.vars["stop "+name]; ok && !strings.HasSuffix(path, study.OtherStep) {
			a.rows, a.rhs = append(a.rows, map[int]float64{v: 1}), append(a.rhs, n)
		}
	}
	for name, n := range come {
		a.rows, a.rhs = append(a.rows, map[int]float64{a.vars["come "+name]: 1}), append(a.rhs, n)
	}
	return a, values
}

// TestNoPathCanBeComputedBack attacks random trees.
func TestNoPathCanBeComputedBack(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 3))
	var parts, small int
	for range 60 {
		counts := map[string]int64{"none": int64(math.Exp(4 * r.Float64()))}
		var grow func(prefix string, depth int)
		grow = func(prefix string, depth int) {
			for _, step := range []string{"a", "b", "c"} {
				if r.Float64() < 0.35 || strings.HasSuffix(prefix, step+study.PathJoin) {
					continue
				}
				if r.Float64() < 0.8 {
					counts[prefix+step] = 1 + int64(math.Exp(4.5*r.Float64()))
				}
				if depth < 3 {
					grow(prefix+step+study.PathJoin, depth+1)
				}
			}
		}
		grow("", 1)
		truth, rules := waysOf("ways", counts), record.DefaultRules()
		rules.MinCount = []int{5, 11}[r.IntN(2)]
		o := check(t, rules, truth).Outputs[0]
		for _, c := range o.Cells {
			if c.Suppressed == "" && c.Count < int64(rules.MinCount) {
				t.Fatalf("%v is told", c)
			}
		}
		if o.Cells[len(o.Cells)-1].Suppressed != "" {
			continue
		}
		a, values := pathAttack(truth, o, rules, true, false)
		dark, _ := pathAttack(truth, o, rules, true, true)
		reader, _ := pathAttack(truth, o, rules, false, false)
		for name, v := range a.vars {
			x := values[name]
			if parts++; x >= float64(rules.MinCount) {
				continue
			}
			small++
			low, high := a.interval(t, v)
			want := float64(protection(rules))
			if l, h := dark.interval(t, dark.vars[name]); h-l < want {
				low, high = reader.interval(t, reader.vars[name])
			}
			if low > x+1e-6 || high < x-1e-6 {
				t.Fatalf("the attack is wrong: %s = %g is not in %g..%g", name, x, low, high)
			}
			if high-low < want-1e-6 {
				t.Errorf("%s = %g is known to be in %g..%g:\n%v\ntold %v", name, x, low, high, counts, toldPaths(o))
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d parts, %d small", parts, small)
	if small < 100 {
		t.Error("the attack had nothing to do")
	}
}
