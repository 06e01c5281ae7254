package envelope

import (
	"fmt"
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Types of the keeper's signed messages to the hub (docs/formats/linkage.md).
const (
	LinkageType = "application/vnd.havre.linkage.v1+json"
	OptOutType  = "application/vnd.havre.opt-out.v1+json"
)

// LinkageName is the object that holds the signed head of a linkage table.
const LinkageName = "linkage.json"

// Linkage is the signed head of the table that says which level-1 pseudonym
// stands behind each transport id of a delivery. The table is CSV with the
// header "tid,pseudonym", cut into parts, each zstd-compressed and sealed to the hub.
type Linkage struct {
	Delivery   havre.DeliveryID `json:"delivery"`
	Holder     havre.HolderID   `json:"holder"`
	Hub        string           `json:"hub"`
	Keeper     string           `json:"keeper"`
	Created    time.Time        `json:"created"`         // UTC, whole seconds
	Manifest   string           `json:"manifest_sha256"` // of the manifest's envelope bytes, hex
	KeyVersion int              `json:"key_version"`     // of the keeper's secret
	Rows       int64            `json:"rows"`            // transport ids
	Persons    int64            `json:"persons"`         // distinct persons behind them
	Counts     LinkageCounts    `json:"counts"`
	Parts      []Part           `json:"parts"` // purpose "linkage", table "linkage"
}

// LinkageCounts says how the rows were decided. Linked + New + Review = rows.
type LinkageCounts struct {
	Linked map[string]int64 `json:"linked"` // rows of a person known before, by rule
	New    int64            `json:"new"`    // rows that made a new person
	Review map[string]int64 `json:"review"` // rows left to a human, by reason; each has a person of its own until then
}

// LinkagePurpose marks the parts of a linkage table.
const LinkagePurpose Purpose = "linkage"

// LinkagePartName is the name of part i, counted from 1.
func LinkagePartName(i int) string { return fmt.Sprintf("linkage-%04d.age", i) }

// LinkageColumns is the header of the table.
func LinkageColumns() []string { return []string{"tid", "pseudonym"} }

// SignLinkage gives the bytes of linkage.json.
func SignLinkage(l *Linkage, s *sign.Signer) ([]byte, error) { return sign.Sign(LinkageType, l, s) }

// VerifyLinkage checks and decodes linkage.json against the keeper's keys.
func VerifyLinkage(b []byte, keeper ...sign.PublicKey) (*Linkage, error) {
	l := new(Linkage)
	if _, err := sign.Verify(b, LinkageType, l, keeper...); err != nil {
		return nil, err
	}
	return l, nil
}

// OptOut is the keeper's message that a person opts out of all secondary use,
// or takes that back. It travels signed, then sealed to the hub.
type OptOut struct {
	ID         string    `json:"id"` // 32 hex digits; a message told twice acts once
	Hub        string    `json:"hub"`
	Keeper     string    `json:"keeper"`
	At         time.Time `json:"at"`          // when the person said so, UTC, whole seconds
	Out        bool      `json:"out"`         // true: opts out; false: takes it back
	KeyVersion int       `json:"key_version"` // of the keeper's secret
	Pseudonyms []string  `json:"pseudonyms"`  // level 1; more than one where records of the person wait for review
}

// SignOptOut gives the bytes of an opt-out message, before it is sealed.
func SignOptOut(o *OptOut, s *sign.Signer) ([]byte, error) { return sign.Sign(OptOutType, o, s) }

// VerifyOptOut checks and decodes an opened opt-out message.
func VerifyOptOut(b []byte, keeper ...sign.PublicKey) (*OptOut, error) {
	o := new(OptOut)
	if _, err := sign.Verify(b, OptOutType, o, keeper...); err != nil {
		return nil, err
	}
	return o, nil
}
