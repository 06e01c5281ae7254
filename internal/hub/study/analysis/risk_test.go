package analysis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// countAtRisk is what risk does for one person.
func countAtRisk(s *study.Spec, observed []cohort.Period, starts, ends, outcomes []int32) (days, events int64) {
	r := risk{spec: s}
	r.spans(observed, starts, ends)
	r.clean(outcomes)
	return r.count(outcomes)
}

func TestRiskByHand(t *testing.T) {
	year := []cohort.Period{{Start: 0, End: 364}}
	for _, c := range []struct {
		name                   string
		tar                    study.TimeAtRisk
		clean                  int
		observed               []cohort.Period
		starts, ends, outcomes []int32
		days, events           int64
	}{
		{"nothing happens", study.TimeAtRisk{Start: 0, End: 9}, study.Ever, year, []int32{10}, []int32{364}, nil, 10, 0},
		{"the day of the outcome counts, those after do not", study.TimeAtRisk{Start: 0, End: 9}, study.Ever, year, []int32{10}, []int32{364}, []int32{12, 14}, 3, 1},
		{"an outcome on the first day", study.TimeAtRisk{Start: 0, End: 9}, study.Ever, year, []int32{10}, []int32{364}, []int32{10}, 1, 1},
		{"an outcome on the last day", study.TimeAtRisk{Start: 0, End: 9}, study.Ever, year, []int32{10}, []int32{364}, []int32{19}, 10, 1},
		{"an outcome the day after", study.TimeAtRisk{Start: 0, End: 9}, study.Ever, year, []int32{10}, []int32{364}, []int32{20}, 10, 0},
		{"an earlier outcome excludes", study.TimeAtRisk{Start: 1, End: 9}, study.Ever, year, []int32{10}, []int32{364}, []int32{10}, 0, 0},
		{"observation ends first", study.TimeAtRisk{Start: 0, End: 730}, study.Ever, year, []int32{350}, []int32{364}, nil, 15, 0},
		{"only the entry's own observation", study.TimeAtRisk{Start: 0, End: 30}, study.Ever, []cohort.Period{{Start: 0, End: 15}, {Start: 16, End: 364}}, []int32{10}, []int32{15}, []int32{20}, 6, 0},
		{"to the end of the cohort", study.TimeAtRisk{Start: 1, CohortEnd: true}, study.Ever, year, []int32{10}, []int32{14}, nil, 4, 0},
		{"times at risk that overlap", study.TimeAtRisk{Start: 0, End: 9}, study.Ever, year, []int32{10, 15}, []int32{11, 16}, nil, 15, 0},
		{"recurrent without a window", study.TimeAtRisk{Start: 0, End: 9}, 0, year, []int32{10}, []int32{364}, []int32{5, 12, 14}, 10, 2},
		{"a window of two days", study.TimeAtRisk{Start: 0, End: 9}, 2, year, []int32{10}, []int32{364}, []int32{9, 12, 13, 18}, 4, 2},
	} {
		days, events := countAtRisk(&study.Spec{TimeAtRisk: c.tar, CleanWindow: c.clean}, c.observed, c.starts, c.ends, c.outcomes)
		if days != c.days || events != c.events {
			t.Errorf("%s: %d days and %d events, want %d and %d", c.name, days, events, c.days, c.events)
		}
	}
}

// TestRiskDayByDay compares with the rule applied to every single day.
func TestRiskDayByDay(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for i := range 3000 {
		s := study.Spec{CleanWindow: []int{study.Ever, 0, 1, 5, 40}[r.IntN(5)]}
		s.TimeAtRisk.Start = r.IntN(4)
		if s.TimeAtRisk.CohortEnd = r.IntN(3) == 0; !s.TimeAtRisk.CohortEnd {
			s.TimeAtRisk.End = s.TimeAtRisk.Start + r.IntN(30)
		}
		var observed []cohort.Period
		for at := int32(0); at < 80; {
			end := at + r.Int32N(60)
			observed = append(observed, cohort.Period{Start: at, End: end})
			at = end + r.Int32N(5)
		}
		var starts, ends, outcomes []int32
		for at := r.Int32N(20); at < 80; at += 1 + r.Int32N(30) {
			starts, ends = append(starts, at), append(ends, at+r.Int32N(20))
		}
		for at := r.Int32N(40); at < 110; at += 1 + r.Int32N(40) {
			outcomes = append(outcomes, at)
		}
		var wantDays, wantEvents int64
		for day := int32(0); day < 200; day++ {
			at := false
			for e, start := range starts {
				end := start + int32(s.TimeAtRisk.End)
				if s.TimeAtRisk.CohortEnd {
					end = ends[e]
				}
				for _, o := range observed {
					at = at || o.Start <= start && start <= o.End && start+int32(s.TimeAtRisk.Start) <= day && day <= end && day <= o.End
				}
			}
			for _, o := range outcomes {
				if o < day && (s.CleanWindow == study.Ever || int(day-o) <= s.CleanWindow) {
					at = false
				}
			}
			if at {
				wantDays++
				if slices.Contains(outcomes, day) {
					wantEvents++
				}
			}
		}
		days, events := countAtRisk(&s, observed, starts, ends, outcomes)
		if days != wantDays || events != wantEvents {
			t.Fatalf("case %d %s: %d days and %d events, want %d and %d", i,
				fmt.Sprint(s.TimeAtRisk, s.CleanWindow, observed, starts, ends, outcomes), days, events, wantDays, wantEvents)
		}
	}
}
