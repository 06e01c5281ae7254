package study

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/runner"
)

// Job is a study to be run.
type Job struct {
	// ID names the run for its checkpoints. It must change whenever something
	// changes that the rows hang on: the snapshot, the permit, the opt-outs that
	// the permit honours. The definition is looked after by Run itself.
	ID          string
	Definition  *Definition
	Rows        Rows
	Vocabulary  omop.Vocabulary
	Build       Build
	Runner      runner.Runner
	Checkpoints runner.Checkpoints // nil: a run that is killed starts again
	Keep        *Keep              // nil: every cohort is evaluated, and none kept
	Progress    havre.Progress     // nil: none is shown
	Watch       func(Size)         // is shown, as buckets finish, what an output checker may see; nil for nobody
}

// Keep is where the members of cohorts are kept from run to run, so that only
// what has changed is evaluated. It is for a run in the hub's own process, over
// rows of which it is known what they hang on (cohort.Traced).
type Keep struct {
	Shelf   cohort.Shelf     // of the permit
	Version string           // of the program
	Taken   cohort.TakenOver // set by Run, also when it fails
}

// Run runs a study and gives its outputs in the order of its analyses. They
// are the same to the last bit whatever the runner, the number of workers, the
// order of the buckets and the number of times it was killed on the way.
//
// After an error there is no output at all, but finished buckets stay in the
// checkpoints. If all buckets are there already, one of them is computed again
// all the same, so that a permit which has ended meanwhile is noticed.
func Run(ctx context.Context, j Job) ([]Output, error) {
	m, err := NewMapper(ctx, j)
	if err != nil {
		return nil, err
	}
	progress := j.Progress
	if progress == nil {
		progress = havre.NoProgress
	}
	buckets := j.Rows.Buckets()
	counter := progress.Step("study", int64(buckets), "buckets")
	defer counter.Done()
	c := &collector{job: j, mapper: m, ctx: ctx, counter: counter, seen: make([]bool, buckets), watched: newWatched(j, m.analyses)}
	left, err := c.resume(buckets)
	if err != nil {
		return nil, err
	}
	err = j.Runner.Run(ctx, runner.Task{ID: j.ID, Last: true, Buckets: left, Map: m.Map, Done: c.take})
	if m.keeper != nil {
		j.Keep.Taken = m.keeper.TakenOver()
	}
	if err != nil {
		return nil, err
	}
	return c.finish()
}

// collector takes the partial results of buckets as they come and merges them.
type collector struct {
	job     Job
	mapper  *Mapper
	ctx     context.Context // of the run
	counter havre.Counter
	watched *watched

	mu      sync.Mutex
	seen    []bool
	partial []Partial
}

// resume takes over what an earlier run has finished and gives the buckets
// that are left. Checkpoints of another definition or form are passed over.
func (c *collector) resume(buckets int) (left []int, err error) {
	for b := range buckets {
		var partial []Partial
		if c.job.Checkpoints != nil {
			data, ok, err := c.job.Checkpoints.Get(c.ctx, c.job.ID, b)
			if err != nil {
				return nil, err
			}
			if ok {
				partial, _ = c.mapper.decode(b, data) // what does not decode is computed again
			}
		}
		if partial == nil || len(left) == 0 && b == buckets-1 {
			left = append(left, b)
			continue
		}
		if err := c.merge(b, partial); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// take is the Done of the task.
func (c *collector) take(bucket int, data []byte) error {
	partial, err := c.mapper.decode(bucket, data)
	if err != nil {
		return err
	}
	if c.job.Checkpoints != nil {
		old, ok, err := c.job.Checkpoints.Get(c.ctx, c.job.ID, bucket)
		if err != nil {
			return err
		}
		if _, sound := c.mapper.decode(bucket, old); ok && sound == nil && !bytes.Equal(old, data) {
			return havre.E("study.run", havre.Refused, fmt.Sprintf("bucket %d of run %s gives another result than before: the rows behind it have changed", bucket, c.job.ID)).
				WithHint("start the study as a new run")
		}
		if err := c.job.Checkpoints.Put(c.ctx, c.job.ID, bucket, data); err != nil {
			return err
		}
	}
	return c.merge(bucket, partial)
}

// merge adds the partial result of a bucket, once.
func (c *collector) merge(bucket int, partial []Partial) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if bucket < 0 || bucket >= len(c.seen) {
		return havre.E("study.run", havre.Internal, fmt.Sprintf("there is no bucket %d", bucket))
	}
	if c.seen[bucket] {
		return nil
	}
	c.watched.add(c.mapper, c.job.Definition.Analyses, partial)
	if c.partial == nil {
		c.partial = partial
	} else {
		for i, p := range partial {
			merged, err := c.partial[i].Merge(p)
			if err != nil {
				return err
			}
			c.partial[i] = merged
		}
	}
	c.seen[bucket] = true
	c.counter.Add(1)
	return nil
}

func (c *collector) finish() ([]Output, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for b, seen := range c.seen {
		if !seen {
			return nil, havre.E("study.run", havre.Internal, fmt.Sprintf("the runner has left out bucket %d", b))
		}
	}
	var outputs []Output
	for i, a := range c.mapper.analyses {
		o, err := a.Finish(c.ctx, c.partial[i])
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, o)
	}
	return outputs, nil
}

// Mapper turns buckets into encoded partial results. A worker process makes
// one of the same job and hands back what Map gives.
type Mapper struct {
	digest    string
	names     []string
	plan      *cohort.Plan
	keeper    *cohort.Keeper // nil: nothing is kept
	attrition bool           // some analysis wants it
	rows      Rows
	analyses  []Analysis
}

// NewMapper checks the definition, resolves its concept sets and plans it.
func NewMapper(ctx context.Context, j Job) (*Mapper, error) {
	if err := Check(j.Definition); err != nil {
		return nil, err
	}
	definitions, err := j.Definition.parseCohorts()
	if err != nil {
		return nil, err
	}
	plan, err := cohort.Compile(ctx, j.Vocabulary, definitions, true)
	if err != nil {
		return nil, err
	}
	analyses, err := j.Build(j.Definition, j.Vocabulary)
	if err != nil {
		return nil, err
	}
	if j.Rows.Buckets() < 1 {
		return nil, havre.E("study.run", havre.Internal, "there is no bucket to run over")
	}
	m := &Mapper{digest: j.Definition.Digest() + "-" + plan.Digest(), plan: plan, rows: j.Rows, analyses: analyses}
	m.attrition = slices.ContainsFunc(j.Definition.Analyses, func(s Spec) bool { return s.Kind == KindAttrition })
	if traced, ok := j.Rows.(cohort.Traced); ok && j.Keep != nil {
		m.keeper = plan.Keep(traced, j.Keep.Shelf, j.Keep.Version, j.Vocabulary)
	}
	for _, c := range j.Definition.Cohorts {
		m.names = append(m.names, c.Name)
	}
	return m, nil
}

// Map gives the encoded partial results of one bucket. Errors of the rows are
// given back as they are. Safe for concurrent use.
func (m *Mapper) Map(ctx context.Context, bucket int) ([]byte, error) {
	res, err := m.evaluate(ctx, bucket)
	if err != nil {
		return nil, err
	}
	b := &Bucket{Number: bucket, People: res.People, cohorts: map[string]*cohort.Members{}, attrition: map[string]*cohort.Attrition{}, rows: m.rows}
	for i, name := range m.names {
		b.cohorts[name] = &res.Cohorts[i]
		if m.attrition {
			b.attrition[name] = &res.Attrition[i]
		}
	}
	partial := make([]Partial, len(m.analyses))
	for i, a := range m.analyses {
		if partial[i], err = a.Map(ctx, b); err != nil {
			return nil, err
		}
	}
	return m.encode(bucket, partial)
}

// evaluate answers the cohorts over one bucket.
func (m *Mapper) evaluate(ctx context.Context, bucket int) (*cohort.Result, error) {
	if m.keeper != nil {
		return m.keeper.Evaluate(ctx, bucket, m.attrition)
	}
	if m.attrition {
		return m.plan.EvaluateAttrition(ctx, m.rows, bucket)
	}
	return m.plan.Evaluate(ctx, m.rows, bucket)
}
