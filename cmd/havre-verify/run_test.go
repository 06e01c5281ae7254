package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/audit/verify"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// hub plays a hub that gives everything it owes to outsiders.
type hub struct {
	t      *testing.T
	signer *sign.Signer
	log    *audit.Log
	logDir string
	out    string // the folder to be checked
	keys   string // keys.json, handed over by another way
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const origin = "hub.example/log"

func newHub(t *testing.T) *hub {
	t.Helper()
	dir := t.TempDir()
	h := &hub{t: t, signer: sign.NewSigner(), logDir: filepath.Join(dir, "log"), out: filepath.Join(dir, "out"), keys: filepath.Join(dir, "keys.json")}
	o := audit.Options{Origin: origin, Signer: h.signer, Openings: audit.NoOpenings}
	h.must(audit.Create(t.Context(), h.logDir, o))
	l, err := audit.Open(t.Context(), h.logDir, o)
	h.must(err)
	h.log = l
	t.Cleanup(func() { _ = l.Close() })
	return h
}

func (h *hub) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hub) record(action, subject string, facts map[string]string) int64 {
	h.t.Helper()
	at, err := h.log.Record(h.t.Context(), audit.Event{Action: action, Subject: subject, Facts: facts, Actor: havre.NewPersonal("officer@havre.example")})
	h.must(err)
	return at.Index
}

func (h *hub) save(name string, b []byte) {
	h.t.Helper()
	path := filepath.Join(h.out, name)
	h.must(os.MkdirAll(filepath.Dir(path), 0o755))
	h.must(os.WriteFile(path, b, 0o644))
}

func (h *hub) receipt(id string) *envelope.Receipt {
	r := &envelope.Receipt{Delivery: havre.DeliveryID(id), Holder: "chu-nord", Hub: "demo", Received: noon, Manifest: strings.Repeat("ab", 32), Parts: 3, Rows: 1234}
	r.LogIndex = h.record(envelope.ReceivedAction, id, envelope.ReceiptFacts(r))
	h.signReceipt(r)
	return r
}

func (h *hub) signReceipt(r *envelope.Receipt) {
	b, err := envelope.SignReceipt(r, h.signer)
	h.must(err)
	h.save("receipts/"+string(r.Delivery)+".json", b)
}

func (h *hub) permit() (*record.Permit, []byte) {
	p := &record.Permit{ID: "p-0001", Version: 1, Hub: "demo", Title: "Bleeding", Purpose: "scientific_research",
		People: []string{"researcher@havre.example"}, Tables: []record.Table{{Name: "person", Columns: []string{"person_id"}}},
		Rules: record.DefaultRules(), Checkers: 2, Decided: noon, Decider: "officer@havre.example", Start: noon, End: noon.AddDate(1, 0, 0)}
	p.LogIndex = h.record(record.DecidedAction, p.ID, record.PermitFacts(p))
	b, err := record.SignPermit(p, h.signer)
	h.must(err)
	h.save("permits/p-0001.json", b)
	return p, b
}

// release makes a release under the permit, after change has had its say.
func (h *hub) release(p *record.Permit, permit []byte, change func(*record.Release)) *record.Release {
	csv := []byte("cohort,persons\nA,120\n")
	h.save("releases/r-0001/counts.csv", csv)
	r := &record.Release{ID: "r-0001", Hub: "demo", Permit: p.ID, PermitSHA: sum(permit), Study: "bleeding", StudySHA: sum(nil), Run: "run-1",
		Snapshot: strings.Repeat("cd", 32), Requested: noon.Add(time.Hour), Requester: "researcher@havre.example",
		Decisions: []record.Decision{
			{Checker: "checker-1@havre.example", Approve: true, At: noon.Add(2 * time.Hour)},
			{Checker: "checker-2@havre.example", Approve: true, At: noon.Add(3 * time.Hour)}},
		Files: []record.File{{Name: "counts.csv", SHA256: sum(csv), Size: int64(len(csv))}}, Rules: p.Rules, Evidence: sum(nil)}
	if change != nil {
		change(r)
	}
	r.LogIndex = h.record(record.ApprovedAction, r.ID, record.ReleaseFacts(r))
	b, err := record.SignRelease(r, h.signer)
	h.must(err)
	h.save("releases/r-0001/record.json", b)
	return r
}

// export writes log and keys.
func (h *hub) export() {
	_, err := h.log.Export(h.t.Context(), filepath.Join(h.out, "log"))
	h.must(err)
	keys, err := verify.OneKey("demo", origin, h.signer.Public()).Encode()
	h.must(err)
	h.save("keys.json", keys)
	h.must(os.WriteFile(h.keys, keys, 0o644))
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// whole is a hub with one of everything.
func whole(t *testing.T) *hub {
	h := newHub(t)
	h.receipt("d1")
	p, b := h.permit()
	h.release(p, b, nil)
	h.export()
	return h
}

func (h *hub) run(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, &o, &e)
	return code, o.String(), e.String()
}

func TestAllHolds(t *testing.T) {
	h := whole(t)
	code, out, errs := h.run("--keys", h.keys, h.out)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"ok      log: 3 entries", "ok      receipts/d1.json", "ok      permits/p-0001.json", "ok      releases/r-0001", "all 4 checks hold"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	code, out, errs = h.run(h.out, "--json")
	var got struct {
		OK        bool `json:"ok"`
		KeysGiven bool `json:"keys_given"`
		Checks    []verify.Check
		Log       struct{ Size int64 }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || !got.OK || got.KeysGiven || len(got.Checks) != 4 || got.Log.Size != 3 {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
	if !strings.Contains(errs, "caution") || !strings.Contains(errs, verify.OneKey("demo", origin, h.signer.Public()).Fingerprint()) {
		t.Errorf("keys from the folder are used without caution:\n%s", errs)
	}
}

func TestWhatDoesNotHold(t *testing.T) {
	rewrite := func(h *hub, name string, f func([]byte) []byte) {
		path := filepath.Join(h.out, name)
		b, err := os.ReadFile(path)
		h.must(err)
		h.must(os.WriteFile(path, f(b), 0o644))
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for name, tc := range map[string]struct {
		make func(t *testing.T) *hub
		want string
	}{
		"a log entry changed": {func(t *testing.T) *hub {
			h := whole(t)
			rewrite(h, "log/tile/entries/000.p/3", flip)
			return h
		}, "FAILED  log: entry 1 was changed"},
		"a receipt altered": {func(t *testing.T) *hub {
			h := whole(t)
			rewrite(h, "receipts/d1.json", flip)
			return h
		}, "FAILED  receipts/d1.json"},
		"a receipt that was never logged": {func(t *testing.T) *hub {
			h := whole(t)
			h.signReceipt(&envelope.Receipt{Delivery: "d2", Holder: "chu-nord", Hub: "demo", Received: noon, Manifest: strings.Repeat("ab", 32), LogIndex: 0})
			return h
		}, `FAILED  receipts/d2.json: entry 0, on which it rests, tells of "delivery.received" "d1"`},
		"a receipt with other rows than logged": {func(t *testing.T) *hub {
			h := newHub(t)
			r := h.receipt("d1")
			r.Rows++
			h.signReceipt(r)
			h.export()
			return h
		}, `FAILED  receipts/d1.json: entry 0, on which it rests, has r`},
		"a receipt of another hub": {func(t *testing.T) *hub {
			h := newHub(t)
			r := h.receipt("d1")
			r.Hub = "other"
			h.signReceipt(r)
			h.export()
			return h
		}, `FAILED  receipts/d1.json: it is of the hub "other"`},
		"a log rolled back behind a receipt": {func(t *testing.T) *hub {
			h := newHub(t)
			h.receipt("d1")
			h.export()
			old := filepath.Join(h.out, "log")
			aside := filepath.Join(h.out, "aside")
			h.must(os.Rename(old, aside))
			h.receipt("d2")
			h.export()
			h.must(os.RemoveAll(old))
			h.must(os.Rename(aside, old)) // the older log, whole and soundly signed
			return h
		}, "FAILED  receipts/d2.json: it rests on entry 1, but the log has only 1 entries: the log was rolled back or cut off"},
		"a permit edited after signing": {func(t *testing.T) *hub {
			h := whole(t)
			rewrite(h, "permits/p-0001.json", flip)
			return h
		}, "FAILED  permits/p-0001.json"},
		"a permit signed again with another end": {func(t *testing.T) *hub {
			h := newHub(t)
			p, _ := h.permit()
			p.End = p.End.AddDate(5, 0, 0)
			b, err := record.SignPermit(p, h.signer)
			h.must(err)
			h.save("permits/p-0001.json", b)
			h.export()
			return h
		}, "FAILED  permits/p-0001.json: entry 0, on which it rests, has permit_sha256"},
		"a permit by a stranger's key": {func(t *testing.T) *hub {
			h := whole(t)
			other := newHub(t)
			_, b := other.permit()
			h.save("permits/p-0001.json", b)
			return h
		}, "FAILED  permits/p-0001.json: no trusted key signed this document"},
		"a released file altered": {func(t *testing.T) *hub {
			h := whole(t)
			rewrite(h, "releases/r-0001/counts.csv", flip)
			return h
		}, "FAILED  releases/r-0001: the file counts.csv is not the one that left"},
		"a released file missing": {func(t *testing.T) *hub {
			h := whole(t)
			h.must(os.Remove(filepath.Join(h.out, "releases/r-0001/counts.csv")))
			return h
		}, "FAILED  releases/r-0001: the file releases/r-0001/counts.csv is missing"},
		"a file that was never released": {func(t *testing.T) *hub {
			h := whole(t)
			h.save("releases/r-0001/deep/more.csv", []byte("x"))
			return h
		}, "FAILED  releases/r-0001: the file deep/more.csv is not in the record"},
		"a record that reaches out of its folder": {func(t *testing.T) *hub {
			h := newHub(t)
			p, b := h.permit()
			h.release(p, b, func(r *record.Release) { r.Files[0].Name = "../../keys.json" })
			h.export()
			return h
		}, "which cannot be or is there twice"},
		"a release whose permit is not shown": {func(t *testing.T) *hub {
			h := whole(t)
			h.must(os.Remove(filepath.Join(h.out, "permits/p-0001.json")))
			return h
		}, "FAILED  releases/r-0001: the permit that it names"},
		"one checker of two": {func(t *testing.T) *hub {
			h := newHub(t)
			p, b := h.permit()
			h.release(p, b, func(r *record.Release) { r.Decisions[1] = r.Decisions[0] })
			h.export()
			return h
		}, "1 people agreed to it and permit p-0001 demands 2"},
		"a checker who takes part": {func(t *testing.T) *hub {
			h := newHub(t)
			p, b := h.permit()
			h.release(p, b, func(r *record.Release) { r.Decisions[1].Checker = r.Requester })
			h.export()
			return h
		}, "checked by somebody who takes part"},
		"weaker rules than the permit's": {func(t *testing.T) *hub {
			h := newHub(t)
			p, b := h.permit()
			h.release(p, b, func(r *record.Release) { r.Rules.MinCount = 1 })
			h.export()
			return h
		}, "by other disclosure rules"},
		"a release after the end": {func(t *testing.T) *hub {
			h := newHub(t)
			p, b := h.permit()
			h.release(p, b, func(r *record.Release) { r.Requested = p.End })
			h.export()
			return h
		}, "outside the time of permit"},
		"another hub's log": {func(t *testing.T) *hub {
			h, other := whole(t), whole(t)
			h.must(os.RemoveAll(filepath.Join(h.out, "log")))
			h.must(os.Rename(filepath.Join(other.out, "log"), filepath.Join(h.out, "log")))
			return h
		}, "not signed by the trusted key"},
		"no log": {func(t *testing.T) *hub {
			h := whole(t)
			h.must(os.RemoveAll(filepath.Join(h.out, "log")))
			return h
		}, "FAILED  log: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := tc.make(t)
			code, out, errs := h.run("--keys", h.keys, h.out)
			if code != havre.Tampered.ExitCode() || !strings.Contains(out, tc.want) || !strings.Contains(errs, "error: ") {
				t.Errorf("exit %d, want %q in\n%s%s", code, tc.want, out, errs)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	h := whole(t)
	bad := filepath.Join(t.TempDir(), "bad.json")
	h.must(os.WriteFile(bad, []byte(`{"version":1}`), 0o644))
	for name, tc := range map[string]struct {
		args []string
		kind havre.Kind
	}{
		"nothing":         {nil, havre.Usage},
		"two folders":     {[]string{h.out, h.out}, havre.Usage},
		"an unknown flag": {[]string{"--trust-me", h.out}, havre.Usage},
		"no such folder":  {[]string{"--keys", h.keys, h.out + "x"}, havre.NotFound},
		"no such keys":    {[]string{"--keys", h.keys + "x", h.out}, havre.NotFound},
		"bad keys":        {[]string{"--keys", bad, h.out}, havre.Invalid},
	} {
		if code, out, errs := h.run(tc.args...); code != tc.kind.ExitCode() || out != "" || !strings.Contains(errs, "error: ") {
			t.Errorf("%s: exit %d, %q, %q", name, code, out, errs)
		}
	}
	if code, out, _ := h.run("--help"); code != 0 || !strings.HasPrefix(out, "usage:") {
		t.Errorf("--help: exit %d, %q", code, out)
	}
}
