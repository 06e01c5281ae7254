package cohort

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Buckets is a Reader that knows how many buckets it has.
type Buckets interface {
	Reader
	Buckets() int
}

// EvaluateAll answers every definition over all buckets, as many at once as
// there are processors. done gets each result as it comes, in no order and from
// several goroutines at once; its error ends the run. attrition is as in
// EvaluateAttrition.
func (p *Plan) EvaluateAll(ctx context.Context, r Buckets, attrition bool, done func(bucket int, res *Result) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for b := range r.Buckets() {
		g.Go(func() error {
			res, err := p.evaluate(ctx, r, b, attrition)
			if err != nil {
				return err
			}
			return done(b, res)
		})
	}
	return g.Wait()
}
