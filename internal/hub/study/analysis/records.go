package analysis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// observation counts the persons of a cohort who are observed on some day of
// each calendar year. A person counts in every such year. Numbers: persons.
type observation struct {
	spec study.Spec
}

// Name is as in study.Analysis.
func (o *observation) Name() string { return o.spec.Name }

// Map is as in study.Analysis.
func (o *observation) Map(_ context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(1, 0)
	for _, person := range persons(b.Cohort(o.spec.Cohort)) {
		last, counted := 0, false
		for _, p := range b.People.Periods(int(person)) { // by start
			year := cohort.Year(p.Start)
			if counted {
				year = max(year, last+1)
			}
			for ; year <= cohort.Year(p.End); year++ {
				t.at(strconv.Itoa(year)).sum[0]++
				last, counted = year, true
			}
		}
	}
	return t, nil
}

// Decode is as in study.Analysis.
func (o *observation) Decode(data []byte) (study.Partial, error) { return decodeTally(data, 1, 1, 0) }

// Finish is as in study.Analysis.
func (o *observation) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	dims := []study.Dimension{{Name: "observed_year", Categories: span(t, 0, 1, strconv.Itoa)}}
	return study.Output{
		Name: o.spec.Name, Title: titleOf(&o.spec, "Persons of "+o.spec.Cohort+" under observation"), Kind: study.Frequencies,
		Dimensions: dims,
		Cells:      cells(dims, t, func(key []string, n *numbers) study.Cell { return study.Cell{Key: key, Count: n.sum[0]} }),
		Notes:      []string{"A person counts in every calendar year of which at least one day is observed."},
	}, nil
}

// Places of the numbers in a cell of records and concepts.
const (
	recordPersons = iota
	recordRows
	recordSums
)

// records counts, for each table, the persons of a cohort with a record, and
// their records, at any time.
type records struct {
	spec study.Spec
}

// Name is as in study.Analysis.
func (r *records) Name() string { return r.spec.Name }

// Map is as in study.Analysis.
func (r *records) Map(ctx context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(recordSums, 1)
	for _, table := range r.spec.Tables {
		pairs, err := readPairs(ctx, b, r.spec.Cohort, warehouse.Want{Table: table, Columns: []string{"person_id"}})
		if err != nil {
			return nil, err
		}
		tallyPairs(t, pairs, func(int64) string { return table })
	}
	return t, nil
}

// Decode is as in study.Analysis.
func (r *records) Decode(data []byte) (study.Partial, error) {
	return decodeTally(data, 1, recordSums, 1)
}

// Finish is as in study.Analysis.
func (r *records) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	dims := []study.Dimension{{Name: "table", Categories: r.spec.Tables}}
	return study.Output{
		Name: r.spec.Name, Title: titleOf(&r.spec, "Records of "+r.spec.Cohort), Kind: study.Frequencies, Dimensions: dims,
		Measures: []string{"records"}, Cells: cells(dims, t, recordCell),
		Notes: []string{"Persons with at least one record, and their records, at any time."},
	}, nil
}

func recordCell(key []string, n *numbers) study.Cell {
	return study.Cell{Key: key, Count: n.sum[recordPersons], MaxShare: share(n.max[0], n.sum[recordRows]),
		Values: map[string]float64{"records": float64(n.sum[recordRows])}}
}

// concepts counts, for the concepts of a table, the persons of a cohort with a
// record, and their records, and shows those that most persons have.
type concepts struct {
	spec       study.Spec
	column     string
	vocabulary omop.Vocabulary
}

// Name is as in study.Analysis.
func (c *concepts) Name() string { return c.spec.Name }

// Map is as in study.Analysis.
func (c *concepts) Map(ctx context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(recordSums, 1)
	want := warehouse.Want{Table: c.spec.Table, Columns: []string{"person_id", c.column}}
	pairs, err := readPairs(ctx, b, c.spec.Cohort, want)
	if err != nil {
		return nil, err
	}
	tallyPairs(t, pairs, func(concept int64) string { return strconv.FormatInt(concept, 10) })
	return t, nil
}

// Decode is as in study.Analysis.
func (c *concepts) Decode(data []byte) (study.Partial, error) {
	return decodeTally(data, 1, recordSums, 1)
}

// Finish is as in study.Analysis. The concepts with most persons are shown,
// those with as many by id.
func (c *concepts) Finish(ctx context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	type ranked struct {
		id int64
		n  *numbers
	}
	var all []ranked
	for key, n := range t.cells {
		id, err := strconv.ParseInt(key, 10, 64)
		if err != nil {
			return study.Output{}, havre.E("analysis.finish", havre.Internal, "a concept has no id")
		}
		all = append(all, ranked{id, n})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(-cmp.Compare(a.n.sum[recordPersons], b.n.sum[recordPersons]), cmp.Compare(a.id, b.id))
	})
	all = all[:min(len(all), c.spec.Top)]
	ids := make([]int64, len(all))
	for i := range all {
		ids[i] = all[i].id
	}
	slices.Sort(ids)
	known, err := c.vocabulary.Concepts(ctx, ids)
	if err != nil {
		return study.Output{}, err
	}
	names := map[int64]string{}
	for _, k := range known {
		names[k.ID] = k.Name
	}
	dim := study.Dimension{Name: c.column, Categories: []string{}}
	out := []study.Cell{}
	for _, r := range all {
		label := strconv.FormatInt(r.id, 10)
		if name := names[r.id]; name != "" {
			label += " " + name
		}
		dim.Categories = append(dim.Categories, label)
		out = append(out, recordCell([]string{label}, r.n))
	}
	if len(all) == 0 {
		dim.Categories = []string{nobody}
		out = append(out, study.Cell{Key: []string{nobody}})
	}
	return study.Output{
		Name: c.spec.Name, Title: titleOf(&c.spec, fmt.Sprintf("Concepts of %s in %s", c.spec.Table, c.spec.Cohort)), Kind: study.Frequencies,
		Dimensions: []study.Dimension{dim}, Measures: []string{"records"}, Cells: out,
		Notes: []string{fmt.Sprintf("The %d concepts that most persons have; persons with at least one record, and their records, at any time.", c.spec.Top)},
	}, nil
}

// pair is one record: whose it is and its concept.
type pair struct {
	person  int32
	concept int64
}

// readPairs reads the records of the persons of a cohort. The concept is 0
// where the table is read without one, or has none for the record.
func readPairs(ctx context.Context, b *study.Bucket, name string, w warehouse.Want) ([]pair, error) {
	member := make([]bool, len(b.People.ID))
	for _, person := range b.Cohort(name).Person {
		member[person] = true
	}
	batches, err := b.Read(ctx, w)
	if err != nil {
		return nil, err
	}
	var out []pair
	for _, batch := range batches {
		if err == nil {
			columns := make([]*array.Int64, len(w.Columns))
			for i := range columns {
				var ok bool
				if columns[i], ok = batch.Column(i).(*array.Int64); !ok {
					err = havre.E("analysis.read", havre.Internal, fmt.Sprintf("column %s of %s came as %s", w.Columns[i], w.Table, batch.Column(i).DataType()))
				}
			}
			if err == nil {
				out = appendPairs(out, columns, b.People, member)
			}
		}
		batch.Release()
	}
	return out, err
}

func appendPairs(out []pair, columns []*array.Int64, people *cohort.People, member []bool) []pair {
	for i := range columns[0].Len() {
		person := people.Find(columns[0].Value(i))
		if columns[0].IsNull(i) || person < 0 || !member[person] {
			continue
		}
		p := pair{person: int32(person)}
		if len(columns) > 1 && !columns[1].IsNull(i) {
			p.concept = columns[1].Value(i)
		}
		out = append(out, p)
	}
	return out
}

// tallyPairs adds each person's records of each concept to the concept's cell.
func tallyPairs(t *tally, pairs []pair, key func(concept int64) string) {
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.concept, b.concept), cmp.Compare(a.person, b.person))
	})
	for from := 0; from < len(pairs); {
		to := from
		for to < len(pairs) && pairs[to] == pairs[from] {
			to++
		}
		n := t.at(key(pairs[from].concept))
		n.sum[recordPersons]++
		n.sum[recordRows] += int64(to - from)
		n.max[0] = max(n.max[0], int64(to-from))
		from = to
	}
}

// persons lists the persons of a cohort, each once.
func persons(m *cohort.Members) []int32 {
	return slices.Compact(slices.Clone(m.Person))
}
