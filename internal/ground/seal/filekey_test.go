package seal

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

// TestFileKey: the key of one object opens that object and no other; those to
// whom it is sealed open it as ever.
func TestFileKey(t *testing.T) {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Repeat([]byte("rows "), 40_000)
	var sealed [2][]byte
	var one FileKey
	for i := range sealed {
		if sealed[1-i], one, err = SealKeyed(plain, k.Recipient(), other.Recipient()); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []*Key{k, other} {
		if got, err := Open(sealed[0], to); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if got, err := one.Open(sealed[0]); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := one.Open(sealed[1]); havre.KindOf(err) != havre.Tampered {
		t.Errorf("the key of another object: %v", err)
	}
	again := NewFileKey(havre.NewSecret(bytes.Clone(one.Secret().Reveal())))
	r, n, err := again.OpenAt(bytes.NewReader(sealed[0]), int64(len(sealed[0])))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, n))
	if err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, _, err := one.OpenAt(bytes.NewReader(sealed[1]), int64(len(sealed[1]))); havre.KindOf(err) != havre.Tampered {
		t.Errorf("the key of another object: %v", err)
	}
	if text := fmt.Sprintf("%v %s", one, one); text != "[secret] [secret]" {
		t.Errorf("it prints as %s", text)
	}
}
