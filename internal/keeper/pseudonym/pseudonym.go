// Package pseudonym is the keeper's half of the two-body pseudonyms. Level 1
// is made here from a person's register number and the keeper's secret; the
// hub makes level 2 from level 1 and a secret of its own. Neither body can go
// from a person to a warehouse row, or back, alone (French health code,
// R.1461-7; the SNDS security referential asks for two levels by two entities
// with secrets that are not derived from one another).
//
// The function is HMAC-SHA-256: keyed, deterministic, irreversible without the
// secret. Its output names its level and the version of its key, so that a
// rotation leaves a mark. Vectors: docs/formats/pseudonym.md.
package pseudonym

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"

	"github.com/havre-hub/havre/internal/havre"
)

// SecretSize is the least length of a secret, in bytes.
const SecretSize = 32

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Level1 makes level-1 pseudonyms with one version of the keeper's secret. It
// is safe for concurrent use.
type Level1 struct {
	version int
	prefix  string
	secret  havre.Secret
}

// NewLevel1 takes the secret of a key version, counted from 1.
func NewLevel1(version int, secret havre.Secret) (*Level1, error) {
	if version < 1 || len(secret.Reveal()) < SecretSize {
		return nil, havre.E("pseudonym", havre.KeyUnavailable, fmt.Sprintf("version %d of the keeper's pseudonym secret is not usable: a secret has at least %d bytes and a version from 1", version, SecretSize))
	}
	return &Level1{version, "p1." + strconv.Itoa(version) + ".", secret}, nil
}

// Version is the key version that the pseudonyms carry.
func (l *Level1) Version() int { return l.version }

// Of is the pseudonym of the person with that register number:
// "p1.<version>." and the MAC of "havre:level-1:<number>" in lower-case base32.
func (l *Level1) Of(number int64) string {
	mac := hmac.New(sha256.New, l.secret.Reveal())
	var buf [40]byte
	mac.Write(strconv.AppendInt(append(buf[:0], "havre:level-1:"...), number, 10))
	var sum [sha256.Size]byte
	return l.prefix + lower.EncodeToString(mac.Sum(sum[:0]))
}
