package cohort

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/havre"
)

// keptForm rises when the form below changes, or when the evaluator comes to
// give other members for the same rows.
const keptForm = 1

// keptRows is how many rows are kept of one bucket at most, so that it takes
// some 60 MiB in memory; what was used least recently goes first.
const keptRows = 2 << 20

// kept is what is kept of one bucket under one permit. On the shelf it is one
// Parquet file of the columns
//
//	list    cohort, from 0; below 0 the state -1-list
//	person  by the permit's pseudonym
//	start, end     of a period of the cohort, or null
//	rules, events  so many events of the person meet these rules (a set of bits), or null
//	best           the event that the person counts with is among them
//
// in which a row of a state says that the person was there, and a row of a
// cohort without a value that the person is lost to the censor window. The key
// keptKey of its metadata holds keptHead as JSON.
type kept struct {
	states  []*keptState
	cohorts []*keptCohort // the last used first
}

const keptKey = "havre.kept"

type keptHead struct {
	Form    int           `json:"form"`
	Version string        `json:"version"` // of the program
	States  []*keptState  `json:"states"`
	Cohorts []*keptCohort `json:"cohorts"`
}

// keptState is what the rows of a bucket were when cohorts were found.
type keptState struct {
	Cut      string              `json:"cut"`
	Segments map[string][]string `json:"segments"` // by table
	persons  []int64             // who was under observation, ascending
}

func (s *keptState) is(o *keptState) bool {
	return s.Cut == o.Cut && slices.Equal(s.persons, o.persons) && maps.EqualFunc(s.Segments, o.Segments, slices.Equal)
}

// keptCohort is the members of one definition.
type keptCohort struct {
	Key     string `json:"key"`
	State   int    `json:"state"`
	Counted bool   `json:"counted"` // counts are there
	person  []int64
	start   []int32
	end     []int32
	counts  []keptCount
}

type keptCount struct {
	id int64
	count
}

func (k *kept) find(key string) *keptCohort {
	for _, c := range k.cohorts {
		if c.Key == key {
			return c
		}
	}
	return nil
}

// add puts a cohort last, unless it is there or there is no room, and gives the
// room that is left.
func (k *kept) add(c *keptCohort, room int) int {
	left := room - len(c.person) - len(c.counts)
	if left < 0 || k.find(c.Key) != nil {
		return room
	}
	k.cohorts = append(k.cohorts, c)
	return left
}

// without leaves out persons who are no longer there.
func (s *keptState) without(people *People) *keptState {
	return &keptState{s.Cut, s.Segments, slices.DeleteFunc(slices.Clone(s.persons), func(id int64) bool { return people.Find(id) < 0 })}
}

func (c *keptCohort) without(people *People) *keptCohort {
	out := &keptCohort{Key: c.Key, State: c.State, Counted: c.Counted}
	for row, id := range c.person {
		if people.Find(id) >= 0 {
			out.person, out.start, out.end = append(out.person, id), append(out.start, c.start[row]), append(out.end, c.end[row])
		}
	}
	for _, x := range c.counts {
		if people.Find(x.id) >= 0 {
			out.counts = append(out.counts, x)
		}
	}
	return out
}

var keptSchema = arrow.NewSchema([]arrow.Field{
	{Name: "list", Type: arrow.PrimitiveTypes.Int32}, {Name: "person", Type: arrow.PrimitiveTypes.Int64},
	{Name: "start", Type: arrow.FixedWidthTypes.Date32, Nullable: true}, {Name: "end", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "rules", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "events", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "best", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
}, nil)

func (k *kept) encode(version string) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, havre.E("cohort.kept", havre.Internal, "members cannot be put into Parquet").Wrap(err)
	}
	head, err := json.Marshal(keptHead{keptForm, version, k.states, k.cohorts})
	if err != nil {
		return fail(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, keptSchema)
	defer b.Release()
	list, person := b.Field(0).(*array.Int32Builder), b.Field(1).(*array.Int64Builder)
	start, end := b.Field(2).(*array.Date32Builder), b.Field(3).(*array.Date32Builder)
	rules, events, best := b.Field(4).(*array.Int64Builder), b.Field(5).(*array.Int64Builder), b.Field(6).(*array.BooleanBuilder)
	period := func(there bool, from, to int32) {
		if !there {
			start.AppendNull()
			end.AppendNull()
			return
		}
		start.Append(arrow.Date32(from))
		end.Append(arrow.Date32(to))
	}
	counted := func(c count) {
		if c.events == 0 {
			rules.AppendNull()
			events.AppendNull()
			best.AppendNull()
			return
		}
		rules.Append(int64(c.met))
		events.Append(c.events)
		best.Append(c.best)
	}
	row := func(of int, id int64) {
		list.Append(int32(of))
		person.Append(id)
	}
	for i, s := range k.states {
		for _, id := range s.persons {
			row(-1-i, id)
			period(false, 0, 0)
			counted(count{})
		}
	}
	for i, c := range k.cohorts {
		for n, id := range c.person {
			row(i, id)
			period(true, c.start[n], c.end[n])
			counted(count{})
		}
		for _, x := range c.counts {
			row(i, x.id)
			period(false, 0, 0)
			counted(x.count)
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(keptSchema, &out, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd)), pqarrow.DefaultWriterProps())
	if err != nil {
		return fail(err)
	}
	if err := w.WriteBuffered(batch); err != nil {
		return fail(err)
	}
	if err := w.AppendKeyValueMetadata(keptKey, string(head)); err != nil {
		return fail(err)
	}
	if err := w.Close(); err != nil {
		return fail(err)
	}
	return out.Bytes(), nil
}

// decodeKept reads what encode wrote; of another form or program it gives
// nothing. The shelf vouches for who wrote it.
func decodeKept(data []byte, version string) (out *kept, err error) {
	bad := func(err error) (*kept, error) {
		return nil, havre.E("cohort.kept", havre.Invalid, "kept members are damaged").Wrap(err)
	}
	defer func() {
		if r := recover(); r != nil { // arrow-go, over bytes that are no Parquet
			out, err = bad(fmt.Errorf("%v", r))
		}
	}()
	pf, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		return bad(err)
	}
	defer pf.Close()
	text := pf.MetaData().KeyValueMetadata().FindValue(keptKey)
	if text == nil {
		return bad(nil)
	}
	var head keptHead
	if err := json.Unmarshal([]byte(*text), &head); err != nil {
		return bad(err)
	}
	if head.Form != keptForm || head.Version != version {
		return &kept{}, nil
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 64 << 10}, memory.DefaultAllocator)
	if err != nil {
		return bad(err)
	}
	table, err := fr.ReadTable(context.Background())
	if err != nil {
		return bad(err)
	}
	defer table.Release()
	k := &kept{states: head.States, cohorts: head.Cohorts}
	tr := array.NewTableReader(table, 64<<10)
	defer tr.Release()
	for tr.Next() {
		if err := k.take(tr.RecordBatch()); err != nil {
			return bad(err)
		}
	}
	if tr.Err() != nil || !k.sound() {
		return bad(tr.Err())
	}
	return k, nil
}

// take reads rows.
func (k *kept) take(b arrow.RecordBatch) error {
	if b.NumCols() != int64(keptSchema.NumFields()) {
		return fmt.Errorf("%d columns", b.NumCols())
	}
	list, err0 := columnOf[*array.Int32](b, 0)
	person, err1 := columnOf[*array.Int64](b, 1)
	start, err2 := columnOf[*array.Date32](b, 2)
	end, err3 := columnOf[*array.Date32](b, 3)
	rules, err4 := columnOf[*array.Int64](b, 4)
	events, err5 := columnOf[*array.Int64](b, 5)
	best, err6 := columnOf[*array.Boolean](b, 6)
	if err := firstError(err0, err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	for i := range int(b.NumRows()) {
		of, id := int(list.Value(i)), person.Value(i)
		switch {
		case of < 0 && -1-of < len(k.states):
			s := k.states[-1-of]
			s.persons = append(s.persons, id)
		case of < 0 || of >= len(k.cohorts):
			return fmt.Errorf("a row of list %d", of)
		case !start.IsNull(i):
			c := k.cohorts[of]
			c.person, c.start, c.end = append(c.person, id), append(c.start, int32(start.Value(i))), append(c.end, int32(end.Value(i)))
		case rules.IsNull(i):
			c := k.cohorts[of]
			c.counts = append(c.counts, keptCount{id, count{}})
		default:
			c := k.cohorts[of]
			c.counts = append(c.counts, keptCount{id, count{met: uint64(rules.Value(i)), events: events.Value(i), best: best.Value(i)}})
		}
	}
	return nil
}

// sound says whether lists are in order and name what is there.
func (k *kept) sound() bool {
	for _, s := range k.states {
		if s == nil || !slices.IsSorted(s.persons) {
			return false
		}
	}
	for _, c := range k.cohorts {
		if c == nil || c.State < 0 || c.State >= len(k.states) || !slices.IsSorted(c.person) || len(c.person) > math.MaxInt32 {
			return false
		}
	}
	return true
}
