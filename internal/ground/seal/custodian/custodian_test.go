package custodian

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/seal/custodian/shares"
	"github.com/havre-hub/havre/internal/havre"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ask(string) (havre.Secret, error) { return havre.NewSecret([]byte("passphrase")), nil }

// TestReferences: each is opened as what it says.
func TestReferences(t *testing.T) {
	p := Place{Dir: t.TempDir(), Ring: "0f3a9c5511aa22bb", Ask: ask}
	for _, ref := range []string{"file:a/hub.key", "passphrase:hub.pass", "file:one.key + file:two.key", "file:x.key + file:y.key + file:z.key"} {
		c, err := Create(ref, p)
		must(t, err)
		w, err := c.Wrap(havre.NewSecret([]byte("ring key")))
		must(t, err)
		again, err := Open(ref, p)
		must(t, err)
		if again.Who().Ref != ref || again.Who().ID != c.Who().ID || again.Who().Ring != p.Ring {
			t.Errorf("%s: %+v", ref, again.Who())
		}
		if s, err := again.Unwrap(w); err != nil || string(s.Reveal()) != "ring key" {
			t.Errorf("%s: %v", ref, err)
		}
		if _, err := Create(ref, p); err != nil {
			t.Errorf("%s: the ring's own custodian again: %v", ref, err)
		}
		if _, err := Create(ref, Place{Dir: p.Dir, Ring: "ffffffffffffffff", Ask: ask}); havre.KindOf(err) != havre.Exists {
			t.Errorf("%s: for another ring: %v", ref, err)
		}
	}
	if got := Path("file:a/hub.key", p.Dir); got != filepath.Join(p.Dir, "a/hub.key") {
		t.Errorf("path %s", got)
	}
	for _, bad := range []string{"", "file:", "disk:x", "x", "file:a + ", "pkcs11:x", " + file:a"} {
		if err := Check(bad); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := Open(bad, p); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Create("shares:x", p); havre.KindOf(err) != havre.Usage {
		t.Errorf("shares first: %v", err)
	}
}

// TestBoth: neither half opens alone, and renewing makes old wraps useless.
func TestBoth(t *testing.T) {
	p := Place{Dir: t.TempDir(), Ring: "0f3a9c5511aa22bb", Ask: ask}
	c, err := Create("file:one.key + file:two.key", p)
	must(t, err)
	w, err := c.Wrap(havre.NewSecret([]byte("ring key")))
	must(t, err)
	for _, half := range []string{"file:one.key", "file:two.key", "file:two.key + file:one.key"} {
		h, err := Open(half, p)
		must(t, err)
		if s, err := h.Unwrap(w); err == nil && string(s.Reveal()) == "ring key" {
			t.Errorf("%s opens alone", half)
		}
	}
	next, err := c.(seal.Renewable).Renew()
	must(t, err)
	fresh, err := next.Wrap(havre.NewSecret([]byte("new")))
	must(t, err)
	must(t, c.(seal.Renewable).Settle(next.Who().ID))
	again, err := Open("file:one.key + file:two.key", p)
	must(t, err)
	if s, err := again.Unwrap(fresh); err != nil || string(s.Reveal()) != "new" {
		t.Errorf("after renewing: %v", err)
	}
	if _, err := again.Unwrap(w); err == nil {
		t.Error("the old wrap opens")
	}
	must(t, os.Remove(filepath.Join(p.Dir, "two.key")))
	if _, err := Open("file:one.key + file:two.key", p); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("one half gone: %v", err)
	}
}

// TestRingOfPeople: a ring that is opened by shares, whose people then stay
// away while it changes.
func TestRingOfPeople(t *testing.T) {
	p := Place{Dir: t.TempDir(), Ring: seal.NewRingID(), Ask: ask}
	daily, err := Create("file:hub.key", p)
	must(t, err)
	keys := filepath.Join(p.Dir, "keys")
	ring, err := seal.CreateRing(keys, p.Ring, daily)
	must(t, err)
	_, err = ring.NewKey("hub")
	must(t, err)
	set, parts, err := shares.New("shares:box", p.Ring, 2, []string{"Claire", "Yann", "Aïcha"})
	must(t, err)
	must(t, ring.Add(set))
	must(t, os.Mkdir(filepath.Join(p.Dir, "box"), 0o700))
	put := func(i int) {
		must(t, os.WriteFile(filepath.Join(p.Dir, "box", parts[i].Person+".share"), parts[i].Text(), 0o600))
	}
	opens := func() error {
		c, err := Open("shares:box", p)
		must(t, err)
		r, err := seal.OpenRing(keys, c)
		if err == nil {
			_, err = r.Key("hub")
		}
		return err
	}
	if err := opens(); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("nobody is here: %v", err)
	}
	put(0)
	put(2)
	must(t, opens())
	// Rotation while the people are away.
	kept, err := shares.Keep("shares:box", ring.Info().Wraps[1].Sealed)
	must(t, err)
	next, err := Create("file:next.key", p)
	must(t, err)
	must(t, ring.Change(seal.Change{To: []seal.Custodian{next, kept}, Renew: []string{"hub"}}))
	must(t, opens())
	if err := ring.Change(seal.Change{To: []seal.Custodian{kept}}); havre.KindOf(err) != havre.Refused {
		t.Errorf("a ring that nobody here opens: %v", err)
	}
	must(t, opens())
}
