package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

func TestWriteReadBack(t *testing.T) {
	dir := t.TempDir()
	want := Hub{Name: "le-havre", Store: "s3://b/p?endpoint=http://127.0.0.1:7070", Custodian: "file:../c.key", Listen: ":0", Memory: "2GiB"}
	if err := Write(dir, want); err != nil {
		t.Fatal(err)
	}
	got := DefaultHub()
	if err := Read(dir, &got); err != nil || got != want {
		t.Fatalf("read back %+v: %v", got, err)
	}
	if err := Write(dir, want); havre.KindOf(err) != havre.Exists {
		t.Errorf("a configuration was overwritten: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, hint string }{
		"a misspelt key":  {"name: x\nstor: file:y\n", `did you mean "store"?`},
		"an unknown key":  {"name: x\npassword_of_everything: y\n", "the keys are: name, store"},
		"not YAML at all": {"{{{", "the keys are"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := DefaultHub()
		err := Read(dir, &c)
		if havre.KindOf(err) != havre.Invalid || !strings.Contains(havre.HintOf(err), tc.hint) {
			t.Errorf("%s: %v, hint %q", name, err, havre.HintOf(err))
		}
	}
	c := DefaultHub()
	if err := Read(t.TempDir(), &c); havre.KindOf(err) != havre.NotFound {
		t.Errorf("a missing configuration: %v", err)
	}
}

func TestMemoryBytes(t *testing.T) {
	for text, want := range map[string]int64{"1GiB": 1 << 30, "512 MiB": 512 << 20, "": 0, "lots": 0, "-1GiB": 0, "1GB": 0} {
		got, err := Hub{Memory: text}.MemoryBytes()
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
