package app

import (
	"context"
	"os"
	"path/filepath"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/audit/verify"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Keys are the hub's public keys, as havre-verify wants them.
func (h *Hub) Keys() verify.Keys {
	own := []sign.PublicKey{h.home.signer.Public()}
	return verify.Keys{Version: 1, Hub: h.Config.Name, Origin: h.logOptions().Origin,
		Log: []sign.PublicKey{h.logKey.Public()}, Receipts: own, Permits: own, Releases: own, Moves: own}
}

// Mirror copies what is new in the log into the store, sealed, so that the log
// moves with the data. It gives the number of entries that are there now.
func (h *Hub) Mirror(ctx context.Context) (int64, error) {
	return h.Log.Mirror(ctx, h.Store, h.key.Recipient())
}

// ExportProofs writes to dir what outsiders need to check the hub with
// havre-verify: keys, log, receipts, permits, and the releases with the files
// that left, which are taken from the folder released.
func (h *Hub) ExportProofs(ctx context.Context, dir, released string) (tlog.Checkpoint, error) {
	none := tlog.Checkpoint{}
	keys, err := h.Keys().Encode()
	if err != nil {
		return none, err
	}
	for _, sub := range []string{"receipts", "permits", "releases", verify.DestructionsDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return none, havre.E("export", havre.NoSpace, "the folder "+dir+" cannot be written").Wrap(err)
		}
	}
	if err := writeNew(filepath.Join(dir, verify.KeysName), keys); err != nil {
		return none, err
	}
	deliveries, err := h.Desk.Deliveries(ctx)
	if err != nil {
		return none, err
	}
	for _, d := range deliveries {
		if err := writeNew(filepath.Join(dir, "receipts", string(d.ID)+".json"), d.Receipt); err != nil {
			return none, err
		}
	}
	if err := h.exportPermits(ctx, filepath.Join(dir, "permits")); err != nil {
		return none, err
	}
	releases, err := os.ReadDir(released)
	if err != nil && !os.IsNotExist(err) {
		return none, havre.E("export", havre.NotFound, "the folder of releases "+released+" cannot be read").Wrap(err)
	}
	for _, r := range releases {
		if err := os.CopyFS(filepath.Join(dir, "releases", r.Name()), os.DirFS(filepath.Join(released, r.Name()))); err != nil {
			return none, havre.E("export", havre.NoSpace, "the release "+r.Name()+" cannot be copied").Wrap(err)
		}
	}
	if err := h.exportMoves(ctx, filepath.Join(dir, verify.MovesDir)); err != nil {
		return none, err
	}
	if err := h.exportDestructions(filepath.Join(dir, verify.DestructionsDir)); err != nil {
		return none, err
	}
	// The log comes last, so that it covers all that was written before.
	return h.Log.Export(ctx, filepath.Join(dir, "log"))
}

func (h *Hub) exportPermits(ctx context.Context, dir string) error {
	permits, err := h.Permits.List(ctx)
	if err != nil {
		return err
	}
	for _, p := range permits {
		if p.Version == 0 {
			continue // an application that nobody granted
		}
		signed, err := h.Permits.Signed(ctx, p.ID, 0)
		if err != nil {
			return err
		}
		if err := writeNew(filepath.Join(dir, p.ID+".json"), signed); err != nil {
			return err
		}
	}
	return nil
}
