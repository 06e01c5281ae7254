package move

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// Pace says how hard a move may press on both stores.
type Pace struct {
	Streams   int   // objects under way at once; 0 = 8
	Bandwidth int64 // bytes of objects a second read from either store, or written; 0 = no limit
}

// DefaultStreams keeps two cores and a store on the local network busy.
const DefaultStreams = 8

// pace is a Pace at work. Safe for concurrent use.
type pace struct {
	streams int
	limit   *rate.Limiter // nil: none
	live    *Live
	alone   chan struct{} // held by the one stream that goes on while the hub reads
}

func newPace(p Pace, live *Live) *pace {
	if p.Streams <= 0 {
		p.Streams = DefaultStreams
	}
	w := &pace{streams: p.Streams, live: live, alone: make(chan struct{}, 1)}
	if p.Bandwidth > 0 {
		w.limit = rate.NewLimiter(rate.Limit(p.Bandwidth), int(min(p.Bandwidth, 1<<30)))
	}
	return w
}

// take waits until n bytes more may be carried.
func (p *pace) take(ctx context.Context, n int64) error {
	if p.limit == nil {
		return ctx.Err()
	}
	for burst := int64(p.limit.Burst()); n > 0; n -= burst {
		if err := p.limit.WaitN(ctx, int(min(n, burst))); err != nil {
			return err
		}
	}
	return nil
}

// turn does one object. While the hub itself reads, one stream works at a time
// and rests half as long as it worked, so that reads keep more than half of what
// the machine and the stores can give.
func (p *pace) turn(ctx context.Context, do func() error) error {
	if p.live == nil || !p.live.busy() {
		return do()
	}
	select {
	case p.alone <- struct{}{}:
		defer func() { <-p.alone }()
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	err := do()
	if err == nil && p.live.busy() {
		select {
		case <-time.After(min(time.Since(began)/2, time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}
