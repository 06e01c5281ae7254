// Package posture says where a hub stands, from facts: who can read what
// today, what an order served at each layer would obtain, on whom the hub
// depends and for how long it lives without them, what lapses and what is due.
// Compose is a function of the facts; package app gathers them. The report is
// for people who have never seen Havre, in English and French.
package posture

import (
	"time"

	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/words"
)

// Facts are what a report is composed of. Fields that nobody could find out
// are zero, and the report says that it does not know.
type Facts struct {
	Hub         string
	At          time.Time
	Standing    host.Standing
	Derogations []host.Derogation
	Store       Store
	Custodians  []Custodian
	Accepted    bool // the configuration accepts a key in the same place as the store: a trial on one machine
	Log         Log
	Keeper      string         // name of the trusted keeper, "" if there is none yet
	Holders     int            // data holders registered
	Permits     int            // permits in force by the hub's list
	Accounts    map[string]int // accounts by role
	Drill       *Event         // last rehearsal of leaving, nil if never
	Move        *Event         // last move, nil if never
	Probes      []Probe
}

// Store is what the store shows to whoever looks at it without a key.
type Store struct {
	Kind    string    `json:"kind"`    // file, s3, azblob
	Place   string    `json:"place"`   // folder or address, without credentials
	Objects int64     `json:"objects"` // that were counted
	Bytes   int64     `json:"bytes"`
	Whole   bool      `json:"whole"` // everything was counted; else there is more
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
	Names   []string  `json:"names"` // a few, as the host sees them
	Clear   int64     `json:"clear"` // signed manifests of deliveries among the objects: in clear, without any row
	Failed  string    `json:"failed,omitempty"`
}

// Custodian is who can open the key ring.
type Custodian struct {
	Kind        string   `json:"kind"`             // file, passphrase, pkcs11, shares, plugin, ...
	Ref         string   `json:"ref"`              // how the configuration names it
	People      []string `json:"people,omitempty"` // who holds shares
	Needed      int      `json:"needed,omitempty"` // how many of them open
	Hardware    bool     `json:"hardware,omitempty"`
	PostQuantum bool     `json:"post_quantum"`
	Where       Where    `json:"where"`
}

// Where says where a custodian's key is, seen from the store.
type Where string

// The places.
const (
	Apart     Where = "apart"      // shown to be elsewhere than the store
	WithStore Where = "with_store" // on the store's own disk or host: whoever gets the one gets the other
	Unknown   Where = "unknown"
)

// Log is where the audit log stands.
type Log struct {
	Entries int64     `json:"entries"`
	Root    string    `json:"root"`
	Last    time.Time `json:"last,omitzero"`
	Checked bool      `json:"checked"` // every entry was hashed again for this report
	Sound   bool      `json:"sound"`
	Problem string    `json:"problem,omitempty"`
}

// Event is a rehearsal or a move that is on record.
type Event struct {
	At       time.Time `json:"at"`
	OK       bool      `json:"ok"` // it came to its end; a move that went back did not
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Seconds  float64   `json:"seconds,omitempty"`
	Objects  int64     `json:"objects,omitempty"`
	Bytes    int64     `json:"bytes,omitempty"`
	LogIndex int64     `json:"log_index"`
}

// Probe is something that was tried on the running hub.
type Probe struct {
	ID    string       `json:"id"`
	OK    bool         `json:"ok"`
	Found words.Phrase `json:"found"`
}
