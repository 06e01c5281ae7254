package demo

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/audit/verify"
	"github.com/havre-hub/havre/internal/havre"
)

// suspend lets the officer suspend the permit, and the researcher try again.
func (j *journey) suspend(ctx context.Context) error {
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		return err
	}
	defer hub.Close()
	if err := hub.Permits.Suspend(ctx, j.permitID, officer, "The demo suspends it, to see that it acts."); err != nil {
		return err
	}
	_, err = hub.RunStudy(ctx, j.def, j.permitID, researcher, havre.NoProgress)
	j.s.SuspendedRunRefused = havre.KindOf(err) == havre.PermitDenied
	return nil
}

// verify gives outsiders what they need, and checks it as they would: from
// files alone, with the hub's public keys.
func (j *journey) verify(ctx context.Context) error {
	keys, err := j.export(ctx)
	if err != nil {
		return err
	}
	report, err := verify.Folder(ctx, j.at("verify"), keys, j.Progress)
	if err != nil {
		return err
	}
	j.s.Log = Log{Size: report.Log.Size, Root: report.Log.Root, Verified: report.Err() == nil}
	return report.Err()
}

func (j *journey) export(ctx context.Context) (verify.Keys, error) {
	hub, err := app.OpenHub(ctx, j.at("hub"))
	if err != nil {
		return verify.Keys{}, err
	}
	defer hub.Close()
	// The log moves with the data: it is mirrored into the store, sealed.
	if _, err := hub.Mirror(ctx); err != nil {
		return verify.Keys{}, err
	}
	_, err = hub.ExportProofs(ctx, j.at("verify"), j.at("released"))
	return hub.Keys(), err
}

// tamper alters one byte of one entry in a copy of the exported log, as a hub
// that wants to rewrite its past would, and verifies the copy.
func (j *journey) tamper(ctx context.Context) error {
	keys, err := verify.ReadKeys(j.at("verify"))
	if err != nil {
		return err
	}
	copied := j.at("tampered")
	if err := os.CopyFS(copied, os.DirFS(j.at("verify"))); err != nil {
		return havre.E("demo.tamper", havre.NoSpace, "the copy of the log cannot be written").Wrap(err)
	}
	if err := alterEntry(filepath.Join(copied, "log")); err != nil {
		return err
	}
	report, err := verify.Folder(ctx, copied, keys, havre.NoProgress)
	if err == nil {
		err = report.Err()
	}
	if err != nil && havre.KindOf(err) != havre.Tampered {
		return err
	}
	if err != nil {
		j.s.TamperFound, j.s.TamperMessage = true, err.Error()
	}
	return os.RemoveAll(copied)
}

// alterEntry changes a digit in the first bundle of entries.
func alterEntry(log string) error {
	var bundle string
	err := filepath.WalkDir(filepath.Join(log, "tile", "entries"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && bundle == "" {
			bundle = path
		}
		return err
	})
	if err != nil || bundle == "" {
		return havre.E("demo.tamper", havre.Internal, "the exported log has no entries").Wrap(err)
	}
	b, err := os.ReadFile(bundle)
	if err != nil {
		return havre.E("demo.tamper", havre.Internal, "an entry cannot be read").Wrap(err)
	}
	for i := len(b) / 2; i < len(b); i++ {
		if b[i] >= '0' && b[i] <= '8' {
			b[i]++
			break
		}
	}
	if err := os.WriteFile(bundle, b, 0o600); err != nil {
		return havre.E("demo.tamper", havre.Internal, "an entry cannot be written").Wrap(err)
	}
	return nil
}

// report looks at the store as the host sees it, and writes report.html.
func (j *journey) report(context.Context) error {
	err := filepath.WalkDir(j.at("store"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		j.s.Store.Objects++
		j.s.Store.Bytes += info.Size()
		if j.s.Store.Objects%97 == 1 && len(j.s.Store.Sample) < 8 {
			rel, err := filepath.Rel(j.at("store"), path)
			if err != nil {
				return err
			}
			j.s.Store.Sample = append(j.s.Store.Sample, rel)
		}
		return nil
	})
	if err != nil {
		return havre.E("demo.report", havre.Internal, "the store cannot be looked at").Wrap(err)
	}
	return writeReport(j.s, j.at("report.html"))
}
