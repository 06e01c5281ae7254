package seal

import (
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// Custodian guards a key ring: it wraps the ring's own key and unwraps it in
// memory. Whoever holds a custodian's means opens the ring; nobody else does.
type Custodian interface {
	// Who describes the custodian without its secret.
	Who() Who
	// Wrap seals a secret so that only this custodian opens it.
	Wrap(secret havre.Secret) ([]byte, error)
	// Unwrap gives it back, or fails with KeyUnavailable (the means are not
	// here: file, PIN, token, people) or Tampered.
	Unwrap(wrapped []byte) (havre.Secret, error)
}

// Renewable is a custodian that can exchange its own key for a fresh one, so
// that copies of an old ring open by nothing.
type Renewable interface {
	Custodian
	// Renew makes the fresh key beside the old one and gives the custodian
	// that wraps with it. Until Settle, both keys unwrap.
	Renew() (Custodian, error)
	// Settle destroys every key of the custodian but the one of that id. It is
	// repeated without harm, and does nothing if that key is not there.
	Settle(id string) error
}

// WrapOnly is a custodian that can wrap now and unwrap only when more people
// are present.
type WrapOnly interface{ WrapOnly() bool }

// Who is what may be known of a custodian by everybody.
type Who struct {
	Kind        string   `json:"kind"`               // "file", "passphrase", "pkcs11", "shares", "plugin", "both"
	Ref         string   `json:"ref"`                // how the configuration names it, e.g. "file:PATH"
	ID          string   `json:"id"`                 // names its key: another key, another id
	Ring        string   `json:"-"`                  // id of the one ring it may guard; "" = not known
	PostQuantum bool     `json:"post_quantum"`       // no known quantum algorithm opens what it wraps
	Hardware    bool     `json:"hardware,omitempty"` // the token says that it is a device
	People      []string `json:"people,omitempty"`   // who holds shares
	Needed      int      `json:"needed,omitempty"`   // how many of them open
}

func (w Who) String() string { return w.Ref }

// Wrap is the ring's key, wrapped for one custodian.
type Wrap struct {
	Who
	Made   time.Time `json:"made"`
	Sealed []byte    `json:"sealed"`
}
