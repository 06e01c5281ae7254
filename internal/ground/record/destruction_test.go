package record

import (
	"bytes"
	"testing"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

func destruction() *Destruction {
	return &Destruction{ID: "destruction-7", Hub: "demo", Deliveries: []string{"d1"}, Permits: []string{}, Keys: []DestroyedKey{{"dataset-d1", []string{"00"}}},
		Reason: "the holder left", By: "operator@havre.example", Intent: 7, Done: noon, Generation: 2, Snapshot: "ab", Objects: 3, Bytes: 9,
		Custodians: []DestroyedCustodian{{Kind: "file", ID: "11", Renewed: true}}, LogIndex: 8}
}

func TestDestruction(t *testing.T) {
	s := sign.NewSigner()
	b, err := SignDestruction(destruction(), s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := VerifyDestruction(b, s.Public())
	if err != nil || sign.Digest(d) != sign.Digest(destruction()) {
		t.Errorf("%+v, %v", d, err)
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1
		if _, err := VerifyDestruction(c, s.Public()); havre.KindOf(err) != havre.Tampered {
			t.Fatalf("byte %d altered: %v", i, err)
		}
	}
	for name, change := range map[string]func(*Destruction){
		"another id": func(d *Destruction) { d.ID = "destruction-8" }, "no key": func(d *Destruction) { d.Keys = nil },
		"nobody": func(d *Destruction) { d.By = "" }, "no custodian": func(d *Destruction) { d.Custodians = nil },
	} {
		d := destruction()
		change(d)
		b, err := SignDestruction(d, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyDestruction(b, s.Public()); havre.KindOf(err) != havre.Tampered {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := destruction()
	other.LogIndex = 0
	if DestructionDigest(other) != DestructionDigest(destruction()) {
		t.Error("the digest hangs on the position")
	}
	other.Objects++
	if DestructionDigest(other) == DestructionDigest(destruction()) {
		t.Error("the digest does not hang on what was destroyed")
	}
}

// FuzzVerifyDestruction: what verifies has one spelling.
func FuzzVerifyDestruction(f *testing.F) {
	s, err := sign.ParseSigner(havre.NewSecret(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		f.Fatal(err)
	}
	good, err := SignDestruction(destruction(), s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := VerifyDestruction(b, s.Public())
		if err != nil {
			return
		}
		if again, err := SignDestruction(d, s); err != nil || !bytes.Equal(again, b) {
			t.Errorf("a second spelling verifies: %s", b)
		}
	})
}
