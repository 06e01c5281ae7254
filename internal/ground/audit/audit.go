// Package audit is the hub's append-only log: a tiled Merkle tree (tessera,
// C2SP tlog-tiles) of canonical JSON entries, with signed checkpoints. An
// entry holds no personal value: those stand as salted commitments, so that
// erasing the salt erases the meaning and keeps the proof.
//
// Rule of the house: record intent, act, record result. No log record, no effect.
package audit

import (
	"context"

	"github.com/havre-hub/havre/internal/havre"
)

// Event is what a caller asks to record.
type Event struct {
	Action  string                            // "delivery.received", "permit.decided": noun.verb
	Actor   havre.Personal[string]            // account or body that acts; logged as a commitment. The zero value is the hub itself
	Subject string                            // id of what is acted on: delivery, permit, run, snapshot; not personal
	Facts   map[string]string                 // public facts: hashes, counts, states; not personal
	Private map[string]havre.Personal[string] // personal facts, logged as commitments
}

// Position is where an entry stands. Once Record has returned it, a signed
// checkpoint that covers the entry is on disk.
type Position struct {
	Index int64
}

// Recorder appends to the log. Record returns when the entry is durable and
// covered by a published checkpoint; on error the caller must not act.
// Safe for concurrent use.
type Recorder interface {
	Record(ctx context.Context, e Event) (Position, error)
}
