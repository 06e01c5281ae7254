package cohort

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// heldRows reads each part of a snapshot once and holds it: what is measured
// with it is the evaluator alone.
type heldRows struct {
	s    *warehouse.Snapshot
	mu   sync.Mutex
	held map[string][]arrow.RecordBatch
}

func (h *heldRows) Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := fmt.Sprint(bucket, w.Table, w.Columns)
	if h.held == nil {
		h.held = map[string][]arrow.RecordBatch{}
	}
	if _, ok := h.held[key]; !ok {
		batches, err := h.s.Read(ctx, bucket, w)
		if err != nil {
			return nil, err
		}
		h.held[key] = batches
	}
	for _, b := range h.held[key] {
		b.Retain()
	}
	return h.held[key], nil
}
