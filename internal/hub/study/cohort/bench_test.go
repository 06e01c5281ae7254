package cohort

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// benchWorld is one bucket: persons with a hundred events each over a thousand
// concepts, in the two large tables.
func benchWorld(persons int) map[string]studytest.Table {
	r := rand.New(rand.NewPCG(1, 2))
	period, concept, ancestor, relation := newBuilder(), newBuilder(), newBuilder(), newBuilder()
	tables := map[string]studytest.Table{}
	for id := range int64(1000) {
		concept.int("concept_id", id, true)
		concept.text("invalid_reason", "", false)
		ancestor.int("ancestor_concept_id", id/10, true)
		ancestor.int("descendant_concept_id", id, true)
	}
	relation.int("concept_id_1", 0, true)
	relation.int("concept_id_2", 0, true)
	relation.text("relationship_id", "Is a", true)
	for p := range persons {
		period.int("person_id", int64(p), true)
		period.day("observation_period_start_date", 15000, true)
		period.day("observation_period_end_date", 18650, true)
	}
	for _, kind := range [][3]string{
		{"condition_occurrence", "condition", "condition_"}, {"drug_exposure", "drug", "drug_exposure_"},
	} {
		b := newBuilder()
		for i := range persons * 50 {
			day := 15000 + r.IntN(3650)
			b.int(kind[0]+"_id", int64(i), true)
			b.int("person_id", r.Int64N(int64(persons)), true)
			b.int(kind[1]+"_concept_id", int64(float64(1000)*r.Float64()*r.Float64()), true)
			b.day(kind[2]+"start_date", day, true)
			b.day(kind[2]+"end_date", day+r.IntN(30), r.IntN(2) == 0)
		}
		tables[kind[0]] = b.Table
	}
	tables["observation_period"], tables["concept"], tables["concept_ancestor"], tables["concept_relationship"] =
		period.Table, concept.Table, ancestor.Table, relation.Table
	return tables
}

// BenchmarkEvaluate answers 1, 100 and 1,000 definitions in one pass over one
// bucket of 20,000 persons and 2 million rows. rows/s counts the rows of the
// bucket, whether or not a definition wants them.
func BenchmarkEvaluate(b *testing.B) {
	const persons = 20_000
	tables := benchWorld(persons)
	vocabulary := studytest.NewVocabulary(tables)
	population := studytest.New(1, tables)
	rows := tables["condition_occurrence"].Len() + tables["drug_exposure"].Len()
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("definitions=%d", n), func(b *testing.B) {
			r := rand.New(rand.NewPCG(3, 4))
			var definitions []*Definition
			for range n {
				d, err := Parse([]byte(benchDefinition(r)))
				if err != nil {
					b.Fatal(err)
				}
				definitions = append(definitions, d)
			}
			plan, err := Compile(context.Background(), vocabulary, definitions, false)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := plan.Evaluate(context.Background(), population, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func benchDefinition(r *rand.Rand) string {
	kind := []string{"ConditionOccurrence", "DrugExposure"}[r.IntN(2)]
	var items []string
	for range 1 + r.IntN(3) {
		items = append(items, fmt.Sprintf(`{"concept": {"CONCEPT_ID": %d}, "includeDescendants": true}`, r.IntN(100)))
	}
	return fmt.Sprintf(`{"ConceptSets": [{"id": 0, "name": "", "expression": {"items": [%s]}}],
		"PrimaryCriteria": {"CriteriaList": [{%q: {"CodesetId": 0, "First": %v}}], "ObservationWindow": {"PriorDays": 365, "PostDays": 0},
		"PrimaryCriteriaLimit": {"Type": "All"}}, "EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 30}},
		"CollapseSettings": {"CollapseType": "ERA", "EraPad": 30}}`, strings.Join(items, ","), kind, r.IntN(2) == 0)
}
