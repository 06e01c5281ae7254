package app

import (
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// releasedTraits is a Table 1 as it leaves, of one group or of two.
func releasedTraits(groups ...string) study.Output {
	o := study.Output{Name: "table1", Title: "Persons of a and b", Kind: study.Characteristics,
		Dimensions: []study.Dimension{{Name: study.TraitDim}, {Name: study.CategoryDim}, {Name: study.Group, Categories: groups}}}
	add := func(trait, category string, counts []int64, values map[string]float64) {
		for i, g := range groups {
			c := study.Cell{Key: []string{trait, category, g}, Count: counts[i], Values: map[string]float64{}}
			for m, v := range values {
				if m != study.MeasureDifference || i == 0 && len(groups) > 1 {
					c.Values[m] = v
				}
			}
			if counts[i] == 0 {
				c = study.Cell{Key: c.Key, Suppressed: "suppressed"}
			}
			o.Cells = append(o.Cells, c)
		}
	}
	add("persons", "all", []int64{1234, 2345}, map[string]float64{"proportion": 1, "smd": 0})
	add("sex", "female", []int64{600, 1200}, map[string]float64{"proportion": 0.512, "smd": 0.04})
	add("age", "mean", []int64{1234, 2345}, map[string]float64{"mean": 63.42, "sd": 11.57, "smd": -0.2})
	add("condition_occurrence 1 Gout", "present", []int64{40, 80}, map[string]float64{"proportion": 0.03, "smd": 0.01})
	add("condition_occurrence 2 Angina", "present", []int64{400, 80}, map[string]float64{"proportion": 0.3, "smd": 0.5})
	add("measurement 3 HbA1c", "present", []int64{0, 80}, map[string]float64{"proportion": 0.03})
	add("measurement 3 HbA1c", "value in 8554 percent", []int64{0, 70}, map[string]float64{"proportion": 0.03})
	return o
}

func TestDrawTraits(t *testing.T) {
	b, err := (Drawer{}).Draw(releasedTraits("target", "comparator"), record.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	for _, w := range []string{">1234<", ">600 (51.2 %)<", ">63.4 (11.6)<", ">condition occurrence<", ">Angina<", ">HbA1c: value in percent<", "suppressed: fewer than 11", "standardised difference"} {
		if !strings.Contains(s, w) {
			t.Errorf("the chart lacks %q:\n%s", w, s)
		}
	}
	if strings.Index(s, ">Angina") > strings.Index(s, ">Gout") {
		t.Error("the larger difference does not come first")
	}
	b, err = (Drawer{}).Draw(releasedTraits("target"), record.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); !strings.Contains(s, "per cent of persons") || !strings.Contains(s, ">51.2<") || strings.Contains(s, "mean (sd)") || !strings.Contains(s, "suppressed") {
		t.Errorf("of one group:\n%s", s)
	}
	empty := study.Output{Title: "Nobody", Kind: study.Characteristics, Dimensions: releasedTraits("target").Dimensions}
	if _, err := (Drawer{}).Draw(empty, record.DefaultRules()); err != nil {
		t.Errorf("of nobody: %v", err)
	}
}
