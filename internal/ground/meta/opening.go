package meta

import (
	"context"
	"database/sql"
	"errors"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/havre"
)

// Openings keeps what opens the log's commitments; it is the audit.Openings of
// a hub. Safe for concurrent use.
type Openings struct{ d *DB }

// Openings gives the table of openings.
func (d *DB) Openings() Openings { return Openings{d} }

// Put keeps openings, durably.
func (o Openings) Put(ctx context.Context, openings []tlog.Opening) error {
	return o.d.Tx(ctx, func(tx *sql.Tx) error {
		for _, op := range openings {
			if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO opening (commitment, salt, value) VALUES (?, ?, ?)",
				op.Commitment, op.Salt[:], op.Value.Reveal()); err != nil {
				return Fail("meta.opening", "an opening cannot be kept", err)
			}
		}
		return nil
	})
}

// Get gives the opening of a commitment, or fails with NotFound if it was
// erased or never kept.
func (o Openings) Get(ctx context.Context, commitment string) (tlog.Opening, error) {
	var salt []byte
	var value string
	err := o.d.db.QueryRowContext(ctx, "SELECT salt, value FROM opening WHERE commitment = ?", commitment).Scan(&salt, &value)
	if errors.Is(err, sql.ErrNoRows) {
		return tlog.Opening{}, havre.E("meta.opening", havre.NotFound, "this commitment has no opening here: it was erased, or it is of another log")
	}
	if err != nil {
		return tlog.Opening{}, Fail("meta.opening", "an opening cannot be read", err)
	}
	op := tlog.Opening{Commitment: commitment, Value: havre.NewPersonal(value)}
	if copy(op.Salt[:], salt) != len(op.Salt) || !op.Opens() {
		return tlog.Opening{}, havre.E("meta.opening", havre.Tampered, "the opening kept for this commitment does not open it")
	}
	return op, nil
}

// Erase forgets openings for good: their bytes are overwritten in the file and
// gone from its journal when it returns.
func (o Openings) Erase(ctx context.Context, commitments ...string) error {
	err := o.d.Tx(ctx, func(tx *sql.Tx) error {
		for _, c := range commitments {
			if _, err := tx.ExecContext(ctx, "DELETE FROM opening WHERE commitment = ?", c); err != nil {
				return Fail("meta.opening", "an opening cannot be erased", err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var busy, pages, moved int
	if err := o.d.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err != nil {
		return Fail("meta.opening", "the journal of the control database cannot be emptied", err)
	}
	if busy != 0 {
		return havre.E("meta.opening", havre.Locked, "the openings are deleted, but a reader keeps their bytes in the journal of the control database").
			WithHint("erase them once more when nothing else reads the database")
	}
	return nil
}
