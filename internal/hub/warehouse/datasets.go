package warehouse

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

// A dataset is what one delivery brought. Its segments and its rejected rows
// are sealed to a key of its own, so that destroying that key ends them in
// every copy of the store; the snapshots are sealed to the warehouse's key.

// opens gives the keys that open what a delivery brought.
func (k Keys) opens(d havre.DeliveryID) ([]*seal.Key, error) {
	if k.Dataset == nil {
		return k.Open, nil
	}
	key, err := k.Dataset(d, false)
	return []*seal.Key{key}, err
}

// seals gives those to whom a delivery's objects are sealed.
func (k Keys) seals(d havre.DeliveryID) ([]seal.Recipient, error) {
	if k.Dataset == nil {
		return k.To, nil
	}
	key, err := k.Dataset(d, true)
	if err != nil {
		return nil, err
	}
	return []seal.Recipient{key.Recipient()}, nil
}

// destroyed says whether the delivery's key was destroyed.
func (k Keys) destroyed(d havre.DeliveryID) bool {
	_, err := k.opens(d)
	return errors.Is(err, seal.ErrDestroyed)
}

// Shredded is what Shred took away.
type Shredded struct {
	Number  int64  `json:"snapshot"` // in force from then on
	Root    string `json:"root"`
	Objects int    `json:"objects"` // segments and sets of rejected rows, of all snapshots
	Bytes   int64  `json:"bytes"`   // of ciphertext
}

// Shred takes deliveries whose key was destroyed out of the warehouse: it
// commits a snapshot without them, then deletes their objects. Older snapshots
// stay on record and can no longer be read where they name such objects. It is
// repeated without harm, also after a crash, and then gives the same.
func (w *Warehouse) Shred(ctx context.Context, deliveries []havre.DeliveryID, actor havre.Personal[string]) (Shredded, error) {
	b, err := w.Begin(ctx, actor)
	if err != nil {
		return Shredded{}, err
	}
	of := func(d havre.DeliveryID) bool { return slices.Contains(deliveries, d) }
	objects := map[string]int64{}
	for n := b.next.Number - 1; n >= 0; n-- {
		s, err := w.At(ctx, n)
		if err != nil {
			return Shredded{}, err
		}
		for _, e := range s.manifest.Segments {
			if of(e.Delivery) {
				objects[e.Object] = e.Size
			}
		}
		for _, r := range s.manifest.Rejected {
			if of(r.Delivery) {
				objects[r.Object] = r.Size
			}
		}
	}
	s, err := b.without(ctx, of)
	if err != nil {
		return Shredded{}, err
	}
	out := Shredded{Number: s.Number(), Root: s.root, Objects: len(objects)}
	for name, size := range objects {
		out.Bytes += size
		if err := w.c.Store.Delete(ctx, name); err != nil {
			return out, havre.E("warehouse.shred", havre.KindOf(err), "the ciphertext of destroyed data could not be removed from the store, snapshot "+
				strconv.FormatInt(out.Number, 10)).Wrap(err)
		}
	}
	return out, nil
}

// without commits a snapshot that lacks some deliveries; it gives the current
// one if that lacks them already.
func (b *Batch) without(ctx context.Context, of func(havre.DeliveryID) bool) (*Snapshot, error) {
	before := len(b.next.Deliveries) + len(b.next.Segments) + len(b.next.Rejected)
	m := &b.next
	m.Deliveries = slices.DeleteFunc(m.Deliveries, func(a ingest.Account) bool { return of(a.Delivery) })
	m.Segments = slices.DeleteFunc(m.Segments, func(e Segment) bool { return of(e.Delivery) })
	m.Rejected = slices.DeleteFunc(m.Rejected, func(r Rejected) bool { return of(r.Delivery) })
	m.Keys = slices.DeleteFunc(m.Keys, func(k FileKeys) bool { return of(k.Delivery) })
	if len(m.Deliveries)+len(m.Segments)+len(m.Rejected) == before {
		return b.w.Current(ctx)
	}
	return b.commit(ctx)
}
