package warehouse

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/realinput"
)

var rewrite = flag.Bool("rewrite", false, "write the test vectors into docs/formats/snapshot.md, with a fresh key")

var vectorRE = regexp.MustCompile("(?s)```text vector=([a-z-]+)\n(.*?)\n?```")

func vectorManifest() *Manifest {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	const delivery = "0123456789abcdef0123456789abcdef"
	object := func(kind, first string) string { return kind + "/" + first + "/" + strings.Repeat(first, 32) }
	m := &Manifest{Format: Format, Number: 1, Parent: &Parent{0, strings.Repeat("ef", 32)}, Created: noon, CDMVersion: "5.4", Buckets: 64,
		Deliveries: []ingest.Account{{Delivery: delivery, Holder: "chu-nord", HolderID: 1, CDMVersion: "5.3", Ingested: noon, Tables: []ingest.TableAccount{
			{Table: "concept", RowsIn: 3, Stored: 3},
			{Table: "condition_occurrence", RowsIn: 1234, Stored: 1230, Rejected: map[string]int64{"bad_date:condition_start_date": 1, "unknown_person": 3}, Warnings: map[string]int64{"concept_defaulted:condition_concept_id": 7}},
		}}},
		Segments: []Segment{
			{Table: "condition_occurrence", Bucket: 63, Object: object("segment", "ab"), Size: 34567, Head: 1893, HeadSHA: strings.Repeat("12", 32), Plain: 32658, PlainSHA: strings.Repeat("34", 32), Rows: 1230, First: "2015-01-02", Last: "2025-12-31", Delivery: delivery, HolderID: 1},
			{Table: "concept", Bucket: ingest.Unbucketed, Object: object("segment", "cd"), Size: 4321, Head: 1893, HeadSHA: strings.Repeat("56", 32), Plain: 2412, PlainSHA: strings.Repeat("78", 32), Rows: 3, Delivery: delivery, HolderID: 1},
		},
		Rejected: []Rejected{{Object: object("rejected", "9a"), Size: 2345, Rows: 4, Delivery: delivery}},
		Keys:     []FileKeys{{Delivery: delivery, Sealed: []byte("age-encryption.org/v1\n-> mlkem768x25519 ...")}},
	}
	m.sorted()
	return m
}

// TestVectors: docs/formats/snapshot.md shows byte for byte what the code makes
// and takes. With -rewrite the test writes them there.
func TestVectors(t *testing.T) {
	path := filepath.Join(realinput.Root(t), "docs", "formats", "snapshot.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, m := range vectorRE.FindAllSubmatch(page, -1) {
		shown[string(m[1])] = string(m[2])
	}
	want := snapshotVectors(t, shown)
	if *rewrite {
		page = vectorRE.ReplaceAllFunc(page, func(block []byte) []byte {
			name := string(vectorRE.FindSubmatch(block)[1])
			return []byte("```text vector=" + name + "\n" + want[name] + "\n```")
		})
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !slices.Equal(slices.Sorted(maps.Keys(shown)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("the page shows %v", slices.Sorted(maps.Keys(shown)))
	}
	for name, v := range want {
		if shown[name] != v {
			t.Errorf("the vector %s is\n%s\nand the code makes\n%s", name, shown[name], v)
		}
	}
}

func snapshotVectors(t *testing.T, shown map[string]string) map[string]string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	bucketKey := havre.NewSecret(bytes.Repeat([]byte{7}, 32))
	m := vectorManifest()
	text, err := sign.Canonical(m)
	must(err)
	plain, root, err := encode(m, bucketKey)
	must(err)
	first, err := sign.Canonical(head{m.Format, m.Number, m.Parent, m.Created, m.CDMVersion, m.Buckets})
	must(err)
	v := map[string]string{"manifest": string(text), "root": root, "object": string(plain), "leaf": hex.EncodeToString(leafOf(first))}
	if byHand := rootByHand(t, text); byHand != root {
		t.Errorf("the page's description of the root gives %s, the code %s", byHand, root)
	}
	macByHand := hmac.New(sha256.New, bytes.Repeat([]byte{7}, 32))
	macByHand.Write([]byte("havre:snapshot:" + root))
	if got := `{"mac":"` + hex.EncodeToString(macByHand.Sum(nil)) + `","manifest":` + string(text) + `}`; got != string(plain) {
		t.Errorf("the page's description of the object gives\n%s\nthe code\n%s", got, plain)
	}
	const person = 1234567890123456789
	w := &Warehouse{c: Config{Keys: Keys{Bucket: bucketKey}}, buckets: 64}
	h := hmac.New(sha256.New, bytes.Repeat([]byte{7}, 32))
	h.Write(binary.BigEndian.AppendUint64(nil, person))
	if got, byHand := w.bucketOf(person), int(h.Sum(nil)[0]>>2); got != byHand {
		t.Errorf("the bucket is %d, by the page %d", got, byHand)
	}
	v["bucket"] = fmt.Sprint(w.bucketOf(person))

	if *rewrite {
		key, err := seal.NewKey()
		must(err)
		sealed, err := seal.Seal(plain, key.Recipient())
		must(err)
		shown["known-key"], shown["sealed"] = string(key.Secret().Reveal()), base64.StdEncoding.EncodeToString(sealed)
	}
	v["known-key"], v["sealed"] = shown["known-key"], shown["sealed"]
	key, err := seal.ParseKey(havre.NewSecret([]byte(shown["known-key"])))
	must(err)
	sealed, err := base64.StdEncoding.DecodeString(shown["sealed"])
	must(err)
	n := headSize(sealed)
	v["head"] = fmt.Sprintf("%d %s", n, sum(sealed[:n]))
	got, gotRoot, err := openManifest(snapshotName(1), sealed, Keys{Open: []*seal.Key{key}, Bucket: bucketKey})
	must(err)
	if again, _ := sign.Canonical(got); gotRoot != root || !bytes.Equal(again, text) {
		t.Errorf("the sealed object holds\n%s", again)
	}
	return v
}

func leafOf(b []byte) []byte { h := sha256.Sum256(append([]byte{0}, b...)); return h[:] }

// rootByHand computes the root from the manifest's text alone, as the page
// says and without the code that it describes.
func rootByHand(t *testing.T, manifest []byte) string {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(manifest, &fields); err != nil {
		t.Fatal(err)
	}
	var lists []json.RawMessage
	for _, name := range []string{"deliveries", "segments", "rejected", "keys"} {
		var list []json.RawMessage
		if err := json.Unmarshal(fields[name], &list); err != nil {
			t.Fatal(err)
		}
		lists = append(lists, list...)
		delete(fields, name)
	}
	var head []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		head = append(head, `"`+name+`":`+string(fields[name]))
	}
	leaves := [][]byte{leafOf([]byte("{" + strings.Join(head, ",") + "}"))}
	for _, l := range lists {
		leaves = append(leaves, leafOf(l))
	}
	var tree func([][]byte) []byte
	tree = func(l [][]byte) []byte {
		if len(l) == 1 {
			return l[0]
		}
		k := 1
		for 2*k < len(l) {
			k *= 2
		}
		h := sha256.Sum256(slices.Concat([]byte{1}, tree(l[:k]), tree(l[k:])))
		return h[:]
	}
	return hex.EncodeToString(tree(leaves))
}

// FuzzManifest: what decodes is in its one spelling, authentic, and of that name.
func FuzzManifest(f *testing.F) {
	key := havre.NewSecret(bytes.Repeat([]byte{7}, 32))
	plain, _, err := encode(vectorManifest(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte(`{"mac":"","manifest":{"format":"havre-snapshot/2"}}`))
	f.Add([]byte(`{"mac":"","manifest":null}`))
	f.Add(append(slices.Clone(plain), ' '))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, root, err := decode(snapshotName(1), b, key)
		if err != nil {
			if k := havre.KindOf(err); k != havre.Tampered && k != havre.Invalid {
				t.Errorf("kind %s: %v", k, err)
			}
			return
		}
		again, sameRoot, err := encode(m, key)
		if err != nil || !bytes.Equal(again, b) || root != sameRoot || m.Number != 1 {
			t.Errorf("%q decodes and encodes as %q, %v", b, again, err)
		}
	})
}
