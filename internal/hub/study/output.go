package study

import (
	"fmt"
	"strconv"
	"strings"
)

// Output is what an analysis finishes with: one table of aggregates whose
// structure the disclosure rules understand. Nothing else can be released.
type Output struct {
	Name       string      `json:"name"`  // file name stem, a valid name
	Title      string      `json:"title"` // for people
	Kind       Kind        `json:"kind"`
	Dimensions []Dimension `json:"dimensions"`
	Measures   []string    `json:"measures,omitempty"` // keys of Cell.Values, in column order
	Cells      []Cell      `json:"cells"`
	Notes      []string    `json:"notes,omitempty"`

	// Sources names the outputs of the same run that this one is computed from
	// (a ratio: its rates). A cell is hidden when one it is made from is hidden:
	// the source's cell of the same categories and, on dimensions that only the
	// source has, of their total, or of every category where there is no total.
	Sources []string `json:"sources,omitempty"`
}

// Kind is the class of output, which decides the rules that apply; the names
// are those of the "statbarns" of SACRO.
type Kind string

// The kinds that exist so far.
const (
	Frequencies Kind = "frequencies" // counts of persons
	Rates       Kind = "rates"       // persons, events and person-years
	Ratios      Kind = "ratios"      // made from two rates
	Attrition   Kind = "attrition"   // persons lost at each step, see below
	Survival    Kind = "survival"    // curves of the time to an event, see the measures below

	Characteristics Kind = "characteristics" // persons of one or two groups by many traits, see below
	Proportions     Kind = "proportions"     // persons with and without an outcome, see below
	Pathways        Kind = "pathways"        // persons by the sequence of their events, see below
)

// An output of kind Pathways has the one dimension PathDim with its total:
// everybody. A path is its steps, joined by PathJoin; NoStep is that of persons
// without any event. Everybody is on one path. OtherStep, always the last step of
// a path, stands in what is released for all ways on (or none) that are not told by
// themselves.
const (
	PathDim   = "path"
	PathJoin  = " > "
	NoStep    = "none"
	OtherStep = "other"
)

// An output of kind Proportions has a dimension of the outcome last, with the
// categories With and Without and their total: the persons of the denominator. Cells of
// With have the share and its interval.
const (
	With    = "with"
	Without = "without"

	MeasureShareLow  = "proportion_low"
	MeasureShareHigh = "proportion_high"
)

// An output of kind Characteristics has the dimensions TraitDim, CategoryDim
// and Group, and no totals; only cells of somebody, or of a trait that somebody
// of another group has, are there. The traits:
//   - TraitPersons with the category All: the persons of the group;
//   - others (sex): every person of the group is in one category;
//   - one whose first category is Present: persons who have it. It may have further
//     categories: those of them with a value in some unit;
//   - TraitAge with the category Mean: persons whose age is known, with
//     MeasureMean and MeasureSD; it rests on the categories of TraitAgeBand.
//
// MeasureShare is the share of the group's persons, MeasureDifference, in cells of
// the target, the standardised difference to the comparator. Both are computed of the numbers
// that are shown.
const (
	TraitDim    = "trait"
	CategoryDim = "category"

	TraitPersons = "persons"
	TraitAge     = "age"
	TraitAgeBand = "age_band"

	All     = "all"
	Mean    = "mean"
	Present = "present"

	MeasureShare      = "proportion"
	MeasureMean       = "mean"
	MeasureSD         = "sd"
	MeasureDifference = "smd"

	GroupTarget     = "target"
	GroupComparator = "comparator"
)

// An output of kind Attrition has the one dimension Rule, with a total. Its
// cells are disjoint: the persons lost at each step, in the order of steps, and
// last InCohort, those who are left. So what is left after a step, and what is
// lost between two, are sums of cells. MeasureRemaining is made by the
// disclosure rules, of what they show.
const (
	Rule             = "rule"
	InCohort         = "in the cohort"
	MeasureRemaining = "remaining"
)

// RuleName is the category of a step, counted from 1.
func RuleName(number int, name string) string { return strconv.Itoa(number) + ": " + name }

// JoinRules is the category of some steps in a row together.
func JoinRules(categories []string) string {
	if len(categories) == 1 {
		return categories[0]
	}
	names := make([]string, len(categories))
	for i, c := range categories {
		_, names[i], _ = strings.Cut(c, ": ")
	}
	first, _, _ := strings.Cut(categories[0], ":")
	last, _, _ := strings.Cut(categories[len(categories)-1], ":")
	return first + "-" + last + ": " + strings.Join(names, "; ")
}

// An output of kind Survival has the dimension Days last. Each combination of
// the other categories is a curve. Its cells, by category of Days:
//   - a step ("1-30") in the order of time: Count is the persons at risk at its
//     start, the contributors EventsGroup and CensoredGroup are those who leave
//     during it, MeasureDay its last day, the other measures the curve there;
//   - Later: Count is the persons still at risk after the last step, its groups
//     how they leave;
//   - TotalKey: Count is all persons at risk, with EventsGroup and FreeGroup
//     (those without the event); the median, if it is reached.
//
// One more cell, with TotalKey in every place, may have the log-rank test; its
// Count is the sum of the curves'.
const (
	Days  = "days"
	Later = "later"

	EventsGroup   = "events"
	CensoredGroup = "censored"
	FreeGroup     = "event_free"

	MeasureDay          = "day"
	MeasureSurvival     = "survival"
	MeasureSurvivalLow  = "survival_low"
	MeasureSurvivalHigh = "survival_high"
	MeasureMedian       = "median"
	MeasureMedianLow    = "median_low"
	MeasureMedianHigh   = "median_high"
	MeasureChiSquared   = "chi_squared"
	MeasureFreedom      = "degrees_of_freedom"
	MeasureP            = "p_value"

	Group = "group" // the dimension of target and comparator
)

// StepName is the category of a step of days, both included.
func StepName(first, last int) string {
	if first == last {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// Dimension is one classifying variable. Categories are all that may occur, in
// order, whether or not a cell has them. With Total the table also has cells
// whose key for this dimension is "total".
type Dimension struct {
	Name       string   `json:"name"`
	Categories []string `json:"categories"`
	Total      bool     `json:"total,omitempty"`
	Sensitive  bool     `json:"sensitive,omitempty"` // belonging to a category is itself a secret
}

// TotalKey is the category that stands for the margin of a dimension.
const TotalKey = "total"

// Cell is one cell: Key has one category per dimension. Count is the number of
// distinct persons behind the cell. Contributors, where a measure rests on a
// smaller group, gives that group's persons (a rate: persons with an event).
// MaxShare is the largest share one person has in the cell's main sum, 0 if not
// a sum. Suppressed cells carry no numbers.
type Cell struct {
	Key          []string           `json:"key"`
	Count        int64              `json:"count"`
	Contributors map[string]int64   `json:"contributors,omitempty"`
	MaxShare     float64            `json:"max_share,omitempty"`
	Values       map[string]float64 `json:"values,omitempty"`
	Suppressed   string             `json:"suppressed,omitempty"` // "", "primary", "secondary", with the rule: "primary:min_count"
}
