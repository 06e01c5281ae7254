package verify

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/realinput"
)

func certificate() *record.Destruction {
	return &record.Destruction{ID: "destruction-0", Hub: "demo", Deliveries: []string{"0123456789abcdef0123456789abcdef"}, Permits: []string{},
		Keys:   []record.DestroyedKey{{Name: "dataset-0123456789abcdef0123456789abcdef", IDs: []string{"00112233aabbccdd"}}},
		Reason: "end of the agreement", By: "operator@havre.example", Intent: 0, Done: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC), Generation: 2,
		Snapshot: strings.Repeat("cd", 32), Objects: 24, Bytes: 270166,
		Custodians: []record.DestroyedCustodian{{Kind: "file", ID: "8899aabbccddeeff", Renewed: true}}, LogIndex: 1}
}

// TestDestruction: the page's example verifies in a real log, and a certificate
// that the log does not bear out fails.
func TestDestruction(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(realinput.Root(t), "docs", "formats", "destruction.md"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := sign.Canonical(certificate())
	if err != nil {
		t.Fatal(err)
	}
	for _, vector := range []string{string(payload), record.DestructionDigest(certificate())} {
		if !bytes.Contains(page, []byte("\n"+vector+"\n")) {
			t.Errorf("docs/formats/destruction.md lacks the vector\n%s", vector)
		}
	}
	for name, tc := range map[string]struct {
		change func(*record.Destruction) // of what is signed, after it was logged
		keys   string                    // of the intent in the log
		want   string
	}{
		"sound":                    {func(*record.Destruction) {}, certificate().Keys[0].Name, ""},
		"another hub's":            {func(d *record.Destruction) { d.Hub = "other" }, certificate().Keys[0].Name, `of the hub "other"`},
		"more than was logged":     {func(d *record.Destruction) { d.Objects++ }, certificate().Keys[0].Name, "destruction_sha256"},
		"another key was meant":    {func(*record.Destruction) {}, "dataset-x", `has keys "dataset-x"`},
		"intent and result as one": {func(d *record.Destruction) { d.LogIndex = 0 }, certificate().Keys[0].Name, "not before its result"},
	} {
		dir, s := t.TempDir(), fixed(t)
		o := audit.Options{Origin: "hub.example/log", Signer: s, Openings: audit.NoOpenings}
		if err := audit.Create(t.Context(), filepath.Join(dir, "own"), o); err != nil {
			t.Fatal(err)
		}
		l, err := audit.Open(t.Context(), filepath.Join(dir, "own"), o)
		if err != nil {
			t.Fatal(err)
		}
		d := certificate()
		for _, e := range []audit.Event{{Action: intentAction, Facts: map[string]string{"keys": tc.keys}},
			{Action: record.DestroyedAction, Subject: d.ID, Facts: record.DestructionFacts(d)}} {
			if _, err := l.Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Export(t.Context(), filepath.Join(dir, "out", LogDir)); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		tc.change(d)
		b, err := record.SignDestruction(d, s)
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, "out", DestructionsDir), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "out", DestructionsDir, d.ID+".json"), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		rep, err := Folder(t.Context(), filepath.Join(dir, "out"), OneKey("demo", o.Origin, s.Public()), havre.NoProgress)
		if tc.want == "" && (err != nil || len(rep.Notes) != 0) {
			t.Errorf("%s: %v %v", name, err, rep)
		}
		if tc.want != "" && (havre.KindOf(err) != havre.Tampered || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
