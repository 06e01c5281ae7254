package pkcs11

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

const pin = "2468-hub"

// module finds SoftHSM2, a software token that speaks the real interface.
func module(t testing.TB) string {
	t.Helper()
	for _, p := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/usr/lib/pkcs11/libsofthsm2.so"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Fatal("SoftHSM2 is missing: apt-get install softhsm2")
	return ""
}

// TestMain gives SoftHSM a folder of its own before it is loaded: it reads its
// configuration once in a process.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "softhsm")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "conf"), []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("SOFTHSM2_CONF", filepath.Join(dir, "conf"))
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// newToken makes a token. SoftHSM lists tokens when it is loaded, so each is
// made through the library itself.
func newToken(t testing.TB, label string) {
	t.Helper()
	ctx, err := load(module(t))
	if err != nil {
		t.Fatal(err)
	}
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	free := slots[len(slots)-1] // SoftHSM keeps one slot free at the end
	must(t, ctx.InitToken(free, "so-pin-1", label))
	slots, err = ctx.GetSlotList(true)
	must(t, err)
	for _, s := range slots {
		if info, err := ctx.GetTokenInfo(s); err == nil && strings.TrimRight(info.Label, " \x00") == label {
			session, err := ctx.OpenSession(s, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
			must(t, err)
			must(t, ctx.Login(session, p11.CKU_SO, "so-pin-1"))
			must(t, ctx.InitPIN(session, pin))
			must(t, ctx.CloseAllSessions(s))
			return
		}
	}
	t.Fatal("the token that was made is not there")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func say(s string) seal.Ask {
	return func(string) (havre.Secret, error) { return havre.NewSecret([]byte(s)), nil }
}

func reference(t testing.TB, label, object string) string {
	return "pkcs11:token=" + label + ";object=" + object + "?module-path=" + module(t)
}

func TestToken(t *testing.T) {
	newToken(t, "tok-a")
	ref := reference(t, "tok-a", "hub")
	c, err := Create(ref, "", say(pin))
	must(t, err)
	w, err := c.Wrap(havre.NewSecret([]byte("ring key")))
	must(t, err)
	if strings.Contains(string(w), "ring key") {
		t.Error("what is wrapped stands in clear")
	}
	again, err := Open(ref, "", say(pin))
	must(t, err)
	if s, err := again.Unwrap(w); err != nil || string(s.Reveal()) != "ring key" {
		t.Fatalf("%v", err)
	}
	if w := again.Who(); w.ID != c.Who().ID || w.PostQuantum || w.Kind != "pkcs11" {
		t.Errorf("%+v", w)
	}
	for i := 30; i < len(w); i += 11 {
		b := []byte(string(w))
		b[i] ^= 1
		if _, err := again.Unwrap(b); err == nil {
			t.Fatalf("byte %d altered and opened", i)
		}
	}
	// The private half does not leave the token.
	must(t, again.with(func(tok *token) error {
		k, err := again.key(tok, again.id)
		if err != nil {
			return err
		}
		if v, err := tok.ctx.GetAttributeValue(tok.session, k.private, []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)}); err == nil {
			t.Errorf("the token gives its private key away (%d bytes)", len(v[0].Value))
		}
		return nil
	}))
}

// TestOtherCurves: a key that was made by the tools of the token's maker.
func TestOtherCurves(t *testing.T) {
	newToken(t, "tok-curves")
	for name, oid := range map[string]string{"p384": "06052b81040022", "p521": "06052b81040023"} {
		ref := reference(t, "tok-curves", name)
		c, err := prepare(ref, "", say(pin))
		must(t, err)
		must(t, c.with(func(tok *token) error {
			der, _ := hex.DecodeString(oid)
			_, _, err := tok.ctx.GenerateKeyPair(tok.session, []*p11.Mechanism{p11.NewMechanism(p11.CKM_EC_KEY_PAIR_GEN, nil)},
				[]*p11.Attribute{p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_LABEL, name), p11.NewAttribute(p11.CKA_ID, []byte{1}), p11.NewAttribute(p11.CKA_EC_PARAMS, der)},
				[]*p11.Attribute{p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_LABEL, name), p11.NewAttribute(p11.CKA_ID, []byte{1}), p11.NewAttribute(p11.CKA_DERIVE, true), p11.NewAttribute(p11.CKA_SENSITIVE, true)})
			return err
		}))
		c, err = Open(ref, "", say(pin))
		must(t, err)
		w, err := c.Wrap(havre.NewSecret([]byte("x")))
		must(t, err)
		if s, err := c.Unwrap(w); err != nil || string(s.Reveal()) != "x" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRenew: once settled, what was wrapped before opens no more.
func TestRenew(t *testing.T) {
	newToken(t, "tok-renew")
	c, err := Create(reference(t, "tok-renew", "hub"), "", say(pin))
	must(t, err)
	old, err := c.Wrap(havre.NewSecret([]byte("old")))
	must(t, err)
	next, err := c.Renew()
	must(t, err)
	fresh, err := next.Wrap(havre.NewSecret([]byte("new")))
	must(t, err)
	for _, w := range [][]byte{old, fresh} {
		if _, err := c.Unwrap(w); err != nil {
			t.Errorf("before settling: %v", err)
		}
	}
	must(t, c.Settle("00"))
	if _, err := c.Unwrap(old); err != nil {
		t.Errorf("settling on a key that is not there destroyed one: %v", err)
	}
	must(t, c.Settle(next.Who().ID))
	must(t, c.Settle(next.Who().ID))
	if _, err := c.Unwrap(old); havre.KindOf(err) != havre.KeyUnavailable || !strings.Contains(havre.HintOf(err), "replaced or destroyed") {
		t.Errorf("the old wrap: %v", err)
	}
	if s, err := c.Unwrap(fresh); err != nil || string(s.Reveal()) != "new" {
		t.Errorf("the fresh wrap: %v", err)
	}
}

func TestTokenRefuses(t *testing.T) {
	newToken(t, "tok-no")
	_, err := Create(reference(t, "tok-no", "hub"), "", say(pin))
	must(t, err)
	ctx, err := load(module(t))
	must(t, err)
	_ = ctx // logged in nowhere: every session of this process is closed
	for name, tc := range map[string]struct {
		ref  string
		pin  string
		kind havre.Kind
		hint string
	}{
		"wrong PIN":       {reference(t, "tok-no", "hub"), "0000", havre.KeyUnavailable, "locks after a few wrong PINs"},
		"token gone":      {reference(t, "tok-pulled", "hub"), pin, havre.KeyUnavailable, "plug it in; the library sees"},
		"no such key":     {reference(t, "tok-no", "other"), pin, havre.KeyUnavailable, "another token of the same label"},
		"no such library": {"pkcs11:token=a;object=b?module-path=/nowhere.so", pin, havre.KeyUnavailable, "library of the token's maker"},
		"not a library":   {"pkcs11:token=a;object=b?module-path=/etc/hostname", pin, havre.KeyUnavailable, "library of the token's maker"},
	} {
		_, err := Open(tc.ref, "", say(tc.pin))
		if havre.KindOf(err) != tc.kind || !strings.Contains(havre.HintOf(err), tc.hint) {
			t.Errorf("%s: %v (hint %q)", name, err, havre.HintOf(err))
		}
	}
	if _, err := Create(reference(t, "tok-no", "hub"), "", say(pin)); havre.KindOf(err) != havre.Exists {
		t.Errorf("made twice: %v", err)
	}
	if _, err := Open(reference(t, "tok-no", "hub"), "", say(pin)); err != nil {
		t.Errorf("after all that the token does not open: %v", err)
	}
}

// TestExplain: answers that SoftHSM never gives (it does not lock) have their
// words too.
func TestExplain(t *testing.T) {
	for code, hint := range map[uint]string{
		p11.CKR_PIN_LOCKED: "security officer", p11.CKR_DEVICE_REMOVED: "the token is gone", p11.CKR_PIN_INCORRECT: "nothing was changed", p11.CKR_GENERAL_ERROR: "tools of its maker"} {
		err := explain("it refuses", p11.Error(code))
		if havre.KindOf(err) != havre.KeyUnavailable || !strings.Contains(havre.HintOf(err), hint) {
			t.Errorf("%x: %v, hint %q", code, err, havre.HintOf(err))
		}
	}
}

func TestURI(t *testing.T) {
	u, err := ParseURI("pkcs11:token=My%20HSM;object=hub%3B1?module-path=/l.so&pin-source=file:/run/pin")
	if err != nil || u != (URI{"My HSM", "hub;1", "/l.so", "/run/pin"}) {
		t.Errorf("%+v %v", u, err)
	}
	for _, bad := range []string{"", "file:x", "pkcs11:", "pkcs11:token=a;object=b", "pkcs11:token=a;object=b?module-path=", "pkcs11:token=a;token=b;object=c?module-path=/l",
		"pkcs11:token=a;object=b;id=%01?module-path=/l", "pkcs11:token=a;object=b?module-path=/l&pin-value=1234", "pkcs11:token=a;object=b?module-path=/l&pin-source=env:X", "pkcs11:token=%zz;object=b?module-path=/l"} {
		if _, err := ParseURI(bad); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	_, err = ParseURI("pkcs11:token=a;object=b?module-path=/l&pin-value=secret99")
	if strings.Contains(fmt.Sprint(err, havre.HintOf(err)), "secret99") {
		t.Error("the error prints the PIN")
	}
}

func FuzzURI(f *testing.F) {
	f.Add("pkcs11:token=My%20HSM;object=hub?module-path=/l.so&pin-source=file:/run/pin")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err == nil && (u.Token == "" || u.Object == "" || u.Module == "") {
			t.Errorf("%q: %+v", s, u)
		}
	})
}

func FuzzWrapped(f *testing.F) {
	f.Add([]byte(`{"format":"havre-pkcs11/1","key":"00","sealed":"AAAA"}`))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = parseWrapped(b) })
}
