// Package fault wraps a blob.Store with faults at stated operations, so that
// the tests of other packages can try each step of theirs as failed, as done
// with its answer lost, and as the last before the power went. It is
// deterministic: faults go by counting operations, never by chance or time.
//
//	counted := fault.Wrap(store)
//	job(counted)                                  // how many writes are there?
//	for n := range counted.Count(fault.Put) {
//		s := fault.Wrap(store, fault.Fault{Op: fault.Put, Nth: n + 1, Do: fault.FailAfter, Onward: true})
//		...
//	}
package fault

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// Op is an operation of a store.
type Op string

// The operations; Any is each of them, counted together.
const (
	Any    Op = ""
	Put    Op = "put"
	Get    Op = "get"
	Stat   Op = "stat"
	List   Op = "list"
	Delete Op = "delete"
)

// Effect is what goes wrong.
type Effect string

// The effects. FailBefore and FailAfter give kind StoreUnavailable, Full gives
// NoSpace. Corrupt and Short change what Get returns, without an error, as a
// store may that lies; other operations pass.
const (
	FailBefore Effect = "fail before" // nothing was done
	FailAfter  Effect = "fail after"  // it was done, and the answer is lost
	Full       Effect = "full"        // nothing was done
	Corrupt    Effect = "corrupt"     // one bit, in the middle, is another
	Short      Effect = "short"       // the last byte is missing
)

// Fault says at which operation what goes wrong.
type Fault struct {
	Op     Op
	Prefix string // only operations on names (List: prefixes) that start so are counted
	Nth    int    // 1 is the first operation counted; 0 is every one
	Onward bool   // and at all later ones too, as after a crash or with a lost network
	Do     Effect
}

// Store is a store with faults. Safe for concurrent use, if what it wraps is;
// which of several concurrent operations meets a fault is up to their order.
type Store struct {
	inner blob.Store

	mu     sync.Mutex
	counts map[Op]int // all operations
	faults []counted
}

type counted struct {
	Fault
	seen int
}

var _ blob.Store = (*Store)(nil)

// Wrap puts faults over a store. If several hit one operation, the first counts.
func Wrap(s blob.Store, faults ...Fault) *Store {
	w := &Store{inner: s, counts: make(map[Op]int)}
	for _, f := range faults {
		w.faults = append(w.faults, counted{Fault: f})
	}
	return w
}

// Count is how many operations there have been, also those that failed.
func (s *Store) Count(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[op]
}

// effect counts an operation and gives what goes wrong with it, or "".
func (s *Store) effect(op Op, name string) Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[op]++
	s.counts[Any]++
	var hit Effect
	for i := range s.faults {
		f := &s.faults[i]
		if f.Op != Any && f.Op != op || !strings.HasPrefix(name, f.Prefix) {
			continue
		}
		f.seen++
		if hit == "" && (f.Nth == 0 || f.seen == f.Nth || f.Onward && f.seen > f.Nth) {
			hit = f.Do
		}
	}
	return hit
}

// do runs one operation that has no data to spoil.
func (s *Store) do(op Op, name string, run func() error) error {
	effect := s.effect(op, name)
	if err := before(op, name, effect); err != nil {
		return err
	}
	err := run()
	if effect == FailAfter {
		return lost(op, name)
	}
	return err
}

func before(op Op, name string, e Effect) error {
	switch e {
	case FailBefore:
		return havre.E("blob."+string(op), havre.StoreUnavailable, fmt.Sprintf("fault: %s of %q did not reach the store", op, name))
	case Full:
		return havre.E("blob."+string(op), havre.NoSpace, fmt.Sprintf("fault: no room for %s of %q", op, name))
	}
	return nil
}

func lost(op Op, name string) error {
	return havre.E("blob."+string(op), havre.StoreUnavailable, fmt.Sprintf("fault: the answer to %s of %q is lost", op, name))
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	return s.do(Put, name, func() error { return s.inner.Put(ctx, name, data) })
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	effect := s.effect(Get, name)
	if err := before(Get, name, effect); err != nil {
		return nil, err
	}
	data, err := s.inner.Get(ctx, name, off, n)
	switch {
	case effect == FailAfter:
		return nil, lost(Get, name)
	case effect == Corrupt && len(data) > 0:
		data[len(data)/2] ^= 1
	case effect == Short && len(data) > 0:
		data = data[:len(data)-1]
	}
	return data, err
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, name string) (info blob.Info, err error) {
	err = s.do(Stat, name, func() error {
		var err error
		info, err = s.inner.Stat(ctx, name)
		return err
	})
	if err != nil {
		return blob.Info{}, err
	}
	return info, nil
}

// List implements blob.Store. FailAfter gives everything and then fails, as
// when a later page cannot be had.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		effect := s.effect(List, prefix)
		if err := before(List, prefix, effect); err != nil {
			yield(blob.Info{}, err)
			return
		}
		for info, err := range s.inner.List(ctx, prefix) {
			if !yield(info, err) || err != nil {
				return
			}
		}
		if effect == FailAfter {
			yield(blob.Info{}, lost(List, prefix))
		}
	}
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	return s.do(Delete, name, func() error { return s.inner.Delete(ctx, name) })
}
