package demo

import (
	"context"
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/release"
	"github.com/havre-hub/havre/internal/hub/study"
)

//go:embed study
var builtIn embed.FS

// ratio is the output of the built-in study that estimates the effect.
const ratio = "bleeding-ratio"

// definition is the study to run: the user's, the built-in one, or a
// characterisation of somebody's CDM.
func (j *journey) definition(ctx context.Context, hub *app.Hub) (*study.Definition, error) {
	switch {
	case j.Study != "":
		return app.ReadStudy(j.Study)
	case j.From == "":
		sub, err := fs.Sub(builtIn, "study")
		if err != nil {
			return nil, havre.E("demo.study", havre.Internal, "the built-in study is not there").Wrap(err)
		}
		// It is put into the folder, for people to look at and change.
		if err := os.CopyFS(j.at("study"), sub); err != nil {
			return nil, havre.E("demo.study", havre.NoSpace, "the study cannot be written").Wrap(err)
		}
		return app.ReadStudy(j.at("study", "study.yaml"))
	}
	snap, err := hub.Warehouse.Current(ctx)
	if err != nil {
		return nil, err
	}
	var tables []string
	for t, rows := range snap.Rows() {
		if rows > 0 {
			tables = append(tables, t)
		}
	}
	sort.Strings(tables)
	return study.Characterise(tables), nil
}

// permit is asked for by the researcher and decided by the officer. It lists
// what the study reads and nothing else.
func (j *journey) permit(ctx context.Context) error {
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		return err
	}
	defer hub.Close()
	for account, role := range map[string]havre.Role{researcher: havre.RoleResearcher, officer: havre.RoleOfficer,
		checkerOne: havre.RoleChecker, checkerTwo: havre.RoleChecker} {
		if err := hub.Permits.AddAccount(ctx, account, role, havre.NewPersonal(operator)); err != nil {
			return err
		}
	}
	if j.def, err = j.definition(ctx, hub); err != nil {
		return err
	}
	needs, err := j.def.Needs()
	if err != nil {
		return err
	}
	a := permit.Application{Title: j.def.Title, Purpose: "scientific_research",
		Benefit: "Shows the journey of health data from the holder to a checked result.",
		People:  []string{researcher}, Rules: record.DefaultRules(), Checkers: 2, End: havre.SystemNow().AddDate(1, 0, 0).Truncate(time.Second)}
	for _, n := range needs {
		a.Tables = append(a.Tables, record.Table{Name: n.Table, Columns: n.Columns})
	}
	if j.permitID, err = hub.Permits.Apply(ctx, researcher, a); err != nil {
		return err
	}
	_, err = hub.Permits.Decide(ctx, j.permitID, officer, true, "The purpose is lawful and the data asked for are those the study needs.")
	return err
}

// study runs; its outputs wait, sealed, in the airlock.
func (j *journey) study(ctx context.Context) error {
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		return err
	}
	defer hub.Close()
	status, err := hub.RunStudy(ctx, j.def, j.permitID, researcher, j.Progress)
	if err != nil {
		return err
	}
	if status.State == release.Quarantined {
		for _, r := range status.Reasons {
			j.warn("the result %s stays in quarantine: %s", status.ID, r)
		}
		return nil
	}
	j.releaseID = status.ID
	return nil
}

// release is agreed by two people who took no part, and leaves; unless the rules
// found that nothing of it may.
func (j *journey) release(ctx context.Context) error {
	if j.releaseID == "" {
		return nil // it is in quarantine, and stays there
	}
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		return err
	}
	defer hub.Close()
	for _, checker := range []string{checkerOne, checkerTwo} {
		if _, err := hub.Airlock.Decide(ctx, j.releaseID, checker, true, "The tables hold no small group."); err != nil {
			return err
		}
	}
	folder := j.at("released", j.releaseID)
	if _, err := hub.Airlock.Release(ctx, j.releaseID, researcher, folder); err != nil {
		return err
	}
	return j.left(folder)
}

// left reads what is outside now, as anyone can.
func (j *journey) left(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return havre.E("demo.release", havre.NotFound, "the released files are not there").Wrap(err)
	}
	r := Release{ID: j.releaseID}
	for _, e := range entries {
		r.Files = append(r.Files, e.Name())
	}
	b, err := os.ReadFile(filepath.Join(folder, "outputs.json"))
	if err != nil {
		return havre.E("demo.release", havre.NotFound, "the released outputs are not there").Wrap(err)
	}
	outputs, _, err := release.DecodeOutputs(b)
	if err != nil {
		return err
	}
	for _, o := range outputs {
		for _, c := range o.Cells {
			r.Cells++
			if c.Suppressed != "" {
				r.Suppressed++
			}
		}
		if o.Name == ratio && len(o.Cells) == 1 && o.Cells[0].Suppressed == "" && j.From == "" && j.Study == "" {
			truth, err := trueEffect(j.at("truth"))
			if err != nil {
				return err
			}
			v := o.Cells[0].Values
			j.s.Effect = &Effect{True: truth, Estimate: v["ratio"], Low: v["ratio_low"], High: v["ratio_high"]}
		}
	}
	j.s.Releases = append(j.s.Releases, r)
	return nil
}
