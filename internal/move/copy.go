package move

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// transfer carries objects between the two stores of a move. Every method may
// be repeated after any failure.
type transfer struct {
	m        *Mover
	from, to blob.Store
	pace     *pace

	read, written, back atomic.Int64 // bytes
}

// tries is how often an object is carried again when a store gives other bytes
// than it was given. A store that fails to answer is a matter of the store's
// own patience.
const tries = 3

// account adds what was carried to the report.
func (t *transfer) account(e *entry) {
	e.Traffic.Read += t.read.Swap(0)
	e.Traffic.Written += t.written.Swap(0)
	e.Traffic.ReadBack += t.back.Swap(0)
}

// list puts every object of the old store into the journal.
func (t *transfer) list(ctx context.Context) error {
	step := t.m.c.Progress.Step("list the old store", -1, "objects")
	defer step.Done()
	var batch []object
	for info, err := range t.from.List(ctx, "") {
		if err != nil {
			return err
		}
		if own(info.Name) {
			continue
		}
		step.Add(1)
		if batch = append(batch, object{name: info.Name, size: info.Size}); len(batch) >= page {
			if err := t.m.put(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return t.m.put(ctx, batch)
}

// walk does something with every object of the journal that the condition
// chooses, several at a time, and stops at the first error.
func (t *transfer) walk(ctx context.Context, title, condition string, do func(context.Context, object) error) error {
	n, size, err := t.m.total(ctx, condition)
	if err != nil || n == 0 {
		return err
	}
	step := t.m.c.Progress.Step(title, size, "bytes")
	defer step.Done()

	work := make(chan object)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(work)
		for after := ""; ; {
			rows, err := t.m.rows(gctx, condition, after, page)
			if err != nil {
				return err
			}
			for _, o := range rows {
				select {
				case work <- o:
				case <-gctx.Done():
					return gctx.Err()
				}
			}
			if len(rows) < page {
				return nil
			}
			after = rows[len(rows)-1].name
		}
	})
	for range t.pace.streams {
		g.Go(func() error {
			for o := range work {
				if err := t.pace.turn(gctx, func() error { return do(gctx, o) }); err != nil {
					return err
				}
				step.Add(o.size)
			}
			return nil
		})
	}
	return g.Wait()
}

// each is walk that writes back what do makes of each object; what was done
// before an error is kept.
func (t *transfer) each(ctx context.Context, title, condition string, do func(context.Context, object) (object, error)) error {
	keep := &keeper{m: t.m, ctx: context.WithoutCancel(ctx)}
	err := t.walk(ctx, title, condition, func(ctx context.Context, o object) error {
		o, err := do(ctx, o)
		if err != nil {
			return err
		}
		return keep.add(o)
	})
	if kerr := keep.flush(); err == nil {
		err = kerr
	}
	return err
}

// keeper writes finished objects to the journal, many at a time.
type keeper struct {
	m     *Mover
	ctx   context.Context
	mu    sync.Mutex
	done  []object
	since time.Time
}

func (k *keeper) add(o object) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.done) == 0 {
		k.since = time.Now()
	}
	k.done = append(k.done, o)
	if len(k.done) < 500 && time.Since(k.since) < time.Second {
		return nil
	}
	return k.write()
}

func (k *keeper) flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.write()
}

func (k *keeper) write() error {
	err := k.m.put(k.ctx, k.done)
	k.done = k.done[:0]
	return err
}

// gone marks an object that the hub has deleted meanwhile.
func gone(o object) object { return object{name: o.name, size: -1} }

// copyOne carries one listed object.
func (t *transfer) copyOne(ctx context.Context, o object) (object, error) {
	data, err := t.fetch(ctx, o.name)
	if havre.KindOf(err) == havre.NotFound {
		return t.absent(ctx, o, err)
	}
	if err != nil {
		return o, err
	}
	if int64(len(data)) != o.size {
		if changed, err := t.m.changed(ctx, o.name); err != nil || !changed {
			if err == nil {
				err = havre.E(op, havre.Tampered, fmt.Sprintf("the old store gives %d bytes for %s, and lists it with %d", len(data), o.name, o.size)).
					WithHint("havre fsck tells whether the object is damaged; nothing was changed")
			}
			return o, err
		}
	}
	if err := t.lay(ctx, o.name, data); err != nil {
		return o, err
	}
	sum := sha256.Sum256(data)
	return object{name: o.name, size: int64(len(data)), sum: sum[:]}, nil
}

// absent is an object that was listed and is not there: the hub deleted it
// since, or the store has lost it.
func (t *transfer) absent(ctx context.Context, o object, err error) (object, error) {
	changed, cerr := t.m.changed(ctx, o.name)
	switch {
	case cerr != nil:
		return o, cerr
	case changed:
		return gone(o), nil
	}
	return o, havre.E(op, havre.Tampered, "the old store lists "+o.name+" and does not give it").
		WithHint("havre fsck tells what is missing; nothing was changed").Wrap(err)
}

// fetch reads an object from the old store. A name that promises a hash is held
// to it; any other object is read twice, so that a store that answers wrongly
// once is found out. One that lies the same way twice is found by the hub's own
// keys when the two stores are examined.
func (t *transfer) fetch(ctx context.Context, name string) ([]byte, error) {
	var before [sha256.Size]byte
	promised := t.m.c.ContentHash(name)
	for try := range tries + 1 {
		data, err := blob.GetAll(ctx, t.from, name)
		if err != nil {
			return nil, err
		}
		t.read.Add(int64(len(data)))
		if err := t.pace.take(ctx, int64(len(data))); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		if promised != "" && hex.EncodeToString(sum[:]) == promised || promised == "" && try > 0 && sum == before {
			return data, nil
		}
		before = sum
	}
	return nil, havre.E(op, havre.Tampered, "the old store gives altered bytes for "+name).
		WithHint("havre fsck tells what is damaged; restore the object from a copy, then go on with the same command")
}

// lay writes an object to the new store, in place of one of other bytes that an
// earlier run left there.
func (t *transfer) lay(ctx context.Context, name string, data []byte) error {
	if err := t.pace.take(ctx, int64(len(data))); err != nil {
		return err
	}
	err := blob.PutSame(ctx, t.to, name, data)
	if kind := havre.KindOf(err); kind == havre.Exists || kind == havre.NotFound {
		if err = blob.Replace(ctx, t.to, name, data); havre.KindOf(err) == havre.Exists {
			return havre.E(op, havre.StoreUnavailable, "the new store says that "+name+" exists, and neither gives it nor deletes it").
				WithHint("its server has lost its way, perhaps in a crash: let it be repaired there and go on with the same command, or take the copy back and choose another place").Wrap(err)
		}
	}
	if err == nil {
		t.written.Add(int64(len(data)))
	}
	return err
}

// readBack reads an object from the new store and holds it against what was
// read from the old one.
func (t *transfer) readBack(ctx context.Context, o object) (same bool, err error) {
	data, err := blob.GetAll(ctx, t.to, o.name)
	switch havre.KindOf(err) {
	case "":
	case havre.NotFound, havre.Invalid: // gone, or shorter than it is asked for
		return false, nil
	default:
		return false, err
	}
	t.back.Add(int64(len(data)))
	if err := t.pace.take(ctx, int64(len(data))); err != nil {
		return false, err
	}
	sum := sha256.Sum256(data)
	return bytes.Equal(sum[:], o.sum), nil
}

// confirm reads a copied object back; where the new store has lost or altered
// it, it is carried again.
func (t *transfer) confirm(ctx context.Context, o object) (object, error) {
	for range tries {
		same, err := t.readBack(ctx, o)
		if err != nil {
			return o, err
		}
		if same {
			o.back = o.sum
			return o, nil
		}
		if err := t.to.Delete(ctx, o.name); err != nil {
			return o, err
		}
		again, err := t.copyOne(ctx, o)
		if err != nil || again.size < 0 {
			return again, err
		}
		o = again
	}
	return o, unfaithful(o.name)
}

func unfaithful(name string) error {
	return havre.E(op, havre.Tampered, "the new store does not give back what it was given: "+name).
		WithHint("the hub is as it was; try again, or take the copy back (havre move back) and choose another store")
}

// carry brings one object of the new store to the state that it has in the old
// one, and reads it back.
func (t *transfer) carry(ctx context.Context, name string) (object, error) {
	o := object{name: name}
	data, err := t.fetch(ctx, name)
	if havre.KindOf(err) == havre.NotFound {
		return gone(o), t.to.Delete(ctx, name)
	}
	if err != nil {
		return o, err
	}
	sum := sha256.Sum256(data)
	o.size, o.sum = int64(len(data)), sum[:]
	for range tries {
		if err := t.lay(ctx, name, data); err != nil {
			return o, err
		}
		same, err := t.readBack(ctx, o)
		if err != nil {
			return o, err
		}
		if same {
			o.back = o.sum
			return o, nil
		}
		if err := t.to.Delete(ctx, name); err != nil {
			return o, err
		}
	}
	return o, unfaithful(name)
}

// catchUp carries the changes on record that are not being written right now,
// and says how many it carried and how many are left on record.
func (t *transfer) catchUp(ctx context.Context, title string) (carried, left int, err error) {
	pending, err := t.m.changes(ctx)
	if err != nil || len(pending) == 0 {
		return 0, 0, err
	}
	step := t.m.c.Progress.Step(title, int64(len(pending)), "changes")
	defer step.Done()
	keep := &keeper{m: t.m, ctx: context.WithoutCancel(ctx)}
	done := map[string]int64{}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(t.pace.streams)
	for name, seq := range pending {
		if t.m.c.Live.writing(name) {
			continue
		}
		g.Go(func() error {
			defer step.Add(1)
			if !own(name) {
				o, err := t.carry(gctx, name)
				if err == nil {
					err = keep.add(o)
				}
				if err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			done[name] = seq
			return nil
		})
	}
	err = g.Wait()
	if kerr := keep.flush(); err == nil {
		err = kerr
	}
	if err != nil {
		return 0, len(pending), err
	}
	if err := t.m.carried(ctx, done); err != nil {
		return 0, len(pending), err
	}
	rest, err := t.m.changes(ctx)
	return len(done), len(rest), err
}
