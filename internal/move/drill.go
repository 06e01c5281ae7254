package move

import (
	"context"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// Drill rehearses a move on a second store: it copies the hub there, reads
// everything back, opens the hub from there with its keys, runs the reference
// studies, removes the second copy and signs a report. The hub stays where it
// is and works on. A drill that was cut goes on when it is started again with
// the same store; Back takes it back.
func (m *Mover) Drill(ctx context.Context, o PlanOptions, p Pace) ([]byte, error) {
	release, err := m.exclusive()
	if err != nil {
		return nil, err
	}
	defer release()
	e, err := m.load(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case e != nil && e.State == Planned && e.Kind == record.KindDrill && e.To == o.To: // cut before it began
	case e == nil || e.State == Planned:
		if _, e, err = m.plan(ctx, record.KindDrill, o); err != nil {
			return nil, err
		}
	case e.Kind != record.KindDrill:
		return nil, havre.E(op, havre.Refused, "the move "+e.id()+" to "+e.ToPlace.Where+" is open ("+string(e.State)+"); a drill would disturb it").
			WithHint("finish the move, or take it back: havre move back")
	case e.To != o.To || e.State == Returning:
		return nil, havre.E(op, havre.Refused, "the drill "+e.id()+" at "+e.ToPlace.Where+" was interrupted and is "+string(e.State)).
			WithHint("start it again with that store, or remove what it left: havre move back")
	}
	t, err := m.ends(ctx, e, p)
	if err != nil {
		return nil, err
	}
	if e.State == Planned || e.State == Copying {
		if t, err = m.copyAll(ctx, e, p); err != nil {
			return nil, err
		}
		if err := m.rehearse(ctx, e, t); err != nil {
			return nil, err
		}
	}
	if err := m.finishing(ctx, e); err != nil {
		return nil, err
	}
	err = e.timed("finish", func() error { return m.remove(ctx, e, t.to, "the second copy", p) })
	if serr := m.save(context.WithoutCancel(ctx), e); err == nil {
		err = serr
	}
	if err != nil {
		return nil, err
	}
	return m.close(ctx, e)
}

// rehearse opens the hub from the second store.
func (m *Mover) rehearse(ctx context.Context, e *entry, t *transfer) error {
	var err error
	if e.SnapshotAt, err = m.c.Examiner.Current(ctx); err != nil {
		return err
	}
	err = e.timed("verify", func() error {
		if err := m.converge(ctx, t); err != nil {
			return err
		}
		e.Times.Copied = m.now()
		return m.compare(ctx, e, t.from, t.to, e.SnapshotAt, true)
	})
	t.account(e)
	if err != nil {
		return err
	}
	// The hub may have written since: the report tells of what was carried.
	if err := m.sum(ctx, e); err != nil {
		return err
	}
	e.Times.Verified = m.now()
	if err := m.step(ctx, e, record.StepVerified); err != nil {
		return err
	}
	e.State = Verified
	return m.save(ctx, e)
}
