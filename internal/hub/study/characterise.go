package study

import (
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// everyone is the cohort of all persons with an observation period, from the
// first day of their first one.
const everyone = `{
  "PrimaryCriteria": {
    "CriteriaList": [{"ObservationPeriod": {"First": true}}],
    "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
    "PrimaryCriteriaLimit": {"Type": "First"}
  },
  "ConceptSets": [],
  "ExpressionLimit": {"Type": "First"},
  "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0}
}`

// conceptTables are the tables whose concepts a characterisation shows.
var conceptTables = []string{"condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement",
	"observation", "device_exposure", "visit_occurrence", "death"}

// Characterise is the study that is run when a user gives none: who is in the
// data, since when, and with what. tables are the CDM tables that there are
// rows of, or that a permit covers; those that hold no events of persons are
// left out.
func Characterise(tables []string) *Definition {
	const observed = "observed"
	d := &Definition{
		Name: "characterise", Title: "What the data hold",
		Description: "Persons by sex, age and year of birth, persons under observation by year, records by table and the commonest concepts.",
		Cohorts:     []Cohort{{Name: observed, Circe: compact([]byte(everyone))}},
		Analyses: []Spec{
			{Name: "persons", Title: "Persons by sex and age when first observed", Kind: KindCounts, Cohort: observed, By: []string{BySex, ByAgeBand}},
			{Name: "births", Title: "Persons by decade of birth and sex", Kind: KindCounts, Cohort: observed, By: []string{ByBirthDecade, BySex}},
			{Name: "entries", Title: "Persons by year when first observed", Kind: KindCounts, Cohort: observed, By: []string{ByYear}},
			{Name: "observed-years", Title: "Persons under observation by year", Kind: KindObservation, Cohort: observed},
		},
	}
	var present []string
	for _, t := range personTables() {
		if slices.Contains(tables, t) {
			present = append(present, t)
		}
	}
	if len(present) == 0 {
		return d
	}
	d.Analyses = append(d.Analyses, Spec{Name: "records", Title: "Records and persons by table", Kind: KindRecords, Cohort: observed, Tables: present})
	for _, name := range conceptTables {
		if t, _ := omop.Lookup(name); t.Concept != "" && slices.Contains(present, name) {
			d.Analyses = append(d.Analyses, Spec{
				Name: "concepts-" + strings.ReplaceAll(name, "_", "-"), Title: "Commonest concepts of " + name,
				Kind: KindConcepts, Cohort: observed, Table: name, Top: defaultTop,
			})
		}
	}
	return d
}
