package meta

import (
	"context"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

const (
	// clockTolerance is how far the clock may be set back by ordinary
	// time-keeping before it is refused.
	clockTolerance = time.Minute
	// clockStep is how far the clock must have run before the new time is
	// written down: far below the tolerance, and rare enough to cost nothing.
	clockStep = 10 * time.Second
)

// CheckClock fails with kind Clock if now stands more than a minute before the
// latest time on record, and else records it. Whatever depends on an end date
// asks this first: a clock set back must not revive what has ended.
func (d *DB) CheckClock(ctx context.Context, now time.Time) error {
	var micros int64
	if err := d.db.QueryRowContext(ctx, "SELECT latest FROM clock").Scan(&micros); err != nil {
		return Fail("meta.clock", "the latest time on record cannot be read", err)
	}
	latest := time.UnixMicro(micros).UTC()
	if now.Before(latest.Add(-clockTolerance)) {
		return havre.E("meta.clock", havre.Clock, "the clock says "+stamp(now)+", but the hub has already seen "+stamp(latest)).
			WithHint("set the machine's clock right; nothing that depends on an end date runs before")
	}
	if now.Sub(latest) < clockStep {
		return nil
	}
	if _, err := d.db.ExecContext(ctx, "UPDATE clock SET latest = max(latest, ?)", now.UnixMicro()); err != nil {
		return Fail("meta.clock", "the time cannot be put on record", err)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
