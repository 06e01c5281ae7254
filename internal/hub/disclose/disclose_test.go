package disclose

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// oneWay is a frequency table of one dimension with its total.
func oneWay(sensitive bool, counts ...int64) study.Output {
	o := study.Output{Name: "t", Kind: study.Frequencies, Dimensions: []study.Dimension{dim("a", len(counts), true, sensitive)}}
	var sum int64
	for i, n := range counts {
		o.Cells = append(o.Cells, study.Cell{Key: []string{fmt.Sprintf("a%d", i)}, Count: n})
		sum += n
	}
	o.Cells = append(o.Cells, study.Cell{Key: []string{study.TotalKey}, Count: sum})
	return o
}

func marks(o study.Output) string {
	var m []string
	for _, c := range o.Cells {
		m = append(m, map[bool]string{true: "-", false: strings.TrimPrefix(c.Suppressed, "primary:")}[c.Suppressed == ""])
	}
	return strings.Join(m, " ")
}

func check(t *testing.T, rules record.Rules, outputs ...study.Output) Result {
	t.Helper()
	res, err := Check(outputs, rules)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestRules(t *testing.T) {
	def := record.DefaultRules()
	zeroSafe := def
	zeroSafe.ZeroIsSafe = true
	named := def
	named.SensitiveCols = []string{"a"}
	for _, tc := range []struct {
		name  string
		rules record.Rules
		out   study.Output
		want  string
	}{
		{"nothing small", def, oneWay(false, 11, 20, 30), "- - - -"},
		{"threshold - 1 and its cheapest cover", def, oneWay(false, 10, 20, 300), "min_count secondary - -"},
		{"one person", def, oneWay(false, 1, 20, 300), "min_count secondary - -"},
		{"a cover too close to the threshold is not enough", def, oneWay(false, 1, 11, 300), "min_count - secondary -"},
		{"two small ones cover each other", def, oneWay(false, 5, 7, 300), "min_count min_count - -"},
		{"two at the edge do not: their sum gives them away", def, oneWay(false, 10, 10, 300), "min_count min_count secondary -"},
		{"an empty cell of no sensitive trait", def, oneWay(false, 0, 20, 30), "- - - -"},
		{"an empty cell of a sensitive trait", def, oneWay(true, 0, 30, 30), "zero secondary - -"},
		{"an empty cell where zeros are safe", zeroSafe, oneWay(true, 0, 30, 30), "- - - -"},
		{"a trait made sensitive by the permit", named, oneWay(false, 0, 30, 30), "zero secondary - -"},
		{"a full row", def, oneWay(true, 50, 0, 0), "max_share zero zero -"},
		{"a full row where zeros are safe", zeroSafe, oneWay(true, 500, 20, 20), "max_share secondary - -"},
		{"just not a full row", def, oneWay(true, 180, 20), "- - -"},
		{"all small", def, oneWay(false, 3, 2), "min_count min_count min_count"},
		{"empty", def, oneWay(true, 0, 0), "- - -"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := marks(check(t, tc.rules, tc.out).Outputs[0]); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// rates is a table of persons, events and person-years by category, no total.
func rates(name string, cells ...[2]int64) study.Output {
	o := study.Output{Name: name, Kind: study.Rates, Dimensions: []study.Dimension{dim("cohort", len(cells), false, false)},
		Measures: []string{"events", "person_years", "rate"}}
	for i, c := range cells {
		py := float64(c[0]) * 1.7
		o.Cells = append(o.Cells, study.Cell{Key: []string{fmt.Sprintf("cohort%d", i)}, Count: c[0],
			Contributors: map[string]int64{"events": c[1]},
			Values:       map[string]float64{"events": float64(c[1]), "person_years": py, "rate": float64(c[1]) / max(py, 1)}})
	}
	return o
}

func TestRatesAndRatios(t *testing.T) {
	def := record.DefaultRules()
	for _, tc := range []struct {
		name string
		out  study.Output
		want string
	}{
		{"both large", rates("r", [2]int64{100, 20}, [2]int64{100, 30}), "- -"},
		{"few with an event", rates("r", [2]int64{100, 10}, [2]int64{100, 30}), "min_count -"},
		{"nobody with an event", rates("r", [2]int64{100, 0}, [2]int64{100, 30}), "zero -"},
		{"all with an event", rates("r", [2]int64{100, 100}, [2]int64{100, 30}), "max_share -"},
		{"few persons", rates("r", [2]int64{8, 2}, [2]int64{100, 30}), "min_count -"},
		{"nobody", rates("r", [2]int64{0, 0}, [2]int64{100, 30}), "- -"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ratio := study.Output{Name: "ratio", Kind: study.Ratios, Measures: []string{"ratio"}, Sources: []string{"r"},
				Cells: []study.Cell{{Count: 200, Values: map[string]float64{"ratio": 2}}}}
			res := check(t, def, ratio, tc.out)
			if got := marks(res.Outputs[1]); got != tc.want {
				t.Errorf("rates: got %s, want %s", got, tc.want)
			}
			want := "-"
			if tc.want != "- -" {
				want = "source"
			}
			if got := marks(res.Outputs[0]); got != want {
				t.Errorf("their ratio: got %s, want %s", got, want)
			}
		})
	}
}

func TestDominance(t *testing.T) {
	o := oneWay(false, 50, 60, 70)
	o.Kind, o.Measures = study.Rates, []string{"cost"}
	for i := range o.Cells {
		o.Cells[i].MaxShare = 0.1
		o.Cells[i].Values = map[string]float64{"cost": []float64{1000, 2000, 3000, 6000}[i]}
	}
	o.Cells[1].MaxShare = 0.6
	res := check(t, record.DefaultRules(), o)
	if got, want := marks(res.Outputs[0]), "secondary dominance - -"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, r := range res.Evidence.Outputs[0].Cells[1].Ranges {
		if r.High-r.Low < 0.2*2000 {
			t.Errorf("the sum stays within %v", r)
		}
	}
}

// A hidden cell carries nothing, wherever one looks in what leaves.
func TestHiddenCellsCarryNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		o := randomTable(r, "t", []study.Dimension{dim("a", 3, true, false), dim("b", 4, true, true)}, 200, true)
		res := check(t, record.DefaultRules(), o)
		for i, c := range res.Outputs[0].Cells {
			if c.Suppressed != "" && !reflect.DeepEqual(c, study.Cell{Key: c.Key, Suppressed: c.Suppressed}) {
				t.Fatalf("hidden cell %d still has numbers: %+v", i, c)
			}
		}
		b, err := json.Marshal(res.Outputs)
		if err != nil || strings.Contains(string(b), "ranges") || strings.Contains(string(b), "\"max_share\":") {
			t.Fatalf("evidence leaves with the outputs: %v %s", err, b)
		}
	}
}

func TestSafeTablesAreUnchanged(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	rules := record.DefaultRules()
	rules.MinCount = 1
	rules.ZeroIsSafe = true
	rules.MaxShare = 1
	for range 30 {
		in := []study.Output{
			randomTable(r, "t", []study.Dimension{dim("a", 3, true, false), dim("b", 4, true, true)}, 500, false),
			randomTable(r, "u", []study.Dimension{dim("a", 3, true, false)}, 400, true),
		}
		before, _ := json.Marshal(in)
		res := check(t, rules, in...)
		if d := cmp.Diff(in, res.Outputs); d != "" || res.Findings != nil || len(res.Reasons) > 0 {
			t.Fatalf("a safe release was changed: %s %v %v", d, res.Findings, res.Reasons)
		}
		if after, _ := json.Marshal(in); string(after) != string(before) {
			t.Fatal("Check changed its input")
		}
	}
}

func TestCheckIsDeterministic(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 5 {
		in := linked(r, study.Frequencies, 600)
		first := check(t, record.DefaultRules(), in...)
		for range 3 {
			if d := cmp.Diff(first, check(t, record.DefaultRules(), in...)); d != "" {
				t.Fatalf("the same input gave another result: %s", d)
			}
		}
	}
}

// Every cell that a rule hides has a proven range, and it is wide enough.
func TestEvidenceRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	o := randomTable(r, "t", []study.Dimension{dim("a", 3, true, false), dim("b", 4, true, false)}, 300, false)
	res := check(t, record.DefaultRules(), o)
	for _, c := range res.Evidence.Outputs[0].Cells {
		rg, ok := c.Ranges["count"]
		if strings.HasPrefix(c.Suppressed, "primary") != ok {
			t.Errorf("%v is %q and has ranges %v", c.Key, c.Suppressed, c.Ranges)
		}
		if ok && (rg.Low > float64(c.Count) || rg.High < float64(c.Count) || rg.High-rg.Low < float64(res.Evidence.Protection)) {
			t.Errorf("%v = %d has range %v", c.Key, c.Count, rg)
		}
	}
}

func TestReasons(t *testing.T) {
	res := check(t, record.DefaultRules(), oneWay(false, 3, 2))
	if len(res.Reasons) != 1 || !strings.Contains(res.Reasons[0], "every cell") {
		t.Errorf("a table of hidden cells only gives %v", res.Reasons)
	}
}

func TestRounding(t *testing.T) {
	rules := record.DefaultRules()
	rules.RoundTo = 5
	o := rates("r", [2]int64{103, 22}, [2]int64{98, 33})
	c := check(t, rules, o).Outputs[0].Cells[0]
	if c.Count != 105 || c.Contributors["events"] != 20 || c.Values["events"] != 20 || c.Values["person_years"] != 180 || c.Values["rate"] != 0.13 {
		t.Errorf("rounded to 5: %+v", c)
	}
	if o.Cells[0].Contributors["events"] != 22 {
		t.Error("rounding changed the input")
	}
}

func TestBadOutputs(t *testing.T) {
	good := func() study.Output { return oneWay(false, 20, 30) }
	for name, spoil := range map[string]func(*study.Output){
		"unknown kind":          func(o *study.Output) { o.Kind = "shape" },
		"bad name":              func(o *study.Output) { o.Name = "../x" },
		"cell of no category":   func(o *study.Output) { o.Cells[0].Key[0] = "zz" },
		"short key":             func(o *study.Output) { o.Cells[0].Key = nil },
		"twice":                 func(o *study.Output) { o.Cells[1].Key = o.Cells[0].Key },
		"negative":              func(o *study.Output) { o.Cells[0].Count = -1 },
		"not a number":          func(o *study.Output) { o.Cells[0].Values = map[string]float64{"v": math.NaN()} },
		"unnamed measure":       func(o *study.Output) { o.Cells[0].Values = map[string]float64{"v": 1} },
		"contributors > count":  func(o *study.Output) { o.Cells[0].Contributors = map[string]int64{"e": 21} },
		"hidden before":         func(o *study.Output) { o.Cells[0].Suppressed = "secondary" },
		"missing total":         func(o *study.Output) { o.Cells = o.Cells[:2] },
		"category named total":  func(o *study.Output) { o.Dimensions[0].Categories[0] = "total" },
		"category twice":        func(o *study.Output) { o.Dimensions[0].Categories[0] = "a1" },
		"dimension twice":       func(o *study.Output) { o.Dimensions = append(o.Dimensions, o.Dimensions[0]) },
		"dimension of no value": func(o *study.Output) { o.Dimensions[0].Categories = nil },
		"too large": func(o *study.Output) {
			o.Dimensions = []study.Dimension{dim("a", 999, true, false), dim("b", 999, true, false)}
		},
	} {
		o := good()
		spoil(&o)
		if _, err := Check([]study.Output{o}, record.DefaultRules()); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := Check([]study.Output{good(), good()}, record.DefaultRules()); havre.KindOf(err) != havre.Invalid {
		t.Errorf("two outputs of one name: got %v", err)
	}
	for _, bad := range []record.Rules{{}, {MinCount: 11, MaxShare: 2, MaxTop1: 0.5, RoundTo: 1}, {MinCount: 11, MaxShare: 0.9, MaxTop1: 0.5}} {
		if _, err := Check([]study.Output{good()}, bad); havre.KindOf(err) != havre.Invalid {
			t.Errorf("rules %+v: got %v", bad, err)
		}
	}
}
