// Package runnertest is the suite that every runner of studies passes.
package runnertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/runner"
)

// log is what a task saw of a run.
type log struct {
	mu      sync.Mutex
	done    map[int]string
	mapped  atomic.Int64
	running atomic.Int64
}

func (l *log) task(buckets int) runner.Task {
	l.done = map[int]string{}
	t := runner.Task{ID: "suite", Map: l.mapBucket, Done: func(bucket int, partial []byte) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.done[bucket] = string(partial)
		return nil
	}}
	for b := range buckets {
		t.Buckets = append(t.Buckets, 3*b+1) // what is left after a resume has gaps
	}
	return t
}

func (l *log) mapBucket(_ context.Context, bucket int) ([]byte, error) {
	l.running.Add(1)
	defer l.running.Add(-1)
	l.mapped.Add(1)
	return fmt.Appendf(nil, "partial of %d", bucket), nil
}

func (l *log) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.done)
}

// Run tries the contract of runner.Runner.
func Run(t *testing.T, newRunner func() runner.Runner) {
	for name, test := range map[string]func(*testing.T, runner.Runner){
		"every bucket is done":          everyBucket,
		"no bucket is no work":          noBucket,
		"an error of map ends it":       mapFails,
		"an error of done ends it":      doneFails,
		"cancelling keeps what is done": cancelled,
		"cancelled before it starts":    cancelledBefore,
		"a runner runs again":           again,
	} {
		t.Run(name, func(t *testing.T) { test(t, newRunner()) })
	}
}

func everyBucket(t *testing.T, r runner.Runner) {
	var l log
	task := l.task(100)
	if err := r.Run(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	for _, b := range task.Buckets {
		if want := fmt.Sprintf("partial of %d", b); l.done[b] != want {
			t.Errorf("bucket %d gave %q, want %q", b, l.done[b], want)
		}
	}
	if l.count() != 100 || l.running.Load() != 0 {
		t.Errorf("%d buckets are done, %d still run", l.count(), l.running.Load())
	}
}

func noBucket(t *testing.T, r runner.Runner) {
	var l log
	if err := r.Run(t.Context(), l.task(0)); err != nil || l.mapped.Load() != 0 {
		t.Errorf("%d mapped, error %v", l.mapped.Load(), err)
	}
}

func mapFails(t *testing.T, r runner.Runner) {
	var l log
	task := l.task(1000)
	task.Map = func(ctx context.Context, bucket int) ([]byte, error) {
		if bucket == task.Buckets[5] {
			return nil, havre.E("suite", havre.PermitDenied, "the permit is suspended")
		}
		time.Sleep(time.Millisecond)
		return l.mapBucket(ctx, bucket)
	}
	err := r.Run(t.Context(), task)
	if havre.KindOf(err) != havre.PermitDenied {
		t.Errorf("the error is %v", err)
	}
	stopped(t, &l, 1000)
}

func doneFails(t *testing.T, r runner.Runner) {
	var l log
	task := l.task(1000)
	take, full := task.Done, errors.New("no room")
	task.Done = func(bucket int, partial []byte) error {
		if bucket == task.Buckets[5] {
			return full
		}
		time.Sleep(time.Millisecond)
		return take(bucket, partial)
	}
	if err := r.Run(t.Context(), task); !errors.Is(err, full) {
		t.Errorf("the error is %v", err)
	}
	stopped(t, &l, 1000)
}

func cancelled(t *testing.T, r runner.Runner) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var l log
	task := l.task(1000)
	take := task.Done
	task.Done = func(bucket int, partial []byte) error {
		err := take(bucket, partial)
		if l.count() == 10 {
			cancel()
		}
		return err
	}
	task.Map = func(ctx context.Context, bucket int) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		time.Sleep(time.Millisecond)
		return l.mapBucket(ctx, bucket)
	}
	if err := r.Run(ctx, task); havre.KindOf(err) != havre.Cancelled {
		t.Errorf("the error is %v", err)
	}
	if l.count() < 10 {
		t.Errorf("%d buckets are done, 10 were", l.count())
	}
	stopped(t, &l, 1000)
}

func cancelledBefore(t *testing.T, r runner.Runner) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var l log
	if err := r.Run(ctx, l.task(10)); havre.KindOf(err) != havre.Cancelled || l.mapped.Load() != 0 {
		t.Errorf("%d mapped, error %v", l.mapped.Load(), err)
	}
}

func again(t *testing.T, r runner.Runner) {
	for range 2 {
		everyBucket(t, r)
	}
}

// stopped checks that the run ended early and nothing of it goes on.
func stopped(t *testing.T, l *log, buckets int) {
	t.Helper()
	before := l.mapped.Load()
	if l.running.Load() != 0 || before > int64(buckets)/2 {
		t.Errorf("%d of %d buckets were mapped, %d still run", before, buckets, l.running.Load())
	}
	time.Sleep(10 * time.Millisecond)
	if after := l.mapped.Load(); after != before {
		t.Errorf("%d buckets were mapped after the run", after-before)
	}
}
