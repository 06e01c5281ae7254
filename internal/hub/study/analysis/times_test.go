package analysis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

func TestFollowByHand(t *testing.T) {
	year := []cohort.Period{{Start: 0, End: 364}}
	for _, c := range []struct {
		name     string
		tar      study.TimeAtRisk
		clean    int
		observed []cohort.Period
		end      int32
		outcomes []int32
		days     int
		event    bool
	}{ // everybody enters on day 10
		{"nothing happens", study.TimeAtRisk{End: 9}, study.Ever, year, 364, nil, 10, false},
		{"the first outcome ends it", study.TimeAtRisk{End: 9}, study.Ever, year, 364, []int32{12, 14}, 3, true},
		{"on the first day", study.TimeAtRisk{End: 9}, study.Ever, year, 364, []int32{10}, 1, true},
		{"on the last day", study.TimeAtRisk{End: 9}, study.Ever, year, 364, []int32{19}, 10, true},
		{"the day after", study.TimeAtRisk{End: 9}, study.Ever, year, 364, []int32{20}, 10, false},
		{"days count from the first at risk", study.TimeAtRisk{Start: 5, End: 9}, study.Ever, year, 364, []int32{17}, 3, true},
		{"before the first day at risk", study.TimeAtRisk{Start: 5, End: 9}, study.Ever, year, 364, []int32{12, 17}, 0, false},
		{"long before", study.TimeAtRisk{Start: 5, End: 9}, 3, year, 364, []int32{11, 17}, 3, true},
		{"in the clean window", study.TimeAtRisk{Start: 5, End: 9}, 4, year, 364, []int32{11, 17}, 0, false},
		{"no clean window", study.TimeAtRisk{Start: 5, End: 9}, 0, year, 364, []int32{14, 17}, 3, true},
		{"observation ends first", study.TimeAtRisk{End: 730}, study.Ever, year, 364, nil, 355, false},
		{"an outcome that is not observed", study.TimeAtRisk{End: 30}, study.Ever, []cohort.Period{{Start: 0, End: 15}, {Start: 17, End: 364}}, 15, []int32{20}, 6, false},
		{"to the end of the cohort", study.TimeAtRisk{Start: 1, CohortEnd: true}, study.Ever, year, 14, nil, 4, false},
		{"no day at risk", study.TimeAtRisk{Start: 6, CohortEnd: true}, study.Ever, year, 14, nil, 0, false},
	} {
		days, event := follow(&study.Spec{TimeAtRisk: c.tar, CleanWindow: c.clean}, c.observed, 10, c.end, c.outcomes)
		if days != c.days || event != c.event {
			t.Errorf("%s: %d days, event %v, want %d, %v", c.name, days, event, c.days, c.event)
		}
	}
}

// TestFollowAsRisk: with one entry and until the first outcome ever, the days
// and the outcome are those of an incidence.
func TestFollowAsRisk(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		s := study.Spec{CleanWindow: study.Ever}
		s.TimeAtRisk.Start = r.IntN(4)
		if s.TimeAtRisk.CohortEnd = r.IntN(3) == 0; !s.TimeAtRisk.CohortEnd {
			s.TimeAtRisk.End = s.TimeAtRisk.Start + r.IntN(30)
		}
		observed := []cohort.Period{{Start: 0, End: 20 + r.Int32N(60)}}
		start := r.Int32N(20)
		end := start + r.Int32N(40)
		var outcomes []int32
		for at := r.Int32N(60); at < 110; at += 1 + r.Int32N(40) {
			outcomes = append(outcomes, at)
		}
		days, event := follow(&s, observed, start, end, outcomes)
		wantDays, wantEvents := countAtRisk(&s, observed, []int32{start}, []int32{end}, outcomes)
		if int64(days) != wantDays || event != (wantEvents > 0) {
			t.Fatalf("%+v %v %d %d %v: %d %v, want %d %d", s, observed, start, end, outcomes, days, event, wantDays, wantEvents)
		}
	}
}

func FuzzDecodeTimes(f *testing.F) {
	a := newTimes(study.Spec{Target: "a", Comparator: "b"}, []string{study.BySex, study.ByAge, study.ByYear, study.ByAgeBand})
	for _, key := range []string{"target,female,67,2015,60-69,17", "comparator,unknown,unknown,2015,unknown,1", "target,female,067,2015,60-69,17",
		"target,female,67,2015,60-69,0", "either,female,67,2015,60-69,4", "target,f,67,2015,60-69,4"} {
		f.Add([]byte(fmt.Sprintf(`[{"key":[%s],"max":[],"sum":[1,2]}]`, quoted(key))))
	}
	f.Add([]byte(`[{"key":["target","male","5","2015","0-9","100001"],"max":[],"sum":[0,1]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := decoded(t, &a, data)
		if p == nil {
			return
		}
		h := hazardRatio{times: a} // whatever is read can be finished
		h.spec.Adjust, h.spec.Ties = a.strata.by, "efron"
		if _, err := h.Finish(t.Context(), p); err != nil {
			t.Error(err)
		}
	})
}

func quoted(key string) string { return `"` + strings.ReplaceAll(key, ",", `","`) + `"` }
