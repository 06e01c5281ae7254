package receive

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

const secretSize = 32

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Level2 is the hub's half of the two-body pseudonyms: from the keeper's
// level-1 pseudonym and the hub's own secret (docs/formats/pseudonym.md). It is
// safe for concurrent use.
type Level2 struct {
	version int
	secret  havre.Secret
}

// NewLevel2 takes the secret of a key version, counted from 1.
func NewLevel2(version int, secret havre.Secret) (*Level2, error) {
	if version < 1 || len(secret.Reveal()) < secretSize {
		return nil, havre.E("pseudonym", havre.KeyUnavailable, fmt.Sprintf("version %d of the hub's pseudonym secret is not usable: a secret has at least %d bytes and a version from 1", version, secretSize))
	}
	return &Level2{version, secret}, nil
}

// Person is who a level-1 pseudonym is in this hub's warehouse.
type Person struct {
	ID    havre.PersonID // first 63 bits of the level-2 MAC
	check uint64         // the next 64 bits, which tell two persons of one ID apart
}

// Of gives the person behind a level-1 pseudonym.
func (l *Level2) Of(level1 string) Person {
	sum := l.mac(level1)
	return Person{havre.PersonID(binary.BigEndian.Uint64(sum[:8]) >> 1), binary.BigEndian.Uint64(sum[8:16])}
}

// Text is the level-2 pseudonym as text: "p2.<version>." and the MAC in
// lower-case base32.
func (l *Level2) Text(level1 string) string {
	sum := l.mac(level1)
	return "p2." + strconv.Itoa(l.version) + "." + lower.EncodeToString(sum[:])
}

func (l *Level2) mac(level1 string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, l.secret.Reveal())
	mac.Write([]byte("havre:level-2:"))
	mac.Write([]byte(level1))
	mac.Sum(sum[:0])
	return sum
}

// ValidLevel1 says whether text is a level-1 pseudonym of that key version.
func ValidLevel1(text string, version int) bool {
	rest, ok := strings.CutPrefix(text, "p1."+strconv.Itoa(version)+".")
	if !ok || len(rest) != lower.EncodedLen(sha256.Size) {
		return false
	}
	for i := range len(rest) {
		if c := rest[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
