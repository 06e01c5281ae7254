package app

import (
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

func TestDrawShares(t *testing.T) {
	years := study.Dimension{Name: "observed_year", Categories: []string{"2019-07-01", "2020-07-01"}}
	sex := study.Dimension{Name: "sex", Categories: []string{"female", "male", "unknown"}, Total: true}
	outcome := study.Dimension{Name: "outcome_gout", Categories: []string{study.With, study.Without}, Total: true}
	share := map[string]float64{"proportion": 0.05, "proportion_low": 0.04, "proportion_high": 0.06}
	cell := func(count int64, values map[string]float64, key ...string) study.Cell {
		return study.Cell{Key: key, Count: count, Values: values}
	}
	all := study.Output{Title: "Prevalence of gout", Kind: study.Proportions, Dimensions: []study.Dimension{years, outcome}, Cells: []study.Cell{
		cell(50, share, "2019-07-01", study.With), cell(1000, nil, "2019-07-01", study.TotalKey), {Key: []string{"2020-07-01", study.With}, Suppressed: "suppressed"}}}
	by := study.Output{Title: "Prevalence of gout", Kind: study.Proportions, Dimensions: []study.Dimension{years, sex, outcome}, Cells: []study.Cell{
		cell(50, share, "2019-07-01", "female", study.With), cell(50, share, "2019-07-01", "male", study.With), {Key: []string{"2020-07-01", "male", study.With}, Suppressed: "suppressed"},
		cell(0, nil, "2019-07-01", "unknown", study.With), cell(9999, share, "2019-07-01", "total", study.With)}}
	for name, c := range map[string]struct {
		out       study.Output
		want, not []string
	}{
		"all":    {all, []string{">2019-07-01<", "per cent of persons", "suppressed: fewer than 11"}, []string{">1000<"}},
		"by sex": {by, []string{">female<", ">male<", "suppressed"}, []string{">unknown<", ">total<"}},
		"nobody": {study.Output{Title: "x", Kind: study.Proportions, Dimensions: []study.Dimension{{Name: "observed_year", Categories: []string{"none"}}, outcome}}, []string{">none<"}, nil},
	} {
		b, err := (Drawer{}).Draw(c.out, record.DefaultRules())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(string(b), w) {
				t.Errorf("%s lacks %q:\n%s", name, w, b)
			}
		}
		for _, w := range c.not {
			if strings.Contains(string(b), w) {
				t.Errorf("%s has %q", name, w)
			}
		}
	}
}
