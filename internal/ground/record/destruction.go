package record

import (
	"strconv"
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// DestructionType is the DSSE payload type of a certificate of destruction.
const DestructionType = "application/vnd.havre.destruction.v1+json"

// DestroyedAction is the action of the log entry behind a certificate. The
// subject is its ID; the facts are DestructionFacts.
const DestroyedAction = "key.destroyed"

// Destruction certifies that keys were destroyed, and with them every copy of
// what was sealed to them. Format: docs/formats/destruction.md.
type Destruction struct {
	ID         string               `json:"id"` // "destruction-42": 42 is the log entry of the intent
	Hub        string               `json:"hub"`
	Deliveries []string             `json:"deliveries"` // whose data are gone
	Permits    []string             `json:"permits"`    // whose partial and waiting results are gone
	Keys       []DestroyedKey       `json:"keys"`
	Reason     string               `json:"reason"`
	By         string               `json:"by"`         // account
	Intent     int64                `json:"intent"`     // position of the log entry before the act
	Done       time.Time            `json:"done"`       // when the keys ended
	Generation int                  `json:"generation"` // of the key ring, from then on
	Snapshot   string               `json:"snapshot"`   // Merkle root in force afterwards, without these deliveries
	Objects    int                  `json:"objects"`    // of the warehouse, made unreadable and deleted
	Bytes      int64                `json:"bytes"`      // of their ciphertext
	Custodians []DestroyedCustodian `json:"custodians"` // of the key ring, at the time
	LogIndex   int64                `json:"log_index"`  // of the entry "key.destroyed"
}

// DestroyedKey is one key and the ids of its generations.
type DestroyedKey struct {
	Name string   `json:"name"`
	IDs  []string `json:"ids"`
}

// DestroyedCustodian says what became of the power of one custodian to open old
// copies of the key ring, in which the destroyed keys still stand.
type DestroyedCustodian struct {
	Kind    string `json:"kind"`
	ID      string `json:"id"`      // of its key before the act
	Renewed bool   `json:"renewed"` // that key was destroyed too: old copies of the ring open by it no more
	Remains string `json:"remains"` // else what people must still do; "" if nothing
}

// DestructionDigest is what the log keeps of a certificate before its position
// is known, by the rule of PermitDigest.
func DestructionDigest(d *Destruction) string {
	c := *d
	c.LogIndex = 0
	return sign.Digest(&c)
}

// DestructionFacts are the public facts of the entry "key.destroyed".
func DestructionFacts(d *Destruction) map[string]string {
	return map[string]string{
		"destruction_sha256": DestructionDigest(d),
		"intent":             strconv.FormatInt(d.Intent, 10),
		"keys":               strconv.Itoa(len(d.Keys)),
		"snapshot":           d.Snapshot,
	}
}

// SignDestruction makes the signed certificate.
func SignDestruction(d *Destruction, s *sign.Signer) ([]byte, error) {
	return sign.Sign(DestructionType, d, s)
}

// VerifyDestruction checks the signature and that the certificate is whole.
func VerifyDestruction(b []byte, hub ...sign.PublicKey) (*Destruction, error) {
	d := new(Destruction)
	if _, err := sign.Verify(b, DestructionType, d, hub...); err != nil {
		return nil, err
	}
	if d.ID != DestructionID(d.Intent) || len(d.Keys) == 0 || d.By == "" || len(d.Custodians) == 0 {
		return nil, havre.E("destruction.verify", havre.Tampered, "the signed certificate is not complete")
	}
	return d, nil
}

// DestructionID names a certificate by the log entry of its intent.
func DestructionID(intent int64) string { return "destruction-" + strconv.FormatInt(intent, 10) }
