package disclose

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// curveAttack is a reader who has every curve of the release and a solver. The
// variables are who leaves, and how, in each of the shortest steps by sex and
// age; the equations are all numbers shown.
type curveAttack struct {
	attack
	cells   []map[string]string // traits, by variable
	days    []int               // last day of the step, by variable; a day beyond all comes later
	events  []bool
	numbers []int64 // the truth
}

const beyond = 1 << 20

func newCurveAttack(people []leaver, step, horizon int, published []study.Output) *curveAttack {
	a := &curveAttack{}
	for _, key := range product([]study.Dimension{sexes, ages}) {
		for end := step; end < horizon+step; end += step {
			for _, event := range []bool{true, false} {
				a.add(map[string]string{"sex": key[0], "age": key[1]}, min(end, horizon), event)
			}
		}
		a.add(map[string]string{"sex": key[0], "age": key[1]}, beyond, false)
	}
	for _, p := range people {
		for v := range a.cells {
			day := (p.day + step - 1) / step * step
			if day = min(day, horizon); p.day == horizon && !p.event {
				day = beyond
			}
			if a.cells[v]["sex"] == p.traits["sex"] && a.cells[v]["age"] == p.traits["age"] && a.days[v] == day && a.events[v] == p.event {
				a.numbers[v]++
			}
		}
	}
	for _, o := range published {
		from := map[string]int{}
		waited := map[string]float64{} // censored by the end of the step, as far as they are counted
		for _, c := range o.Cells {
			if c.Suppressed != "" || c.Key[0] == study.TotalKey && len(c.Key) > 1 {
				continue
			}
			traits := map[string]string{}
			for j, d := range o.Dimensions[:len(o.Dimensions)-1] {
				traits[d.Name] = c.Key[j]
			}
			key := fmt.Sprint(traits)
			equal := func(first, last int, event bool, n float64) {
				a.rows, a.rhs = append(a.rows, a.row(traits, first, last, event)), append(a.rhs, n)
			}
			switch c.Key[len(c.Key)-1] {
			case study.TotalKey:
				equal(1, beyond, true, float64(c.Contributors["events"]))
				equal(1, beyond, false, float64(c.Contributors["event_free"]))
			case study.Later:
			default:
				day := int(c.Values["day"])
				equal(from[key]+1, day, true, float64(c.Contributors["events"]))
				from[key] = day
				if n := float64(c.Contributors["censored"]); n > 0 { // all by this day are counted now
					waited[key] += n
					equal(1, day, false, waited[key])
				}
			}
		}
	}
	return a
}

func (a *curveAttack) add(traits map[string]string, day int, event bool) {
	a.cells, a.days, a.events, a.numbers = append(a.cells, traits), append(a.days, day), append(a.events, event), append(a.numbers, 0)
	a.low, a.high = append(a.low, 0), append(a.high, math.Inf(1))
}

// row sums the variables of a group of persons and a stretch of days.
func (a *curveAttack) row(traits map[string]string, first, last int, event bool) map[int]float64 {
	row := map[int]float64{}
	for v := range a.cells {
		in := a.events[v] == event && a.days[v] >= first && a.days[v] <= last
		for k, want := range traits {
			in = in && a.cells[v][k] == want
		}
		if in {
			row[v] = 1
		}
	}
	return row
}

// pinned counts the groups of persons of one trait, leaving in a run of the
// shortest steps, who are few and whose number the reader knows within less
// than the protection.
func (a *curveAttack) pinned(t *testing.T, step, horizon int) (n, asked int) {
	t.Helper()
	for _, traits := range []map[string]string{{}, {"sex": "female"}, {"sex": "male"}, {"sex": "unknown"}, {"age": "young"}, {"age": "old"}} {
		for first := 1; first < horizon; first += step {
			for last := first + step - 1; last < horizon+step; last += step {
				for _, event := range []bool{true, false} {
					row, truth := a.row(traits, first, min(last, horizon), event), int64(0)
					for v := range row {
						truth += a.numbers[v]
					}
					if truth == 0 || truth >= 11 {
						continue
					}
					q := *a
					q.low, q.high = append(slices.Clone(a.low), 0), append(slices.Clone(a.high), math.Inf(1))
					row[len(a.low)] = -1
					q.rows, q.rhs = append(slices.Clone(a.rows), row), append(slices.Clone(a.rhs), 0)
					low, high := q.interval(t, len(a.low))
					asked++
					if high-low < float64(protection(record.DefaultRules()))-1e-6 {
						n++
					}
				}
			}
		}
	}
	return n, asked
}

// TestCurvesAgainstOneAnother: pooled, by sex and by age in one release, an
// attacker cannot find any small number by solving for it; from curves each
// with the steps that suit it best, he can.
func TestCurvesAgainstOneAnother(t *testing.T) {
	const step, horizon = 10, 60
	r := rand.New(rand.NewPCG(31, 32))
	alone, asked, shown := 0, 0, 0
	for i := range 4 {
		people := randomLeavers(r, 150+r.IntN(250), horizon, []float64{0, 0.02}[i%2])
		in := []study.Output{curvesOf("pooled", people, step, horizon), curvesOf("by-sex", people, step, horizon, sexes), curvesOf("by-age", people, step, horizon, ages)}
		out := check(t, record.DefaultRules(), in...).Outputs
		for _, o := range out {
			for _, c := range o.Cells {
				if _, is := c.Values["day"]; is {
					shown++
				}
			}
		}
		n, k := newCurveAttack(people, step, horizon, out).pinned(t, step, horizon)
		if asked += k; n > 0 {
			t.Errorf("%d of %d small numbers can be found:\n%s\n%s\n%s", n, k, rowsOf(out[0]), rowsOf(out[1]), rowsOf(out[2]))
		}
		var each []study.Output
		for _, o := range in {
			each = append(each, check(t, record.DefaultRules(), o).Outputs...)
		}
		n, _ = newCurveAttack(people, step, horizon, each).pinned(t, step, horizon)
		alone += n
	}
	t.Logf("%d small numbers were asked for, %d steps shown; %d are found where each curve has steps of its own", asked, shown, alone)
	if shown < 20 || asked < 80 || alone == 0 {
		t.Error("the attack proves nothing")
	}
}
