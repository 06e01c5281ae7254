package move

import (
	"context"
	"crypto/rand"
	"database/sql"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// Verify shows that the hub has arrived: every object is read back from the new
// store once more, nothing is left in the old store that was not moved, and
// both stores give the same snapshot, rows, log and study results. It may be
// repeated; Finish demands one that held.
func (m *Mover) Verify(ctx context.Context, p Pace) (Status, error) {
	release, err := m.exclusive()
	if err != nil {
		return Status{}, err
	}
	defer release()
	e, err := m.need(ctx, record.KindMove, "havre move run comes first", Switched, Verified)
	if err != nil {
		return Status{}, err
	}
	if err := m.switched(ctx, e); err != nil { // if a crash came between
		return Status{}, err
	}
	from, err := m.c.Home.Open(ctx, e.From, false)
	if err != nil {
		return Status{}, err
	}
	t := &transfer{m: m, from: from, to: m.c.Live.Current(), pace: newPace(p, m.c.Live)}
	if err := m.unread(ctx, e); err != nil {
		return Status{}, err
	}
	err = e.timed("verify", func() error {
		if err := t.each(ctx, "read everything back once more", "back IS NULL", t.reread); err != nil {
			return err
		}
		if err := m.nothingLeft(ctx, from); err != nil {
			return err
		}
		if err := m.sum(ctx, e); err != nil {
			return err
		}
		return m.compare(ctx, e, from, t.to, e.SnapshotAt, true)
	})
	t.account(e)
	if serr := m.save(context.WithoutCancel(ctx), e); err == nil {
		err = serr
	}
	if err != nil {
		return Status{}, err
	}
	e.Rereading = false
	if err := m.log(ctx, e, record.StepVerified); err != nil {
		return Status{}, err
	}
	e.State, e.Times.Verified = Verified, m.now()
	if err := m.save(ctx, e); err != nil {
		return Status{}, err
	}
	return m.status(ctx, e)
}

// unread forgets what was read back before, unless an interrupted Verify read
// it. What the hub has written since the switch was read back in the freeze and
// cannot be compared any more.
func (m *Mover) unread(ctx context.Context, e *entry) error {
	if e.Rereading {
		return nil
	}
	err := m.c.DB.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE move_object SET back = NULL WHERE name NOT IN (SELECT name FROM move_change)")
		return err
	})
	if err != nil {
		return meta.Fail(op, "the list of objects cannot be written", err)
	}
	e.Rereading = true
	return m.save(ctx, e)
}

// reread is the Verify of one object.
func (t *transfer) reread(ctx context.Context, o object) (object, error) {
	for range tries {
		same, err := t.readBack(ctx, o)
		if err != nil {
			return o, err
		}
		if same {
			o.back = o.sum
			return o, nil
		}
		changed, err := t.m.changed(ctx, o.name)
		if err != nil {
			return o, err
		}
		if changed { // by the hub, since the switch
			o.back = o.sum
			return o, nil
		}
	}
	return o, havre.E(op, havre.Tampered, "the new store does not give back "+o.name+" as it was moved").
		WithHint("the old copy is whole: return to it with havre move back")
}

// nothingLeft demands that the old store holds nothing but what was moved.
func (m *Mover) nothingLeft(ctx context.Context, from blob.Store) error {
	step := m.c.Progress.Step("list the old store", -1, "objects")
	defer step.Done()
	return m.against(ctx, from, func(name string, listed, moved int64) error {
		step.Add(1)
		if moved >= 0 || listed < 0 {
			return nil
		}
		return havre.E(op, havre.Refused, "the old store holds "+name+", which was not moved: something beside this hub writes there").
			WithHint("find out what it is; havre move back returns to the old store, where it is seen again")
	})
}

// against goes through the names of a store and of the journal together, in
// order; a size of -1 says that the name is not there.
func (m *Mover) against(ctx context.Context, s blob.Store, see func(name string, listed, moved int64) error) error {
	var rows []object
	after, end := "", false
	next := func() error {
		for len(rows) == 0 && !end {
			var err error
			if rows, err = m.rows(ctx, "true", after, page); err != nil {
				return err
			}
			if end = len(rows) < page; len(rows) > 0 {
				after = rows[len(rows)-1].name
			}
		}
		return nil
	}
	for info, err := range s.List(ctx, "") {
		if err != nil {
			return err
		}
		if own(info.Name) {
			continue
		}
		for {
			if err := next(); err != nil {
				return err
			}
			if len(rows) == 0 || rows[0].name > info.Name {
				err = see(info.Name, info.Size, -1)
				break
			}
			o := rows[0]
			rows = rows[1:]
			if o.name == info.Name {
				err = see(info.Name, info.Size, o.size)
				break
			}
			if err := see(o.name, -1, o.size); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	for {
		if err := next(); err != nil || len(rows) == 0 {
			return err
		}
		if err := see(rows[0].name, -1, rows[0].size); err != nil {
			return err
		}
		rows = rows[1:]
	}
}

// newMarkKey draws the key of study marks; it is kept nowhere.
func newMarkKey() havre.Secret {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // crypto/rand never fails
	return havre.NewSecret(b)
}
