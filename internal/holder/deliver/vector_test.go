package deliver

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/realinput"
)

var rewrite = flag.Bool("rewrite", false, "write the test vectors into docs/formats/delivery.md")

var vectorRE = regexp.MustCompile("(?s)```text vector=([a-z-]+)\n(.*?)\n?```")

// TestVectors: docs/formats/delivery.md shows byte for byte what the code makes
// and takes. With -rewrite the test writes them there, with a fresh key.
func TestVectors(t *testing.T) {
	path := filepath.Join(realinput.Root(t), "docs", "formats", "delivery.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, m := range vectorRE.FindAllSubmatch(page, -1) {
		shown[string(m[1])] = string(m[2])
	}
	want := vectors(t, shown)
	if *rewrite {
		page = vectorRE.ReplaceAllFunc(page, func(block []byte) []byte {
			name := string(vectorRE.FindSubmatch(block)[1])
			return []byte("```text vector=" + name + "\n" + strings.TrimSuffix(want[name], "\n") + "\n```")
		})
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(shown) != len(want) {
		t.Errorf("the page shows %d vectors of %d", len(shown), len(want))
	}
	for name, v := range want {
		if shown[name] != strings.TrimSuffix(v, "\n") {
			t.Errorf("the vector %s is\n%s\nand the code makes\n%s", name, shown[name], v)
		}
	}
}

// vectors makes every vector. Key and sealed part are taken from the page, for
// sealing is random, unless the page is to be written anew.
func vectors(t *testing.T, shown map[string]string) map[string]string {
	t.Helper()
	signer, err := sign.ParseSigner(havre.NewSecret(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	key, part, sealed, text := vectorPart(t, shown)
	m := &envelope.Manifest{
		Delivery: "0123456789abcdef0123456789abcdef", Holder: "chu-nord", Hub: "demo", Created: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC),
		CDMVersion: "5.4", Persons: 0, Period: &envelope.Period{First: "2026-01-31", Last: "2026-01-31"}, Parts: []envelope.Part{part},
		Sources: []envelope.Source{{File: "cdm/CONDITION_OCCURRENCE.csv", Table: "condition_occurrence", RowsIn: 3, RowsSent: 2,
			Malformed: map[string]int64{"column_count": 1}, Recoded: 1, Ignored: []string{"remark"}}},
		Accepted: []string{"observation.value_as_string"},
	}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	payload, err := sign.Canonical(m)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := envelope.SignManifest(m, signer)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(manifest)
	r := &envelope.Receipt{Delivery: m.Delivery, Holder: m.Holder, Hub: m.Hub, Received: time.Date(2026, 5, 4, 12, 1, 0, 0, time.UTC),
		Manifest: hex.EncodeToString(sum[:]), Parts: 1, Rows: 2, LogIndex: 3}
	receipt, err := envelope.SignReceipt(r, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CheckReceipt(receipt, m, manifest, signer.Public()); err != nil {
		t.Error(err)
	}
	var back envelope.Manifest
	if err := json.Unmarshal(payload, &back); err != nil {
		t.Error(err)
	}
	return map[string]string{
		"health-csv": text, "known-key": string(key.Secret().Reveal()), "sealed-part": base64.StdEncoding.EncodeToString(sealed),
		"manifest-payload": string(payload), "manifest": string(manifest), "receipt": string(receipt), "receipt-digest": envelope.ReceiptDigest(r),
	}
}

func vectorPart(t *testing.T, shown map[string]string) (*seal.Key, envelope.Part, []byte, string) {
	t.Helper()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if !*rewrite {
		if key, err = seal.ParseKey(havre.NewSecret([]byte(shown["known-key"]))); err != nil {
			t.Fatal(err)
		}
	}
	var sealed []byte
	s := newShelf(func(_ string, b []byte) error { sealed = bytes.Clone(b); return nil })
	w := newWriter(s, key.Recipient(), envelope.Health, "condition_occurrence",
		[]string{"tid", "condition_occurrence_id", "condition_concept_id", "condition_start_date", "condition_source_value"})
	id := tid{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	for _, row := range [][]string{{"-9223372036854775808", "192671", "2026-01-31", `K92,2 "melaena"`}, {"7", "0", "", ""}} {
		w.value(id.append(nil))
		for _, v := range row {
			w.value([]byte(v))
		}
		if ok, err := w.endRow(); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	part := s.list()[0]
	if !*rewrite { // the published bytes stand for those just made
		if sealed, err = base64.StdEncoding.DecodeString(shown["sealed-part"]); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(sealed)
		part.Size, part.SHA256 = int64(len(sealed)), hex.EncodeToString(sum[:])
	}
	text, err := envelope.OpenPart(part, sealed, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, part, sealed, string(text)
}
