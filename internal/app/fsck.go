package app

import (
	"context"
	"fmt"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Fsck checks the warehouse, and that the store still has the newest snapshot
// that the log knows of: a store that goes back to an older state is whole in
// itself, and only the log tells.
func (h *Hub) Fsck(ctx context.Context, o warehouse.FsckOptions, progress havre.Progress) (warehouse.FsckReport, error) {
	number, root, err := h.committed(ctx)
	if err != nil {
		return warehouse.FsckReport{}, err
	}
	lost := false
	if root != "" {
		snap, err := h.Warehouse.At(ctx, number)
		lost = havre.KindOf(err) == havre.NotFound || err == nil && snap.Root() != root
	}
	if lost {
		o.Collect = false // what looks like orphans may be the lost snapshot's
	}
	r, err := h.Warehouse.Fsck(ctx, o, progress)
	if err == nil && lost {
		r.Faults = append(r.Faults, warehouse.Fault{Object: fmt.Sprintf("snapshot/%012d", number), Kind: havre.Tampered,
			Problem: "the log says that this snapshot was committed with root " + root + ", and the store does not have it"})
	}
	if err != nil {
		return r, err
	}
	err = h.fsckMembers(ctx, o.Collect, &r)
	return r, err
}

// fsckMembers adds the members that are kept under permits that are over.
func (h *Hub) fsckMembers(ctx context.Context, collect bool, r *warehouse.FsckReport) error {
	dead, err := h.deadMembers(ctx)
	if err != nil {
		return err
	}
	for _, info := range dead {
		r.Orphans, r.OrphanBytes = append(r.Orphans, info.Name), r.OrphanBytes+info.Size
		if !collect {
			continue
		}
		if err := h.Store.Delete(ctx, info.Name); err != nil {
			return err
		}
		r.Collected++
	}
	return nil
}

// committed gives the newest snapshot that the log says was committed; no root
// if it says so of none.
func (h *Hub) committed(ctx context.Context) (number int64, root string, err error) {
	c, err := h.Log.Checkpoint()
	if err != nil {
		return 0, "", err
	}
	for r, err := range h.Log.Entries(ctx, 0, c.Size, tlog.Filter{Action: warehouse.CommittedAction}) {
		if err != nil {
			return 0, "", err
		}
		if number, err = strconv.ParseInt(r.Entry.Subject, 10, 64); err != nil {
			return 0, "", havre.E("fsck", havre.Tampered, fmt.Sprintf("entry %d of the log names no snapshot", r.Index)).Wrap(err)
		}
		root = r.Entry.Facts["root"]
	}
	return number, root, nil
}
