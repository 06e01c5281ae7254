package analysis

import (
	"fmt"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

func FuzzDecodeCharacterisation(f *testing.F) {
	a := &characterisation{spec: study.Spec{Target: "a", Comparator: "b", Top: 5, Tables: []string{"measurement", "drug_exposure"}}, vocabulary: studytest.NewVocabulary(nil)}
	a.strata = newStrata(&a.spec)
	for _, key := range []string{"target,sex,female,", "target,persons,all,", "comparator,age,67,", "target,age_band,60-69,", "target,year,2015,",
		"target,measurement,14,8554", "comparator,drug_exposure,-14,", "target,drug_exposure,14,8554", "target,measurement,014,", "target,sex,f,", "other,sex,male,", "target,age,unknown,"} {
		f.Add([]byte(fmt.Sprintf(`[{"key":[%s],"max":[],"sum":[3]}]`, quoted(key))))
	}
	f.Add([]byte(`[{"key":["target","sex","male",""],"max":[],"sum":[0]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := decoded(t, a, data)
		if p == nil {
			return
		}
		if _, err := a.Finish(t.Context(), p); err != nil { // whatever is read can be finished
			t.Error(err)
		}
	})
}
