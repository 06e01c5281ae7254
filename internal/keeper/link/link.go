// Package link decides whether a record of identity traits belongs to a person
// already known. It is a library of its own: it compares, and knows nothing of
// deliveries, files, keys or pseudonyms.
//
// The contract is small. A Linker gets a normalised Record, what is Known, and
// gives a Decision: Link to one person, New, or Review with the reason and the
// candidates. Exact, the linker here, knows only rules; a probabilistic one
// (weights and thresholds over the same Compare) takes its place by the same
// method. Nothing that is Review or New is ever linked by a linker later on its
// own: that takes a human or new evidence.
package link

import "github.com/havre-hub/havre/internal/havre"

// Source is who delivered a record, and under which id of its own; the id may
// be "".
type Source struct{ Holder, ID string }

// Known is what a linker may ask about persons known so far. Persons are
// register numbers; slices are ascending and not to be changed.
type Known interface {
	// BySource gives the persons that this source delivered under this id.
	BySource(Source) []int64
	// ByNIR gives the persons with a record of that number.
	ByNIR(havre.NIR) []int64
	// ByStrict gives the persons with a record of these five traits.
	ByStrict(StrictKey) []int64
	// Records gives every record of a person.
	Records(person int64) []Record
	// UnderReview says whether a person waits for a human's decision: then no
	// rule may link anything to it but the source's own further records.
	UnderReview(person int64) bool
}

// Linker decides on one record.
type Linker interface {
	Decide(r Record, from Source, k Known) Decision
}

// Outcome is what a linker concludes.
type Outcome int

// The three outcomes.
const (
	New    Outcome = iota // nobody known matches: a new person
	Link                  // it belongs to Decision.Person
	Review                // evidence conflicts or points to several: a human decides
)

// Decision is a linker's conclusion with its ground.
type Decision struct {
	Outcome    Outcome
	Person     int64   // for Link
	Rule       string  // for Link: the rule that held; for Review: the reason
	Candidates []int64 // for Review: whom it might be, ascending; may be empty
}

// Rules of Exact, as they stand in counts and in the journal.
const (
	RuleSource = "source" // same holder and same id of the holder as before, traits do not conflict
	RuleNIR    = "nir"    // same certified NIR; birth date, sex and first given name do not conflict
	RuleStrict = "strict" // the five strict traits are the same, no NIR conflicts
)

// Reasons for Review.
const (
	ReasonNIRContradicts = "nir_contradicts_traits" // the record's NIR does not fit its own sex or birth date
	ReasonSourceConflict = "source_conflict"        // the holder's id is known with other traits
	ReasonNIRConflict    = "nir_conflict"           // the NIR is known with another birth date, sex or first given name
	ReasonNIRSeveral     = "nir_several"            // the NIR is known of several persons
	ReasonStrictConflict = "strict_conflict"        // the five traits are known with another NIR
	ReasonStrictSeveral  = "strict_several"         // the five traits are known of several persons
	ReasonUnderReview    = "candidate_under_review" // the only match itself waits for a decision
)

// Exact links by rules without weights, in this order:
//
//  1. the holder's own id, known before, if the traits do not conflict;
//  2. a certified NIR (fictive and provisional ones never count), if birth date,
//     sex and first given name do not conflict;
//  3. the five strict traits of the INS (birth name, first given name, birth
//     date, sex, place of birth), if no certified NIR conflicts.
//
// Conflicting evidence and several candidates are Review, never Link.
type Exact struct{}

var _ Linker = Exact{}

// Decide applies the rules.
func (Exact) Decide(r Record, from Source, k Known) Decision {
	if d, ok := bySource(r, from, k); ok {
		return d
	}
	if !r.NIRFits() {
		return Decision{Outcome: Review, Rule: ReasonNIRContradicts, Candidates: known(k.ByNIR(r.NIR))}
	}
	if r.HasNIR() {
		if persons := k.ByNIR(r.NIR); len(persons) > 0 {
			return choose(r, persons, k, RuleNIR, ReasonNIRConflict, ReasonNIRSeveral)
		}
	}
	key, whole := r.Strict()
	if !whole {
		return Decision{Outcome: New}
	}
	if persons := k.ByStrict(key); len(persons) > 0 {
		return choose(r, persons, k, RuleStrict, ReasonStrictConflict, ReasonStrictSeveral)
	}
	return Decision{Outcome: New}
}

// bySource applies the first rule; it decides only if the id is known.
func bySource(r Record, from Source, k Known) (Decision, bool) {
	if from.ID == "" {
		return Decision{}, false
	}
	persons := k.BySource(from)
	if len(persons) == 0 {
		return Decision{}, false
	}
	for _, p := range persons {
		if !conflicts(r, k.Records(p)) && !renamed(r, k.Records(p)) {
			return Decision{Outcome: Link, Person: p, Rule: RuleSource}, true
		}
	}
	return Decision{Outcome: Review, Rule: ReasonSourceConflict, Candidates: known(persons)}, true
}

// choose links r to the one person among several that nothing speaks against.
func choose(r Record, persons []int64, k Known, rule, conflict, several string) Decision {
	var free []int64
	waiting := false
	for _, p := range persons {
		switch {
		case conflicts(r, k.Records(p)), rule == RuleNIR && otherGiven(r, k.Records(p)):
		case k.UnderReview(p):
			waiting = true
		default:
			free = append(free, p)
		}
	}
	switch {
	case len(free) == 1:
		return Decision{Outcome: Link, Person: free[0], Rule: rule}
	case len(free) > 1:
		return Decision{Outcome: Review, Rule: several, Candidates: free}
	case waiting:
		return Decision{Outcome: Review, Rule: ReasonUnderReview, Candidates: known(persons)}
	default:
		return Decision{Outcome: Review, Rule: conflict, Candidates: known(persons)}
	}
}

// conflicts says whether r contradicts any record of a person in a trait that
// one person has only one of.
func conflicts(r Record, records []Record) bool {
	for i := range records {
		if Compare(&r, &records[i]).Conflict() {
			return true
		}
	}
	return false
}

// otherGiven says whether the first given name of r is known and differs from
// that of every record that has one: twins share birth date and sex, and the
// NIR of one may have been typed for the other.
func otherGiven(r Record, records []Record) bool {
	differs := false
	for i := range records {
		switch Compare(&r, &records[i]).Given {
		case Same:
			return false
		case Different:
			differs = true
		}
	}
	return differs
}

// renamed says whether both names of r differ from every record that has
// names: an id of the holder that was given to somebody else.
func renamed(r Record, records []Record) bool {
	differs := false
	for i := range records {
		c := Compare(&r, &records[i])
		if c.Name == Same || c.Given == Same {
			return false
		}
		differs = differs || c.Name == Different && c.Given == Different
	}
	return differs
}

// known copies a slice that belongs to Known.
func known(persons []int64) []int64 { return append([]int64(nil), persons...) }
