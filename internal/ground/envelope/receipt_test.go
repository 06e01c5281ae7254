package envelope

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

func sampleReceipt() *Receipt {
	return &Receipt{Delivery: "d1", Holder: "chu-nord", Hub: "demo", Received: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC),
		Manifest: strings.Repeat("ab", 32), Parts: 3, Rows: 1234, LogIndex: 7}
}

func TestReceiptDigest(t *testing.T) {
	r, at0 := sampleReceipt(), sampleReceipt()
	at0.LogIndex = 0
	if ReceiptDigest(r) != ReceiptDigest(at0) || r.LogIndex != 7 {
		t.Error("the digest depends on the position, or changes it")
	}
	for name, change := range map[string]func(*Receipt){
		"delivery": func(r *Receipt) { r.Delivery = "d2" },
		"holder":   func(r *Receipt) { r.Holder = "x" },
		"hub":      func(r *Receipt) { r.Hub = "x" },
		"time":     func(r *Receipt) { r.Received = r.Received.Add(time.Second) },
		"manifest": func(r *Receipt) { r.Manifest = "x" },
		"parts":    func(r *Receipt) { r.Parts++ },
		"rows":     func(r *Receipt) { r.Rows++ },
	} {
		other := sampleReceipt()
		change(other)
		if ReceiptDigest(other) == ReceiptDigest(r) {
			t.Errorf("the digest does not depend on the %s", name)
		}
	}
	f := ReceiptFacts(r)
	if f["manifest_sha256"] != r.Manifest || f["parts"] != "3" || f["rows"] != "1234" || f["receipt_sha256"] != ReceiptDigest(r) {
		t.Errorf("facts: %v", f)
	}
}

func TestManifestAndReceiptDoNotPassForEachOther(t *testing.T) {
	s := sign.NewSigner()
	receipt, err := SignReceipt(sampleReceipt(), s)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := SignManifest(&Manifest{Delivery: "d1", Holder: "chu-nord", Hub: "demo"}, s)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := VerifyReceipt(receipt, s.Public()); err != nil || *r != *sampleReceipt() {
		t.Errorf("the receipt comes back as %+v, %v", r, err)
	}
	if _, err := VerifyReceipt(manifest, s.Public()); havre.KindOf(err) != havre.Tampered {
		t.Errorf("a manifest passes for a receipt: %v", err)
	}
	if _, err := VerifyManifest(receipt, s.Public()); havre.KindOf(err) != havre.Tampered {
		t.Errorf("a receipt passes for a manifest: %v", err)
	}
	if _, err := VerifyManifest(manifest, sign.NewSigner().Public()); havre.KindOf(err) != havre.Tampered {
		t.Errorf("another holder's manifest passes: %v", err)
	}
	for i := range manifest {
		b := bytes.Clone(manifest)
		b[i] ^= 1
		if _, err := VerifyManifest(b, s.Public()); havre.KindOf(err) != havre.Tampered {
			t.Fatalf("a manifest with byte %d altered: %v", i, err)
		}
	}
}

// FuzzManifest: what verifies has one spelling.
func FuzzManifest(f *testing.F) {
	s, err := sign.ParseSigner(havre.NewSecret(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		f.Fatal(err)
	}
	good, err := SignManifest(&Manifest{Delivery: "d1", Parts: []Part{{Name: "health-0001.age", Purpose: Health, Columns: []string{"tid"}}}}, s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := VerifyManifest(b, s.Public())
		if err != nil {
			return
		}
		if again, err := SignManifest(m, s); err != nil || !bytes.Equal(again, b) {
			t.Errorf("a second spelling verifies: %s", b)
		}
	})
}
