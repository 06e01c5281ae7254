// Package worker carries a study to machines that are not the hub. The hub's
// side (Prepare) makes a plan: one sealed object in the store with the study,
// the permit and the keys of just those segments that the study reads. The
// worker's side (Worker.Serve) reads task lines, fetches and opens the
// segments of a bucket itself, maps it, and writes one sealed, signed partial a
// line. Whoever carries the lines between the two (package spark) sees the
// names of plans and the numbers of buckets, nothing else.
//
// A worker reads only while the hub says so: the hub keeps a short-lived signed
// lease in the store and ends it when the permit is suspended, ends or is
// amended, or an opt-out is recorded. Formats: docs/formats/worker.md.
package worker

import (
	"fmt"
	"regexp"
	"runtime/debug"
	"strconv"

	"github.com/havre-hub/havre/internal/havre"
)

// Types of the signed documents (DSSE payloadType).
const (
	planType    = "application/vnd.havre.plan.v1+json"
	roundType   = "application/vnd.havre.plan-round.v1+json"
	leaseType   = "application/vnd.havre.lease.v1+json"
	partialType = "application/vnd.havre.partial.v1+json"
)

// Task is one task line: a bucket of a round of a plan.
type Task struct {
	Plan   string // SHA-256, hex, of the sealed plan
	Bucket int
	Round  int // from 0
}

// String is the line, without its end.
func (t Task) String() string { return fmt.Sprintf("havre1 %s %d %d", t.Plan, t.Bucket, t.Round) }

var taskLine = regexp.MustCompile(`^havre1 ([0-9a-f]{64}) (0|[1-9][0-9]{0,5}) (0|[1-9][0-9]{0,5})$`)

// ParseTask reads a task line in its one spelling.
func ParseTask(line string) (Task, error) {
	m := taskLine.FindStringSubmatch(line)
	if m == nil {
		return Task{}, havre.E("worker.task", havre.Invalid, fmt.Sprintf("this is no task line: %.80q", line)).
			WithHint(`a task line is "havre1 PLAN BUCKET ROUND"`)
	}
	bucket, _ := strconv.Atoi(m[2]) // the pattern holds numbers of six digits
	round, _ := strconv.Atoi(m[3])
	return Task{m[1], bucket, round}, nil
}

// program is the version, set by the linker where a package is built outside a
// checkout: -ldflags "-X .../runner/worker.program=1.2.3".
var program string

// Program is the version of this program. Hub and worker of one run are of one
// version, since partial results are compared to the last byte.
func Program() string {
	if program != "" {
		return program
	}
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := bi.Main.Version
	for _, s := range bi.Settings {
		switch {
		case s.Key == "vcs.revision" && (version == "" || version == "(devel)"):
			version = "commit " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			version += " and changes"
		}
	}
	return version
}
