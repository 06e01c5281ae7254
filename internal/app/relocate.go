package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/audit/verify"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// Relocation is what became of a hub that rehearsed leaving and left.
type Relocation struct {
	From            string `json:"from"`
	To              string `json:"to"`
	Objects         int64  `json:"objects"`
	Bytes           int64  `json:"bytes"`
	RootsEqual      bool   `json:"roots_equal"`
	OldCopyReadable bool   `json:"old_copy_readable"`
	ReportVerified  bool   `json:"report_verified"` // offline, with the report, the log and the hub's public keys

	Report *record.Move `json:"-"` // of the move
	Drill  *record.Move `json:"-"` // nil if no drill was asked for
	Signed []byte       `json:"-"` // the move's report, as signed
}

// Relocate makes a drill at the store drillAt ("" = none) and then takes the
// hub at dir through all steps of a move. r.To is the new store; other fields
// of r serve for every step that has a use for them.
func Relocate(ctx context.Context, dir, drillAt string, r MoveRequest, p havre.Progress) (Relocation, error) {
	var out Relocation
	conf := config.DefaultHub()
	if err := config.Read(dir, &conf); err != nil {
		return out, err
	}
	if drillAt != "" {
		d := r
		d.Act, d.To = "drill", drillAt
		res, err := Move(ctx, dir, d, p)
		if err != nil {
			return out, err
		}
		if out.Drill, _, err = checkReport(ctx, dir, res.Report); err != nil {
			return out, err
		}
	}
	var res MoveResult
	for _, act := range []string{"plan", "run", "verify", "finish"} {
		r.Act = act
		var err error
		if res, err = Move(ctx, dir, r, p); err != nil {
			return out, err
		}
		if res.Plan != nil {
			r.ID = res.Plan.ID
		}
	}
	out.Signed = res.Report
	var err error
	if out.Report, out.ReportVerified, err = checkReport(ctx, dir, res.Report); err != nil {
		return out, err
	}
	out.From, out.To, out.Objects, out.Bytes = out.Report.From.Where, out.Report.To.Where, out.Report.Objects, out.Report.Bytes
	out.RootsEqual = out.Report.Root == out.Report.RootBack && out.Report.Before.Same(out.Report.After)
	out.OldCopyReadable, err = anything(ctx, dir, conf.Store)
	return out, err
}

// checkReport verifies a report as an outsider would, from an exported log and
// the hub's public keys. It gives the report also when that fails.
func checkReport(ctx context.Context, dir string, signed []byte) (m *record.Move, ok bool, err error) {
	h, err := OpenHub(ctx, dir)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	tmp, err := os.MkdirTemp("", "havre-log-")
	if err != nil {
		return nil, false, havre.E("move.report", havre.NoSpace, "there is no room to export the log").Wrap(err)
	}
	defer os.RemoveAll(tmp)
	if _, err := h.Log.Export(ctx, filepath.Join(tmp, verify.LogDir)); err != nil {
		return nil, false, err
	}
	keys := h.Keys()
	if m, err = verify.Move(ctx, signed, os.DirFS(filepath.Join(tmp, verify.LogDir)), keys); err == nil {
		return m, true, nil
	}
	if havre.KindOf(err) != havre.Tampered {
		return nil, false, err
	}
	m, err = record.VerifyMove(signed, keys.Moves...)
	return m, false, err
}

// anything says whether a store still gives an object.
func anything(ctx context.Context, dir, url string) (bool, error) {
	s, err := openStore(ctx, dir, url, false)
	if err != nil {
		return false, err
	}
	defer blob.Rest(s)
	for _, err := range s.List(ctx, "") {
		return err == nil, err
	}
	return false, nil
}
