package analysis

import (
	"fmt"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
)

func FuzzDecodePrevalence(f *testing.F) {
	for _, key := range []string{"2015-07-01,male,with", "2015-07-01,male,without", "2015,male,with", "2015-07-01,male,total", "02015-07-01,male,with", "2015-07-01,m,with", "100001-07-01,male,with"} {
		f.Add([]byte(fmt.Sprintf(`[{"key":[%s],"max":[],"sum":[3]}]`, quoted(key))), true)
		f.Add([]byte(fmt.Sprintf(`[{"key":[%s],"max":[],"sum":[3]}]`, quoted(key))), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, point bool) {
		s := study.Spec{Target: "a", Outcome: "b", By: []string{study.BySex}, Type: study.Period}
		if point {
			s.Type, s.Day = study.Point, "07-01"
		}
		a := &prevalence{s, newStrata(&s)}
		p := decoded(t, a, data)
		if p == nil {
			return
		}
		if _, err := a.Finish(t.Context(), p); err != nil {
			t.Error(err)
		}
	})
}
