package cohort

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// Plan answers a fixed list of definitions over any bucket. It does not change
// once made and may be used by several goroutines.
type Plan struct {
	definitions []plannedDefinition
	criteria    []plannedCriterion // the criteria within a criterion stand before it
	domains     []domainPlan
	person      personNeeds
	visits      bool // the kinds of visits are wanted
	providers   bool // the specialties of providers
	sites       bool // the kinds of care sites

	absent []circe.Problem // what the CDM does not have

	keys []string // all that makes each criterion and definition what it is

	lookups lookupCache
	works   works
}

// personNeeds says which columns of PERSON are wanted.
type personNeeds struct{ demographics, race, ethnicity bool }

func (n personNeeds) any() bool { return n.demographics || n.race || n.ethnicity }

// plannedDefinition is a definition whose criteria stand in the plan's list.
type plannedDefinition struct {
	*Definition
	key        string // all that makes it what it is
	primary    []int32
	tables     []int32    // of the primary criteria: the place of the first one of the same table
	additional *groupPlan // nil: none, or one that asks nothing
	qualify    circe.Limit
	unordered  bool // every event that qualifies is taken, whichever is first
	rules      []groupPlan
	censoring  []int32
	drugs      []int32 // exposures of the custom era
	everyMask  uint64  // all rules are met
}

// plannedCriterion is a criterion that one or more definitions ask for.
type plannedCriterion struct {
	domain  int32
	plain   bool // nothing is asked but concepts
	first   bool
	source  []int64 // concepts that the row's source concept must be among, besides; nil for any
	filters []plannedFilter
	adjust  *circe.Adjustment
	period  *circe.UserPeriod
	group   *groupPlan // a condition on each event
	supply  *int32     // exposures last so many days, whatever is recorded
}

// groupPlan is circe.Group with planned parts.
type groupPlan struct {
	kind       circe.GroupKind
	count      int
	people     []demographicPlan
	correlated []correlatedPlan
	groups     []groupPlan
}

func (g *groupPlan) parts() int { return len(g.people) + len(g.correlated) + len(g.groups) }

// demographicPlan is a condition on the person of an event; even without
// filters, there must be a row in PERSON.
type demographicPlan struct{ filters []plannedFilter }

// correlatedPlan is circe.Correlated with a planned criterion.
type correlatedPlan struct {
	criterion int32
	*circe.Correlated
	distinct countedColumn
}

// countedColumn is what is counted distinct.
type countedColumn int32

const (
	countStart countedColumn = -1 - iota
	countEnd
	countLength
	countOne
	countVisit
	countConcept
	countNone // a column that is always null
)

// domainPlan is what is read of one table, and which rows concern which
// criteria. Every criterion stands under the standard concepts it wants; one
// that asks for source concepts only, under these; one that asks for neither,
// under every row.
type domainPlan struct {
	*circe.Kind
	criteria []int32 // all of this domain

	needID, needEnd, needVisit, needConcept, needSource bool

	extra []extraColumn

	concepts   []int64 // rows wanted, ascending; nil for all
	byStandard classes
	bySource   classes
	every      []int32
}

// together says whether all events of a person are one to the reference: it knows
// a death by the person's id.
func (d *domainPlan) together() bool { return d.ID == "" }

// extraColumn is a column that filters or counts look at. A text column is
// compared with its pattern as it is read.
type extraColumn struct {
	column  string
	pattern *pattern // nil: a column of numbers
}

// Digest is the SHA-256, in hex, of what the plan asks of the rows. It differs
// when the vocabulary gives other concepts for the same definitions.
func (p *Plan) Digest() string {
	h := sha256.New()
	for _, key := range p.keys {
		fmt.Fprintln(h, key)
	}
	return hex.EncodeToString(h.Sum(nil))
}
