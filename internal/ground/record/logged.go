package record

import (
	"strconv"

	"github.com/havre-hub/havre/internal/ground/sign"
)

// Actions of the log entries that stand behind the documents of this package.
// The subject is the document's id; the facts are PermitFacts or ReleaseFacts.
const (
	DecidedAction  = "permit.decided"
	ApprovedAction = "release.approved"
)

// PermitDigest is what the log keeps of a permit before its position is known:
// SHA-256, hex, of the permit's canonical JSON (RFC 8785) with log_index 0. It
// is "" for a permit that has no JSON form; such a one cannot be signed either.
func PermitDigest(p *Permit) string {
	c := *p
	c.LogIndex = 0
	return sign.Digest(&c)
}

// PermitFacts are the public facts of the entry "permit.decided". Record them,
// put the position into p.LogIndex, then sign p; a verifier finds the same
// facts at that position.
func PermitFacts(p *Permit) map[string]string {
	return map[string]string{
		"permit_sha256": PermitDigest(p),
		"version":       strconv.Itoa(p.Version),
	}
}

// ReleaseDigest is what the log keeps of a release record before its position
// is known, by the rule of PermitDigest.
func ReleaseDigest(r *Release) string {
	c := *r
	c.LogIndex = 0
	return sign.Digest(&c)
}

// ReleaseFacts are the public facts of the entry "release.approved", used as
// PermitFacts are.
func ReleaseFacts(r *Release) map[string]string {
	return map[string]string{
		"release_sha256": ReleaseDigest(r),
		"permit":         r.Permit,
		"permit_sha256":  r.PermitSHA,
		"files":          strconv.Itoa(len(r.Files)),
	}
}
