package cohort

import (
	"cmp"
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
// the caller. Tables that are not about persons are read as bucket
// ingest.Unbucketed.
type Reader interface {
	Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error)
}

// ranker is a Reader that says whether its ids are ranks within one read: then
// they tell the events of one table apart and keep their order, ids of two
// tables have nothing to do with each other, and the order in which rows come
// hangs on the deliveries alone. A permit's view is one.
//
// Over such rows, a person's periods hang on that person's rows alone: not on
// other persons, nor on the other definitions of the plan.
type ranker interface{ RankedIDs() bool }

func ranked(r Reader) bool {
	x, ok := r.(ranker)
	return ok && x.RankedIDs()
}

// events are the rows of one table that concern some criterion. A column that the
// plan does not want is nil. The memory is used again for the next bucket.
type events struct {
	// As they came:
	rows     []event
	person   []int32 // place in People
	id       []int64
	concept  []int64
	sourceID []int64
	visit    []int64 // NoConcept: none
	extra    []extraValues

	ranked bool    // ids are ranks: see ranker
	first  []int32 // where each person's begin in sorted; one more at the end
	sorted []event // by person, start, and what else tells them apart
	days   []int32 // for sorting
	order  []int32
	keys   []uint64
}

// event is what decides which criteria want a row.
type event struct {
	hit                    // as recorded; row is its place in the columns
	standard, source int32 // classes
}

// extraValues are the values of one extra column; one that is not there is not
// ok. A text column has no values: ok says which rows pass its pattern.
type extraValues struct {
	ints   []int64
	floats []float64
	ok     []bool
}

func (x *extraValues) float(row int32) (float64, bool) {
	switch {
	case !x.ok[row]:
		return 0, false
	case x.floats != nil:
		return x.floats[row], true
	default:
		return float64(x.ints[row]), true
	}
}

// concept gives a value that is a concept.
func (x *extraValues) concept(row int32) (int64, bool) {
	if x.ints == nil || !x.ok[row] {
		return 0, false
	}
	return x.ints[row], true
}

func (e *events) reset(d *domainPlan) {
	e.rows, e.person, e.id, e.concept, e.sourceID, e.visit = e.rows[:0], e.person[:0], e.id[:0], e.concept[:0], e.sourceID[:0], e.visit[:0]
	if e.extra == nil {
		e.extra = make([]extraValues, len(d.extra))
	}
	for i := range e.extra {
		x := &e.extra[i]
		x.ok = x.ok[:0]
		if x.ints != nil {
			x.ints = x.ints[:0]
		}
		if x.floats != nil {
			x.floats = x.floats[:0]
		}
	}
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

// load reads the rows of one table that some criterion may want.
func (d *domainPlan) load(ctx context.Context, r Reader, bucket int, people *People, e *events, kept *[]int32) error {
	e.reset(d)
	e.ranked = ranked(r)
	if d.concepts == nil || len(d.concepts) > 0 {
		columns := d.columns()
		want := warehouse.Want{Table: d.Table, Columns: columns, Concepts: d.concepts, Persons: people.few}
		if err := read(ctx, r, bucket, want, func(b arrow.RecordBatch) error { return d.take(e, b, columns, people, kept) }); err != nil {
			return err
		}
	}
	e.sort(len(people.ID))
	return nil
}

// take appends the rows of a batch that concern an observed person and some
// criterion.
func (d *domainPlan) take(e *events, b arrow.RecordBatch, columns []string, people *People, kept *[]int32) error {
	var errs []error
	ints := func(want bool, name string) *array.Int64 {
		at := slices.Index(columns, name)
		if !want || at < 0 || name == "" {
			return nil
		}
		a, err := columnOf[*array.Int64](b, at)
		errs = append(errs, err)
		return a
	}
	days := func(want bool, name string) *array.Date32 {
		at := slices.Index(columns, name)
		if !want || at < 0 || name == "" {
			return nil
		}
		a, err := columnOf[*array.Date32](b, at)
		errs = append(errs, err)
		return a
	}
	person, start := ints(true, "person_id"), days(true, d.Start)
	id, visit := ints(d.needID, d.ID), ints(d.needVisit, d.Visit)
	end, supply := days(d.needEnd, d.End), ints(d.needEnd, d.Supply)
	concept, source := ints(d.needsConcept(), d.Concept), ints(d.needSource, d.Source)
	if err := firstError(errs...); err != nil {
		return err
	}
	d.choose(e, person, start, concept, source, people, kept)
	rows := *kept
	if d.needID {
		for _, i := range rows {
			if id != nil {
				e.id = append(e.id, id.Value(int(i)))
			} else {
				e.id = append(e.id, person.Value(int(i))) // of a death
			}
		}
	}
	if d.needEnd {
		mine := e.rows[len(e.rows)-len(rows):]
		for k, i := range rows {
			mine[k].end = d.endOf(int(i), mine[k].start, end, supply)
		}
	}
	if d.needVisit {
		for _, i := range rows {
			v := int64(NoConcept)
			if visit != nil && !visit.IsNull(int(i)) {
				v = visit.Value(int(i))
			}
			e.visit = append(e.visit, v)
		}
	}
	for i := range e.extra {
		if err := e.extra[i].take(b, slices.Index(columns, d.extra[i].column), d.extra[i].pattern, rows); err != nil {
			return err
		}
	}
	return nil
}

// choose lists the rows of a batch that concern an observed person and some
// criterion, and takes what that decision is made of. Rows come in runs of
// equal concepts.
func (d *domainPlan) choose(e *events, person *array.Int64, start *array.Date32, concept, source *array.Int64, people *People, kept *[]int32) {
	rows := resized(*kept, person.Len())
	n := 0 // of rows
	persons, starts := person.Int64Values(), start.Date32Values()
	var concepts, sources []int64
	if concept != nil {
		concepts = concept.Int64Values()
	}
	if source != nil {
		sources = source.Int64Values()
	}
	had := len(e.rows)
	e.rows = slices.Grow(e.rows, len(persons))[:had+len(persons)]
	e.person = slices.Grow(e.person, len(persons))[:had+len(persons)]
	everyone, noNulls := len(d.every) > 0, person.NullN() == 0 && start.NullN() == 0
	var class, sourceClass int32
	lastConcept, lastSource := int64(0), int64(0) // class 0 is right for both until a row says otherwise
	lastPerson, at := int64(0), people.Find(0)
	if concept != nil {
		class = d.byStandard.of(0)
	}
	if source != nil {
		sourceClass = d.bySource.of(0)
	}
	for i := range persons {
		if concept != nil {
			if c := concepts[i]; c != lastConcept {
				lastConcept, class = c, d.byStandard.of(c)
			}
		}
		if source != nil {
			if c := sources[i]; c != lastSource {
				lastSource, sourceClass = c, d.bySource.of(c)
			}
		}
		standardHere, sourceHere := class, sourceClass
		if concept != nil && concept.NullN() > 0 && concept.IsNull(i) {
			standardHere = 0
		}
		if source != nil && source.NullN() > 0 && source.IsNull(i) {
			sourceHere = 0
		}
		if standardHere == 0 && sourceHere == 0 && !everyone {
			continue
		}
		if !noNulls && (person.IsNull(i) || start.IsNull(i)) {
			continue // such a row lies in no observation period
		}
		if p := persons[i]; p != lastPerson {
			lastPerson, at = p, people.Find(p)
		}
		if at < 0 {
			continue
		}
		rows[n] = int32(i)
		e.person[had+n] = int32(at)
		e.rows[had+n] = event{hit{date(starts[i]), noDate, int32(had + n)}, standardHere, sourceHere}
		n++
		if d.needSource {
			v := int64(NoConcept)
			if !source.IsNull(i) {
				v = sources[i]
			}
			e.sourceID = append(e.sourceID, v)
		}
		if d.needConcept {
			v := int64(NoConcept)
			if concept != nil && !concept.IsNull(i) {
				v = concepts[i]
			}
			e.concept = append(e.concept, v)
		}
	}
	*kept, e.rows, e.person = rows[:n], e.rows[:had+n], e.person[:had+n]
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
	case d.NextDay:
		return addDays(start, 1)
	default:
		return noDate
	}
}

func (x *extraValues) take(b arrow.RecordBatch, i int, p *pattern, rows []int32) error {
	if p != nil {
		a, err := columnOf[*array.String](b, i)
		if err != nil {
			return err
		}
		for _, row := range rows {
			x.ok = append(x.ok, !a.IsNull(int(row)) && p.keeps(a.Value(int(row))))
		}
		return nil
	}
	switch a := b.Column(i).(type) {
	case *array.Int64:
		x.ints = pick(x.ints, a.Int64Values(), rows)
	case *array.Float64:
		x.floats = pick(x.floats, a.Float64Values(), rows)
	default:
		_, err := columnOf[*array.Float64](b, i)
		return err
	}
	a := b.Column(i)
	for _, row := range rows {
		x.ok = append(x.ok, !a.IsNull(int(row)))
	}
	return nil
}

// pick appends the values of some rows.
func pick[T any](to, values []T, rows []int32) []T {
	n := len(to)
	to = slices.Grow(to, len(rows))[:n+len(rows)]
	for k, row := range rows {
		to[n+k] = values[row]
	}
	return to
}

// sort puts the rows in order: by person, then start, then event id. Ids are
// unique within one holder only, so events that are still equal are told apart by
// all else that was read of them: then the order, and with it what "first" means,
// does not hang on how rows came to lie in the store. Where ids are ranks, it is
// the order of the read: what else was read hangs on the other definitions.
func (e *events) sort(persons int) {
	e.first = resized(e.first, persons+2)
	clear(e.first)
	for _, p := range e.person {
		e.first[p+2]++
	}
	for i := range persons {
		e.first[i+2] += e.first[i+1]
	}
	e.sorted = resized(e.sorted, len(e.rows))
	for _, i := range e.byDay() {
		at := &e.first[e.person[i]+1]
		e.sorted[*at] = e.rows[i]
		*at++
	}
	e.first = e.first[:persons+1]
	if len(e.id) > 0 {
		for p := range persons {
			e.settleTies(e.sorted[e.first[p]:e.first[p+1]])
		}
	}
}

// byDay gives the rows by start, else as they came.
func (e *events) byDay() []int32 {
	e.order = resized(e.order, len(e.rows))
	if len(e.rows) == 0 {
		return e.order
	}
	first, last := e.rows[0].start, e.rows[0].start
	for i := range e.rows {
		first, last = min(first, e.rows[i].start), max(last, e.rows[i].start)
	}
	if span := int64(last) - int64(first) + 1; span <= 4*int64(len(e.rows)) { // a counting sort
		e.days = resized(e.days, int(span)+1)
		clear(e.days)
		for i := range e.rows {
			e.days[e.rows[i].start-first+1]++
		}
		for i := range e.days[1:] {
			e.days[i+1] += e.days[i]
		}
		for i := range e.rows {
			at := &e.days[e.rows[i].start-first]
			e.order[*at] = int32(i)
			*at++
		}
		return e.order
	}
	e.keys = resized(e.keys, len(e.rows))
	for i := range e.rows { // the start in the upper half, so that numbers sort as the dates do
		e.keys[i] = uint64(uint32(e.rows[i].start)^1<<31)<<32 | uint64(uint32(i))
	}
	slices.Sort(e.keys)
	for i, k := range e.keys {
		e.order[i] = int32(uint32(k))
	}
	return e.order
}

// settleTies sorts the events of each day of one person.
func (e *events) settleTies(mine []event) {
	for lo := 0; lo < len(mine); {
		hi := lo + 1
		for hi < len(mine) && mine[hi].start == mine[lo].start {
			hi++
		}
		if hi-lo > 1 {
			slices.SortFunc(mine[lo:hi], func(a, b event) int { return e.compare(a.row, b.row) })
		}
		lo = hi
	}
}

// compare orders two events of one person and day.
func (e *events) compare(a, b int32) int {
	if c := cmp.Compare(e.id[a], e.id[b]); c != 0 {
		return c
	}
	if e.ranked {
		return cmp.Compare(a, b)
	}
	x, y := &e.rows[a], &e.rows[b]
	if c := firstOrder(x.end, y.end); c != 0 {
		return c
	}
	if c := firstOrder(x.standard, y.standard, x.source, y.source); c != 0 {
		return c
	}
	for _, column := range [][]int64{e.sourceID, e.concept, e.visit} {
		if len(column) > 0 {
			if c := cmp.Compare(column[a], column[b]); c != 0 {
				return c
			}
		}
	}
	for i := range e.extra {
		x := &e.extra[i]
		if x.ok[a] != x.ok[b] {
			if x.ok[a] {
				return -1
			}
			return 1
		}
		if va, there := x.float(a); there && (x.ints != nil || x.floats != nil) {
			vb, _ := x.float(b)
			if c := cmp.Compare(va, vb); c != 0 {
				return c
			}
		}
	}
	return 0
}

// resized gives a slice of n elements, in the memory of s if it is large enough.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}

// inOrder is firstOrder for two pairs, without a list of them: for what is sorted
// of every person.
func inOrder[T cmp.Ordered](a, b, c, d T) int {
	if first := cmp.Compare(a, b); first != 0 {
		return first
	}
	return cmp.Compare(c, d)
}

// firstOrder compares pairs one after another and gives the first difference.
func firstOrder[T cmp.Ordered](pairs ...T) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		if c := cmp.Compare(pairs[i], pairs[i+1]); c != 0 {
			return c
		}
	}
	return 0
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
