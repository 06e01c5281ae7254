package audit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/storage/posix"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// Objects of the mirror. Each is sealed, so the host sees how large the log is
// and when it grows, and nothing of what it says.
//
//	log/tile/...              tiles and entry bundles, by their paths in the log
//	log/checkpoint/SIZE       the kept checkpoints after the object before, up to SIZE entries
const (
	mirrorPrefix     = "log/"
	mirrorCheckpoint = mirrorPrefix + "checkpoint/"
)

func mirrorName(size int64) string { return fmt.Sprintf("%s%020d", mirrorCheckpoint, size) }

// Mirror copies into the store what the log has gained since the last call, so
// that the log survives its disk and moves with the data. It gives the number
// of entries that the mirror now covers. Everything is written once; calling
// again, also after a crash half way, completes the copy. It fails with
// Tampered if the store holds a longer log than this one: then this folder was
// rolled back.
func (l *Log) Mirror(ctx context.Context, store blob.Store, to seal.Recipient) (int64, error) {
	c, err := l.Checkpoint()
	if err != nil {
		return 0, err
	}
	sizes, err := mirrored(ctx, store)
	if err != nil {
		return 0, err
	}
	had := int64(-1) // the mirror of an empty log has one checkpoint, of size 0
	if len(sizes) > 0 {
		had = sizes[len(sizes)-1]
	}
	switch {
	case had > c.Size:
		return 0, havre.E("audit.mirror", havre.Tampered, fmt.Sprintf("the mirror of the log covers %d entries and the log itself only %d: this folder was rolled back", had, c.Size)).
			WithHint("keep the folder as evidence and restore the log from its mirror")
	case had == c.Size:
		return had, nil
	}
	kept, err := l.Kept()
	if err != nil {
		return 0, err
	}
	var history []byte
	for _, k := range kept {
		if k.Size > had && k.Size <= c.Size {
			history = append(history, tlog.HistoryLine(k.Raw)...)
		}
	}
	if len(kept) == 0 || kept[len(kept)-1].Size < c.Size {
		history = append(history, tlog.HistoryLine(c.Raw)...)
	}
	for f, err := range l.Files(ctx, max(had, 0), c.Size) {
		if err != nil {
			return 0, err
		}
		if err := putSealed(ctx, store, mirrorPrefix+f.Path, f.Data, to); err != nil {
			return 0, err
		}
	}
	// Last, so that a checkpoint in the store has all its tiles.
	return c.Size, putSealed(ctx, store, mirrorName(c.Size), history, to)
}

// putSealed writes an object unless it is there: sealing the same bytes twice
// gives different objects, so equal bytes cannot be asked for. Restore checks
// what is read against the signed checkpoints.
func putSealed(ctx context.Context, store blob.Store, name string, data []byte, to seal.Recipient) error {
	sealed, err := seal.Seal(data, to)
	if err != nil {
		return err
	}
	if err := store.Put(ctx, name, sealed); havre.KindOf(err) != havre.Exists {
		return err
	}
	return nil
}

// mirrored lists the sizes of the mirror's checkpoints, rising.
func mirrored(ctx context.Context, store blob.Store) (sizes []int64, err error) {
	for info, err := range store.List(ctx, mirrorCheckpoint) {
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(info.Name, mirrorCheckpoint), 10, 64)
		if err != nil || n < 0 || mirrorName(n) != info.Name {
			return nil, havre.E("audit.mirror", havre.Tampered, "the store holds "+info.Name+", which is no checkpoint of a log").Wrap(err)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// Restore brings the log back from its mirror into the new folder dir, checks
// it whole against the signer's key, and leaves it ready for Open. It fails
// with Exists if dir is there, NotFound if the store has no mirror, and
// Tampered if the mirror is not what was signed. A crash leaves dir whole or absent.
func Restore(ctx context.Context, store blob.Store, key *seal.Key, dir string, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); err == nil {
		return havre.E("audit.restore", havre.Exists, "there is a log at "+dir+" already; it is never overwritten").
			WithHint("move it away, and keep it as evidence")
	}
	history, newest, err := mirroredHistory(ctx, store, key, o.trust())
	if err != nil {
		return err
	}
	half := dir + ".restore"
	if err := os.RemoveAll(half); err != nil {
		return diskError("audit.restore", half+" cannot be removed", err)
	}
	if err := writeFile(filepath.Join(half, tlog.HistoryName), history); err != nil {
		return err
	}
	bundle := func(ctx context.Context, n uint64, p uint8) ([]byte, error) {
		raw, err := openObject(ctx, store, mirrorPrefix+layout.EntriesPath(n, p), key)
		if err != nil {
			return nil, err
		}
		want := int(p)
		if p == 0 {
			want = tlog.Width
		}
		return raw, tlog.CheckBundle(raw, want) // tessera takes the number on trust
	}
	if err := rebuild(ctx, half, newest, bundle); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(half, tlog.CheckpointName), newest.Raw); err != nil {
		return err
	}
	r, err := tlog.Open(half, o.trust())
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.Verify(ctx, havre.NoProgress); err != nil {
		return err
	}
	return putInPlace(half, dir)
}

// rebuild has tessera build a log of its own from the entry bundles.
func rebuild(ctx context.Context, dir string, c tlog.Checkpoint, bundle func(context.Context, uint64, uint8) ([]byte, error)) error {
	quiet()
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return diskError("audit.restore", "the log cannot be rebuilt", err)
	}
	target, err := tessera.NewMigrationTarget(ctx, driver, tessera.NewMigrationOptions())
	if err != nil {
		return diskError("audit.restore", "the log cannot be rebuilt", err)
	}
	if c.Size == 0 {
		return nil
	}
	// tessera tries each bundle ten times and drops the cause: what fails here
	// for good ends the work at once and is told.
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	err = target.Migrate(ctx, 2, uint64(c.Size), c.Root[:], func(ctx context.Context, n uint64, p uint8) ([]byte, error) {
		b, err := bundle(ctx, n, p)
		if err != nil {
			giveUp(err)
		}
		return b, err
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return havre.E("audit.restore", havre.Tampered, "the entries in the mirror do not give the root that the log's checkpoint signs").Wrap(err)
	}
	return nil
}

// mirroredHistory reads all kept checkpoints from the mirror.
func mirroredHistory(ctx context.Context, store blob.Store, key *seal.Key, t tlog.Trust) (history []byte, newest tlog.Checkpoint, err error) {
	sizes, err := mirrored(ctx, store)
	if err != nil {
		return nil, newest, err
	}
	if len(sizes) == 0 {
		return nil, newest, havre.E("audit.restore", havre.NotFound, "the store holds no mirror of the log")
	}
	for _, n := range sizes {
		b, err := openObject(ctx, store, mirrorName(n), key)
		if err != nil {
			return nil, newest, err
		}
		history = append(history, b...)
	}
	kept, whole, err := tlog.ParseHistory(history, t)
	if err != nil {
		return nil, newest, err
	}
	if whole < len(history) || len(kept) == 0 || kept[len(kept)-1].Size != sizes[len(sizes)-1] {
		return nil, newest, havre.E("audit.restore", havre.Tampered, "the checkpoints in the mirror are not those that their names tell")
	}
	return history, kept[len(kept)-1], nil
}

func openObject(ctx context.Context, store blob.Store, name string, key *seal.Key) ([]byte, error) {
	sealed, err := blob.GetAll(ctx, store, name)
	if err != nil {
		return nil, err
	}
	b, err := seal.Open(sealed, key)
	if err != nil {
		return nil, havre.E("audit.restore", havre.KindOf(err), "the object "+name+" of the log's mirror cannot be opened").Wrap(err)
	}
	return b, nil
}
