package receive

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// Refused is a parcel in quarantine.
type Refused struct {
	ID       string           `json:"id"`
	Delivery havre.DeliveryID `json:"delivery,omitempty"` // as its signed manifest says; "" if no manifest could be verified
	Holder   havre.HolderID   `json:"holder,omitempty"`
	Kind     havre.Kind       `json:"kind"`
	Reason   string           `json:"reason"`
	Objects  []string         `json:"objects"` // names as they came; "" for one too long to keep
	At       time.Time        `json:"at"`
}

// refuse puts a parcel into quarantine and removes what was kept of it as a
// delivery. It gives the error to show.
func (d *Desk) refuse(ctx context.Context, v *arrival, cause error) error {
	told := d.quarantine(ctx, v, cause)
	if v.manifest == nil {
		return told
	}
	if _, err := d.Delivery(ctx, v.manifest.Delivery); havre.KindOf(err) != havre.NotFound {
		return told // its id is that of a delivery received before
	}
	return errors.Join(told, d.removeAll(ctx, Prefix(v.manifest.Delivery)))
}

func (d *Desk) removeAll(ctx context.Context, prefix string) error {
	for info, err := range d.Store.List(ctx, prefix) {
		if err != nil {
			return err
		}
		if err := d.Store.Delete(ctx, info.Name); err != nil {
			return err
		}
	}
	return nil
}

// quarantine keeps a refused parcel: every object, whatever it is, sealed to
// the hub under quarantine/<id>/<number>, and the reason on record and in the
// log. A parcel refused before is not kept twice.
func (d *Desk) quarantine(ctx context.Context, v *arrival, cause error) error {
	q := Refused{Kind: havre.KindOf(cause), Reason: cause.Error(), Objects: []string{}, At: d.Now()}
	if v.manifest != nil {
		q.Delivery, q.Holder = v.manifest.Delivery, v.manifest.Holder
	}
	if len(v.names) == 0 {
		return cause // nothing came
	}
	id, err := v.fingerprint(ctx)
	if err != nil {
		return err
	}
	q.ID = id
	told := func() error {
		e := havre.E("receive", q.Kind, "the delivery is refused and kept in quarantine as "+id+": "+q.Reason)
		return e.WithHint(havre.HintOf(cause))
	}
	var n int
	if err := d.DB.DB().QueryRowContext(ctx, "SELECT count(*) FROM quarantine WHERE id = ?", id).Scan(&n); err != nil {
		return meta.Fail("receive.quarantine", "the quarantine cannot be read", err)
	}
	if n > 0 {
		return told()
	}
	for i, name := range v.names {
		data, err := v.parcel.Read(ctx, name, envelope.MaxPartSealed)
		if refusedRead(err) {
			q.Objects = append(q.Objects, "")
			continue
		}
		if err != nil {
			return err
		}
		sealed, err := seal.Seal(data, d.Key.Recipient())
		if err != nil {
			return err
		}
		err = d.Store.Put(ctx, fmt.Sprintf("quarantine/%s/%06d", id, i), sealed)
		if err != nil && havre.KindOf(err) != havre.Exists { // Exists: kept by a run that did not come to its end
			return err
		}
		q.Objects = append(q.Objects, name)
	}
	if _, err := d.record(ctx, "delivery.refused", id, map[string]string{
		"delivery": string(q.Delivery), "holder": string(q.Holder), "kind": string(q.Kind)}); err != nil {
		return err
	}
	objects, err := json.Marshal(q.Objects)
	if err != nil {
		return havre.E("receive.quarantine", havre.Internal, "the names of the objects have no JSON form").Wrap(err)
	}
	err = d.DB.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO quarantine (id, delivery, holder, kind, reason, objects, at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
			id, string(q.Delivery), string(q.Holder), string(q.Kind), q.Reason, string(objects), q.At.UnixMicro())
		return err
	})
	if err != nil {
		return meta.Fail("receive.quarantine", "the refusal cannot be put on record", err)
	}
	return told()
}

// refusedRead says whether an object cannot be read because of what it is.
func refusedRead(err error) bool {
	k := havre.KindOf(err)
	return k == havre.Invalid || k == havre.NotFound
}

// fingerprint is the same for a parcel with the same names and bytes.
func (v *arrival) fingerprint(ctx context.Context) (string, error) {
	all := sha256.New()
	for _, name := range v.names {
		data, err := v.parcel.Read(ctx, name, envelope.MaxPartSealed)
		if err != nil && !refusedRead(err) {
			return "", err
		}
		one := sha256.Sum256(data)
		fmt.Fprintf(all, "%q %x\n", name, one)
	}
	return hex.EncodeToString(all.Sum(nil)[:16]), nil
}

// Quarantine lists what was refused, oldest first.
func (d *Desk) Quarantine(ctx context.Context) ([]Refused, error) {
	rows, err := d.DB.DB().QueryContext(ctx, "SELECT id, delivery, holder, kind, reason, objects, at FROM quarantine ORDER BY at, id")
	if err != nil {
		return nil, meta.Fail("receive.quarantine", "the quarantine cannot be read", err)
	}
	defer rows.Close()
	var all []Refused
	for rows.Next() {
		var q Refused
		var objects string
		var at int64
		if err := rows.Scan(&q.ID, &q.Delivery, &q.Holder, &q.Kind, &q.Reason, &objects, &at); err != nil {
			return nil, meta.Fail("receive.quarantine", "the quarantine cannot be read", err)
		}
		if err := json.Unmarshal([]byte(objects), &q.Objects); err != nil {
			return nil, havre.E("receive.quarantine", havre.Tampered, "the row of quarantine "+q.ID+" is damaged").Wrap(err)
		}
		q.At = time.UnixMicro(at).UTC()
		all = append(all, q)
	}
	if err := rows.Err(); err != nil {
		return nil, meta.Fail("receive.quarantine", "the quarantine cannot be read", err)
	}
	return all, nil
}
