package cohort

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// People are the persons of one bucket who have an observation period,
// ascending by id. Others cannot belong to a cohort.
type People struct {
	ID []int64
	// Gender is the concept of the sex, NoConcept if there is none or the person
	// has no row in PERSON; nil, as the next, unless the plan wants demographics.
	Gender []int64
	// BirthYear is the year of birth, NoYear if unknown.
	BirthYear []int32

	race, ethnicity []int64
	known           []bool // there is a row in PERSON

	few []int64 // ID, where these are not all persons of the bucket; else nil

	periods     []Period // of all persons, by person and start
	periodStart []int32  // where each person's begin; one more at the end
	index       *index
}

// What stands for a value that is not there.
const (
	NoYear    = math.MinInt32
	NoConcept = math.MinInt64
)

// Period is a span of days, both included, counted from 1970-01-01.
type Period struct{ Start, End int32 }

// Periods gives the observation periods of the person at place i, by start.
func (p *People) Periods(i int) []Period { return p.periods[p.periodStart[i]:p.periodStart[i+1]] }

// Find gives the place of a person, -1 if the person has no observation period.
func (p *People) Find(id int64) int { return p.index.place(id) }

func loadPeople(ctx context.Context, r Reader, bucket int, needs personNeeds) (*People, error) {
	type row struct {
		person int64
		Period
	}
	var rows []row
	err := read(ctx, r, bucket, warehouse.Want{Table: "observation_period", Columns: periodColumns}, func(b arrow.RecordBatch) error {
		person, err1 := columnOf[*array.Int64](b, 0)
		start, err2 := columnOf[*array.Date32](b, 1)
		end, err3 := columnOf[*array.Date32](b, 2)
		if err := firstError(err1, err2, err3); err != nil {
			return err
		}
		rows = slices.Grow(rows, int(b.NumRows()))
		for i := range int(b.NumRows()) {
			if !person.IsNull(i) && !start.IsNull(i) && !end.IsNull(i) { // a period without a bound holds no day
				rows = append(rows, row{person.Value(i), Period{int32(start.Value(i)), int32(end.Value(i))}})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b row) int {
		if c := cmp.Compare(a.person, b.person); c != 0 {
			return c
		}
		return inOrder(a.Start, b.Start, a.End, b.End)
	})
	p := &People{ID: make([]int64, 0, len(rows)), periods: make([]Period, len(rows)), periodStart: make([]int32, 0, len(rows)+1)}
	for i, row := range rows {
		if i == 0 || row.person != rows[i-1].person {
			p.ID = append(p.ID, row.person)
			p.periodStart = append(p.periodStart, int32(i))
		}
		p.periods[i] = row.Period
	}
	p.periodStart = append(p.periodStart, int32(len(rows)))
	p.index = newIndex(p.ID)
	if needs.any() {
		err = p.loadDemographics(ctx, r, bucket, needs)
	}
	return p, err
}

// loadDemographics reads PERSON, which has one row for each person.
func (p *People) loadDemographics(ctx context.Context, r Reader, bucket int, needs personNeeds) error {
	n := len(p.ID)
	p.known, p.Gender, p.BirthYear = make([]bool, n), noConcepts(n), make([]int32, n)
	for i := range p.BirthYear {
		p.BirthYear[i] = NoYear
	}
	columns := needs.columns()
	concepts := []*[]int64{&p.Gender}
	places := []int{1}
	if needs.race {
		p.race = noConcepts(n)
		concepts, places = append(concepts, &p.race), append(places, slices.Index(columns, "race_concept_id"))
	}
	if needs.ethnicity {
		p.ethnicity = noConcepts(n)
		concepts, places = append(concepts, &p.ethnicity), append(places, slices.Index(columns, "ethnicity_concept_id"))
	}
	return read(ctx, r, bucket, warehouse.Want{Table: "person", Columns: columns}, func(b arrow.RecordBatch) error {
		person, err1 := columnOf[*array.Int64](b, 0)
		year, err2 := columnOf[*array.Int64](b, 2)
		if err := firstError(err1, err2); err != nil {
			return err
		}
		for k, at := range places {
			values, err := columnOf[*array.Int64](b, at)
			if err != nil {
				return err
			}
			for i := range int(b.NumRows()) {
				if place := p.Find(person.Value(i)); place >= 0 && !person.IsNull(i) && !values.IsNull(i) {
					(*concepts[k])[place] = values.Value(i)
				}
			}
		}
		for i := range int(b.NumRows()) {
			at := p.Find(person.Value(i))
			if at < 0 || person.IsNull(i) {
				continue
			}
			p.known[at] = true
			if !year.IsNull(i) {
				p.BirthYear[at] = int32(min(max(year.Value(i), NoYear+1), math.MaxInt32))
			}
		}
		return nil
	})
}

func noConcepts(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = NoConcept
	}
	return out
}
