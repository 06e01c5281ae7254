package warehouse

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// readResolved reads person or observation_period and settles what several
// holders say of one person. These tables have few rows a person, so a bucket
// of them is settled whole.
func (s *Snapshot) readResolved(ctx context.Context, bucket int, t omop.Table, w Want) ([]arrow.RecordBatch, error) {
	columns := slices.Clone(w.Columns)
	for _, c := range []string{"person_id", HolderColumn, t.Start, t.End} {
		if c != "" && !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	batches, err := s.readAll(ctx, bucket, t, Want{Table: t.Name, Columns: columns})
	if err != nil || len(batches) == 0 {
		return nil, err
	}
	all, err := join(batches)
	releaseAll(batches)
	if err != nil {
		return nil, err
	}
	defer all.Release()
	var settled arrow.RecordBatch
	if t.Name == "person" {
		settled, err = pick(all, onePerPerson(ints(all, "person_id"), ints(all, HolderColumn)))
	} else {
		settled, err = united(all, t)
	}
	if err != nil {
		return nil, err
	}
	return []arrow.RecordBatch{only(settled, len(w.Columns))}, nil
}

// join makes one batch of several.
func join(batches []arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(batches) == 1 {
		batches[0].Retain()
		return batches[0], nil
	}
	cols := make([]arrow.Array, batches[0].NumCols())
	defer releaseColumns(cols)
	for i := range cols {
		pieces := make([]arrow.Array, len(batches))
		for j, b := range batches {
			pieces[j] = b.Column(i)
		}
		c, err := array.Concatenate(pieces, memory.DefaultAllocator)
		if err != nil {
			return nil, havre.E("warehouse.read", havre.Internal, "rows could not be joined").Wrap(err)
		}
		cols[i] = c
	}
	return array.NewRecordBatch(batches[0].Schema(), cols, int64(cols[0].Len())), nil
}

func column(b arrow.RecordBatch, name string) arrow.Array {
	return b.Column(b.Schema().FieldIndices(name)[0])
}

func ints(b arrow.RecordBatch, name string) []int64 {
	return column(b, name).(*array.Int64).Int64Values()
}

// onePerPerson gives the rows to keep: per person that of the lowest holder,
// and of its rows the last, since rows come in the order of delivery.
func onePerPerson(persons, holders []int64) []run {
	best := make(map[int64]int, len(persons))
	for i, p := range persons {
		if j, ok := best[p]; !ok || holders[i] <= holders[j] {
			best[p] = i
		}
	}
	keep := make([]bool, len(persons))
	for _, i := range best {
		keep[i] = true
	}
	return runsOf(keep)
}

func runsOf(keep []bool) (runs []run) {
	for i, k := range keep {
		if !k {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].hi == int64(i) {
			runs[n-1].hi++
		} else {
			runs = append(runs, run{int64(i), int64(i) + 1})
		}
	}
	return runs
}

// united joins the overlapping and touching periods of each person known to
// several holders. The united row is the earliest (then of the lowest holder)
// with the latest end.
func united(all arrow.RecordBatch, t omop.Table) (arrow.RecordBatch, error) {
	persons, holders := ints(all, "person_id"), ints(all, HolderColumn)
	if !slices.ContainsFunc(holders, func(h int64) bool { return h != holders[0] }) { // nobody is known to two
		all.Retain()
		return all, nil
	}
	starts := column(all, t.Start).(*array.Date32).Date32Values()
	ends := slices.Clone(column(all, t.End).(*array.Date32).Date32Values())
	rows := map[int64][]int{}
	for i, p := range persons {
		rows[p] = append(rows[p], i)
	}
	keep := slices.Repeat([]bool{true}, len(persons))
	changed := false
	for _, of := range rows {
		if !slices.ContainsFunc(of, func(i int) bool { return holders[i] != holders[of[0]] }) {
			continue
		}
		slices.SortFunc(of, func(a, b int) int {
			if starts[a] != starts[b] {
				return int(starts[a]) - int(starts[b])
			}
			return int(holders[a] - holders[b])
		})
		head := of[0]
		for _, i := range of[1:] {
			if int64(starts[i]) > int64(ends[head])+1 {
				head = i
				continue
			}
			ends[head] = max(ends[head], ends[i])
			keep[i], changed = false, true
		}
	}
	if !changed {
		all.Retain()
		return all, nil
	}
	b := array.NewDate32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(ends, nil)
	end := b.NewArray()
	defer end.Release()
	cols := slices.Clone(all.Columns())
	cols[all.Schema().FieldIndices(t.End)[0]] = end
	replaced := array.NewRecordBatch(all.Schema(), cols, all.NumRows())
	defer replaced.Release()
	return pick(replaced, runsOf(keep))
}
