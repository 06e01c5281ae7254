package short

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/realinput"
)

const sound = `title: Second-line treatment
concepts:
  diabetes: 201826
  insulin: [1596977, {id: 1502905, name: glargine, descendants: false}, {id: 35602717, exclude: true, mapped: true}]
  metformin: [1503297]
entry:
  drug: metformin
  occurrence: first
  age: at least 18
  observed_days_before: 365
rules:
  - {name: diabetes, condition: diabetes, when: any time before or on the day}
  - {name: no insulin before, count: none, drug: insulin, when: any time before}
  - {name: women of working age, sex: female, age: 18 to 65}
  - name: measured or seen
    of:
      - {measurement: any, value: at least 6.5, unit: [8554], when: within 365 days before, count: at least 2, distinct: start_date}
      - {visit: any, when: [starting within 30 days before or on the day, ending any time after], same_visit: true}
    at_least: 1
exit: {drug: metformin, gap_days: 30, days_after: 14}
censor: {death: any}
era_gap_days: 7
calendar: from 2010-01-01
`

func TestSound(t *testing.T) {
	data, err := Expand([]byte(sound))
	if err != nil {
		t.Fatal(err)
	}
	d, err := circe.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	first := d.Primary.Criteria[0]
	glargine := d.ConceptSets[1].Items[1]
	measured := d.Rules[3].Group
	switch {
	case d.Title != "Second-line treatment", len(d.Rules) != 4, d.EraPad != 7, d.CensorStart != circe.ToDate(2010, 1, 1), len(d.Censoring) != 1:
		t.Errorf("%+v", d)
	case first.Kind.Name != "DrugExposure", !first.First, d.ConceptSets[first.Set].Name != "metformin", first.Filters[0].Op != circe.OpGreaterEqual, d.Primary.PriorDays != 365:
		t.Errorf("%+v", first)
	case glargine.Descendants, glargine.Concept.Name != "glargine", !d.ConceptSets[0].Items[0].Descendants, !d.ConceptSets[1].Items[2].Excluded:
		t.Errorf("%+v", d.ConceptSets)
	case measured.Kind != circe.AtLeast, measured.Count != 1, measured.Criteria[0].Occurrence != circe.Occurrence{Comparison: circe.NoFewerThan, Count: 2, Distinct: true, Column: "START_DATE"},
		measured.Criteria[0].Criterion.Set != -1, !measured.Criteria[1].RestrictVisit, measured.Criteria[1].End == nil, !measured.Criteria[1].End.EventEnd:
		t.Errorf("%+v", measured)
	case d.Rules[1].Group.Criteria[0].Occurrence != circe.Occurrence{}, d.Rules[2].Group.Demographic[0].Filters[1].Concepts[0].ID != 8532:
		t.Errorf("%+v", d.Rules)
	case d.End != circe.EndStrategy{Kind: circe.EndOfExposure, Set: 2, GapDays: 30, Days: 14}:
		t.Errorf("%+v", d.End)
	}
}

func TestDesignExample(t *testing.T) {
	data, err := Expand([]byte("concepts: {diabetes: 201826}\nentry: {condition: diabetes, occurrence: first, observed_days_before: 730}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if want := `map[CriteriaList:[map[ConditionOccurrence:map[CodesetId:0 First:true]]] ObservationWindow:map[PostDays:0 PriorDays:730] PrimaryCriteriaLimit:map[Type:All]]`; fmt.Sprint(got["PrimaryCriteria"]) != want {
		t.Errorf("got %v", got["PrimaryCriteria"])
	}
}

// TestReferencePage: the examples of the reference page expand, and it names
// every kind of event.
func TestReferencePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(realinput.Root(t), "docs", "reference", "cohort.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Error("no example")
	}
	for _, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		if _, err := Expand([]byte(text)); err != nil {
			t.Error(err)
		}
	}
	for _, kind := range Kinds() {
		if !strings.Contains(string(page), "`"+kind+"`") {
			t.Errorf("the page lacks %s", kind)
		}
	}
}

// TestWindows gives the days from and to, both counted, with o for an open end.
func TestWindows(t *testing.T) {
	for text, want := range map[string]string{
		"any time": "o- o+", "on the day": "0 0",
		"any time before": "o- -1", "any time before or on the day": "o- 0", "any time after": "1 o+", "any time after or on the day": "0 o+",
		"within 30 days": "-30 30", "within 30 days before": "-30 -1", "within 30 days before or on the day": "-30 0",
		"within 1 day after": "1 1", "within 7 days after or on the day": "0 7",
		"30 to 90 days before": "-90 -30", "90 to 30 days before": "-90 -30", "1 to 7 days after": "1 7",
		"from 30 days before to 7 days after": "-30 7", "from any time before to 1 day after": "o- 1", "from the day to any time after": "0 o+",
		"ending within 7 days after": "1 7 E", "starting on the day, from the end": "0 0 I", "ending any time, from the end": "o- o+ EI",
	} {
		data, err := Expand([]byte("entry: {death: any}\nrules: [{name: r, visit: any, when: \"" + text + "\"}]"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		d, _ := circe.Parse(data)
		w := d.Rules[0].Group.Criteria[0].Start
		point := func(e circe.Endpoint) string {
			if e.Open {
				return map[bool]string{true: "o-", false: "o+"}[e.Before]
			}
			return fmt.Sprint(e.Days)
		}
		got := point(w.From) + " " + point(w.To)
		if flags := map[bool]string{true: "E"}[w.EventEnd] + map[bool]string{true: "I"}[w.IndexEnd]; flags != "" {
			got += " " + flags
		}
		if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		old, new string
		want     []string
	}{
		{"title:", "titel:", []string{`line 1, column 1: a cohort definition has no key "titel"; did you mean "title"?`}},
		{"drug: metformin\n", "drug: metfromin\n", []string{`line 7, column 9: there is no concept set "metfromin"; did you mean "metformin"?`}},
		{"occurrence: first", "occurence: first", []string{`line 8, column 3: the entry of kind drug has no key "occurence"; did you mean "occurrence"?`}},
		{"occurrence: first", "occurrence: frist", []string{`line 8, column 15: "frist" is not one of any, first`}},
		{"age: at least 18", "age: least 18", []string{`line 9, column 8: "least 18" is no comparison of whole numbers`}},
		{"age: at least 18", "age: at least 18.5", []string{`"at least 18.5" is no comparison of whole numbers`}},
		{"at least 6.5", "at least 6.54321", []string{`is no comparison of numbers with up to four decimals`}},
		{"when: any time before or on the day", "when: some time before", []string{`line 12, column 49: "some time before" says no time`}},
		{", when: any time before}", "}", []string{`line 13, column 5: it must be said when`}},
		{"condition: diabetes,", "conditon: diabetes,", []string{`has no key "conditon"; did you mean "condition"?`}},
		{"count: none", "count: 0", []string{`"0" is no count: write none`}},
		{"distinct: start_date", "distinct: start", []string{`line 17, column 122: "start" is not one of concept, duration, end_date`}},
		{"sex: female", "sex: femal", []string{`there is no concept set "femal"`}},
		{"    at_least: 1\n", "", []string{"of needs at_least or at_most"}},
		{"{name: women of working age, ", "{", []string{"line 14, column 5: the rule needs a name"}},
		{"gap_days: 30", "gap_day: 30", []string{`the exit has no key "gap_day"; did you mean "gap_days"?`}},
		{"exit: {drug: metformin, ", "exit: {drug: any, ", []string{"line 20, column 14: an exit by exposure names the drugs"}},
		{"exit: {drug: metformin, gap_days: 30, days_after: 14}", "exit: 30 days", []string{`"30 days" is no exit`}},
		{"era_gap_days: 7", "era_gap_days: -7", []string{"must be a whole number"}},
		{"calendar: from 2010-01-01", "calendar: from 2010-02-30", []string{`"from 2010-02-30" is no time in the calendar`}},
		{"censor: {death: any}", "censor: {observation_period: diabetes}", []string{"an event of kind observation_period has no concepts"}},
		{"diabetes: 201826", "any: 201826", []string{`line 3, column 3: a concept set cannot be named "any"`, `there is no concept set "diabetes"`}},
		{"id: 1502905, ", "", []string{"line 4, column 22: the concept needs the key id"}},
		{"[8554]", "&u [8554]", []string{"line"}},
		{"entry:", "entree:", []string{`did you mean "entry"?`, "needs the key entry"}},
		{"  drug: metformin\n", "", []string{"the entry names its kind: condition"}},
		{"same_visit: true", "same_visit: yes please", []string{"this must be true or false"}},
		{"title: Second-line treatment", "titel: x\nage: 7", []string{`"titel"`, `"age"`}}, // all at once
	} {
		text := strings.Replace(sound, c.old, c.new, 1)
		if text == sound {
			t.Fatalf("%q does not stand in the definition", c.old)
		}
		_, err := Expand([]byte(text))
		if havre.KindOf(err) != havre.Invalid || havre.HintOf(err) == "" {
			t.Errorf("%s: %v", c.new, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v\ndoes not say %s", c.new, err, w)
			}
		}
		if len(Problems([]byte(text))) == 0 {
			t.Errorf("%s: no problems are listed", c.new)
		}
	}
}

// TestEveryAttribute: each key of each kind takes a value and leaves a filter.
func TestEveryAttribute(t *testing.T) {
	if len(Kinds()) != len(circe.Kinds)-1 {
		t.Errorf("kinds %v", Kinds())
	}
	values := map[circe.Form][]string{
		circe.Dates: {"2010-02-03", "from 2010-02-03", "not 2010-02-03 to 2011-02-03"}, circe.Integers: {"18", "not 18", "at most -1", "18 to 65"},
		circe.Decimals: {"1.5", "more than -1.5", "not 1 to 2.25"}, circe.Concepts: {"8532", "[1, 2]", "s"}, circe.Selection: {"s", "{not: s}"},
		circe.Codeset: {"s"}, circe.Texts: {"contains a b", "not starts with x"}, circe.Flag: {"true"}, circe.UserPeriods: {"until 2010-02-03"},
	}
	for _, kind := range Kinds() {
		for _, key := range Attributes(kind) {
			a := attributes[kind][key]
			form := circe.Selection
			if a.list != nil {
				form = a.list.Form
			}
			for _, v := range values[form] {
				if v == "s" && form == circe.Concepts && a.set == nil {
					continue
				}
				text := fmt.Sprintf("concepts: {s: 1}\nentry: {%s: any, %s: %s}", kind, key, v)
				data, err := Expand([]byte(text))
				if err != nil {
					t.Errorf("%s: %v", text, err)
					continue
				}
				d, err := circe.Parse(data)
				if err != nil {
					t.Fatal(err)
				}
				if c := d.Primary.Criteria[0]; len(c.Filters) != 1 && c.Period == nil {
					t.Errorf("%s asks nothing", text)
				}
			}
		}
	}
	if want := []string{"age", "ends", "ethnicity", "race", "sex", "starts"}; !slices.Equal(Attributes(""), want) {
		t.Errorf("of a person %v", Attributes(""))
	}
}

// FuzzExpand: whatever the text, it is refused with a reason, or expands to what
// the parser takes, always to the same.
func FuzzExpand(f *testing.F) {
	f.Add([]byte(sound))
	f.Add([]byte("concepts: {a: [1, {id: 2, exclude: true}]}\nentry: {any_of: [{condition: a, with: {all_of: [{visit: any, when: any time}]}}], limit: last}\nlimit: first\nexit: at the end"))
	f.Add([]byte("entry: {payer_plan_period: any, fixed_dates: until 2010-01-01}\nrules: [{name: x, none_of: [{age: 3}]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Expand(data)
		problems := Problems(data)
		if (err == nil) != (len(problems) == 0) {
			t.Fatalf("%v, but problems %v", err, problems)
		}
		if err != nil {
			if havre.KindOf(err) != havre.Invalid {
				t.Fatal(err)
			}
			return
		}
		if _, err := circe.Parse(got); err != nil {
			t.Fatalf("%v\n%s", err, got)
		}
		if again, _ := Expand(data); string(again) != string(got) {
			t.Fatal("another expansion")
		}
	})
}
