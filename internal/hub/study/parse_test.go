package study

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/cohort/short"
)

const sound = `name: bleeding
title: Bleeding
description: |
  Two lines
  of text
cohorts:
  a: {circe: a.json}
  b:
    circe: {PrimaryCriteria: {CriteriaList: [{DrugExposure: {First: true}}], ObservationWindow: {PriorDays: 0, PostDays: 0}, PrimaryCriteriaLimit: {Type: "First"}}}
analyses:
  - name: users
    kind: counts
    cohort: a
    by: [sex, year]
    age_bands: [0, 18, 65]
  - {name: rate, kind: incidence, target: a, outcome: b, time_at_risk: {start: 1, end: cohort_end}}
`

const condition = `{"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"Age": {"Value": 4, "Op": "gt"}}}],
	"ObservationWindow": {"PriorDays": 0, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "All"}}}`

func openTest(name string) ([]byte, error) {
	if name == "a.json" || name == "sub/a.json" {
		return []byte(condition), nil
	}
	return nil, errors.New("there is no such file")
}

func TestParseSound(t *testing.T) {
	d, err := Parse([]byte(sound), openTest)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "bleeding" || len(d.Cohorts) != 2 || d.Description != "Two lines\nof text\n" ||
		!slices.Equal(d.Analyses[0].By, []string{"sex", "year"}) || !slices.Equal(d.Analyses[0].AgeBands, []int{0, 18, 65}) ||
		d.Analyses[1].TimeAtRisk != (TimeAtRisk{Start: 1, CohortEnd: true}) || d.Analyses[1].CleanWindow != Ever {
		t.Errorf("%+v", d)
	}
	needs, err := d.Needs()
	if err != nil {
		t.Fatal(err)
	}
	want := []cohort.Need{
		{Table: "condition_occurrence", Columns: []string{"person_id", "condition_start_date", "condition_occurrence_id"}},
		{Table: "drug_exposure", Columns: []string{"person_id", "drug_exposure_start_date", "drug_exposure_id"}},
		{Table: "observation_period", Columns: []string{"person_id", "observation_period_start_date", "observation_period_end_date"}},
		{Table: "person", Columns: []string{"person_id", "gender_concept_id", "year_of_birth"}},
	}
	if !reflect.DeepEqual(needs, want) {
		t.Errorf("needs %v", needs)
	}
	// The digest is of what is said, not of how it is laid out.
	again, err := Parse([]byte(strings.Replace(sound, "{circe: a.json}", "\n    circe: ./a.json", 1)), func(string) ([]byte, error) {
		return []byte(strings.ReplaceAll(condition, " ", "  ")), nil
	})
	if err != nil || again.Digest() != d.Digest() {
		t.Errorf("another lay-out gives another digest, or %v", err)
	}
	other, err := Parse([]byte(strings.Replace(sound, "18, 65", "18, 66", 1)), openTest)
	if err != nil || other.Digest() == d.Digest() {
		t.Errorf("another study has the same digest, or %v", err)
	}
}

// TestParseShort: a short cohort, in a file of its own or in the study, is that
// which its expansion is.
func TestParseShort(t *testing.T) {
	const definition = "{concepts: {d: 5}, entry: {condition: d, occurrence: first}}"
	open := func(string) ([]byte, error) { return []byte(definition), nil }
	expanded, err := short.Expand([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for _, cohort := range []string{"{short: a.yaml}", "{short: " + definition + "}", "{circe: " + string(expanded) + "}"} {
		d, err := Parse([]byte(strings.Replace(sound, "{circe: a.json}", cohort, 1)), open)
		if err != nil {
			t.Fatal(err)
		}
		digests[d.Digest()] = cohort
	}
	if len(digests) != 1 {
		t.Errorf("differ: %v", digests)
	}
	for cohort, want := range map[string]string{
		"{short: {entry: {conditon: any}}}":                   `line 7, column 23: the entry has no key "conditon"; did you mean "condition"?`,
		"{short: ../a.yaml}":                                  "a cohort file lies in the folder",
		"{circe: a.json, short: a.json}":                      "line 7, column 22: a cohort is written as circe or as short, not as both",
		"{short: {entry: {condition: any, age: at last 18}}}": `line 7, column 44: "at last 18"`,
	} {
		if _, err := Parse([]byte(strings.Replace(sound, "{circe: a.json}", cohort, 1)), open); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", cohort, err)
		}
	}
}

func TestParseMistakes(t *testing.T) {
	for _, c := range []struct {
		old, new string
		want     []string
	}{
		{"title: Bleeding", "titel: Bleeding", []string{`line 2, column 1: a study has no key "titel"; did you mean "title"?`}},
		{"    kind: counts", "    kind: count", []string{`line 11, column`, `there is no kind "count"; did you mean "counts"?`}},
		{"    cohort: a", "    cohort: z", []string{`analysis "users": there is no cohort "z"`}},
		{"    cohort: a", "    cohrt: a", []string{`line 13, column 5`, `did you mean "cohort"?`, `needs the key cohort`}},
		{"[sex, year]", "[sex, yaer, sex]", []string{`cannot count by "yaer"; did you mean "year"?`, `counts by "sex" twice`}},
		{"[0, 18, 65]", "[0, 65, 18]", []string{"age_bands begin with 0 and rise"}},
		{"[0, 18, 65]", "[0, old]", []string{"line 15, column 20: this must be a whole number"}},
		{"end: cohort_end", "end: 0", []string{"ends before it starts"}},
		{"end: cohort_end", "ende: 0", []string{`did you mean "end"?`, "needs an end"}},
		{", time_at_risk: {start: 1, end: cohort_end}", "", []string{"needs a time_at_risk"}},
		{"kind: counts", "kind: counts\n    top: 3", []string{`an analysis of kind counts has no key "top"`}},
		{"name: rate", "name: users", []string{`two analyses are named "users"`}},
		{"name: bleeding", "name: Bleeding!", []string{"line 1, column 7: the study needs a name"}},
		{"a: {circe: a.json}", "a: {circe: ../a.json}", []string{"line 7, column 14: a cohort file lies in the folder"}},
		{"a: {circe: a.json}", "a: {circe: /etc/a.json}", []string{"a cohort file lies in the folder"}},
		{"a: {circe: a.json}", "a: {circe: b.json}", []string{`the cohort file "b.json" cannot be read`}},
		{"a: {circe: a.json}", "a: {}", []string{`cohort "a" has no definition`}},
		{"a: {circe: a.json}", "a: 7", []string{"a cohort must be keys and values"}},
		{"{First: true}", "{Frist: true}", []string{`line 8, column 3: cohort "b"`, "DrugExposure.Frist", `did you mean "First"?`}},
		{"{First: true}", "{StopReason: 1}", []string{"DrugExposure.StopReason", "must be an object"}},
		{"{First: true}", "&x {First: true}", []string{"anchors, aliases and tags are not allowed here"}},
		{"title: Bleeding", "title: [a", []string{"not sound YAML"}},
		{"title: Bleeding", "title: a\ntitle: b", []string{"title"}},
		{"name: bleeding", "---\nname: x\n---\nname: bleeding", []string{"one YAML document"}},
		{"kind: incidence, target: a, outcome: b", "kind: survival, target: a, comparator: a, outcome: b, step: 0, by: [year]", []string{"compares cohort \"a\" with itself", "a step has from 1", "survival is shown by sex or age_band, not by year"}},
		{"kind: incidence, target: a, outcome: b", "kind: survival, target: a, comparator: c, outcome: b", []string{`there is no cohort "c"`}},
		{"kind: incidence, target: a, outcome: b", "kind: hazard_ratio, target: a, comparator: b, outcome: b, adjust: [age, age_band, sexe, age], ties: exact", []string{"adjusts for age twice", `cannot adjust for "sexe"; did you mean "sex"?`, `adjusts for "age" twice`, `not "exact"`}},
		{"kind: incidence, target: a, outcome: b", "kind: hazard_ratio, target: a, outcome: b", []string{"needs the key comparator"}},
		{"kind: incidence, target: a, outcome: b, time_at_risk: {start: 1, end: cohort_end}", "kind: characterisation, target: a, comparator: z, window: {strat: -3}, min_prevalence: 2, tables: [measurment, visit_detail, visit_detail, observation_period]", []string{
			`did you mean "start"?`, "a window needs a start", "a number from 0 to 1", `no table "measurment"; did you mean "measurement"?`, "names table visit_detail twice", `there is no cohort "z"`, "observation_period has no concepts"}},
		{"kind: incidence, target: a, outcome: b, time_at_risk: {start: 1, end: cohort_end}", "kind: characterisation, target: a, comparator: a, window: {start: 3, end: -1.5}, tables: []", []string{
			"compares cohort \"a\" with itself", "a whole number of days", "the window ends before it starts", "names no tables"}},
		{"kind: incidence, target: a, outcome: b, time_at_risk: {start: 1, end: cohort_end}", "kind: prevalence, target: a, outcome: b, by: [year, sexx], observed: hole, day: 01-01", []string{
			"a prevalence is by year, and further by sex or age_band, not by year", `did you mean "sex"?`, `did you mean "whole"?`, "a period prevalence has no day"}},
		{"kind: incidence, target: a, outcome: b, time_at_risk: {start: 1, end: cohort_end}", "kind: prevalence, target: a, outcome: b, type: point, observed: any, day: 02-29", []string{
			"observed belongs to a period prevalence", "a month and a day of every year"}},
		{"kind: incidence, target: a, outcome: b, time_at_risk: {start: 1, end: cohort_end}", "kind: prevalence, target: a, outcome: b, type: pint", []string{`type is period or point, not "pint"; did you mean "point"?`}},
		{"kind: incidence, target: a, outcome: b, time_at_risk: {start: 1, end: cohort_end}", "kind: pathways, target: a, events: [b, c, b], depth: 0, combination_window: 0, filter: frist", []string{
			`there is no cohort "c"`, `names event "b" twice`, "a number of steps from 1 to 10", "a combination_window is a day or more", `did you mean "first"?`}},
		{"kind: incidence, target: a, outcome: b, time_at_risk: {start: 1, end: cohort_end}", "kind: pathways, target: a, combination_windw: 3", []string{
			"names from 1 to 20 events", `did you mean "combination_window"?`}},
		{"title: Bleeding", "titel: x\nanalysis: []", []string{`"titel"`, `"analysis"`}}, // all at once
	} {
		text := strings.Replace(sound, c.old, c.new, 1)
		if text == sound {
			t.Fatalf("%q does not stand in the study", c.old)
		}
		_, err := Parse([]byte(text), openTest)
		if havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", c.new, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: the message lacks %q: %v", c.new, w, err)
			}
		}
	}
}

// TestCheckByHand: a study made by a program is checked like one from a file.
func TestCheckByHand(t *testing.T) {
	d := &Definition{Name: "x", Cohorts: []Cohort{{Name: "b", Circe: json.RawMessage(condition)}, {Name: "a", Circe: json.RawMessage("{}")}},
		Analyses: []Spec{{Name: "r", Kind: KindRecords, Cohort: "b", Tables: []string{"person", "visits", "death", "death"}},
			{Name: "c", Kind: KindConcepts, Cohort: "b", Table: "observation_period", Top: 5000}}}
	err := Check(d)
	for _, w := range []string{`"a" stands twice or out of order`, "$.PrimaryCriteria", "table person does not hold", `no table "visits"`,
		"names table death twice", "top is a number from 1 to 1000"} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("the message lacks %q: %v", w, err)
		}
	}
}

// TestTimeDefaults: what survival and hazard_ratio take where nothing is given.
func TestTimeDefaults(t *testing.T) {
	text := sound + "  - {name: c, kind: survival, target: a, outcome: b, time_at_risk: {start: 1, end: 730}}\n" +
		"  - {name: h, kind: hazard_ratio, target: a, comparator: b, outcome: b, time_at_risk: {start: 1, end: 730}, adjust: [sex, age]}\n"
	d, err := Parse([]byte(text), openTest)
	if err != nil {
		t.Fatal(err)
	}
	if c, h := d.Analyses[2], d.Analyses[3]; c.Step != 30 || c.CleanWindow != Ever || h.Ties != "efron" || h.CleanWindow != Ever || !slices.Equal(h.Adjust, []string{"sex", "age"}) {
		t.Errorf("%+v %+v", c, h)
	}
	d.Analyses[2].Step, d.Analyses[3].Ties = 0, ""
	if err := Check(d); err == nil || !strings.Contains(err.Error(), "a step has from 1") || !strings.Contains(err.Error(), "ties are treated as") {
		t.Errorf("by hand: %v", err)
	}
}

// TestCharacterisationDefaults: what characterisation takes where nothing is
// given, and what it reads.
func TestCharacterisationDefaults(t *testing.T) {
	text := sound + "  - {name: c, kind: characterisation, target: a}\n  - {name: d, kind: characterisation, target: a, window: {start: -30, end: -1}, min_prevalence: 0.01}\n"
	d, err := Parse([]byte(text), openTest)
	if err != nil {
		t.Fatal(err)
	}
	c, e := d.Analyses[2], d.Analyses[3]
	if c.Window != (Window{-365, 0}) || c.Top != 25 || len(c.Tables) != 4 || e.Window != (Window{-30, -1}) || e.Top != 1000 || e.MinPrevalence != 0.01 {
		t.Errorf("%+v %+v", c, e)
	}
	needs, err := d.Needs()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(needs, func(n cohort.Need) bool { return n.Table == "measurement" })
	if i < 0 || !slices.Equal(needs[i].Columns, []string{"person_id", "measurement_concept_id", "measurement_date", "value_as_number", "unit_concept_id"}) {
		t.Errorf("needs %v", needs)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sound))
	f.Add([]byte("name: a\ncohorts: {a: {circe: {x: [1, 2.5, ~, 'y', \"z\"]}}}\nanalyses: [{name: b}]"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Add([]byte("a: &b [*b]"))
	f.Add([]byte("a: !!binary x\n<<: {b: c}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data, openTest)
		if err != nil {
			if havre.KindOf(err) != havre.Invalid {
				t.Errorf("kind %q: %v", havre.KindOf(err), err)
			}
			return
		}
		if err := Check(d); err != nil {
			t.Errorf("parsed but unsound: %v", err)
		}
		if _, err := d.Needs(); err != nil {
			t.Errorf("needs: %v", err)
		}
	})
}
