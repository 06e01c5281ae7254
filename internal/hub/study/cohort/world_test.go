package cohort

import (
	"math"
	"math/rand/v2"
	"strings"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
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

// float adds a number, or null.
func (b builder) float(name string, v float64, ok bool) {
	c := b.Table[name]
	if c == nil {
		c = &studytest.Column{}
		b.Table[name] = c
	}
	c.Floats, c.Null = append(c.Floats, v), append(c.Null, !ok)
}

// worldPeople have ids of every sort.
var worldPeople = []int64{-9, 0, 1, 2, 7, math.MinInt64 + 3, math.MaxInt64 - 1, 1 << 40}

// baseDay is 28 February 2008: the days after it hold a leap day.
const baseDay = 13937

// randomWorld makes a small population and vocabulary. Values come from small
// sets, so that days, ids of other tables and concepts coincide often; ids of
// one table are distinct.
func randomWorld(r *rand.Rand) map[string]studytest.Table {
	person, period := newBuilder(), newBuilder()
	for _, id := range worldPeople {
		if r.IntN(8) > 0 {
			person.int("person_id", id, true)
			person.int("gender_concept_id", int64(r.IntN(4)), r.IntN(8) > 0)
			person.int("race_concept_id", int64(r.IntN(4)), r.IntN(8) > 0)
			person.int("ethnicity_concept_id", int64(r.IntN(4)), r.IntN(8) > 0)
			person.int("year_of_birth", int64(1960+r.IntN(50)), r.IntN(8) > 0)
		}
		end := baseDay - 20
		for range r.IntN(4) { // touching, overlapping and apart; some persons have none
			start := end + r.IntN(40) - 8
			end = start + r.IntN(200)
			period.int("observation_period_id", r.Int64(), true)
			period.int("person_id", id, true)
			period.day("observation_period_start_date", start, true)
			period.day("observation_period_end_date", end, true)
			period.int("period_type_concept_id", int64(r.IntN(4)), r.IntN(5) > 0)
		}
	}
	tables := map[string]studytest.Table{"person": person.Table, "observation_period": period.Table}
	for name, k := range circe.Kinds {
		if spec, ok := omop.Lookup(k.Table); ok && name != "ObservationPeriod" {
			tables[k.Table] = randomRows(r, spec, 12+r.IntN(60))
		}
	}
	provider, site := newBuilder(), newBuilder()
	for id := range int64(4) {
		provider.int("provider_id", id, true)
		provider.int("specialty_concept_id", int64(r.IntN(5)), r.IntN(4) > 0)
		site.int("care_site_id", id, true)
		site.int("place_of_service_concept_id", int64(r.IntN(5)), r.IntN(4) > 0)
	}
	tables["provider"], tables["care_site"] = provider.Table, site.Table
	concept, ancestor, relation := newBuilder(), newBuilder(), newBuilder()
	relation.int("concept_id_1", 3, true)
	relation.int("concept_id_2", 2, true)
	relation.text("relationship_id", "Is a", true)
	relation.text("invalid_reason", "", false)
	ancestor.int("ancestor_concept_id", 2, true)
	ancestor.int("descendant_concept_id", 3, true)
	for id := int64(1); id < 10; id++ { // 0, 10 and 11 are unknown to the vocabulary
		concept.int("concept_id", id, true)
		concept.text("invalid_reason", "D", r.IntN(5) == 0)
		for other := id; other < 11; other++ {
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

var worldTexts = []string{"", "a", "ab", "b", "50%", "it's", "A", "é"}

// randomRows fills a table about persons.
func randomRows(r *rand.Rand, spec omop.Table, rows int) studytest.Table {
	b := newBuilder()
	ids := r.Perm(4 * rows)
	for i := range rows {
		day := baseDay + r.IntN(40)*r.IntN(6)
		for _, f := range spec.Fields {
			there := f.Required || r.IntN(4) > 0
			switch {
			case f.Name == spec.ID:
				b.int(f.Name, int64(ids[i])-int64(rows)+int64(i&1)<<50, true)
			case f.Name == "person_id":
				b.int(f.Name, worldPeople[r.IntN(len(worldPeople))], true)
			case f.Name == "visit_occurrence_id":
				b.int(f.Name, int64(r.IntN(60)-15), there)
			case f.Name == "days_supply":
				b.int(f.Name, int64(r.IntN(40)-2), there)
			case f.Name == "value_as_concept_id" && r.IntN(6) == 0:
				b.int(f.Name, 4155142, true)
			case f.Type == omop.Integer:
				b.int(f.Name, int64(r.IntN(12)), there)
			case f.Type == omop.Float:
				b.float(f.Name, float64(r.IntN(9))/2-1, there)
			case f.Name == spec.Start:
				b.day(f.Name, day, true)
			case f.Type == omop.Date:
				b.day(f.Name, day+r.IntN(30)-3, there)
			case f.Type == omop.Text:
				b.text(f.Name, worldTexts[r.IntN(len(worldTexts))], there)
			}
		}
	}
	return b.Table
}

// quoted gives a JSON text.
func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
