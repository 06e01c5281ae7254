package cohort

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

var rounds = flag.Int("cohort.rounds", 120, "random populations that both evaluators answer; thousands at night")

// writer writes random definitions. Each kind of thing that Circe knows comes
// up, most of them often.
type author struct{ *rand.Rand }

func (a author) one(n int) bool { return a.IntN(n) == 0 }

func (a author) of(words ...string) string { return words[a.IntN(len(words))] }

func (a author) definition() string {
	var sets []string
	for id := range 3 {
		var items []string
		for range a.IntN(4) {
			items = append(items, fmt.Sprintf(`{"concept": {"CONCEPT_ID": %d}, "isExcluded": %v, "includeDescendants": %v, "includeMapped": %v}`,
				a.IntN(12), a.one(5), a.one(2), a.one(4)))
		}
		sets = append(sets, fmt.Sprintf(`{"id": %d, "name": "s", "expression": {"items": [%s]}}`, id, strings.Join(items, ",")))
	}
	var primary []string
	for range 1 + a.IntN(2)*a.IntN(3) {
		primary = append(primary, a.criterion(0))
	}
	parts := []string{
		fmt.Sprintf(`"ConceptSets": [%s]`, strings.Join(sets, ",")),
		fmt.Sprintf(`"PrimaryCriteria": {"CriteriaList": [%s], "ObservationWindow": {"PriorDays": %d, "PostDays": %d}, "PrimaryCriteriaLimit": {"Type": %q}}`,
			strings.Join(primary, ","), a.IntN(2)*a.IntN(30), a.IntN(2)*a.IntN(20), a.limit()),
		fmt.Sprintf(`"QualifiedLimit": {"Type": %q}, "ExpressionLimit": {"Type": %q}`, a.limit(), a.limit()),
		fmt.Sprintf(`"CollapseSettings": {"CollapseType": "ERA", "EraPad": %d}`, a.IntN(2)*a.IntN(40)),
	}
	if a.one(3) {
		parts = append(parts, `"AdditionalCriteria": `+a.group(0))
	}
	var rules []string
	for range a.IntN(2) * a.IntN(4) {
		rules = append(rules, fmt.Sprintf(`{"name": "r", "expression": %s}`, a.group(0)))
	}
	parts = append(parts, fmt.Sprintf(`"InclusionRules": [%s]`, strings.Join(rules, ",")))
	switch a.IntN(4) {
	case 0:
		parts = append(parts, fmt.Sprintf(`"EndStrategy": {"DateOffset": {"DateField": %q, "Offset": %d}}`, a.of("StartDate", "EndDate"), a.IntN(50)-5))
	case 1:
		supply := ""
		if a.one(3) {
			supply = fmt.Sprintf(`, "DaysSupplyOverride": %d`, a.IntN(20))
		}
		parts = append(parts, fmt.Sprintf(`"EndStrategy": {"CustomEra": {"DrugCodesetId": %d, "GapDays": %d, "Offset": %d%s}}`, a.IntN(3), a.IntN(30), a.IntN(12)-2, supply))
	}
	var censoring []string
	for range a.IntN(2) * a.IntN(3) {
		censoring = append(censoring, a.criterion(1))
	}
	parts = append(parts, fmt.Sprintf(`"CensoringCriteria": [%s]`, strings.Join(censoring, ",")))
	if a.one(4) {
		parts = append(parts, fmt.Sprintf(`"CensorWindow": %s`, a.span()))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (a author) limit() string { return a.of("All", "All", "All", "First", "LAST") }

func (a author) date() string { return fmt.Sprintf("2008-%02d-%02d", 1+a.IntN(8), 1+a.IntN(28)) }

func (a author) span() string {
	switch a.IntN(3) {
	case 0:
		return fmt.Sprintf(`{"StartDate": %q}`, a.date())
	case 1:
		return fmt.Sprintf(`{"EndDate": %q}`, a.date())
	}
	return fmt.Sprintf(`{"StartDate": "2008-03-%02d", "EndDate": "2008-0%d-15"}`, 1+a.IntN(28), 4+a.IntN(5))
}

// criterion writes a criterion; deep ones have no conditions of their own.
func (a author) criterion(depth int) string {
	names := []string{"ConditionOccurrence", "DrugExposure", "ConditionOccurrence", "DrugExposure", "Measurement", "VisitOccurrence", "Death"}
	for _, name := range slices.Sorted(maps.Keys(circe.Kinds)) {
		if name != "LocationRegion" {
			names = append(names, name)
		}
	}
	k := circe.Kinds[a.of(names...)]
	var members []string
	if k.Codeset != "" && !a.one(4) {
		members = append(members, fmt.Sprintf(`"CodesetId": %d`, a.IntN(3)))
	}
	if k.SourceField != "" && a.one(6) {
		members = append(members, fmt.Sprintf(`%q: %d`, k.SourceField, a.IntN(3)))
	}
	if k.First && a.one(4) {
		members = append(members, `"First": true`)
	}
	for _, name := range slices.Sorted(maps.Keys(k.Attributes)) {
		if !a.one(len(k.Attributes) + 2) {
			continue
		}
		at := k.Attributes[name]
		if at.Subject == circe.SubjectRegion || at.Column == "effective_drug_dose" || at.Column == "dose_unit_concept_id" || at.Form == circe.WithoutEffect {
			continue
		}
		members = append(members, fmt.Sprintf("%q: %s", name, a.value(at)))
		if at.Exclude != "" && a.one(2) {
			members = append(members, fmt.Sprintf("%q: true", at.Exclude))
		}
	}
	if a.one(8) && k.Name != "LocationRegion" {
		members = append(members, fmt.Sprintf(`"DateAdjustment": {"StartWith": %q, "StartOffset": %d, "EndWith": %q, "EndOffset": %d}`,
			a.of("START_DATE", "END_DATE"), a.IntN(20)-10, a.of("START_DATE", "END_DATE"), a.IntN(20)-5))
	}
	if depth < 2 && a.one(4) {
		members = append(members, `"CorrelatedCriteria": `+a.group(depth+1))
	}
	return fmt.Sprintf(`{%q: {%s}}`, k.Name, strings.Join(members, ", "))
}

func (a author) value(at *circe.Attribute) string {
	switch at.Form {
	case circe.Dates:
		return fmt.Sprintf(`{"Value": %q, "Extent": %q, "Op": %q}`, a.date(), a.date(), a.op())
	case circe.Integers:
		lo := a.IntN(12)
		if strings.HasPrefix(at.Name, "Age") {
			lo = a.IntN(50)
		}
		return fmt.Sprintf(`{"Value": %d, "Extent": %d, "Op": %q}`, lo, lo+a.IntN(20), a.op())
	case circe.Decimals:
		return fmt.Sprintf(`{"Value": %.1f, "Extent": %d, "Op": %q}`, float64(a.IntN(9))/2-1, a.IntN(5), a.op())
	case circe.Concepts:
		var ids []string
		for range a.IntN(4) {
			ids = append(ids, fmt.Sprintf(`{"CONCEPT_ID": %d}`, a.IntN(12)))
		}
		return "[" + strings.Join(ids, ",") + "]"
	case circe.Selection:
		return fmt.Sprintf(`{"CodesetId": %d, "IsExclusion": %v}`, a.IntN(3), a.one(2))
	case circe.Codeset:
		return fmt.Sprint(a.IntN(3))
	case circe.Texts:
		return fmt.Sprintf(`{"Text": %s, "Op": %q}`, quoted(a.of("a", "b", "_", "%", "'", "é")), a.of("", "!")+a.of("eq", "startsWith", "endsWith", "contains"))
	case circe.UserPeriods:
		return a.span()
	default:
		return fmt.Sprint(!a.one(4))
	}
}

func (a author) op() string { return a.of("lt", "lte", "eq", "!eq", "gt", "gte", "bt", "bt", "!bt") }

func (a author) group(depth int) string {
	var criteria, people, groups []string
	for range a.IntN(3) {
		criteria = append(criteria, a.correlated(depth))
	}
	for range a.IntN(2) * a.IntN(2) {
		var members []string
		for _, name := range slices.Sorted(maps.Keys(circe.Demographics)) {
			if a.one(4) {
				members = append(members, fmt.Sprintf("%q: %s", name, a.value(circe.Demographics[name])))
			}
		}
		people = append(people, "{"+strings.Join(members, ", ")+"}")
	}
	if depth < 2 && a.one(4) {
		groups = append(groups, a.group(depth+1))
	}
	return fmt.Sprintf(`{"Type": %q, "Count": %d, "CriteriaList": [%s], "DemographicCriteriaList": [%s], "Groups": [%s]}`,
		a.of("ALL", "ANY", "AT_LEAST", "AT_MOST"), a.IntN(3), strings.Join(criteria, ","), strings.Join(people, ","), strings.Join(groups, ","))
}

func (a author) correlated(depth int) string {
	c := a.criterion(depth + 1)
	occurrence := fmt.Sprintf(`"Type": %d, "Count": %d`, a.IntN(3), a.IntN(3))
	if a.one(3) {
		kind := c[2 : 2+strings.Index(c[2:], `"`)]
		column := a.of(slices.Sorted(maps.Keys(circe.Kinds[kind].Counts))...)
		occurrence += fmt.Sprintf(`, "IsDistinct": true, "CountColumn": %q`, column)
	}
	parts := []string{`"Criteria": ` + c, `"StartWindow": ` + a.window(), fmt.Sprintf(`"Occurrence": {%s}`, occurrence)}
	if a.one(3) {
		parts = append(parts, `"EndWindow": `+a.window())
	}
	if a.one(4) {
		parts = append(parts, `"RestrictVisit": true`)
	}
	if a.one(3) {
		parts = append(parts, `"IgnoreObservationPeriod": true`)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (a author) window() string {
	end := func() string {
		if a.one(3) {
			return fmt.Sprintf(`{"Coeff": %d}`, 2*a.IntN(2)-1)
		}
		return fmt.Sprintf(`{"Days": %d, "Coeff": %d}`, a.IntN(60), 2*a.IntN(2)-1)
	}
	w := fmt.Sprintf(`"Start": %s, "End": %s`, end(), end())
	for _, name := range []string{"UseIndexEnd", "UseEventEnd"} {
		if a.one(3) {
			w += fmt.Sprintf(`, %q: %v`, name, a.one(2))
		}
	}
	return "{" + w + "}"
}

// TestSlowEvaluator: on random populations and definitions, the evaluator and
// the slow, obvious one give the same rows and the same attrition; all
// definitions of a population are answered in one batch.
func TestSlowEvaluator(t *testing.T) {
	filled, total := 0, 0
	for round := range *rounds {
		a := author{rand.New(rand.NewPCG(uint64(round), 5))}
		tables := randomWorld(a.Rand)
		var documents []string
		var definitions []*Definition
		for range 8 {
			doc := a.definition()
			d, err := Parse([]byte(doc))
			if err != nil {
				t.Fatalf("round %d: %v\n%s", round, err, doc)
			}
			documents, definitions = append(documents, doc), append(definitions, d)
		}
		plan, err := Compile(context.Background(), studytest.NewVocabulary(tables), definitions, false)
		if err != nil {
			t.Fatal(err)
		}
		population := studytest.New(1+a.IntN(3), tables)
		got := rowsOf(t, plan, population)
		counts := make([]Attrition, len(definitions))
		for b := range population.Buckets() {
			res, err := plan.EvaluateAttrition(context.Background(), population, b)
			if err != nil {
				t.Fatal(err)
			}
			for i := range counts {
				counts[i].Merge(res.Attrition[i])
			}
		}
		for i, doc := range documents {
			want := readSlow(tables, doc).evaluate()
			total++
			if len(want.rows) > 0 {
				filled++
			}
			c := counts[i]
			if !slices.Equal(got[i], want.rows) || !maps.Equal(c.Events, want.events) || !maps.Equal(c.Persons, want.persons) || c.Lost != want.lost {
				t.Errorf("round %d, definition %d: %s; attrition %v, want %v %v %d\n%s", round, i, difference(got[i], want.rows), c, want.events, want.persons, want.lost, doc)
				return
			}
		}
	}
	if filled*4 < total {
		t.Errorf("only %d of %d definitions found somebody", filled, total)
	}
	t.Logf("%d definitions, %d of them with rows", total, filled)
}
