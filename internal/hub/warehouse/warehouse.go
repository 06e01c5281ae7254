// Package warehouse keeps the hub's rows: persons spread over buckets, each
// table of a bucket in sealed segments, and snapshots that say which segments
// are in force. Plaintext exists only in memory.
//
// A Batch adds segments and commits a snapshot in one atomic step; a Snapshot
// is read bucket by bucket (Read) or by SQL (OpenSQL). Only package permit may
// call Read and OpenSQL for a study: nothing here knows what a permit allows.
package warehouse

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strconv"
	"sync/atomic"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

// DefaultBuckets suits a small hub.
const DefaultBuckets = 64

// MaxBuckets bounds the number of buckets.
const MaxBuckets = 1 << 14

// Keys are the warehouse's keys.
type Keys struct {
	Open   []*seal.Key      // any of them may open a snapshot
	To     []seal.Recipient // each snapshot is sealed to all of them
	Bucket havre.Secret     // 32 bytes or more: spreads persons, and authenticates manifests

	// Dataset gives the key of what one delivery brought; make says that it may
	// be made now. It fails with seal.ErrDestroyed in the chain if the key was
	// destroyed. It is called at every read and for many at once. If it is nil,
	// Open and To serve for segments too.
	Dataset func(d havre.DeliveryID, make bool) (*seal.Key, error)
}

// Config is what a warehouse stands on.
type Config struct {
	Store blob.Store
	Keys  Keys
	Log   audit.Recorder
	Now   havre.Now
	Cache int64 // bytes of opened segments kept in memory: ciphertext, and pages read for few concepts, decoded; 0 = 256 MiB
}

// Warehouse is one dataset in one store. Safe for concurrent use.
type Warehouse struct {
	c       Config
	buckets int
	cache   *cache
	current atomic.Pointer[Snapshot] // opened last by Current
}

// Create makes an empty warehouse: snapshot 0. It fails with Exists if the
// store has one. Buckets is a power of two that can never change.
func Create(ctx context.Context, c Config, buckets int, actor havre.Personal[string]) (*Warehouse, error) {
	if buckets < 1 || buckets > MaxBuckets || bits.OnesCount(uint(buckets)) != 1 {
		return nil, havre.E("warehouse.create", havre.Usage, "the number of buckets must be a power of two from 1 to "+strconv.Itoa(MaxBuckets))
	}
	w, err := prepare(c)
	if err != nil {
		return nil, err
	}
	w.buckets = buckets
	if n, err := w.highest(ctx); err == nil {
		return nil, havre.E("warehouse.create", havre.Exists, "the store already holds a warehouse, with snapshot "+strconv.FormatInt(n, 10)).
			WithHint("choose an empty place; a warehouse is never overwritten")
	} else if havre.KindOf(err) != havre.NotFound {
		return nil, err
	}
	b := &Batch{w: w, actor: actor, next: Manifest{Format: Format, CDMVersion: omop.Version, Buckets: buckets}}
	if _, err := b.commit(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// Open finds the warehouse in the store. It fails with NotFound if there is
// none: Create is never implied.
func Open(ctx context.Context, c Config) (*Warehouse, error) {
	w, err := prepare(c)
	if err != nil {
		return nil, err
	}
	s, err := w.Current(ctx)
	if err != nil {
		return nil, err
	}
	w.buckets = s.manifest.Buckets
	return w, nil
}

func prepare(c Config) (*Warehouse, error) {
	if len(c.Keys.Bucket.Reveal()) < 32 || len(c.Keys.To) == 0 || len(c.Keys.Open) == 0 {
		return nil, havre.E("warehouse", havre.KeyUnavailable, "the dataset's keys are not complete: a key, a recipient and a bucket key of 32 bytes are needed")
	}
	if c.Cache <= 0 {
		c.Cache = 256 << 20
	}
	return &Warehouse{c: c, cache: newCache(c.Cache)}, nil
}

// highest is the number of the highest snapshot.
func (w *Warehouse) highest(ctx context.Context) (int64, error) {
	last := int64(-1)
	for info, err := range w.c.Store.List(ctx, snapshotPrefix) {
		if err != nil {
			return 0, err
		}
		if n, ok := numberOf(info.Name); ok {
			last = max(last, n)
		}
	}
	if last < 0 {
		return 0, havre.E("warehouse.open", havre.NotFound, "the store holds no warehouse").
			WithHint("havre init makes one; if there was one, this is the wrong store or objects were lost")
	}
	return last, nil
}

// Current opens the snapshot in force: the one with the highest number. A
// store that hides newer snapshots is not found out here; the log is, which
// holds number and root of each ("snapshot.committed"). A snapshot is written
// once, so that the same one is not fetched again.
func (w *Warehouse) Current(ctx context.Context) (*Snapshot, error) {
	n, err := w.highest(ctx)
	if err != nil {
		return nil, err
	}
	if s := w.current.Load(); s != nil && s.Number() == n {
		return s, nil
	}
	s, err := w.At(ctx, n)
	if err == nil {
		w.current.Store(s)
	}
	return s, err
}

// At fetches and opens the snapshot of that number.
func (w *Warehouse) At(ctx context.Context, number int64) (*Snapshot, error) {
	name := snapshotName(number)
	ciphertext, err := blob.GetAll(ctx, w.c.Store, name)
	if err != nil {
		return nil, err
	}
	m, root, err := openManifest(name, ciphertext, w.c.Keys)
	if err != nil {
		return nil, err
	}
	return newSnapshot(w, m, root), nil
}

// bucketOf is the bucket of a person: the top bits of a keyed hash, so that a
// bucket is a random sample that nobody without the key can predict.
func (w *Warehouse) bucketOf(p havre.PersonID) int {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(p))
	h := hmac.New(sha256.New, w.c.Keys.Bucket.Reveal())
	h.Write(id[:])
	top := binary.BigEndian.Uint64(h.Sum(nil))
	return int(top >> 1 >> (63 - bits.TrailingZeros(uint(w.buckets)))) // two shifts: by 64 in all for one bucket
}

var _ ingest.Batch = (*Batch)(nil)
