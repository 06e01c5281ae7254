// Package release is the airlock: the only way by which a result leaves the
// hub. A request is checked by the rules (package disclose) and waits, sealed,
// until as many people as the permit says have looked at it and agreed. None
// of them may be of the permit's people, nor the one who decided the permit,
// and none counts twice. Then the record is signed and the files may be
// written outside.
//
//	requested -> in_review   -> approved -> released
//	          -> quarantined -> rejected
//
// (in_review may also end in rejected.) Each step is logged before it takes
// effect; a step that was cut short is finished by doing it again or by Resume.
package release

import (
	"context"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/disclose"
	"github.com/havre-hub/havre/internal/hub/study"
)

// State is where a request stands.
type State string

// The states of the airlock.
const (
	Requested   State = "requested"   // written down, not yet sealed and logged
	Quarantined State = "quarantined" // the rules found what they cannot mend: it can only be rejected
	InReview    State = "in_review"   // waits for checkers
	Approved    State = "approved"    // signed, may leave
	Rejected    State = "rejected"    // will not leave
	Released    State = "released"    // has left
)

// Actions in the log. record.ApprovedAction is the fifth.
const (
	requestedAction = "release.requested"
	decidedAction   = "release.decided"
	rejectedAction  = "release.rejected"
	releasedAction  = "release.released"
)

// Permits tells the state of permits.
type Permits interface {
	// InForce gives the permit as signed and the SHA-256 (hex) of its signed
	// bytes. It fails with PermitDenied if the permit has not begun, has ended,
	// or is suspended or withdrawn now, and with NotFound if there is none.
	InForce(ctx context.Context, id string) (*record.Permit, string, error)
}

// Accounts knows the people of the hub.
type Accounts interface {
	// Roles gives the roles of an account, or fails with NotFound.
	Roles(ctx context.Context, account string) ([]havre.Role, error)
}

// Drawer makes the chart of an output: SVG without script or outside
// reference, the same for the same output. Suppressed cells come with
// Suppressed "suppressed" and no numbers.
type Drawer interface {
	Draw(o study.Output, rules record.Rules) ([]byte, error)
}

// Airlock is the release desk of one hub. All fields are needed. Safe for
// concurrent use by one process.
type Airlock struct {
	Hub      string                                 // the hub's name in records
	Meta     *meta.DB                               // states and signed records
	Store    blob.Store                             // sealed outputs, under airlock/
	Key      func(permit string) (*seal.Key, error) // of a permit: seals what waits, and opens it again
	Signer   *sign.Signer                           // signs release records
	Audit    audit.Recorder
	Permits  Permits
	Accounts Accounts
	Drawer   Drawer
	Now      havre.Now
}

// Request asks that the outputs of a run may leave.
type Request struct {
	Permit    string
	Requester string // account, one of the permit's people
	Study     string
	StudySHA  string // SHA-256, hex, of the study definition's bytes
	Run       string
	Snapshot  string // Merkle root of the snapshot, hex
	Outputs   []study.Output
}

// Status is what the people concerned may know of a request. It has no count
// of persons.
type Status struct {
	ID        string            `json:"id"`
	State     State             `json:"state"`
	Permit    string            `json:"permit"`
	Study     string            `json:"study"`
	Run       string            `json:"run"`
	Requester string            `json:"requester"`
	Requested time.Time         `json:"requested"`
	Checkers  int               `json:"checkers"` // how many must agree
	Decisions []record.Decision `json:"decisions,omitempty"`
	Findings  map[string]int    `json:"findings,omitempty"` // hidden cells by rule
	Reasons   []string          `json:"reasons,omitempty"`  // of the quarantine
}

// sealed is what waits in the store: the outputs as they may leave and all
// that the checkers need to see.
type sealed struct {
	Outputs  []study.Output    `json:"outputs"`
	Evidence disclose.Evidence `json:"evidence"`
	Findings map[string]int    `json:"findings"`
	Reasons  []string          `json:"reasons"`
}

// role gives the account's roles. Who is unknown learns nothing, not even
// whether the release exists.
func (a *Airlock) role(ctx context.Context, op, id, account string) ([]havre.Role, error) {
	roles, err := a.Accounts.Roles(ctx, account)
	if havre.KindOf(err) == havre.NotFound || err == nil && len(roles) == 0 {
		return nil, noRelease(op, id)
	}
	return roles, err
}

func noRelease(op, id string) error {
	return havre.E(op, havre.NotFound, "there is no release "+id).
		WithHint("havre release list shows the releases that you may see")
}

func refused(op, msg string) *havre.Error { return havre.E(op, havre.Refused, msg) }
