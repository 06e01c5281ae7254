package record

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func permit() *Permit {
	return &Permit{ID: "p-0001", Version: 2, Hub: "demo", Title: "T", Purpose: "scientific_research", People: []string{"researcher@havre.example"},
		Tables: []Table{{Name: "person", Columns: []string{"person_id"}}}, Rules: DefaultRules(), Checkers: 2,
		Decided: noon, Decider: "officer@havre.example", Start: noon, End: noon.AddDate(1, 0, 0), LogIndex: 9}
}

func release() *Release {
	return &Release{ID: "r-0001", Hub: "demo", Permit: "p-0001", PermitSHA: strings.Repeat("ab", 32), Requested: noon, Requester: "researcher@havre.example",
		Decisions: []Decision{{Checker: "checker-1@havre.example", Approve: true, At: noon}}, Files: []File{{Name: "a.csv", Size: 3}}, Rules: DefaultRules(), LogIndex: 9}
}

func TestSignAndVerify(t *testing.T) {
	s := sign.NewSigner()
	pb, err := SignPermit(permit(), s)
	if err != nil {
		t.Fatal(err)
	}
	rb, err := SignRelease(release(), s)
	if err != nil {
		t.Fatal(err)
	}
	p, err := VerifyPermit(pb, s.Public())
	if err != nil || sign.Digest(p) != sign.Digest(permit()) {
		t.Errorf("the permit comes back as %+v, %v", p, err)
	}
	r, err := VerifyRelease(rb, s.Public())
	if err != nil || sign.Digest(r) != sign.Digest(release()) {
		t.Errorf("the release comes back as %+v, %v", r, err)
	}
	if _, err := VerifyPermit(rb, s.Public()); havre.KindOf(err) != havre.Tampered {
		t.Errorf("a release passes for a permit: %v", err)
	}
	if _, err := VerifyRelease(pb, s.Public()); havre.KindOf(err) != havre.Tampered {
		t.Errorf("a permit passes for a release: %v", err)
	}
	for i := range pb {
		b := bytes.Clone(pb)
		b[i] ^= 1
		if _, err := VerifyPermit(b, s.Public()); havre.KindOf(err) != havre.Tampered {
			t.Fatalf("a permit with byte %d altered: %v", i, err)
		}
	}
}

func TestIncompletePermits(t *testing.T) {
	s := sign.NewSigner()
	for name, change := range map[string]func(*Permit){
		"no id":        func(p *Permit) { p.ID = "" },
		"no people":    func(p *Permit) { p.People = nil },
		"no time":      func(p *Permit) { p.End = p.Start },
		"end first":    func(p *Permit) { p.End = p.Start.Add(-time.Hour) },
		"no threshold": func(p *Permit) { p.Rules.MinCount = 0 },
	} {
		p := permit()
		change(p)
		b, err := SignPermit(p, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyPermit(b, s.Public()); havre.KindOf(err) != havre.Tampered {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDigests: the digest does not hang on the position, and hangs on
// everything else.
func TestDigests(t *testing.T) {
	p, q := permit(), permit()
	q.LogIndex = 0
	if PermitDigest(p) != PermitDigest(q) || p.LogIndex != 9 {
		t.Error("the permit's digest depends on its position, or changes it")
	}
	for name, change := range map[string]func(*Permit){
		"version": func(p *Permit) { p.Version++ },
		"end":     func(p *Permit) { p.End = p.End.Add(time.Second) },
		"column":  func(p *Permit) { p.Tables[0].Columns[0] = "x" },
		"rules":   func(p *Permit) { p.Rules.MinCount-- },
		"people":  func(p *Permit) { p.People = append(p.People, "x") },
	} {
		q := permit()
		change(q)
		if PermitDigest(q) == PermitDigest(p) {
			t.Errorf("the permit's digest does not depend on its %s", name)
		}
	}
	r, u := release(), release()
	u.LogIndex = 0
	if ReleaseDigest(r) != ReleaseDigest(u) || r.LogIndex != 9 {
		t.Error("the release's digest depends on its position, or changes it")
	}
	u.Files[0].SHA256 = "x"
	if ReleaseDigest(r) == ReleaseDigest(u) {
		t.Error("the release's digest does not depend on its files")
	}
	if f := PermitFacts(p); f["permit_sha256"] != PermitDigest(p) || f["version"] != "2" {
		t.Errorf("facts of the permit: %v", f)
	}
	if f := ReleaseFacts(r); f["release_sha256"] != ReleaseDigest(r) || f["permit"] != "p-0001" || f["permit_sha256"] != r.PermitSHA || f["files"] != "1" {
		t.Errorf("facts of the release: %v", f)
	}
}

// FuzzVerifyPermit: what verifies has one spelling.
func FuzzVerifyPermit(f *testing.F) {
	s, err := sign.ParseSigner(havre.NewSecret(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		f.Fatal(err)
	}
	good, err := SignPermit(permit(), s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := VerifyPermit(b, s.Public())
		if err != nil {
			return
		}
		if again, err := SignPermit(p, s); err != nil || !bytes.Equal(again, b) {
			t.Errorf("a second spelling verifies: %s", b)
		}
	})
}
