package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

type ringKit struct {
	t    testing.TB
	dir  string
	ring *Ring
}

func newRing(t testing.TB, names ...string) *ringKit {
	t.Helper()
	k := &ringKit{t: t, dir: t.TempDir()}
	id := NewRingID()
	c, err := CreateFileCustodian(FileOptions{Path: k.file("hub.key"), Ring: id})
	k.must(err)
	k.ring, err = CreateRing(k.keys(), id, c)
	k.must(err)
	for _, n := range names {
		_, err := k.ring.NewKey(n)
		k.must(err)
	}
	return k
}

func (k *ringKit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}
func (k *ringKit) keys() string            { return filepath.Join(k.dir, "keys") }
func (k *ringKit) file(name string) string { return filepath.Join(k.dir, "custodian", name) }

func (k *ringKit) open(file string) (*Ring, error) {
	c, err := OpenFileCustodian(FileOptions{Path: k.file(file)})
	if err != nil {
		return nil, err
	}
	return OpenRing(k.keys(), c)
}

func (k *ringKit) custodian(file string) *FileCustodian {
	k.t.Helper()
	c, err := CreateFileCustodian(FileOptions{Path: k.file(file), Ring: k.ring.Info().Ring})
	k.must(err)
	return c
}

func (k *ringKit) settle(r *Ring) {
	k.t.Helper()
	k.must(r.Custodian().(Renewable).Settle(r.Info().Wraps[0].ID))
}

func TestRing(t *testing.T) {
	k := newRing(t, "hub")
	k.must(k.ring.Put("mac", havre.NewSecret([]byte("0123456789abcdef"))))
	first, err := k.ring.Key("hub")
	k.must(err)
	again, err := k.open("hub.key")
	k.must(err)
	second, err := again.Key("hub")
	if err != nil || second.Recipient().String() != first.Recipient().String() {
		t.Fatalf("the key read back differs: %v", err)
	}
	if s, err := again.Get("mac"); err != nil || string(s.Reveal()) != "0123456789abcdef" {
		t.Fatalf("the secret read back differs: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(k.keys(), ringName))
	k.must(err)
	for _, secret := range []string{"0123456789abcdef", "AGE-SECRET", "MDEyMzQ1"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the ring's file holds a secret in clear")
		}
	}
	if names, err := again.Names(); err != nil || !slices.Equal(names, []string{"hub", "mac"}) {
		t.Errorf("names %v, %v", names, err)
	}
}

func TestRingRefuses(t *testing.T) {
	k := newRing(t, "hub")
	stranger, err := CreateFileCustodian(FileOptions{Path: k.file("stranger.key")})
	k.must(err)
	other, err := CreateFileCustodian(FileOptions{Path: k.file("other.key"), Ring: "0000000000000000"})
	k.must(err)
	b, err := os.ReadFile(k.file("hub.key"))
	k.must(err)
	k.must(os.WriteFile(k.file("loose.key"), b, 0o644))
	for name, tc := range map[string]struct {
		do   func() error
		kind havre.Kind
	}{
		"a second ring at one place":     {func() error { _, err := CreateRing(k.keys(), "x", stranger); return err }, havre.Exists},
		"a second key of one name":       {func() error { _, err := k.ring.NewKey("hub"); return err }, havre.Exists},
		"a key that was never made":      {func() error { _, err := k.ring.Key("dataset"); return err }, havre.KeyUnavailable},
		"a ring that is gone":            {func() error { _, err := OpenRing(filepath.Join(k.dir, "gone"), stranger); return err }, havre.KeyUnavailable},
		"a stranger":                     {func() error { _, err := OpenRing(k.keys(), stranger); return err }, havre.KeyUnavailable},
		"a custodian of another ring":    {func() error { _, err := OpenRing(k.keys(), other); return err }, havre.Refused},
		"wrapping for that one":          {func() error { return k.ring.Add(other) }, havre.Refused},
		"a custodian added twice":        {func() error { return k.ring.Add(k.ring.custodian) }, havre.Exists},
		"a custodian made twice":         {func() error { _, err := CreateFileCustodian(FileOptions{Path: k.file("hub.key")}); return err }, havre.Exists},
		"a custodian's key gone":         {func() error { _, err := k.open("gone.key"); return err }, havre.KeyUnavailable},
		"a custodian's key all can read": {func() error { _, err := k.open("loose.key"); return err }, havre.KeyUnavailable},
		"a name that leaves the ring":    {func() error { return k.ring.Put("../x", havre.NewSecret([]byte("x"))) }, havre.Invalid},
		"no custodian left":              {func() error { return k.ring.Change(Change{}) }, havre.Usage},
		"renewing what is not there":     {func() error { return k.ring.Change(Change{To: []Custodian{stranger}, Renew: []string{"x"}}) }, havre.NotFound},
		"destroying what is not there":   {func() error { return k.ring.Change(Change{To: []Custodian{stranger}, Destroy: []string{"x"}}) }, havre.NotFound},
	} {
		err := tc.do()
		if havre.KindOf(err) != tc.kind {
			t.Errorf("%s: %v, want %s", name, err, tc.kind)
		}
		if _, err := k.open("hub.key"); err != nil {
			t.Fatalf("%s: the ring no longer opens: %v", name, err)
		}
	}
}

// TestAnyByteAltered: neither what is sealed nor what is outside can change.
func TestAnyByteAltered(t *testing.T) {
	k := newRing(t, "hub")
	path := filepath.Join(k.keys(), ringName)
	good, err := os.ReadFile(path)
	k.must(err)
	for i := 0; i < len(good); i += 7 {
		b := bytes.Clone(good)
		b[i] ^= 4
		k.must(os.WriteFile(path, b, 0o600))
		if _, err := k.open("hub.key"); err == nil {
			t.Fatalf("byte %d altered and the ring opens", i)
		}
	}
	// The whole of the outside rewritten in its proper spelling.
	d, err := parseRing(good)
	k.must(err)
	d.Keys[0].ID = "0000000000000000"
	b, err := spell(ringFile{d.Info, d.sealed})
	k.must(err)
	k.must(os.WriteFile(path, b, 0o600))
	if _, err := k.open("hub.key"); havre.KindOf(err) != havre.Tampered {
		t.Errorf("an altered list of keys: %v", err)
	}
}

// TestRotation: who was custodian opens neither the ring nor anything sealed
// from then on, and what was sealed before stays readable.
func TestRotation(t *testing.T) {
	k := newRing(t, "hub", "dataset")
	k.must(k.ring.Put("mac", havre.NewSecret([]byte("unchanged"))))
	before, err := k.ring.Key("hub")
	k.must(err)
	old, err := Seal([]byte("before"), before.Recipient())
	k.must(err)
	kept, err := os.ReadFile(filepath.Join(k.keys(), ringName)) // what the old custodian may have kept
	k.must(err)
	next := k.custodian("next.key")
	k.must(k.ring.Change(Change{To: []Custodian{next}, Renew: []string{"hub"}, Pending: &Pending{Act: "rotate", Intent: 7}}))

	if _, err := k.open("hub.key"); havre.KindOf(err) != havre.KeyUnavailable || !strings.Contains(havre.HintOf(err), "next.key") {
		t.Errorf("the old custodian: %v, hint %q", err, havre.HintOf(err))
	}
	ring, err := k.open("next.key")
	k.must(err)
	after, err := ring.Key("hub")
	k.must(err)
	fresh, err := Seal([]byte("after"), after.Recipient())
	k.must(err)
	for _, sealed := range [][]byte{old, fresh} {
		if _, err := Open(sealed, after); err != nil {
			t.Errorf("the ring does not open: %v", err)
		}
	}
	if s, err := ring.Get("mac"); err != nil || string(s.Reveal()) != "unchanged" {
		t.Errorf("the secret: %v", err)
	}
	// With all that it kept, the old custodian opens the old and not the new.
	k.must(os.WriteFile(filepath.Join(k.keys(), ringName), kept, 0o600))
	stale, err := k.open("hub.key")
	k.must(err)
	had, err := stale.Key("hub")
	k.must(err)
	if _, err := Open(old, had); err != nil {
		t.Error(err)
	}
	if _, err := Open(fresh, had); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("the old custodian opens what was sealed after: %v", err)
	}
	if i := ring.Info(); i.Generation != 2 || i.Pending == nil || i.Pending.Intent != 7 {
		t.Errorf("info %+v", i)
	}
	k.must(ring.Finish())
	if ring.Info().Pending != nil {
		t.Error("the act is still pending")
	}
}

// TestDestroy: the key ends in every copy of the ring, since the custodian's
// own key ends with it.
func TestDestroy(t *testing.T) {
	k := newRing(t, "hub", "dataset-a", "dataset-b")
	key, err := k.ring.Key("dataset-a")
	k.must(err)
	backup, err := os.ReadFile(filepath.Join(k.keys(), ringName))
	k.must(err)
	c, err := k.ring.Custodian().(Renewable).Renew()
	k.must(err)
	k.must(k.ring.Change(Change{To: []Custodian{c}, Destroy: []string{"dataset-a"}}))
	// Until it is settled, a crash must find an opener.
	if _, err := k.open("hub.key"); err != nil {
		t.Fatalf("between switch and settling: %v", err)
	}
	k.settle(k.ring)
	k.settle(k.ring)
	ring, err := k.open("hub.key")
	k.must(err)
	if _, err := ring.Key("dataset-a"); !errors.Is(err, ErrDestroyed) || havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("the destroyed key: %v", err)
	}
	if _, err := ring.Ensure("dataset-a"); !errors.Is(err, ErrDestroyed) {
		t.Errorf("the destroyed key is made again: %v", err)
	}
	if err := ring.Put("dataset-a", key.Secret()); havre.KindOf(err) != havre.Refused {
		t.Errorf("the destroyed key is put back: %v", err)
	}
	for _, name := range []string{"hub", "dataset-b"} {
		if _, err := ring.Key(name); err != nil {
			t.Errorf("%s went too: %v", name, err)
		}
	}
	if g := ring.Info().Destroyed; len(g) != 1 || !slices.Equal(g[0].IDs, []string{key.Recipient().ID()}) {
		t.Errorf("destroyed: %+v", g)
	}
	k.must(os.WriteFile(filepath.Join(k.keys(), ringName), backup, 0o600))
	if _, err := k.open("hub.key"); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("a backup of the ring opens: %v", err)
	}
}

// TestRenewalCut: whatever a crash leaves of a renewal, the ring opens.
func TestRenewalCut(t *testing.T) {
	for name, cut := range map[string]func(k *ringKit){
		"the fresh key was not finished": func(k *ringKit) { k.must(os.WriteFile(k.file("hub.key.next"), []byte("AGE-SEC"), 0o600)) },
		"the ring was not changed": func(k *ringKit) {
			_, err := k.ring.Custodian().(Renewable).Renew()
			k.must(err)
			if _, err := k.ring.Custodian().(Renewable).Renew(); havre.KindOf(err) != havre.Exists {
				t.Errorf("renewed over an unsettled key: %v", err)
			}
		},
		"the ring was changed": func(k *ringKit) {
			c, err := k.ring.Custodian().(Renewable).Renew()
			k.must(err)
			k.must(k.ring.Change(Change{To: []Custodian{c}}))
		},
		"the old key was overwritten": func(k *ringKit) {
			c, err := k.ring.Custodian().(Renewable).Renew()
			k.must(err)
			k.must(k.ring.Change(Change{To: []Custodian{c}}))
			overwrite(k.file("hub.key"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newRing(t, "hub")
			cut(k)
			for range 3 {
				r, err := k.open("hub.key")
				k.must(err)
				k.settle(r)
				if _, err := r.Key("hub"); err != nil {
					t.Error(err)
				}
				c, err := r.Custodian().(Renewable).Renew()
				k.must(err)
				k.must(r.Change(Change{To: []Custodian{c}}))
				k.settle(r)
			}
			if _, err := os.Stat(k.file("hub.key.next")); err == nil {
				t.Error("a second key is left")
			}
		})
	}
}

// TestPassphrase: the file needs its passphrase.
func TestPassphrase(t *testing.T) {
	say := func(s string) Ask {
		return func(string) (havre.Secret, error) { return havre.NewSecret([]byte(s)), nil }
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "hub.pass")
	c, err := CreateFileCustodian(FileOptions{Path: path, Ask: say("correct horse battery"), Ring: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); bytes.Contains(b, []byte("AGE-SECRET")) || !bytes.HasPrefix(b, []byte("age-encryption.org/v1\n-> scrypt ")) {
		t.Error("the file is not sealed with scrypt")
	}
	w, err := c.Wrap(havre.NewSecret([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenFileCustodian(FileOptions{Path: path, Ask: say("correct horse battery")})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := again.Unwrap(w); err != nil || string(s.Reveal()) != "x" || again.Who().Kind != "passphrase" {
		t.Errorf("%v", err)
	}
	for _, wrong := range []string{"wrong", ""} {
		if _, err := OpenFileCustodian(FileOptions{Path: path, Ask: say(wrong)}); havre.KindOf(err) != havre.KeyUnavailable {
			t.Errorf("passphrase %q: %v", wrong, err)
		}
	}
	if _, err := OpenFileCustodian(FileOptions{Path: path}); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("without asking: %v", err)
	}
}

// FuzzRing: what parses has one spelling, and nothing makes the parser fall.
func FuzzRing(f *testing.F) {
	k := newRing(f, "hub")
	good, err := os.ReadFile(filepath.Join(k.keys(), ringName))
	k.must(err)
	f.Add(good)
	f.Add([]byte(`{"format":"havre-ring/1"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseRing(b)
		if err != nil {
			return
		}
		if again, err := spell(ringFile{d.Info, d.sealed}); err != nil || !bytes.Equal(again, b) || !json.Valid(b) {
			t.Errorf("a second spelling: %s", b)
		}
		_ = d.open(k.ring.key)
	})
}

// BenchmarkRotate changes the custodian of rings with many keys.
func BenchmarkRotate(b *testing.B) {
	for _, n := range []string{"10", "1000"} {
		b.Run("keys="+n, func(b *testing.B) {
			k := newRing(b, "hub")
			next := k.ring.doc.clone()
			for i := range map[string]int{"10": 10, "1000": 1000}[n] {
				key, err := NewKey()
				k.must(err)
				next.add(Entry{Name: "dataset-" + strings.Repeat("0", 4-len(itoa(i))) + itoa(i), Generation: 1, ID: key.Recipient().ID(), Made: now()}, key.Secret().Reveal())
			}
			k.must(k.ring.save(next, k.ring.key))
			for b.Loop() {
				c, err := k.ring.Custodian().(Renewable).Renew()
				k.must(err)
				k.must(k.ring.Change(Change{To: []Custodian{c}, Renew: []string{"hub"}}))
				k.settle(k.ring)
			}
		})
	}
}

func itoa(i int) string { b, _ := json.Marshal(i); return string(b) }
