package envelope

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/realinput"
)

// TestPublishedPayloads: the payloads of the format page are what is signed.
func TestPublishedPayloads(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(realinput.Root(t), "docs", "formats", "linkage.md"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	zeros := strings.Repeat("0", 64)
	for name, v := range map[string]any{
		"linkage-payload": Linkage{Delivery: "00112233445566778899aabbccddeeff", Holder: "chu-nord", Hub: "demo", Keeper: "keeper", Created: at,
			Manifest: zeros, KeyVersion: 1, Rows: 3, Persons: 2,
			Counts: LinkageCounts{Linked: map[string]int64{"nir": 1}, New: 1, Review: map[string]int64{"nir_conflict": 1}},
			Parts: []Part{{Name: LinkagePartName(1), Purpose: LinkagePurpose, Table: "linkage", Columns: LinkageColumns(), Rows: 3,
				Size: 1999, SHA256: zeros, PlainSize: 287}}},
		"opt-out-payload": OptOut{ID: "00112233445566778899aabbccddeeff", Hub: "demo", Keeper: "keeper", At: at, Out: true, KeyVersion: 1,
			Pseudonyms: []string{"p1.1." + strings.Repeat("a", 52)}},
	} {
		want, err := sign.Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(page), "```text vector="+name+"\n")
		if got, _, _ := strings.Cut(rest, "\n"); !ok || got != string(want) {
			t.Errorf("%s: the page has\n%s\nthe program signs\n%s", name, got, want)
		}
	}
}

func TestUnpackHoldsItsBound(t *testing.T) {
	bomb := Pack(make([]byte, 1<<24))
	if len(bomb) > 1<<14 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	for _, size := range []int64{0, 1, 1<<24 - 1, 1<<24 + 1} {
		if _, err := Unpack(bomb, size); havre.KindOf(err) != havre.Invalid {
			t.Errorf("unpacked as %d bytes: %v", size, err)
		}
	}
	if b, err := Unpack(bomb, 1<<24); err != nil || len(b) != 1<<24 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := Unpack(append(bomb, Pack([]byte("x"))...), 1<<24); havre.KindOf(err) != havre.Invalid {
		t.Errorf("a second frame: %v", err)
	}
	if _, err := Unpack([]byte("no zstd"), 7); havre.KindOf(err) != havre.Invalid {
		t.Errorf("no zstd: %v", err)
	}
}

func TestRecordsAreCounted(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "a\n": 1, "a": 1, "a,b\n\"x\ny\",2\n": 2, "a\n\"he said \"\"\n\"\"\",3\nb\n": 3} {
		if got := countRecords([]byte(text)); got != want {
			t.Errorf("%q has %d records, want %d", text, got, want)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(Pack([]byte("tid,pseudonym\n")), uint16(14))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd}, uint16(0))
	f.Fuzz(func(t *testing.T, packed []byte, size uint16) {
		b, err := Unpack(packed, int64(size))
		if err == nil && len(b) != int(size) {
			t.Errorf("%d bytes, want %d", len(b), size)
		}
		if err != nil && havre.KindOf(err) != havre.Invalid {
			t.Errorf("not a clear error: %v", err)
		}
	})
}
