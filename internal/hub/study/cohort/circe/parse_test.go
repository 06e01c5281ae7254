package circe

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/realinput"
)

// minimal is a definition with gaps for members to add.
const minimal = `{"ConceptSets": [{"id": 5, "name": "s", "expression": {"items": [{"concept": {"CONCEPT_ID": 7}, "isExcluded": false, "includeDescendants": true, "includeMapped": false}]}}],
"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 5 CRITERION}}], "ObservationWindow": {"PriorDays": 0, "PostDays": 0 WINDOW}, "PrimaryCriteriaLimit": {"Type": "All"} PRIMARY} REST}`

func minimalWith(place, text string) string {
	doc := strings.Replace(minimal, place, text, 1)
	for _, p := range []string{" CRITERION", " WINDOW", " PRIMARY", " REST"} {
		doc = strings.Replace(doc, p, "", 1)
	}
	return doc
}

// around is a correlated criterion with gaps.
const around = `, "CorrelatedCriteria": {"Type": "ALL", "CriteriaList": [{"Criteria": {"DrugExposure": {}},
"StartWindow": {"Start": {"Days": 1, "Coeff": -1}, "End": {"Coeff": 1}}, "Occurrence": {"Type": 2, "Count": 1 OCCURRENCE} CORRELATED}]}`

func aroundWith(place, text string) string {
	doc := strings.Replace(around, place, text, 1)
	for _, p := range []string{" OCCURRENCE", " CORRELATED"} {
		doc = strings.Replace(doc, p, "", 1)
	}
	return doc
}

func TestParseRefusals(t *testing.T) {
	const first = "$.PrimaryCriteria.CriteriaList[0].ConditionOccurrence"
	for _, c := range []struct {
		place, text string
		want        []string // in the message
	}{
		{"CRITERION", `, "Frist": true`, []string{first + `.Frist`, `did you mean "First"?`}},
		{"CRITERION", `, "StopReason": {"Op": "holds", "Text": "x"}`, []string{first + ".StopReason.Op", "startsWith"}},
		{"CRITERION", `, "StopReason": {"Op": "contains"}`, []string{first + ".StopReason.Text", "missing"}},
		{"CRITERION", `, "DateAdjustment": {"StartWith": "MIDDLE"}`, []string{"DateAdjustment.StartWith", "START_DATE"}},
		{"CRITERION", `, "ConditionTypeCS": {"CodesetId": 6}`, []string{"there is no concept set 6"}},
		{"CRITERION", `, "GenderCS": {"CodesetId": 5, "IsExcluded": true}`, []string{`did you mean "IsExclusion"?`}},
		{"CRITERION", `, "CodesetId": 5`, []string{`"CodesetId" stands twice`}},
		{"CRITERION", `, "ConditionSourceConcept": 6`, []string{"there is no concept set 6"}},
		{"CRITERION", `, "First": 1`, []string{"must be true or false and is a number"}},
		{"CRITERION", `, "Age": {"Value": 1, "Op": "about"}`, []string{"a comparison is lt"}},
		{"CRITERION", `, "Age": {"Value": 1, "Op": "bt"}`, []string{"Age.Extent", "the bound is missing"}},
		{"CRITERION", `, "Age": {"Value": 1e300, "Op": "lt"}`, []string{"out of range"}},
		{"CRITERION", `, "OccurrenceStartDate": {"Value": "2019-02-29", "Op": "gt"}`, []string{"no date"}},
		{"CRITERION", `, "OccurrenceStartDate": {"Value": "31/02/2019", "Op": "gt"}`, []string{"no date"}},
		{"CRITERION", aroundWith("OCCURRENCE", `, "IsDistinct": true, "CountColumn": "QUANTTY"`), []string{"CriteriaList[0].Occurrence.CountColumn", "QUANTITY"}},
		{"CRITERION", aroundWith("CORRELATED", `, "EndWindow": {"UseEventEnd": true}`), []string{"EndWindow.Start", "EndWindow.End", "bound of the window"}},
		{"CRITERION", aroundWith("CORRELATED", `, "Restrict": true`), []string{`Circe has no such field`}},
		{"CRITERION", strings.Replace(aroundWith("", ""), `"ALL"`, `"MOST"`, 1), []string{"ALL, ANY, AT_LEAST or AT_MOST"}},
		{"CRITERION", strings.Replace(aroundWith("", ""), `"ALL"`, `"AT_LEAST"`, 1), []string{".Count", "how many parts"}},
		{"CRITERION", strings.Replace(aroundWith("", ""), `"Type": 2`, `"Type": 3`, 1), []string{"3 is outside 0 to 2"}},
		{"CRITERION", strings.Replace(aroundWith("", ""), `"StartWindow"`, `"Window"`, 1), []string{"CriteriaList[0].Window", "StartWindow"}},
		{"WINDOW", `, "PriorDay": 3`, []string{`did you mean "PriorDays"?`}},
		{"PRIMARY", `, "Else": 3`, []string{`$.PrimaryCriteria.Else`}},
		{"REST", `, "InclusionRules": [{"name": "x"}]`, []string{"$.InclusionRules[0].expression"}},
		{"REST", `, "CensoringCriteria": [{}]`, []string{"$.CensoringCriteria[0]"}},
		{"REST", `, "EndStrategy": {"CustomEra": {"GapDays": 1}}`, []string{"$.EndStrategy.CustomEra.DrugCodesetId"}},
		{"REST", `, "EndStrategy": {"DateOffset": {"Offset": 1}}`, []string{"$.EndStrategy.DateOffset.DateField"}},
		{"REST", `, "EndStrategy": {}`, []string{"one end strategy"}},
		{"REST", `, "CollapseSettings": {"CollapseType": "ERA", "EraPad": -1}`, []string{"$.CollapseSettings.EraPad"}},
		{"REST", `, "CollapseSettings": {"CollapseType": "LOOSE"}`, []string{"as ERA only"}},
		{"REST", `, "ExpressionLimit": {"Type": "Some"}`, []string{"All, First or Last"}},
		{"REST", `, "expressionLimit": {"Type": "First"}`, []string{`did you mean "ExpressionLimit"?`}},
		{"REST", `, "InclusionRules": [1], "Titel": ""`, []string{"$.InclusionRules", "$.Titel"}}, // all problems at once
		{"REST", `, "InclusionRules": [` + strings.Repeat(`{"expression": {}},`, 63) + `{"expression": {}}]`, []string{"64 rules", "63"}},
	} {
		_, err := Parse([]byte(minimalWith(" "+c.place, c.text)))
		if havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: kind %q: %v", c.text, havre.KindOf(err), err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: the message lacks %q: %v", c.text, w, err)
			}
		}
	}
	doc := strings.Replace(minimalWith("", ""), "ConditionOccurrence", "ConditionOccurence", 1)
	if _, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), `did you mean "ConditionOccurrence"?`) {
		t.Errorf("a misspelt kind: %v", err)
	}
}

// sample writes an attribute of each form.
func sample(f Form) string {
	switch f {
	case Dates:
		return `{"Value": "2010-02-03", "Op": "lt"}`
	case Integers, Decimals:
		return `{"Value": 1, "Extent": 5, "Op": "bt"}`
	case Concepts:
		return `[{"CONCEPT_ID": 3}]`
	case Selection:
		return `{"CodesetId": 5, "IsExclusion": true}`
	case Codeset:
		return `5`
	case Texts:
		return `{"Text": "x", "Op": "contains"}`
	case Flag:
		return `true`
	case UserPeriods:
		return `{"StartDate": "2010-01-01"}`
	default:
		return `{"Value": "2010-02-03", "Op": "lt"}`
	}
}

// TestEveryAttribute: each kind of criterion is read with each of its
// attributes, as primary event and around another.
func TestEveryAttribute(t *testing.T) {
	for name, k := range Kinds {
		for _, a := range slices.Sorted(maps.Keys(k.Attributes)) {
			text := fmt.Sprintf("%q: %s", a, sample(k.Attributes[a].Form))
			for _, doc := range []string{
				strings.Replace(minimalWith("", ""), `"ConditionOccurrence": {"CodesetId": 5`, fmt.Sprintf(`%q: {%s`, name, text), 1),
				strings.Replace(minimalWith(" CRITERION", aroundWith("", "")), `"DrugExposure": {`, fmt.Sprintf(`%q: {%s`, name, text), 1),
			} {
				d, err := Parse([]byte(doc))
				if err != nil {
					t.Errorf("%s.%s: %v", name, a, err)
					continue
				}
				found, noted := false, len(d.Notes) > 0
				d.Walk(func(c *Criterion) {
					found = found || c.Period != nil && k.Attributes[a].Form == UserPeriods
					for _, f := range c.Filters {
						found = found || f.Attribute.Name == a
					}
				})
				if !found && !(noted && k.Attributes[a].Form == WithoutEffect) {
					t.Errorf("%s.%s is lost", name, a)
				}
			}
		}
	}
}

func TestParseAccepts(t *testing.T) {
	for _, text := range []string{
		`, "Title": "t", "cdmVersionRange": ">=5.0.0", "CensorWindow": {}, "InclusionRules": [], "CensoringCriteria": []`,
		`, "AdditionalCriteria": null, "EndStrategy": null`,
		`, "AdditionalCriteria": {"Type": "ALL", "CriteriaList": [], "DemographicCriteriaList": [], "Groups": []}`,
		`, "ExpressionLimit": {"Type": "last"}, "QualifiedLimit": {"Type": "FIRST"}`,
		`, "CensorWindow": {"StartDate": "2019-1-5"}`,
		`, "EndStrategy": {"CustomEra": {"DrugCodesetId": 5, "GapDays": 30, "Offset": -3, "DaysSupplyOverride": 7}}`,
	} {
		if _, err := Parse([]byte(minimalWith(" REST", text))); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestDefaults: what a document leaves out is as in circe-be.
func TestDefaults(t *testing.T) {
	d, err := Parse([]byte(minimalWith(" CRITERION", aroundWith("CORRELATED", `, "EndWindow": {"Start": {"Coeff": -1}, "End": {"Days": 2, "Coeff": 1}}`))))
	if err != nil {
		t.Fatal(err)
	}
	if d.ExpressionLimit != LimitFirst || d.QualifiedLimit != LimitFirst || d.Additional != nil || d.End.Kind != EndOfObservation {
		t.Errorf("limits %v and %v, additional criteria %v, end %v", d.ExpressionLimit, d.QualifiedLimit, d.Additional, d.End.Kind)
	}
	c := d.Primary.Criteria[0].Group.Criteria[0]
	if c.Start.EventEnd || c.Start.IndexEnd || !c.End.EventEnd || c.End.IndexEnd {
		t.Errorf("windows %+v and %+v", c.Start, *c.End)
	}
	if c.Start.From != (Endpoint{Days: -1}) || c.Start.To != (Endpoint{Open: true}) || c.End.From != (Endpoint{Open: true, Before: true}) || c.End.To != (Endpoint{Days: 2}) {
		t.Errorf("bounds %+v and %+v", c.Start, *c.End)
	}
	d, err = Parse([]byte(minimalWith(" REST", `, "ExpressionLimit": {"Type": null}, "QualifiedLimit": {}`)))
	if err != nil || d.ExpressionLimit != LimitAll || d.QualifiedLimit != LimitFirst {
		t.Errorf("limits %v and %v: %v", d.ExpressionLimit, d.QualifiedLimit, err)
	}
}

// TestNotes: bounds are what Circe makes of them, and it is said.
func TestNotes(t *testing.T) {
	for _, c := range []struct {
		kind, attribute, value string
		want                   float64
		noted                  bool
	}{
		{"ConditionOccurrence", "Age", "17", 17, false},
		{"ConditionOccurrence", "Age", "17.9", 17, true},
		{"ConditionOccurrence", "Age", "-0.5", 0, true},
		{"ConditionOccurrence", "Age", "9000000000", 1<<31 - 1, false},
		{"Measurement", "ValueAsNumber", "1.2345", 1.2345, false},
		{"Measurement", "ValueAsNumber", "1.23455", 1.2346, true},
		{"Measurement", "ValueAsNumber", "-1.23455", -1.2346, true},
		{"Measurement", "ValueAsNumber", "0.00004", 0, true},
		{"Measurement", "ValueAsNumber", "0.99999", 1, true},
		{"Measurement", "ValueAsNumber", "1e-7", 0, true},
	} {
		doc := strings.Replace(minimalWith(" CRITERION", fmt.Sprintf(`, %q: {"Value": %s, "Op": "gt"}`, c.attribute, c.value)), "ConditionOccurrence", c.kind, 1)
		d, err := Parse([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Primary.Criteria[0].Filters[0].Value; got != c.want || (len(d.Notes) > 0) != c.noted {
			t.Errorf("%s %s: %v, notes %v", c.attribute, c.value, got, d.Notes)
		}
	}
}

// TestOtherDefinitions: definitions with faults and with every attribute there
// is are read, or refused for a field that Circe does not have there.
func TestOtherDefinitions(t *testing.T) {
	refused := map[string]string{ // why the reference, which passes over unknown fields, reads more
		"visitDetail.json":                      "PlaceOfService",
		"allAttributes.json":                    "ConditionStatusCS",
		"primaryCriteriaCheckValueCorrect.json": "VisitDetail.OccurrenceStartDate",
		"emptyPrimaryCriteriaList.json":         "at least one event",
		"continuousObservation_none.json":       "",
		"conceptSetList.json":                   "must be an object",
		"conceptSet_simple.json":                "no such field",
	}
	for _, folder := range []string{"cohorts/circe-checkers", "cohorts/circe-printfriendly"} {
		files, err := filepath.Glob(filepath.Join(realinput.Path(t, folder), "*.json"))
		if err != nil || len(files) < 30 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, f := range files {
			name := filepath.Base(f)
			if strings.HasPrefix(name, "expected") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if d, _ := Read(b); d == nil {
				t.Errorf("%s: nothing was read", name)
			}
			_, err = Parse(b)
			if why := refused[name]; err != nil {
				if why == "" || !strings.Contains(err.Error(), why) {
					t.Logf("%s: %v", name, err)
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimalWith("", "")))
	f.Add([]byte(minimalWith(" CRITERION", `, "Age": {"Value": 1, "Op": "bt", "Extent": 9}, "Gender": [{"CONCEPT_ID": 8507}]`)))
	f.Add([]byte(minimalWith(" CRITERION", aroundWith("OCCURRENCE", `, "IsDistinct": true, "CountColumn": "QUANTITY"`))))
	f.Add([]byte(minimalWith(" REST", `, "EndStrategy": {"CustomEra": {"DrugCodesetId": 5}}, "AdditionalCriteria": {"Type": "AT_MOST", "Count": 1, "Groups": [{}]}`)))
	f.Add([]byte(`{"PrimaryCriteria": {"CriteriaList": [{"Death": {"DateAdjustment": {"StartOffset": -3}}}]}}`))
	f.Add([]byte(`[[[[1e999]]]]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data)
		if err != nil {
			if k := havre.KindOf(err); k != havre.Invalid {
				t.Errorf("kind %q: %v", k, err)
			}
			return
		}
		if len(d.Primary.Criteria) == 0 {
			t.Error("a definition without criteria was accepted")
		}
		d.Walk(func(c *Criterion) {
			if c.Set >= len(d.ConceptSets) || c.Source >= len(d.ConceptSets) {
				t.Error("a criterion points at no concept set")
			}
			for _, f := range c.Filters {
				if f.Set >= len(d.ConceptSets) {
					t.Error("a filter points at no concept set")
				}
			}
		})
	})
}
