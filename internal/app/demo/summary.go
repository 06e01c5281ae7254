// Package demo is the whole journey in one command: holders deliver, the keeper
// links, the hub ingests, a permit is decided, a study runs, a result is
// released and everything is verified; then what must not work is tried. It
// uses the same doors as the commands of each zone, and leaves a folder with
// one sub-folder per zone, so that who may see what is visible from the tree.
package demo

import (
	"fmt"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/quality"
)

// Summary is what the demo found out; with --json it is the result.
type Summary struct {
	Source              string             `json:"source"` // "synthetic" or the place of somebody's CDM
	Rows                Rows               `json:"rows"`
	Persons             Persons            `json:"persons"`
	Quality             *quality.Report    `json:"quality"`           // the hub's own view: small counts are shown
	Linkage             *Linkage           `json:"linkage,omitempty"` // only where the truth is known
	Effect              *Effect            `json:"effect,omitempty"`  // only where the truth is known
	Releases            []Release          `json:"releases"`
	Move                *Move              `json:"move"`
	Log                 Log                `json:"log"`
	Store               Store              `json:"store"`
	SuspendedRunRefused bool               `json:"suspended_run_refused"`
	TamperFound         bool               `json:"tamper_found"`
	TamperMessage       string             `json:"tamper_message"`
	Warnings            []string           `json:"warnings,omitempty"`
	Seconds             map[string]float64 `json:"seconds"`
	Folder              string             `json:"folder"`
	Holders             []Holder           `json:"holders"`
	steps               []string           // of Seconds, in order
}

// Rows counts data rows of the holders' health files. In = Stored + the sum of Rejected.
type Rows struct {
	In       int64            `json:"in"`
	Stored   int64            `json:"stored"`
	Rejected map[string]int64 `json:"rejected"`
}

// Persons counts persons: as delivered by each holder, and after linkage.
type Persons struct {
	Delivered int64 `json:"delivered"`
	Linked    int64 `json:"linked"`
	Review    int64 `json:"review"`
}

// Linkage compares pairs of records that were linked with pairs that are truly one person.
type Linkage struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
}

// Effect is the rate ratio built into the synthetic population and its estimate
// with a 95 % interval.
type Effect struct {
	True     float64 `json:"true"`
	Estimate float64 `json:"estimate"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

// Release is one result that left.
type Release struct {
	ID         string   `json:"id"`
	Files      []string `json:"files"` // within released/ID
	Cells      int      `json:"cells"`
	Suppressed int      `json:"suppressed"`
}

// Move is how the hub left its first host for its second.
type Move struct {
	app.Relocation
	Stores  [2]string `json:"stores"` // what played the hosts' parts
	Drilled bool      `json:"drilled"`
}

// Log is the audit log at the end.
type Log struct {
	Size     int64  `json:"size"`
	Root     string `json:"root"`
	Verified bool   `json:"verified"`
}

// Store is all that the host sees.
type Store struct {
	Objects int64    `json:"objects"`
	Bytes   int64    `json:"bytes"`
	Sample  []string `json:"sample,omitempty"` // a few object names
}

// Holder is one holder's part.
type Holder struct {
	Name     string           `json:"name"`
	RowsIn   int64            `json:"rows_in"`
	Stored   int64            `json:"stored"`
	Rejected map[string]int64 `json:"rejected"`
	Persons  int64            `json:"persons"`
	Withheld map[string]int64 `json:"withheld,omitempty"` // identifying values that never left the holder, by column

	delivery havre.DeliveryID
}

// balanced says whether every row is stored or counted as rejected.
func (r Rows) balanced() error {
	n := r.Stored
	for _, c := range r.Rejected {
		n += c
	}
	if n != r.In {
		return fmt.Errorf("%d rows in, %d accounted for", r.In, n)
	}
	return nil
}
