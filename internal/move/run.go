package move

import (
	"context"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

const (
	// freezeLimit is how long writes may wait at most in one try to switch;
	// changing the configuration and the journal comes on top. The goal is 10 s.
	freezeLimit = 7 * time.Second
	// calm is how few changes may be left before the store is frozen for them.
	calm = 32
	// rounds of catching up before a switch is tried all the same.
	rounds = 10
	// switchTries is how often a freeze that was too short is tried again.
	switchTries = 5
)

// Run copies the hub to the new store, reads everything back, catches up with
// what the hub wrote meanwhile, freezes writes for the last changes and switches
// the hub over. The old store stays as it is. After a failure or a crash the
// hub works where it worked, and Run goes on.
func (m *Mover) Run(ctx context.Context, p Pace) (Status, error) {
	release, err := m.exclusive()
	if err != nil {
		return Status{}, err
	}
	defer release()
	e, err := m.need(ctx, record.KindMove, "havre move verify comes next; after that havre move finish", Planned, Copying, Switching, Switched)
	if err != nil {
		return Status{}, err
	}
	if err := m.settleSwitch(ctx, e); err != nil {
		return Status{}, err
	}
	if e.State != Switched {
		t, err := m.copyAll(ctx, e, p)
		if err != nil {
			return Status{}, err
		}
		if err := m.switchOver(ctx, e, t); err != nil {
			return Status{}, err
		}
	}
	if err := m.switched(ctx, e); err != nil {
		return Status{}, err
	}
	return m.status(ctx, e)
}

// open gives the two ends of a move that stands at the old store.
func (m *Mover) ends(ctx context.Context, e *entry, p Pace) (*transfer, error) {
	to, err := m.c.Home.Open(ctx, e.To, true)
	if err != nil {
		return nil, err
	}
	return &transfer{m: m, from: m.c.Live.Current(), to: to, pace: newPace(p, m.c.Live)}, nil
}

// copyAll brings the new store to the state of the old one, up to a few
// changes, and shows by reading that it has it.
func (m *Mover) copyAll(ctx context.Context, e *entry, p Pace) (*transfer, error) {
	t, err := m.ends(ctx, e, p)
	if err != nil {
		return nil, err
	}
	if err := m.begin(ctx, e, t); err != nil {
		return nil, err
	}
	e.Runs++
	if err := m.save(ctx, e); err != nil {
		return nil, err
	}
	// What a failure leaves of times and bytes is kept too.
	keep := func(err error) error {
		t.account(e)
		if serr := m.save(context.WithoutCancel(ctx), e); err == nil {
			err = serr
		}
		return err
	}
	if !e.Listed {
		if err := t.list(ctx); err != nil {
			return nil, err
		}
		e.Listed = true
		if err := m.save(ctx, e); err != nil {
			return nil, err
		}
	}
	if err := keep(e.timed("copy", func() error { return t.each(ctx, "copy", "sha256 IS NULL", t.copyOne) })); err != nil {
		return nil, err
	}
	if err := keep(e.timed("read_back", func() error {
		return t.each(ctx, "read back from the new store", "sha256 IS NOT NULL AND back IS NULL", t.confirm)
	})); err != nil {
		return nil, err
	}
	if err := m.c.Mirror(ctx); err != nil {
		return nil, err
	}
	return t, keep(e.timed("copy", func() error { return m.converge(ctx, t) }))
}

// begin claims the new store and puts writes on record.
func (m *Mover) begin(ctx context.Context, e *entry, t *transfer) error {
	if err := m.lay(ctx, e, t.to); err != nil {
		return err
	}
	if e.State != Planned {
		return nil
	}
	if err := m.vacant(ctx, t.to, e.ToPlace.Where, true); err != nil {
		if derr := t.to.Delete(context.WithoutCancel(ctx), claimName); derr != nil {
			return derr
		}
		return err
	}
	if err := sweep(ctx, t.to); err != nil {
		return err
	}
	if err := m.step(ctx, e, record.StepStarted); err != nil {
		return err
	}
	e.State, e.Times.Began = Copying, m.now()
	if err := m.save(ctx, e); err != nil {
		return err
	}
	return m.follow(ctx, e)
}

// converge carries changes until few are left. Where the hub writes them faster
// than that, its writes are slowed until it is done.
func (m *Mover) converge(ctx context.Context, t *transfer) error {
	defer m.c.Live.slow(0)
	for range rounds {
		began := time.Now()
		carried, left, err := t.catchUp(ctx, "catch up with the hub")
		if err != nil || left <= calm {
			return err
		}
		if left > carried/2 {
			m.c.Live.slow(pause(carried, time.Since(began)))
		}
	}
	return nil
}

// pause is how long each write waits so that eight writers together write half
// as fast as changes were carried.
func pause(carried int, took time.Duration) time.Duration {
	const writers, least, most = 8, 10 * time.Millisecond, time.Second
	return min(max(2*writers*took/time.Duration(max(carried, 1)), least), most)
}

// switchOver moves the hub to the new store.
func (m *Mover) switchOver(ctx context.Context, e *entry, t *transfer) error {
	if err := m.preview(ctx, e, t); err != nil {
		return err
	}
	e.Times.Copied = m.now()
	if err := m.step(ctx, e, record.StepSwitching); err != nil {
		return err
	}
	for range switchTries {
		if err := m.converge(ctx, t); err != nil {
			return err
		}
		done, err := m.freezeAndSwitch(ctx, e, t)
		t.account(e)
		if done {
			return err
		}
		e.State = Copying
		if serr := m.save(context.WithoutCancel(ctx), e); err == nil {
			err = serr
		}
		if err != nil {
			return err
		}
	}
	return havre.E(op, havre.Locked, "the hub writes so much that the last changes could not be carried within "+freezeLimit.String()).
		WithHint("try again when fewer deliveries come in: havre move run goes on from here")
}

// preview opens the copy with the hub's keys before anything depends on it.
func (m *Mover) preview(ctx context.Context, e *entry, t *transfer) error {
	n, err := m.c.Examiner.Current(ctx)
	if err != nil {
		return err
	}
	// What was committed before is on record as a change, and is carried now.
	if err := m.converge(ctx, t); err != nil {
		return err
	}
	return m.compare(ctx, e, t.from, t.to, n, false)
}

// compare lets the hub's keys look into both stores.
func (m *Mover) compare(ctx context.Context, e *entry, from, to blob.Store, n int64, studies bool) error {
	key := newMarkKey()
	before, err := m.c.Examiner.Examine(ctx, from, n, studies, key, m.c.Progress)
	if err != nil {
		return havre.E(op, havre.KindOf(err), "the hub cannot be opened from the old store").WithHint(havre.HintOf(err)).Wrap(err)
	}
	after, err := m.c.Examiner.Examine(ctx, to, n, studies, key, m.c.Progress)
	if err != nil {
		return havre.E(op, havre.KindOf(err), "the hub cannot be opened from the new store").
			WithHint("the hub is as it was; take the copy back: havre move back").Wrap(err)
	}
	if !before.Same(after) {
		return havre.E(op, havre.Tampered, "the two stores do not give the same snapshot, rows or study results").
			WithHint("the hub is as it was; take the copy back: havre move back")
	}
	e.Before, e.After = before, after
	return nil
}

// freezeAndSwitch holds writes back, carries the last changes, and changes the
// configuration. done says that the hub stands at the new store; without an
// error and not done, there was not enough time.
func (m *Mover) freezeAndSwitch(ctx context.Context, e *entry, t *transfer) (done bool, err error) {
	e.State = Switching
	if err := m.save(ctx, e); err != nil {
		return false, err
	}
	began := time.Now()
	fctx, cancel := context.WithTimeout(ctx, freezeLimit)
	defer cancel()
	late := func(err error) error {
		if fctx.Err() != nil && ctx.Err() == nil {
			return nil
		}
		return err
	}
	step := m.c.Progress.Step("writes wait for the switch", -1, "")
	defer step.Done()
	thaw, err := m.c.Live.freeze(fctx)
	if err != nil {
		return false, late(err)
	}
	defer thaw()
	for left := 1; left > 0; {
		if _, left, err = t.catchUp(fctx, "carry the last changes"); err != nil {
			return false, late(err)
		}
	}
	if e.SnapshotAt, err = m.c.Examiner.Current(fctx); err != nil {
		return false, late(err)
	}
	if err := m.setStore(e.To); err != nil {
		return false, err
	}
	m.c.Live.swap(t.to)
	e.State, e.Times.Switched, e.Frozen = Switched, m.now(), time.Since(began).Milliseconds()
	e.Milliseconds["freeze"] = e.Frozen
	return true, m.save(context.WithoutCancel(ctx), e)
}

// setStore changes the configuration; an error means that it was not changed.
func (m *Mover) setStore(url string) error {
	err := m.c.Home.SetStore(url)
	if err == nil {
		return nil
	}
	if now, rerr := m.c.Home.Store(); rerr == nil && now == url {
		return nil // written, and only what came after failed
	}
	return err
}

// switched puts the result of the switch on the log. The lists stay as they
// were in the freeze.
func (m *Mover) switched(ctx context.Context, e *entry) error {
	if _, done := e.Steps[record.StepSwitched]; done {
		return nil
	}
	if err := m.sum(ctx, e); err != nil {
		return err
	}
	if err := m.step(ctx, e, record.StepSwitched); err != nil {
		return err
	}
	return m.c.Mirror(ctx)
}

// sum fills in objects, bytes and roots, and demands that both roots are one.
func (m *Mover) sum(ctx context.Context, e *entry) (err error) {
	if e.Objects, e.Bytes, err = m.total(ctx, "true"); err != nil {
		return err
	}
	if e.Root, e.RootBack, err = m.roots(ctx); err != nil {
		return err
	}
	if e.Root != e.RootBack {
		return havre.E(op, havre.Tampered, "what was read back from the new store is not what the old one gave").
			WithHint("take the copy back: havre move back")
	}
	e.Cost.Total, err = record.Egress(e.Bytes, e.Cost.PerGB)
	return err
}
