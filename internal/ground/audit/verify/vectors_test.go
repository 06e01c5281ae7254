package verify

import (
	"bytes"
	"encoding/hex"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/realinput"
)

var rewrite = flag.Bool("rewrite", false, "write the test vectors into docs/formats")

// vectorFiles are the pages whose blocks "```text vector=NAME" are vectors.
var vectorFiles = []string{"log.md", "move-report.md", "permit.md", "release.md", "signatures.md"}

// vectors makes every vector from the published key (the seed is 32 bytes of
// 0x01) and fixed values.
func vectors(t *testing.T) map[string][]byte {
	t.Helper()
	s := fixed(t)
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	const origin = "hub.example/log"
	v := map[string][]byte{}
	line := func(name, s string) { v[name] = []byte(s) }
	line("public-key", s.Public().String())
	line("key-id", s.Public().ID())

	type example struct {
		B int    `json:"b"`
		A string `json:"a"`
	}
	const exampleType = "application/vnd.havre.example.v1+json"
	v["payload"] = must(sign.Canonical(example{2, "é <1>"}))
	line("pae", "DSSEv1 "+strconv.Itoa(len(exampleType))+" "+exampleType+" "+strconv.Itoa(len(v["payload"]))+" "+string(v["payload"]))
	v["envelope"] = must(sign.Sign(exampleType, example{2, "é <1>"}, s))

	o := tlog.Opening{Value: havre.NewPersonal("officer@havre.example")}
	for i := range o.Salt {
		o.Salt[i] = byte(i)
	}
	o.Commitment = commitment(o.Salt[:], "officer@havre.example")
	if !o.Opens() {
		t.Error("the commitment's formula in docs/formats/log.md does not hold")
	}
	line("commitment", o.Commitment)

	permit := &record.Permit{ID: "p-0001", Version: 1, Hub: "demo", Title: "Bleeding after drug A", Purpose: "scientific_research",
		People: []string{"researcher@havre.example"}, Tables: []record.Table{{Name: "person", Columns: []string{"person_id", "gender_concept_id"}}},
		Period: record.Period{From: "2015-01-01"}, Rules: record.DefaultRules(), Checkers: 2, Decided: noon, Decider: "officer@havre.example", Start: noon, End: noon.AddDate(1, 0, 0)}
	entry := tlog.Entry{Time: noon, Action: record.DecidedAction, Actor: o.Commitment, Subject: permit.ID, Facts: record.PermitFacts(permit)}
	line("permit-digest", record.PermitDigest(permit))
	v["permit-payload"] = must(sign.Canonical(permit))
	v["permit"] = must(record.SignPermit(permit, s))

	v["entry"] = must(entry.Encode())
	line("leaf-hash", hex.EncodeToString(tlog.LeafHash(v["entry"])))
	signer, err := tlog.NoteSigner(origin, s)
	if err != nil {
		t.Fatal(err)
	}
	text := log.Checkpoint{Origin: origin, Size: 1, Hash: tlog.LeafHash(v["entry"])}.Marshal()
	v["checkpoint"] = must(note.Sign(&note.Note{Text: string(text)}, signer))
	v["history-line"] = tlog.HistoryLine(v["checkpoint"])
	key, err := tlog.VerifierKey(origin, s.Public())
	v["verifier-key"] = must([]byte(key), err)

	receipt := &envelope.Receipt{Delivery: "0123456789abcdef0123456789abcdef", Holder: "chu-nord", Hub: "demo", Received: noon, Manifest: strings.Repeat("ab", 32), Parts: 3, Rows: 1234, LogIndex: 0}
	line("receipt-digest", envelope.ReceiptDigest(receipt))
	v["receipt"] = must(envelope.SignReceipt(receipt, s))

	release := &record.Release{ID: "r-0001", Hub: "demo", Permit: "p-0001", PermitSHA: hash(v["permit"]), Study: "bleeding", StudySHA: hash(nil), Run: "run-1", Snapshot: strings.Repeat("cd", 32),
		Requested: noon.Add(time.Hour), Requester: "researcher@havre.example",
		Decisions: []record.Decision{{Checker: "checker-1@havre.example", Approve: true, At: noon.Add(2 * time.Hour)}, {Checker: "checker-2@havre.example", Approve: true, At: noon.Add(3 * time.Hour)}},
		Files:     []record.File{{Name: "counts.csv", SHA256: hash([]byte("cohort,persons\nA,120\n")), Size: 21}}, Rules: permit.Rules, Evidence: hash(nil), LogIndex: 1}
	line("release-digest", record.ReleaseDigest(release))
	v["release-payload"] = must(sign.Canonical(release))
	v["release"] = must(record.SignRelease(release, s))

	store := record.Evidence{Snapshot: strings.Repeat("cd", 32), Number: 7, Deliveries: 3, Rows: 2041587, Log: record.LogHead{Size: 60, Root: strings.Repeat("ab", 32)},
		Studies: []record.StudyMark{{Name: "quality", Mark: strings.Repeat("ef", 32)}}}
	total, err := record.Egress(27053260800, "0.08")
	if err != nil {
		t.Fatal(err)
	}
	move := &record.Move{ID: "m-0002", Kind: record.KindMove, Hub: "demo",
		From: record.Place{Kind: "azblob", Where: "azblob://health/hub at demo.blob.core.windows.net"}, To: record.Place{Kind: "s3", Where: "s3://health/hub at s3.example"},
		Objects: 1195, Bytes: 27053260800, Root: strings.Repeat("12", 32), RootBack: strings.Repeat("12", 32), Before: store, After: store,
		Times: record.MoveTimes{Planned: noon, Began: noon.Add(time.Hour), Copied: noon.Add(3 * time.Hour), Switched: noon.Add(3 * time.Hour),
			Verified: noon.Add(5 * time.Hour), Finishing: noon.Add(6 * time.Hour), Finished: noon.Add(7 * time.Hour)},
		Milliseconds: map[string]int64{"copy": 4000000, "read_back": 3000000, "freeze": 850, "verify": 5000000, "finish": 3000000}, Runs: 2,
		Traffic: record.Traffic{Read: 27053270000, Written: 27053260800, ReadBack: 54106521600},
		Keys:    record.MoveKeys{Before: []string{"file:0123456789abcdef"}, After: []string{"pkcs11:fedcba9876543210"}, Changed: true},
		Removed: record.Removed{Objects: 1195, Probed: 1195}, Cost: record.Cost{PerGB: "0.08", Currency: "EUR", Total: total},
		Clock: record.NewClock(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)).At(noon),
		Steps: map[string]int64{"planned": 40, "started": 41, "switching": 50, "switched": 51, "verified": 58, "finishing": 59}, LogIndex: 63}
	v["move-payload"] = must(sign.Canonical(move))
	line("move-digest", record.MoveDigest(move))
	v["move"] = must(record.SignMove(move, s))

	keys := OneKey("demo", origin, s.Public())
	v["keys"] = must(keys.Encode())
	line("keys-fingerprint", keys.Fingerprint())
	return v
}

var blockRE = regexp.MustCompile("(?s)```text vector=([a-z-]+)\n(.*?)\n?```")

// TestVectors: the vectors in docs/formats are byte for byte what the code
// makes, all of them, and nothing else. With -rewrite it writes them.
func TestVectors(t *testing.T) {
	want := vectors(t)
	shown := map[string]bool{}
	for _, name := range vectorFiles {
		path := filepath.Join(realinput.Root(t), "docs", "formats", name)
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fresh := blockRE.ReplaceAllFunc(page, func(block []byte) []byte {
			m := blockRE.FindSubmatch(block)
			v, ok := want[string(m[1])]
			if !ok {
				t.Errorf("%s shows the vector %s, which is none", name, m[1])
				return block
			}
			shown[string(m[1])] = true
			if got := bytes.TrimSuffix(v, []byte("\n")); !bytes.Equal(got, m[2]) && !*rewrite {
				t.Errorf("%s: the vector %s is\n%s\nand the code makes\n%s", name, m[1], m[2], got)
			}
			return slices.Concat([]byte("```text vector="), m[1], []byte("\n"), bytes.TrimSuffix(v, []byte("\n")), []byte("\n```"))
		})
		if *rewrite {
			if err := os.WriteFile(path, fresh, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !shown[name] {
			t.Errorf("no page shows the vector %s", name)
		}
	}
}

// TestVectorsVerify: what is published is also accepted.
func TestVectorsVerify(t *testing.T) {
	v, k := vectors(t), fixed(t).Public()
	if _, err := tlog.ParseCheckpoint(v["checkpoint"], tlog.Trust{Origin: "hub.example/log", Keys: []sign.PublicKey{k}}); err != nil {
		t.Error(err)
	}
	if _, err := tlog.ParseEntry(v["entry"]); err != nil {
		t.Error(err)
	}
	if _, err := record.VerifyPermit(v["permit"], k); err != nil {
		t.Error(err)
	}
	if _, err := record.VerifyRelease(v["release"], k); err != nil {
		t.Error(err)
	}
	if _, err := envelope.VerifyReceipt(v["receipt"], k); err != nil {
		t.Error(err)
	}
	if _, err := record.VerifyMove(v["move"], k); err != nil {
		t.Error(err)
	}
	if _, err := ParseKeys(v["keys"]); err != nil {
		t.Error(err)
	}
}

// commitment is the formula as docs/formats/log.md states it.
func commitment(salt []byte, value string) string {
	return hash(slices.Concat([]byte("havre/log/commitment/v1\x00"), salt, []byte(value)))
}
