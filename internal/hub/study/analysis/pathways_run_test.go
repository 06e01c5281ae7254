package analysis_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// ways is a study of pathways: what follows drug 1, for the time observed.
var ways = bleeding + `
  - {name: ways, kind: pathways, target: drug-a, events: [drug-x, drug-y], depth: 2, min_era: 5, collapse: 7, combination_window: 10}
  - {name: back, kind: pathways, target: drug-a, events: [bleeding], filter: changes}
`

// erasOfDrugs are the eras of two more drugs, by their exposures.
const erasOfDrugs = `
  drug-x: {circe: {ConceptSets: [{id: 0, name: x, expression: {items: [{concept: {CONCEPT_ID: 13}}]}}], PrimaryCriteria: {CriteriaList: [{DrugExposure: {CodesetId: 0}}], ObservationWindow: {PriorDays: 0, PostDays: 0}, PrimaryCriteriaLimit: {Type: All}}, ExpressionLimit: {Type: All}, EndStrategy: {DateOffset: {DateField: EndDate, Offset: 0}}}}
  drug-y: {circe: {ConceptSets: [{id: 0, name: y, expression: {items: [{concept: {CONCEPT_ID: 14}}]}}], PrimaryCriteria: {CriteriaList: [{DrugExposure: {CodesetId: 0}}], ObservationWindow: {PriorDays: 0, PostDays: 0}, PrimaryCriteriaLimit: {Type: All}}, ExpressionLimit: {Type: All}, EndStrategy: {DateOffset: {DateField: EndDate, Offset: 0}}}}
analyses:`

func waysText() string { return strings.Replace(ways, "\nanalyses:", erasOfDrugs, 1) }

func TestPathwaysByHand(t *testing.T) {
	person, period, drug := studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder()
	type exposure struct {
		concept    int64
		start, end int
	}
	for id, exposures := range [][]exposure{
		{},                                       // none
		{{13, 0, 3}},                             // too short: none
		{{13, 0, 30}, {14, 31, 60}},              // x, then y
		{{13, 0, 30}, {14, 20, 60}},              // 11 days of both
		{{13, 0, 30}, {14, 22, 60}},              // 9 days of both: x, then y
		{{13, 0, 30}, {13, 37, 60}},              // 7 days between: one era of x
		{{13, -3, 40}, {14, 5, 20}},              // x starts before: y
		{{14, 0, 9}, {13, 10, 20}, {14, 30, 40}}, // y, x; the second y does not count
		{{13, 1200, 1300}},                       // not observed
	} {
		who := int64(id + 1)
		person.Int("person_id", who)
		person.Int("gender_concept_id", 8532)
		person.Int("year_of_birth", 1950)
		period.Int("person_id", who)
		period.Int("observation_period_id", who)
		period.Day("observation_period_start_date", 14610)
		period.Day("observation_period_end_date", 15704)
		for n, e := range append(exposures, exposure{1, 0, 0}) {
			drug.Int("drug_exposure_id", int64(10*id+n))
			drug.Int("person_id", who)
			drug.Int("drug_concept_id", e.concept)
			drug.Day("drug_exposure_start_date", 14700+e.start)
			drug.Day("drug_exposure_end_date", 14700+e.end)
		}
	}
	tables := drugWorld(1)
	tables["person"], tables["observation_period"], tables["drug_exposure"] = person.Table, period.Table, drug.Table
	out := run(t, job(t, parse(t, waysText()), tables, 3))
	o := outputNamed(t, out, "ways")
	want := map[string]int64{"none": 3, "drug-x > drug-y": 2, "drug-x > drug-x+drug-y": 1, "drug-x": 1, "drug-y": 1, "drug-y > drug-x": 1, study.TotalKey: 9}
	if o.Kind != study.Pathways || len(o.Cells) != len(want) {
		t.Errorf("%+v", o)
	}
	for path, n := range want {
		if c := cellOf(t, o, path); c.Count != n || c.Values["proportion"] != float64(n)/9 {
			t.Errorf("%s: %+v, want %d", path, c, n)
		}
	}
	if !slices.IsSorted(o.Dimensions[0].Categories) {
		t.Errorf("%v", o.Dimensions)
	}
	j := job(t, parse(t, waysText()), tables, 8)
	j.Runner = shuffled{4}
	if got, want := encode(t, run(t, j)), encode(t, out); got != want {
		t.Errorf("in another order:\n%s\nwant\n%s", got, want)
	}
}
