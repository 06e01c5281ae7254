package warehouse

import (
	"context"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/quality"
)

// Quality counts what is odd in the snapshot's rows. The rows stay here: only
// counts come out, and those are for the people who run the hub.
func (s *Snapshot) Quality(ctx context.Context, progress havre.Progress) (*quality.Report, error) {
	return quality.Run(ctx, quality.Source{Snapshot: s.Number(), Buckets: s.Buckets(), Rows: s.Rows(), Open: s.OpenSQL, Concepts: s.Concepts},
		s.w.c.Now(), progress)
}
