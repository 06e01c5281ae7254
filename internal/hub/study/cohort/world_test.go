package cohort

import (
	"math"
	"math/rand/v2"

	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// builder fills a table row by row; a value that is not ok is null.
type builder struct{ studytest.Builder }

func newBuilder() builder { return builder{studytest.NewBuilder()} }

func (b builder) int(name string, v int64, ok bool) {
	if ok {
		b.Int(name, v)
	} else {
		b.NullInt(name)
	}
}

func (b builder) day(name string, v int, ok bool) {
	if ok {
		b.Day(name, v)
	} else {
		b.NullDay(name)
	}
}

func (b builder) text(name, v string, ok bool) {
	if ok {
		b.Text(name, v)
	} else {
		b.NullText(name)
	}
}

// randomWorld makes a small population and vocabulary.
func randomWorld(r *rand.Rand) map[string]studytest.Table {
	people := []int64{-9, 0, 1, 2, 7, math.MinInt64 + 3, math.MaxInt64 - 1, 1 << 40}
	person, period := newBuilder(), newBuilder()
	for _, id := range people {
		if r.IntN(8) > 0 {
			person.int("person_id", id, true)
			person.int("gender_concept_id", []int64{8507, 8532, 0}[r.IntN(3)], r.IntN(8) > 0)
			person.int("year_of_birth", int64(1960+r.IntN(50)), r.IntN(8) > 0)
		}
		end := baseDay - 20
		for range r.IntN(4) { // touching, overlapping and apart; some persons have none
			start := end + r.IntN(60) - 10
			end = start + r.IntN(200)
			period.int("observation_period_id", r.Int64(), true)
			period.int("person_id", id, true)
			period.day("observation_period_start_date", start, true)
			period.day("observation_period_end_date", end, true)
		}
	}
	tables := map[string]studytest.Table{"person": person.Table, "observation_period": period.Table}
	for _, kind := range [][2]string{{"condition_occurrence", "condition"}, {"drug_exposure", "drug"}} {
		b := newBuilder()
		start, end := kind[1]+"_start_date", kind[1]+"_end_date"
		if kind[1] == "drug" {
			start, end = "drug_exposure_start_date", "drug_exposure_end_date"
		}
		ids := r.Perm(400)
		for i := range 120 {
			day := baseDay + r.IntN(40)*r.IntN(10)
			b.int(kind[0]+"_id", int64(ids[i])-200+int64(r.IntN(2))<<50, true)
			b.int("person_id", people[r.IntN(len(people))], true)
			b.int(kind[1]+"_concept_id", int64(r.IntN(15)), r.IntN(20) > 0)
			b.int(kind[1]+"_source_concept_id", int64(r.IntN(15)), r.IntN(4) > 0)
			b.day(start, day, true)
			b.day(end, day+r.IntN(30)-3, r.IntN(3) > 0)
			if kind[1] == "drug" {
				b.int("days_supply", int64(r.IntN(40)-2), r.IntN(3) > 0)
			}
		}
		tables[kind[0]] = b.Table
	}
	concept, ancestor, relation := newBuilder(), newBuilder(), newBuilder()
	for id := int64(1); id < 13; id++ { // 0, 13 and 14 are unknown to the vocabulary
		concept.int("concept_id", id, true)
		concept.text("invalid_reason", "D", r.IntN(5) == 0)
		for other := id; other < 14; other++ {
			if other == id && r.IntN(4) > 0 || r.IntN(6) == 0 {
				ancestor.int("ancestor_concept_id", id, true)
				ancestor.int("descendant_concept_id", other, true)
			}
			if r.IntN(8) == 0 {
				relation.int("concept_id_1", other, true)
				relation.int("concept_id_2", id, true)
				relation.text("relationship_id", []string{"Maps to", "Is a"}[r.IntN(2)], true)
				relation.text("invalid_reason", "D", r.IntN(4) == 0)
			}
		}
	}
	tables["concept"], tables["concept_ancestor"], tables["concept_relationship"] = concept.Table, ancestor.Table, relation.Table
	return tables
}
