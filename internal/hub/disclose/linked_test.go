package disclose

import (
	"math/rand/v2"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// linked draws persons with four traits and three tables of them that share
// margins, of counts or of rates.
func linked(r *rand.Rand, kind study.Kind, persons int) []study.Output {
	sex, age, region, state := dim("sex", 2, true, false), dim("age", 4, true, false), dim("region", 3, true, false), dim("state", 3, true, false)
	all := randomTable(r, "all", []study.Dimension{sex, age, region, state}, persons, false)
	var people []map[string]string
	for _, c := range all.Cells {
		p := map[string]string{}
		for j, k := range c.Key {
			p[all.Dimensions[j].Name] = k
		}
		if p["sex"] != "total" && p["age"] != "total" && p["region"] != "total" && p["state"] != "total" {
			for range c.Count {
				people = append(people, p)
			}
		}
	}
	hit, years := make([]bool, len(people)), make([]float64, len(people))
	for i := range hit {
		hit[i], years[i] = r.Float64() < 0.2, r.Float64()
	}
	var out []study.Output
	for _, o := range []study.Output{
		{Name: "by-sex-age", Dimensions: []study.Dimension{sex, age}},
		{Name: "by-sex-region", Dimensions: []study.Dimension{sex, region}},
		{Name: "by-state", Dimensions: []study.Dimension{state}},
	} {
		if o.Kind = kind; kind == study.Rates {
			o.Measures = []string{"events", "person_years"}
		}
		out = append(out, tabulate(o, people, hit, years))
	}
	return out
}

func TestNoCellFollowsFromAnotherTable(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var cells, primary, second int
	for i := range 24 {
		in, measures := linked(r, study.Frequencies, 100+r.IntN(500)), []string{"count"}
		if i%4 == 0 {
			in, measures = linked(r, study.Rates, 500+r.IntN(2000)), []string{"count", "events"}
		}
		c, p, q := checkAttack(t, in, record.DefaultRules(), measures)
		cells, primary, second = cells+c, primary+p, second+q
		if t.Failed() {
			return
		}
	}
	t.Logf("%d cells, %d primary, %d secondary", cells, primary, second)
}

// A table without totals is safe alone; beside the table that has them it is not.
func TestTotalsFromAnotherTable(t *testing.T) {
	in := []study.Output{
		{Name: "inner", Kind: study.Frequencies, Dimensions: []study.Dimension{dim("a", 2, false, false), dim("b", 3, false, false)}, Cells: []study.Cell{
			{Key: []string{"a0", "b0"}, Count: 4}, {Key: []string{"a0", "b1"}, Count: 40}, {Key: []string{"a0", "b2"}, Count: 60},
			{Key: []string{"a1", "b0"}, Count: 50}, {Key: []string{"a1", "b1"}, Count: 40}, {Key: []string{"a1", "b2"}, Count: 60}}},
		{Name: "margin", Kind: study.Frequencies, Dimensions: []study.Dimension{dim("a", 2, false, false)}, Cells: []study.Cell{
			{Key: []string{"a0"}, Count: 104}, {Key: []string{"a1"}, Count: 150}}},
	}
	if got := marks(check(t, record.DefaultRules(), in[0]).Outputs[0]); got != "min_count - - - - -" {
		t.Errorf("alone: %s", got)
	}
	if got := marks(check(t, record.DefaultRules(), in...).Outputs[0]); got != "min_count secondary - - - -" {
		t.Errorf("beside its margin: %s", got)
	}
}

// A ratio shows how many persons its rates rest on; beside the counts of a
// cohort, that is their total.
func TestTotalsFromARatio(t *testing.T) {
	counts := study.Output{Name: "counts", Kind: study.Frequencies, Dimensions: []study.Dimension{dim("a", 3, false, false)}, Cells: []study.Cell{
		{Key: []string{"a0"}, Count: 4}, {Key: []string{"a1"}, Count: 40}, {Key: []string{"a2"}, Count: 60}}}
	ratio := study.Output{Name: "ratio", Kind: study.Ratios, Measures: []string{"ratio"}, Cells: []study.Cell{
		{Count: 300, Contributors: map[string]int64{"target_persons": 104, "target_events": 30}, Values: map[string]float64{"ratio": 2}}}}
	res := check(t, record.DefaultRules(), counts, ratio)
	if got := marks(res.Outputs[0]) + " / " + marks(res.Outputs[1]); got != "min_count secondary - / -" {
		t.Errorf("got %s", got)
	}
}

// Persons at risk, persons with an event and person-years are hidden together,
// and none of them follows from the others' totals.
func TestNoRateCanBeComputedBack(t *testing.T) {
	for name, dims := range map[string][]study.Dimension{
		"1 dimension":  {dim("a", 6, true, false)},
		"2 dimensions": {dim("a", 3, true, false), dim("b", 3, true, false)},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(13, 14))
			var cells, primary, second int
			for range 10 {
				in := []study.Output{randomTable(r, "t", dims, 200+r.IntN(1500), true)}
				c, p, q := checkAttack(t, in, record.DefaultRules(), []string{"count", "events"})
				cells, primary, second = cells+c, primary+p, second+q
				if t.Failed() {
					return
				}
			}
			t.Logf("%d cells, %d primary, %d secondary", cells, primary, second)
		})
	}
}

// Persons counted in several years: the parts exceed the total.
func TestOverlappingCategories(t *testing.T) {
	o := study.Output{Name: "t", Kind: study.Frequencies, Dimensions: []study.Dimension{dim("year", 3, true, false)}, Cells: []study.Cell{
		{Key: []string{"year0"}, Count: 6}, {Key: []string{"year1"}, Count: 80}, {Key: []string{"year2"}, Count: 90}, {Key: []string{"total"}, Count: 120}}}
	if got := marks(check(t, record.DefaultRules(), o).Outputs[0]); got != "min_count - - -" {
		t.Errorf("nothing follows from a total that is no sum, got %s", got)
	}
	o.Cells[3].Count = 172 // all but four persons: the small year is at least 2
	if got := marks(check(t, record.DefaultRules(), o).Outputs[0]); got != "min_count - - -" {
		t.Errorf("2 to 10 remain possible, got %s", got)
	}
	o.Cells[0].Count, o.Cells[3].Count = 10, 179 // now it is 9 or 10
	if got := marks(check(t, record.DefaultRules(), o).Outputs[0]); got == "min_count - - -" {
		t.Errorf("9 to 10 is too narrow, got %s", got)
	}
}

func BenchmarkCheck(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	in := []study.Output{
		randomTable(r, "t", []study.Dimension{dim("sex", 2, true, false), dim("age", 20, true, false), dim("year", 10, true, false)}, 4000, false),
	}
	for b.Loop() {
		res, err := Check(in, record.DefaultRules())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(res.Evidence.Outputs[0].Cells)), "cells")
		b.ReportMetric(float64(res.Findings[MinCount]), "primary")
		b.ReportMetric(float64(res.Findings["secondary"]), "secondary")
	}
}
