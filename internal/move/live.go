package move

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// Live is the store that a hub works with, wherever that is at the moment. All
// rooms of a hub hold the same Live, so that one switch moves them all. While a
// move is open it puts every write on record before the write is made; while
// the store is frozen writes wait, and reads go on. Safe for concurrent use.
type Live struct {
	store atomic.Pointer[blob.Store]
	gate  *semaphore.Weighted // a write holds 1, a freeze holds all

	reading  atomic.Int64 // reads under way
	lastRead atomic.Int64 // when the last one ended, Unix nanoseconds
	drag     atomic.Int64 // nanoseconds that each write waits before it begins

	mu       sync.Mutex // guards all below
	note     func(ctx context.Context, name string) error
	inFlight map[string]int // writes under way, by name
}

var _ blob.Store = (*Live)(nil)

const allWriters = 1 << 30

// NewLive makes s the store that is worked with.
func NewLive(s blob.Store) *Live {
	l := &Live{gate: semaphore.NewWeighted(allWriters), inFlight: map[string]int{}}
	l.store.Store(&s)
	return l
}

// Current is the store behind it now. Whoever writes to that one directly
// escapes the record and the freeze.
func (l *Live) Current() blob.Store { return *l.store.Load() }

// swap puts another store in its place. Reads under way end at the old one.
func (l *Live) swap(s blob.Store) { l.store.Store(&s) }

// record sets what is called before each write; nil ends it. It waits for the
// writes under way, so that none is missed by whoever lists the store next.
func (l *Live) record(ctx context.Context, note func(ctx context.Context, name string) error) error {
	thaw, err := l.freeze(ctx)
	if err != nil {
		return err
	}
	defer thaw()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note = note
	return nil
}

// freeze waits for the writes under way and keeps all others waiting until
// thaw is called; it gives up when ctx ends.
func (l *Live) freeze(ctx context.Context) (thaw func(), err error) {
	if err := l.gate.Acquire(ctx, allWriters); err != nil {
		return nil, havre.E("move.freeze", havre.Locked, "a write to the store did not end in time").
			WithHint("the move tries again; nothing was changed").Wrap(err)
	}
	return sync.OnceFunc(func() { l.gate.Release(allWriters) }), nil
}

// slow makes each write wait before it begins, for a move that writers outrun;
// zero ends that.
func (l *Live) slow(d time.Duration) { l.drag.Store(int64(d)) }

// busy says whether the hub itself reads now, or did a moment ago.
func (l *Live) busy() bool {
	const moment = 50 * time.Millisecond
	return l.reading.Load() > 0 || time.Since(time.Unix(0, l.lastRead.Load())) < moment
}

// writing says whether a write of that name is under way.
func (l *Live) writing(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inFlight[name] > 0
}

func (l *Live) write(ctx context.Context, op, name string, act func(blob.Store) error) error {
	if err := blob.CheckName(op, name); err != nil {
		return err
	}
	if d := time.Duration(l.drag.Load()); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := l.gate.Acquire(ctx, 1); err != nil {
		return err
	}
	defer l.gate.Release(1)
	l.mu.Lock()
	note := l.note
	l.inFlight[name]++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.inFlight[name]--; l.inFlight[name] == 0 {
			delete(l.inFlight, name)
		}
	}()
	if note != nil {
		if err := note(ctx, name); err != nil {
			return err
		}
	}
	return act(l.Current())
}

// Put implements blob.Store.
func (l *Live) Put(ctx context.Context, name string, data []byte) error {
	return l.write(ctx, "blob.put", name, func(s blob.Store) error { return s.Put(ctx, name, data) })
}

// Delete implements blob.Store.
func (l *Live) Delete(ctx context.Context, name string) error {
	return l.write(ctx, "blob.delete", name, func(s blob.Store) error { return s.Delete(ctx, name) })
}

func (l *Live) read() (done func()) {
	l.reading.Add(1)
	return func() {
		l.lastRead.Store(time.Now().UnixNano())
		l.reading.Add(-1)
	}
}

// Get implements blob.Store.
func (l *Live) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	defer l.read()()
	return l.Current().Get(ctx, name, off, n)
}

// Stat implements blob.Store.
func (l *Live) Stat(ctx context.Context, name string) (blob.Info, error) {
	defer l.read()()
	return l.Current().Stat(ctx, name)
}

// List implements blob.Store.
func (l *Live) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return l.Current().List(ctx, prefix)
}
