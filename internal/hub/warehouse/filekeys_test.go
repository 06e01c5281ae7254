package warehouse

import (
	"bytes"
	"errors"
	"testing"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// TestFileKeys: the keys of a delivery's segments open these with the delivery's
// key and as long as it is there; a list that is not theirs is refused.
func TestFileKeys(t *testing.T) {
	key, stranger := newKey(t), newKey(t)
	var plain []byte
	var objects [][]byte
	for _, text := range []string{"first", "second"} {
		sealed, own, err := seal.SealKeyed([]byte(text), key.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		objects, plain = append(objects, sealed), append(plain, own.Secret().Reveal()...)
	}
	list := func(plain []byte) *fileKeys {
		sealed, err := seal.Seal(plain, key.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		m := &Manifest{Keys: []FileKeys{{"d", sealed}}, Segments: []Segment{{Object: "a", Delivery: "d"}, {Object: "b", Delivery: "d"}}}
		return fileKeysOf(m)["d"]
	}
	with := func(k *seal.Key, err error) *Warehouse {
		return &Warehouse{c: Config{Keys: Keys{Dataset: func(havre.DeliveryID, bool) (*seal.Key, error) { return k, err }}}}
	}

	good := list(plain)
	for i, object := range []string{"a", "b"} {
		k, err := with(key, nil).fileKey(Segment{Object: object, Delivery: "d"}, good)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Open(objects[i]); err != nil || string(got) != []string{"first", "second"}[i] {
			t.Errorf("%s: %q, %v", object, got, err)
		}
	}
	if _, err := with(nil, seal.ErrDestroyed).fileKey(Segment{Object: "a", Delivery: "d"}, good); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("after the delivery's key was destroyed: %v", err)
	}
	for name, c := range map[string]struct {
		keys   *fileKeys
		with   *seal.Key
		object string
		kind   havre.Kind
	}{
		"another's key":      {list(plain), stranger, "a", havre.KeyUnavailable},
		"a key too few":      {list(plain[:seal.FileKeySize]), key, "a", havre.Tampered},
		"a key too many":     {list(append(bytes.Clone(plain), plain...)), key, "a", havre.Tampered},
		"not of this list":   {list(plain), key, "c", havre.Tampered},
		"no list":            {nil, key, "a", havre.Tampered},
		"not an age file":    {&fileKeys{sealed: []byte("keys"), objects: []string{"a"}}, key, "a", havre.Tampered},
		"a list of no bytes": {list(nil), key, "a", havre.Tampered},
	} {
		if _, err := with(c.with, nil).fileKey(Segment{Object: c.object, Delivery: "d"}, c.keys); havre.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func newKey(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
