package disclose

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/survival"
)

// leaver is one person of a curve: when, and how, the person leaves.
type leaver struct {
	day    int
	event  bool
	traits map[string]string
}

// curvesOf counts the leavers as an analysis does: in steps of so many days up
// to the horizon (0 for none), by dims. Whoever reaches the horizon without the
// event comes later.
func curvesOf(name string, people []leaver, step, horizon int, dims ...study.Dimension) study.Output {
	o := study.Output{Name: name, Kind: study.Survival, Measures: []string{"day", "survival", "survival_low", "survival_high", "median", "chi_squared"}}
	last := 0
	for _, p := range people {
		last = max(last, p.day)
	}
	var ends []int
	for end := step; ; end += step {
		if horizon > 0 {
			end = min(end, horizon)
		}
		ends = append(ends, end)
		if end >= last {
			break
		}
	}
	var all int64
	for _, key := range product(dims) {
		in := slices.DeleteFunc(slices.Clone(people), func(p leaver) bool {
			for j, d := range dims {
				if p.traits[d.Name] != key[j] {
					return true
				}
			}
			return false
		})
		left, from, events := int64(len(in)), 0, int64(0)
		all += left
		for _, end := range ends {
			var e, c int64
			for _, p := range in {
				switch {
				case p.day <= from || p.day > end:
				case p.event:
					e++
				case p.day != horizon:
					c++
				}
			}
			if left > 0 {
				o.Cells = append(o.Cells, study.Cell{Key: append(slices.Clone(key), study.StepName(from+1, end)), Count: left,
					Contributors: map[string]int64{"events": e, "censored": c}, Values: map[string]float64{"day": float64(end), "survival": 0.123456789}})
			}
			left, events, from = left-e-c, events+e, end
		}
		if left > 0 {
			o.Cells = append(o.Cells, study.Cell{Key: append(slices.Clone(key), study.Later), Count: left, Contributors: map[string]int64{"events": 0, "censored": left}})
		}
		o.Cells = append(o.Cells, study.Cell{Key: append(slices.Clone(key), study.TotalKey), Count: int64(len(in)),
			Contributors: map[string]int64{"events": events, "event_free": int64(len(in)) - events}})
	}
	days := study.Dimension{Name: study.Days, Total: true}
	for i, end := range ends {
		days.Categories = append(days.Categories, study.StepName(append([]int{0}, ends...)[i]+1, end))
	}
	days.Categories = append(days.Categories, study.Later)
	if len(dims) > 0 {
		o.Cells = append(o.Cells, study.Cell{Key: slices.Repeat([]string{study.TotalKey}, len(dims)+1), Count: all, Values: map[string]float64{"chi_squared": 12.3456789}})
	}
	o.Dimensions = append(slices.Clone(dims), days)
	return o
}

func product(dims []study.Dimension) [][]string {
	out := [][]string{{}}
	for _, d := range dims {
		var next [][]string
		for _, key := range out {
			for _, c := range d.Categories {
				next = append(next, append(slices.Clone(key), c))
			}
		}
		out = next
	}
	return out
}

// leave lists leavers: events and censored on the given days, n of each.
func leave(n int, event bool, days ...int) (out []leaver) {
	for _, d := range days {
		for range n {
			out = append(out, leaver{day: d, event: event})
		}
	}
	return out
}

func with(trait, category string, people []leaver) []leaver {
	for i := range people {
		people[i].traits = map[string]string{trait: category}
	}
	return people
}

func join(lists ...[]leaver) (out []leaver) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// rowsOf writes what is shown of an output: category, at risk, events and
// those without.
func rowsOf(o study.Output) string {
	var out []string
	for _, c := range o.Cells {
		if c.Suppressed != "" {
			out = append(out, strings.Join(c.Key, "/")+" hidden")
			continue
		}
		rest := c.Contributors["censored"] + c.Contributors["event_free"]
		out = append(out, fmt.Sprintf("%s %d:%d,%d", strings.Join(c.Key, "/"), c.Count, c.Contributors["events"], rest))
	}
	return strings.Join(out, "; ")
}

func TestSteps(t *testing.T) {
	def := record.DefaultRules()
	zeroSafe := def
	zeroSafe.ZeroIsSafe = true
	for _, tc := range []struct {
		name  string
		rules record.Rules
		out   study.Output
		want  string
	}{
		{"each step has enough", def, curvesOf("c", join(leave(12, true, 5, 15, 25), leave(60, false, 30)), 10, 30),
			"1-10 96:12,0; 11-20 84:12,0; 21-30 72:12,0; later 60:0,60; total 96:36,60"},
		{"steps are joined until they have", def, curvesOf("c", join(leave(6, true, 5, 15, 25, 28), leave(60, false, 30)), 10, 30),
			"1-20 84:12,0; 21-30 72:12,0; later 60:0,60; total 84:24,60"},
		{"what is left at the end joins the last step", def, curvesOf("c", join(leave(12, true, 5), leave(3, true, 25), leave(60, false, 30)), 10, 30),
			"1-30 75:15,0; later 60:0,60; total 75:15,60"},
		{"few who are censored wait for more", def, curvesOf("c", join(leave(12, true, 5, 15, 25), leave(6, false, 7, 17, 27), leave(60, false, 30)), 10, 30),
			"1-10 114:12,0; 11-20 102:12,12; 21-30 78:12,0; later 66:0,66; total 114:36,78"},
		{"and are never told", def, curvesOf("c", join(leave(12, true, 5, 15), leave(1, false, 7), leave(60, false, 20)), 10, 20),
			"1-10 85:12,0; 11-20 73:12,0; later 61:0,61; total 85:24,61"},
		{"few at risk at the end: the curve ends before", def, curvesOf("c", join(leave(12, true, 5, 15, 25), leave(12, false, 6, 22), leave(4, false, 29)), 10, 0),
			"1-10 64:12,12; 11-20 40:12,0; later 28:12,16; total 64:36,28"},
		{"after the last step there would be nobody with the event", def, curvesOf("c", join(leave(12, true, 5, 15), leave(40, false, 30)), 10, 0),
			"1-10 64:12,0; later 52:12,40; total 64:24,40"},
		{"too few events", def, curvesOf("c", join(leave(10, true, 5), leave(60, false, 30)), 10, 30), "total hidden"},
		{"no event", def, curvesOf("c", leave(60, false, 30), 10, 30), "total hidden"},
		{"no event, where that is safe", zeroSafe, curvesOf("c", leave(60, false, 30), 10, 30), "total 60:0,60"},
		{"too few without", def, curvesOf("c", join(leave(60, true, 5), leave(10, false, 30)), 10, 30), "total hidden"},
		{"nearly all", def, curvesOf("c", join(leave(600, true, 5), leave(60, false, 30)), 10, 30), "total hidden"},
		{"nobody", def, curvesOf("c", nil, 10, 30), "total 0:0,0"},
		{"nearly all of a step", def, curvesOf("c", join(leave(12, true, 5), leave(100, false, 7), leave(110, true, 15), leave(11, false, 20)), 10, 20),
			"1-20 233:122,100; later 11:0,11; total 233:122,111"},
		{"nearly all of what comes later", def, curvesOf("c", join(leave(12, true, 5), leave(100, false, 7), leave(110, true, 15), leave(11, false, 19)), 10, 0),
			"total 233:122,111"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := rowsOf(check(t, tc.rules, tc.out).Outputs[0]); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// randomLeavers draws persons with a sex (a few of unknown) and an age, who
// have the event or are lost at random until the horizon.
func randomLeavers(r *rand.Rand, n, horizon int, unknown float64) []leaver {
	out := make([]leaver, n)
	for i := range out {
		p := leaver{traits: map[string]string{"sex": []string{"female", "male"}[r.IntN(2)], "age": []string{"young", "old"}[r.IntN(2)]}}
		if r.Float64() < unknown {
			p.traits["sex"] = "unknown"
		}
		event, lost := 1+int(r.ExpFloat64()*float64(horizon)*2), 1+int(r.ExpFloat64()*float64(horizon)*3)
		p.day, p.event = min(event, lost, horizon), event <= min(lost, horizon)
		out[i] = p
	}
	return out
}

var sexes = study.Dimension{Name: "sex", Categories: []string{"female", "male", "unknown"}}
var ages = study.Dimension{Name: "age", Categories: []string{"young", "old"}}

// TestNoCurveTellsMoreThanItsNumbers: whoever has the numbers of the steps can
// compute the curve, its interval and where the median can lie; so these need
// no protection of their own. Every number shown, and every sum over steps that
// follow one another, is of nobody or of enough.
func TestNoCurveTellsMoreThanItsNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	steps, curves := 0, 0
	for range 200 {
		horizon := 20 + r.IntN(100)
		o := curvesOf("c", randomLeavers(r, 20+r.IntN(600), horizon, 0.02), 1+r.IntN(8), horizon*r.IntN(2), sexes)
		for i := range o.Cells {
			if c := &o.Cells[i]; c.Key[1] == study.TotalKey && c.Key[0] != study.TotalKey {
				c.Values = map[string]float64{"median": float64(1 + r.IntN(horizon))}
			}
		}
		published := check(t, record.DefaultRules(), o).Outputs[0]
		s, green, ends := 1.0, 0.0, []float64{}
		var at int64
		for _, c := range published.Cells {
			small := func(n int64) bool { return n > 0 && n < 11 }
			if c.Suppressed != "" {
				if c.Count != 0 || c.Contributors != nil || c.Values != nil {
					t.Fatalf("a hidden cell has numbers: %+v", c)
				}
				continue
			}
			e, x := c.Contributors["events"], c.Contributors["censored"]
			if small(c.Count) || small(e) || small(x) || small(c.Contributors["event_free"]) {
				t.Fatalf("a small number is shown: %s", rowsOf(published))
			}
			switch {
			case c.Key[0] == study.TotalKey:
			case c.Key[1] == study.TotalKey:
				if m, ok := c.Values["median"]; ok && !slices.Contains(ends, m) {
					t.Fatalf("median %v is the end of no step %v", m, ends)
				}
				s, green, ends, at = 1, 0, nil, 0
				curves++
			case c.Key[1] == study.Later:
				if at != c.Count || e+x != c.Count {
					t.Fatalf("at risk %d, then %+v", at, c)
				}
			default:
				if len(ends) > 0 && at != c.Count {
					t.Fatalf("at risk %d, then %+v", at, c)
				}
				n := float64(c.Count) - float64(x)/2
				s *= 1 - float64(e)/n
				green += float64(e) / (n * (n - float64(e)))
				width := 1.959963985 * math.Sqrt(green) / math.Log(s)
				for m, want := range map[string]float64{"survival": s, "survival_low": math.Pow(s, math.Exp(-width)), "survival_high": math.Pow(s, math.Exp(width))} {
					if got := c.Values[m]; math.Abs(got-want) > 6e-4*want {
						t.Fatalf("%s %v is not that of the numbers, %v: %+v", m, got, want, c)
					}
				}
				ends, at = append(ends, c.Values["day"]), c.Count-e-x
				steps++
			}
		}
	}
	t.Logf("%d steps of %d curves", steps, curves)
	if steps < 1000 {
		t.Error("too few steps were shown for this to prove anything")
	}
}

// TestCurveNearKaplanMeier: what is released is near the estimate at exact days,
// the nearer the more persons there are. About a fifth are lost on the way.
func TestCurveNearKaplanMeier(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for n, most := range map[int]float64{200: 0.02, 1000: 0.004, 10_000: 0.0004} {
		worst := 0.0
		for range 30 {
			people := randomLeavers(r, n, 730, 0)
			var rows []survival.Row
			for _, p := range people {
				row := survival.Row{Time: p.day, Censored: 1}
				if p.event {
					row = survival.Row{Time: p.day, Events: 1}
				}
				rows = append(rows, row)
			}
			exact := survival.KaplanMeier(rows)
			for _, c := range check(t, record.DefaultRules(), curvesOf("c", people, 30, 730)).Outputs[0].Cells {
				day, ok := c.Values["day"]
				if !ok {
					continue
				}
				s := 1.0
				for _, p := range exact {
					if p.Time <= int(day) {
						s = p.Survival
					}
				}
				worst = math.Max(worst, math.Abs(s-c.Values["survival"]))
			}
		}
		t.Logf("%d persons: at most %.5f away", n, worst)
		if worst > most || worst == 0 {
			t.Errorf("%d persons: %v away, at most %v", n, worst, most)
		}
	}
}

// TestCurvesBesideTables: a curve's totals are totals of the release. A stratum
// of few is hidden, and another with it where the whole is shown elsewhere.
func TestCurvesBesideTables(t *testing.T) {
	people := join(with("sex", "female", join(leave(20, true, 5, 15), leave(60, false, 20))), with("sex", "male", join(leave(20, true, 5, 15), leave(90, false, 20))),
		with("sex", "unknown", join(leave(1, true, 5), leave(3, false, 20))))
	bySex := curvesOf("by-sex", people, 10, 20, sexes)
	hidden := func(o study.Output) (n int) {
		for _, c := range o.Cells {
			if c.Suppressed != "" && c.Key[0] != study.TotalKey {
				n++
			}
		}
		return n
	}
	res := check(t, record.DefaultRules(), bySex)
	if n := hidden(res.Outputs[0]); n != 1 || res.Outputs[0].Cells[len(res.Outputs[0].Cells)-1].Suppressed == "" || res.Findings[Source] != 1 || res.Findings[MinCount] == 0 {
		t.Errorf("alone: %s, %v", rowsOf(res.Outputs[0]), res.Findings)
	}
	rate := study.Output{Name: "rate", Kind: study.Rates, Measures: []string{"events"}, Cells: []study.Cell{
		{Key: []string{}, Count: 234, Contributors: map[string]int64{"events": 81}, Values: map[string]float64{"events": 81}}}}
	if out := check(t, record.DefaultRules(), bySex, rate).Outputs; hidden(out[0]) < 2 && out[1].Cells[0].Suppressed == "" {
		t.Errorf("beside its total: %s", rowsOf(out[0]))
	}
	pooled := curvesOf("pooled", people, 10, 20)
	out := check(t, record.DefaultRules(), bySex, pooled).Outputs
	for _, c := range out[0].Cells {
		if c.Values["day"] > 0 {
			t.Errorf("steps are shown beside those of the whole, with a stratum hidden: %s", rowsOf(out[0]))
			break
		}
	}
}

// TestCurveEvidence: all steps as they were are kept for the checkers, and the
// test is rounded.
func TestCurveEvidence(t *testing.T) {
	people := join(with("sex", "female", join(leave(7, true, 5, 15, 25), leave(60, false, 30))), with("sex", "male", join(leave(30, true, 5, 15), leave(90, false, 30))))
	o := curvesOf("c", people, 10, 30, sexes)
	res := check(t, record.DefaultRules(), o)
	if got := rowsOf(res.Outputs[0]); got != "female/1-30 81:21,0; female/later 60:0,60; female/total 81:21,60; male/1-10 150:30,0; male/11-30 120:30,0; male/later 90:0,90; male/total 150:60,90; unknown/total 0:0,0; total/total 231:0,0" {
		t.Error(got)
	}
	if got := res.Outputs[0].Dimensions[1].Categories; !slices.Equal(got, []string{"1-10", "1-30", "11-30", "later"}) {
		t.Errorf("steps %v", got)
	}
	if got := res.Outputs[0].Cells[len(res.Outputs[0].Cells)-1].Values["chi_squared"]; got != 12.35 {
		t.Errorf("chi-squared %v", got)
	}
	if n := len(res.Evidence.Outputs[0].Cells); n != len(o.Cells) {
		t.Errorf("%d cells of evidence, of %d", n, len(o.Cells))
	}
	base := record.DefaultRules()
	base.RoundTo = 5
	for _, c := range check(t, base, o).Outputs[0].Cells {
		if c.Count%5 != 0 || c.Contributors["events"]%5 != 0 || c.Values["survival"] != math.Round(c.Values["survival"]*100)/100 {
			t.Errorf("rounded: %+v", c)
		}
	}
}

func TestMalformedCurves(t *testing.T) {
	good := func() study.Output {
		return curvesOf("c", with("sex", "male", join(leave(30, true, 5, 15), leave(90, false, 30))), 10, 30, sexes)
	}
	for name, spoil := range map[string]func(*study.Output){
		"those at risk do not fall": func(o *study.Output) { o.Cells[2].Count++ },
		"a negative number":         func(o *study.Output) { o.Cells[1].Contributors["events"] = -1 },
		"another total":             func(o *study.Output) { o.Cells[0].Count++ },
		"no total":                  func(o *study.Output) { o.Cells = slices.Delete(o.Cells, 5, 6) },
		"an unknown step":           func(o *study.Output) { o.Cells[1].Key[1] = "400" },
		"a step twice":              func(o *study.Output) { o.Cells = append(o.Cells, o.Cells[1]) },
		"a step without its day":    func(o *study.Output) { o.Cells[2].Values["day"] = 3 },
		"no number":                 func(o *study.Output) { o.Cells[1].Values["survival"] = math.NaN() },
		"an unnamed measure":        func(o *study.Output) { o.Cells[1].Values["x"] = 1 },
		"hidden already":            func(o *study.Output) { o.Cells[1].Suppressed = "primary" },
		"no days":                   func(o *study.Output) { o.Dimensions = o.Dimensions[:1] },
		"nothing later":             func(o *study.Output) { o.Dimensions[1].Categories = o.Dimensions[1].Categories[:3] },
		"a short key":               func(o *study.Output) { o.Cells[1].Key = o.Cells[1].Key[:1] },
	} {
		o := good()
		spoil(&o)
		if _, err := Check([]study.Output{o}, record.DefaultRules()); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
