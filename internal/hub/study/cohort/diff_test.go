package cohort_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/cohort/diff"
	"github.com/havre-hub/havre/internal/hub/study/cohort/explain"
)

// TestDiffFindsEveryChange changes everything that can be changed in random
// definitions, one thing at a time: each change is told, in both languages.
func TestDiffFindsEveryChange(t *testing.T) {
	changes := 0
	for seed := range uint64(10) {
		document := cohort.RandomDefinition(rand.New(rand.NewPCG(seed, 19)))
		before, after := named(t, document), named(t, document)
		cohort.Mutate(after, func(what string) {
			if strings.Contains(what, "ConceptSets") && strings.HasSuffix(strings.Fields(what)[0], "Concept.Name") {
				return // what the document calls a concept says nothing
			}
			changes++
			for _, l := range explain.Languages {
				got, err := diff.Definitions(before, after, l)
				if err != nil {
					t.Fatal(err)
				}
				if text := diff.Text(got, "a", "b", l); len(got) == 0 || strings.Count(text, "\n") < 4 {
					t.Fatalf("seed %d: %s is not told: %v", seed, what, got)
				}
			}
		})
	}
	if changes < 400 {
		t.Errorf("only %d changes were tried", changes)
	}
}

// named parses a definition and gives its concept sets names of their own.
func named(t *testing.T, document string) *cohort.Definition {
	d, err := cohort.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.ConceptSets {
		d.ConceptSets[i].Name = string(rune('A'+i)) + " set"
	}
	return d
}

// TestDiffPassesOverLayout: other numbers and another order of concept sets,
// another order of keys and of parts of groups, and another layout are no change.
func TestDiffPassesOverLayout(t *testing.T) {
	pointers := []string{"CodesetId", "DrugCodesetId"}
	for _, k := range circe.Kinds {
		pointers = append(pointers, k.SourceField)
		for _, a := range k.Attributes {
			if a.Form == circe.Codeset {
				pointers = append(pointers, a.Name)
			}
		}
	}
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 23))
		document := cohort.RandomDefinition(r)
		var tree map[string]any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(document, `"name": "s"`, `"name": "set"`)), &tree); err != nil {
			t.Fatal(err)
		}
		var turn func(key string, v any) any
		turn = func(key string, v any) any {
			switch x := v.(type) {
			case map[string]any:
				for k, inner := range x {
					x[k] = turn(k, inner)
				}
			case []any:
				for i := range x {
					x[i] = turn("", x[i])
				}
				if key == "CriteriaList" && len(x) > 0 && x[0].(map[string]any)["StartWindow"] != nil || key == "DemographicCriteriaList" || key == "Groups" || key == "ConceptSets" || key == "items" {
					slices.Reverse(x)
				}
			case float64:
				if key == "id" || slices.Contains(pointers, key) {
					return x*7 + 5
				}
			}
			return v
		}
		turned, err := json.MarshalIndent(turn("", tree), " ", "   ")
		if err != nil {
			t.Fatal(err)
		}
		before, err := cohort.Parse([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		after, err := cohort.Parse(turned)
		if err != nil {
			t.Fatalf("%v\n%s", err, turned)
		}
		n := len(before.ConceptSets)
		for i := range n { // the same names by the same places, one list being turned around
			before.ConceptSets[i].Name = string(rune('A' + i))
			after.ConceptSets[n-1-i].Name = string(rune('A' + i))
		}
		if changes, err := diff.Definitions(before, after, "en"); err != nil || len(changes) > 0 {
			t.Fatalf("seed %d: %v %+v\n%s\n%s", seed, err, changes, document, turned)
		}
		if cohort.Key(before) != cohort.Key(after) {
			t.Fatalf("seed %d: the keys differ", seed)
		}
	}
}

// TestDiffWords is what a clinician reads.
func TestDiffWords(t *testing.T) {
	const before = `{"ConceptSets": [{"id": 0, "name": "flu", "expression": {"items": [{"concept": {"CONCEPT_ID": 1}}]}}, {"id": 1, "name": "cough", "expression": {"items": [{"concept": {"CONCEPT_ID": 2}}, {"concept": {"CONCEPT_ID": 3}}]}}],
		"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0, "First": true, "Age": {"Value": 18, "Op": "gte"}}}], "ObservationWindow": {"PriorDays": 365, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "All"}},
		"InclusionRules": [{"name": "coughs", "expression": {"Type": "ALL", "CriteriaList": [{"Criteria": {"ConditionOccurrence": {"CodesetId": 1}}, "StartWindow": {"Start": {"Days": 7, "Coeff": -1}, "End": {"Days": 0, "Coeff": 1}}, "Occurrence": {"Type": 2, "Count": 1}}]}},
			{"name": "women", "expression": {"Type": "ALL", "DemographicCriteriaList": [{"Gender": [{"CONCEPT_ID": 8532}]}]}}]}`
	after := strings.NewReplacer(`"Value": 18`, `"Value": 16`, `"Days": 7`, `"Days": 14`, `"flu"`, `"influenza"`, `, {"concept": {"CONCEPT_ID": 3}}`, "", `"name": "women"`, `"name": "men"`, "8532", "8507").Replace(before)
	a, err := cohort.Parse([]byte(before))
	if err != nil {
		t.Fatal(err)
	}
	b, err := cohort.Parse([]byte(after))
	if err != nil {
		t.Fatal(err)
	}
	for language, want := range map[string]string{"en": `# What changes from “v1” to “v2”

## Who enters, and when

- Changed: People with a first diagnosis of “influenza” at age 18 or over, observed for at least 365 days before it.
  to: People with a first diagnosis of “influenza” at age 16 or over, observed for at least 365 days before it.

## Who stays

- Within “coughs”:
  - Changed: at least one diagnosis of “cough” in the 7 days before entry or on that day
    to: at least one diagnosis of “cough” in the 14 days before entry or on that day
- Changed: women
  to: men
- Within “men”:
  - Changed: a person who is a woman
    to: a person who is a man

## Concept sets

- Renamed: flu
  to: influenza
- Within “cough”:
  - Removed: 3
`, "fr": `# Ce qui change de « v1 » à « v2 »

## Qui entre, et quand

- Modifié : Les personnes ayant un premier diagnostic d'« influenza » à 18 ans ou plus, à condition d'être observées depuis au moins 365 jours.
  en : Les personnes ayant un premier diagnostic d'« influenza » à 16 ans ou plus, à condition d'être observées depuis au moins 365 jours.

## Qui reste

- Dans « coughs » :
  - Modifié : au moins un diagnostic de « cough » dans les 7 jours avant l'entrée ou le jour même
    en : au moins un diagnostic de « cough » dans les 14 jours avant l'entrée ou le jour même
- Modifié : women
  en : men
- Dans « men » :
  - Modifié : une personne de sexe féminin
    en : une personne de sexe masculin

## Listes de concepts

- Renommé : flu
  en : influenza
- Dans « cough » :
  - Retiré : 3
`} {
		changes, err := diff.Definitions(a, b, language)
		if err != nil {
			t.Fatal(err)
		}
		if got := diff.Text(changes, "v1", "v2", language); got != want {
			t.Errorf("got\n%s", got)
		}
		if c := changes[1]; c.PathBefore != "$.InclusionRules[0].expression.CriteriaList[0]" || c.Part != "rules" || c.Kind != diff.Changed {
			t.Errorf("%+v", c)
		}
	}
	a.Rules[0], a.Rules[1] = a.Rules[1], a.Rules[0]
	swapped, _ := cohort.Parse([]byte(before))
	if changes, _ := diff.Definitions(a, swapped, "en"); len(changes) != 1 || changes[0].Kind != diff.Reordered {
		t.Errorf("rules in another order: %+v", changes)
	}
}
