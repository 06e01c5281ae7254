package app

import (
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

// released is a curve of each combination of the dimensions, as it leaves: two
// steps and what comes later; of "men" it is hidden, of "nobody" there is none.
func released(dims ...study.Dimension) study.Output {
	o := study.Output{Name: "curves", Title: "Time to bleeding", Kind: study.Survival,
		Dimensions: append(slices.Clone(dims), study.Dimension{Name: study.Days, Categories: []string{"1-90", "91-180", study.Later}, Total: true})}
	keys := [][]string{{}}
	for _, d := range dims {
		var next [][]string
		for _, k := range keys {
			for _, c := range d.Categories {
				next = append(next, append(slices.Clone(k), c))
			}
		}
		keys = next
	}
	for _, k := range keys {
		cell := func(category string, count int64, values map[string]float64) {
			o.Cells = append(o.Cells, study.Cell{Key: append(slices.Clone(k), category), Count: count, Values: values})
		}
		switch {
		case slices.Contains(k, "men"):
			o.Cells = append(o.Cells, study.Cell{Key: append(slices.Clone(k), study.TotalKey), Suppressed: "suppressed"})
		case slices.Contains(k, "nobody"):
			cell(study.TotalKey, 0, nil)
		default:
			cell("1-90", 1234, map[string]float64{"day": 90, "survival": 0.8, "survival_low": 0.7, "survival_high": 0.9})
			cell("91-180", 987, map[string]float64{"day": 180, "survival": 0.45, "survival_low": 0.4, "survival_high": 0.6})
			cell(study.Later, 555, nil)
			cell(study.TotalKey, 1234, map[string]float64{"median": 180, "median_low": 90})
		}
	}
	if len(dims) > 0 {
		o.Cells = append(o.Cells, study.Cell{Key: slices.Repeat([]string{study.TotalKey}, len(dims)+1), Count: 2468,
			Values: map[string]float64{"chi_squared": 12.35, "degrees_of_freedom": 1, "p_value": 0.0004412}})
	}
	return o
}

func TestDrawCurves(t *testing.T) {
	groups := study.Dimension{Name: study.Group, Categories: []string{"target", "comparator"}, Total: true}
	sexes := study.Dimension{Name: "sex", Categories: []string{"women", "men", "nobody"}, Total: true}
	bands := study.Dimension{Name: "age_band", Total: true, Categories: strings.Fields("0-9 10-19 20-29 30-39 40-49 50-59 60-69 70-79 80-89 90+ unknown")}
	for name, tc := range map[string]struct {
		out       study.Output
		want, not []string
	}{
		"one": {released(), []string{"Median in days: 180 (95 % interval 90 to not reached)", "\u202f234<"}, []string{"Log-rank", "suppressed"}},
		"two groups": {released(groups), []string{"target, 180 (95 % interval 90 to not reached); comparator, 180",
			"Log-rank test: chi-squared 12.35 with 1 degree of freedom, p 0.000441.", ">comparator<"}, []string{"suppressed"}},
		"one hidden, one of nobody": {released(sexes), []string{">women<", ">men<", "suppressed"}, []string{"nobody"}},
		"a panel for each age band": {released(groups, bands), []string{">0-9<", ">90+<", ">target<"}, []string{">target, 0-9<"}},
		"only bands":                {released(bands), []string{">40-49<", ">unknown<"}, nil},
	} {
		b, err := (Drawer{}).Draw(tc.out, record.DefaultRules())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(string(b), w) && !strings.Contains(strings.Join(strings.Fields(string(b)), " "), w) {
				t.Errorf("%s: lacks %q:\n%s", name, w, b)
			}
		}
		for _, w := range tc.not {
			if strings.Contains(string(b), w) {
				t.Errorf("%s: has %q", name, w)
			}
		}
	}
	if _, err := (Drawer{}).Draw(study.Output{Name: "c", Kind: study.Survival}, record.DefaultRules()); err == nil {
		t.Error("a picture of nothing was drawn")
	}
}
