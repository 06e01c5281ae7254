package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/realinput"
)

// The reference's own definitions, with the warnings that it gives: severities
// and texts are the same, in any order.
func TestReferenceWarnings(t *testing.T) {
	folder := realinput.Path(t, "cohorts/circe-checkers")
	data, err := os.ReadFile(filepath.Join(folder, "expected-warnings.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]Warning
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) < 35 {
		t.Fatalf("only %d definitions have expected warnings", len(want))
	}
	lines := func(ws []Warning) []string {
		var out []string
		for _, w := range ws {
			out = append(out, string(w.Severity)+" "+w.Message)
		}
		slices.Sort(out)
		return out
	}
	for file, ws := range want {
		data, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		got, expected := lines(Definition(data)), lines(ws)
		for _, l := range missing(expected, got) {
			t.Errorf("%s: not given: %s", file, l)
		}
		for _, l := range missing(got, expected) {
			t.Errorf("%s: not the reference's: %s", file, l)
		}
	}
}

// missing lists what of a is not in b, as often as it is missing.
func missing(a, b []string) []string {
	b = slices.Clone(b)
	var out []string
	for _, l := range a {
		if i := slices.Index(b, l); i >= 0 {
			b = slices.Delete(b, i, i+1)
		} else {
			out = append(out, l)
		}
	}
	return out
}

// Definitions that lack whole parts, which the reference's checker crashes on.
func TestPartsMissing(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": `{}`, "null": `null`, "a list": `[]`, "no JSON": `{`, "empty": ``,
		"no entry":           `{"ConceptSets":[],"AdditionalCriteria":{"Type":"ALL"},"InclusionRules":[]}`,
		"rule of nothing":    `{"PrimaryCriteria":{"CriteriaList":[{"Death":{}}]},"InclusionRules":[{"name":"test"}]}`,
		"criterion missing":  `{"PrimaryCriteria":{"CriteriaList":[null,{}]},"AdditionalCriteria":{"Groups":[{"CriteriaList":[{"StartWindow":{}}]}]}}`,
		"wrong types":        `{"ConceptSets":3,"PrimaryCriteria":{"CriteriaList":[{"Death":[]},{"DrugEra":7}],"ObservationWindow":"x"},"InclusionRules":[{"name":3,"expression":{"CriteriaList":[{"Criteria":{"Death":{"Age":3}}}]}}]}`,
		"unknown kind":       `{"PrimaryCriteria":{"CriteriaList":[{"Nonsense":{}}]},"InclusionRules":[{"name":"a","expression":{"CriteriaList":[{"Criteria":{"Nonsense":{}}}]}}]}`,
		"drug era, no start": `{"InclusionRules":[{"name":"a","expression":{"CriteriaList":[{"Criteria":{"DrugEra":{}}}]}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			warnings := Definition([]byte(text))
			if _, problems := circe.Read([]byte(text)); len(problems) == 0 {
				t.Errorf("neither refused nor warned of: %v", warnings)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	entry := `"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{"CodesetId":1,"ConditionTypeCS":{"CodesetId":2}}}],"ObservationWindow":{"PriorDays":365,"PostDays":0},"PrimaryCriteriaLimit":{"Type":"First"}}`
	sets := `"ConceptSets":[{"id":1,"name":"A","expression":{"items":[{"concept":{"CONCEPT_ID":1,"CONCEPT_CODE":"1"}}]}},{"id":2,"name":"B","expression":{"items":[{"concept":{"CONCEPT_ID":2,"CONCEPT_CODE":"2"}}]}}]`
	rule := func(criteria string) string {
		return `{` + sets + `,` + entry + `,"InclusionRules":[{"name":"r","expression":{"Type":"ALL","CriteriaList":[` + criteria + `]}}]}`
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing doubtful", `{` + sets + `,` + entry + `}`, ""},
		{"no codes", strings.ReplaceAll(strings.ReplaceAll(`{`+sets+`,`+entry+`}`, `,"CONCEPT_CODE":"1"`, ""), `,"CONCEPT_CODE":"2"`, ""), ""},
		{"no codes, one id", strings.ReplaceAll(strings.ReplaceAll(`{`+sets+`,`+entry+`}`, `,"CONCEPT_CODE":"1"`, ""), `2,"CONCEPT_CODE":"2"`, "1"), "WARNING Concept set A contains the same concepts like B"},
		{"an exit at once", `{` + sets + `,` + entry + `,"EndStrategy":{"DateOffset":{"DateField":"StartDate","Offset":0}}}`,
			"WARNING Cohort Exit criteria: Days offset from start date should be greater than 0"},
		{"an exit without drugs", `{` + sets + `,` + entry + `,"EndStrategy":{"CustomEra":{"GapDays":3}}}`,
			"CRITICAL Drug concept set must be selected at Exit Criteria."},
		{"a rule of nothing", rule(``), "CRITICAL Inclusion rule r has no criteria."},
		{"at least none", rule(`{"Criteria":{"DrugEra":{"CodesetId":1}},"StartWindow":{"Start":{"Days":30,"Coeff":-1},"End":{"Days":0,"Coeff":1}},"Occurrence":{"Type":2,"Count":0}}`),
			"WARNING 'at least 0' occurrence is not a real constraint, probably meant 'exactly 0' or 'at least 1'"},
		{"a long window", rule(`{"Criteria":{"DrugEra":{"CodesetId":1}},"StartWindow":{"Start":{"Days":400,"Coeff":-1},"End":{"Days":0,"Coeff":1}},"Occurrence":{"Type":2,"Count":1}}`),
			"INFO inclusion rule r drug era criteria have time window range that is longer than required time for initial event"},
		{"an age from high to low", rule(`{"Criteria":{"DrugEra":{"CodesetId":1,"AgeAtStart":{"Op":"bt","Value":40,"Extent":18}}},"StartWindow":{"Start":{"Days":30,"Coeff":-1},"End":{"Days":0,"Coeff":1}},"Occurrence":{"Type":2,"Count":1}}`),
			`CRITICAL Inclusion criteria "r" in the drug era has start value greater than end in age at start`},
		{"dates in the wrong order", `{` + sets + `,` + entry + `,"CensorWindow":{"StartDate":"2020-01-01","EndDate":"2019-01-01"}}`,
			"CRITICAL Primary criteria in the root object has start value greater than end in censor window\nCRITICAL Primary criteria in the cohort has start value greater than end in censor window"},
		{"no date", `{` + sets + `,` + entry + `,"CensorWindow":{"StartDate":"2020-13-01"}}`,
			"CRITICAL Primary criteria in the root object has invalid date value at censor window\nCRITICAL Primary criteria in the cohort has invalid date value at censor window"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			for _, w := range Definition([]byte(c.text)) {
				lines = append(lines, string(w.Severity)+" "+w.Message)
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func FuzzDefinition(f *testing.F) {
	f.Add([]byte(`{"PrimaryCriteria":{"CriteriaList":[{"Death":{"CorrelatedCriteria":{"Groups":[{"CriteriaList":[{"Criteria":{"DrugEra":{"EraLength":{"Op":"bt","Value":3}}},"StartWindow":{"Start":{"Days":3,"Coeff":-1}}}]}]}}}]}}`))
	f.Add([]byte(`{"InclusionRules":[{"name":"a","expression":{"DemographicCriteriaList":[null,{}],"CriteriaList":[null,{"Criteria":{"Death":null}}]}}],"CensorWindow":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, w := range Definition(data) {
			if w.Message == "" || rank[w.Severity] == 0 && w.Severity != Critical {
				t.Fatalf("a warning says nothing: %+v", w)
			}
		}
	})
}
