// Package audittest has a log for tests. No program imports it.
package audittest

import (
	"context"
	"slices"
	"sync"

	"github.com/havre-hub/havre/internal/ground/audit"
)

// Diary is a log that only remembers; Fail, if set, refuses an event. Safe for
// concurrent use.
type Diary struct {
	Fail func(audit.Event) error

	mu     sync.Mutex
	events []audit.Event
}

// Record is audit.Recorder's.
func (d *Diary) Record(_ context.Context, e audit.Event) (audit.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Fail != nil {
		if err := d.Fail(e); err != nil {
			return audit.Position{}, err
		}
	}
	d.events = append(d.events, e)
	return audit.Position{Index: int64(len(d.events) - 1)}, nil
}

// Events gives what was recorded so far.
func (d *Diary) Events() []audit.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// Count is how often an action was recorded.
func (d *Diary) Count(action string) (n int) {
	for _, e := range d.Events() {
		if e.Action == action {
			n++
		}
	}
	return n
}
