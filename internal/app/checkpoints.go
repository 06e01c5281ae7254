package app

import (
	"context"
	"fmt"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/runner"
)

// checkpoints keeps the finished buckets of runs in the hub's store, sealed to
// the permit's key: a partial result is an aggregate over few persons.
type checkpoints struct {
	store blob.Store
	key   *seal.Key
}

var _ runner.Checkpoints = checkpoints{}

func (c checkpoints) name(run string, bucket int) string {
	return fmt.Sprintf("run/%s/%06d", run, bucket)
}

// Put replaces what an earlier try left under the name.
func (c checkpoints) Put(ctx context.Context, run string, bucket int, partial []byte) error {
	return c.replace(ctx, c.name(run, bucket), partial)
}

func (c checkpoints) Get(ctx context.Context, run string, bucket int) ([]byte, bool, error) {
	return c.open(ctx, c.name(run, bucket))
}

// replace seals an object and puts it in the place of an earlier one.
func (c checkpoints) replace(ctx context.Context, name string, plain []byte) error {
	sealed, err := seal.Seal(plain, c.key.Recipient())
	if err != nil {
		return err
	}
	err = c.store.Put(ctx, name, sealed)
	if havre.KindOf(err) != havre.Exists {
		return err
	}
	if err := c.store.Delete(ctx, name); err != nil {
		return err
	}
	return c.store.Put(ctx, name, sealed)
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
	return plain, err == nil, err
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
