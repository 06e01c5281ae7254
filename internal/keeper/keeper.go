// Package keeper is the trusted third party: it opens the identity parts of
// deliveries, finds who is who in its register of persons, and tells the hub
// only which pseudonym stands behind each transport id. It never sees health
// data, and the hub never sees what is here.
//
// A delivery's way: Accept (verify and keep the sealed identity parts), Link
// (register, pseudonyms, sealed and signed table for the hub), and, once the
// hub says that the delivery is validated, Forget (every copy of its transport
// ids is destroyed).
package keeper

import (
	"context"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper/link"
	"github.com/havre-hub/havre/internal/keeper/pseudonym"
	"github.com/havre-hub/havre/internal/keeper/register"
)

// Config is what a keeper works with.
type Config struct {
	Name    string
	Store   blob.Store // the keeper's own; never the hub's
	Key     *seal.Key  // opens identity parts and the register
	Signer  *sign.Signer
	Level1  *pseudonym.Level1
	Linker  link.Linker // link.Exact{}
	Log     audit.Recorder
	Now     havre.Now
	Holders map[havre.HolderID]sign.PublicKey // whose deliveries are accepted
	Hubs    map[string]seal.Recipient         // for whom pseudonyms are made
}

// Keeper is an open keeper, safe for concurrent use. One process works on a
// keeper's store at a time.
type Keeper struct {
	Config
	register *register.Register
}

// Create begins a keeper in an empty store.
func Create(ctx context.Context, store blob.Store, key *seal.Key) error {
	return register.Create(ctx, store, key)
}

// Open reads the register into memory.
func Open(ctx context.Context, c Config) (*Keeper, error) {
	r, err := register.Open(ctx, c.Store, c.Key, c.Linker, c.Now)
	if err != nil {
		return nil, err
	}
	return &Keeper{c, r}, nil
}

// Persons is how many persons the register has.
func (k *Keeper) Persons() int64 { return k.register.Persons() }

// Reviews lists the records that wait for a human.
func (k *Keeper) Reviews() []register.Review { return k.register.Reviews() }

func prefix(d havre.DeliveryID) string { return "delivery/" + string(d) + "/" }

// Accept verifies a delivery's manifest and identity parts and keeps them,
// sealed as they came. Accepting a delivery again is harmless; one that
// differs from what was accepted under its id is refused.
func (k *Keeper) Accept(ctx context.Context, parcel envelope.Parcel) (*envelope.Manifest, error) {
	names, err := parcel.Names(ctx)
	if err != nil {
		return nil, err
	}
	signed, err := parcel.Read(ctx, envelope.ManifestName, envelope.MaxManifest)
	if err != nil {
		return nil, err
	}
	m, err := k.verify(signed)
	if err != nil {
		return nil, err
	}
	if k.register.Entered(m.Delivery) {
		if _, err := k.Store.Stat(ctx, prefix(m.Delivery)+envelope.ManifestName); havre.KindOf(err) == havre.NotFound {
			return nil, forgotten(m.Delivery)
		}
	}
	parts := m.For(envelope.Identity)
	if err := exactly(names, parts); err != nil {
		return nil, err
	}
	check := newIdentityReader()
	for _, p := range parts {
		sealed, err := parcel.Read(ctx, p.Name, p.Size)
		if err != nil {
			return nil, err
		}
		plain, err := envelope.OpenPart(p, sealed, k.Key)
		if err != nil {
			return nil, err
		}
		if err := check.read(p.Name, plain, func(tid, register.Row) error { return nil }); err != nil {
			return nil, err
		}
		if err := k.keep(ctx, m.Delivery, p.Name, sealed); err != nil {
			return nil, err
		}
	}
	// The manifest comes last: while it is absent the delivery is not accepted.
	return m, k.keep(ctx, m.Delivery, envelope.ManifestName, signed)
}

func (k *Keeper) keep(ctx context.Context, d havre.DeliveryID, name string, data []byte) error {
	err := blob.PutSame(ctx, k.Store, prefix(d)+name, data)
	if havre.KindOf(err) == havre.Exists {
		return havre.E("keeper.accept", havre.Refused, "the delivery "+string(d)+" was accepted before with another "+name).
			WithHint("a changed delivery needs a new id: let the holder make it anew").Wrap(err)
	}
	return err
}

func (k *Keeper) verify(signed []byte) (*envelope.Manifest, error) {
	keys := make([]sign.PublicKey, 0, len(k.Holders))
	for _, key := range k.Holders {
		keys = append(keys, key)
	}
	m, err := envelope.VerifyManifest(signed, keys...)
	if err != nil {
		return nil, havre.E("keeper.accept", havre.Tampered, "no holder that this keeper knows signed the manifest, or it was altered").
			WithHint("check the holder's public key, and register it with havre trust").Wrap(err)
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	key, ok := k.Holders[m.Holder]
	if !ok {
		return nil, havre.E("keeper.accept", havre.NotFound, "this keeper does not know the holder "+string(m.Holder)).
			WithHint("register its public key with havre trust")
	}
	if _, err := envelope.VerifyManifest(signed, key); err != nil {
		return nil, havre.E("keeper.accept", havre.Tampered, "the manifest names the holder "+string(m.Holder)+", but another one signed it").Wrap(err)
	}
	if _, ok := k.Hubs[m.Hub]; !ok {
		return nil, havre.E("keeper.accept", havre.Refused, "the delivery is for the hub "+m.Hub+", for which this keeper makes no pseudonyms").
			WithHint("register the hub's recipient with havre trust, or deliver to the right hub")
	}
	return m, nil
}

// exactly checks that a parcel holds the manifest, the parts, and nothing else.
func exactly(names []string, parts []envelope.Part) error {
	want := map[string]bool{envelope.ManifestName: true}
	for _, p := range parts {
		want[p.Name] = true
	}
	for _, n := range names {
		if !want[n] {
			return havre.E("keeper.accept", havre.Invalid, "the delivery holds "+strconv.Quote(n)+", which its manifest does not list for the keeper").
				WithHint("only " + envelope.ManifestName + " and identity parts go to the keeper")
		}
	}
	return nil
}

func forgotten(d havre.DeliveryID) error {
	return havre.E("keeper", havre.Refused, "the delivery "+string(d)+" was linked and validated before, and its transport ids were destroyed").
		WithHint("nothing is left to do for it; new data need a new delivery")
}

// Forget destroys every copy of the delivery's transport ids at the keeper:
// the identity parts and the linkage table. Call it when the hub says that the
// delivery is validated. It is repeated without harm.
func (k *Keeper) Forget(ctx context.Context, d havre.DeliveryID) error {
	if !envelope.IsDeliveryID(string(d)) {
		return havre.E("keeper.forget", havre.Invalid, "this is not a delivery id")
	}
	if !k.register.Entered(d) {
		return havre.E("keeper.forget", havre.Refused, "the delivery "+string(d)+" was not linked here; there is nothing to forget").
			WithHint("link it first; forgetting comes after the hub's validation")
	}
	if err := k.record(ctx, "delivery.forgetting", d, nil); err != nil {
		return err
	}
	n := 0
	// Names sort "identity..." < "linkage..." < "manifest.json": the manifest,
	// which marks the delivery as present, goes last.
	for info, err := range k.Store.List(ctx, prefix(d)) {
		if err != nil {
			return err
		}
		if err := k.Store.Delete(ctx, info.Name); err != nil {
			return err
		}
		n++
	}
	return k.record(ctx, "delivery.forgotten", d, map[string]string{"objects": strconv.Itoa(n)})
}

func (k *Keeper) record(ctx context.Context, action string, d havre.DeliveryID, facts map[string]string) error {
	_, err := k.Log.Record(ctx, audit.Event{Action: action, Actor: havre.NewPersonal(k.Name), Subject: string(d), Facts: facts})
	return err
}

// Numbers gives the register numbers under which a holder's own id stands, so
// that linkage can be measured against a known truth.
func (k *Keeper) Numbers(holder havre.HolderID, source string) []int64 {
	return k.register.BySource(holder, source)
}
