package tlog

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/havre-hub/havre/internal/havre"
)

// commitmentDomain keeps these hashes apart from every other use of SHA-256.
const commitmentDomain = "havre/log/commitment/v1\x00"

// Opening opens one commitment: whoever holds it can show what the log
// committed to. Without it the commitment says nothing, not even to somebody
// who guesses the value, because the salt is 256 random bits.
type Opening struct {
	Commitment string // 64 hex digits, as it stands in the entry
	Salt       [32]byte
	Value      havre.Personal[string]
}

// Commit draws a salt and commits to value.
func Commit(value havre.Personal[string]) Opening {
	o := Opening{Value: value}
	_, _ = rand.Read(o.Salt[:]) // crypto/rand never fails since Go 1.24
	o.Commitment = o.hash()
	return o
}

// Opens says whether salt and value give the commitment.
func (o Opening) Opens() bool { return o.Commitment == o.hash() }

func (o Opening) hash() string {
	h := sha256.New()
	h.Write([]byte(commitmentDomain))
	h.Write(o.Salt[:])
	h.Write([]byte(o.Value.Reveal()))
	return hex.EncodeToString(h.Sum(nil))
}
