package analysis

import (
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

func TestStrataOfAPerson(t *testing.T) {
	const newYear2020 = 18262
	standard := newStrata(&study.Spec{})
	coarse := newStrata(&study.Spec{AgeBands: []int{0, 18, 65}})
	for _, c := range []struct {
		born         int32
		wide, narrow string
	}{
		{2020, "0-9", "0-17"}, {2011, "0-9", "0-17"}, {2010, "10-19", "0-17"}, {2002, "10-19", "18-64"}, {1955, "60-69", "65+"},
		{1930, "90+", "65+"}, {1890, "90+", "65+"}, {2021, unknown, unknown}, {cohort.NoYear, unknown, unknown},
	} {
		if wide, narrow := standard.ageBand(c.born, newYear2020), coarse.ageBand(c.born, newYear2020); wide != c.wide || narrow != c.narrow {
			t.Errorf("born %d: %s and %s, want %s and %s", c.born, wide, narrow, c.wide, c.narrow)
		}
	}
	if sexOf(8532) != "female" || sexOf(8507) != "male" || sexOf(0) != unknown || sexOf(cohort.NoConcept) != unknown {
		t.Error("sex is misread")
	}
	if decade(floorDiv(1999, 10)*10) != "1990s" || floorDiv(-1, 10) != -1 || floorDiv(0, 10) != 0 {
		t.Error("decades are misread")
	}
}
