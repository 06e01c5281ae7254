package verify

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

func TestKeys(t *testing.T) {
	k := OneKey("demo", "hub.example/log", sign.NewSigner().Public())
	b, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseKeys(b)
	if err != nil || got.Fingerprint() != k.Fingerprint() || len(k.Fingerprint()) != 71 {
		t.Fatalf("keys come back with fingerprint %q, %v", got.Fingerprint(), err)
	}
	for name, bad := range map[string][]byte{
		"no newline":   bytes.TrimSpace(b),
		"a space":      append([]byte(" "), b...),
		"another":      bytes.Replace(b, []byte(`"version":1`), []byte(`"version":2`), 1),
		"no hub":       bytes.Replace(b, []byte(`"demo"`), []byte(`""`), 1),
		"bad origin":   bytes.Replace(b, []byte(`hub.example/log`), []byte(`hub log`), 1),
		"an extra key": bytes.Replace(b, []byte(`{"hub"`), []byte(`{"a":1,"hub"`), 1),
	} {
		if bytes.Equal(bad, b) {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := ParseKeys(bad); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEmptyAndHostileFolders: a folder that a stranger made must not stop the checker.
func TestEmptyAndHostileFolders(t *testing.T) {
	k := OneKey("demo", "hub.example/log", sign.NewSigner().Public())
	dir := t.TempDir()
	if rep, err := Folder(t.Context(), dir, k, havre.NoProgress); havre.KindOf(err) != havre.Tampered || rep.OK {
		t.Errorf("an empty folder: %v", err)
	}
	for _, d := range []string{"log/checkpoint", "receipts/a.json", "permits/p.json", "releases/r/record.json"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil { // folders where files should be
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "receipts", "b.json")); err != nil {
		t.Fatal(err)
	}
	rep, err := Folder(t.Context(), dir, k, havre.NoProgress)
	if havre.KindOf(err) != havre.Tampered || len(rep.Checks) != 6 || rep.Failed != 6 {
		t.Errorf("a hostile folder: %v %+v", err, rep)
	}
}

// fixed is a key that everybody knows: seeds of a fuzzer must stay the same.
func fixed(t testing.TB) *sign.Signer {
	t.Helper()
	s, err := sign.ParseSigner(havre.NewSecret(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzFolder puts any bytes where documents should be.
func FuzzFolder(f *testing.F) {
	k := OneKey("demo", "hub.example/log", fixed(f).Public())
	keys, err := k.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("{}"), []byte("hub.example/log\n0\n\n"), keys)
	f.Fuzz(func(t *testing.T, document, checkpoint, keyFile []byte) {
		if k, err := ParseKeys(keyFile); err == nil {
			if again, err := k.Encode(); err != nil || !bytes.Equal(again, keyFile) {
				t.Errorf("keys %q have a second spelling", keyFile)
			}
		}
		fsys := fstest.MapFS{}
		for name, b := range map[string][]byte{
			"log/checkpoint": checkpoint, "log/checkpoints.jsonl": document, "log/tile/entries/000": document, "log/tile/0/000": document,
			"receipts/a.json": document, "permits/a.json": document, "moves/a.json": document, "releases/a/record.json": document,
		} {
			fsys[name] = &fstest.MapFile{Data: b}
		}
		rep, err := Files(t.Context(), fsys, k, havre.NoProgress)
		if err == nil || rep == nil || rep.OK || len(rep.Checks) < 4 {
			t.Errorf("a made-up folder passed: %v %+v", err, rep)
		}
	})
}
