package envelope

import (
	"strconv"

	"github.com/havre-hub/havre/internal/ground/sign"
)

// ReceivedAction is the action of the log entry that stands behind a receipt;
// its subject is the delivery id and its facts are ReceiptFacts.
const ReceivedAction = "delivery.received"

// ReceiptDigest is what the log keeps of a receipt before its position is
// known: SHA-256, hex, of the receipt's canonical JSON (RFC 8785) with
// log_index 0. It is "" for a receipt that has no JSON form; such a one cannot
// be signed either.
func ReceiptDigest(r *Receipt) string {
	c := *r
	c.LogIndex = 0
	return sign.Digest(&c)
}

// ReceiptFacts are the public facts of the entry "delivery.received". Record
// them, put the position into r.LogIndex, then sign r; a verifier finds the
// same facts at that position.
func ReceiptFacts(r *Receipt) map[string]string {
	return map[string]string{
		"manifest_sha256": r.Manifest,
		"parts":           strconv.Itoa(r.Parts),
		"rows":            strconv.FormatInt(r.Rows, 10),
		"receipt_sha256":  ReceiptDigest(r),
	}
}
