package havre

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"time"
)

// Role is what somebody may be in a hub (docs/threat-model.md lists what each sees).
type Role string

// The roles of the vision's table of users.
const (
	RoleHolder     Role = "holder"
	RoleKeeper     Role = "keeper"
	RoleOperator   Role = "operator"
	RoleResearcher Role = "researcher"
	RoleOfficer    Role = "permit_officer"
	RoleChecker    Role = "output_checker"
	RoleAuditor    Role = "auditor"
)

// PersonID is a person in the warehouse: 63 bits of the level-2 pseudonym,
// always >= 0. It means nothing outside the hub.
type PersonID int64

// TransportID (tid) names a person inside one delivery, on both of its ways
// (identity to the keeper, health to the hub). It is 128 random bits in 32
// lower-case hex digits and is destroyed once the delivery is validated.
type TransportID string

// NewTransportID draws a fresh random tid.
func NewTransportID() TransportID { return TransportID(randomHex(16)) }

// HolderID is the short name of a data holder, e.g. "chu-nord".
type HolderID string

// DeliveryID names one delivery: the holder and 128 random bits, so that
// delivering twice is seen to be the same delivery.
type DeliveryID string

// NewDeliveryID draws a fresh random delivery id.
func NewDeliveryID() DeliveryID { return DeliveryID(randomHex(16)) }

var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ValidName says whether s may name a holder, hub, permit or study: lower-case
// letters, digits and hyphens, 1 to 63 characters.
func ValidName(s string) bool { return nameRE.MatchString(s) }

// Now is a source of time, in UTC. Tests hand in their own.
type Now func() time.Time

// SystemNow is the machine's clock in UTC.
func SystemNow() time.Time { return time.Now().UTC() }

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand never fails since Go 1.24
	return hex.EncodeToString(b)
}
