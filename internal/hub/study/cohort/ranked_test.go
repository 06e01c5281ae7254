package cohort

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// rankedRows gives the rows of a population as a permit's view does: a table's
// own key is its rank within the read.
type rankedRows struct{ *studytest.Population }

func (rankedRows) RankedIDs() bool { return true }

func (r rankedRows) Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error) {
	batches, err := r.Population.Read(ctx, bucket, w)
	spec, _ := omop.Lookup(w.Table)
	at := slices.Index(w.Columns, spec.ID)
	// Keys that rows of other tables name are the same in every read.
	if err != nil || at < 0 || len(batches) == 0 || w.Table == "visit_occurrence" || w.Table == "visit_detail" || !spec.PersonLevel || spec.ID == spec.Person {
		return batches, err
	}
	ids := batches[0].Column(at).(*array.Int64).Int64Values()
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ids[a], ids[b]) })
	ranks := make([]int64, len(ids))
	for rank, i := range order {
		ranks[i] = int64(rank) + 1
	}
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.AppendValues(ranks, nil)
	columns := slices.Clone(batches[0].Columns())
	columns[at] = b.NewArray()
	return []arrow.RecordBatch{array.NewRecordBatch(batches[0].Schema(), columns, batches[0].NumRows())}, nil
}

// rowsOfPersons gives the rows of some persons, in the order that they had.
func rowsOfPersons(tables map[string]studytest.Table, persons []int64) map[string]studytest.Table {
	out := map[string]studytest.Table{}
	for name, t := range tables {
		spec, _ := omop.Lookup(name)
		if !spec.PersonLevel || t[spec.Person] == nil {
			out[name] = t
			continue
		}
		few := studytest.Table{}
		for column, c := range t {
			f := &studytest.Column{}
			for row, p := range t[spec.Person].Ints {
				if !slices.Contains(persons, p) {
					continue
				}
				f.Null = append(f.Null, c.Null != nil && c.Null[row])
				switch {
				case c.Ints != nil:
					f.Ints = append(f.Ints, c.Ints[row])
				case c.Floats != nil:
					f.Floats = append(f.Floats, c.Floats[row])
				case c.Days != nil:
					f.Days = append(f.Days, c.Days[row])
				case c.Texts != nil:
					f.Texts = append(f.Texts, c.Texts[row])
				}
			}
			few[column] = f
		}
		out[name] = few
	}
	return out
}

// tied writes a definition that chooses among events of one day, and whose
// periods tell which it chose.
func (a author) tied() string {
	var primary []string
	for range 1 + a.IntN(3) {
		primary = append(primary, a.of(`{"Death": {}}`, `{"VisitDetail": {"First": true}}`, `{"VisitOccurrence": {}}`, `{"DrugExposure": {}}`,
			`{"ConditionOccurrence": {}}`, `{"ConditionOccurrence": {"CodesetId": 0, "First": true}}`, `{"DeviceExposure": {}}`))
	}
	return fmt.Sprintf(`{"ConceptSets": [{"id": 0, "name": "s", "expression": {"items": [{"concept": {"CONCEPT_ID": %d}}, {"concept": {"CONCEPT_ID": %d}}]}}],
		"PrimaryCriteria": {"CriteriaList": [%s], "ObservationWindow": {"PriorDays": 0, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "First"}},
		"InclusionRules": [{"name": "r", "expression": {"Type": "ALL", "CriteriaList": [{"Criteria": {"VisitOccurrence": {}}, "RestrictVisit": true,
			"StartWindow": {"Start": {"Coeff": -1}, "End": {"Coeff": 1}}, "Occurrence": {"Type": %d, "Count": %d}}]}}],
		"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 3}}, "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0}}`,
		1+a.IntN(9), 1+a.IntN(9), strings.Join(primary, ","), 1+a.IntN(2), a.IntN(3))
}

// TestOwnRowsAlone: where ids are ranks, a person's periods hang neither on
// other persons nor on the other definitions of the plan. Keys come twice here,
// as those of several deliveries may.
func TestOwnRowsAlone(t *testing.T) {
	members := func(p *Plan, tables map[string]studytest.Table) []string {
		res, err := p.EvaluateAttrition(context.Background(), rankedRows{studytest.New(1, tables)}, 0)
		ok(t, err)
		var out []string
		for i, m := range res.Cohorts {
			text := ""
			for row, at := range m.Person {
				text += fmt.Sprint(res.People.ID[at], m.Start[row], m.End[row], ";")
			}
			if len(res.People.ID) == 1 {
				text += fmt.Sprint(res.Attrition[i])
			}
			out = append(out, text)
		}
		return out
	}
	found := 0
	for round := range *rounds / 2 {
		a := author{rand.New(rand.NewPCG(uint64(round), 6))}
		tables := randomWorld(a.Rand)
		for name, table := range tables {
			if spec, _ := omop.Lookup(name); spec.PersonLevel && table[spec.ID] != nil && spec.ID != spec.Person {
				for row := range table[spec.ID].Ints {
					table[spec.ID].Ints[row] &= 7
				}
			}
			if spec, _ := omop.Lookup(name); table[spec.Start] != nil && name != "observation_period" {
				for row := range table[spec.Start].Days {
					table[spec.Start].Days[row] = baseDay + int32(row%4)
				}
			}
		}
		var definitions []*Definition
		for range 6 {
			doc := a.definition()
			if a.one(2) {
				doc = a.tied()
			}
			d, err := Parse([]byte(doc))
			ok(t, err)
			definitions = append(definitions, d)
		}
		vocabulary := studytest.NewVocabulary(tables)
		plan := func(d ...*Definition) *Plan {
			p, err := Compile(context.Background(), vocabulary, d, true)
			ok(t, err)
			return p
		}
		all := plan(definitions...)
		together := members(all, tables)
		apart := make([]string, len(definitions))
		persons := slices.Sorted(slices.Values(worldPeople))
		for _, p := range persons {
			one := rowsOfPersons(tables, []int64{p})
			among := members(all, one)
			for i, d := range definitions {
				alone := members(plan(d), one)[0]
				if among[i] != alone {
					t.Fatalf("round %d, definition %d: among others %s, alone %s", round, i, among[i], alone)
				}
			}
		}
		for i, d := range definitions {
			apart[i] = members(plan(d), tables)[0]
			if apart[i] != together[i] {
				t.Fatalf("round %d, definition %d: among others %s, alone %s", round, i, together[i], apart[i])
			}
			text := ""
			for _, p := range persons {
				res, err := plan(d).Evaluate(context.Background(), rankedRows{studytest.New(1, rowsOfPersons(tables, []int64{p}))}, 0)
				ok(t, err)
				m := res.Cohorts[0]
				for row := range m.Person {
					text += fmt.Sprint(p, m.Start[row], m.End[row], ";")
				}
			}
			if text != together[i] {
				t.Fatalf("round %d, definition %d: with others %s, person by person %s", round, i, together[i], text)
			}
			if text != "" {
				found++
			}
		}
	}
	t.Logf("%d cohorts with members", found)
}
