// Package check gives the warnings of OHDSI's own checker about a cohort
// definition: what is unlikely to be meant, though it can be run. Package circe
// says what is wrong; this package what is doubtful.
//
// The kinds of warnings, their severities and wording are those of circe-be
// (org.ohdsi.circe.check), since ATLAS shows these texts and people search for
// them. The names of kinds and attributes follow from circe.Kinds.
package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity says how much a warning matters.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "CRITICAL"
	Doubtful Severity = "WARNING"
	Info     Severity = "INFO"
)

// Word is the severity for people to read.
func (s Severity) Word() string { return strings.ToLower(string(s)) }

var rank = map[Severity]int{Critical: 0, Doubtful: 1, Info: 2}

// Warning is one thing to look at again.
type Warning struct {
	Severity   Severity `json:"severity"`
	Message    string   `json:"message"`
	ConceptSet *int64   `json:"concept_set_id,omitempty"` // the set that the warning is about
}

// Definition gives the warnings about a Circe expression, worst first, else in
// the order of the checks. It reads unsound definitions too, as far as they go:
// what package circe refuses is not repeated here. Text that is no JSON gives no
// warnings.
func Definition(data []byte) []Warning {
	var e expression
	var mistyped *json.UnmarshalTypeError // the rest is read all the same
	if err := json.Unmarshal(trimBOM(data), &e); err != nil && !errors.As(err, &mistyped) {
		return nil
	}
	r := &report{}
	for _, c := range checks {
		c(r, &e)
	}
	slices.SortStableFunc(r.list, func(a, b Warning) int { return rank[a.Severity] - rank[b.Severity] })
	return r.list
}

// checks are the reference's, in its order.
var checks = []func(*report, *expression){
	unusedSets, noExitDrug, noExitOffset, ranges, emptyConcepts, emptyPeople, emptyTexts, emptyRules,
	noEntry, noExit, anyConcept, drugEras, atLeastNone, sameCriteria, sameSets, drugExits, emptySets,
	limits, longWindows, oddWindows, anyType, contradictions, deathBefore,
}

type report struct{ list []Warning }

func (r *report) add(s Severity, format string, args ...any) {
	r.list = append(r.list, Warning{Severity: s, Message: fmt.Sprintf(format, args...)})
}
