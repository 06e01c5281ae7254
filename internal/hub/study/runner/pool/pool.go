// Package pool runs a study in this process, on several buckets at a time.
package pool

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/hub/study/runner"
)

// Pool is a runner.Runner. Workers is how many buckets are open at once, and
// with it bounds the memory; 0 means one for each processor.
type Pool struct {
	Workers int
}

// Run is as in runner.Runner.
func (p Pool) Run(ctx context.Context, t runner.Task) error {
	workers := p.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, bucket := range t.Buckets {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := inner.Err(); err != nil {
				return err
			}
			partial, err := t.Map(inner, bucket)
			if err != nil {
				return err
			}
			return t.Done(bucket, partial)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
