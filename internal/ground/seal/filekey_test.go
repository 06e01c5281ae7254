package seal

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

// TestFileKey: the key of one object opens that object and no other, and is
// had only with a key that the object was sealed to.
func TestFileKey(t *testing.T) {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Repeat([]byte("rows "), 40_000)
	var sealed [2][]byte
	for i := range sealed {
		if sealed[i], err = Seal(plain, k.Recipient()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := FileKeyOf(sealed[0], stranger); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("a stranger's key: %v", err)
	}
	one, err := FileKeyOf(sealed[0][:4096], stranger, k)
	if err != nil {
		t.Fatal(err)
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
