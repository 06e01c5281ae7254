package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/analysis"
	"github.com/havre-hub/havre/internal/hub/study/runner"
	"github.com/havre-hub/havre/internal/hub/study/runner/pool"
	"github.com/havre-hub/havre/internal/hub/study/runner/spark"
	"github.com/havre-hub/havre/internal/hub/study/runner/worker"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// On says which machines run a study, and who watches; the zero value is this
// process, and nobody.
type On struct {
	Spark   *spark.Options
	Program string // version that workers must have; "" for this program's
	Watcher *Watcher
}

// Watcher is an output checker who is shown the sizes of the cohorts as buckets
// finish. Nobody else may be: see docs/reference/disclosure.md.
type Watcher struct {
	Account string
	Show    func(study.Size)
}

func (o On) name() string {
	if o.Spark != nil {
		return "spark"
	}
	return "pool"
}

// running is a runner that was chosen for one run.
type running struct {
	runner.Runner
	facts func() map[string]string // for the log: who ran what where
	close func(context.Context) error
}

// choose makes the runner of a run. For Spark it puts the plan into the store,
// after the log has it.
func (h *Hub) choose(ctx context.Context, on On, run string, d *study.Definition, p *allowedRun) (*running, error) {
	if on.Spark == nil {
		return &running{Runner: pool.Pool{}, facts: func() map[string]string { return map[string]string{"runner": "pool"} },
			close: func(context.Context) error { return nil }}, nil
	}
	r, err := h.request(on, run, d, p)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, w := range r.Workers {
		keys = append(keys, w.Name+"="+w.Key.ID())
	}
	sparked := &spark.Runner{Options: *on.Spark}
	sparked.Start(ctx) // while the plan is made
	// What the plan gives away is on the log before it is given.
	_, err = h.Log.Record(ctx, audit.Event{Action: "plan.given", Subject: run, Facts: map[string]string{
		"permit": p.permit, "permit_sha256": p.sha, "snapshot": p.snap.Root(), "workers": strings.Join(keys, " ")}})
	if err != nil {
		return nil, errors.Join(err, sparked.Close())
	}
	plan, err := worker.Prepare(ctx, r)
	if err != nil {
		return nil, errors.Join(err, sparked.Close())
	}
	sparked.Work = plan
	return &running{Runner: sparked,
		facts: func() map[string]string {
			a := sparked.Application()
			facts := map[string]string{"runner": "spark", "master": on.Spark.Master, "plan": plan.ID()}
			if a.Application != "" {
				facts["application"], facts["spark"] = a.Application, a.Spark
			}
			facts["start_seconds"] = strconv.FormatFloat(sparked.Startup().Seconds(), 'f', 1, 64)
			facts["worker_seconds"] = strconv.FormatFloat(plan.Took().Seconds(), 'f', 1, 64)
			for name, buckets := range plan.By() {
				facts["worker_"+name] = strconv.Itoa(len(buckets)) + " buckets"
			}
			return facts
		},
		close: func(ctx context.Context) error {
			// No worker may read on when the run is over, and the keys go with the plan.
			stopped := plan.Stop(ctx)
			ended := make(chan error, 1)
			go func() { ended <- sparked.Close() }()
			return errors.Join(stopped, plan.Close(ctx), <-ended)
		}}, nil
}

// request is what the plan of a run is made of.
func (h *Hub) request(on On, run string, d *study.Definition, p *allowedRun) (worker.Request, error) {
	enrolled, err := h.enrolled()
	return worker.Request{Hub: h.Config.Name, Run: run, Program: on.Program, Definition: d, Build: analysis.Build, Vocabulary: p.snap,
		View: p.view, Snapshot: p.snap, Store: h.Store, Signer: h.home.signer, Workers: enrolled, Now: havre.SystemNow, Alive: p.alive}, err
}

func (h *Hub) enrolled() ([]worker.Enrolled, error) {
	all, err := h.Workers()
	var out []worker.Enrolled
	for _, e := range all {
		out = append(out, e.Enrolled)
	}
	return out, err
}

// allowedRun is what a run may read, and what it hangs on.
type allowedRun struct {
	h       *Hub
	permit  string
	sha     string // of the permit's version
	optouts int64
	view    *permit.View
	keep    *study.Keep // nil: every cohort is evaluated
	snap    *warehouse.Snapshot
}

// allow opens the current snapshot under a permit.
func (h *Hub) allow(ctx context.Context, permitID, account string) (*allowedRun, error) {
	snap, err := h.Warehouse.Current(ctx)
	if err != nil {
		return nil, err
	}
	a := &allowedRun{h: h, permit: permitID, snap: snap}
	if a.view, err = h.Permits.Restrict(ctx, permitID, account, snap); err != nil {
		return nil, err
	}
	if _, a.sha, err = h.Permits.InForce(ctx, permitID); err != nil {
		return nil, err
	}
	a.optouts = h.Permits.OptOutSerial()
	return a, nil
}

// alive says why machines that are not the hub may not read on: there, a
// suspension, an amendment and an opt-out act by ending the run.
func (a *allowedRun) alive(ctx context.Context) error {
	_, sha, err := a.h.Permits.InForce(ctx, a.permit)
	switch {
	case err != nil:
		return err
	case sha != a.sha:
		return havre.E("study.run", havre.PermitDenied, "the permit "+a.permit+" was amended after this run began").
			WithHint("start the run again: it must read under one version")
	case a.h.Permits.OptOutSerial() != a.optouts:
		return havre.E("study.run", havre.PermitDenied, "an opt-out was recorded after this run began").
			WithHint("start the run again: it leaves out who has opted out")
	}
	return nil
}

// ExecutorCheck is what one of Spark's executors answered.
type ExecutorCheck struct {
	Executor string        `json:"executor"` // host and process
	Worker   string        `json:"worker"`   // enrolled name
	Program  string        `json:"program"`
	Clock    time.Duration `json:"clock_ns"` // ahead of the hub's, at least; 0 within the time of the question
	Problem  string        `json:"problem,omitempty"`
}

// RunnerCheck is the report of CheckRunner.
type RunnerCheck struct {
	Spark     spark.Hello     `json:"spark"`
	Program   string          `json:"program"`
	Executors int             `json:"executors"`
	Answers   []ExecutorCheck `json:"answers"`
}

// Problems lists what must be mended before a study runs there.
func (c RunnerCheck) Problems() []string {
	var out []string
	for _, a := range c.Answers {
		if a.Problem != "" {
			out = append(out, a.Executor+": "+a.Problem)
		}
	}
	if len(c.Answers) < c.Executors {
		out = append(out, fmt.Sprintf("only %d of %d executors answered", len(c.Answers), c.Executors))
	}
	return out
}

// CheckRunner starts Spark and asks a worker on each of its executors who it
// is, what it can read, which version it has and what time it is.
func (h *Hub) CheckRunner(ctx context.Context, o spark.Options) (out RunnerCheck, err error) {
	all, err := h.enrolled()
	if err != nil {
		return RunnerCheck{}, err
	}
	probe, err := worker.NewProbe(ctx, h.Store, h.home.signer, all)
	if err != nil {
		return RunnerCheck{}, err
	}
	defer func() { err = errors.Join(err, probe.Close(context.WithoutCancel(ctx))) }()
	r := &spark.Runner{Options: o}
	defer func() { err = errors.Join(err, r.Close()) }()
	out.Program = worker.Program()
	said, executors, err := r.Ask(ctx, probe.Line())
	if err != nil {
		return out, err
	}
	out.Spark, out.Executors = r.Application(), executors
	for _, s := range said {
		c := ExecutorCheck{Executor: s.Executor}
		a, err := probe.Answer(s.Line, s.Asked, s.Heard)
		c.Worker, c.Program, c.Clock = a.Worker, a.Program, a.Clock
		if err != nil {
			c.Problem = err.Error()
		}
		out.Answers = append(out.Answers, c)
	}
	slices.SortFunc(out.Answers, func(a, b ExecutorCheck) int { return strings.Compare(a.Executor, b.Executor) })
	return out, nil
}
