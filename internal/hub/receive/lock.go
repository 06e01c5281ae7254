package receive

import (
	"bytes"
	"context"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// What comes is sealed to the hub, by the card that its sender has, and stays
// in backups of the store after it is deleted here. So each object is sealed
// once more, to the delivery's own key, before it is written: destroying that
// key ends those copies too, and who was the hub's custodian when the card was
// made opens nothing that comes after a rotation.

// lockRoom is more than a lock adds to an object besides 1/4096 of its length.
const lockRoom = 8 << 10

// lock seals an object to the delivery's key.
func (d *Desk) lock(id havre.DeliveryID, data []byte) ([]byte, error) {
	if d.Dataset == nil {
		return data, nil
	}
	k, err := d.Dataset(id, true)
	if err != nil {
		return nil, err
	}
	return seal.Seal(data, k.Recipient())
}

// unlock undoes lock.
func (d *Desk) unlock(id havre.DeliveryID, locked []byte) ([]byte, error) {
	if d.Dataset == nil {
		return locked, nil
	}
	k, err := d.Dataset(id, false)
	if err != nil {
		return nil, err
	}
	return seal.Open(locked, k)
}

// locked reads an object of the store and unlocks it.
func (d *Desk) locked(ctx context.Context, id havre.DeliveryID, name string) ([]byte, error) {
	b, err := blob.GetAll(ctx, d.Store, name)
	if err != nil {
		return nil, err
	}
	plain, err := d.unlock(id, b)
	if err != nil {
		e := havre.E("receive.open", havre.KindOf(err), name+" in the store cannot be opened").Wrap(err)
		if hint := havre.HintOf(err); hint != "" {
			return nil, e.WithHint(hint)
		}
		return nil, e.WithHint("restore the object from a copy of the store")
	}
	return plain, nil
}

// same says whether a locked object holds these bytes.
func (d *Desk) same(ctx context.Context, id havre.DeliveryID, name string, data []byte) (bool, error) {
	old, err := d.locked(ctx, id, name)
	return err == nil && bytes.Equal(old, data), err
}

// uploaded is the parcel that a holder sends over HTTPS, each object of it locked.
type uploaded struct {
	envelope.Stored
	desk *Desk
	id   havre.DeliveryID
}

// Read gives one object as it was sent.
func (u uploaded) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	locked, err := u.Stored.Read(ctx, name, limit+limit/4096+lockRoom)
	if err != nil {
		return nil, err
	}
	b, err := u.desk.unlock(u.id, locked)
	if err == nil && int64(len(b)) > limit {
		return nil, havre.E("receive.http", havre.Invalid, name+" is longer than it may be")
	}
	return b, err
}
