// Package record is the signed documents of the hub that an outsider verifies
// without the hub: the permit and the release record. It has no I/O and no
// cgo, so that havre-verify builds from it. Formats: docs/formats/permit.md,
// docs/formats/release.md.
package record

import (
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Types of the signed documents (DSSE payloadType).
const (
	PermitType  = "application/vnd.havre.permit.v1+json"
	ReleaseType = "application/vnd.havre.release.v1+json"
)

// Permit is what an access body decided, as policy (Regulation (EU) 2025/327,
// Art. 68(10)). It is signed by the hub's permit key and never edited: a change
// is a new version.
type Permit struct {
	ID       string    `json:"id"`      // "p-0001"
	Version  int       `json:"version"` // from 1
	Hub      string    `json:"hub"`
	Title    string    `json:"title"`
	Purpose  string    `json:"purpose"`  // one of the purposes of Art. 53(1), "scientific_research", ...
	People   []string  `json:"people"`   // accounts that may run studies; the first is the principal investigator
	Tables   []Table   `json:"tables"`   // nothing else can be read
	Period   Period    `json:"period"`   // events outside it do not exist for the study
	Rules    Rules     `json:"rules"`    // disclosure thresholds
	Checkers int       `json:"checkers"` // people who must agree to a release, none of them in People
	Decided  time.Time `json:"decided"`
	Decider  string    `json:"decider"` // account of the officer, never the applicant
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`       // from this instant on, nothing can be read
	LogIndex int64     `json:"log_index"` // of the entry "permit.decided"
}

// Table is one CDM table of the permit and its readable columns.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// Period bounds event dates, "2006-01-02", both inclusive; an empty bound is open.
type Period struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Rules are the disclosure thresholds pinned in a permit; zero values are not
// valid, DefaultRules gives the defaults.
type Rules struct {
	MinCount      int      `json:"min_count"`           // smallest count of persons that may be shown
	ZeroIsSafe    bool     `json:"zero_is_safe"`        // whether a cell of nobody may be shown
	MaxShare      float64  `json:"max_share"`           // largest share of a row or column one cell may hold on sensitive traits
	MaxTop1       float64  `json:"max_top1"`            // dominance: largest share of one person in a sum
	RoundTo       int      `json:"round_to"`            // counts are rounded to this base; 1 keeps them
	SensitiveCols []string `json:"sensitive,omitempty"` // dimensions treated as sensitive besides those the output declares
}

// DefaultRules: threshold 11 (ATIH, CASD for hospital stays), zeros disclosive
// on sensitive traits, nobody above 90 % of a row on sensitive traits.
func DefaultRules() Rules {
	return Rules{MinCount: 11, MaxShare: 0.9, MaxTop1: 0.5, RoundTo: 1}
}

// Release is the record that leaves with each result and stays in the ledger.
type Release struct {
	ID        string         `json:"id"` // "r-0001"
	Hub       string         `json:"hub"`
	Permit    string         `json:"permit"`
	PermitSHA string         `json:"permit_sha256"` // of the signed permit's bytes
	Study     string         `json:"study"`
	StudySHA  string         `json:"study_sha256"` // of the study definition's bytes
	Run       string         `json:"run"`
	Snapshot  string         `json:"snapshot"` // Merkle root of the snapshot, hex
	Requested time.Time      `json:"requested"`
	Requester string         `json:"requester"`
	Decisions []Decision     `json:"decisions"`
	Files     []File         `json:"files"`
	Rules     Rules          `json:"rules"`
	Evidence  string         `json:"evidence_sha256"`    // of the evidence file, which stays in the hub
	Findings  map[string]int `json:"findings,omitempty"` // what the rules found, counted by rule
	LogIndex  int64          `json:"log_index"`          // of the entry "release.approved"
}

// Decision is one checker's word.
type Decision struct {
	Checker string    `json:"checker"`
	Approve bool      `json:"approve"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at"`
}

// File is one file that left.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// SignPermit and VerifyPermit make and check permit documents.
func SignPermit(p *Permit, s *sign.Signer) ([]byte, error) { return sign.Sign(PermitType, p, s) }

// VerifyPermit checks the signature and that the document is whole; it does
// not look at the clock or at suspensions.
func VerifyPermit(b []byte, hub ...sign.PublicKey) (*Permit, error) {
	p := new(Permit)
	if _, err := sign.Verify(b, PermitType, p, hub...); err != nil {
		return nil, err
	}
	if p.ID == "" || len(p.People) == 0 || !p.Start.Before(p.End) || p.Rules.MinCount < 1 {
		return nil, havre.E("permit.verify", havre.Tampered, "the signed permit is not complete")
	}
	return p, nil
}

// SignRelease and VerifyRelease make and check release records.
func SignRelease(r *Release, s *sign.Signer) ([]byte, error) { return sign.Sign(ReleaseType, r, s) }

// VerifyRelease checks the signature of a release record; the caller compares
// the files' hashes and the log entry.
func VerifyRelease(b []byte, hub ...sign.PublicKey) (*Release, error) {
	r := new(Release)
	if _, err := sign.Verify(b, ReleaseType, r, hub...); err != nil {
		return nil, err
	}
	return r, nil
}
