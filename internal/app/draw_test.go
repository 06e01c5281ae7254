package app

import (
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

func TestDraw(t *testing.T) {
	sex := study.Dimension{Name: "sex", Categories: []string{"women", "men"}, Total: true}
	years := study.Dimension{Name: "year", Categories: []string{"2019", "2020", "2021"}}
	cells := []study.Cell{{Key: []string{"women", "2019"}, Count: 120}, {Key: []string{"women", "2020"}, Suppressed: "suppressed"}, {Key: []string{"men", "2021"}, Count: 30}, {Key: []string{"total", "2021"}, Count: 9999}}
	for name, tc := range map[string]struct {
		out       study.Output
		want, not string
	}{
		"years":   {study.Output{Title: "By year", Kind: study.Frequencies, Dimensions: []study.Dimension{sex, years}, Cells: cells}, ">2020<", "9999"},
		"bars":    {study.Output{Title: "By sex", Kind: study.Frequencies, Dimensions: []study.Dimension{sex}, Cells: []study.Cell{{Key: []string{"women"}, Count: 120}, {Key: []string{"men"}, Count: 13}}}, ">120<", "suppressed"},
		"one":     {study.Output{Title: "All", Kind: study.Frequencies, Cells: []study.Cell{{Count: 77}}}, ">77<", "suppressed"},
		"rates":   {study.Output{Title: "Rates", Kind: study.Rates, Dimensions: []study.Dimension{sex}, Measures: []string{"events", "rate", "rate_low", "rate_high"}, Cells: []study.Cell{{Key: []string{"women"}, Values: map[string]float64{"rate": 2, "rate_low": 1.5, "rate_high": 2.5}}, {Key: []string{"men"}, Suppressed: "suppressed"}}}, "2 (1.5 to 2.5)", "∞"},
		"a ratio": {study.Output{Title: "Ratio", Kind: study.Ratios, Measures: []string{"ratio", "low", "high"}, Cells: []study.Cell{{Values: map[string]float64{"ratio": 2, "low": 1.5, "high": 2.5}}}}, "2 (1.5 to 2.5)", "suppressed"},
		"attrition": {study.Output{Title: "Attrition", Kind: study.Attrition, Dimensions: []study.Dimension{{Name: study.Rule, Categories: []string{"1: women", "2: from 40", study.InCohort}, Total: true}}, Measures: []string{study.MeasureRemaining}, Cells: []study.Cell{
			{Key: []string{study.TotalKey}, Count: 320, Values: map[string]float64{study.MeasureRemaining: 320}}, {Key: []string{"1: women"}, Count: 61, Values: map[string]float64{study.MeasureRemaining: 259}},
			{Key: []string{"2: from 40"}, Suppressed: "suppressed"}, {Key: []string{study.InCohort}, Count: 200}}}, ">259<", ">61<"},
		"no upper": {study.Output{Title: "Ratio", Kind: study.Ratios, Measures: []string{"ratio", "low", "high"}, Cells: []study.Cell{{Values: map[string]float64{"ratio": 2, "low": 1.5}}}}, "(1.5 to ∞)", "suppressed"},
	} {
		b, err := (Drawer{}).Draw(tc.out, record.DefaultRules())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := string(b); !strings.Contains(s, tc.want) || strings.Contains(s, tc.not) {
			t.Errorf("%s: wants %q and not %q:\n%s", name, tc.want, tc.not, s)
		}
	}
}
