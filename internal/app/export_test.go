package app

import (
	"context"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/analysis"
	"github.com/havre-hub/havre/internal/hub/study/runner"
	"github.com/havre-hub/havre/internal/hub/study/runner/worker"
)

// OutputsOn runs a study as RunStudyOn does and gives what would go into the
// airlock, and what the log is told of where it ran. run names the checkpoints.
func (h *Hub) OutputsOn(ctx context.Context, on On, run string, d *study.Definition, permitID, account string, progress havre.Progress) ([]study.Output, map[string]string, error) {
	a, err := h.allow(ctx, permitID, account)
	if err != nil {
		return nil, nil, err
	}
	return h.outputs(ctx, d, run, a, newCheckpoints(h.Store, h.key), on, progress)
}

// PlanOf puts a plan into the store as a run on Spark does, and gives the task
// of its first round.
func (h *Hub) PlanOf(ctx context.Context, program string, d *study.Definition, permitID, account string) (*worker.Plan, runner.Task, error) {
	a, err := h.allow(ctx, permitID, account)
	if err != nil {
		return nil, runner.Task{}, err
	}
	r, err := h.request(On{Program: program}, "test", d, a)
	if err != nil {
		return nil, runner.Task{}, err
	}
	p, err := worker.Prepare(ctx, r)
	if err != nil {
		return nil, runner.Task{}, err
	}
	m, err := study.NewMapper(ctx, study.Job{Definition: d, Rows: a.view, Vocabulary: a.snap, Build: analysis.Build})
	if err != nil {
		return nil, runner.Task{}, err
	}
	t := runner.Task{ID: "test", Map: m.Map}
	for b := range a.snap.Buckets() {
		t.Buckets = append(t.Buckets, b)
	}
	return p, t, p.Begin(ctx, t)
}
