// Package move takes a hub to another store while it works, and rehearses that.
// It sees ciphertext, names, sizes and the log, never rows and never a key.
//
//	plan      look at both stores, count, price, and ask the clock
//	run       copy, read everything back, catch up, freeze for the last changes, switch
//	verify    read everything back once more, and compare what both stores give
//	finish    re-wrap the keys, destroy the old wraps, delete the old copy, probe
//	          that it is gone, sign the report; there is no way back from here
//	back      until then: return to the old store and remove the new copy
//
// A drill does the same without the switch and then removes the second copy.
//
// Every step is a state in the control database (journal.go): the intent goes to
// the log, the act is done so that it can be repeated, the result goes to the
// journal and the log. A process that dies anywhere leaves a hub that works, at
// the old store or at the new one; the same command goes on. Which of the two it
// is stands in the hub's configuration alone, whose change is one rename.
package move

import (
	"context"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Home is the hub's configuration as far as a move changes it.
type Home interface {
	// Store is the store's URL as configured now, read from the disk.
	Store() (string, error)
	// SetStore changes it, atomically and durably.
	SetStore(url string) error
	// Open opens a store by a URL as it may stand in the configuration. create
	// makes the folder of a file: store.
	Open(ctx context.Context, url string, create bool) (blob.Store, error)
	// Absolute gives the URL with a file: path that is absolute.
	Absolute(url string) string
}

// Keys changes who opens the hub's key ring.
type Keys interface {
	// Custodians gives the ids of those who can open the ring now.
	Custodians(ctx context.Context) ([]string, error)
	// Rotate wraps the ring's key for the new custodians, proves that they open
	// it, and destroys the old wraps. It is repeated without harm.
	Rotate(ctx context.Context) error
}

// Examiner looks into a store with the hub's keys.
type Examiner interface {
	// Current is the number of the snapshot in force.
	Current(ctx context.Context) (int64, error)
	// Examine opens snapshot number n, the mirror of the log and, with studies,
	// runs the reference studies, all on that store. key makes the study marks.
	Examine(ctx context.Context, s blob.Store, n int64, studies bool, key havre.Secret, p havre.Progress) (record.Evidence, error)
}

// Config is what a Mover works with. All but Keys and Progress are needed.
type Config struct {
	Hub      string
	Origin   string // of the hub's log: says whose claim on a store it is
	Live     *Live
	DB       *meta.DB
	Log      audit.Recorder
	Signer   *sign.Signer
	Home     Home
	Examiner Examiner
	// Mirror copies what is new in the log into the live store.
	Mirror func(ctx context.Context) error
	// ContentHash gives the SHA-256, hex, that an object's name promises, or "".
	ContentHash func(name string) string
	Keys        Keys // nil: the custodians stay
	Now         havre.Now
	Progress    havre.Progress
}

// Mover moves one hub. Its methods are for one caller at a time; the hub may
// work meanwhile.
type Mover struct {
	c    Config
	busy atomic.Bool
}

// Attach makes the mover of a hub that was just opened and nothing has written
// to yet. If a move is open it settles at which store the hub stands after a
// crash, and puts writes on record from here on.
func Attach(ctx context.Context, c Config) (*Mover, error) {
	if c.Progress == nil {
		c.Progress = havre.NoProgress
	}
	m := &Mover{c: c}
	e, err := m.load(ctx)
	if err != nil || e == nil {
		return m, err
	}
	if err := m.settleSwitch(ctx, e); err != nil {
		return nil, err
	}
	return m, m.follow(ctx, e)
}

// With gives the mover with another progress and other keys, for one command.
func (m *Mover) With(p havre.Progress, keys Keys, x Examiner) *Mover {
	c := m.c
	if p != nil {
		c.Progress = p
	}
	if keys != nil {
		c.Keys = keys
	}
	if x != nil {
		c.Examiner = x
	}
	return &Mover{c: c}
}

// settleSwitch ends what a crash left between the change of the configuration
// and the journal.
func (m *Mover) settleSwitch(ctx context.Context, e *entry) error {
	if e.State != Switching && e.State != Returning {
		return nil
	}
	at, err := m.c.Home.Store()
	if err != nil {
		return err
	}
	switch {
	case e.State == Switching && at == e.To:
		e.State, e.Times.Switched = Switched, m.now()
	case e.State == Switching:
		e.State = Copying
	case at == e.From:
		e.Home = true
	}
	return m.save(ctx, e)
}

// follow puts writes on record as the open move's state asks for.
func (m *Mover) follow(ctx context.Context, e *entry) error {
	switch {
	case e == nil, e.State == Planned, e.State == Finishing, e.State == Returning && e.Home, !e.State.open():
		return m.c.Live.record(ctx, nil)
	}
	return m.c.Live.record(ctx, m.noteChange)
}

func (m *Mover) now() time.Time { return m.c.Now().UTC().Truncate(time.Second) }

// exclusive keeps two calls from working on one move at once.
func (m *Mover) exclusive() (release func(), err error) {
	if !m.busy.CompareAndSwap(false, true) {
		return nil, havre.E(op, havre.Locked, "a step of a move is under way in this hub already").
			WithHint("wait for it, or stop it; havre move status shows how far it is")
	}
	return func() { m.busy.Store(false) }, nil
}

const op = "move"

// step puts a step on the log, once: the intent before the act, or its result.
func (m *Mover) step(ctx context.Context, e *entry, name string) error {
	if _, done := e.Steps[name]; done {
		return nil
	}
	return m.log(ctx, e, name)
}

func (m *Mover) log(ctx context.Context, e *entry, name string) error {
	facts := record.MoveStepFacts(e.report(m.c.Hub), name)
	pos, err := m.c.Log.Record(ctx, audit.Event{Action: e.Kind + "." + name, Actor: havre.NewPersonal(e.Actor), Subject: e.id(), Facts: facts})
	if err != nil {
		return err
	}
	e.Steps[name] = pos.Index
	return m.save(ctx, e)
}

// timed adds the time that do takes to the named share of the report.
func (e *entry) timed(name string, do func() error) error {
	began := time.Now()
	defer func() { e.Milliseconds[name] += time.Since(began).Milliseconds() }()
	return do()
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
