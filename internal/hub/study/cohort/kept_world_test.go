package cohort

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/havre-hub/havre/internal/ground/audit/audittest"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/receive"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// hubWorld is a real warehouse under a real permit, into which random
// populations are delivered bit by bit.
type hubWorld struct {
	t         testing.TB
	r         *rand.Rand
	authority *permit.Authority
	config    permit.Config
	keeper    *sign.Signer
	house     *warehouse.Warehouse
	permit    string
	app       permit.Application
	now       time.Time
	persons   []int64                    // in the order of worldPeople
	tables    map[string]studytest.Table // of the vocabulary
}

const (
	hubResearcher = "ana@havre.example"
	hubOfficer    = "officer@havre.example"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func level1(n int) string { return "p1.1." + strings.Repeat("a", 51) + string(rune('a'+n)) }

func newHubWorld(t testing.TB, r *rand.Rand) *hubWorld {
	t.Helper()
	w := &hubWorld{t: t, r: r, keeper: sign.NewSigner(), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	db, err := meta.Create(t.Context(), filepath.Join(t.TempDir(), "control.db"))
	ok(t, err)
	t.Cleanup(func() { _ = db.Close() })
	key, err := seal.NewKey()
	ok(t, err)
	level2, err := receive.NewLevel2(1, havre.NewSecret(bytes.Repeat([]byte{9}, 32)))
	ok(t, err)
	for n := range worldPeople {
		w.persons = append(w.persons, int64(level2.Of(level1(n)).ID))
	}
	w.config = permit.Config{Hub: "hub", Store: warehousetest.Store(t), DB: db, Key: key, Signer: sign.NewSigner(), Keeper: w.keeper.Public(),
		Level2: level2, Secret: havre.NewSecret(bytes.Repeat([]byte{5}, 32)), Log: &audittest.Diary{}, Now: func() time.Time { return w.now }}
	w.authority, err = permit.Open(t.Context(), w.config)
	ok(t, err)
	for account, role := range map[string]havre.Role{hubResearcher: havre.RoleResearcher, hubOfficer: havre.RoleOfficer} {
		ok(t, w.authority.AddAccount(t.Context(), account, role, warehousetest.Actor))
	}
	w.house = warehousetest.New(t, 2)
	w.app = permit.Application{Title: "Everything", Purpose: "scientific_research", Benefit: "a test", People: []string{hubResearcher},
		Rules: record.DefaultRules(), Checkers: 2, End: w.now.AddDate(1, 0, 0)}
	w.vocabulary()
	return w
}

// vocabulary makes another one.
func (w *hubWorld) vocabulary() { w.tables = randomWorld(w.r) }

// apply asks for a permit over all that the definitions read.
func (w *hubWorld) apply(definitions []*Definition) {
	w.t.Helper()
	for _, n := range Needs(definitions, true) {
		w.app.Tables = append(w.app.Tables, record.Table{Name: n.Table, Columns: n.Columns})
	}
	var err error
	w.permit, err = w.authority.Apply(w.t.Context(), hubResearcher, w.app)
	ok(w.t, err)
	_, err = w.authority.Decide(w.t.Context(), w.permit, hubOfficer, true, "useful")
	ok(w.t, err)
}

// amend changes the permit's period.
func (w *hubWorld) amend(p record.Period) {
	w.t.Helper()
	w.app.Period = p
	ok(w.t, w.authority.Amend(w.t.Context(), w.permit, hubResearcher, w.app))
	_, err := w.authority.Decide(w.t.Context(), w.permit, hubOfficer, true, "useful")
	ok(w.t, err)
}

// optOut has persons opt out, or take it back.
func (w *hubWorld) optOut(out bool, persons ...int) {
	w.t.Helper()
	w.now = w.now.Add(time.Minute)
	m := &envelope.OptOut{ID: string(havre.NewTransportID()), Hub: "hub", Keeper: "keeper", At: w.now, Out: out, KeyVersion: 1}
	for _, n := range persons {
		m.Pseudonyms = append(m.Pseudonyms, level1(n))
	}
	signed, err := envelope.SignOptOut(m, w.keeper)
	ok(w.t, err)
	sealed, err := seal.Seal(signed, w.config.Key.Recipient())
	ok(w.t, err)
	ok(w.t, w.authority.RecordOptOut(w.t.Context(), sealed))
}

// deliver brings random rows of some persons into the warehouse, each person's
// as one of two holders has them: ids of earlier deliveries come again.
func (w *hubWorld) deliver(persons ...int) {
	w.t.Helper()
	batch, err := w.house.Begin(w.t.Context(), warehousetest.Actor)
	ok(w.t, err)
	id := havre.NewDeliveryID()
	account := ingest.Account{Delivery: id}
	tables := randomWorld(w.r)
	holder := 1 + w.r.IntN(2)
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		spec, _ := omop.Lookup(name)
		if spec.Vocabulary || !spec.PersonLevel && w.r.IntN(3) > 0 && len(persons) < len(worldPeople)-2 {
			continue
		}
		total := int64(0)
		for bucket, rows := range w.split(batch, spec, tables[name], persons) {
			if len(rows) == 0 {
				continue
			}
			ok(w.t, batch.Add(w.t.Context(), ingest.Segment{Table: name, Bucket: bucket, Delivery: id, HolderID: holder, Rows: int64(len(rows)),
				Parquet: segmentOf(w.t, spec, tables[name], rows, holder)}))
			total += int64(len(rows))
		}
		account.Tables = append(account.Tables, ingest.TableAccount{Table: name, RowsIn: total, Stored: total})
	}
	ok(w.t, batch.Account(account))
	_, err = batch.Commit(w.t.Context())
	ok(w.t, err)
}

// split renames the persons and gives the rows of those delivered, by bucket.
func (w *hubWorld) split(b *warehouse.Batch, spec omop.Table, t studytest.Table, persons []int) map[int][]int {
	out := map[int][]int{}
	if !spec.PersonLevel {
		for row := range t.Len() {
			out[ingest.Unbucketed] = append(out[ingest.Unbucketed], row)
		}
		return out
	}
	column := t[spec.Person]
	if column == nil {
		return out
	}
	for row, p := range column.Ints {
		n := slices.Index(worldPeople, p)
		column.Ints[row] = w.persons[n]
		if slices.Contains(persons, n) {
			bucket := b.BucketOf(havre.PersonID(w.persons[n]))
			out[bucket] = append(out[bucket], row)
		}
	}
	return out
}

// segmentOf writes rows as ingest does: by concept, then person.
func segmentOf(t testing.TB, spec omop.Table, table studytest.Table, rows []int, holder int) []byte {
	t.Helper()
	key := func(name string, row int) int64 {
		if c := table[name]; c != nil && name != "" && !(c.Null != nil && c.Null[row]) {
			return c.Ints[row]
		}
		return 0
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		return firstOrder(key(spec.Concept, a), key(spec.Concept, b), key(spec.Person, a), key(spec.Person, b))
	})
	few := studytest.Table{}
	var columns []string
	for _, f := range spec.Fields {
		if f.Identifying || f.Type == omop.Datetime {
			continue
		}
		columns = append(columns, f.Name)
		from := table[f.Name]
		c := &studytest.Column{}
		for _, row := range rows {
			null := from == nil || from.Null != nil && from.Null[row]
			c.Null = append(c.Null, null)
			switch {
			case f.Type == omop.Integer && null:
				c.Ints = append(c.Ints, 0)
			case f.Type == omop.Integer:
				c.Ints = append(c.Ints, from.Ints[row])
			case f.Type == omop.Float && null:
				c.Floats = append(c.Floats, 0)
			case f.Type == omop.Float:
				c.Floats = append(c.Floats, from.Floats[row])
			case f.Type == omop.Date && null:
				c.Days = append(c.Days, 0)
			case f.Type == omop.Date:
				c.Days = append(c.Days, from.Days[row])
			case null:
				c.Texts = append(c.Texts, "")
			default:
				c.Texts = append(c.Texts, from.Texts[row])
			}
		}
		few[f.Name] = c
	}
	buckets := 1
	persons := map[string]studytest.Table{spec.Name: few}
	bucket := 0
	if !spec.PersonLevel {
		bucket = ingest.Unbucketed
	}
	batches, err := studytest.New(buckets, persons).Read(context.Background(), bucket, warehouse.Want{Table: spec.Name, Columns: columns})
	ok(t, err)
	if len(batches) != 1 || batches[0].NumRows() != int64(len(rows)) {
		t.Fatalf("%d batches of %s", len(batches), spec.Name)
	}
	ids := array.NewInt64Builder(memory.DefaultAllocator)
	for range rows {
		ids.Append(int64(holder))
	}
	fields := append([]arrow.Field{{Name: warehouse.HolderColumn, Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, batches[0].Schema().Fields()...)
	columnsOf := append([]arrow.Array{ids.NewArray()}, batches[0].Columns()...)
	return parquetOf(t, array.NewRecordBatch(arrow.NewSchema(fields, nil), columnsOf, int64(len(rows))))
}

// view opens the current snapshot under the permit.
func (w *hubWorld) view() *permit.View {
	w.t.Helper()
	s, err := w.house.Current(w.t.Context())
	ok(w.t, err)
	v, err := w.authority.Restrict(w.t.Context(), w.permit, hubResearcher, s)
	ok(w.t, err)
	return v
}

// memoryShelf is a shelf in memory; broken buckets do not open.
type memoryShelf struct {
	mu     sync.Mutex
	data   map[int][]byte
	broken bool
	puts   int
}

func (s *memoryShelf) Get(_ context.Context, bucket int) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, there := s.data[bucket]
	if there && s.broken {
		return nil, false, havre.E("test", havre.Tampered, "it does not open")
	}
	return data, there, nil
}

func (s *memoryShelf) Put(_ context.Context, bucket int, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data == nil {
		s.data = map[int][]byte{}
	}
	s.data[bucket] = data
	s.puts++
	return nil
}
