package receive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// Links says who is behind each transport id of one delivery. It lives in
// memory only.
type Links map[havre.TransportID]havre.PersonID

// Link takes the keeper's table for a received delivery: it verifies the
// keeper's signature, opens every part, makes the level-2 pseudonyms, looks for
// two persons with one id, and keeps the table, sealed as it came. Linking
// again with the same table changes nothing.
func (d *Desk) Link(ctx context.Context, id havre.DeliveryID, parcel envelope.Parcel) (*envelope.Linkage, error) {
	const op = "receive.link"
	v, err := d.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	head, err := parcel.Read(ctx, envelope.LinkageName, envelope.MaxManifest)
	if err != nil {
		return nil, err
	}
	l, err := d.verifyLinkage(ctx, v, head)
	if err != nil {
		return nil, err
	}
	if v.State != Received {
		same, err := blob.Same(ctx, d.Store, Prefix(id)+envelope.LinkageName, head)
		// An ingested delivery without a table is on its way to be validated.
		gone := v.State == Validated || v.State == Ingested && havre.KindOf(err) == havre.NotFound
		if gone || err == nil && same {
			return l, nil
		}
		if err != nil {
			return nil, err
		}
		return nil, havre.E(op, havre.Refused, "the delivery "+string(id)+" was linked before with another table").
			WithHint("ask the keeper which of the two it stands for")
	}
	var persons []Person
	err = d.openLinks(l, func(p envelope.Part) ([]byte, error) {
		sealed, err := parcel.Read(ctx, p.Name, p.Size)
		if err != nil {
			return nil, err
		}
		locked, err := d.lock(id, sealed)
		if err != nil {
			return nil, err
		}
		return sealed, d.replace(ctx, Prefix(id)+p.Name, locked)
	}, func(_ havre.TransportID, p Person) { persons = append(persons, p) })
	if err != nil {
		return nil, err
	}
	if err := d.register(ctx, persons); err != nil {
		return nil, err
	}
	if _, err := d.record(ctx, "delivery.linked", string(id), map[string]string{
		"rows": fmt.Sprint(l.Rows), "persons": fmt.Sprint(l.Persons), "key_version": fmt.Sprint(l.KeyVersion)}); err != nil {
		return nil, err
	}
	if err := d.replace(ctx, Prefix(id)+envelope.LinkageName, head); err != nil {
		return nil, err
	}
	return l, d.advance(ctx, id, Received, Linked, ", key_version = ?", l.KeyVersion)
}

// replace stores an object, in place of one left by a run cut short.
func (d *Desk) replace(ctx context.Context, name string, data []byte) error {
	err := blob.PutSame(ctx, d.Store, name, data)
	if havre.KindOf(err) != havre.Exists {
		return err
	}
	if err := d.Store.Delete(ctx, name); err != nil {
		return err
	}
	return d.Store.Put(ctx, name, data)
}

func (d *Desk) verifyLinkage(ctx context.Context, v Delivery, head []byte) (*envelope.Linkage, error) {
	const op = "receive.link"
	l, err := envelope.VerifyLinkage(head, d.Keeper)
	if err != nil {
		return nil, havre.E(op, havre.Tampered, "the linkage table is not signed by the keeper, or it was altered").
			WithHint("ask the keeper for it again").Wrap(err)
	}
	if l.Delivery != v.ID || l.Holder != v.Holder || l.Hub != d.Hub || l.Manifest != v.Manifest {
		return nil, havre.E(op, havre.Refused, "the linkage table is for another delivery, holder or hub than "+string(v.ID)).
			WithHint("hand over the table of this delivery")
	}
	version, err := KeyVersion(ctx, d.DB)
	if err != nil {
		return nil, err
	}
	if version != 0 && version != l.KeyVersion {
		return nil, havre.E(op, havre.Refused, fmt.Sprintf("the table has pseudonyms of key version %d, but the warehouse stands on version %d: the same persons would become others", l.KeyVersion, version)).
			WithHint("let the keeper link with the version in use, or re-key the whole warehouse")
	}
	return l, nil
}

// KeyVersion is the version of the keeper's secret on which the warehouse
// stands; 0 while no delivery is linked.
func KeyVersion(ctx context.Context, db *meta.DB) (int, error) {
	var version int
	if err := db.DB().QueryRowContext(ctx, "SELECT coalesce(max(key_version), 0) FROM delivery").Scan(&version); err != nil {
		return 0, meta.Fail("receive.link", "the key version in use cannot be read", err)
	}
	return version, nil
}

// Links opens the table of a linked delivery.
func (d *Desk) Links(ctx context.Context, id havre.DeliveryID) (Links, error) {
	v, err := d.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	if v.State != Linked && v.State != Ingested {
		return nil, havre.E("receive.link", havre.Refused, "the delivery "+string(id)+" is "+string(v.State)+", so it has no linkage table").
			WithHint("a delivery is linked once received, and loses its table when validated")
	}
	head, err := blob.GetAll(ctx, d.Store, Prefix(id)+envelope.LinkageName)
	if err != nil {
		return nil, err
	}
	l, err := d.verifyLinkage(ctx, v, head)
	if err != nil {
		return nil, err
	}
	links := make(Links, l.Rows)
	err = d.openLinks(l, func(p envelope.Part) ([]byte, error) {
		return d.locked(ctx, id, Prefix(id)+p.Name)
	}, func(t havre.TransportID, p Person) { links[t] = p.ID })
	return links, err
}

// openLinks reads the table's parts and calls add with each row.
func (d *Desk) openLinks(l *envelope.Linkage, sealed func(envelope.Part) ([]byte, error), add func(havre.TransportID, Person)) error {
	const op = "receive.link"
	if l.Rows < 0 || len(l.Parts) > envelope.MaxParts {
		return havre.E(op, havre.Invalid, "the linkage table has no valid number of rows or parts")
	}
	seen := map[[16]byte]struct{}{}
	for i, p := range l.Parts {
		if p.Name != envelope.LinkagePartName(i+1) || p.Purpose != envelope.LinkagePurpose || !slices.Equal(p.Columns, envelope.LinkageColumns()) ||
			p.Size <= 0 || p.Size > envelope.MaxPartSealed || p.PlainSize <= 0 || p.PlainSize > envelope.MaxPartPlain {
			return havre.E(op, havre.Invalid, fmt.Sprintf("part %d of the linkage table is not described as one", i+1))
		}
		b, err := sealed(p)
		if err != nil {
			return err
		}
		plain, err := d.open(p, b)
		if err != nil {
			return err
		}
		if err := readLinks(p.Name, plain, l.KeyVersion, seen, func(t havre.TransportID, level1 string) { add(t, d.Level2.Of(level1)) }); err != nil {
			return err
		}
	}
	if int64(len(seen)) != l.Rows {
		return havre.E(op, havre.Invalid, fmt.Sprintf("the linkage table has %d transport ids, but its head says %d", len(seen), l.Rows))
	}
	return nil
}

// readLinks parses one part: lines "tid,pseudonym" without quotes, since
// neither can need them. A transport id that is in seen is refused.
func readLinks(name string, text []byte, version int, seen map[[16]byte]struct{}, add func(t havre.TransportID, level1 string)) error {
	bad := func(n int, what string) error {
		return havre.E("receive.link", havre.Invalid, fmt.Sprintf("the linkage part %s, line %d: %s", name, n, what)).
			WithHint("ask the keeper for the table again")
	}
	n := 1
	_, text, _ = bytes.Cut(text, []byte("\n")) // the header was compared with the head
	for len(text) > 0 {
		var line []byte
		n++
		line, text, _ = bytes.Cut(text, []byte("\n"))
		id, pseudonym, ok := bytes.Cut(line, []byte(","))
		var key [16]byte
		if !ok || !envelope.IsDeliveryID(string(id)) { // the same form: 32 lower-case hex digits
			return bad(n, "the transport id is not 32 lower-case hex digits")
		}
		if _, err := hex.Decode(key[:], id); err != nil {
			return bad(n, "the transport id is not 32 lower-case hex digits")
		}
		if !ValidLevel1(string(pseudonym), version) {
			return bad(n, fmt.Sprintf("the pseudonym is not one of level 1 and key version %d", version))
		}
		if _, twice := seen[key]; twice {
			return bad(n, "the transport id stands in the table twice")
		}
		seen[key] = struct{}{}
		add(havre.TransportID(id), string(pseudonym))
	}
	return nil
}

const (
	personPrefix = "person/"
	personSize   = 16 // bytes: id and check
	personsPut   = 1 << 20
)

// register compares the persons of a delivery with everyone linked before, so
// that two persons who share the 63 bits of an id are found before their rows
// mix; then it adds the new ones. Known persons stand in sealed objects
// person/000000000000 and up, sorted by id, eight bytes of id and eight of check.
func (d *Desk) register(ctx context.Context, mine []Person) error {
	slices.SortFunc(mine, func(a, b Person) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.check, b.check))
	})
	mine = slices.Compact(mine)
	for i := 1; i < len(mine); i++ {
		if mine[i].ID == mine[i-1].ID {
			return collision()
		}
	}
	next := 0
	for info, err := range d.Store.List(ctx, personPrefix) {
		if err != nil {
			return err
		}
		sealed, err := blob.GetAll(ctx, d.Store, info.Name)
		if err != nil {
			return err
		}
		known, err := seal.Open(sealed, d.Key)
		if err != nil {
			return err
		}
		if mine, err = unknown(mine, known); err != nil {
			return err
		}
		if _, err := fmt.Sscanf(info.Name, personPrefix+"%d", &next); err != nil {
			return havre.E("receive.link", havre.Tampered, "the store holds "+info.Name+", which is no list of persons").Wrap(err)
		}
		next++
	}
	for chunk := range slices.Chunk(mine, personsPut) {
		plain := make([]byte, 0, len(chunk)*personSize)
		for _, p := range chunk {
			plain = binary.BigEndian.AppendUint64(plain, uint64(p.ID))
			plain = binary.BigEndian.AppendUint64(plain, p.check)
		}
		sealed, err := seal.Seal(plain, d.Key.Recipient())
		if err != nil {
			return err
		}
		if err := d.Store.Put(ctx, fmt.Sprintf(personPrefix+"%012d", next), sealed); err != nil {
			if havre.KindOf(err) == havre.Exists {
				return havre.E("receive.link", havre.Locked, "another process links a delivery").WithHint("link one delivery at a time").Wrap(err)
			}
			return err
		}
		next++
	}
	return nil
}

// unknown gives those of mine that a sorted list of known persons does not have.
func unknown(mine []Person, known []byte) ([]Person, error) {
	if len(known)%personSize != 0 {
		return nil, havre.E("receive.link", havre.Tampered, "a list of persons is cut")
	}
	fresh := mine[:0]
	for _, p := range mine {
		for len(known) > 0 && havre.PersonID(binary.BigEndian.Uint64(known)) < p.ID {
			known = known[personSize:]
		}
		switch {
		case len(known) == 0 || havre.PersonID(binary.BigEndian.Uint64(known)) != p.ID:
			fresh = append(fresh, p)
		case binary.BigEndian.Uint64(known[8:]) != p.check:
			return nil, collision()
		}
	}
	return fresh, nil
}

var errCollision = errors.New("two level-2 pseudonyms begin with the same 63 bits")

func collision() error {
	return havre.E("receive.link", havre.Refused, "two different persons would get the same person_id; the table is not linked").
		WithHint("rotate the hub's pseudonym secret: with another secret they differ").Wrap(errCollision)
}
