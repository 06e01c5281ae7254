package analysis

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

const measurement = "measurement"

// event is one record of a table that has a concept and a date.
type event struct {
	person  int32
	day     int32
	concept int64
	unit    int64 // of its value, noValue if there is none
}

const noValue = math.MinInt64

// readEvents reads the records of a table. Those without a date or without a
// standard concept (0) are left out.
func readEvents(ctx context.Context, b *study.Bucket, table string) ([]event, error) {
	w := warehouse.Want{Table: table, Columns: study.EventColumns(table)}
	batches, err := b.Read(ctx, w)
	if err != nil {
		return nil, err
	}
	var out []event
	for _, batch := range batches {
		if err == nil {
			out, err = appendEvents(out, batch, b.People, w)
		}
		batch.Release()
	}
	return out, err
}

func appendEvents(out []event, batch arrow.RecordBatch, people *cohort.People, w warehouse.Want) ([]event, error) {
	person, ok1 := batch.Column(0).(*array.Int64)
	concept, ok2 := batch.Column(1).(*array.Int64)
	day, ok3 := batch.Column(2).(*array.Date32)
	ok := ok1 && ok2 && ok3
	var value *array.Float64
	var unit *array.Int64
	if len(w.Columns) > 3 {
		value, ok1 = batch.Column(3).(*array.Float64)
		unit, ok2 = batch.Column(4).(*array.Int64)
		ok = ok && ok1 && ok2
	}
	if !ok {
		return nil, havre.E("analysis.read", havre.Internal, fmt.Sprintf("the columns of %s came with other types", w.Table))
	}
	for i := range int(batch.NumRows()) {
		if person.IsNull(i) || concept.IsNull(i) || concept.Value(i) == 0 || day.IsNull(i) {
			continue
		}
		at := people.Find(person.Value(i))
		if at < 0 {
			continue
		}
		e := event{person: int32(at), day: int32(day.Value(i)), concept: concept.Value(i), unit: noValue}
		if value != nil && !value.IsNull(i) && !math.IsNaN(value.Value(i)) {
			e.unit = 0
			if !unit.IsNull(i) {
				e.unit = unit.Value(i)
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// tallyEvents counts, for each concept and for each unit of its values, the
// persons with an event that is in.
func tallyEvents(t *tally, events []event, in func(event) bool, group, table string) {
	type pair struct {
		person  int32
		concept int64
		unit    int64
	}
	var pairs []pair
	for _, e := range events {
		if !in(e) {
			continue
		}
		pairs = append(pairs, pair{e.person, e.concept, noValue})
		if e.unit != noValue {
			pairs = append(pairs, pair{e.person, e.concept, e.unit})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.concept, b.concept), cmp.Compare(a.unit, b.unit), cmp.Compare(a.person, b.person))
	})
	for _, p := range slices.Compact(pairs) {
		unit := ""
		if p.unit != noValue {
			unit = strconv.FormatInt(p.unit, 10)
		}
		t.at(traitKey(group, table, strconv.FormatInt(p.concept, 10), unit)).sum[0]++
	}
}

// concepts adds the rows of a table: its concepts that the largest share of a
// group has, and of measurements who has a value, by unit.
func (f *findings) concepts(ctx context.Context, table string) error {
	shown := map[int64]float64{}  // the largest share of a group
	units := map[int64][]string{} // of values
	for _, key := range sortedKeys(f.t.cells) {
		k := strings.Split(key, keySeparator)
		if k[1] != table {
			continue
		}
		id, _ := strconv.ParseInt(k[2], 10, 64) // Map and Decode write nothing else
		if k[3] != "" {
			if !slices.Contains(units[id], k[3]) {
				units[id] = append(units[id], k[3])
			}
			continue
		}
		shown[id] = max(shown[id], share(f.t.cells[key].sum[0], f.persons[k[0]]))
	}
	ids := make([]int64, 0, len(shown))
	for id, most := range shown {
		if most >= f.a.spec.MinPrevalence {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b int64) int { return cmp.Or(-cmp.Compare(shown[a], shown[b]), cmp.Compare(a, b)) })
	ids = ids[:min(len(ids), f.a.spec.Top)]
	slices.Sort(ids)
	labels, err := f.labels(ctx, ids, units)
	if err != nil {
		return err
	}
	for _, id := range ids {
		trait, concept := table+" "+labels[id], strconv.FormatInt(id, 10)
		f.row(trait, study.Present, func(g string) int64 { return f.count(g, table, concept, "") })
		slices.Sort(units[id])
		for _, u := range units[id] {
			unit, _ := strconv.ParseInt(u, 10, 64)
			category := "value without unit"
			if unit != 0 {
				category = "value in " + labels[unit]
			}
			f.row(trait, category, func(g string) int64 { return f.count(g, table, concept, u) })
		}
	}
	return nil
}

// labels names concepts and the units of their values: the id and the name.
func (f *findings) labels(ctx context.Context, ids []int64, units map[int64][]string) (map[int64]string, error) {
	all := slices.Clone(ids)
	for _, id := range ids {
		for _, u := range units[id] {
			unit, _ := strconv.ParseInt(u, 10, 64)
			all = append(all, unit)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	known, err := f.a.vocabulary.Concepts(ctx, all)
	if err != nil {
		return nil, err
	}
	out := map[int64]string{}
	for _, id := range all {
		out[id] = strconv.FormatInt(id, 10)
	}
	for _, k := range known {
		if k.Name != "" {
			out[k.ID] = strconv.FormatInt(k.ID, 10) + " " + k.Name
		}
	}
	return out, nil
}
