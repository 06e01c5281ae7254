package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/release"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/analysis"
	"github.com/havre-hub/havre/internal/hub/study/runner/worker"
)

// ReadStudy reads a study.yaml and the cohort files beside it, and checks all.
func ReadStudy(path string) (*study.Definition, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, havre.E("study", havre.NotFound, "the study "+path+" cannot be read").Wrap(err)
	}
	dir, err := os.OpenRoot(filepath.Dir(path)) // cohort files never come from outside the study's folder
	if err != nil {
		return nil, havre.E("study", havre.NotFound, "the folder of the study "+path+" cannot be read").Wrap(err)
	}
	defer dir.Close()
	return study.Parse(b, dir.ReadFile)
}

// RunStudy runs a study under a permit on the current snapshot and puts its
// outputs before the checkers; nobody sees a number before they agree. A run
// that was cut goes on at its last finished bucket, here or elsewhere.
func (h *Hub) RunStudy(ctx context.Context, d *study.Definition, permitID, account string, progress havre.Progress) (StudyRun, error) {
	return h.RunStudyOn(ctx, On{}, d, permitID, account, progress)
}

// StudyRun is what a run of a study came to.
type StudyRun struct {
	release.Status
	Cohorts *CohortsRun `json:"cohorts,omitempty"` // nil: nothing is taken over on other machines
}

// RunStudyOn is RunStudy on machines that were chosen.
func (h *Hub) RunStudyOn(ctx context.Context, on On, d *study.Definition, permitID, account string, progress havre.Progress) (StudyRun, error) {
	none := StudyRun{}
	allowed, err := h.allow(ctx, permitID, account)
	if err != nil {
		return none, err
	}
	if err := h.covers(ctx, d, permitID); err != nil {
		return none, err
	}
	snap := allowed.snap
	run := runID(snap.Root(), allowed.sha, d.Digest(), strconv.FormatInt(allowed.optouts, 10))
	event := audit.Event{Action: "study.started", Actor: havre.NewPersonal(account), Subject: run,
		Facts: map[string]string{"permit": permitID, "study_sha256": d.Digest(), "snapshot": snap.Root(), "runner": on.name()}}
	if _, err := h.Log.Record(ctx, event); err != nil {
		return none, err
	}
	if w := on.Watcher; w != nil {
		if err := h.Airlock.MayWatch(ctx, permitID, account, w.Account); err != nil {
			return none, err
		}
		watched := audit.Event{Action: "study.watched", Actor: havre.NewPersonal(w.Account), Subject: run, Facts: map[string]string{"permit": permitID}}
		if _, err := h.Log.Record(ctx, watched); err != nil {
			return none, err
		}
	}
	key, err := h.permitKey(permitID)
	if err != nil {
		return none, err
	}
	kept := newCheckpoints(h.Store, key)
	if on.Spark == nil {
		allowed.keep = &study.Keep{Shelf: newMembers(h.Store, key), Version: worker.Program()}
	}
	var outputs []study.Output
	var where map[string]string
	err = h.untilSuspended(ctx, func(ctx context.Context) (err error) {
		outputs, where, err = h.outputs(ctx, d, run, allowed, kept, on, progress)
		return err
	})
	maps.Copy(event.Facts, where)
	ran := cohortsRun(allowed.keep)
	ran.facts(event.Facts)
	if err != nil {
		event.Action = "study.failed"
		event.Facts["kind"] = string(havre.KindOf(err))
		if _, lerr := h.Log.Record(context.WithoutCancel(ctx), event); lerr != nil {
			return none, lerr
		}
		return none, err
	}
	event.Action = "study.finished"
	event.Facts["outputs"] = strconv.Itoa(len(outputs))
	if _, err := h.Log.Record(ctx, event); err != nil {
		return none, err
	}
	status, err := h.Airlock.Request(ctx, release.Request{Permit: permitID, Requester: account, Study: d.Name, StudySHA: d.Digest(),
		Run: run, Snapshot: snap.Root(), Outputs: outputs})
	if err != nil {
		return none, err
	}
	return StudyRun{status, ran}, kept.clear(ctx, run)
}

// outputs runs the study on the machines that were chosen and lets go of them.
// where says for the log who ran what.
func (h *Hub) outputs(ctx context.Context, d *study.Definition, run string, a *allowedRun, kept checkpoints, on On, progress havre.Progress) (out []study.Output, where map[string]string, err error) {
	r, err := h.choose(ctx, on, run, d, a)
	if err != nil {
		return nil, nil, err
	}
	job := study.Job{ID: run, Definition: d, Rows: a.view, Vocabulary: a.snap, Build: analysis.Build, Runner: r, Checkpoints: kept, Keep: a.keep, Progress: progress}
	if on.Watcher != nil {
		job.Watch = on.Watcher.Show
	}
	out, err = study.Run(ctx, job)
	where = r.facts()
	if cerr := r.close(context.WithoutCancel(ctx)); err == nil {
		err = cerr
	}
	return out, where, err
}

// covers says, before anything runs, what the study reads that the permit does
// not list.
func (h *Hub) covers(ctx context.Context, d *study.Definition, permitID string) error {
	p, _, err := h.Permits.InForce(ctx, permitID)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, t := range p.Tables {
		for _, c := range t.Columns {
			listed[t.Name+"."+c] = true
		}
	}
	needs, err := d.Needs()
	if err != nil {
		return err
	}
	for _, n := range needs {
		for _, c := range n.Columns {
			if !listed[n.Table+"."+c] {
				return havre.E("study.run", havre.PermitDenied, fmt.Sprintf("the study reads %s.%s, which permit %s does not list", n.Table, c, permitID)).
					WithHint("take it out of the study, or ask for an amended permit: havre permit amend")
			}
		}
	}
	return nil
}

// runID names a run by all that its rows hang on.
func runID(parts ...string) string {
	sum := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(sum, "%d:%s\n", len(p), p)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
