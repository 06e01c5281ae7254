// Package envelope is the sealed delivery: what a holder signs and sends, and
// the receipt it gets back. A delivery is a folder of objects:
//
//	manifest.json      DSSE envelope of Manifest, signed by the holder
//	identity-0001.age  identity traits, sealed to the keeper (only on the way to the keeper)
//	health-0001.age    rows of one CDM table, sealed to the hub (only on the way to the hub)
//
// The manifest holds counts and hashes and no personal value, so the same one
// goes both ways. The byte-exact description is docs/formats/delivery.md.
package envelope

import (
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Types of the signed documents (DSSE payloadType).
const (
	ManifestType = "application/vnd.havre.delivery.v1+json"
	ReceiptType  = "application/vnd.havre.receipt.v1+json"
)

// ManifestName is the object that holds the signed manifest of a delivery.
const ManifestName = "manifest.json"

// Purpose says to whom a part is sealed, and what it may hold.
type Purpose string

// The three purposes of a part.
const (
	Identity  Purpose = "identity"  // for the keeper: one CSV row a person, traits and tid
	Health    Purpose = "health"    // for the hub: rows of one CDM table, person ids replaced by tids
	Malformed Purpose = "malformed" // for the hub: lines of a source file that are no row at all, kept to be counted
)

// Manifest describes one delivery. Plaintext of a part is CSV (RFC 4180, UTF-8,
// header row of lower-case column names, LF line ends), zstd-compressed, sealed with age.
// Part names are purpose, hyphen, four or more digits, ".age".
type Manifest struct {
	Delivery   havre.DeliveryID `json:"delivery"`
	Holder     havre.HolderID   `json:"holder"`
	Hub        string           `json:"hub"`         // the hub it is for, by name
	Created    time.Time        `json:"created"`     // UTC, whole seconds
	CDMVersion string           `json:"cdm_version"` // "5.3" or "5.4" as declared by the source
	Persons    int64            `json:"persons"`     // distinct transport ids
	Period     *Period          `json:"period,omitempty"`
	Parts      []Part           `json:"parts"`
	Sources    []Source         `json:"sources"`
	Accepted   []string         `json:"accepted,omitempty"` // guard exceptions the holder answers for, "table.column"
}

// Period is the first and last event date, "2006-01-02".
type Period struct {
	First string `json:"first"`
	Last  string `json:"last"`
}

// Part is one sealed object of the delivery.
type Part struct {
	Name      string   `json:"name"`
	Purpose   Purpose  `json:"purpose"`
	Table     string   `json:"table"`      // CDM table, lower case; "person_identity" for identity parts
	Columns   []string `json:"columns"`    // in order; a health part of a person table begins with "tid"
	Rows      int64    `json:"rows"`       // data rows, header not counted
	Size      int64    `json:"size"`       // bytes of the sealed object
	SHA256    string   `json:"sha256"`     // of the sealed object, hex
	PlainSize int64    `json:"plain_size"` // bytes of CSV before compression
}

// Source says what became of one source file, so that no row is lost unseen:
// RowsIn = RowsSent + the sum of Malformed.
type Source struct {
	File      string           `json:"file"` // name within the holder's folder
	Table     string           `json:"table"`
	RowsIn    int64            `json:"rows_in"`
	RowsSent  int64            `json:"rows_sent"`
	Malformed map[string]int64 `json:"malformed,omitempty"` // rows that are no row, by reason
	Withheld  map[string]int64 `json:"withheld,omitempty"`  // identifying values left at the holder, by column
	Recoded   int64            `json:"recoded,omitempty"`   // values read as Windows-1252 because they are not UTF-8
	Ignored   []string         `json:"ignored,omitempty"`   // columns that the CDM does not know, not sent
}

// RowsIn is the number of data rows of all source files.
func (m *Manifest) RowsIn() (n int64) {
	for _, s := range m.Sources {
		n += s.RowsIn
	}
	return n
}

// Receipt is the hub's answer, signed by the hub.
type Receipt struct {
	Delivery havre.DeliveryID `json:"delivery"`
	Holder   havre.HolderID   `json:"holder"`
	Hub      string           `json:"hub"`
	Received time.Time        `json:"received"`
	Manifest string           `json:"manifest_sha256"` // of the manifest's envelope bytes, hex
	Parts    int              `json:"parts"`
	Rows     int64            `json:"rows"`
	LogIndex int64            `json:"log_index"` // position of the entry "delivery.received"
}

// SignManifest gives the bytes of manifest.json.
func SignManifest(m *Manifest, s *sign.Signer) ([]byte, error) { return sign.Sign(ManifestType, m, s) }

// VerifyManifest checks and decodes manifest.json against the holder's keys.
func VerifyManifest(b []byte, holder ...sign.PublicKey) (*Manifest, error) {
	m := new(Manifest)
	if _, err := sign.Verify(b, ManifestType, m, holder...); err != nil {
		return nil, err
	}
	return m, nil
}

// SignReceipt gives the bytes of a receipt.
func SignReceipt(r *Receipt, s *sign.Signer) ([]byte, error) { return sign.Sign(ReceiptType, r, s) }

// VerifyReceipt checks and decodes a receipt against the hub's keys.
func VerifyReceipt(b []byte, hub ...sign.PublicKey) (*Receipt, error) {
	r := new(Receipt)
	if _, err := sign.Verify(b, ReceiptType, r, hub...); err != nil {
		return nil, err
	}
	return r, nil
}
