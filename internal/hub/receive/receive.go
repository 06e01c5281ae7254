package receive

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Receive verifies a parcel, keeps it, logs it and gives the signed receipt.
// Receiving the same delivery again gives the same receipt and changes
// nothing. A parcel that is refused is kept sealed in quarantine, and the error
// says why. from is the holder who brought it, as its connection proved; "" if
// the parcel came in a folder.
func (d *Desk) Receive(ctx context.Context, parcel envelope.Parcel, from havre.HolderID, progress havre.Progress) ([]byte, error) {
	d.receiving.Lock()
	defer d.receiving.Unlock()
	now := d.Now()
	if err := d.DB.CheckClock(ctx, now); err != nil {
		return nil, err
	}
	if err := d.Writable(ctx); err != nil {
		return nil, err
	}
	v := &arrival{desk: d, parcel: parcel, from: from}
	before, err := v.check(ctx)
	if err == nil && before == nil {
		err = v.checkParts(ctx, progress)
	}
	switch {
	case err != nil && refusal(err):
		return nil, d.refuse(ctx, v, err)
	case err != nil:
		return nil, err
	case before != nil:
		return before.Receipt, nil
	}
	return d.admit(ctx, v, now)
}

// refusal says whether an error is about the parcel, and not about the disk,
// the store, the log or the user's patience.
func refusal(err error) bool {
	return slices.Contains([]havre.Kind{havre.Invalid, havre.Tampered, havre.Refused, havre.NotFound}, havre.KindOf(err))
}

// arrival is a parcel being verified.
type arrival struct {
	desk     *Desk
	parcel   envelope.Parcel
	from     havre.HolderID
	names    []string
	signed   []byte
	manifest *envelope.Manifest // nil until its signature was verified
	parts    []envelope.Part    // those that belong to the hub
}

// check verifies everything but the parts, and gives the delivery if it was
// received before.
func (v *arrival) check(ctx context.Context) (before *Delivery, err error) {
	const op = "receive"
	if v.names, err = v.parcel.Names(ctx); err != nil {
		return nil, err
	}
	if v.signed, err = v.parcel.Read(ctx, envelope.ManifestName, envelope.MaxManifest); havre.KindOf(err) == havre.NotFound {
		return nil, havre.E(op, havre.NotFound, "this is no delivery: it has no "+envelope.ManifestName).
			WithHint("the holder's folder is sent whole, the manifest last: wait until it is there, or send it again").Wrap(err)
	} else if err != nil {
		return nil, err
	}
	holders, err := v.desk.Holders(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]sign.PublicKey, len(holders))
	for i, h := range holders {
		keys[i] = h.Key
	}
	m := new(envelope.Manifest)
	key, err := sign.Verify(v.signed, envelope.ManifestType, m, keys...)
	if err != nil {
		return nil, havre.E(op, havre.Tampered, "no registered holder signed the manifest, or it was altered after signing").
			WithHint("if the holder is new, register its public key; else ask it to deliver anew").Wrap(err)
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	signer := holders[slices.IndexFunc(holders, func(h Holder) bool { return h.Key.String() == key.String() })]
	switch {
	case signer.ID != m.Holder:
		return nil, havre.E(op, havre.Tampered, "the manifest names the holder "+string(m.Holder)+", but "+string(signer.ID)+" signed it").
			WithHint("ask both which of them made this delivery")
	case v.from != "" && v.from != m.Holder:
		return nil, havre.E(op, havre.Refused, "a delivery of the holder "+string(m.Holder)+" was brought by "+string(v.from)).
			WithHint("each holder brings its own deliveries")
	case m.Hub != v.desk.Hub:
		return nil, havre.E(op, havre.Refused, "the delivery is for the hub "+m.Hub+", and this is "+v.desk.Hub).
			WithHint("send it there, or make a delivery for this hub")
	}
	v.manifest, v.parts = m, m.For(envelope.Health, envelope.Malformed)
	old, err := v.desk.Delivery(ctx, m.Delivery)
	switch {
	case err == nil && old.Manifest == v.sha():
		return &old, nil
	case err == nil:
		return nil, havre.E(op, havre.Refused, "the delivery "+string(m.Delivery)+" was received before with another manifest").
			WithHint("a changed delivery needs a new id: let the holder make it anew")
	case havre.KindOf(err) != havre.NotFound:
		return nil, err
	}
	return nil, nil
}

func (v *arrival) sha() string {
	sum := sha256.Sum256(v.signed)
	return hex.EncodeToString(sum[:])
}

// checkParts opens every part in memory and compares it with the manifest,
// then keeps it, still sealed. Nothing refers to the objects until admit does.
func (v *arrival) checkParts(ctx context.Context, progress havre.Progress) error {
	if err := v.checkNames(); err != nil {
		return err
	}
	step := progress.Step("verify delivery", int64(len(v.parts)), "parts")
	defer step.Done()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range v.parts {
		group.Go(func() error {
			defer step.Add(1)
			sealed, err := v.parcel.Read(gctx, p.Name, p.Size)
			if havre.KindOf(err) == havre.Invalid {
				return havre.E("receive", havre.Tampered, "part "+p.Name+" is longer than the manifest says").
					WithHint("the part was exchanged or damaged on the way; send it again").Wrap(err)
			}
			if err != nil {
				return err
			}
			if _, err := v.desk.open(p, sealed); err != nil {
				return err
			}
			return v.keep(gctx, p.Name, sealed)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return v.keep(ctx, envelope.ManifestName, v.signed)
}

// keep stores an object of the delivery, a part locked to the delivery's key.
// What is there already under that name was kept by a run that did not come to
// its receipt. Whatever the store says, the parcel is not to
// blame for it: no error is a refusal.
func (v *arrival) keep(ctx context.Context, name string, data []byte) error {
	if name != envelope.ManifestName {
		var err error
		if data, err = v.desk.lock(v.manifest.Delivery, data); err != nil {
			return err
		}
	}
	err := v.desk.replace(ctx, Prefix(v.manifest.Delivery)+name, data)
	if refusal(err) {
		return havre.E("receive", havre.StoreUnavailable, "the store does not take "+name).
			WithHint("see to the store, then receive the delivery again: nothing is lost").Wrap(err)
	}
	return err
}

func (v *arrival) checkNames() error {
	const op = "receive"
	present := map[string]bool{}
	for _, n := range v.names {
		present[n] = true
	}
	if id := v.manifest.For(envelope.Identity); slices.ContainsFunc(id, func(p envelope.Part) bool { return present[p.Name] }) {
		return havre.E(op, havre.Refused, "the delivery brings identity parts to the hub: they go to the keeper, and nowhere else").
			WithHint("deliver again, with the keeper's place for the identity parts")
	}
	var missing []string
	for _, p := range v.parts {
		if !present[p.Name] {
			missing = append(missing, p.Name)
		}
		delete(present, p.Name)
	}
	if len(missing) > 0 {
		return missingParts(missing)
	}
	delete(present, envelope.ManifestName)
	for n := range present {
		return havre.E(op, havre.Invalid, fmt.Sprintf("the delivery holds %.80q, which its manifest does not list", n)).
			WithHint("send what the manifest lists, and nothing else")
	}
	return nil
}

func missingParts(names []string) error {
	shown := names[:min(len(names), 5)]
	return havre.E("receive", havre.Invalid, fmt.Sprintf("%d parts of the manifest are missing: %s", len(names), strings.Join(shown, ", "))).
		WithHint("send them, then complete the delivery again")
}

// open opens a part that is for this hub.
func (d *Desk) open(p envelope.Part, sealed []byte) ([]byte, error) {
	plain, err := envelope.OpenPart(p, sealed, d.Key)
	if havre.KindOf(err) == havre.KeyUnavailable {
		return nil, havre.E("receive", havre.Invalid, "the part "+p.Name+" is not sealed to this hub").
			WithHint("give the holder this hub's recipient, and let it deliver anew").Wrap(err)
	}
	return plain, err
}

// admit logs a verified delivery and signs its receipt.
func (d *Desk) admit(ctx context.Context, v *arrival, now time.Time) ([]byte, error) {
	m := v.manifest
	r := &envelope.Receipt{Delivery: m.Delivery, Holder: m.Holder, Hub: d.Hub, Received: now.UTC().Truncate(time.Second),
		Manifest: v.sha(), Parts: len(v.parts)}
	for _, p := range v.parts {
		r.Rows += p.Rows
	}
	pos, err := d.record(ctx, envelope.ReceivedAction, string(m.Delivery), envelope.ReceiptFacts(r))
	if err != nil {
		return nil, err
	}
	r.LogIndex = pos.Index
	receipt, err := envelope.SignReceipt(r, d.Signer)
	if err != nil {
		return nil, err
	}
	err = d.DB.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO delivery (id, holder, state, manifest_sha256, receipt, persons, rows, received) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			string(m.Delivery), string(m.Holder), string(Received), r.Manifest, receipt, m.Persons, r.Rows, now.UnixMicro())
		return err
	})
	if err != nil {
		return nil, meta.Fail("receive", "the delivery cannot be put on record", err)
	}
	return receipt, nil
}

// Manifest gives the verified manifest of a received delivery.
func (d *Desk) Manifest(ctx context.Context, id havre.DeliveryID) (*envelope.Manifest, error) {
	v, err := d.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	h, err := d.Holder(ctx, v.Holder)
	if err != nil {
		return nil, err
	}
	signed, err := blob.GetAll(ctx, d.Store, Prefix(id)+envelope.ManifestName)
	if havre.KindOf(err) == havre.NotFound {
		return nil, havre.E("receive.manifest", havre.NotFound, "the delivery "+string(id)+" is on record, but its manifest is not in the store").
			WithHint("restore delivery/" + string(id) + "/ from a copy of the store").Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(signed); hex.EncodeToString(sum[:]) != v.Manifest {
		return nil, havre.E("receive.manifest", havre.Tampered, "the manifest of the delivery "+string(id)+" in the store is not the one that was received")
	}
	return envelope.VerifyManifest(signed, h.Key)
}

// OpenPart gives the CSV of a part of a received delivery, checked against its
// manifest once more: the store is not trusted.
func (d *Desk) OpenPart(ctx context.Context, id havre.DeliveryID, p envelope.Part) ([]byte, error) {
	sealed, err := d.locked(ctx, id, Prefix(id)+p.Name)
	if err != nil {
		return nil, err
	}
	return d.open(p, sealed)
}

// Ingested puts on record that the delivery's rows are in a committed snapshot.
// It is repeated without harm.
func (d *Desk) Ingested(ctx context.Context, id havre.DeliveryID, snapshot int64) error {
	v, err := d.Delivery(ctx, id)
	if err != nil {
		return err
	}
	if v.State == Ingested || v.State == Validated {
		return nil
	}
	return d.advance(ctx, id, Linked, Ingested, ", snapshot = ?", snapshot)
}

// Validate destroys the parts and the linkage table of an ingested delivery,
// and with them every copy of its transport ids in the store; the manifest and
// the receipt stay. It is repeated without harm. Tell the keeper to forget next.
func (d *Desk) Validate(ctx context.Context, id havre.DeliveryID) error {
	v, err := d.Delivery(ctx, id)
	if err != nil {
		return err
	}
	switch v.State {
	case Validated:
		return nil
	case Ingested:
	default:
		return havre.E("receive.validate", havre.Refused, "the delivery "+string(id)+" is "+string(v.State)+"; its parts are needed until it is ingested").
			WithHint("link and ingest it first")
	}
	if _, err := d.record(ctx, "delivery.validating", string(id), nil); err != nil {
		return err
	}
	n := 0
	for info, err := range d.Store.List(ctx, Prefix(id)) {
		if err != nil {
			return err
		}
		if info.Name == Prefix(id)+envelope.ManifestName {
			continue
		}
		if err := d.Store.Delete(ctx, info.Name); err != nil {
			return err
		}
		n++
	}
	if _, err := d.record(ctx, "delivery.validated", string(id), map[string]string{"destroyed": fmt.Sprint(n)}); err != nil {
		return err
	}
	return d.advance(ctx, id, Ingested, Validated, "")
}
