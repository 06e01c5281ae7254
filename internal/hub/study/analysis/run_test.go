package analysis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/analysis"
	"github.com/havre-hub/havre/internal/hub/study/runner"
	"github.com/havre-hub/havre/internal/hub/study/runner/pool"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// bleeding is a study of two drugs (concepts 1 and 2) and an outcome (concept
// 10 and what lies below it).
const bleeding = `
name: bleeding
title: Bleeding after two drugs
cohorts:
  drug-a: {circe: drug-a.json}
  drug-b: {circe: drug-b.json}
  bleeding:
    circe:
      ConceptSets:
        - {id: 0, name: bleeding, expression: {items: [{concept: {CONCEPT_ID: 10}, includeDescendants: true}]}}
      PrimaryCriteria:
        CriteriaList: [{ConditionOccurrence: {CodesetId: 0}}]
        ObservationWindow: {PriorDays: 0, PostDays: 0}
        PrimaryCriteriaLimit: {Type: All}
      EndStrategy: {DateOffset: {DateField: StartDate, Offset: 1}}
analyses:
  - {name: users, kind: counts, cohort: drug-a, by: [sex, age_band]}
  - {name: users-by-year, kind: counts, cohort: drug-a, by: [year, birth_decade], totals: false}
  - name: incidence-a
    kind: incidence
    target: drug-a
    outcome: bleeding
    time_at_risk: {start: 1, end: 730}
    by: [sex]
    age_bands: [0, 40]
  - name: ratio
    kind: rate_ratio
    target: drug-a
    comparator: drug-b
    outcome: bleeding
    time_at_risk: {start: 1, end: 730}
  - {name: again, kind: incidence, target: drug-b, outcome: bleeding, time_at_risk: {start: 0, end: cohort_end}, clean_window: 30, by: []}
  - {name: observed, kind: observation, cohort: drug-a}
  - {name: records, kind: records, cohort: drug-a, tables: [condition_occurrence, drug_exposure, death]}
  - {name: conditions, kind: concepts, cohort: drug-b, table: condition_occurrence, top: 2}
`

func drugCohort(concept int) string {
	return fmt.Sprintf(`{"ConceptSets": [{"id": 3, "name": "drug", "expression": {"items": [{"concept": {"CONCEPT_ID": %d}}]}}],
		"PrimaryCriteria": {"CriteriaList": [{"DrugExposure": {"CodesetId": 3, "First": true}}],
		"ObservationWindow": {"PriorDays": 0, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "First"}}}`, concept)
}

func openFile(name string) ([]byte, error) {
	switch name {
	case "drug-a.json":
		return []byte(drugCohort(1)), nil
	case "drug-b.json":
		return []byte(drugCohort(2)), nil
	}
	return nil, errors.New("no such file")
}

func parse(t testing.TB, text string) *study.Definition {
	t.Helper()
	d, err := study.Parse([]byte(text), openFile)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// drugWorld is a population in which everybody takes one of two drugs.
func drugWorld(persons int) map[string]studytest.Table {
	r := rand.New(rand.NewPCG(9, 9))
	person, period, drug, condition := studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder()
	for p := range int64(persons) {
		person.Int("person_id", p)
		person.Int("gender_concept_id", []int64{8507, 8532, 8532, 0}[r.IntN(4)])
		person.Int("year_of_birth", int64(1920+r.IntN(90)))
		start := 15000 + r.IntN(1000)
		period.Int("person_id", p)
		period.Int("observation_period_id", p)
		period.Day("observation_period_start_date", start)
		period.Day("observation_period_end_date", start+1500)
		for range 1 + r.IntN(3) {
			drug.Int("drug_exposure_id", r.Int64())
			drug.Int("person_id", p)
			drug.Int("drug_concept_id", 1+p%2)
			drug.Day("drug_exposure_start_date", start+r.IntN(400))
		}
		for range r.IntN(4) {
			condition.Int("condition_occurrence_id", r.Int64())
			condition.Int("person_id", p)
			condition.Int("condition_concept_id", int64(10+r.IntN(6)))
			condition.Day("condition_start_date", start+r.IntN(1500))
		}
	}
	concept, ancestor := studytest.NewBuilder(), studytest.NewBuilder()
	for _, id := range []int64{1, 2, 10, 11, 12, 13, 14} {
		concept.Int("concept_id", id)
		concept.Text("concept_name", fmt.Sprintf("concept %d", id))
		ancestor.Int("ancestor_concept_id", min(id, 10))
		ancestor.Int("descendant_concept_id", min(id, 12))
	}
	return map[string]studytest.Table{"person": person.Table, "observation_period": period.Table, "drug_exposure": drug.Table,
		"condition_occurrence": condition.Table, "concept": concept.Table, "concept_ancestor": ancestor.Table}
}

func job(t testing.TB, d *study.Definition, tables map[string]studytest.Table, buckets int) study.Job {
	t.Helper()
	return study.Job{ID: "run", Definition: d, Rows: studytest.New(buckets, tables), Vocabulary: studytest.NewVocabulary(tables),
		Build: analysis.Build, Runner: pool.Pool{}}
}

func run(t testing.TB, j study.Job) []study.Output {
	t.Helper()
	out, err := study.Run(context.Background(), j)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func encode(t testing.TB, out []study.Output) string {
	t.Helper()
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// shuffled hands buckets out in a random order and delivers some of them twice.
type shuffled struct {
	seed uint64
}

func (s shuffled) Run(ctx context.Context, t runner.Task) error {
	r := rand.New(rand.NewPCG(s.seed, 1))
	order := slices.Concat(t.Buckets, t.Buckets[:len(t.Buckets)/2])
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, b := range order {
		partial, err := t.Map(ctx, b)
		if err != nil {
			return err
		}
		if err := t.Done(b, partial); err != nil {
			return err
		}
	}
	return nil
}

// TestSameBytes: the number of buckets and workers, the order, and buckets
// that come twice change nothing.
func TestSameBytes(t *testing.T) {
	d, tables := parse(t, bleeding), drugWorld(600)
	want := encode(t, run(t, job(t, d, tables, 1)))
	for buckets := 2; buckets <= 32; buckets *= 4 {
		j := job(t, d, tables, buckets)
		for _, r := range []runner.Runner{pool.Pool{Workers: 1}, pool.Pool{Workers: 5}, shuffled{1}, shuffled{2}} {
			j.Runner = r
			if got := encode(t, run(t, j)); got != want {
				t.Fatalf("%T over %d buckets:\n%s\nwant\n%s", r, buckets, got, want)
			}
		}
	}
}

func outputNamed(t testing.TB, out []study.Output, name string) study.Output {
	t.Helper()
	for _, o := range out {
		if o.Name == name {
			return o
		}
	}
	t.Fatalf("no output %s", name)
	return study.Output{}
}

func cellOf(t testing.TB, o study.Output, key ...string) study.Cell {
	t.Helper()
	for _, c := range o.Cells {
		if slices.Equal(c.Key, key) {
			return c
		}
	}
	t.Fatalf("%s has no cell %v", o.Name, key)
	return study.Cell{}
}

// TestOutputsByHand runs over four persons whose results are worked out by hand.
func TestOutputsByHand(t *testing.T) {
	person, period, drug, condition := studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder()
	for i, p := range []struct{ id, gender, born, drug int64 }{{1, 8532, 1950, 1}, {2, 8507, 1985, 1}, {3, 8532, 1990, 2}, {4, 8507, 1999, 2}} {
		person.Int("person_id", p.id)
		person.Int("gender_concept_id", p.gender)
		person.Int("year_of_birth", p.born)
		period.Int("person_id", p.id)
		period.Int("observation_period_id", p.id)
		period.Day("observation_period_start_date", 14610) // 2010-01-01
		period.Day("observation_period_end_date", 15704)   // 2012-12-30
		for n := range 2 {                                 // the second is of no account
			drug.Int("drug_exposure_id", int64(10*i+n))
			drug.Int("person_id", p.id)
			drug.Int("drug_concept_id", p.drug)
			drug.Day("drug_exposure_start_date", 14700+100*n) // 2010-04-01, until day 15430 at risk
		}
	}
	for i, e := range []struct{ person, concept, day int64 }{{1, 11, 14800}, {1, 10, 14900}, {3, 10, 14650}, {4, 13, 14800}} {
		condition.Int("condition_occurrence_id", int64(i))
		condition.Int("person_id", e.person)
		condition.Int("condition_concept_id", e.concept)
		condition.Day("condition_start_date", int(e.day))
	}
	tables := drugWorld(1)
	tables["person"], tables["observation_period"], tables["drug_exposure"], tables["condition_occurrence"] = person.Table, period.Table, drug.Table, condition.Table
	out := run(t, job(t, parse(t, bleeding), tables, 2))

	users := outputNamed(t, out, "users")
	if len(users.Cells) != 4*12 || cellOf(t, users, "female", "60-69").Count != 1 || cellOf(t, users, "male", "20-29").Count != 1 ||
		cellOf(t, users, study.TotalKey, study.TotalKey).Count != 2 || cellOf(t, users, "female", "20-29").Count != 0 {
		t.Errorf("users: %+v", users)
	}
	years := outputNamed(t, out, "users-by-year")
	if !slices.Equal(years.Dimensions[1].Categories, []string{"1950s", "1960s", "1970s", "1980s", "unknown"}) ||
		cellOf(t, years, "2010", "1950s").Count != 1 || years.Dimensions[0].Total {
		t.Errorf("users by year: %+v", years)
	}
	// Woman 1: day 14701 to her first bleeding on day 14800; man 2: 730 days.
	inc := outputNamed(t, out, "incidence-a")
	woman, all := cellOf(t, inc, "female"), cellOf(t, inc, study.TotalKey)
	if woman.Count != 1 || woman.Contributors["events"] != 1 || woman.Values["events"] != 1 || woman.Values["person_years"] != 100/365.25 ||
		woman.MaxShare != 1 || all.Count != 2 || all.Values["person_years"] != 830/365.25 || all.MaxShare != 1 {
		t.Errorf("incidence: %+v %+v", woman, all)
	}
	if rate := all.Values["rate"]; math.Abs(rate-365.25/830*1000) > 1e-9 || !(all.Values["rate_low"] < rate && rate < all.Values["rate_high"]) {
		t.Errorf("rate %v", all.Values)
	}
	// Woman 3 has bled before; man 4 has another condition, not below 10.
	ratio := outputNamed(t, out, "ratio")
	c := cellOf(t, ratio)
	if c.Count != 3 || c.Contributors["comparator_persons"] != 1 || c.Values["target_events"] != 1 || c.Values["comparator_events"] != 0 ||
		c.Values["comparator_person_years"] != 730/365.25 || !slices.Equal(ratio.Sources, []string{"incidence-a"}) {
		t.Errorf("ratio: %+v", ratio)
	}
	if _, there := c.Values["ratio"]; there {
		t.Error("a ratio over no event was given")
	}
	// To the end of the cohort, which is the end of observation, day 15704.
	again := cellOf(t, outputNamed(t, out, "again"))
	if again.Count != 2 || again.Values["person_years"] != 2*1005/365.25 {
		t.Errorf("again: %+v", again)
	}
	observed := outputNamed(t, out, "observed")
	if !slices.Equal(observed.Dimensions[0].Categories, []string{"2010", "2011", "2012"}) || cellOf(t, observed, "2011").Count != 2 {
		t.Errorf("observed: %+v", observed)
	}
	records := outputNamed(t, out, "records")
	if x := cellOf(t, records, "condition_occurrence"); x.Count != 1 || x.Values["records"] != 2 || x.MaxShare != 1 || cellOf(t, records, "death").Count != 0 {
		t.Errorf("records: %+v", records)
	}
	concepts := outputNamed(t, out, "conditions")
	if !slices.Equal(concepts.Dimensions[0].Categories, []string{"10 concept 10", "13 concept 13"}) {
		t.Errorf("concepts: %+v", concepts)
	}
}

// permit lets so many reads through and then is suspended.
type permit struct {
	study.Rows
	reads, allowed atomic.Int64
}

func (p *permit) Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error) {
	if p.reads.Add(1) > p.allowed.Load() {
		return nil, havre.E("permit.read", havre.PermitDenied, "permit p-1 is suspended")
	}
	return p.Rows.Read(ctx, bucket, w)
}

// kept are checkpoints in memory.
type kept struct {
	mu   sync.Mutex
	data map[string][]byte
	puts int
}

func (k *kept) Put(_ context.Context, run string, bucket int, partial []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.data[fmt.Sprint(run, "/", bucket)] = partial
	k.puts++
	return nil
}

func (k *kept) Get(_ context.Context, run string, bucket int) ([]byte, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, ok := k.data[fmt.Sprint(run, "/", bucket)]
	return b, ok, nil
}

// counting is a progress that remembers.
type counting struct {
	total, done atomic.Int64
}

func (c *counting) Step(_ string, total int64, _ string) havre.Counter {
	c.total.Store(total)
	return c
}
func (c *counting) Add(n int64) { c.done.Add(n) }
func (c *counting) Done()       {}

func TestPermitSuspendedAndResume(t *testing.T) {
	d, tables := parse(t, bleeding), drugWorld(300)
	want := encode(t, run(t, job(t, d, tables, 16)))
	j := job(t, d, tables, 16)
	store := &kept{data: map[string][]byte{}}
	rows, progress := &permit{Rows: j.Rows}, &counting{}
	rows.allowed.Store(60)
	j.Rows, j.Checkpoints, j.Progress, j.Runner = rows, store, progress, pool.Pool{Workers: 2}
	out, err := study.Run(context.Background(), j)
	if out != nil || havre.KindOf(err) != havre.PermitDenied {
		t.Fatalf("%d outputs, error %v", len(out), err)
	}
	finished := store.puts
	if finished == 0 || finished >= 16 || progress.done.Load() != int64(finished) || progress.total.Load() != 16 {
		t.Fatalf("%d buckets were finished, %d of %d shown", finished, progress.done.Load(), progress.total.Load())
	}

	before := rows.reads.Load()
	rows.allowed.Store(1 << 40)
	if got := encode(t, run(t, j)); got != want {
		t.Errorf("after a resume:\n%s\nwant\n%s", got, want)
	}
	perBucket := rows.reads.Load() - before
	if store.puts != 16 || perBucket > int64(16-finished)*8 {
		t.Errorf("%d buckets were computed, with %d reads", store.puts, perBucket)
	}

	// All is done: the permit is asked all the same.
	rows.allowed.Store(0)
	if out, err := study.Run(context.Background(), j); out != nil || havre.KindOf(err) != havre.PermitDenied {
		t.Errorf("a suspended permit gave %d outputs, error %v", len(out), err)
	}
}

// TestDamagedCheckpoints: what is not a sound checkpoint of this very study is
// computed again; what was computed over other rows is an error.
func TestDamagedCheckpoints(t *testing.T) {
	d, tables := parse(t, bleeding), drugWorld(100)
	j := job(t, d, tables, 4)
	store := &kept{data: map[string][]byte{}}
	j.Checkpoints = store
	want := encode(t, run(t, j))
	for key, data := range store.data {
		damaged := slices.Clone(data)
		damaged[len(damaged)/2] ^= 4
		store.data[key] = damaged
	}
	if got := encode(t, run(t, j)); got != want {
		t.Error("damaged checkpoints changed the result")
	}
	other := parse(t, strings.Replace(bleeding, "end: 730", "end: 365", 1))
	j.Definition = other
	fresh := j
	fresh.Checkpoints = nil
	if got := encode(t, run(t, j)); got != encode(t, run(t, fresh)) {
		t.Error("checkpoints of another definition were used")
	}
	j.Rows = studytest.New(4, drugWorld(10))
	if _, err := study.Run(context.Background(), j); havre.KindOf(err) != havre.Refused {
		t.Errorf("other rows under the same run: %v", err)
	}
}

func TestCharacterise(t *testing.T) {
	tables := drugWorld(200)
	d := study.Characterise([]string{"person", "condition_occurrence", "drug_exposure", "observation_period", "concept"})
	if err := study.Check(d); err != nil {
		t.Fatal(err)
	}
	needs, err := d.Needs()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range needs {
		names = append(names, n.Table)
	}
	if !slices.Equal(names, []string{"condition_occurrence", "drug_exposure", "observation_period", "person"}) {
		t.Errorf("it needs %v", needs)
	}
	out := run(t, job(t, d, tables, 8))
	if c := cellOf(t, outputNamed(t, out, "persons"), study.TotalKey, study.TotalKey); c.Count != 200 {
		t.Errorf("%d persons", c.Count)
	}
	if c := cellOf(t, outputNamed(t, out, "records"), "drug_exposure"); c.Count != 200 || c.Values["records"] != float64(tables["drug_exposure"].Len()) {
		t.Errorf("drugs: %+v", c)
	}
	if o := outputNamed(t, out, "concepts-drug-exposure"); len(o.Cells) != 2 {
		t.Errorf("drugs: %+v", o)
	}
}

// TestNobody: a study over nobody has tables of zeros, not errors.
func TestNobody(t *testing.T) {
	tables := map[string]studytest.Table{}
	for _, d := range []*study.Definition{parse(t, bleeding), study.Characterise([]string{"condition_occurrence"})} {
		for _, o := range run(t, job(t, d, tables, 3)) {
			if len(o.Cells) == 0 {
				t.Errorf("%s has no cell", o.Name)
			}
			for _, c := range o.Cells {
				if c.Count != 0 {
					t.Errorf("%s: %+v", o.Name, c)
				}
			}
		}
	}
}

// FuzzCheckpoint: whatever lies among the checkpoints, the result of a run is
// that of its rows.
func FuzzCheckpoint(f *testing.F) {
	d, tables := parse(f, bleeding), drugWorld(6)
	j := job(f, d, tables, 2)
	store := &kept{data: map[string][]byte{}}
	j.Checkpoints = store
	want := encode(f, run(f, j))
	sound := slices.Clone(store.data["run/0"])
	f.Add(sound)
	f.Add(slices.Clone(store.data["run/1"])) // of another bucket
	f.Add([]byte(strings.Replace(string(sound), `"form":1`, `"form":2`, 1)))
	f.Add(append([]byte(" "), sound...))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		j := j
		j.Checkpoints = &kept{data: map[string][]byte{"run/0": data}}
		if got := encode(t, run(t, j)); got != want {
			t.Errorf("checkpoint %q changed the result", data)
		}
	})
}
