package cohort

import (
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

// minimal is a definition with a gap: %s stands for members to add.
const minimal = `{"ConceptSets": [{"id": 5, "name": "s", "expression": {"items": [{"concept": {"CONCEPT_ID": 7}, "isExcluded": false, "includeDescendants": true, "includeMapped": false}]}}],
"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 5 CRITERION}}], "ObservationWindow": {"PriorDays": 0, "PostDays": 0 WINDOW}, "PrimaryCriteriaLimit": {"Type": "All"} PRIMARY} REST}`

func minimalWith(place, text string) string {
	doc := strings.Replace(minimal, place, text, 1)
	for _, p := range []string{" CRITERION", " WINDOW", " PRIMARY", " REST"} {
		doc = strings.Replace(doc, p, "", 1)
	}
	return doc
}

func TestParseRefusals(t *testing.T) {
	for _, c := range []struct {
		place, text string
		kind        havre.Kind
		want        []string // in the message
	}{
		{"CRITERION", `, "Frist": true`, havre.Invalid, []string{`$.PrimaryCriteria.CriteriaList[0].ConditionOccurrence.Frist`, `did you mean "First"?`}},
		{"CRITERION", `, "StopReason": {"Op": "contains", "Text": "x"}`, havre.Refused, []string{`ConditionOccurrence.StopReason`, "is not evaluated"}},
		{"CRITERION", `, "VisitType": []`, havre.Refused, []string{`ConditionOccurrence.VisitType`}},
		{"CRITERION", `, "CorrelatedCriteria": {}`, havre.Refused, []string{`ConditionOccurrence.CorrelatedCriteria`}},
		{"CRITERION", `, "DateAdjustment": {}`, havre.Refused, []string{`DateAdjustment`}},
		{"CRITERION", `, "CodesetId": 5`, havre.Invalid, []string{`"CodesetId" stands twice`}},
		{"CRITERION", `, "ConditionSourceConcept": 6`, havre.Invalid, []string{"there is no concept set 6"}},
		{"CRITERION", `, "First": 1`, havre.Invalid, []string{"must be true or false and is a number"}},
		{"CRITERION", `, "Age": {"Value": 1.5, "Op": "gt"}`, havre.Invalid, []string{"$.PrimaryCriteria.CriteriaList[0].ConditionOccurrence.Age.Value", "whole numbers"}},
		{"CRITERION", `, "Age": {"Value": 1, "Op": "about"}`, havre.Invalid, []string{"a comparison is lt"}},
		{"CRITERION", `, "Age": {"Value": 1, "Op": "bt"}`, havre.Invalid, []string{"Age.Extent", "the bound is missing"}},
		{"CRITERION", `, "OccurrenceStartDate": {"Value": "2019-02-29", "Op": "gt"}`, havre.Invalid, []string{"no date"}},
		{"CRITERION", `, "OccurrenceStartDate": {"Value": "31/02/2019", "Op": "gt"}`, havre.Invalid, []string{"no date"}},
		{"WINDOW", `, "PriorDay": 3`, havre.Invalid, []string{`did you mean "PriorDays"?`}},
		{"PRIMARY", `, "Else": 3`, havre.Invalid, []string{`$.PrimaryCriteria.Else`}},
		{"REST", `, "InclusionRules": [{"name": "x"}]`, havre.Refused, []string{"$.InclusionRules", "InclusionRules is not evaluated"}},
		{"REST", `, "AdditionalCriteria": {"Type": "ALL"}`, havre.Refused, []string{"$.AdditionalCriteria"}},
		{"REST", `, "CensoringCriteria": [{}]`, havre.Refused, []string{"$.CensoringCriteria"}},
		{"REST", `, "EndStrategy": {"CustomEra": {"DrugCodesetId": 1}}`, havre.Refused, []string{"$.EndStrategy.CustomEra"}},
		{"REST", `, "EndStrategy": {"DateOffset": {"Offset": 1}}`, havre.Invalid, []string{"$.EndStrategy.DateOffset.DateField"}},
		{"REST", `, "EndStrategy": {}`, havre.Invalid, []string{"one end strategy"}},
		{"REST", `, "CollapseSettings": {"CollapseType": "ERA", "EraPad": -1}`, havre.Invalid, []string{"$.CollapseSettings.EraPad"}},
		{"REST", `, "CollapseSettings": {"CollapseType": "LOOSE"}`, havre.Invalid, []string{"as ERA only"}},
		{"REST", `, "ExpressionLimit": {"Type": "Some"}`, havre.Invalid, []string{"All, First or Last"}},
		{"REST", `, "expressionLimit": {"Type": "First"}`, havre.Invalid, []string{`did you mean "ExpressionLimit"?`}},
		{"REST", `, "InclusionRules": [1], "Titel": ""`, havre.Invalid, []string{"$.InclusionRules", "$.Titel"}}, // all problems at once
	} {
		_, err := Parse([]byte(minimalWith(" "+c.place, c.text)))
		if havre.KindOf(err) != c.kind {
			t.Errorf("%s: kind %q, want %q: %v", c.text, havre.KindOf(err), c.kind, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: the message lacks %q: %v", c.text, w, err)
			}
		}
	}
}

// TestEveryKindIsKnown: a kind of criterion is either evaluated or refused by
// name, and each of its attributes too.
func TestEveryKindIsKnown(t *testing.T) {
	for _, kind := range refusedDomains {
		doc := strings.Replace(minimalWith("", ""), "ConditionOccurrence", kind, 1)
		if _, err := Parse([]byte(doc)); havre.KindOf(err) != havre.Refused || !strings.Contains(err.Error(), kind+" is not evaluated") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for kind, d := range domains {
		for _, a := range d.refused {
			doc := strings.Replace(minimalWith("", ""), `"ConditionOccurrence": {"CodesetId": 5`, `"`+kind+`": {"`+a+`": {}`, 1)
			if _, err := Parse([]byte(doc)); havre.KindOf(err) != havre.Refused || !strings.Contains(err.Error(), kind+"."+a) {
				t.Errorf("%s.%s: %v", kind, a, err)
			}
		}
	}
	doc := strings.Replace(minimalWith("", ""), "ConditionOccurrence", "ConditionOccurence", 1)
	if _, err := Parse([]byte(doc)); havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), `did you mean "ConditionOccurrence"?`) {
		t.Errorf("a misspelt kind: %v", err)
	}
}

func TestParseAccepts(t *testing.T) {
	for _, text := range []string{
		`, "Title": "t", "cdmVersionRange": ">=5.0.0", "CensorWindow": {}, "InclusionRules": [], "CensoringCriteria": []`,
		`, "AdditionalCriteria": null, "EndStrategy": null`,
		`, "ExpressionLimit": {"Type": "last"}, "QualifiedLimit": {"Type": "FIRST"}`,
		`, "CensorWindow": {"StartDate": "2019-1-5"}`,
	} {
		if _, err := Parse([]byte(minimalWith(" REST", text))); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimalWith("", "")))
	f.Add([]byte(minimalWith(" CRITERION", `, "Age": {"Value": 1, "Op": "bt", "Extent": 9}, "Gender": [{"CONCEPT_ID": 8507}]`)))
	f.Add([]byte(`{"PrimaryCriteria": {"CriteriaList": [{"Death": {}}]}}`))
	f.Add([]byte(`[[[[1e999]]]]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data)
		if err != nil {
			if k := havre.KindOf(err); k != havre.Invalid && k != havre.Refused {
				t.Errorf("kind %q: %v", k, err)
			}
			return
		}
		if len(d.criteria) == 0 {
			t.Error("a definition without criteria was accepted")
		}
		for _, c := range d.criteria {
			if c.set >= len(d.ConceptSets) || c.source >= len(d.ConceptSets) {
				t.Error("a criterion points at no concept set")
			}
		}
	})
}
