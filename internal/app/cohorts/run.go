// Package cohorts runs cohort definitions over somebody's own CDM, with no hub,
// and writes who belongs to them. It reads definitions as ATLAS keeps them.
package cohorts

import (
	"cmp"
	"context"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/havre-hub/havre/internal/app/localcdm"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// Result is what a run of definitions over somebody's own CDM gave.
type Result struct {
	Definitions []Count  `json:"definitions"`
	Rows        int64    `json:"rows"`
	Persons     int64    `json:"persons"` // with an observation period
	Read        int64    `json:"rows_read"`
	Warnings    []string `json:"warnings,omitempty"`
	Out         string   `json:"out"`
	Stats       string   `json:"stats,omitempty"`

	cohorts   []periods
	attrition []cohort.Attrition
	named     []Definition
}

// Count is the size of one cohort.
type Count struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Rows    int64  `json:"rows"`
	Persons int64  `json:"persons"`
}

// periods are the rows of one cohort, by person, then start.
type periods struct {
	person     []int64
	start, end []int32 // days since 1970
}

// Options say what to run and where to.
type Options struct {
	CDM         string
	Definitions []Definition
	Out         string         // ends in .parquet or .csv
	Stats       string         // folder, "" for none
	Estimate    func(Estimate) // called as buckets finish, from one goroutine at a time; may be nil
	Progress    havre.Progress
}

// Run finds who belongs to each definition in a CDM that is no hub's, and
// writes the rows; nothing is written if anything fails.
func Run(ctx context.Context, o Options) (*Result, error) {
	write, err := writerOf(o.Out)
	if err != nil {
		return nil, err
	}
	run, err := find(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Stats != "" {
		if err := run.writeStats(o.Stats); err != nil {
			return nil, err
		}
	}
	return run, replaceFile(o.Out, func(f *os.File) error { return write(f, run) })
}

// find finds who belongs to each definition, and writes nothing.
func find(ctx context.Context, o Options) (*Result, error) {
	definitions := make([]*cohort.Definition, len(o.Definitions))
	for i, d := range o.Definitions {
		if err := absent(d); err != nil {
			return nil, err
		}
		definitions[i] = d.Definition
	}
	cdm, err := localcdm.Open(ctx, o.CDM, definitions, o.Progress)
	if err != nil {
		return nil, err
	}
	plan, err := cohort.Compile(ctx, cdm, definitions, false)
	if err != nil {
		return nil, err
	}
	run := &Result{Read: cdm.Rows, Warnings: cdm.Warnings(), Out: o.Out, Stats: o.Stats, named: o.Definitions,
		cohorts: make([]periods, len(definitions)), attrition: make([]cohort.Attrition, len(definitions))}
	if err := run.evaluate(ctx, o, plan, cdm); err != nil {
		return nil, err
	}
	run.sort()
	return run, nil
}

func (r *Result) evaluate(ctx context.Context, o Options, plan *cohort.Plan, cdm *localcdm.CDM) error {
	counter := o.Progress.Step("evaluate", int64(cdm.Buckets()), "buckets")
	defer counter.Done()
	var mu sync.Mutex
	est := study.NewEstimator(len(o.Definitions), cdm.Buckets())
	return plan.EvaluateAll(ctx, cdm, o.Stats != "", func(_ int, res *cohort.Result) error {
		mu.Lock()
		defer mu.Unlock()
		r.Persons += int64(len(res.People.ID))
		persons := make([]int64, len(res.Cohorts))
		for d := range res.Cohorts {
			persons[d] = r.cohorts[d].add(res.People, &res.Cohorts[d])
			if res.Attrition != nil {
				r.attrition[d].Merge(res.Attrition[d])
			}
		}
		counter.Add(1)
		if est.Add(persons) && o.Estimate != nil {
			for d, def := range o.Definitions {
				o.Estimate(Estimate{def.ID, def.Name, est.Of(d)})
			}
		}
		return nil
	})
}

// add appends the periods of a bucket and gives the number of its persons.
func (c *periods) add(people *cohort.People, m *cohort.Members) (persons int64) {
	last := int32(-1)
	for i, p := range m.Person {
		if p != last {
			persons++
			last = p
		}
		c.person, c.start, c.end = append(c.person, people.ID[p]), append(c.start, m.Start[i]), append(c.end, m.End[i])
	}
	return persons
}

// sort puts the rows of each cohort in order, several cohorts at once, and
// counts them.
func (r *Result) sort() {
	r.Definitions = make([]Count, len(r.named))
	var wg sync.WaitGroup
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	for d := range r.cohorts {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			persons := r.cohorts[d].sort()
			r.Definitions[d] = Count{r.named[d].ID, r.named[d].Name, int64(len(r.cohorts[d].person)), persons}
		})
	}
	wg.Wait()
	for _, d := range r.Definitions {
		r.Rows += d.Rows
	}
}

func (c *periods) sort() (persons int64) {
	order := make([]int32, len(c.person))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(c.person[a], c.person[b]), cmp.Compare(c.start[a], c.start[b]))
	})
	sorted := periods{make([]int64, len(order)), make([]int32, len(order)), make([]int32, len(order))}
	for i, at := range order {
		sorted.person[i], sorted.start[i], sorted.end[i] = c.person[at], c.start[at], c.end[at]
		if i == 0 || sorted.person[i] != sorted.person[i-1] {
			persons++
		}
	}
	*c = sorted
	return persons
}
