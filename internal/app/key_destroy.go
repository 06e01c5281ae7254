package app

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/audit/verify"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/seal/custodian/shares"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/release"
)

// Destruction asks that data end for good, by the end of their keys.
type Destruction struct {
	Deliveries []havre.DeliveryID
	Holder     havre.HolderID // all deliveries of this holder as well
	Permits    []string       // partial and waiting results under these permits
	By         string         // account
	Reason     string
}

// DestroyKeys destroys the keys of datasets and permits, and with them every
// copy of what was sealed to them, in the store and in its backups. So that no
// old copy of the key ring brings them back, each custodian that can be is
// given a fresh key and its old one is destroyed. Once the ring is changed
// nothing undoes it; a crash after that is finished when the hub opens next.
func (h *Hub) DestroyKeys(ctx context.Context, d Destruction) (*record.Destruction, error) {
	if err := h.mayTouchKeys(ctx, d.By); err != nil {
		return nil, err
	}
	if d.Reason == "" {
		return nil, havre.E("key.destroy", havre.Usage, "destroying needs a reason, which stands in the certificate").WithHint("--reason \"...\"")
	}
	names, subjects, err := h.doomed(ctx, d)
	if err != nil {
		return nil, err
	}
	z, err := h.keyZone(ctx)
	if err != nil {
		return nil, err
	}
	pos, err := h.Log.Record(ctx, audit.Event{Action: destroyIntent, Actor: havre.NewPersonal(d.By),
		Facts: map[string]string{"keys": strings.Join(names, " ")}, Private: reason(d.Reason)})
	if err != nil {
		return nil, err
	}
	to, err := z.bring(nil)
	if err != nil {
		return nil, z.failed(ctx, record.DestroyedAction, err)
	}
	err = h.home.ring.Change(seal.Change{To: to, Destroy: names, Pending: &seal.Pending{Act: actDestroy, Intent: pos.Index,
		At: havre.SystemNow().Truncate(time.Second), By: d.By, Reason: d.Reason, Names: names, Former: custodians(h.home.ring), Subject: subjects}})
	if err != nil {
		return nil, z.failed(ctx, record.DestroyedAction, err)
	}
	h.keys.Clear()
	return h.finishDestruction(ctx, z)
}

// doomed gives the names of the keys, and of the deliveries and permits, that
// a destruction is about.
func (h *Hub) doomed(ctx context.Context, d Destruction) (names, subjects []string, err error) {
	wanted := slices.Clone(d.Deliveries)
	if d.Holder != "" {
		all, err := h.Desk.Deliveries(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, v := range all {
			if v.Holder == d.Holder {
				wanted = append(wanted, v.ID)
			}
		}
		if len(wanted) == len(d.Deliveries) {
			return nil, nil, havre.E("key.destroy", havre.NotFound, "the hub has received no delivery of the holder "+string(d.Holder))
		}
	}
	for _, id := range wanted {
		names, subjects = append(names, datasetPrefix+string(id)), append(subjects, string(id))
	}
	for _, p := range d.Permits {
		if err := h.nothingWaits(ctx, p, d.By); err != nil {
			return nil, nil, err
		}
		names, subjects = append(names, permitPrefix+p), append(subjects, p)
	}
	info := h.home.ring.Info()
	var there []string
	for _, name := range names {
		switch {
		case slices.ContainsFunc(info.Keys, func(e seal.Entry) bool { return e.Name == name }):
			if !slices.Contains(there, name) {
				there = append(there, name)
			}
		case slices.ContainsFunc(info.Destroyed, func(g seal.Gone) bool { return g.Name == name }):
			if d.Holder == "" {
				return nil, nil, havre.E("key.destroy", havre.Exists, "the key "+name+" was destroyed before").
					WithHint("its certificate: havre key certificate " + name)
			}
		default:
			return nil, nil, havre.E("key.destroy", havre.NotFound, "the key ring has no key "+name).
				WithHint("havre key list shows them; a dataset is named by its delivery, a permit's key is made at its first study")
		}
	}
	if len(there) == 0 {
		return nil, nil, havre.E("key.destroy", havre.Usage, "no key is left to destroy").WithHint("name deliveries, a holder or permits")
	}
	slices.Sort(there)
	slices.Sort(subjects)
	return there, slices.Compact(subjects), nil
}

// nothingWaits refuses while results under a permit wait for checkers or to leave.
func (h *Hub) nothingWaits(ctx context.Context, permit, account string) error {
	all, err := h.Airlock.List(ctx, account)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Permit == permit && (s.State == release.InReview || s.State == release.Approved) {
			return havre.E("key.destroy", havre.Refused, "the release "+s.ID+" under permit "+permit+" is "+string(s.State)+" and would be lost").
				WithHint("let it leave or have it rejected first")
		}
	}
	return nil
}

// finishDestruction does what follows the ring's change: old custodians' keys,
// the warehouse, the log, the certificate. It is repeated without harm.
func (h *Hub) finishDestruction(ctx context.Context, z keyZone) (*record.Destruction, error) {
	info := h.home.ring.Info()
	p := info.Pending
	if err := z.settle(); err != nil {
		return nil, err
	}
	c := &record.Destruction{ID: record.DestructionID(p.Intent), Hub: h.Config.Name, Deliveries: []string{}, Permits: []string{}, Reason: p.Reason, By: p.By,
		Intent: p.Intent, Done: p.At, Generation: info.Generation}
	var dead []havre.DeliveryID
	for _, name := range p.Names {
		for _, g := range info.Destroyed {
			if g.Name == name {
				c.Keys = append(c.Keys, record.DestroyedKey{Name: name, IDs: g.IDs})
			}
		}
		if id, ok := strings.CutPrefix(name, datasetPrefix); ok {
			c.Deliveries = append(c.Deliveries, id)
			dead = append(dead, havre.DeliveryID(id))
		} else {
			c.Permits = append(c.Permits, strings.TrimPrefix(name, permitPrefix))
		}
	}
	for _, w := range p.Former {
		c.Custodians = append(c.Custodians, fate(w, info.Wraps))
	}
	s, err := h.Warehouse.Shred(ctx, dead, havre.NewPersonal(p.By))
	if err != nil {
		return nil, err
	}
	c.Snapshot, c.Objects, c.Bytes = s.Root, s.Objects, s.Bytes
	c.LogIndex, err = z.result(ctx, p.Intent, audit.Event{Action: record.DestroyedAction, Actor: havre.NewPersonal(p.By), Subject: c.ID, Facts: record.DestructionFacts(c)})
	if err != nil {
		return nil, err
	}
	signed, err := record.SignDestruction(c, h.home.signer)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(h.home.dir, verify.DestructionsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, havre.E("key.destroy", havre.NoSpace, "the folder "+dir+" cannot be made").Wrap(err)
	}
	if err := replaceFile(filepath.Join(dir, c.ID+".json"), signed); err != nil {
		return nil, err
	}
	return c, h.home.ring.Finish()
}

// fate says what became of one custodian's power over old copies of the ring.
func fate(before seal.Who, now []seal.Wrap) record.DestroyedCustodian {
	f := record.DestroyedCustodian{Kind: before.Kind, ID: before.ID}
	f.Renewed = !slices.ContainsFunc(now, func(w seal.Wrap) bool { return w.ID == before.ID })
	if f.Renewed {
		return f
	}
	f.Remains = "this custodian cannot be given a fresh key by the hub: copies of the key ring from before open by it until it is replaced (havre key rotate --to) and its key destroyed by who holds it"
	if before.Kind == shares.Kind {
		f.Remains = "the people with shares can open copies of the key ring from before, until a new set is made and the old shares are destroyed"
	}
	return f
}

// Certificate gives the signed certificate of the destruction of a key,
// delivery or permit, and what it says.
func (h *Hub) Certificate(name string) (*record.Destruction, []byte, error) {
	dir := filepath.Join(h.home.dir, verify.DestructionsDir)
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, nil, havre.E("key.certificate", havre.NotFound, "the certificates cannot be listed").Wrap(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, nil, havre.E("key.certificate", havre.NotFound, "the certificate "+e.Name()+" cannot be read").Wrap(err)
		}
		c, err := record.VerifyDestruction(b, []sign.PublicKey{h.home.signer.Public()}...)
		if err != nil {
			return nil, nil, err
		}
		if c.ID == name || slices.Contains(c.Deliveries, name) || slices.Contains(c.Permits, name) ||
			slices.ContainsFunc(c.Keys, func(k record.DestroyedKey) bool { return k.Name == name }) {
			return c, b, nil
		}
	}
	return nil, nil, havre.E("key.certificate", havre.NotFound, "there is no certificate of the destruction of "+name).
		WithHint("havre key list shows the keys that are there and those that were destroyed")
}

// exportDestructions copies the certificates for outsiders.
func (h *Hub) exportDestructions(to string) error {
	from := filepath.Join(h.home.dir, verify.DestructionsDir)
	entries, err := os.ReadDir(from)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return havre.E("export", havre.NotFound, "the certificates cannot be listed").Wrap(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return havre.E("export", havre.NotFound, "the certificate "+e.Name()+" cannot be read").Wrap(err)
		}
		if err := writeNew(filepath.Join(to, e.Name()), b); err != nil {
			return err
		}
	}
	return nil
}
