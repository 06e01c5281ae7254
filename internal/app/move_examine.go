package app

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/analysis"
	"github.com/havre-hub/havre/internal/hub/study/runner/pool"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/move"
)

// ReferenceStudy is run on both stores of a move; its results must be equal.
// Nothing of them leaves. It reads under a permit, as any study does.
type ReferenceStudy struct {
	Path    string `json:"path"` // of study.yaml, absolute
	Permit  string `json:"permit"`
	Account string `json:"account"` // one of the permit's people
}

// qualityStudy is the built-in reference: the oddities of all rows are counted.
const qualityStudy = "quality"

// examiner looks into a store of a move with the hub's keys.
type examiner struct {
	h       *Hub
	studies []ReferenceStudy
}

var _ move.Examiner = examiner{}

func (x examiner) Current(ctx context.Context) (int64, error) {
	snap, err := x.h.Warehouse.Current(ctx)
	if err != nil {
		return 0, err
	}
	return snap.Number(), nil
}

func (x examiner) Examine(ctx context.Context, s blob.Store, n int64, studies bool, key havre.Secret, p havre.Progress) (record.Evidence, error) {
	snap, err := x.snapshot(ctx, s, n)
	if err != nil {
		return record.Evidence{}, err
	}
	e := record.Evidence{Snapshot: snap.Root(), Number: n, Deliveries: len(snap.Manifest().Deliveries), Studies: []record.StudyMark{}}
	for _, rows := range snap.Rows() {
		e.Rows += rows
	}
	if e.Log, err = x.log(ctx, s); err != nil || !studies {
		return e, err
	}
	if x.h.Host.Readable(ctx) != nil {
		return e, nil // a suspended hub may leave, and nobody reads a row for it
	}
	report, err := snap.Quality(ctx, p)
	if err != nil {
		return e, err
	}
	mark := func(name string, result any) error {
		b, err := sign.Canonical(result)
		if err != nil {
			return err
		}
		h := hmac.New(sha256.New, key.Reveal())
		h.Write([]byte(name + "\x00"))
		h.Write(b)
		e.Studies = append(e.Studies, record.StudyMark{Name: name, Mark: hex.EncodeToString(h.Sum(nil))})
		return nil
	}
	if err := mark(qualityStudy, report); err != nil {
		return e, err
	}
	for _, r := range x.studies {
		name, outputs, err := x.run(ctx, r, snap, p)
		if err == nil {
			err = mark(name, outputs)
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
}

// snapshot opens a snapshot from one store alone; nothing can be committed there.
func (x examiner) snapshot(ctx context.Context, s blob.Store, n int64) (*warehouse.Snapshot, error) {
	wc, err := x.h.warehouseConfig()
	if err != nil {
		return nil, err
	}
	wc.Store, wc.Log, wc.Cache = s, readOnly{}, 64<<20
	w, err := warehouse.Open(ctx, wc)
	if err != nil {
		return nil, err
	}
	return w.At(ctx, n)
}

// readOnly is the log of a warehouse that nobody may write to.
type readOnly struct{}

func (readOnly) Record(context.Context, audit.Event) (audit.Position, error) {
	return audit.Position{}, havre.E("move.examine", havre.Internal, "a store that is only looked at was to be written to")
}

// log rebuilds the log from its mirror in the store and demands that the hub's
// own log begins with it.
func (x examiner) log(ctx context.Context, s blob.Store) (record.LogHead, error) {
	dir, err := os.MkdirTemp(x.h.home.dir, "examine-")
	if err != nil {
		return record.LogHead{}, havre.E("move.examine", havre.NoSpace, "there is no room to rebuild the log from its mirror").Wrap(err)
	}
	defer os.RemoveAll(dir)
	o := x.h.logOptions()
	if err := audit.Restore(ctx, s, x.h.key, filepath.Join(dir, "log"), o); err != nil {
		return record.LogHead{}, err
	}
	r, err := tlog.Open(filepath.Join(dir, "log"), tlog.Trust{Origin: o.Origin, Keys: []sign.PublicKey{o.Signer.Public()}})
	if err != nil {
		return record.LogHead{}, err
	}
	defer r.Close()
	c, err := r.Checkpoint()
	if err != nil {
		return record.LogHead{}, err
	}
	now, err := x.h.Log.Checkpoint()
	if err != nil {
		return record.LogHead{}, err
	}
	_, err = x.h.Log.Consistency(c, now)
	return record.LogHead{Size: c.Size, Root: c.RootHex()}, err
}

// run runs a reference study on the snapshot, under its permit.
func (x examiner) run(ctx context.Context, r ReferenceStudy, snap *warehouse.Snapshot, p havre.Progress) (string, []study.Output, error) {
	d, err := ReadStudy(r.Path)
	if err != nil {
		return "", nil, err
	}
	if err := x.h.covers(ctx, d, r.Permit); err != nil {
		return "", nil, err
	}
	view, err := x.h.Permits.Restrict(ctx, r.Permit, r.Account, snap)
	if err != nil {
		return "", nil, err
	}
	out, err := study.Run(ctx, study.Job{ID: strings.ToLower(rand.Text()), Definition: d, Rows: view, Vocabulary: snap,
		Build: analysis.Build, Runner: pool.Pool{}, Progress: p})
	return d.Name, out, err
}
