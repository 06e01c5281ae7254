package app

import (
	"context"
	"fmt"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/quality"
)

// Quality counts what is odd in the current snapshot, for those who run the hub.
func (h *Hub) Quality(ctx context.Context, progress havre.Progress) (*quality.Report, error) {
	snap, err := h.Warehouse.Current(ctx)
	if err != nil {
		return nil, err
	}
	_, err = h.Log.Record(ctx, audit.Event{Action: "quality.counted", Actor: havre.NewPersonal(h.Config.Name), Subject: fmt.Sprint(snap.Number()),
		Facts: map[string]string{"snapshot": snap.Root()}})
	if err != nil {
		return nil, err
	}
	return snap.Quality(ctx, progress)
}
