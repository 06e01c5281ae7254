package warehouse_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

func TestCreateAndOpen(t *testing.T) {
	ctx := context.Background()
	c := warehousetest.Config(t, warehousetest.Store(t))
	if _, err := warehouse.Open(ctx, c); havre.KindOf(err) != havre.NotFound {
		t.Errorf("nothing there: %v", err)
	}
	for _, n := range []int{0, -1, 3, 1 << 20} {
		if _, err := warehouse.Create(ctx, c, n, warehousetest.Actor); havre.KindOf(err) != havre.Usage {
			t.Errorf("%d buckets: %v", n, err)
		}
	}
	warehousetest.Create(t, c, 8)
	if _, err := warehouse.Create(ctx, c, 8, warehousetest.Actor); havre.KindOf(err) != havre.Exists {
		t.Errorf("created over: %v", err)
	}
	w, err := warehouse.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := w.Current(ctx); err != nil || s.Buckets() != 8 || s.Number() != 0 {
		t.Errorf("%v", err)
	}
	other := warehousetest.Config(t, c.Store)
	if _, err := warehouse.Open(ctx, other); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("another key: %v", err)
	}
	other.Keys = c.Keys
	other.Keys.Bucket = havre.NewSecret(bytes.Repeat([]byte{8}, 32))
	if _, err := warehouse.Open(ctx, other); havre.KindOf(err) != havre.Tampered {
		t.Errorf("another bucket key: %v", err)
	}
	other.Keys.Bucket = havre.NewSecret(nil)
	if _, err := warehouse.Open(ctx, other); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("no bucket key: %v", err)
	}
}

// TestHostForgesSnapshot: the host learns the recipient and seals a manifest
// of its own, or shows an old one under a new number.
func TestHostForgesSnapshot(t *testing.T) {
	ctx := context.Background()
	c := warehousetest.Config(t, warehousetest.Store(t))
	w := warehousetest.Create(t, c, 2)
	warehousetest.Take(t, w, small(), 1)
	real, err := blob.GetAll(ctx, c.Store, "snapshot/000000000001")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := seal.Open(real, c.Keys.Open...)
	if err != nil {
		t.Fatal(err)
	}
	for name, forged := range map[string][]byte{
		"an old one under a new number": plain,
		"one row more":                  bytes.Replace(plain, []byte(`"rows_in":6`), []byte(`"rows_in":7`), 1),
		"another spelling":              append(plain, ' '),
		"an unknown field":              bytes.Replace(plain, []byte(`{"mac"`), []byte(`{"extra":1,"mac"`), 1),
		"not JSON":                      []byte("hello"),
		"another format":                bytes.Replace(plain, []byte("havre-snapshot/2"), []byte("havre-snapshot/1"), 1),
	} {
		sealed, err := seal.Seal(forged, c.Keys.To...)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Store.Put(ctx, "snapshot/000000000002", sealed); err != nil {
			t.Fatal(err)
		}
		want := havre.Tampered
		if name == "another format" {
			want = havre.Invalid
		}
		if _, err := w.Current(ctx); havre.KindOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Store.Delete(ctx, "snapshot/000000000002"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHostSwapsSegments: one sealed segment in the place of another, both
// genuine, which the seal alone does not notice.
func TestHostSwapsSegments(t *testing.T) {
	ctx := context.Background()
	c := warehousetest.Config(t, warehousetest.Store(t))
	_, s := warehousetest.Take(t, warehousetest.Create(t, c, 2), small(), 1)
	var pair []warehouse.Segment
	for _, e := range s.Manifest().Segments {
		if e.Table == "condition_occurrence" {
			pair = append(pair, e)
		}
	}
	if len(pair) != 2 {
		t.Fatalf("%d segments", len(pair))
	}
	other, err := blob.GetAll(ctx, c.Store, pair[1].Object)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Store.Delete(ctx, pair[0].Object); err != nil {
		t.Fatal(err)
	}
	padded := make([]byte, pair[0].Size) // so that not even the length tells
	copy(padded, other)
	if err := c.Store.Put(ctx, pair[0].Object, padded); err != nil {
		t.Fatal(err)
	}
	w, err := warehouse.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = w.Current(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(ctx, pair[0].Bucket, conditions); havre.KindOf(err) != havre.Tampered {
		t.Errorf("Read: %v", err)
	}
	if _, err := s.OpenSQL(ctx, []string{"condition_occurrence"}, nil, duck.Options{}); havre.KindOf(err) != havre.Tampered {
		t.Errorf("OpenSQL: %v", err)
	}
	report, err := w.Fsck(ctx, warehouse.FsckOptions{}, nil)
	if err != nil || len(report.Faults) != 1 || report.Faults[0].Object != pair[0].Object {
		t.Errorf("Fsck: %+v, %v", report.Faults, err)
	}
}

func TestRead(t *testing.T) {
	ctx := context.Background()
	d := warehousetest.NewDelivery("h").Link("a", 11)
	var text strings.Builder
	text.WriteString("tid,measurement_id,measurement_concept_id,measurement_date,measurement_datetime,measurement_type_concept_id,value_as_number,measurement_source_value\n")
	const n = 40_000 // several row groups
	for i := range n {
		fmt.Fprintf(&text, "a,%d,%d,2020-01-01,2020-01-01 00:00:00,1,%d.5,s%d\n", i, (i*7919)%100, i, i)
	}
	d.Part(envelope.Health, "measurement", text.String())
	c := warehousetest.Config(t, warehousetest.Store(t))
	_, s := warehousetest.Take(t, warehousetest.Create(t, c, 1), d, 9)

	all, err := s.Read(ctx, 0, warehouse.Want{Table: "measurement", Columns: []string{"measurement_source_value", "holder_id", "measurement_date", "measurement_datetime", "value_as_number", "unit_concept_id"}})
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	total := int64(0)
	for _, b := range all {
		total += b.NumRows()
	}
	for _, f := range all[0].Schema().Fields() {
		types = append(types, f.Name+" "+f.Type.String())
	}
	want := []string{"measurement_source_value utf8", "holder_id int64", "measurement_date date32", "measurement_datetime timestamp[us]", "value_as_number float64", "unit_concept_id int64"}
	if !slices.Equal(types, want) || total != n {
		t.Errorf("%d rows of %q", total, types)
	}
	if ts := all[0].Schema().Field(3).Type.(*arrow.TimestampType); ts.TimeZone != "" {
		t.Errorf("a zone: %q", ts.TimeZone)
	}
	for _, b := range all {
		b.Release()
	}
	for _, concepts := range [][]int64{{}, {-5}, {0}, {99}, {0, 99}, {3, 4, 5}, {-1, 0, 17, 50, 51, 1000}, {100}} {
		got := warehousetest.Rows(t, s, 0, warehouse.Want{Table: "measurement", Columns: []string{"measurement_id", "measurement_source_value"}, Concepts: concepts})
		var want []string
		for i := range n {
			if slices.Contains(concepts, int64((i*7919)%100)) {
				want = append(want, fmt.Sprintf("%d|s%d", i, i))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("concepts %v: %d rows, want %d", concepts, len(got), len(want))
		}
	}
	for name, w := range map[string]warehouse.Want{
		"no table":           {Table: "nothing", Columns: []string{"x"}},
		"no column":          {Table: "measurement", Columns: []string{"nothing"}},
		"no columns":         {Table: "measurement"},
		"column twice":       {Table: "measurement", Columns: []string{"person_id", "person_id"}},
		"identifying column": {Table: "person", Columns: []string{"person_source_value"}},
		"no main concept":    {Table: "person", Columns: []string{"person_id"}, Concepts: []int64{1}},
		"not ascending":      {Table: "measurement", Columns: []string{"person_id"}, Concepts: []int64{2, 1}},
		"no bucket":          {Table: "concept", Columns: []string{"concept_id"}},
	} {
		if _, err := s.Read(ctx, 0, w); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := again(t, c).Read(stopped, 0, warehouse.Want{Table: "measurement", Columns: []string{"person_id"}}); havre.KindOf(err) != havre.Cancelled {
		t.Errorf("cancelled: %v", err)
	}
}

// again opens the current snapshot with nothing in its cache.
func again(t *testing.T, c warehouse.Config) *warehouse.Snapshot {
	t.Helper()
	w, err := warehouse.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Current(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSeveralHolders: one person of two holders, one of each alone.
func TestSeveralHolders(t *testing.T) {
	w := warehousetest.New(t, 1)
	deliver := func(holder int, person, periods string) *warehouse.Snapshot {
		d := warehousetest.NewDelivery(fmt.Sprint("h", holder)).Link("both", 1).Link("one", 2).Link("two", 3)
		d.Part(envelope.Health, "person", "tid,gender_concept_id,year_of_birth\n"+person)
		d.Part(envelope.Health, "observation_period", "tid,observation_period_id,observation_period_start_date,observation_period_end_date,period_type_concept_id\n"+periods)
		_, s := warehousetest.Take(t, w, d, holder)
		return s
	}
	deliver(2, "both,8532,1951\ntwo,8532,1952\n",
		"both,10,2012-01-01,2012-12-31,1\nboth,11,2015-01-01,2015-06-30,1\nboth,12,2020-01-01,2020-01-02,1\ntwo,13,2010-01-01,2010-12-31,1\ntwo,14,2010-06-01,2011-12-31,1\n")
	s := deliver(1, "both,8507,1950\none,8507,1949\n",
		"both,20,2013-01-01,2014-12-31,1\nboth,21,2012-03-01,2012-04-01,1\none,22,2010-01-01,2010-01-31,1\none,23,2010-02-01,2010-02-28,1\n")
	got := warehousetest.AllRows(t, s, warehouse.Want{Table: "person", Columns: []string{"year_of_birth", "person_id"}})
	if diff := cmp.Diff([]string{"1949|2", "1950|1", "1952|3"}, got); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"1|2|10|2012-01-01|2015-06-30", // one chain, with a hole of no day
		"1|2|12|2020-01-01|2020-01-02",
		"2|1|22|2010-01-01|2010-01-31", // touching, but as its one holder delivered it
		"2|1|23|2010-02-01|2010-02-28",
		"3|2|13|2010-01-01|2010-12-31", // overlapping, likewise
		"3|2|14|2010-06-01|2011-12-31",
	}
	columns := []string{"person_id", "holder_id", "observation_period_id", "observation_period_start_date", "observation_period_end_date"}
	got = warehousetest.AllRows(t, s, warehouse.Want{Table: "observation_period", Columns: columns})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := warehousetest.AllRows(t, s, warehouse.Want{Table: "observation_period", Columns: columns[3:4]}); len(got) != 6 {
		t.Errorf("%q", got)
	}
	// The same through SQL.
	db, err := s.OpenSQL(context.Background(), []string{"person", "observation_period", "death", "concept"}, nil, duck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var viaSQL []string
	err = db.Query(context.Background(), func(scan func(...any) error) error {
		var row string
		defer func() { viaSQL = append(viaSQL, row) }()
		return scan(&row)
	}, "SELECT concat_ws('|', "+strings.Join(columns, ", ")+") FROM observation_period ORDER BY ALL")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, viaSQL); diff != "" {
		t.Error(diff)
	}
	var n int
	err = db.Query(context.Background(), func(scan func(...any) error) error { return scan(&n) },
		"SELECT count(*) FROM death NATURAL JOIN person, (SELECT count(concept_id) FROM concept)")
	if err != nil || n != 0 {
		t.Errorf("empty tables: %d, %v", n, err)
	}
}

func TestVocabulary(t *testing.T) {
	ctx := context.Background()
	d := warehousetest.NewDelivery("h").
		Part(envelope.Health, "concept", "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,standard_concept,concept_code,valid_start_date,valid_end_date,invalid_reason\n"+
			"30,Thirty,Drug,RxNorm,Ingredient,S,c30,1970-01-01,2099-12-31,\n10,Ten,Condition,SNOMED,Finding,,c10,1970-01-01,2099-12-31,U\n").
		Part(envelope.Health, "concept_ancestor", "ancestor_concept_id,descendant_concept_id,min_levels_of_separation,max_levels_of_separation\n1,1,0,0\n1,3,1,1\n1,2,1,1\n2,3,1,1\n5,4,1,1\n").
		Part(envelope.Health, "concept_relationship", "concept_id_1,concept_id_2,relationship_id,valid_start_date,valid_end_date,invalid_reason\n"+
			"100,1,Maps to,1970-01-01,2099-12-31,\n101,1,Maps to,1970-01-01,2099-12-31,D\n102,1,Is a,1970-01-01,2099-12-31,\n99,2,Maps to,1970-01-01,2099-12-31,\n")
	_, s := warehousetest.Take(t, warehousetest.New(t, 2), d, 1)
	check := func(what string, got, want any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", what, err, diff)
		}
	}
	ids, err := s.Descendants(ctx, []int64{2, 1})
	check("descendants", ids, []int64{1, 2, 3}, err)
	ids, err = s.Descendants(ctx, []int64{5, 77})
	check("descendants without itself", ids, []int64{4}, err)
	ids, err = s.Mapped(ctx, []int64{1, 2})
	check("mapped", ids, []int64{99, 100}, err)
	concepts, err := s.Concepts(ctx, []int64{30, 10, 20})
	check("concepts", concepts, []omop.Concept{
		{ID: 10, Name: "Ten", Domain: "Condition", Vocabulary: "SNOMED", Class: "Finding", Code: "c10", Invalid: "U"},
		{ID: 30, Name: "Thirty", Domain: "Drug", Vocabulary: "RxNorm", Class: "Ingredient", Standard: "S", Code: "c30"}}, err)
	none, err := s.Concepts(ctx, nil)
	check("no concepts", none, []omop.Concept{}, err)
}

// TestSmallCache: what does not fit is fetched again, and reads stay right.
func TestSmallCache(t *testing.T) {
	c := warehousetest.Config(t, warehousetest.Store(t))
	c.Cache = 1
	w := warehousetest.Create(t, c, 4)
	_, s := warehousetest.Take(t, w, small(), 1)
	for range 3 {
		if got := warehousetest.AllRows(t, s, conditions); len(got) != 6 {
			t.Errorf("%q", got)
		}
	}
}

// TestBuckets: each person is in one bucket, by the key, and all are used.
func TestBuckets(t *testing.T) {
	_, s := warehousetest.Take(t, warehousetest.New(t, 16), small(), 1)
	seen := map[int]int{}
	for p := range 1600 {
		b := s.BucketOf(havre.PersonID(p))
		if b < 0 || b >= 16 {
			t.Fatal(b)
		}
		seen[b]++
	}
	for b := range 16 {
		if seen[b] < 60 || seen[b] > 140 {
			t.Errorf("bucket %d has %d of 1600", b, seen[b])
		}
	}
	for b := range 16 {
		for _, row := range warehousetest.Rows(t, s, b, warehouse.Want{Table: "person", Columns: []string{"person_id"}}) {
			var p int64
			if _, err := fmt.Sscan(row, &p); err != nil || s.BucketOf(havre.PersonID(p)) != b {
				t.Errorf("person %s stands in bucket %d", row, b)
			}
		}
	}
	var _ ingest.Batch = (*warehouse.Batch)(nil)
}
