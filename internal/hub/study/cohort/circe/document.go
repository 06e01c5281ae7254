package circe

// Definition is one parsed cohort definition. Make one with Parse; it is not
// changed afterwards and may be used by several goroutines.
type Definition struct {
	Title       string
	CDMVersions string // cdmVersionRange, as written
	ConceptSets []ConceptSet
	Primary     Primary
	// Additional qualifies the primary events; nil if the document has none. An
	// empty group is not nothing: with it, QualifiedLimit counts.
	Additional      *Group
	QualifiedLimit  Limit
	ExpressionLimit Limit
	Rules           []Rule
	End             EndStrategy
	Censoring       []*Criterion
	EraPad          int32 // periods at most so many days apart are one
	CensorStart     Date  // NoDate where there is none
	CensorEnd       Date
	// Notes say where the reference takes something otherwise than it is written:
	// a bound cut off, an attribute without effect.
	Notes []Problem
}

// ConceptSet is a named list of concepts as the author wrote it, before the
// vocabulary has had its say.
type ConceptSet struct {
	ID    int64
	Name  string
	Items []ConceptItem
}

// ConceptItem is one line of a concept set.
type ConceptItem struct {
	Concept     Concept
	Excluded    bool
	Descendants bool // also all below it in the hierarchy
	Mapped      bool // also the source concepts that map to it
}

// Concept is what a document says of a concept; only the id counts.
type Concept struct {
	ID         int64
	Name       string
	Code       string
	Domain     string
	Vocabulary string
	Standard   string
}

// Primary says which events let a person enter.
type Primary struct {
	Criteria  []*Criterion
	PriorDays int32 // days observed before the event, at least
	PostDays  int32 // and after it
	Limit     Limit
}

// Limit says which events of a person count.
type Limit int

// The limits.
const (
	LimitAll Limit = iota
	LimitFirst
	LimitLast
)

// Rule is one inclusion rule.
type Rule struct {
	Name        string
	Description string
	Group       *Group
}

// EndKind says how it is decided when a person leaves.
type EndKind int

// The kinds of end: at the end of observation; at a fixed offset from a date of
// the event; when an exposure to drugs ends.
const (
	EndOfObservation EndKind = iota
	EndAtOffset
	EndOfExposure
)

// EndStrategy says when a person leaves.
type EndStrategy struct {
	Kind    EndKind
	FromEnd bool  // EndAtOffset: counted from the event's end, else from its start
	Days    int32 // EndAtOffset and EndOfExposure: added to the date
	Set     int   // EndOfExposure: index in ConceptSets of the drugs
	GapDays int32 // EndOfExposure: exposures at most so far apart are one
	// Supply, EndOfExposure: days that every exposure lasts, whatever is
	// recorded; HasSupply says whether it is given.
	Supply    int32
	HasSupply bool
}

// GroupKind says how many parts of a group must hold.
type GroupKind int

// The kinds of groups.
const (
	All GroupKind = iota
	Any
	AtLeast
	AtMost
)

// Group is a condition on an event, made of parts.
type Group struct {
	Path        string
	Kind        GroupKind
	Count       int // AtLeast and AtMost
	Criteria    []*Correlated
	Demographic []*Demographic
	Groups      []*Group
}

// Empty says whether the group has no parts: then it holds for every event.
func (g *Group) Empty() bool {
	return len(g.Criteria) == 0 && len(g.Demographic) == 0 && len(g.Groups) == 0
}

// Correlated asks for events around another one, the index event.
type Correlated struct {
	Path          string
	Criterion     *Criterion
	Start         Window
	End           *Window // nil: none
	RestrictVisit bool    // only events of the index event's visit
	// AnyTime: the events need not lie in the index event's observation period,
	// and an open window is not bounded by it.
	AnyTime    bool
	Occurrence Occurrence
}

// Window bounds a date of the events by a date of the index event.
type Window struct {
	From, To Endpoint
	IndexEnd bool // counted from the index event's end, else from its start
	EventEnd bool // the event's end must lie in the window, else its start
}

// Endpoint is one bound of a window, counted from the index event.
type Endpoint struct {
	Open   bool  // no number of days: the observation period is the bound
	Before bool  // Open: its first day, else its last
	Days   int32 // else days after the index date, below zero before it
}

// Comparison says how a number of occurrences is compared.
type Comparison int

// The comparisons, by Circe's numbers.
const (
	Exactly Comparison = iota
	NoMoreThan
	NoFewerThan
)

// Occurrence says how many events there must be.
type Occurrence struct {
	Comparison Comparison
	Count      int
	Distinct   bool
	Column     string // Distinct: what is counted, by Circe's name
}

// Demographic is a condition on the person of an event.
type Demographic struct {
	Path    string
	Filters []Filter
}

// Criterion asks for events of one kind.
type Criterion struct {
	Path    string
	Kind    *Kind
	Set     int // index in ConceptSets of the standard concepts wanted, -1 for any
	Source  int // the same for source concepts
	First   bool
	Filters []Filter
	Adjust  *Adjustment // nil: none
	Period  *UserPeriod // nil: none
	Group   *Group      // nil: none; else a condition on each event
}

// Adjustment moves the dates of events.
type Adjustment struct {
	StartFromEnd, EndFromEnd bool // counted from the event's end, else from its start
	StartDays, EndDays       int32
}

// UserPeriod takes a fixed date in place of an event's own, for events that
// hold it; NoDate where there is none.
type UserPeriod struct{ Start, End Date }

// Filter keeps the events whose value lies in a range or list. As in SQL, an
// event without the value is not kept, negated or not.
type Filter struct {
	Path      string
	Attribute *Attribute
	Op        Op
	Value     float64 // whole numbers and days since 1970 are exact as float64
	Extent    float64 // OpBetween and OpNotBetween
	Text      string
	Concepts  []Concept // a list written out
	Set       int       // index in ConceptSets, -1 where there is none
}

// Op is an operator of a filter.
type Op int

// The operators. OpIn and OpNotIn are of Concepts or Set; the last six of Text.
const (
	OpLess Op = iota
	OpLessEqual
	OpEqual
	OpNotEqual
	OpGreater
	OpGreaterEqual
	OpBetween
	OpNotBetween
	OpIn
	OpNotIn
	OpHolds // of a flag that is set
	OpLike
	OpNotLike
)
