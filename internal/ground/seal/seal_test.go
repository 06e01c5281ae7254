package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

func newKey(t testing.TB) *Key {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealOpen(t *testing.T) {
	a, b, c := newKey(t), newKey(t), newKey(t)
	for _, n := range []int{0, 1, 65535, 65536, 65537, 200_000} { // age works in chunks of 64 KiB
		plain := make([]byte, n)
		_, _ = rand.Read(plain)
		sealed, own, err := SealKeyed(plain, a.Recipient(), b.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		for name, k := range map[string][]*Key{"first": {a}, "second": {b}, "one of several": {c, b}} {
			if got, err := Open(sealed, k...); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %s: %v", n, name, err)
			}
		}
		for name, k := range map[string][]*Key{"another": {c}, "none": {}, "nil": {nil}} {
			if _, err := Open(sealed, k...); havre.KindOf(err) != havre.KeyUnavailable {
				t.Errorf("%d bytes, %s key: %v", n, name, err)
			}
		}
		r, size, err := own.OpenAt(bytes.NewReader(sealed), int64(len(sealed)))
		if err != nil || size != int64(n) {
			t.Fatalf("random access to %d bytes: %d, %v", n, size, err)
		}
		if n > 10 {
			got := make([]byte, 10)
			if _, err := r.ReadAt(got, int64(n-10)); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, plain[n-10:]) {
				t.Errorf("the last bytes of %d: %v", n, err)
			}
		}
	}
	if x, y := must(Seal(nil, a.Recipient()))(t), must(Seal(nil, a.Recipient()))(t); bytes.Equal(x, y) {
		t.Error("sealing twice gives the same bytes")
	}
	if _, err := Seal([]byte("x")); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("sealing to nobody: %v", err)
	}
	if _, err := Seal([]byte("x"), Recipient{}); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("sealing to an empty recipient: %v", err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestAltered alters and cuts a sealed object everywhere: nothing of it opens.
func TestAltered(t *testing.T) {
	k := newKey(t)
	sealed := must(Seal(bytes.Repeat([]byte("marker-text "), 6000), k.Recipient()))(t)
	step := max(1, len(sealed)/400)
	for i := 0; i < len(sealed); i += step {
		b := bytes.Clone(sealed)
		b[i] ^= 0x10
		if got, err := Open(b, k); err == nil || got != nil {
			t.Errorf("a flip at %d of %d opens", i, len(sealed))
		}
		if got, err := Open(sealed[:i], k); err == nil || got != nil {
			t.Errorf("the first %d of %d bytes open", i, len(sealed))
		}
	}
	if _, err := Open(append(bytes.Clone(sealed), 0), k); havre.KindOf(err) != havre.Tampered {
		t.Errorf("a byte more: %v", err)
	}
	if bytes.Contains(sealed, []byte("marker")) {
		t.Error("the plaintext shows")
	}
}

func TestKeysNeverPrint(t *testing.T) {
	k := newKey(t)
	secret := string(k.Secret().Reveal())
	if !strings.HasPrefix(secret, "AGE-SECRET-KEY-PQ-1") {
		t.Fatalf("the key's text has another form")
	}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %s", k, k, k), fmt.Sprint(k.Secret())} {
		if strings.Contains(s, "AGE-SECRET") {
			t.Errorf("a key prints itself")
		}
	}
	_, err := ParseKey(havre.NewSecret([]byte(secret[:len(secret)-1] + "x")))
	if havre.KindOf(err) != havre.KeyUnavailable || strings.Contains(err.Error(), secret[20:40]) {
		t.Errorf("a damaged key: %v", havre.KindOf(err))
	}
	again := must(ParseKey(k.Secret()))(t)
	r := must(ParseRecipient(again.Recipient().String()))(t)
	if got := must(Open(must(Seal([]byte("x"), r))(t), k))(t); string(got) != "x" {
		t.Error("a key read back opens something else")
	}
	var u Recipient
	if err := u.UnmarshalText([]byte("age1zzz")); havre.KindOf(err) != havre.Invalid {
		t.Errorf("a bad recipient: %v", err)
	}
}

// FuzzOpen: no made-up or altered bytes open, and none panic.
func FuzzOpen(f *testing.F) {
	k := newKey(f)
	plain := bytes.Repeat([]byte("0123456789"), 7000)
	sealed, own, err := SealKeyed(plain, k.Recipient())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte("age-encryption.org/v1\n"), false)
	f.Add(uint32(len(sealed)-1), []byte{0}, true)
	f.Fuzz(func(t *testing.T, at uint32, put []byte, cut bool) {
		i := int(at) % (len(sealed) + 1)
		b := append(append(bytes.Clone(sealed[:i]), put...), sealed[min(i+len(put), len(sealed)):]...)
		if cut {
			b = append(bytes.Clone(sealed[:i]), put...)
		}
		got, err := Open(b, k)
		if bytes.Equal(b, sealed) {
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("the unaltered object: %v", err)
			}
		} else if err == nil || got != nil {
			t.Errorf("%d bytes put at %d open", len(put), i)
		}
		if r, n, err := own.OpenAt(bytes.NewReader(b), int64(len(b))); err == nil && n >= 0 && n < 1<<20 {
			all := make([]byte, n)
			if _, err := r.ReadAt(all, 0); (err == nil || errors.Is(err, io.EOF)) && !bytes.Equal(all, plain) {
				t.Errorf("random access gives other bytes after %d were put at %d", len(put), i)
			}
		}
	})
}
