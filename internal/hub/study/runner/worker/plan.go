package worker

import (
	"strconv"
	"time"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// sheetBuckets is how many buckets one sheet of a plan has: a worker fetches
// the sheets of its buckets, not the keys of the whole warehouse.
const sheetBuckets = 64

const (
	planPrefix  = "plan/"
	leasePrefix = "lease/"
)

func planName(id string) string { return planPrefix + id }

func roundName(plan string, round int) string {
	return planPrefix + plan + "-" + strconv.Itoa(round)
}

// planHead is what the hub signs of a plan.
type planHead struct {
	Answer  string    `json:"answer"` // recipient that partials are sealed to; drawn for this plan alone
	Body    string    `json:"body_sha256"`
	Buckets int       `json:"buckets"`
	Hub     string    `json:"hub"`
	Made    time.Time `json:"made"`
	Permit  string    `json:"permit_sha256"` // of the signed permit
	Program string    `json:"program"`
	Root    string    `json:"root"`   // of the snapshot
	Run     string    `json:"run"`    // of the hub
	Sheets  []string  `json:"sheets"` // SHA-256 of each sealed sheet, in order
}

// planBody is the rest of a plan: what a worker needs of the study.
type planBody struct {
	Definition []byte                  `json:"definition"` // study.Definition as JSON
	Grant      permit.Grant            `json:"grant"`
	Number     int64                   `json:"number"` // of the snapshot
	Words      words                   `json:"words"`
	Common     []warehouse.PartSegment `json:"common"` // of tables that are in no bucket
}

// sheet is what a worker needs of some neighbouring buckets.
type sheet struct {
	First   int           `json:"first"` // number of the first bucket
	Buckets []sheetBucket `json:"buckets"`
}

type sheetBucket struct {
	Segments []warehouse.PartSegment `json:"segments"`
	Out      []string                `json:"out"` // persons who opted out, as text: 63 bits do not survive JSON numbers
}

func (s *sheet) optedOut() ([]int64, error) {
	var out []int64
	for _, b := range s.Buckets {
		for _, text := range b.Out {
			p, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, havre.E("worker.plan", havre.Tampered, "a plan names a person who opted out by what is no number")
			}
			out = append(out, p)
		}
	}
	return out, nil
}

// roundHead binds what a later round begins with (the study's own encoding) to
// its plan.
type roundHead struct {
	Body  string `json:"body_sha256"`
	Plan  string `json:"plan"`
	Round int    `json:"round"`
}

// words are the answers of the vocabulary that the study asked for when it was
// compiled at the hub, by question.
type words struct {
	Lists    map[string][]int64        `json:"lists"`
	Concepts map[string][]omop.Concept `json:"concepts"`
}
