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
)

// described builds an output of kind Characteristics by hand.
type described struct{ study.Output }

func newDescribed(groups ...string) *described {
	return &described{study.Output{Name: "table1", Title: "Table 1", Kind: study.Characteristics,
		Measures:   []string{study.MeasureShare, study.MeasureMean, study.MeasureSD, study.MeasureDifference},
		Dimensions: []study.Dimension{{Name: study.TraitDim}, {Name: study.CategoryDim}, {Name: study.Group, Categories: groups}}}}
}

func (d *described) add(trait, category string, counts ...int64) *described {
	for j, name := range []string{trait, category} {
		if !slices.Contains(d.Dimensions[j].Categories, name) {
			d.Dimensions[j].Categories = append(d.Dimensions[j].Categories, name)
		}
	}
	for g, n := range counts {
		d.Cells = append(d.Cells, study.Cell{Key: []string{trait, category, d.Dimensions[2].Categories[g]}, Count: n,
			Values: map[string]float64{study.MeasureShare: float64(n) / 7}}) // nonsense that must not leave
	}
	return d
}

func shownCell(o study.Output, key ...string) (study.Cell, bool) {
	i := slices.IndexFunc(o.Cells, func(c study.Cell) bool { return slices.Equal(c.Key, key) })
	if i < 0 {
		return study.Cell{}, false
	}
	return o.Cells[i], true
}

func TestTraitsByHand(t *testing.T) {
	d := newDescribed("target", "comparator")
	d.add("persons", "all", 100, 200)
	d.add("sex", "female", 60, 97).add("sex", "male", 40, 100).add("sex", "unknown", 0, 3)
	d.add("age_band", "0-39", 50, 100).add("age_band", "40+", 50, 100)
	d.add("age", "mean", 100, 200)
	d.add("year", "2019", 100, 200)
	for i, ms := range [][2]float64{{41.23456, 10}, {39, 12}} {
		d.Cells[len(d.Cells)-4+i].Values = map[string]float64{"mean": ms[0], "sd": ms[1]}
	}
	d.add("c few", "present", 10, 50)
	d.add("c nearly all", "present", 95, 50)
	d.add("c nobody", "present", 0, 50)
	d.add("c all but few", "present", 50, 193)
	d.add("c hidden in both", "present", 3, 4)
	d.add("m", "present", 50, 80).add("m", "value in %", 20, 75).add("m", "value without unit", 11, 0)
	res, err := Check([]study.Output{d.Output}, record.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	o := res.Outputs[0]
	for _, c := range []struct {
		key    string
		hidden bool
		values map[string]float64
	}{
		{"persons,all,target", false, map[string]float64{"proportion": 1, "smd": 0}},
		{"sex,female,target", false, map[string]float64{"proportion": 0.6}}, // no difference: the comparator's is hidden
		{"sex,female,comparator", true, nil},                                // 3 unknown would follow
		{"sex,unknown,comparator", true, nil},
		{"sex,male,comparator", false, map[string]float64{"proportion": 0.5}},
		{"age,mean,target", false, map[string]float64{"mean": 41.23, "sd": 10, "smd": 0.2019}}, // 2.23 / sqrt((100 + 144) / 2)
		{"age,mean,comparator", false, map[string]float64{"mean": 39, "sd": 12}},
		{"c few,present,target", true, nil},
		{"c few,present,comparator", false, map[string]float64{"proportion": 0.25}},
		{"c nearly all,present,target", true, nil},
		{"c nobody,present,target", true, nil},
		{"c all but few,present,target", false, map[string]float64{"proportion": 0.5}},
		{"c all but few,present,comparator", true, nil},
		{"m,present,target", false, map[string]float64{"proportion": 0.5, "smd": 0.202}}, // 0.1 / sqrt((0.25 + 0.24) / 2)
		{"m,value in %,target", false, nil},
		{"m,value in %,comparator", true, nil}, // 5 of 80 without
	} {
		got, ok := shownCell(o, strings.Split(c.key, ",")...)
		if !ok || (got.Suppressed != "") != c.hidden || c.hidden && (got.Count != 0 || got.Values != nil) {
			t.Errorf("%s: %+v", c.key, got)
			continue
		}
		for m, v := range c.values {
			if got.Values[m] != v {
				t.Errorf("%s: %s is %v, want %v", c.key, m, got.Values[m], v)
			}
		}
		if _, there := c.values["smd"]; c.values != nil && !there && got.Values["smd"] != 0 {
			t.Errorf("%s: a difference to a hidden number: %+v", c.key, got)
		}
	}
	if _, there := shownCell(o, "c hidden in both", "present", "target"); there || slices.Contains(o.Dimensions[0].Categories, "c hidden in both") {
		t.Error("a concept of which nothing is shown is listed")
	}
	if res.Findings[MinCount] == 0 || res.Findings[ZeroCell] == 0 || res.Findings[MaxShare] == 0 {
		t.Errorf("findings %v", res.Findings)
	}

	// The mean age is not shown where a band of ages is hidden, nor anything of
	// a concept in a group of fewer than twice the threshold.
	small := newDescribed("target")
	small.add("persons", "all", 21).add("sex", "female", 21).add("age_band", "0-39", 18).add("age_band", "40+", 3)
	small.add("age", "mean", 21).add("c", "present", 11)
	small.Cells[4].Values = map[string]float64{"mean": 41.2, "sd": 10}
	res, err = Check([]study.Output{small.Output}, record.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := shownCell(res.Outputs[0], "age", "mean", "target"); c.Suppressed == "" {
		t.Errorf("the mean age is shown: %+v", c)
	}
	if _, there := shownCell(res.Outputs[0], "c", "present", "target"); there {
		t.Error("11 of 21 are shown")
	}
}

func TestTraitsRounded(t *testing.T) {
	rules := record.DefaultRules()
	rules.RoundTo = 10
	d := newDescribed("target")
	d.add("persons", "all", 104).add("c", "present", 33)
	res, err := Check([]study.Output{d.Output}, rules)
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := shownCell(res.Outputs[0], "c", "present", "target"); c.Count != 30 || c.Values["proportion"] != 0.3 {
		t.Errorf("rounded to 10: %+v", c)
	}
}

func TestTraitsMalformed(t *testing.T) {
	for name, spoil := range map[string]func(d *described){
		"no persons":          func(d *described) { d.Cells = d.Cells[1:] },
		"twice":               func(d *described) { d.Cells = append(d.Cells, d.Cells[2]) },
		"does not add up":     func(d *described) { d.Cells[1].Count++ },
		"more than the group": func(d *described) { d.Cells[3].Count = 101 },
		"value without":       func(d *described) { d.Cells = slices.Delete(d.Cells, 3, 4); d.add("c", "value in kg", 5) },
		"more values":         func(d *described) { d.add("c", "value in kg", 41) },
		"hidden already":      func(d *described) { d.Cells[2].Suppressed = "secondary" },
		"an unknown category": func(d *described) { d.Cells[2].Key = []string{"sex", "other", "target"} },
		"no group":            func(d *described) { d.Dimensions = d.Dimensions[:2] },
	} {
		d := newDescribed("target")
		d.add("persons", "all", 100).add("sex", "female", 60).add("sex", "male", 40).add("c", "present", 40)
		spoil(d)
		if _, err := Check([]study.Output{d.Output}, record.DefaultRules()); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// randomDescribed draws two groups of persons with their traits.
func randomDescribed(r *rand.Rand) *described {
	d := newDescribed("target", "comparator")
	bands := []string{"0-19", "20-39", "40-59", "60-79", "80+", "unknown"}
	sexes := []string{"female", "male", "unknown"}
	persons := []int64{20 + r.Int64N(300), 20 + r.Int64N(300)}
	d.add("persons", "all", persons...)
	part := func(trait string, categories []string) {
		counts := make([][]int64, len(categories))
		for i := range counts {
			counts[i] = make([]int64, 2)
		}
		w := make([]float64, len(categories))
		for i := range w {
			w[i] = math.Exp(1.5 * r.NormFloat64())
		}
		for g, n := range persons {
			for range n {
				counts[pick(r, w)][g]++
			}
		}
		for i, c := range categories {
			d.add(trait, c, counts[i]...)
		}
	}
	part("sex", sexes)
	part("age_band", bands)
	for c := range 12 {
		p := []float64{0.01, 0.04, 0.5, 0.88, 0.97}[r.IntN(5)]
		counts := make([]int64, 2)
		for g, n := range persons {
			for range n {
				if r.Float64() < p {
					counts[g]++
				}
			}
		}
		d.add(fmt.Sprintf("c%d", c), "present", counts...)
	}
	return d
}

// plainTables writes what the output says of one group as tables that a reader
// can work with: a trait that everybody has one of with its total; who has a
// concept, who has it not, and all. Nothing is shown of a concept that is not
// listed.
func plainTables(truth, o study.Output, group string) (parted, concepts []study.Output) {
	all, _ := shownCell(o, "persons", "all", group)
	for _, trait := range truth.Dimensions[0].Categories[1:] {
		p := study.Output{Name: trait, Kind: study.Frequencies, Dimensions: []study.Dimension{{Name: trait, Total: true}}}
		rest := study.Cell{Key: []string{"rest"}, Count: all.Count, Suppressed: all.Suppressed}
		for _, c := range truth.Cells {
			if c.Key[0] != trait || c.Key[2] != group {
				continue
			}
			got, listed := shownCell(o, c.Key...)
			if !listed {
				got.Suppressed = "not listed"
			}
			got.Key = c.Key[1:2]
			p.Dimensions[0].Categories = append(p.Dimensions[0].Categories, c.Key[1])
			p.Cells = append(p.Cells, got)
			if c.Key[1] != study.Present {
				continue
			}
			if rest.Count -= got.Count; got.Suppressed != "" {
				rest = study.Cell{Key: rest.Key, Suppressed: "x"}
			}
		}
		total := study.Cell{Key: []string{study.TotalKey}, Count: all.Count, Suppressed: all.Suppressed}
		if p.Dimensions[0].Categories[0] != study.Present {
			p.Cells = append(p.Cells, total)
			parted = append(parted, p)
			continue
		}
		p.Dimensions[0].Categories = append(p.Dimensions[0].Categories, "rest")
		p.Dimensions[0].Sensitive = true // zeros are hidden too
		p.Cells = append(p.Cells, rest, total)
		concepts = append(concepts, p)
	}
	return parted, concepts
}

// TestNoTraitCanBeComputedBack attacks tables of characteristics, alone and
// with other counts of the same persons.
func TestNoTraitCanBeComputedBack(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 11))
	var cells, primary, second int
	for range 15 {
		d := randomDescribed(r)
		rules := record.DefaultRules()
		rules.MinCount = []int{5, 11}[r.IntN(2)]
		outputs := []study.Output{d.Output}
		var sexOfTarget study.Output
		if r.IntN(2) == 0 { // the same persons by sex in another output
			sexOfTarget = study.Output{Name: "by-sex", Kind: study.Frequencies, Dimensions: []study.Dimension{{Name: "sex", Categories: []string{"female", "male", "unknown"}, Total: true}}}
			for _, c := range d.Cells {
				if c.Key[2] == "target" && c.Key[0] == "sex" {
					sexOfTarget.Cells = append(sexOfTarget.Cells, study.Cell{Key: c.Key[1:2], Count: c.Count})
				}
			}
			sexOfTarget.Cells = append(sexOfTarget.Cells, study.Cell{Key: []string{study.TotalKey}, Count: d.Cells[0].Count})
			outputs = append(outputs, sexOfTarget)
		}
		res, err := Check(outputs, rules)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range d.Dimensions[2].Categories {
			truthParted, truthConcepts := plainTables(d.Output, d.Output, group)
			parted, concepts := plainTables(d.Output, res.Outputs[0], group)
			if group == "target" && len(outputs) > 1 {
				truthParted, parted = append(truthParted, sexOfTarget), append(parted, res.Outputs[1])
			}
			for _, pair := range [][2][]study.Output{{truthParted, parted}, {truthConcepts, concepts}} {
				c, p, q := attackOn(t, pair[0], pair[1], rules, []string{"count"})
				cells, primary, second = cells+c, primary+p, second+q
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d cells, %d primary, %d secondary", cells, primary, second)
	if primary == 0 || second == 0 || primary+second == cells {
		t.Error("the attack had nothing to do")
	}
}
