package cohort

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/cohort/short"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// shortDefinition writes a random short definition.
func (a author) shortDefinition() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("concepts:")
	for id := range 3 {
		items := []string{fmt.Sprint(1 + a.IntN(11))}
		for range a.IntN(3) {
			items = append(items, fmt.Sprintf("{id: %d, descendants: %v, mapped: %v, exclude: %v}", a.IntN(12), a.one(2), a.one(4), a.one(5)))
		}
		line("  s%d: [%s]", id, strings.Join(items, ", "))
	}
	entry := a.shortEvent(0)
	if a.one(4) {
		entry = fmt.Sprintf("any_of: [{%s}, {%s}]", entry, a.shortEvent(0))
	}
	line("entry: {%s, observed_days_before: %d, observed_days_after: %d, limit: %s}", entry, a.IntN(2)*a.IntN(30), a.IntN(2)*a.IntN(20), a.of("all", "all", "first", "last"))
	line("limit: %s", a.of("all", "all", "first", "last"))
	line("rules:")
	for i := range a.IntN(2) * a.IntN(4) {
		line("  - {name: r%d, %s}", i, a.shortCondition(0))
	}
	if strings.HasSuffix(b.String(), "rules:\n") {
		line("  []")
	}
	switch a.IntN(4) {
	case 0:
		line("exit: %d days %s the %s", a.IntN(50), a.of("after", "after", "before"), a.of("start", "end"))
	case 1:
		supply := ""
		if a.one(3) {
			supply = fmt.Sprintf(", days_supply: %d", a.IntN(20))
		}
		line("exit: {drug: s%d, gap_days: %d, days_after: %d%s}", a.IntN(3), a.IntN(30), a.IntN(12), supply)
	}
	if a.one(3) {
		line("censor: [{%s}]", a.shortEvent(1))
	}
	line("era_gap_days: %d", a.IntN(2)*a.IntN(40))
	if a.one(4) {
		line("calendar: %s", a.of("from "+a.date(), "until "+a.date(), "2008-03-01 to 2008-09-30"))
	}
	return b.String()
}

func (a author) shortEvent(depth int) string {
	kind := a.of(append([]string{"condition", "drug", "condition", "drug", "measurement", "visit", "death"}, short.Kinds()...)...)
	set := "any"
	if kind != "observation_period" && kind != "payer_plan_period" && !a.one(4) {
		set = fmt.Sprintf("s%d", a.IntN(3))
	}
	parts := []string{kind + ": " + set}
	if kind != "death" && a.one(4) {
		parts = append(parts, "occurrence: first")
	}
	keys := short.Attributes(kind)
	for _, key := range keys {
		if a.one(len(keys) + 2) {
			if v := a.shortValue(key); v != "" {
				parts = append(parts, key+": "+v)
			}
		}
	}
	if depth < 2 && a.one(5) {
		parts = append(parts, "with: [{"+a.shortCondition(depth+1)+"}]")
	}
	return strings.Join(parts, ", ")
}

// shortValue gives a value for the keys that the generator knows, "" else.
func (a author) shortValue(key string) string {
	switch key {
	case "age", "age_at_end", "length":
		return a.of("at least ", "at most ", "more than ", "less than ", "", "not ", "10 to ", "not 5 to ") + fmt.Sprint(10+a.IntN(40))
	case "starts", "ends":
		return a.of("from ", "until ", "after ", "before ", "", "not ", "2008-01-15 to ") + a.date()
	case "sex":
		return a.of("female", "male", "s1", "{not: s1}", "[1, 2]")
	case "value", "quantity", "range_low", "days_supply":
		return a.of("at least ", "more than ", "less than ", "1 to ", "not ") + fmt.Sprint(a.IntN(6))
	case "unit", "result", "visit_type", "provider_specialty", "race", "ethnicity":
		return a.of("s0", "s2", "{not: s0}", "[1, 3, 5]", "2")
	case "text", "stop_reason":
		return a.of("contains ", "starts with ", "not is ") + a.of("a", "b", "é")
	}
	return ""
}

func (a author) shortCondition(depth int) string {
	if depth < 2 && a.one(4) {
		var parts []string
		for range 1 + a.IntN(3) {
			parts = append(parts, "{"+a.shortCondition(depth+1)+"}")
		}
		list := "[" + strings.Join(parts, ", ") + "]"
		return a.of("all_of: "+list, "any_of: "+list, "none_of: "+list, "at_least: 2, of: "+list, "at_most: 1, of: "+list)
	}
	if a.one(5) {
		key := a.of("age", "sex", "race", "starts", "ends")
		return key + ": " + a.shortValue(key)
	}
	event := a.shortEvent(depth + 1)
	parts := []string{event, "when: " + a.shortWhen()}
	if !a.one(3) {
		parts = append(parts, "count: "+a.of("none", "at least 1", "at least 2", "at most 1", "exactly 1"))
	}
	if a.one(4) {
		parts = append(parts, "distinct: "+a.of("start_date", "end_date"))
	}
	for _, flag := range []string{"same_visit", "outside_observation"} {
		if a.one(4) {
			parts = append(parts, flag+": true")
		}
	}
	return strings.Join(parts, ", ")
}

func (a author) shortWhen() string {
	span := func() string {
		n := 1 + a.IntN(60)
		return a.of("any time", "on the day", fmt.Sprintf("within %d days", n),
			fmt.Sprintf("within %d days %s", n, a.of("before", "after")), fmt.Sprintf("within %d days %s or on the day", n, a.of("before", "after")),
			"any time "+a.of("before", "after"), "any time "+a.of("before", "after")+" or on the day",
			fmt.Sprintf("%d to %d days %s", n, a.IntN(60), a.of("before", "after")), fmt.Sprintf("from %d days before to %d days after", n, n/2))
	}
	end := a.of("", "", `", from the end"`)
	quote := func(s string) string { return `"` + s + strings.Trim(end, `"`) + `"` }
	if a.one(4) {
		return "[" + quote("starting "+span()) + ", " + quote("ending "+span()) + "]"
	}
	return quote(a.of("", "starting ", "ending ") + span())
}

// TestShortDefinitions: random short definitions expand to what the strict
// parser takes, and are answered as the slow evaluator answers their expansion.
func TestShortDefinitions(t *testing.T) {
	filled, total := 0, 0
	for round := range *rounds / 3 {
		a := author{rand.New(rand.NewPCG(uint64(round), 11))}
		tables := randomWorld(a.Rand)
		var documents []string
		var definitions []*Definition
		for range 4 {
			text := a.shortDefinition()
			doc, err := short.Expand([]byte(text))
			if err != nil {
				t.Fatalf("round %d: %v\n%s", round, err, text)
			}
			d, err := Parse(doc)
			if err != nil {
				t.Fatalf("round %d: %v\n%s", round, err, doc)
			}
			if absent := Absent(d); len(absent) > 0 {
				t.Fatalf("round %d: %v", round, absent)
			}
			documents, definitions = append(documents, string(doc)), append(definitions, d)
		}
		plan, err := Compile(context.Background(), studytest.NewVocabulary(tables), definitions, false)
		if err != nil {
			t.Fatal(err)
		}
		population := studytest.New(1+a.IntN(3), tables)
		got := rowsOf(t, plan, population)
		for i, doc := range documents {
			want := readSlow(tables, doc).evaluate()
			total++
			if len(want.rows) > 0 {
				filled++
			}
			if !slices.Equal(got[i], want.rows) {
				t.Fatalf("round %d, definition %d: %s\n%s", round, i, difference(got[i], want.rows), doc)
			}
		}
	}
	if filled*4 < total {
		t.Errorf("only %d of %d definitions found somebody", filled, total)
	}
	t.Logf("%d definitions, %d of them with rows", total, filled)
}

// TestShortMeaning: a population, a short definition, and who belongs to it, as
// anybody can count.
func TestShortMeaning(t *testing.T) {
	person, period, condition, drug := newBuilder(), newBuilder(), newBuilder(), newBuilder()
	for id := int64(1); id <= 3; id++ {
		person.Int("person_id", id)
		person.Int("gender_concept_id", []int64{8532, 8507, 8532}[id-1])
		person.Int("year_of_birth", 1950)
		period.Int("observation_period_id", id)
		period.Int("person_id", id)
		period.Day("observation_period_start_date", int(circe.ToDate(2008, 1, 1)))
		period.Day("observation_period_end_date", int(circe.ToDate(2013, 12, 31)))
	}
	event := func(b builder, kind string, id, person int64, y, m, d int) {
		b.Int(kind+"_id", id)
		b.Int("person_id", person)
		b.Int(strings.TrimSuffix(strings.TrimSuffix(kind, "_occurrence"), "_exposure")+"_concept_id", 5)
		start := kind + "_start_date"
		if kind == "condition_occurrence" {
			start = "condition_start_date"
		}
		b.Day(start, int(circe.ToDate(y, m, d)))
	}
	event(condition, "condition_occurrence", 1, 1, 2010, 5, 1)
	event(condition, "condition_occurrence", 2, 1, 2011, 2, 1)
	event(condition, "condition_occurrence", 3, 2, 2009, 1, 10)
	event(condition, "condition_occurrence", 4, 3, 2011, 6, 1)
	event(drug, "drug_exposure", 1, 3, 2011, 5, 20)
	concept, ancestor, relation := newBuilder(), newBuilder(), newBuilder()
	concept.Int("concept_id", 5)
	concept.NullText("invalid_reason")
	ancestor.Int("ancestor_concept_id", 5)
	ancestor.Int("descendant_concept_id", 5)
	relation.Int("concept_id_1", 5)
	relation.Int("concept_id_2", 5)
	relation.Text("relationship_id", "Is a")
	relation.NullText("invalid_reason")
	tables := map[string]studytest.Table{"person": person.Table, "observation_period": period.Table, "condition_occurrence": condition.Table,
		"drug_exposure": drug.Table, "concept": concept.Table, "concept_ancestor": ancestor.Table, "concept_relationship": relation.Table}
	const start = "concepts: {diabetes: 5}\nentry: {condition: diabetes, occurrence: first, observed_days_before: 730}\nexit: 0 days after the start\n"
	for text, want := range map[string][]string{
		start: {"1 2010-05-01", "3 2011-06-01"}, // the first diagnosis counts, and two years are observed before it
		start + "rules: [{name: new, count: none, drug: any, when: within 30 days before}]": {"1 2010-05-01"},
		start + "rules: [{name: old, drug: any, when: 10 to 12 days before}]":               {"3 2011-06-01"},
		start + "rules: [{name: men, sex: male}]":                                           nil,
		start + "calendar: until 2010-12-31":                                                {"1 2010-05-01"},
	} {
		doc, err := short.Expand([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		d, err := Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := Compile(context.Background(), studytest.NewVocabulary(tables), []*Definition{d}, false)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rowsOf(t, plan, studytest.New(1, tables))[0] {
			got = append(got, fmt.Sprint(r.person, " ", time.Unix(int64(r.start)*86400, 0).UTC().Format(time.DateOnly)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
