package app

import (
	"context"
	"runtime"
	"slices"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/deliver"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

// Trust adds cards to those that the zone at dir knows. A hub registers
// holders for good: their number stands in every row they deliver.
func Trust(ctx context.Context, dir string, cards ...string) ([]Card, error) {
	own, _, err := ReadCard(dir + "/card.json")
	if err != nil {
		return nil, err
	}
	var added []Card
	for _, path := range cards {
		c, raw, err := ReadCard(path)
		if err != nil {
			return added, err
		}
		if own.Zone == ZoneHolder {
			if err := renewPeer(dir, c); err != nil {
				return added, err
			}
			added = append(added, c)
			continue
		}
		meets := map[string][]string{ZoneHub: {ZoneKeeper, ZoneHolder}, ZoneKeeper: {ZoneHub, ZoneHolder}}[own.Zone]
		if !slices.Contains(meets, c.Zone) {
			return added, havre.E("trust", havre.Refused, "a "+own.Zone+" has nothing to do with the card of a "+c.Zone).
				WithHint("a hub and a keeper trust each other and holders; a holder gets their cards at `havre holder init`")
		}
		if own.Zone == ZoneHub && c.Zone == ZoneHolder {
			if err := registerHolder(ctx, dir, c); err != nil {
				return added, err
			}
		}
		if err := keepCard(dir, c, raw); err != nil {
			return added, err
		}
		added = append(added, c)
	}
	return added, nil
}

func registerHolder(ctx context.Context, dir string, c Card) error {
	h, err := OpenHub(ctx, dir)
	if err != nil {
		return err
	}
	defer h.Close()
	_, err = h.Desk.AddHolder(ctx, havre.HolderID(c.Name), c.Key, havre.NewPersonal(h.Config.Name))
	return err
}

// LinkDelivery accepts a delivery's identities, links them and writes the
// sealed table for the hub to a folder named by the delivery below to.
func (k *Keeper) LinkDelivery(ctx context.Context, parcel envelope.Parcel, to string, progress havre.Progress) (*envelope.Linkage, error) {
	m, err := k.Accept(ctx, parcel)
	if err != nil {
		return nil, err
	}
	l, table, err := k.Link(ctx, m.Delivery, progress)
	if err != nil {
		return nil, err
	}
	names, err := table.Names(ctx)
	if err != nil {
		return nil, err
	}
	// The signed head goes last: a folder without it holds no table yet.
	slices.SortFunc(names, func(a, b string) int {
		if (a == envelope.LinkageName) != (b == envelope.LinkageName) {
			if a == envelope.LinkageName {
				return 1
			}
			return -1
		}
		return 0
	})
	folder := deliver.NewFolder(to)
	for _, name := range names {
		b, err := table.Read(ctx, name, envelope.MaxPartSealed)
		if err != nil {
			return nil, err
		}
		if err := folder.Put(ctx, m.Delivery, name, b); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Ingest takes a received delivery into the warehouse: the keeper's table, the
// rows, a committed snapshot, and the end of its transport ids. A delivery that
// is in already changes nothing; one that was cut goes on where it stopped. An
// order that suspends the hub cuts it within seconds.
func (h *Hub) Ingest(ctx context.Context, id havre.DeliveryID, linkage envelope.Parcel, progress havre.Progress) (report ingest.Report, err error) {
	err = h.whileWritable(ctx, func(ctx context.Context) error {
		report, err = h.ingest(ctx, id, linkage, progress)
		return err
	})
	return report, err
}

func (h *Hub) ingest(ctx context.Context, id havre.DeliveryID, linkage envelope.Parcel, progress havre.Progress) (ingest.Report, error) {
	m, err := h.Desk.Manifest(ctx, id)
	if err != nil {
		return ingest.Report{}, err
	}
	batch, err := h.Warehouse.Begin(ctx, havre.NewPersonal(h.Config.Name))
	if err != nil {
		return ingest.Report{}, err
	}
	if account, ok := batch.Ingested(id); ok {
		snap, err := h.Warehouse.Current(ctx)
		if err != nil {
			return ingest.Report{}, err
		}
		return ingest.Report{Account: account, Already: true}, h.close(ctx, id, snap.Number())
	}
	if _, err := h.Desk.Link(ctx, id, linkage); err != nil {
		return ingest.Report{}, err
	}
	links, err := h.Desk.Links(ctx, id)
	if err != nil {
		return ingest.Report{}, err
	}
	holder, err := h.Desk.Holder(ctx, m.Holder)
	if err != nil {
		return ingest.Report{}, err
	}
	memory, err := h.Config.MemoryBytes()
	if err != nil {
		return ingest.Report{}, err
	}
	report, err := ingest.Run(ctx, ingest.Input{Manifest: m, Links: links, HolderID: holder.Number, Batch: batch,
		Open: func(ctx context.Context, p envelope.Part) ([]byte, error) { return h.Desk.OpenPart(ctx, id, p) },
		Now:  havre.SystemNow, Memory: memory, Progress: progress})
	if err != nil {
		return report, err
	}
	snap, err := batch.Commit(ctx)
	if err != nil {
		return report, err
	}
	runtime.GC() // the batch was large; give its memory back before the next
	return report, h.close(ctx, id, snap.Number())
}

// close puts the end of a delivery on record and destroys its transport ids.
func (h *Hub) close(ctx context.Context, id havre.DeliveryID, snapshot int64) error {
	if err := h.Desk.Ingested(ctx, id, snapshot); err != nil {
		return err
	}
	return h.Desk.Validate(ctx, id)
}
