package move

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// Rekey is the first half of Finish: it passes the point of no return and gives
// the key ring its new custodians. A hub that holds keys in memory is opened
// again after it, and then calls Finish.
func (m *Mover) Rekey(ctx context.Context, id string) error {
	release, err := m.exclusive()
	if err != nil {
		return err
	}
	defer release()
	e, _, err := m.finishable(ctx, id)
	if err != nil {
		return err
	}
	return m.changeKeys(ctx, e)
}

// Finish ends a verified move, for good: the keys are wrapped for the new
// custodians and the old wraps destroyed, the old copy is deleted, each of its
// names is asked for once more, and the report is signed. id must name the move,
// so that nobody finishes by mistake. A Finish that was cut goes on.
func (m *Mover) Finish(ctx context.Context, id string, p Pace) ([]byte, error) {
	release, err := m.exclusive()
	if err != nil {
		return nil, err
	}
	defer release()
	e, from, err := m.finishable(ctx, id)
	if err != nil {
		return nil, err
	}
	err = e.timed("finish", func() error {
		if err := m.changeKeys(ctx, e); err != nil {
			return err
		}
		return m.remove(ctx, e, from, "the old copy", p)
	})
	if serr := m.save(context.WithoutCancel(ctx), e); err == nil {
		err = serr
	}
	if err != nil {
		return nil, err
	}
	if err := m.c.Live.Current().Delete(ctx, claimName); err != nil {
		return nil, err
	}
	return m.close(ctx, e)
}

// finishable gives the move that may be finished, past the point of no return.
func (m *Mover) finishable(ctx context.Context, id string) (*entry, blob.Store, error) {
	e, err := m.need(ctx, record.KindMove, "havre move run and havre move verify come first", Verified, Finishing)
	if err != nil {
		return nil, nil, err
	}
	if id != e.id() {
		return nil, nil, havre.E(op, havre.Usage, "the move to be finished must be named: it is "+e.id()).
			WithHint("after that there is no way back: havre move finish " + e.id())
	}
	from, err := m.c.Home.Open(ctx, e.From, false)
	if err != nil {
		return nil, nil, err
	}
	if e.State == Verified {
		if err := m.nothingLeft(ctx, from); err != nil {
			return nil, nil, err
		}
	}
	return e, from, m.finishing(ctx, e)
}

// finishing is the point of no return, put on the log before it is passed.
func (m *Mover) finishing(ctx context.Context, e *entry) error {
	if e.State == Finishing {
		return nil
	}
	var err error
	if m.c.Keys != nil {
		if e.KeysBefore, err = m.c.Keys.Custodians(ctx); err != nil {
			return err
		}
		e.KeysAfter = e.KeysBefore
	}
	e.Times.Finishing = m.now()
	if err := m.step(ctx, e, record.StepFinishing); err != nil {
		return err
	}
	e.State = Finishing
	if err := m.save(ctx, e); err != nil {
		return err
	}
	return m.follow(ctx, e)
}

func (m *Mover) changeKeys(ctx context.Context, e *entry) error {
	if m.c.Keys == nil || e.KeysNew {
		return nil
	}
	step := m.c.Progress.Step("wrap the keys anew", -1, "")
	defer step.Done()
	if err := m.c.Keys.Rotate(ctx); err != nil {
		return err
	}
	var err error
	if e.KeysAfter, err = m.c.Keys.Custodians(ctx); err != nil {
		return err
	}
	e.KeysNew = true
	return m.save(ctx, e)
}

// remove deletes everything at a store, the claim last, and then asks for every
// name of the journal. It fails if the store still gives one.
func (m *Mover) remove(ctx context.Context, e *entry, s blob.Store, what string, p Pace) error {
	var readable int64
	for range tries {
		n, err := m.deleteAll(ctx, s, what, p)
		e.Removed.Objects += n
		if err != nil {
			return err
		}
		if e.Removed.Probed, readable, err = m.probe(ctx, s, what, p); err != nil {
			return err
		}
		if readable == 0 {
			e.Removed.Readable = 0
			if f, ok := s.(interface{ Prune() error }); ok {
				return f.Prune()
			}
			return nil
		}
	}
	e.Removed.Readable = readable
	return havre.E(op, havre.Refused, "the store gives objects of "+what+" that it was told to delete").
		WithHint("look whether the bucket keeps versions or holds objects (retention, legal hold), end that there, and repeat the command")
}

func (m *Mover) deleteAll(ctx context.Context, s blob.Store, what string, p Pace) (int64, error) {
	step := m.c.Progress.Step("delete "+what, -1, "objects")
	defer step.Done()
	var n atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(newPace(p, nil).streams)
	for info, err := range s.List(gctx, "") {
		if err != nil {
			if gerr := g.Wait(); gerr != nil {
				err = gerr
			}
			return n.Load(), err
		}
		if info.Name == claimName {
			continue
		}
		g.Go(func() error {
			if err := s.Delete(gctx, info.Name); err != nil {
				return err
			}
			if !own(info.Name) {
				n.Add(1)
				step.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return n.Load(), err
	}
	return n.Load(), s.Delete(ctx, claimName)
}

// probe asks for every name that was moved, and lists what is left.
func (m *Mover) probe(ctx context.Context, s blob.Store, what string, p Pace) (probed, readable int64, err error) {
	var asked, there atomic.Int64
	t := &transfer{m: m, pace: newPace(Pace{Streams: p.Streams}, nil)}
	err = t.walk(ctx, "ask for "+what+" once more", "true", func(ctx context.Context, o object) error {
		_, err := s.Stat(ctx, o.name)
		switch havre.KindOf(err) {
		case havre.NotFound:
		case "":
			there.Add(1)
		default:
			return err
		}
		asked.Add(1)
		return nil
	})
	if err != nil {
		return asked.Load(), there.Load(), err
	}
	for _, err := range s.List(ctx, "") {
		if err != nil {
			return asked.Load(), there.Load(), err
		}
		there.Add(1)
	}
	return asked.Load(), there.Load(), nil
}

// close signs the report and ends the move.
func (m *Mover) close(ctx context.Context, e *entry) ([]byte, error) {
	if e.Times.Finished.IsZero() {
		e.Times.Finished = m.now()
		e.Clock = e.Clock.At(e.Times.Finished)
		if err := m.save(ctx, e); err != nil {
			return nil, err
		}
	}
	if err := m.step(ctx, e, record.StepFinished); err != nil {
		return nil, err
	}
	r := e.report(m.c.Hub)
	r.LogIndex = e.Steps[record.StepFinished]
	signed, err := record.SignMove(r, m.c.Signer)
	if err != nil {
		return nil, err
	}
	// What others will check is checked before it is given out.
	if _, err := record.VerifyMove(signed, m.c.Signer.Public()); err != nil {
		return nil, err
	}
	e.State = Finished
	if err := m.save(ctx, e, signed...); err != nil {
		return nil, err
	}
	if err := m.follow(ctx, e); err != nil {
		return nil, err
	}
	return signed, m.c.Mirror(ctx)
}
