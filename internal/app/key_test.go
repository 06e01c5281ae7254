package app

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/audit/verify"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// TestKeys is all that may happen to a hub's keys, each on a copy of one hub.
func TestKeys(t *testing.T) {
	model := newKeySite(t)
	for name, test := range map[string]func(*testing.T, *keySite){
		"rotate": testRotateKeys, "rotate refuses": testRotateRefuses, "destroy": testDestroyKeys,
		"shares": testSharesOfAHub, "beside the store": testKeyBesideStore, "killed": testKeysKilled,
	} {
		t.Run(name, func(t *testing.T) { test(t, model.clone(t)) })
	}
}

// testRotateKeys: with all that the old custodian had and kept, it opens
// nothing that was written since, also when the sender still has the old card.
func testRotateKeys(t *testing.T, s *keySite) {
	ctx := context.Background()
	rows := s.whole()
	open := s.deliver("chu-nord", false) // received, its rows not in yet
	s.copy("hub/keys", "kept-ring")
	s.copy("safe/hub.key", "kept.key")
	before := s.objects(s.at("store"))
	var r Rotated
	s.with(func(h *Hub) {
		var err error
		r, err = h.RotateKeys(ctx, Rotation{To: []string{"file:../safe/next.key"}, By: keyOperator, Reason: "the custodian changes"})
		s.must(err)
	})
	if r.Generation != 2 || len(r.Proofs) < 4 || len(r.MayHaveKept) == 0 || r.Took > 5*time.Second || r.After[0].Ref != "file:../safe/next.key" {
		t.Errorf("%+v", r)
	}
	if _, err := s.means(s.at("hub", "keys"), s.at("kept.key")); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("the old custodian opens the ring: %v", err)
	}
	old, err := s.means(s.at("kept-ring"), s.at("kept.key"))
	s.must(err)
	s.must(os.Remove(s.at("safe", "hub.key")))
	var conf = config.DefaultHub()
	s.must(config.Read(s.at("hub"), &conf))
	if conf.Custodian != "file:../safe/next.key" || !conf.KeyBesideStore {
		t.Errorf("configuration %+v", conf)
	}

	// One holder sends by the old card, the other takes the new one.
	_, err = Trust(ctx, s.at("assurance"), s.at("hub", "card.json"))
	s.must(err)
	_, err = Trust(ctx, s.at("keeper"), s.at("hub", "card.json"))
	s.must(err)
	fresh := []havre.DeliveryID{s.deliver("chu-nord", true), s.deliver("assurance", false)}
	s.with(func(h *Hub) {
		_, err := h.Ingest(ctx, open, envelope.Folder(s.at("way", "linked", string(open))), havre.NoProgress)
		s.must(err)
		_, err = h.Mirror(ctx)
		s.must(err)
	})
	after := s.whole()
	for d, n := range rows {
		if after[d] != n {
			t.Errorf("%s: %d rows, before %d", d, after[d], n)
		}
	}
	if after[fresh[0]] == 0 || after[open] == 0 {
		t.Error("deliveries after the rotation are not in")
	}
	had, written := 0, 0
	for name, b := range s.objects(s.at("store")) {
		_, err := seal.Open(b, old...)
		if _, was := before[name]; was {
			if err == nil {
				had++
			}
			continue
		}
		if strings.HasSuffix(name, envelope.ManifestName) || strings.HasSuffix(name, envelope.LinkageName) {
			continue // signed, not sealed
		}
		written++
		if err == nil {
			t.Errorf("the old custodian opens %s, which was written after the rotation", name)
		}
	}
	if had == 0 || written < 10 {
		t.Errorf("the test proves nothing: %d old objects open, %d new ones were tried", had, written)
	}
	// An older card is refused now.
	s.copy("hub/card.json", "card-now.json")
	if _, err := Trust(ctx, s.at("keeper"), s.at("card-now.json")); err != nil {
		t.Errorf("the same card again: %v", err)
	}
}

// testRotateRefuses: what cannot be done changes nothing.
func testRotateRefuses(t *testing.T, s *keySite) {
	ctx := context.Background()
	ring, err := os.ReadFile(s.at("hub", "keys", "ring.json"))
	s.must(err)
	s.with(func(h *Hub) {
		for name, tc := range map[string]struct {
			r    Rotation
			kind havre.Kind
		}{
			"a stranger":                {Rotation{By: "stranger@hub.example"}, havre.NotFound},
			"no reference":              {Rotation{By: keyOperator, To: []string{"disk"}}, havre.Invalid},
			"the keeper's custodian":    {Rotation{By: keyOperator, To: []string{"file:../safe/keeper.key"}}, havre.Exists},
			"shares that were not made": {Rotation{By: keyOperator, To: []string{"shares:x"}}, havre.Usage},
			"a token that is not there": {Rotation{By: keyOperator, To: []string{"pkcs11:token=a;object=b?module-path=/nowhere.so"}}, havre.KeyUnavailable},
			"an identity that is none":  {Rotation{By: keyOperator, To: []string{"plugin:../pop"}}, havre.KeyUnavailable},
		} {
			if _, err := h.RotateKeys(ctx, tc.r); havre.KindOf(err) != tc.kind || name != "a stranger" && havre.HintOf(err) == "" {
				t.Errorf("%s: %v (%s), hint %q", name, err, havre.KindOf(err), havre.HintOf(err))
			}
		}
		for name, d := range map[string]Destruction{
			"no reason":                {Holder: "chu-nord", By: keyOperator},
			"nothing":                  {By: keyOperator, Reason: "x"},
			"a holder who sent none":   {Holder: "nobody", By: keyOperator, Reason: "x"},
			"an unknown delivery":      {Deliveries: []havre.DeliveryID{"00000000000000000000000000000000"}, By: keyOperator, Reason: "x"},
			"a permit never used":      {Permits: []string{"p-0009"}, By: keyOperator, Reason: "x"},
			"a stranger":               {Holder: "chu-nord", By: "stranger@hub.example", Reason: "x"},
			"the hub's key by a trick": {Permits: []string{"../hub"}, By: keyOperator, Reason: "x"},
		} {
			if c, err := h.DestroyKeys(ctx, d); err == nil {
				t.Errorf("%s: %+v", name, c)
			}
		}
	})
	again, err := os.ReadFile(s.at("hub", "keys", "ring.json"))
	if err != nil || !bytes.Equal(again, ring) {
		t.Error("a refused act changed the ring")
	}
	if len(s.whole()) != 2 {
		t.Error("rows went")
	}
}

// testDestroyKeys: the data are dead in the store, in a backup of the store,
// and in a backup of everything but the custodian's medium; the certificate
// verifies with files alone.
func testDestroyKeys(t *testing.T, s *keySite) {
	ctx := context.Background()
	rows := s.whole()
	s.copy("store", "backup-store")
	s.copy("hub", "backup-hub")
	var dead havre.DeliveryID
	s.with(func(h *Hub) {
		c, err := h.DestroyKeys(ctx, Destruction{Holder: "chu-nord", By: keyOperator, Reason: "end of the agreement"})
		s.must(err)
		if len(c.Deliveries) != 1 || c.Objects == 0 || len(c.Custodians) != 1 || !c.Custodians[0].Renewed || c.LogIndex <= c.Intent {
			t.Errorf("%+v", c)
		}
		dead = havre.DeliveryID(c.Deliveries[0])
		again, signed, err := h.Certificate(string(dead))
		if err != nil || again.ID != c.ID || len(signed) == 0 {
			t.Errorf("the certificate: %v", err)
		}
		if _, err := h.DestroyKeys(ctx, Destruction{Deliveries: []havre.DeliveryID{dead}, By: keyOperator, Reason: "again"}); havre.KindOf(err) != havre.Exists {
			t.Errorf("destroyed twice: %v", err)
		}
		if _, err := h.Warehouse.At(ctx, 1); err != nil {
			t.Errorf("the record of an older snapshot: %v", err)
		}
	})
	after := s.whole()
	if after[dead] != 0 || rows[dead] == 0 || len(after) != len(rows)-1 {
		t.Errorf("rows %v, before %v", after, rows)
	}
	// With every key that is left, nothing of it opens, in the store or its backup.
	keys, err := s.means(s.at("hub", "keys"), s.at("safe", "hub.key"))
	s.must(err)
	segments := s.segmentsOf(dead)
	opened := 0
	for name, b := range s.objects(s.at("backup-store")) {
		_, err := seal.Open(b, keys...)
		if err == nil {
			opened++
		}
		if err == nil && segments[name] {
			t.Errorf("%s of the destroyed delivery opens", name)
		}
	}
	if opened == 0 || len(segments) == 0 {
		t.Errorf("the test proves nothing: %d objects open, %d segments", opened, len(segments))
	}
	// The hub's folder from its backup, with the custodian as it is now.
	if _, err := s.means(s.at("backup-hub", "keys"), s.at("safe", "hub.key")); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("a backup of the ring opens: %v", err)
	}

	s.with(func(h *Hub) { _, err := h.ExportProofs(ctx, s.at("proofs"), s.at("released")); s.must(err) })
	trust, err := verify.ReadKeys(s.at("proofs"))
	s.must(err)
	rep, err := verify.Folder(ctx, s.at("proofs"), trust, havre.NoProgress)
	if err != nil || !strings.Contains(fmt.Sprint(rep.Checks), "dataset-"+string(dead)+" destroyed") {
		t.Errorf("%v %v", rep, err)
	}
	certificates, err := filepath.Glob(s.at("proofs", verify.DestructionsDir, "*.json"))
	if err != nil || len(certificates) != 1 {
		t.Fatalf("%v %v", certificates, err)
	}
	b, err := os.ReadFile(certificates[0])
	s.must(err)
	b[len(b)/2] ^= 1
	s.must(os.WriteFile(certificates[0], b, 0o600))
	if _, err := verify.Folder(ctx, s.at("proofs"), trust, havre.NoProgress); havre.KindOf(err) != havre.Tampered {
		t.Errorf("an altered certificate: %v", err)
	}
}

// segmentsOf names a delivery's objects in the warehouse as it was at first.
func (s *keySite) segmentsOf(d havre.DeliveryID) map[string]bool {
	names := map[string]bool{}
	s.with(func(h *Hub) {
		snap, err := h.Warehouse.At(context.Background(), 2)
		s.must(err)
		for _, e := range snap.Manifest().Segments {
			if e.Delivery == d {
				names[e.Object] = true
			}
		}
	})
	return names
}

// testSharesOfAHub: the everyday custodian is lost; two of three people open
// the hub and give it another one; then their old shares open nothing.
func testSharesOfAHub(t *testing.T, s *keySite) {
	ctx := context.Background()
	people := []string{"Claire Martin", "Yann Le Goff", "Aicha Benali"}
	s.with(func(h *Hub) {
		got, err := h.ShareKeys(ctx, Sharing{People: people, Needed: 2, Out: s.at("shares"), Place: s.at("box"), By: keyOperator})
		s.must(err)
		if len(got.Files) != 3 {
			t.Errorf("%+v", got)
		}
		if _, err := h.ShareKeys(ctx, Sharing{People: people, Needed: 2, Out: s.at("more"), Place: s.at("box"), By: keyOperator}); havre.KindOf(err) != havre.Exists {
			t.Errorf("a second set: %v", err)
		}
	})
	s.must(os.Remove(s.at("safe", "hub.key")))
	files, err := filepath.Glob(s.at("shares", "*.share"))
	s.must(err)
	opens := func(refs ...string) error {
		t.Setenv(custodianVariable, "shares:"+strings.Join(refs, ","))
		h, err := OpenHub(ctx, s.at("hub"))
		if err == nil {
			err = h.Close()
		}
		return err
	}
	for name, tc := range map[string]struct {
		refs []string
		kind havre.Kind
		what string
	}{
		"one share":            {files[:1], havre.KeyUnavailable, "Claire Martin"},
		"the same share twice": {[]string{files[0], files[0]}, havre.Invalid, "given twice"},
		"no share":             {[]string{s.at("safe", "none.share")}, havre.KeyUnavailable, "none.share"},
	} {
		if err := opens(tc.refs...); havre.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.what) || havre.HintOf(err) == "" {
			t.Errorf("%s: %v (hint %q)", name, err, havre.HintOf(err))
		}
	}
	s.must(opens(files[0], files[2]))
	s.with(func(h *Hub) {
		r, err := h.RotateKeys(ctx, Rotation{To: []string{"file:../safe/new.key"}, By: keyOperator})
		s.must(err)
		if len(r.After) != 1 || len(r.Before) != 2 {
			t.Errorf("%+v", r)
		}
	})
	if err := os.Rename(s.at("safe", "new.key"), s.at("away.key")); err != nil {
		t.Fatal(err)
	}
	if err := opens(files...); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("the old shares open: %v", err)
	}
	s.must(os.Rename(s.at("away.key"), s.at("safe", "new.key")))
	t.Setenv(custodianVariable, "")
	s.whole()
}

// testKeyBesideStore: where the store's host could read the key, the hub does
// not start unless that is accepted.
func testKeyBesideStore(t *testing.T, s *keySite) {
	ctx := context.Background()
	o := HubOptions{Dir: s.at("other"), Name: "other", Store: "file:../other-store", Custodian: "file:../safe/other.key", Buckets: 2, Actor: keyOperator}
	if _, err := InitHub(ctx, o); havre.KindOf(err) != havre.Refused || !strings.Contains(havre.HintOf(err), "key_beside_store") {
		t.Errorf("made beside its store: %v", err)
	}
	if _, err := os.Stat(s.at("safe", "other.key")); err == nil {
		t.Error("a refused init made a key")
	}
	conf := config.DefaultHub()
	s.must(config.Read(s.at("hub"), &conf))
	conf.KeyBesideStore = false
	s.must(config.Replace(s.at("hub"), conf))
	if _, err := OpenHub(ctx, s.at("hub")); havre.KindOf(err) != havre.Refused {
		t.Errorf("started beside its store: %v", err)
	}
	f, err := ReadKeyFacts(s.at("hub"))
	if err != nil || !f.BesideStore || f.Accepted || f.Generation != 1 || !f.Custodians[0].PostQuantum {
		t.Errorf("%+v, %v", f, err)
	}
	for name, tc := range map[string]struct {
		who    seal.Who
		store  string
		beside bool
	}{
		"file and folder on one disk":  {seal.Who{Kind: "file", Ref: "file:../k"}, "file:../store", true},
		"file, S3 elsewhere":           {seal.Who{Kind: "file", Ref: "file:../k"}, "s3://b/p?endpoint=https://s3.example.org", false},
		"file, S3 on this machine":     {seal.Who{Kind: "file", Ref: "file:../k"}, "s3://b/p?endpoint=http://127.0.0.1:7070", true},
		"file, S3 by a local name":     {seal.Who{Kind: "passphrase", Ref: "passphrase:../k"}, "s3://b/p?endpoint=http://localhost:7070", true},
		"file, Azurite on this one":    {seal.Who{Kind: "file", Ref: "file:../k"}, "azblob://c/p?account=a&endpoint=http://[::1]:10000", true},
		"token":                        {seal.Who{Kind: "pkcs11", Ref: "pkcs11:token=a;object=b?module-path=/l"}, "file:../store", false},
		"people":                       {seal.Who{Kind: "shares", Ref: "shares:../box"}, "file:../store", false},
		"token and file":               {seal.Who{Kind: "both", Ref: "pkcs11:token=a;object=b?module-path=/l + file:../k"}, "file:../store", false},
		"two files":                    {seal.Who{Kind: "both", Ref: "file:../j + file:../k"}, "file:../store", true},
		"file on another file system":  {seal.Who{Kind: "file", Ref: "file:/proc/1/x"}, "file:../store", false},
		"file, folder that is no more": {seal.Who{Kind: "file", Ref: "file:../k"}, "file:../gone/store", true},
	} {
		if f := place(tc.who, s.at("hub"), tc.store); f.BesideStore != tc.beside || f.Place == "" || f.BesideStore != (f.Why != "") {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// BenchmarkRotateHub rotates the keys of a hub whose store holds many objects
// and whose ring has a key for each of many deliveries.
func BenchmarkRotateHub(b *testing.B) {
	ctx := context.Background()
	s := newKeySite(b)
	const objects, deliveries = 20_000, 500
	for i := range objects {
		p := s.at("store", "segment", fmt.Sprintf("%02x", i%256), fmt.Sprintf("%064x", i))
		s.must(os.MkdirAll(filepath.Dir(p), 0o755))
		s.must(os.WriteFile(p, bytes.Repeat([]byte{1}, 4096), 0o644))
	}
	s.with(func(h *Hub) {
		for i := range deliveries {
			_, err := h.home.ring.Ensure(fmt.Sprintf("%s%032x", datasetPrefix, i))
			s.must(err)
		}
		for b.Loop() {
			r, err := h.RotateKeys(ctx, Rotation{By: keyOperator})
			s.must(err)
			if r.Took > 5*time.Second {
				b.Errorf("a rotation took %v", r.Took)
			}
		}
	})
	b.ReportMetric(objects, "objects")
	b.ReportMetric(deliveries, "datasets")
}
