// Package blob is the write-once object store that everything durable rests
// on: sealed segments, snapshot manifests, deliveries, the mirror of the log.
// The contract is Store; file, s3 and azure, one level below, implement it, and
// a Registry opens them by URL. blobtest is the suite that each of them passes,
// on a real server; fault wraps any of them with scripted faults.
//
// Objects are small enough to hold in memory (segments are cut to some tens of
// MiB), so a write is one call with all its bytes: a retry needs no rewind,
// and nothing is ever kept outside the store.
package blob

import (
	"context"
	"iter"
	"time"
)

// Store keeps immutable objects under relative names.
//
// Durability: when Put returns nil the object survives power loss, whole.
// Atomicity: an object is never seen in part; a failed Put leaves either
// nothing or the whole object, so the caller repeats it and treats an Exists
// error with equal bytes as success (PutSame does).
// Order: a Get, Stat or List that starts after Put returned sees the object.
// Exists, too, is told only of an object that survives power loss.
// Retry: implementations retry what is temporary, within ctx, before they
// return StoreUnavailable; so of racing Puts of equal bytes, more than one may
// succeed if a connection broke. Whoever must know which of several won writes
// bytes of its own. Trust: a store may lie; callers verify what they
// read by its hash or its seal, never by the store's own checksums.
// All methods are safe for concurrent use by any number of processes.
//
// Errors are *havre.Error of kind NotFound, Exists, StoreUnavailable, NoSpace,
// Invalid (a bad name or range) or the context's own.
type Store interface {
	// Put writes the object if no object has that name, else fails with kind
	// Exists and leaves the old one as it is. Two racing Puts of one name: one wins.
	Put(ctx context.Context, name string, data []byte) error
	// Get reads n bytes from offset off; n < 0 means to the end. It fails with
	// Invalid if the object is shorter than off+n.
	Get(ctx context.Context, name string, off, n int64) ([]byte, error)
	// Stat gives the object's size.
	Stat(ctx context.Context, name string) (Info, error)
	// List gives every object whose name starts with prefix, sorted by name.
	// It ends after the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes the object; deleting what is absent is no error.
	Delete(ctx context.Context, name string) error
}

// Info describes one object. Modified may be the zero time where a store has none.
type Info struct {
	Name     string
	Size     int64
	Modified time.Time
}

// Rest ends the connections that a store keeps open for its next request, so
// that a place that is left is not held on to. The store can be used on.
func Rest(s Store) {
	if c, ok := s.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
