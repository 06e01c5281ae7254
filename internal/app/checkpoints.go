package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/runner"
)

// checkpoints keeps the finished buckets of runs in the hub's store, sealed to
// the permit's key: a partial result is an aggregate over few persons. A seal says
// who may read and not who wrote, so a MAC of the object's name and of what is
// sealed stands before it, under a key derived from the permit's.
type checkpoints struct {
	store blob.Store
	key   *seal.Key
	mac   []byte
}

func newCheckpoints(store blob.Store, key *seal.Key) checkpoints {
	return checkpoints{store, key, derived(key, "havre:kept:mac")}
}

// derived gives a key of its own for one use of a permit's key.
func derived(key *seal.Key, use string) []byte {
	h := hmac.New(sha256.New, key.Secret().Reveal())
	h.Write([]byte(use))
	return h.Sum(nil)
}

func (c checkpoints) sum(name string, plain []byte) []byte {
	h := hmac.New(sha256.New, c.mac)
	fmt.Fprintf(h, "%s\n", name)
	h.Write(plain)
	return h.Sum(nil)
}

var _ runner.Checkpoints = checkpoints{}

func (c checkpoints) name(run string, bucket int) string {
	return fmt.Sprintf("run/%s/%06d", run, bucket)
}

// Put replaces what an earlier try left under the name. A name that the store
// says is taken and does not give, as a server may that was killed while it wrote,
// stays without a checkpoint: if the run is cut, the bucket is computed again.
func (c checkpoints) Put(ctx context.Context, run string, bucket int, partial []byte) error {
	err := c.replace(ctx, c.name(run, bucket), partial)
	switch havre.KindOf(err) {
	case havre.Exists, havre.NotFound:
		return nil
	}
	return err
}

// Get gives what was put. What does not open, or was not put by this hub, is as
// good as nothing: the bucket is computed again.
func (c checkpoints) Get(ctx context.Context, run string, bucket int) ([]byte, bool, error) {
	plain, ok, err := c.open(ctx, c.name(run, bucket))
	switch havre.KindOf(err) {
	case havre.Tampered, havre.KeyUnavailable, havre.Invalid:
		return nil, false, nil
	}
	return plain, ok, err
}

// replace seals an object and puts it in the place of an earlier one.
func (c checkpoints) replace(ctx context.Context, name string, plain []byte) error {
	sealed, err := seal.Seal(append(c.sum(name, plain), plain...), c.key.Recipient())
	if err != nil {
		return err
	}
	return blob.Replace(ctx, c.store, name, sealed)
}

// open gives what was put, ok=false if nothing was.
func (c checkpoints) open(ctx context.Context, name string) ([]byte, bool, error) {
	sealed, err := blob.GetAll(ctx, c.store, name)
	if havre.KindOf(err) == havre.NotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	plain, err := seal.Open(sealed, c.key)
	if err != nil {
		return nil, false, err
	}
	if len(plain) < sha256.Size || !hmac.Equal(plain[:sha256.Size], c.sum(name, plain[sha256.Size:])) {
		return nil, false, havre.E("study.kept", havre.Tampered, "the object "+name+" was not written by this hub")
	}
	return plain[sha256.Size:], true, nil
}

// clear removes the checkpoints of a run whose outputs are safe elsewhere.
func (c checkpoints) clear(ctx context.Context, run string) error {
	for info, err := range c.store.List(ctx, "run/"+run+"/") {
		if err != nil {
			return err
		}
		if err := c.store.Delete(ctx, info.Name); err != nil {
			return err
		}
	}
	return nil
}
