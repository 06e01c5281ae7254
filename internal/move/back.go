package move

import (
	"bytes"
	"context"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// Back takes an open move or drill back: the hub works at the old store again,
// with all that it wrote since, and the new copy is removed. It is refused once
// Finish has begun. A Back that was cut goes on. leave keeps the new copy where
// it is, for a store that does not answer any more.
func (m *Mover) Back(ctx context.Context, p Pace, leave bool) (Status, error) {
	release, err := m.exclusive()
	if err != nil {
		return Status{}, err
	}
	defer release()
	e, err := m.load(ctx)
	if err != nil {
		return Status{}, err
	}
	switch {
	case e == nil:
		return Status{}, havre.E(op, havre.NotFound, "no move is open, so there is nothing to take back")
	case e.State == Finishing:
		return Status{}, havre.E(op, havre.Refused, "the "+e.Kind+" "+e.id()+" is finishing; there is no way back").
			WithHint("go on with the same command as before: havre move finish " + e.id() + ", or havre drill")
	case e.State == Planned:
		if !leave { // it may have laid its claim and died
			if err := m.unclaim(ctx, e); err != nil {
				return Status{}, err
			}
		}
		return m.returned(ctx, e)
	}
	if e.State != Returning {
		if err := m.tell(ctx, e, "returning"); err != nil {
			return Status{}, err
		}
		e.Home = e.State == Copying || e.State == Switching || e.Times.Switched.IsZero()
		e.State = Returning
		if err := m.save(ctx, e); err != nil {
			return Status{}, err
		}
	}
	if !e.Home {
		if err := m.goHome(ctx, e, p); err != nil {
			return Status{}, err
		}
	}
	if err := m.follow(ctx, e); err != nil {
		return Status{}, err
	}
	if !leave {
		to, err := m.c.Home.Open(ctx, e.To, true)
		if err != nil {
			return Status{}, err
		}
		if err := m.remove(ctx, e, to, "the new copy", p); err != nil {
			return Status{}, err
		}
	}
	return m.returned(ctx, e)
}

// goHome carries what was written at the new store to the old one and switches.
func (m *Mover) goHome(ctx context.Context, e *entry, p Pace) error {
	old, err := m.c.Home.Open(ctx, e.From, false)
	if err != nil {
		return err
	}
	t := &transfer{m: m, from: m.c.Live.Current(), to: old, pace: newPace(p, m.c.Live)}
	// The old copy was left alone; should it have lost something, that comes back too.
	err = m.against(ctx, old, func(name string, listed, moved int64) error {
		if moved < 0 || listed == moved {
			return nil
		}
		return m.noteChange(ctx, name)
	})
	if err != nil {
		return err
	}
	for range switchTries {
		if err := m.converge(ctx, t); err != nil {
			return err
		}
		done, err := m.freezeAndReturn(ctx, e, t)
		if done || err != nil {
			return err
		}
	}
	return havre.E(op, havre.Locked, "the hub writes so much that the last changes could not be carried within "+freezeLimit.String()).
		WithHint("try again when fewer deliveries come in")
}

func (m *Mover) freezeAndReturn(ctx context.Context, e *entry, t *transfer) (done bool, err error) {
	fctx, cancel := context.WithTimeout(ctx, freezeLimit)
	defer cancel()
	late := func(err error) error {
		if fctx.Err() != nil && ctx.Err() == nil {
			return nil
		}
		return err
	}
	began := time.Now()
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
	if err := m.setStore(e.From); err != nil {
		return false, err
	}
	m.c.Live.swap(t.to)
	e.Home, e.Frozen = true, time.Since(began).Milliseconds()
	return true, m.save(context.WithoutCancel(ctx), e)
}

// unclaim takes the claim of this move off the new store, if it is there.
func (m *Mover) unclaim(ctx context.Context, e *entry) error {
	to, err := m.c.Home.Open(ctx, e.To, true)
	if err != nil {
		return err
	}
	mine, err := m.claim(e)
	if err != nil {
		return err
	}
	there, err := blob.GetAll(ctx, to, claimName)
	if havre.KindOf(err) == havre.NotFound || err == nil && !bytes.Equal(there, mine) {
		return nil
	}
	if err != nil {
		return err
	}
	return to.Delete(ctx, claimName)
}

func (m *Mover) returned(ctx context.Context, e *entry) (Status, error) {
	if err := m.tell(ctx, e, "returned"); err != nil {
		return Status{}, err
	}
	e.State = Returned
	if err := m.save(ctx, e); err != nil {
		return Status{}, err
	}
	if err := m.follow(ctx, e); err != nil {
		return Status{}, err
	}
	return m.status(ctx, e)
}

// tell puts a step of the way back on the log; no report names it.
func (m *Mover) tell(ctx context.Context, e *entry, step string) error {
	_, err := m.c.Log.Record(ctx, audit.Event{Action: e.Kind + "." + step, Actor: havre.NewPersonal(e.Actor), Subject: e.id(),
		Facts: map[string]string{"from": e.FromPlace.Where, "to": e.ToPlace.Where}})
	return err
}
