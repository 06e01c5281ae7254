// Package receive is where deliveries enter the hub. Each is verified (who
// signed it, for whom, every part's size, hash, seal and row count), logged,
// and answered with a signed receipt; what is refused is kept sealed in
// quarantine with its reason. A verified delivery is then linked by the
// keeper's table, ingested (package ingest), and, once validated, its transport
// ids and parts are destroyed.
//
//	received -> linked -> ingested -> validated
package receive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Config is what the desk works with.
type Config struct {
	Hub    string // name of this hub
	Store  blob.Store
	DB     *meta.DB
	Key    *seal.Key      // opens health parts and linkage tables
	Signer *sign.Signer   // signs receipts
	Keeper sign.PublicKey // signs linkage tables
	Level2 *Level2
	Log    audit.Recorder
	Now    havre.Now
	// Dataset gives the delivery's own key, as warehouse.Keys.Dataset does. nil =
	// what comes is kept as it was sealed by its sender.
	Dataset func(d havre.DeliveryID, make bool) (*seal.Key, error)
	// Writable is asked before anything comes in: an error says that the hub
	// is suspended or read-only. nil = always writable.
	Writable func(context.Context) error
}

// Desk receives deliveries. Safe for concurrent use; one process has a hub's
// desk at a time.
type Desk struct {
	Config
	// receiving lets one parcel be verified at a time: verifying uses every
	// core, and two parcels of one id must not mix.
	receiving sync.Mutex
}

// New makes a desk.
func New(c Config) *Desk {
	if c.Writable == nil {
		c.Writable = func(context.Context) error { return nil }
	}
	return &Desk{Config: c}
}

// Holder is a registered data holder.
type Holder struct {
	ID     havre.HolderID `json:"id"`
	Number int            `json:"number"` // holder_id in the warehouse
	Key    sign.PublicKey `json:"key"`
	Added  time.Time      `json:"added"`
}

// AddHolder registers a holder and its public key and gives it the next
// number. Registering the same pair again changes nothing; another key for a
// holder that is there, or a key of another holder, fails with Exists.
func (d *Desk) AddHolder(ctx context.Context, id havre.HolderID, key sign.PublicKey, by havre.Personal[string]) (Holder, error) {
	const op = "receive.holder"
	if !havre.ValidName(string(id)) || key.String() == "" {
		return Holder{}, havre.E(op, havre.Invalid, "a holder needs a name of lower-case letters, digits and hyphens, and a public key")
	}
	if h, err := d.Holder(ctx, id); err == nil {
		if h.Key.String() != key.String() {
			return Holder{}, havre.E(op, havre.Exists, "the holder "+string(id)+" is registered with another key").
				WithHint("deliveries already received rest on that key; register the new one under a new holder name")
		}
		return h, nil
	} else if havre.KindOf(err) != havre.NotFound {
		return Holder{}, err
	}
	_, err := d.Log.Record(ctx, audit.Event{Action: "holder.added", Actor: by, Subject: string(id), Facts: map[string]string{"key": key.String()}})
	if err != nil {
		return Holder{}, err
	}
	err = d.DB.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO holder (id, number, key, added) SELECT ?, coalesce(max(number), 0) + 1, ?, ? FROM holder",
			string(id), key.String(), d.Now().UnixMicro())
		return err
	})
	if err != nil {
		return Holder{}, meta.Fail(op, "the holder "+string(id)+" cannot be registered: its name or its key is taken", err)
	}
	return d.Holder(ctx, id)
}

const holderColumns = "SELECT id, number, key, added FROM holder"

// Holder gives a registered holder, or fails with NotFound.
func (d *Desk) Holder(ctx context.Context, id havre.HolderID) (Holder, error) {
	h, err := scanHolder(d.DB.DB().QueryRowContext(ctx, holderColumns+" WHERE id = ?", string(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return Holder{}, havre.E("receive.holder", havre.NotFound, "this hub does not know the holder "+string(id)).
			WithHint("register its public key first: havre trust")
	}
	if err != nil {
		return Holder{}, meta.Fail("receive.holder", "the holder cannot be read", err)
	}
	return h, nil
}

// Holders lists the registered holders by number.
func (d *Desk) Holders(ctx context.Context) ([]Holder, error) {
	rows, err := d.DB.DB().QueryContext(ctx, holderColumns+" ORDER BY number")
	if err != nil {
		return nil, meta.Fail("receive.holder", "the holders cannot be read", err)
	}
	defer rows.Close()
	var all []Holder
	for rows.Next() {
		h, err := scanHolder(rows)
		if err != nil {
			return nil, meta.Fail("receive.holder", "the holders cannot be read", err)
		}
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		return nil, meta.Fail("receive.holder", "the holders cannot be read", err)
	}
	return all, nil
}

// HolderOf gives the holder with that key, or fails with NotFound.
func (d *Desk) HolderOf(ctx context.Context, key sign.PublicKey) (Holder, error) {
	h, err := scanHolder(d.DB.DB().QueryRowContext(ctx, holderColumns+" WHERE key = ?", key.String()))
	if errors.Is(err, sql.ErrNoRows) {
		return Holder{}, havre.E("receive.holder", havre.NotFound, "no registered holder has this key")
	}
	if err != nil {
		return Holder{}, meta.Fail("receive.holder", "the holder cannot be read", err)
	}
	return h, nil
}

func scanHolder(row interface{ Scan(...any) error }) (h Holder, err error) {
	var key string
	var added int64
	if err = row.Scan(&h.ID, &h.Number, &key, &added); err != nil {
		return h, err
	}
	h.Added = time.UnixMicro(added).UTC()
	h.Key, err = sign.ParsePublicKey(key)
	return h, err
}

// State is how far a delivery has come.
type State string

// The states, in their order.
const (
	Received  State = "received"  // verified and logged
	Linked    State = "linked"    // the keeper's table is here
	Ingested  State = "ingested"  // its rows are in a committed snapshot
	Validated State = "validated" // its parts and transport ids are destroyed
)

// Delivery is a verified delivery.
type Delivery struct {
	ID         havre.DeliveryID `json:"id"`
	Holder     havre.HolderID   `json:"holder"`
	State      State            `json:"state"`
	Manifest   string           `json:"manifest_sha256"`
	Persons    int64            `json:"persons"`
	Rows       int64            `json:"rows"`
	KeyVersion int              `json:"key_version,omitempty"` // of the keeper's secret, once linked
	Snapshot   int64            `json:"snapshot,omitempty"`    // first snapshot that holds it, once ingested
	Received   time.Time        `json:"received"`
	Receipt    []byte           `json:"-"` // as signed
}

const deliveryColumns = "SELECT id, holder, state, manifest_sha256, persons, rows, coalesce(key_version, 0), coalesce(snapshot, 0), received, receipt FROM delivery"

// Delivery gives a verified delivery, or fails with NotFound.
func (d *Desk) Delivery(ctx context.Context, id havre.DeliveryID) (Delivery, error) {
	v, err := scanDelivery(d.DB.DB().QueryRowContext(ctx, deliveryColumns+" WHERE id = ?", string(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return Delivery{}, havre.E("receive.delivery", havre.NotFound, fmt.Sprintf("no delivery %.40q was received here", string(id))).
			WithHint("receive it first (havre receive); what was refused stands in the log: havre audit log --action delivery.refused")
	}
	if err != nil {
		return Delivery{}, meta.Fail("receive.delivery", "the delivery cannot be read", err)
	}
	return v, nil
}

// Deliveries lists verified deliveries, oldest first.
func (d *Desk) Deliveries(ctx context.Context) ([]Delivery, error) {
	rows, err := d.DB.DB().QueryContext(ctx, deliveryColumns+" ORDER BY received, id")
	if err != nil {
		return nil, meta.Fail("receive.delivery", "the deliveries cannot be read", err)
	}
	defer rows.Close()
	var all []Delivery
	for rows.Next() {
		v, err := scanDelivery(rows)
		if err != nil {
			return nil, meta.Fail("receive.delivery", "the deliveries cannot be read", err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, meta.Fail("receive.delivery", "the deliveries cannot be read", err)
	}
	return all, nil
}

func scanDelivery(row interface{ Scan(...any) error }) (v Delivery, err error) {
	var received int64
	err = row.Scan(&v.ID, &v.Holder, &v.State, &v.Manifest, &v.Persons, &v.Rows, &v.KeyVersion, &v.Snapshot, &received, &v.Receipt)
	v.Received = time.UnixMicro(received).UTC()
	return v, err
}

// advance moves a delivery from one state to the next, with what is known then.
func (d *Desk) advance(ctx context.Context, id havre.DeliveryID, from, to State, set string, args ...any) error {
	return d.DB.Tx(ctx, func(tx *sql.Tx) error {
		args := append(append([]any{string(to), d.Now().UnixMicro()}, args...), string(id), string(from))
		res, err := tx.ExecContext(ctx, "UPDATE delivery SET state = ?, "+string(to)+" = ?"+set+" WHERE id = ? AND state = ?", args...)
		if err != nil {
			return meta.Fail("receive.state", "the state of the delivery cannot be written", err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return havre.E("receive.state", havre.Refused, "the delivery "+string(id)+" is not in the state "+string(from)+", so it cannot be "+string(to)).Wrap(err)
		}
		return nil
	})
}

func (d *Desk) record(ctx context.Context, action string, id string, facts map[string]string) (audit.Position, error) {
	return d.Log.Record(ctx, audit.Event{Action: action, Actor: havre.NewPersonal(d.Hub), Subject: id, Facts: facts})
}

// Prefix is where the objects of a delivery stand in the store.
func Prefix(id havre.DeliveryID) string { return "delivery/" + string(id) + "/" }
