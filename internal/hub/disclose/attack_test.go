package disclose

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// attack is a reader with a linear-programming solver. It is written from the
// published outputs alone and shares no code with the package: variables are
// the hidden numbers, equations the rows and columns of each table and the
// cells that tables share, bounds what the marks give away.
type attack struct {
	vars  map[string]int
	low   []float64
	high  []float64
	rows  []map[int]float64
	rhs   []float64
	known map[string]float64
	rules record.Rules
}

// measure names "count" or a group of contributors.
func number(c *study.Cell, measure string) float64 {
	if measure == "count" {
		return float64(c.Count)
	}
	return float64(c.Contributors[measure])
}

// cellName is the same for the same group of persons in every output.
func cellName(o *study.Output, key []string) string {
	var parts []string
	for j, k := range key {
		if k != study.TotalKey {
			parts = append(parts, o.Dimensions[j].Name+":"+k)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func newAttack(outputs []study.Output, measures []string, rules record.Rules) *attack {
	a := &attack{vars: map[string]int{}, known: map[string]float64{}, rules: rules}
	for i := range outputs {
		o := &outputs[i]
		for k := range o.Cells {
			c := &o.Cells[k]
			for _, m := range measures {
				name := m + "|" + cellName(o, c.Key)
				if c.Suppressed == "" {
					a.known[name] = number(c, m)
				} else if _, ok := a.vars[name]; !ok {
					a.vars[name] = len(a.low)
					a.low, a.high = append(a.low, 0), append(a.high, math.Inf(1))
				}
			}
		}
	}
	for i := range outputs {
		for _, m := range measures {
			a.equations(&outputs[i], m)
		}
	}
	return a
}

// equations adds sum of parts - total = 0 for each line of the output.
func (a *attack) equations(o *study.Output, m string) {
	var walk func(j int, key []string)
	walk = func(j int, key []string) {
		if j == len(key) {
			for d := range key {
				if !o.Dimensions[d].Total || key[d] != study.TotalKey {
					continue
				}
				row, rhs := map[int]float64{}, 0.0
				term := func(k []string, sign float64) {
					name := m + "|" + cellName(o, k)
					if v, ok := a.vars[name]; ok {
						row[v] += sign
					} else {
						rhs -= sign * a.known[name] // a cell left out is nobody
					}
				}
				term(key, -1)
				for _, c := range o.Dimensions[d].Categories {
					k := slices.Clone(key)
					k[d] = c
					term(k, 1)
				}
				if len(row) > 0 {
					a.rows, a.rhs = append(a.rows, row), append(a.rhs, rhs)
				}
			}
			return
		}
		for _, c := range o.Dimensions[j].Categories {
			key[j] = c
			walk(j+1, key)
		}
		if o.Dimensions[j].Total {
			key[j] = study.TotalKey
			walk(j+1, key)
		}
	}
	walk(0, make([]string, len(o.Dimensions)))
}

// insider adds what one knows who knows, for every hidden number, on which
// side of the threshold it lies (truth is used for nothing else).
func (a *attack) insider(truth map[string]float64, lowest float64) {
	for name, v := range a.vars {
		if truth[name] < float64(a.rules.MinCount) {
			a.low[v], a.high[v] = math.Min(lowest, truth[name]), float64(a.rules.MinCount-1)
		} else {
			a.low[v] = float64(a.rules.MinCount)
		}
	}
}

// interval is the least and the greatest value that the variable can have.
func (a *attack) interval(t *testing.T, v int) (low, high float64) {
	t.Helper()
	for _, sign := range []float64{1, -1} {
		x, err := a.minimise(v, sign)
		if err != nil {
			t.Fatalf("the attacker's solver failed: %v", err)
		}
		if sign > 0 {
			low = x
		} else {
			high = -x
		}
	}
	return low, high
}

// minimise gives the least of sign*variable in standard form: y = x - low,
// slack rows for upper bounds, linearly dependent rows removed exactly.
func (a *attack) minimise(v int, sign float64) (float64, error) {
	n := len(a.low)
	var bounded []int
	for i, h := range a.high {
		if !math.IsInf(h, 1) {
			bounded = append(bounded, i)
		}
	}
	cols := n + len(bounded)
	var rows [][]float64
	var b []float64
	for r, row := range a.rows {
		line, rhs := make([]float64, cols), a.rhs[r]
		for i, c := range row {
			line[i] = c
			rhs -= c * a.low[i]
		}
		rows, b = append(rows, line), append(b, rhs)
	}
	for k, i := range bounded {
		line := make([]float64, cols)
		line[i], line[n+k] = 1, 1
		rows, b = append(rows, line), append(b, a.high[i]-a.low[i])
	}
	rows, b = independent(rows, b)
	c := make([]float64, cols)
	c[v] = sign
	// columns of no equation are free to grow
	used := make([]bool, cols)
	for _, r := range rows {
		for i, x := range r {
			used[i] = used[i] || x != 0
		}
	}
	var keep []int
	for i, u := range used {
		if u {
			keep = append(keep, i)
		}
	}
	if !used[v] {
		if sign < 0 {
			return math.Inf(-1), nil
		}
		return a.low[v], nil
	}
	A, cost := mat.NewDense(len(rows), len(keep), nil), make([]float64, len(keep))
	for j, i := range keep {
		cost[j] = c[i]
		for r := range rows {
			A.Set(r, j, rows[r][i])
		}
	}
	f, _, err := lp.Simplex(cost, A, b, 1e-9, nil)
	if err == lp.ErrUnbounded {
		return math.Inf(-1), nil
	}
	return f + sign*a.low[v], err
}

// independent keeps a maximal set of linearly independent rows, in exact
// arithmetic, with non-negative right-hand sides.
func independent(rows [][]float64, b []float64) (out [][]float64, rhs []float64) {
	var basis [][]*big.Rat
	var pivots []int
	for r, row := range rows {
		q := make([]*big.Rat, len(row))
		for i, x := range row {
			q[i] = new(big.Rat).SetFloat64(x)
		}
		for k, p := range pivots {
			if q[p].Sign() == 0 {
				continue
			}
			f := new(big.Rat).Set(q[p])
			for i := range q {
				if basis[k][i].Sign() != 0 {
					q[i].Sub(q[i], new(big.Rat).Mul(f, basis[k][i]))
				}
			}
		}
		p := slices.IndexFunc(q, func(x *big.Rat) bool { return x.Sign() != 0 })
		if p < 0 {
			continue
		}
		inv := new(big.Rat).Inv(q[p])
		for i := range q {
			q[i].Mul(q[i], inv)
		}
		basis, pivots = append(basis, q), append(pivots, p)
		out, rhs = append(out, row), append(rhs, b[r])
	}
	return out, rhs
}

// randomTable draws an output of persons spread unevenly, with the dimensions'
// totals; a share of persons has an event.
func randomTable(r *rand.Rand, name string, dims []study.Dimension, persons int, events bool) study.Output {
	o := study.Output{Name: name, Title: name, Kind: study.Frequencies, Dimensions: dims}
	if events {
		o.Kind, o.Measures = study.Rates, []string{"events", "person_years"}
	}
	weights := make([][]float64, len(dims))
	for j, d := range dims {
		for range d.Categories {
			weights[j] = append(weights[j], math.Exp(1.5*r.NormFloat64()))
		}
	}
	people := make([]map[string]string, persons)
	hit := make([]bool, persons)
	years := make([]float64, persons)
	for i := range people {
		people[i] = map[string]string{}
		for j, d := range dims {
			people[i][d.Name] = d.Categories[pick(r, weights[j])]
		}
		hit[i], years[i] = r.Float64() < 0.2, 1+r.Float64()
	}
	return tabulate(o, people, hit, years)
}

func pick(r *rand.Rand, w []float64) int {
	sum := 0.0
	for _, x := range w {
		sum += x
	}
	u := r.Float64() * sum
	for i, x := range w {
		if u -= x; u < 0 {
			return i
		}
	}
	return len(w) - 1
}

// tabulate counts the people in every cell and total of o.
func tabulate(o study.Output, people []map[string]string, hit []bool, years []float64) study.Output {
	cells := map[string]*study.Cell{}
	var order []string
	var keys func(p map[string]string, j int, key []string, add func([]string))
	keys = func(p map[string]string, j int, key []string, add func([]string)) {
		if j == len(o.Dimensions) {
			add(key)
			return
		}
		key[j] = p[o.Dimensions[j].Name]
		keys(p, j+1, key, add)
		if o.Dimensions[j].Total {
			key[j] = study.TotalKey
			keys(p, j+1, key, add)
		}
	}
	for i, p := range people {
		keys(p, 0, make([]string, len(o.Dimensions)), func(key []string) {
			id := strings.Join(key, "|")
			c := cells[id]
			if c == nil {
				c = &study.Cell{Key: slices.Clone(key)}
				if o.Kind == study.Rates {
					c.Contributors, c.Values = map[string]int64{"events": 0}, map[string]float64{"events": 0, "person_years": 0}
				}
				cells[id] = c
				order = append(order, id)
			}
			c.Count++
			if o.Kind == study.Rates {
				c.Values["person_years"] += years[i]
				if hit[i] {
					c.Contributors["events"]++
					c.Values["events"]++
				}
			}
		})
	}
	slices.Sort(order)
	for _, id := range order {
		o.Cells = append(o.Cells, *cells[id])
	}
	return o
}

func dim(name string, n int, total, sensitive bool) study.Dimension {
	d := study.Dimension{Name: name, Total: total, Sensitive: sensitive}
	for i := range n {
		d.Categories = append(d.Categories, fmt.Sprintf("%s%d", name, i))
	}
	return d
}

// truthOf gives every number of the outputs by the attack's names.
func truthOf(outputs []study.Output, measures []string) map[string]float64 {
	truth := map[string]float64{}
	for i := range outputs {
		for k := range outputs[i].Cells {
			for _, m := range measures {
				truth[m+"|"+cellName(&outputs[i], outputs[i].Cells[k].Key)] = number(&outputs[i].Cells[k], m)
			}
		}
	}
	return truth
}

// checkAttack runs the insider's attack on what Check lets out, and gives the
// numbers of cells shown and hidden.
func checkAttack(t *testing.T, outputs []study.Output, rules record.Rules, measures []string) (cells, primary, second int) {
	t.Helper()
	res, err := Check(outputs, rules)
	if err != nil {
		t.Fatal(err)
	}
	return attackOn(t, outputs, res.Outputs, rules, measures)
}

// attackOn runs the insider's attack on what was released of outputs.
func attackOn(t *testing.T, outputs, released []study.Output, rules record.Rules, measures []string) (cells, primary, second int) {
	t.Helper()
	truth := truthOf(outputs, measures)
	lowest := 1.0
	for _, o := range outputs {
		for _, d := range o.Dimensions {
			if d.Sensitive || len(measures) > 1 {
				lowest = 0
			}
		}
	}
	prepared := func(outputs []study.Output, insider bool) *attack {
		a := newAttack(outputs, measures, rules)
		for name, v := range a.vars {
			a.low[v] = math.Min(lowest, truth[name])
		}
		if insider {
			a.insider(truth, lowest)
		}
		if len(measures) > 1 { // contributors are persons of the cell
			a.couple()
		}
		return a
	}
	a, reader := prepared(released, true), prepared(released, false)
	dark := prepared(darkened(released), true) // what the rule alone tells
	for _, o := range released {
		for _, c := range o.Cells {
			cells++
			switch {
			case strings.HasPrefix(c.Suppressed, "primary"):
				primary++
			case c.Suppressed != "":
				second++
			}
		}
	}
	if primary > 0 && slices.IndexFunc(released, func(o study.Output) bool {
		return slices.ContainsFunc(o.Cells, func(c study.Cell) bool { return c.Suppressed == "" })
	}) < 0 {
		return // nothing at all is shown
	}
	want := float64((rules.MinCount + 2) / 3)
	for name, v := range a.vars {
		low, high := a.interval(t, v)
		x := truth[name]
		if l, h := dark.interval(t, dark.vars[name]); h-l < want {
			low, high = reader.interval(t, reader.vars[name])
		}
		if low > x+1e-6 || high < x-1e-6 {
			t.Fatalf("the attack is wrong: %s = %g is not in %g..%g", name, x, low, high)
		}
		if high-low < 1e-6 {
			t.Errorf("%s = %g can be computed back", name, x)
		}
		if x < float64(rules.MinCount) && (x > 0 || lowest == 0) && !strings.HasPrefix(name, "events|") || strings.HasPrefix(name, "events|") && x > 0 && x < float64(rules.MinCount) {
			if high-low < want-1e-6 {
				t.Errorf("%s = %g is known to be in %g..%g, narrower than %g", name, x, low, high, want)
			}
		}
	}
	if t.Failed() {
		for _, o := range released {
			t.Log(show(&o, truth))
		}
	}
	return
}

// couple adds events + slack = count for each hidden cell.
func (a *attack) couple() {
	names := slices.Sorted(maps.Keys(a.vars))
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, "events|"); ok {
			slack := len(a.low)
			a.low, a.high = append(a.low, 0), append(a.high, math.Inf(1))
			a.rows = append(a.rows, map[int]float64{a.vars[name]: 1, a.vars["count|"+rest]: -1, slack: 1})
			a.rhs = append(a.rhs, 0)
		}
	}
}

// darkened hides every cell.
func darkened(outputs []study.Output) []study.Output {
	outputs = slices.Clone(outputs)
	for i := range outputs {
		outputs[i].Cells = slices.Clone(outputs[i].Cells)
		for k := range outputs[i].Cells {
			outputs[i].Cells[k] = study.Cell{Key: outputs[i].Cells[k].Key, Suppressed: "x"}
		}
	}
	return outputs
}

func show(o *study.Output, truth map[string]float64) string {
	var b strings.Builder
	for _, c := range o.Cells {
		fmt.Fprintf(&b, "%v %g %s %v\n", c.Key, truth["count|"+cellName(o, c.Key)], c.Suppressed, c.Contributors)
	}
	return b.String()
}

func TestNoCellCanBeComputedBack(t *testing.T) {
	shapes := []struct {
		name  string
		dims  []study.Dimension
		n     int
		tries int
	}{
		{"1 dimension", []study.Dimension{dim("a", 8, true, false)}, 150, 40},
		{"2 dimensions", []study.Dimension{dim("a", 4, true, false), dim("b", 5, true, false)}, 300, 25},
		{"2 wide dimensions", []study.Dimension{dim("a", 2, true, false), dim("b", 9, true, false)}, 250, 15},
		{"3 dimensions", []study.Dimension{dim("a", 2, true, false), dim("b", 3, true, false), dim("c", 3, true, false)}, 400, 8},
		{"a sensitive dimension", []study.Dimension{dim("a", 4, true, false), dim("b", 3, true, true)}, 250, 25},
		{"a dimension without total", []study.Dimension{dim("a", 4, true, false), dim("b", 3, false, false)}, 250, 25},
	}
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, uint64(len(s.name))))
			var cells, primary, second int
			for range s.tries {
				rules := record.DefaultRules()
				rules.MinCount = []int{5, 10, 11}[r.IntN(3)]
				n := s.n/2 + r.IntN(s.n)
				c, p, q := checkAttack(t, []study.Output{randomTable(r, "t", s.dims, n, false)}, rules, []string{"count"})
				cells, primary, second = cells+c, primary+p, second+q
				if t.Failed() {
					return
				}
			}
			t.Logf("%d cells, %d primary, %d secondary", cells, primary, second)
		})
	}
}
