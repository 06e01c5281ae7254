// Package quality counts what is odd in the rows of a snapshot: events of
// nobody, outside observation, before birth, after death, concepts that the
// vocabulary does not have. It warns and refuses nothing: real data are like
// this, and a study must know it.
//
// Counts below a disclosure threshold are among them, of all persons, opted-out
// ones too. They are the hub's own matter, for those who run it, and no result
// of a study: nothing here may leave by another door than the airlock.
package quality

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// The rules. Each counts rows, but NoObservation, which counts persons.
const (
	NoPerson        = "no_person"             // its person has no row in person
	NoVisit         = "no_such_visit"         // visit_occurrence_id names no visit that its holder has of its person
	Outside         = "outside_observation"   // begins in none of its person's observation periods
	BeforeBirth     = "before_birth"          // begins before the first day on which its person may have been born
	AfterDeath      = "after_death"           // begins more than 60 days after its person's death, as OHDSI's DataQualityDashboard has it
	EndBeforeStart  = "end_before_start"      // ends before it begins
	Future          = "in_the_future"         // begins after the day of the check
	NoObservation   = "no_observation_period" // persons without any
	UnknownConcept  = "not_in_vocabulary"     // followed by ":column": a concept other than 0 that the concept table does not have
	afterDeathGrace = "INTERVAL 60 DAY"       // of AfterDeath
	sessionRows     = 2_000_000               // about as many rows are open at once,
	sessionBuckets  = 8                       // of no more than so many buckets
)

// unplaced are tables whose rows need not lie in an observation period.
var unplaced = []string{"observation_period", "payer_plan_period", "death", "cohort"}

// Source is a snapshot as the check reads it; package warehouse makes one.
type Source struct {
	Snapshot int64 // its number
	Buckets  int
	Rows     map[string]int64 // stored, by table
	Open     func(ctx context.Context, tables []string, buckets []int, o duck.Options) (*duck.Session, error)
	Concepts func(ctx context.Context, ids []int64) ([]omop.Concept, error)
}

// Report is what was counted in one snapshot.
type Report struct {
	Snapshot   int64   `json:"snapshot"`
	Rows       int64   `json:"rows"`       // looked at: all that are about persons
	Vocabulary bool    `json:"vocabulary"` // there is a concept table; else no concept is called unknown
	Counts     []Count `json:"counts"`     // those that are not zero, by table and rule
}

// Count is how many rows of a table (persons, for no_observation_period) a
// rule struck.
type Count struct {
	Table string `json:"table"`
	Rule  string `json:"rule"`
	Rows  int64  `json:"rows"`
}

// Of is the count of one table and rule.
func (r *Report) Of(table, rule string) int64 {
	for _, c := range r.Counts {
		if c.Table == table && c.Rule == rule {
			return c.Rows
		}
	}
	return 0
}

// check is one Run under way.
type check struct {
	source Source
	today  string
	tables []omop.Table

	mu       sync.Mutex                // guards what follows
	counts   map[Count]int64           // keyed with Rows 0
	concepts map[Count]map[int64]int64 // rows by concept, for each column
}

// Run checks every row about a person, some buckets at a time, in memory.
// Errors are those of Open and Concepts, and the context's own.
func Run(ctx context.Context, s Source, now time.Time, progress havre.Progress) (*Report, error) {
	c := &check{source: s, today: "DATE " + duck.Quote(now.UTC().Format(time.DateOnly)), counts: map[Count]int64{}, concepts: map[Count]map[int64]int64{}}
	r := &Report{Snapshot: s.Snapshot, Vocabulary: s.Rows["concept"] > 0, Counts: []Count{}}
	for _, t := range omop.Tables() {
		if t.PersonLevel && s.Rows[t.Name] > 0 {
			c.tables = append(c.tables, t)
			r.Rows += s.Rows[t.Name]
		}
	}
	step := progress.Step("quality", int64(s.Buckets), "buckets")
	defer step.Done()
	size := min(sessionBuckets, max(1, int(int64(s.Buckets)*sessionRows/max(r.Rows, 1))))
	var all []int
	for b := range s.Buckets {
		all = append(all, b)
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for some := range slices.Chunk(all, size) {
		group.Go(func() error {
			defer step.Add(int64(len(some)))
			return c.buckets(gctx, some)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if r.Vocabulary {
		if err := c.vocabulary(ctx); err != nil {
			return nil, err
		}
	}
	for k, n := range c.counts {
		if n > 0 {
			r.Counts = append(r.Counts, Count{k.Table, k.Rule, n})
		}
	}
	sort.Slice(r.Counts, func(i, j int) bool {
		a, b := r.Counts[i], r.Counts[j]
		return a.Table < b.Table || a.Table == b.Table && a.Rule < b.Rule
	})
	return r, nil
}

// buckets checks the rows of some buckets: all rows of a person are together.
func (c *check) buckets(ctx context.Context, buckets []int) error {
	open := []string{"person", "observation_period", "visit_occurrence", "death"}
	for _, t := range c.tables {
		if !slices.Contains(open, t.Name) {
			open = append(open, t.Name)
		}
	}
	db, err := c.source.Open(ctx, open, buckets, duck.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range []string{
		"CREATE TABLE periods AS SELECT person_id, observation_period_start_date AS lo, observation_period_end_date AS hi FROM observation_period",
		"CREATE TABLE visits AS SELECT DISTINCT holder_id, person_id, visit_occurrence_id FROM visit_occurrence",
		"CREATE TABLE who AS SELECT p.person_id, TRY(make_date(p.year_of_birth, coalesce(p.month_of_birth, 1), coalesce(p.day_of_birth, 1))) AS born, d.late" +
			" FROM person p LEFT JOIN (SELECT person_id, min(death_date) + " + afterDeathGrace + " AS late FROM death GROUP BY ALL) d USING (person_id)",
	} {
		if _, err := db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	for _, t := range c.tables {
		if err := c.table(ctx, db, t); err != nil {
			return err
		}
	}
	return nil
}

// table checks the rows of one table, which it loads once.
func (c *check) table(ctx context.Context, db *duck.Session, t omop.Table) error {
	columns := []string{"holder_id", duck.Name(t.Person)}
	var concepts []string
	for _, f := range t.Fields {
		switch {
		case strings.HasSuffix(f.Name, "concept_id"):
			concepts = append(concepts, f.Name)
			columns = append(columns, duck.Name(f.Name))
		case f.Name == t.Start || f.Name == t.End || f.Name == "visit_occurrence_id":
			columns = append(columns, duck.Name(f.Name))
		}
	}
	if _, err := db.Exec(ctx, "CREATE OR REPLACE TABLE t AS SELECT "+strings.Join(columns, ", ")+" FROM "+duck.Name(t.Name)); err != nil {
		return err
	}
	if err := c.rules(ctx, db, t); err != nil {
		return err
	}
	return c.used(ctx, db, t, concepts)
}

// rules counts what every rule but the one about concepts strikes.
func (c *check) rules(ctx context.Context, db *duck.Session, t omop.Table) error {
	if t.Name == "person" {
		return c.counted(ctx, db, t, []string{NoObservation}, "SELECT count(*) FROM t WHERE NOT EXISTS (FROM periods o WHERE o.person_id = t.person_id)")
	}
	person, start, end := "t."+duck.Name(t.Person), "t."+duck.Name(t.Start), "t."+duck.Name(t.End)
	names, sums := []string{NoPerson}, []string{"w.person_id IS NULL"}
	rule := func(name, condition string) { names, sums = append(names, name), append(sums, condition) }
	if t.Start != "" {
		rule(BeforeBirth, start+" < w.born")
		rule(Future, start+" > "+c.today)
		if t.Name != "death" {
			rule(AfterDeath, start+" > w.late")
		}
		if !slices.Contains(unplaced, t.Name) {
			rule(Outside, "NOT EXISTS (FROM periods o WHERE o.person_id = "+person+" AND o.lo <= "+start+" AND o.hi >= "+start+")")
		}
	}
	if t.End != "" {
		rule(EndBeforeStart, end+" < "+start)
	}
	if _, has := t.Field("visit_occurrence_id"); has && t.Name != "visit_occurrence" {
		rule(NoVisit, "t.visit_occurrence_id IS NOT NULL AND NOT EXISTS (FROM visits v WHERE v.holder_id = t.holder_id AND v.person_id = "+person+
			" AND v.visit_occurrence_id = t.visit_occurrence_id)")
	}
	for i, s := range sums {
		sums[i] = "count(*) FILTER (WHERE " + s + ")"
	}
	return c.counted(ctx, db, t, names, "SELECT "+strings.Join(sums, ", ")+" FROM t LEFT JOIN who w ON w.person_id = "+person)
}

// counted adds the one row of numbers that the query gives, one for each rule.
func (c *check) counted(ctx context.Context, db *duck.Session, t omop.Table, rules []string, query string) error {
	n, into := make([]int64, len(rules)), make([]any, len(rules))
	for i := range n {
		into[i] = &n[i]
	}
	return db.Query(ctx, func(row func(...any) error) error {
		if err := row(into...); err != nil {
			return havre.E("quality", havre.Internal, "counts of "+t.Name+" could not be read").Wrap(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, rule := range rules {
			c.counts[Count{Table: t.Name, Rule: rule}] += n[i]
		}
		return nil
	}, query)
}

// used counts the rows of each concept in each column of concepts.
func (c *check) used(ctx context.Context, db *duck.Session, t omop.Table, columns []string) error {
	if c.source.Rows["concept"] == 0 {
		return nil
	}
	var queries []string
	for _, name := range columns {
		queries = append(queries, fmt.Sprintf("SELECT %s, %s, count(*) FROM t WHERE %[2]s <> 0 GROUP BY ALL", duck.Quote(name), duck.Name(name)))
	}
	if len(queries) == 0 {
		return nil
	}
	return db.Query(ctx, func(row func(...any) error) error {
		var column string
		var id, n int64
		if err := row(&column, &id, &n); err != nil {
			return havre.E("quality", havre.Internal, "concepts of "+t.Name+" could not be read").Wrap(err)
		}
		k := Count{Table: t.Name, Rule: UnknownConcept + ":" + column}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.concepts[k] == nil {
			c.concepts[k] = map[int64]int64{}
		}
		c.concepts[k][id] += n
		return nil
	}, strings.Join(queries, " UNION ALL "))
}

// vocabulary looks all used concepts up at once.
func (c *check) vocabulary(ctx context.Context) error {
	known := map[int64]bool{}
	var ids []int64
	for _, used := range c.concepts {
		for id := range used {
			if !known[id] {
				known[id] = true
				ids = append(ids, id)
			}
		}
	}
	clear(known)
	slices.Sort(ids)
	found, err := c.source.Concepts(ctx, ids)
	if err != nil {
		return err
	}
	for _, f := range found {
		known[f.ID] = true
	}
	for k, used := range c.concepts {
		for id, n := range used {
			if !known[id] {
				c.counts[k] += n
			}
		}
	}
	return nil
}
