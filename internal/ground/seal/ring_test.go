package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

func TestRing(t *testing.T) {
	dir := t.TempDir()
	c, err := CreateFileCustodian(filepath.Join(dir, "custodian", "hub.key"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := CreateRing(filepath.Join(dir, "keys"), c)
	if err != nil {
		t.Fatal(err)
	}
	k, err := r.NewKey("hub")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Put("mac", havre.NewSecret([]byte("0123456789abcdef"))); err != nil {
		t.Fatal(err)
	}

	again, err := OpenFileCustodian(filepath.Join(dir, "custodian", "hub.key"))
	if err != nil {
		t.Fatal(err)
	}
	r2, err := OpenRing(filepath.Join(dir, "keys"), again)
	if err != nil {
		t.Fatal(err)
	}
	k2, err := r2.Key("hub")
	if err != nil || k2.Recipient().String() != k.Recipient().String() {
		t.Fatalf("the key read back differs: %v", err)
	}
	if s, err := r2.Get("mac"); err != nil || string(s.Reveal()) != "0123456789abcdef" {
		t.Fatalf("the secret read back differs: %v", err)
	}
	for _, f := range []string{"hub.age", "mac.age"} {
		b, _ := os.ReadFile(filepath.Join(dir, "keys", f))
		if bytes.Contains(b, []byte("0123456789abcdef")) || bytes.Contains(b, []byte("AGE-SECRET")) {
			t.Errorf("%s holds a secret in clear", f)
		}
	}
}

func TestRingRefuses(t *testing.T) {
	dir := t.TempDir()
	c, _ := CreateFileCustodian(filepath.Join(dir, "a.key"))
	other, _ := CreateFileCustodian(filepath.Join(dir, "b.key"))
	r, _ := CreateRing(filepath.Join(dir, "keys"), c)
	if _, err := r.NewKey("hub"); err != nil {
		t.Fatal(err)
	}
	stranger, _ := OpenRing(filepath.Join(dir, "keys"), other)
	loose := filepath.Join(dir, "loose.key")
	if err := os.WriteFile(loose, c.key.Secret().Reveal(), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		do   func() error
		kind havre.Kind
	}{
		"a second ring at one place":     {func() error { _, err := CreateRing(filepath.Join(dir, "keys"), c); return err }, havre.Exists},
		"a second key of one name":       {func() error { _, err := r.NewKey("hub"); return err }, havre.Exists},
		"a key that was never made":      {func() error { _, err := r.Key("dataset"); return err }, havre.KeyUnavailable},
		"a ring that is gone":            {func() error { _, err := OpenRing(filepath.Join(dir, "gone"), c); return err }, havre.KeyUnavailable},
		"another custodian":              {func() error { _, err := stranger.Key("hub"); return err }, havre.KeyUnavailable},
		"a custodian made twice":         {func() error { _, err := CreateFileCustodian(filepath.Join(dir, "a.key")); return err }, havre.Exists},
		"a custodian's key gone":         {func() error { _, err := OpenFileCustodian(filepath.Join(dir, "c.key")); return err }, havre.KeyUnavailable},
		"a custodian's key all can read": {func() error { _, err := OpenFileCustodian(loose); return err }, havre.KeyUnavailable},
		"a name that leaves the ring":    {func() error { return r.Put("../x", havre.NewSecret([]byte("x"))) }, havre.Invalid},
	} {
		if err := tc.do(); havre.KindOf(err) != tc.kind {
			t.Errorf("%s: got %v (%s), want kind %s", name, err, havre.KindOf(err), tc.kind)
		}
	}
	b, _ := os.ReadFile(filepath.Join(dir, "keys", "hub.age"))
	b[len(b)-1] ^= 1
	_ = os.WriteFile(filepath.Join(dir, "keys", "hub.age"), b, 0o600)
	if _, err := r.Key("hub"); havre.KindOf(err) != havre.Tampered {
		t.Errorf("an altered key gives %v", err)
	}
}
