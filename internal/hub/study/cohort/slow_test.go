package cohort

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// The slow evaluator reads a definition with encoding/json and follows the
// reference SQL step by step with nested loops over whole tables, sharing no
// code with the evaluator that it judges.

type slowDefinition struct {
	ConceptSets []struct {
		ID         int64 `json:"id"`
		Expression struct {
			Items []struct {
				Concept struct {
					ID int64 `json:"CONCEPT_ID"`
				} `json:"concept"`
				IsExcluded, IncludeDescendants, IncludeMapped bool
			}
		}
	}
	PrimaryCriteria struct {
		CriteriaList         []map[string]slowCriterion
		ObservationWindow    struct{ PriorDays, PostDays int32 }
		PrimaryCriteriaLimit struct{ Type string }
	}
	ExpressionLimit struct{ Type string }
	EndStrategy     *struct {
		DateOffset struct {
			DateField string
			Offset    int32
		}
	}
	CollapseSettings struct{ EraPad int32 }
	CensorWindow     struct{ StartDate, EndDate string }
}

type slowCriterion struct {
	CodesetID              *int64 `json:"CodesetId"`
	ConditionSourceConcept *int64
	DrugSourceConcept      *int64
	First                  bool
	Age                    *slowRange
	Gender                 []struct {
		ID int64 `json:"CONCEPT_ID"`
	}
	OccurrenceStartDate *struct{ Value, Op, Extent string }
	DaysSupply          *slowRange
}

type slowRange struct {
	Value, Extent float64
	Op            string
}

func (r *slowRange) keeps(v float64) bool {
	switch r.Op {
	case "lt":
		return v < r.Value
	case "lte":
		return v <= r.Value
	case "eq":
		return v == r.Value
	case "!eq":
		return v != r.Value
	case "gt":
		return v > r.Value
	case "gte":
		return v >= r.Value
	case "bt":
		return r.Value <= v && v <= r.Extent
	case "!bt":
		return !(r.Value <= v && v <= r.Extent)
	}
	panic(r.Op)
}

type slowWorld struct {
	tables map[string]studytest.Table
}

func (w slowWorld) concepts(d *slowDefinition, id int64) map[int64]bool {
	concept, ancestor, relation := w.tables["concept"], w.tables["concept_ancestor"], w.tables["concept_relationship"]
	one := func(excluded bool) map[int64]bool {
		all, mapped := map[int64]bool{}, map[int64]bool{}
		for _, s := range d.ConceptSets {
			if s.ID != id {
				continue
			}
			for _, item := range s.Expression.Items {
				if item.IsExcluded != excluded {
					continue
				}
				for c, cid := range concept["concept_id"].Ints {
					named := cid == item.Concept.ID
					below := false
					for a, anc := range ancestor["ancestor_concept_id"].Ints {
						below = below || anc == item.Concept.ID && ancestor["descendant_concept_id"].Ints[a] == cid
					}
					valid := concept["invalid_reason"].Null[c]
					if named || item.IncludeDescendants && below && valid {
						all[cid] = true
						mapped[cid] = mapped[cid] || item.IncludeMapped
					}
				}
			}
		}
		for r, target := range relation["concept_id_2"].Ints {
			if mapped[target] && relation["relationship_id"].Texts[r] == "Maps to" && relation["invalid_reason"].Null[r] {
				all[relation["concept_id_1"].Ints[r]] = true
			}
		}
		return all
	}
	in, out := one(false), one(true)
	for c := range out {
		delete(in, c)
	}
	return in
}

type slowEvent struct {
	person, id, start, end, place, opEnd int64
	hasEnd                               bool
}

func (w slowWorld) value(table, column string, row int) (int64, bool) {
	c := w.tables[table][column]
	if c == nil || c.Null != nil && c.Null[row] {
		return 0, false
	}
	if c.Days != nil {
		return int64(c.Days[row]), true
	}
	return c.Ints[row], true
}

// events are the events of one criterion.
func (w slowWorld) events(d *slowDefinition, kind string, c slowCriterion, place int) []slowEvent {
	table, prefix := "condition_occurrence", "condition"
	source := c.ConditionSourceConcept
	startColumn, endColumn := "condition_start_date", "condition_end_date"
	if kind == "DrugExposure" {
		table, prefix, source = "drug_exposure", "drug", c.DrugSourceConcept
		startColumn, endColumn = "drug_exposure_start_date", "drug_exposure_end_date"
	}
	in := func(set *int64, column string, row int) bool {
		if set == nil {
			return true
		}
		v, ok := w.value(table, column, row)
		return ok && w.concepts(d, *set)[v]
	}
	type candidate struct {
		slowEvent
		row int
	}
	var all []candidate
	for row := range w.tables[table].Len() {
		if !in(c.CodesetID, prefix+"_concept_id", row) || !in(source, prefix+"_source_concept_id", row) {
			continue
		}
		e := candidate{row: row}
		e.place, e.hasEnd = int64(place), true
		e.person, _ = w.value(table, "person_id", row)
		e.id, _ = w.value(table, table+"_id", row)
		e.start, _ = w.value(table, startColumn, row)
		e.end = e.start + 1
		if supply, ok := w.value(table, "days_supply", row); ok && kind == "DrugExposure" {
			e.end = e.start + supply
		}
		if end, ok := w.value(table, endColumn, row); ok {
			e.end = end
		}
		all = append(all, e)
	}
	var out []slowEvent
	for _, e := range all {
		earlier := false
		for _, o := range all {
			earlier = earlier || o.person == e.person && (o.start < e.start || o.start == e.start && o.id < e.id)
		}
		if c.First && earlier || !w.passes(c, table, e.slowEvent, e.row) {
			continue
		}
		out = append(out, e.slowEvent)
	}
	return out
}

func (w slowWorld) passes(c slowCriterion, table string, e slowEvent, row int) bool {
	if r := c.OccurrenceStartDate; r != nil {
		n := slowRange{Value: slowDay(r.Value), Op: r.Op}
		if r.Extent != "" {
			n.Extent = slowDay(r.Extent)
		}
		if !n.keeps(float64(e.start)) {
			return false
		}
	}
	if c.DaysSupply != nil {
		if v, ok := w.value(table, "days_supply", row); !ok || !c.DaysSupply.keeps(float64(v)) {
			return false
		}
	}
	if c.Age == nil && len(c.Gender) == 0 {
		return true
	}
	for p, id := range w.tables["person"]["person_id"].Ints {
		if id != e.person {
			continue
		}
		born, hasBorn := w.value("person", "year_of_birth", p)
		gender, hasGender := w.value("person", "gender_concept_id", p)
		year := int64(time.Unix(e.start*24*60*60, 0).UTC().Year())
		ok := c.Age == nil || hasBorn && c.Age.keeps(float64(year-born))
		if len(c.Gender) > 0 {
			found := false
			for _, g := range c.Gender {
				found = found || hasGender && g.ID == gender
			}
			ok = ok && found
		}
		return ok
	}
	return false
}

func slowDay(s string) float64 {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return float64(t.Unix() / (24 * 60 * 60))
}

// evaluate gives the rows of a cohort, sorted.
func (w slowWorld) evaluate(document string) []row {
	var d slowDefinition
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		panic(err)
	}
	op := w.tables["observation_period"]
	byPerson := map[int64][]slowEvent{}
	for place, c := range d.PrimaryCriteria.CriteriaList {
		for kind, criterion := range c {
			for _, e := range w.events(&d, kind, criterion, place) {
				for p, person := range op["person_id"].Ints {
					from, to := int64(op["observation_period_start_date"].Days[p]), int64(op["observation_period_end_date"].Days[p])
					window := d.PrimaryCriteria.ObservationWindow
					if person == e.person && from <= e.start && e.start <= to &&
						from+int64(window.PriorDays) <= e.start && e.start+int64(window.PostDays) <= to {
						e.opEnd = to
						byPerson[person] = append(byPerson[person], e)
					}
				}
			}
		}
	}
	var out []row
	for person, events := range byPerson {
		sign := int64(1)
		if strings.EqualFold(d.PrimaryCriteria.PrimaryCriteriaLimit.Type, "last") {
			sign = -1
		}
		slices.SortFunc(events, func(a, b slowEvent) int {
			return firstOrder(sign*a.start, sign*b.start, a.id, b.id, a.place, b.place, a.end, b.end, a.opEnd, b.opEnd)
		})
		if !strings.EqualFold(d.PrimaryCriteria.PrimaryCriteriaLimit.Type, "all") {
			events = events[:1]
		}
		switch l := d.ExpressionLimit.Type; {
		case strings.EqualFold(l, "first"):
			slices.SortStableFunc(events, func(a, b slowEvent) int { return firstOrder(a.start, b.start) })
			events = events[:1]
		case strings.EqualFold(l, "last"):
			slices.SortStableFunc(events, func(a, b slowEvent) int { return firstOrder(b.start, a.start) })
			events = events[:1]
		}
		out = append(out, w.periods(&d, person, events)...)
	}
	slices.SortFunc(out, compareRows)
	return out
}

// periods marks every day that a period or the pad after it covers.
func (w slowWorld) periods(d *slowDefinition, person int64, events []slowEvent) (out []row) {
	type span struct{ start, end int64 }
	var spans []span
	for _, e := range events {
		end := e.opEnd
		if s := d.EndStrategy; s != nil {
			end = e.start
			if s.DateOffset.DateField == "EndDate" {
				end = e.end
			}
			end = min(end+int64(s.DateOffset.Offset), e.opEnd)
		}
		if end >= e.start {
			spans = append(spans, span{e.start, end})
		}
	}
	for merged := true; merged; {
		merged = false
		for i := range spans {
			for j := range spans {
				a, b := spans[i], spans[j]
				if i != j && a.start <= b.start && b.start <= a.end+int64(d.CollapseSettings.EraPad) {
					spans[i] = span{a.start, max(a.end, b.end)}
					spans = slices.Delete(spans, j, j+1)
					merged = true
					break
				}
			}
			if merged {
				break
			}
		}
	}
	for _, s := range spans {
		if c := d.CensorWindow.StartDate; c != "" {
			s.start = max(s.start, int64(slowDay(c)))
		}
		if c := d.CensorWindow.EndDate; c != "" {
			s.end = min(s.end, int64(slowDay(c)))
		}
		if s.start <= s.end {
			out = append(out, row{person, int32(s.start), int32(s.end)})
		}
	}
	return out
}

// TestAgainstSlowEvaluator compares random definitions over random small
// populations in which ties, touching and overlapping observation periods,
// missing values and odd ids are common.
func TestAgainstSlowEvaluator(t *testing.T) {
	rows, total := 0, 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		tables := randomWorld(r)
		var documents []string
		var definitions []*Definition
		for range 12 {
			doc := randomDefinition(r)
			d, err := Parse([]byte(doc))
			if err != nil {
				t.Fatalf("%v\n%s", err, doc)
			}
			documents, definitions = append(documents, doc), append(definitions, d)
		}
		plan, err := Compile(context.Background(), studytest.NewVocabulary(tables), definitions, r.IntN(2) == 0)
		if err != nil {
			t.Fatal(err)
		}
		got := rowsOf(t, plan, studytest.New(1+r.IntN(4), tables))
		for i, doc := range documents {
			want := slowWorld{tables}.evaluate(doc)
			if !slices.Equal(got[i], want) {
				t.Fatalf("seed %d, definition %d: %s\n%s", seed, i, difference(got[i], want), doc)
			}
			total++
			if len(want) > 0 {
				rows++
			}
		}
	}
	if rows*3 < total {
		t.Errorf("only %d of %d cohorts had anybody in them", rows, total)
	}
}

const baseDay = 17950 // 2019-02-23; the days around it fall into two years, one of them a leap year

func randomDefinition(r *rand.Rand) string {
	flip := func() bool { return r.IntN(2) == 0 }
	day := func() string {
		return time.Unix((baseDay+int64(r.IntN(500)))*24*60*60, 0).UTC().Format(time.DateOnly)
	}
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	numeric := func(lo, hi int) string {
		return fmt.Sprintf(`{"Value": %d, "Op": %q, "Extent": %d}`, lo+r.IntN(hi-lo), pick("lt", "lte", "eq", "!eq", "gt", "gte", "bt", "!bt"), lo+r.IntN(hi-lo))
	}
	var sets []string
	for id := range 3 {
		var items []string
		for range 1 + r.IntN(3) {
			items = append(items, fmt.Sprintf(`{"concept": {"CONCEPT_ID": %d, "CONCEPT_NAME": "x"}, "isExcluded": %v, "includeDescendants": %v, "includeMapped": %v}`,
				1+r.IntN(14), r.IntN(5) == 0, flip(), r.IntN(3) == 0))
		}
		sets = append(sets, fmt.Sprintf(`{"id": %d, "name": "s", "expression": {"items": [%s]}}`, id, strings.Join(items, ",")))
	}
	var criteria []string
	for range 1 + r.IntN(3) {
		kind, prefix := "ConditionOccurrence", "Condition"
		if flip() {
			kind, prefix = "DrugExposure", "Drug"
		}
		fields := []string{fmt.Sprintf(`"First": %v, "%sTypeExclude": false`, flip(), prefix)}
		if r.IntN(6) > 0 {
			fields = append(fields, fmt.Sprintf(`"CodesetId": %d`, r.IntN(3)))
		}
		if r.IntN(6) == 0 {
			fields = append(fields, fmt.Sprintf(`"%sSourceConcept": %d`, prefix, r.IntN(3)))
		}
		if r.IntN(5) == 0 {
			fields = append(fields, `"Age": `+numeric(10, 60))
		}
		if r.IntN(6) == 0 {
			fields = append(fields, `"Gender": [{"CONCEPT_ID": 8507}, {"CONCEPT_ID": 0}]`)
		}
		if r.IntN(5) == 0 {
			fields = append(fields, fmt.Sprintf(`"OccurrenceStartDate": {"Value": %q, "Op": %q, "Extent": %q}`, day(), pick("lt", "gte", "bt", "!bt"), day()))
		}
		if kind == "DrugExposure" && r.IntN(5) == 0 {
			fields = append(fields, `"DaysSupply": `+numeric(-2, 40))
		}
		criteria = append(criteria, fmt.Sprintf(`{%q: {%s}}`, kind, strings.Join(fields, ", ")))
	}
	prior, post := 0, 0
	if r.IntN(3) == 0 {
		prior, post = r.IntN(60), r.IntN(30)
	}
	rest := ""
	if flip() {
		rest += fmt.Sprintf(`, "EndStrategy": {"DateOffset": {"DateField": %q, "Offset": %d}}`, pick("StartDate", "EndDate"), r.IntN(60)-10)
	}
	if r.IntN(5) == 0 {
		rest += fmt.Sprintf(`, "CensorWindow": {"StartDate": %q, "EndDate": %q}`, day(), day())
	} else {
		rest += `, "CensorWindow": {}`
	}
	limit := func() string { return pick("All", "all", "First", "Last", "All") }
	return fmt.Sprintf(`{"ConceptSets": [%s], "PrimaryCriteria": {"CriteriaList": [%s],
		"ObservationWindow": {"PriorDays": %d, "PostDays": %d}, "PrimaryCriteriaLimit": {"Type": %q}},
		"QualifiedLimit": {"Type": "First"}, "ExpressionLimit": {"Type": %q}, "InclusionRules": [], "CensoringCriteria": [],
		"CollapseSettings": {"CollapseType": "ERA", "EraPad": %d}%s}`,
		strings.Join(sets, ","), strings.Join(criteria, ","), prior, post, limit(), limit(), r.IntN(3)*r.IntN(20), rest)
}
