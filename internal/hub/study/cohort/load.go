package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Reader gives the rows of one bucket; *permit.View is the one in use. The
// batches have exactly the columns wanted, in that order, and are released by
// the caller.
type Reader interface {
	Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error)
}

// People are the persons of one bucket who have an observation period,
// ascending by id. Others cannot belong to a cohort.
type People struct {
	ID []int64
	// Gender is the concept of the sex, NoConcept if there is none or the person
	// has no row in PERSON; nil, as the next, unless the plan wants demographics.
	Gender []int64
	// BirthYear is the year of birth, NoYear if unknown.
	BirthYear []int32

	periods     []Period // of all persons, by person and start
	periodStart []int32  // where each person's begin; one more at the end
	index       *lookup  // 1 + place in ID
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
func (p *People) Find(id int64) int { return int(p.index.get(id)) - 1 }

// events are the rows of one table that concern some criterion, by person,
// then start, then event id.
type events struct {
	first      []int32 // where each person's rows begin; one more at the end
	person     []int32
	id         []int64
	start, end []date
	standard   []int32 // class
	sourceID   []int64
	source     []int32 // class
	extra      []column
}

// column is one extra column; a value that is not there is not ok.
type column struct {
	ints   []int64
	floats []float64
	ok     []bool
}

// read calls visit for every batch of one table and releases it.
func read(ctx context.Context, r Reader, bucket int, w warehouse.Want, visit func(arrow.RecordBatch) error) error {
	batches, err := r.Read(ctx, bucket, w)
	if err != nil {
		return err
	}
	for _, b := range batches {
		if err == nil {
			if int(b.NumCols()) != len(w.Columns) {
				err = havre.E("cohort.read", havre.Internal, fmt.Sprintf("table %s came with %d columns, %d were wanted", w.Table, b.NumCols(), len(w.Columns)))
			} else {
				err = visit(b)
			}
		}
		b.Release()
	}
	return err
}

func columnOf[A any](b arrow.RecordBatch, i int) (A, error) {
	a, ok := b.Column(i).(A)
	if !ok {
		return a, havre.E("cohort.read", havre.Internal, fmt.Sprintf("column %s came as %s", b.ColumnName(i), b.Column(i).DataType()))
	}
	return a, nil
}

func loadPeople(ctx context.Context, r Reader, bucket int, demographics bool) (*People, error) {
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
		return firstOrder(a.person, b.person, int64(a.Start), int64(b.Start), int64(a.End), int64(b.End))
	})
	p := &People{periods: make([]Period, len(rows))}
	for i, row := range rows {
		if i == 0 || row.person != rows[i-1].person {
			p.ID = append(p.ID, row.person)
			p.periodStart = append(p.periodStart, int32(i))
		}
		p.periods[i] = row.Period
	}
	p.periodStart = append(p.periodStart, int32(len(rows)))
	p.index = newLookup(len(p.ID))
	for i, id := range p.ID {
		p.index.put(id, int32(i)+1)
	}
	if demographics {
		err = p.loadDemographics(ctx, r, bucket)
	}
	return p, err
}

// loadDemographics reads PERSON, which has one row for each person.
func (p *People) loadDemographics(ctx context.Context, r Reader, bucket int) error {
	p.Gender, p.BirthYear = make([]int64, len(p.ID)), make([]int32, len(p.ID))
	for i := range p.BirthYear {
		p.Gender[i], p.BirthYear[i] = NoConcept, NoYear
	}
	return read(ctx, r, bucket, warehouse.Want{Table: "person", Columns: personColumns}, func(b arrow.RecordBatch) error {
		person, err1 := columnOf[*array.Int64](b, 0)
		gender, err2 := columnOf[*array.Int64](b, 1)
		year, err3 := columnOf[*array.Int64](b, 2)
		if err := firstError(err1, err2, err3); err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			at := p.Find(person.Value(i))
			if at < 0 || person.IsNull(i) {
				continue
			}
			if !gender.IsNull(i) {
				p.Gender[at] = gender.Value(i)
			}
			if !year.IsNull(i) {
				p.BirthYear[at] = int32(min(max(year.Value(i), NoYear+1), math.MaxInt32))
			}
		}
		return nil
	})
}

// loadEvents reads the rows of one table that some criterion may want.
func (d *domainPlan) loadEvents(ctx context.Context, r Reader, bucket int, people *People) (*events, error) {
	e := &events{extra: make([]column, len(d.extra))}
	if d.concepts == nil || len(d.concepts) > 0 {
		want := warehouse.Want{Table: d.table, Columns: d.columns(), Concepts: d.concepts}
		if err := read(ctx, r, bucket, want, func(b arrow.RecordBatch) error { return d.take(e, b, people) }); err != nil {
			return nil, err
		}
	}
	e.sort(len(people.ID))
	return e, nil
}

// take appends the rows of a batch that concern an observed person and some
// criterion.
func (d *domainPlan) take(e *events, b arrow.RecordBatch, people *People) error {
	next := 0
	var errs []error
	ints := func() *array.Int64 {
		a, err := columnOf[*array.Int64](b, next)
		next++
		errs = append(errs, err)
		return a
	}
	days := func() *array.Date32 {
		a, err := columnOf[*array.Date32](b, next)
		next++
		errs = append(errs, err)
		return a
	}
	person, id, start := ints(), ints(), days()
	var end *array.Date32
	var supply, concept, source *array.Int64
	if d.end != "" {
		end = days()
	}
	if d.supply != "" {
		supply = ints()
	}
	if d.concept != "" {
		concept = ints()
	}
	if d.readSource {
		source = ints()
	}
	if err := firstError(errs...); err != nil {
		return err
	}
	var kept []int
	for i := range int(b.NumRows()) {
		if person.IsNull(i) || start.IsNull(i) {
			continue // such a row lies in no observation period
		}
		at := people.Find(person.Value(i))
		if at < 0 {
			continue
		}
		var class, sourceClass int32
		var sourceID int64
		if concept != nil && !concept.IsNull(i) {
			class = d.byStandard.byConcept.get(concept.Value(i))
		}
		if source != nil && !source.IsNull(i) {
			sourceID = source.Value(i)
			sourceClass = d.bySource.byConcept.get(sourceID)
		}
		if class == 0 && sourceClass == 0 && len(d.every) == 0 {
			continue
		}
		kept = append(kept, i)
		e.person = append(e.person, int32(at))
		e.id = append(e.id, id.Value(i))
		e.start = append(e.start, date(start.Value(i)))
		e.end = append(e.end, d.endOf(i, date(start.Value(i)), end, supply))
		e.standard = append(e.standard, class)
		e.source = append(e.source, sourceClass)
		if d.readSource {
			e.sourceID = append(e.sourceID, sourceID)
		}
	}
	for i := range e.extra {
		if err := e.extra[i].take(b, next+i, kept); err != nil {
			return err
		}
	}
	return nil
}

// endOf gives the day an event ends: as recorded; else after the days of
// supply, where the kind has them; else the day after its start, where Circe
// says so; else it has none.
func (d *domainPlan) endOf(row int, start date, end *array.Date32, supply *array.Int64) date {
	switch {
	case end != nil && !end.IsNull(row):
		return date(end.Value(row))
	case supply != nil && !supply.IsNull(row):
		return addDays(start, int32(min(max(supply.Value(row), math.MinInt32), math.MaxInt32)))
	case d.nextDay:
		return addDays(start, 1)
	default:
		return noDate
	}
}

func (c *column) take(b arrow.RecordBatch, i int, rows []int) error {
	switch a := b.Column(i).(type) {
	case *array.Int64:
		for _, row := range rows {
			c.ints, c.ok = append(c.ints, a.Value(row)), append(c.ok, !a.IsNull(row))
		}
	case *array.Float64:
		for _, row := range rows {
			c.floats, c.ok = append(c.floats, a.Value(row)), append(c.ok, !a.IsNull(row))
		}
	default:
		_, err := columnOf[*array.Float64](b, i)
		return err
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
