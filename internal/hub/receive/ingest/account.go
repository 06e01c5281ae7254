package ingest

import (
	"context"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// Account says what became of every row of one delivery. It stays in the
// snapshot manifest for good, which is how a delivery that comes twice is known.
// RowsIn = Stored + the sum of Rejected, in every table and in all.
type Account struct {
	Delivery   havre.DeliveryID `json:"delivery"`
	Holder     havre.HolderID   `json:"holder"`
	HolderID   int              `json:"holder_id"` // the small number that stands in the column holder_id
	CDMVersion string           `json:"cdm_version"`
	Ingested   time.Time        `json:"ingested"` // UTC, whole seconds
	Tables     []TableAccount   `json:"tables"`   // sorted by name
}

// TableAccount is the account of one table.
type TableAccount struct {
	Table    string           `json:"table"`
	RowsIn   int64            `json:"rows_in"`
	Stored   int64            `json:"stored"`
	Rejected map[string]int64 `json:"rejected,omitempty"` // rows not stored, by reason
	Warnings map[string]int64 `json:"warnings,omitempty"` // values changed in stored rows, or columns left out, by reason
}

// RowsIn is the number of rows delivered.
func (a *Account) RowsIn() (n int64) {
	for _, t := range a.Tables {
		n += t.RowsIn
	}
	return n
}

// Stored is the number of rows that stand in segments.
func (a *Account) Stored() (n int64) {
	for _, t := range a.Tables {
		n += t.Stored
	}
	return n
}

// Rejected sums the rows kept aside, by reason, over all tables.
func (a *Account) Rejected() map[string]int64 {
	return a.sum(func(t TableAccount) map[string]int64 { return t.Rejected })
}

// Warnings sums the warnings, by reason, over all tables.
func (a *Account) Warnings() map[string]int64 {
	return a.sum(func(t TableAccount) map[string]int64 { return t.Warnings })
}

func (a *Account) sum(of func(TableAccount) map[string]int64) map[string]int64 {
	all := map[string]int64{}
	for _, t := range a.Tables {
		for reason, n := range of(t) {
			all[reason] += n
		}
	}
	return all
}

// check holds the invariant of Account.
func (a *Account) check() error {
	for _, t := range a.Tables {
		n := t.Stored
		for _, r := range t.Rejected {
			n += r
		}
		if n != t.RowsIn {
			return havre.E("ingest", havre.Internal, "rows of "+t.Table+" are unaccounted for: rows in are not stored plus rejected")
		}
	}
	return nil
}

// Unbucketed is the bucket of tables that are not about persons.
const Unbucketed = -1

// Segment is one piece of one table in one bucket, ready to be sealed.
type Segment struct {
	Table    string
	Bucket   int // Unbucketed for tables that are not about persons
	Delivery havre.DeliveryID
	HolderID int
	Rows     int64
	First    string // every event date lies within First and Last, "2006-01-02"; both "" if the table has no date
	Last     string
	Parquet  []byte
}

// Batch is where rows go: the warehouse, between two snapshots. All but Account
// may be called concurrently. Nothing shows until the batch is committed,
// which is the caller's to do.
type Batch interface {
	// Ingested gives the account of a delivery that the parent snapshot, or
	// this batch, already holds.
	Ingested(havre.DeliveryID) (Account, bool)
	// Buckets is how many there are, BucketOf whose a person is.
	Buckets() int
	BucketOf(havre.PersonID) int
	// Add seals and stores a segment.
	Add(context.Context, Segment) error
	// Reject seals and stores rejected rows: CSV with reason, table and row as delivered.
	Reject(ctx context.Context, d havre.DeliveryID, rows int64, csv []byte) error
	// Account closes a delivery. A batch commits only deliveries with an account.
	Account(Account) error
}
