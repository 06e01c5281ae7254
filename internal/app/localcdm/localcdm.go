// Package localcdm holds somebody's own OMOP CDM in memory, for running cohort
// definitions with no hub at all: a folder or zip of CSV or Parquet files, or a
// DuckDB file. It is for data that whoever runs the command may see as it is;
// nothing of a hub's warehouse ever comes here.
package localcdm

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake"
	source "github.com/havre-hub/havre/internal/holder/intake/omop"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Buckets is how many parts the persons are spread over by a hash of their ids.
const Buckets = 64

// CDM is the part of a CDM that some definitions read. It implements
// cohort.Buckets and omop.Vocabulary, and is safe for concurrent use.
type CDM struct {
	Version string           // "5.3" or "5.4"
	Rows    int64            // rows held, of tables about persons
	Left    map[string]int64 // rows that are not held, by table and reason: "bad_integer:drug_exposure.quantity"
	Skipped []intake.Skipped

	mu      sync.Mutex
	batches map[string][][]*sorted // by table and bucket; the only "bucket" of a table about no person is 0
	*vocabulary
}

// Open reads what the definitions need of the CDM at place. Errors are those of
// the reader of the source: NotFound, Invalid.
func Open(ctx context.Context, place string, definitions []*cohort.Definition, progress havre.Progress) (*CDM, error) {
	src, err := source.Open(ctx, place)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	c := &CDM{Version: src.CDMVersion(), Left: map[string]int64{}, Skipped: src.Skipped(), batches: map[string][][]*sorted{}, vocabulary: newVocabulary(definitions)}
	if err := c.vocabulary.load(ctx, src); err != nil {
		return nil, err
	}
	needs := cohort.Needs(definitions, false)
	var files []intake.File
	for _, f := range src.Files() {
		if slices.ContainsFunc(needs, func(n cohort.Need) bool { return n.Table == f.Table }) {
			files = append(files, f)
		}
	}
	if !slices.ContainsFunc(files, func(f intake.File) bool { return f.Table == "observation_period" }) {
		return nil, havre.E("cohort.run", havre.Invalid, "there is no table observation_period in "+place).
			WithHint("nobody belongs to a cohort outside of an observation period; add the table")
	}
	counter := progress.Step("read "+place, -1, "rows")
	defer counter.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, f := range files {
		need := needs[slices.IndexFunc(needs, func(n cohort.Need) bool { return n.Table == f.Table })]
		g.Go(func() error { return c.file(ctx, src, f, need.Columns, counter) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return c, nil
}

// Vocabulary reads of the CDM at place only what the concept sets of the
// definitions ask of its vocabulary.
func Vocabulary(ctx context.Context, place string, definitions []*cohort.Definition) (omop.Vocabulary, error) {
	src, err := source.Open(ctx, place)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	v := newVocabulary(definitions)
	return v, v.load(ctx, src)
}

// file reads one file into the buckets.
func (c *CDM) file(ctx context.Context, src *source.Source, f intake.File, columns []string, counter havre.Counter) error {
	t, _ := omop.Lookup(f.Table)
	f.Ignored = nil
	f.Columns = slices.DeleteFunc(slices.Clone(f.Columns), func(c string) bool {
		return c != t.Person && c != t.Concept && !slices.Contains(columns, c)
	})
	l := newLoader(t, f, columns)
	pending := int64(0)
	for row, err := range src.Rows(ctx, f) {
		if err != nil {
			return err
		}
		l.take(row)
		if pending++; pending == 1<<14 {
			counter.Add(pending)
			pending = 0
		}
	}
	counter.Add(pending)
	parts := l.finish()
	c.mu.Lock()
	defer c.mu.Unlock()
	for reason, n := range l.left {
		c.Left[reason] += n
	}
	if c.batches[t.Name] == nil {
		c.batches[t.Name] = make([][]*sorted, len(parts))
	}
	for b, p := range parts {
		if p == nil {
			continue
		}
		c.batches[t.Name][b] = append(c.batches[t.Name][b], p)
		if t.PersonLevel {
			c.Rows += int64(p.rows)
		}
	}
	return nil
}

// Buckets is the number of buckets.
func (c *CDM) Buckets() int { return Buckets }

// Read gives rows as warehouse.Snapshot.Read does. Columns are those that the
// definitions read; another is an error of kind Internal.
func (c *CDM) Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, ok := omop.Lookup(w.Table)
	if ok && !t.PersonLevel && bucket == ingest.Unbucketed {
		bucket = 0
	} else if !ok || !t.PersonLevel || bucket < 0 || bucket >= Buckets {
		return nil, havre.E("cohort.read", havre.Internal, fmt.Sprintf("there is no bucket %d of table %s", bucket, w.Table))
	}
	split := c.batches[t.Name]
	if split == nil {
		return nil, nil
	}
	var out []arrow.RecordBatch
	for _, p := range split[bucket] {
		got, err := p.read(t, w)
		if err != nil {
			for _, b := range out {
				b.Release()
			}
			return nil, err
		}
		if got != nil {
			out = append(out, got)
		}
	}
	return out, nil
}

// Warnings lists the rows that are not held, one line each, the most first.
func (c *CDM) Warnings() []string {
	reasons := make([]string, 0, len(c.Left))
	for r := range c.Left {
		reasons = append(reasons, r)
	}
	sort.Slice(reasons, func(i, j int) bool {
		if c.Left[reasons[i]] != c.Left[reasons[j]] {
			return c.Left[reasons[i]] > c.Left[reasons[j]]
		}
		return reasons[i] < reasons[j]
	})
	for i, r := range reasons {
		reasons[i] = fmt.Sprintf("%d rows left out: %s", c.Left[r], r)
	}
	return reasons
}
