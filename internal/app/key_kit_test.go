package app

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/synth"
)

const keyOperator = "operator@hub.example"

// keySite is a hub with the deliveries of two holders, for one test to spoil.
type keySite struct {
	t   testing.TB
	dir string
}

func newKeySite(t testing.TB) *keySite {
	t.Helper()
	s := &keySite{t, t.TempDir()}
	s.make()
	return s
}

// clone copies the site for a test to spoil.
func (s *keySite) clone(t testing.TB) *keySite {
	t.Helper()
	c := &keySite{t, filepath.Join(t.TempDir(), "site")}
	if out, err := exec.Command("cp", "-a", s.dir, c.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return c
}

func (s *keySite) at(p ...string) string { return filepath.Join(append([]string{s.dir}, p...)...) }

func (s *keySite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *keySite) make() {
	ctx := context.Background()
	do := func(_ any, err error) { s.t.Helper(); s.must(err) }
	do(synth.Generate(ctx, synth.Options{Residents: 60, Seed: 2, Out: s.at("pop"), Progress: havre.NoProgress}))
	do(InitKeeper(ctx, s.at("keeper"), "keeper", "file:../safe/keeper.key"))
	do(InitHub(ctx, HubOptions{Dir: s.at("hub"), Name: "le-havre", Store: "file:../store", KeyBesideStore: true, Custodian: "file:../safe/hub.key", Buckets: 2, Actor: keyOperator}))
	do(Trust(ctx, s.at("hub"), s.at("keeper", "card.json")))
	do(Trust(ctx, s.at("keeper"), s.at("hub", "card.json")))
	for _, name := range []string{"chu-nord", "assurance"} {
		do(InitHolder(ctx, s.at(name), name, s.at("hub", "card.json"), s.at("keeper", "card.json")))
		do(Trust(ctx, s.at("hub"), s.at(name, "card.json")))
		do(Trust(ctx, s.at("keeper"), s.at(name, "card.json")))
	}
	s.with(func(h *Hub) {
		s.must(h.Permits.AddAccount(ctx, keyOperator, havre.RoleOperator, havre.NewPersonal(keyOperator)))
	})
	s.deliver("chu-nord", true)
	s.deliver("assurance", true)
}

// with opens the hub for do.
func (s *keySite) with(do func(*Hub)) {
	s.t.Helper()
	h, err := OpenHub(context.Background(), s.at("hub"))
	s.must(err)
	do(h)
	s.must(h.Close())
}

// deliver has a holder deliver; the rows are taken in if ingest says so.
func (s *keySite) deliver(holder string, ingest bool) havre.DeliveryID {
	s.t.Helper()
	ctx := context.Background()
	d, err := Deliver(ctx, Delivery{Home: s.at(holder), CDM: s.at("pop", "holders", holder, "omop"), Identity: s.at("pop", "holders", holder, "identity.csv"),
		ToHub: s.at("way", "hub"), ToKeeper: s.at("way", "keeper"), Progress: havre.NoProgress})
	s.must(err)
	id := string(d.Manifest.Delivery)
	k, err := OpenKeeper(ctx, s.at("keeper"))
	s.must(err)
	_, err = k.LinkDelivery(ctx, envelope.Folder(s.at("way", "keeper", id)), s.at("way", "linked"), havre.NoProgress)
	s.must(err)
	s.must(k.Close())
	s.with(func(h *Hub) {
		_, err := h.Desk.Receive(ctx, envelope.Folder(s.at("way", "hub", id)), havre.HolderID(holder), havre.NoProgress)
		s.must(err)
		if ingest {
			_, err = h.Ingest(ctx, d.Manifest.Delivery, envelope.Folder(s.at("way", "linked", id)), havre.NoProgress)
			s.must(err)
		}
	})
	return d.Manifest.Delivery
}

// whole demands a hub that reads, checks and logs as it should, and gives its
// deliveries' rows of the current snapshot.
func (s *keySite) whole() map[havre.DeliveryID]int64 {
	s.t.Helper()
	ctx := context.Background()
	rows := map[havre.DeliveryID]int64{}
	s.with(func(h *Hub) {
		r, err := h.Warehouse.Fsck(ctx, warehouse.FsckOptions{}, havre.NoProgress)
		if err != nil || len(r.Faults) > 0 {
			s.t.Fatalf("the store: %+v, %v", r.Faults, err)
		}
		if v, err := h.Log.Verify(ctx, havre.NoProgress); err != nil || !v.OK() {
			s.t.Fatalf("the log: %v", err)
		}
		if p := h.home.ring.Info().Pending; p != nil {
			s.t.Fatalf("an act is left: %+v", p)
		}
		snap, err := h.Warehouse.Current(ctx)
		s.must(err)
		for _, e := range snap.Manifest().Segments {
			rows[e.Delivery] += e.Rows
		}
	})
	return rows
}

// means are all keys that a copy of the key ring gives with a custodian's file.
func (s *keySite) means(ring, custodian string) ([]*seal.Key, error) {
	c, err := seal.OpenFileCustodian(seal.FileOptions{Path: custodian})
	if err != nil {
		return nil, err
	}
	r, err := seal.OpenRing(ring, c)
	if err != nil {
		return nil, err
	}
	var keys []*seal.Key
	for _, e := range r.Info().Keys {
		if e.ID == "" {
			continue
		}
		k, err := r.Key(e.Name)
		s.must(err)
		keys = append(keys, k)
	}
	return keys, nil
}

// objects gives what the store holds.
func (s *keySite) objects(folder string) map[string][]byte {
	s.t.Helper()
	all := map[string][]byte{}
	store, err := file.Open(folder)
	s.must(err)
	for info, err := range store.List(context.Background(), "") {
		s.must(err)
		b, err := blob.GetAll(context.Background(), store, info.Name)
		s.must(err)
		all[info.Name] = b
	}
	return all
}

func (s *keySite) copy(from, to string) {
	s.t.Helper()
	if out, err := exec.Command("cp", "-a", s.at(from), s.at(to)).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}
