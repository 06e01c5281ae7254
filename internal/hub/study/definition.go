package study

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// Definition is a study: named cohorts and what to count over them. Make one
// with Parse or by hand, then Check it.
type Definition struct {
	Name        string   `json:"name"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Cohorts     []Cohort `json:"cohorts"` // by name
	Analyses    []Spec   `json:"analyses"`
}

// Cohort is one named cohort. Circe is its definition as ATLAS exports it; a
// short one has been expanded.
type Cohort struct {
	Name  string          `json:"name"`
	Circe json.RawMessage `json:"circe"`

	parsed *cohort.Definition // of Circe, as Check has read it
	text   json.RawMessage    // what parsed was read from
}

// Definition parses Circe, unless Check has: a library of definitions takes
// longer to read than a small bucket to answer.
func (c *Cohort) Definition() (*cohort.Definition, error) {
	if c.parsed != nil && bytes.Equal(c.text, c.Circe) {
		return c.parsed, nil
	}
	return cohort.Parse(c.Circe)
}

// Spec is one entry of the list of analyses. Which fields count is decided
// by Kind; docs/reference/study.md describes each.
type Spec struct {
	Name  string       `json:"name"` // of the output
	Title string       `json:"title,omitempty"`
	Kind  AnalysisKind `json:"kind"`

	Cohort     string `json:"cohort,omitempty"` // counts, attrition, observation, records, concepts
	Target     string `json:"target,omitempty"` // incidence, rate_ratio, survival, hazard_ratio, characterisation, prevalence, pathways
	Comparator string `json:"comparator,omitempty"`
	Outcome    string `json:"outcome,omitempty"`

	By       []string `json:"by,omitempty"`        // dimensions
	AgeBands []int    `json:"age_bands,omitempty"` // lower bounds, the first is 0; nil for ten-year bands to 90+
	NoTotals bool     `json:"no_totals,omitempty"`

	TimeAtRisk  TimeAtRisk `json:"time_at_risk,omitzero"`
	CleanWindow int        `json:"clean_window,omitempty"` // days, or Ever
	Step        int        `json:"step,omitempty"`         // survival: days of the steps that the released curve is made of
	Adjust      []string   `json:"adjust,omitempty"`       // hazard_ratio: covariates
	Ties        string     `json:"ties,omitempty"`         // hazard_ratio: efron or breslow

	Tables []string `json:"tables,omitempty"` // records, characterisation: the tables to count
	Table  string   `json:"table,omitempty"`  // concepts: the table to look into
	Top    int      `json:"top,omitempty"`    // concepts, characterisation: how many to show

	Window        Window  `json:"window,omitzero"`          // characterisation
	MinPrevalence float64 `json:"min_prevalence,omitempty"` // characterisation: least share of a group that has a concept shown

	Events            []string `json:"events,omitempty"`             // pathways: cohorts
	Depth             int      `json:"depth,omitempty"`              // pathways: most steps
	MinEra            int      `json:"min_era,omitempty"`            // pathways: days
	Collapse          int      `json:"collapse,omitempty"`           // pathways: days
	CombinationWindow int      `json:"combination_window,omitempty"` // pathways: days
	Filter            string   `json:"filter,omitempty"`             // pathways: first or changes

	Type     string `json:"type,omitempty"`     // prevalence: period or point
	Observed string `json:"observed,omitempty"` // prevalence: any or whole
	Day      string `json:"day,omitempty"`      // prevalence: month and day of the point
}

// AnalysisKind is a kind of analysis.
type AnalysisKind string

// The kinds that exist.
const (
	KindCounts      AnalysisKind = "counts"       // persons of a cohort by their traits at entry
	KindAttrition   AnalysisKind = "attrition"    // persons of a cohort by inclusion rule
	KindIncidence   AnalysisKind = "incidence"    // events over person-years
	KindRateRatio   AnalysisKind = "rate_ratio"   // of two cohorts
	KindSurvival    AnalysisKind = "survival"     // time to the first outcome
	KindHazardRatio AnalysisKind = "hazard_ratio" // of two cohorts
	KindObservation AnalysisKind = "observation"  // persons under observation by calendar year
	KindRecords     AnalysisKind = "records"      // records and persons by table
	KindConcepts    AnalysisKind = "concepts"     // the concepts of a table that most persons have

	KindCharacterisation AnalysisKind = "characterisation" // who the persons of a cohort are, and what they had before ("Table 1")
	KindPrevalence       AnalysisKind = "prevalence"       // persons with an outcome among those observed, by calendar year
	KindPathways         AnalysisKind = "pathways"         // the sequence of events after the first day
)

// The dimensions that persons can be counted by.
const (
	BySex         = "sex"
	ByAgeBand     = "age_band"
	ByYear        = "year"
	ByBirthDecade = "birth_decade"
)

// TimeAtRisk is the span in which an outcome counts, in days after the first
// day of a target period (day 0), both ends included. It never reaches past
// the observation period in which that day lies.
type TimeAtRisk struct {
	Start     int  `json:"start"`
	End       int  `json:"end"`
	CohortEnd bool `json:"cohort_end,omitempty"` // End is counted from the last day of the target period
}

// Window is a span of days around the first day in a cohort (day 0), both ends
// included; days before it are negative.
type Window struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// Ever as a clean window: a person is at risk until the first outcome only.
const Ever = -1

// Needs lists the tables and columns that the study reads, by table, so that a
// permit can be checked before anything runs. The definition must be checked.
func (d *Definition) Needs() ([]cohort.Need, error) {
	definitions, err := d.parseCohorts()
	if err != nil {
		return nil, err
	}
	needs := cohort.Needs(definitions, true)
	for i := range d.Analyses {
		needs = append(needs, d.Analyses[i].needs()...)
	}
	return mergeNeeds(needs), nil
}

func mergeNeeds(needs []cohort.Need) []cohort.Need {
	slices.SortStableFunc(needs, func(a, b cohort.Need) int {
		if a.Table < b.Table {
			return -1
		}
		if a.Table > b.Table {
			return 1
		}
		return 0
	})
	var out []cohort.Need
	for _, n := range needs {
		if len(out) == 0 || out[len(out)-1].Table != n.Table {
			out = append(out, cohort.Need{Table: n.Table})
		}
		last := &out[len(out)-1]
		for _, c := range n.Columns {
			if !slices.Contains(last.Columns, c) {
				last.Columns = append(last.Columns, c)
			}
		}
	}
	return out
}

// parseCohorts gives the parsed cohorts in order.
func (d *Definition) parseCohorts() ([]*cohort.Definition, error) {
	out := make([]*cohort.Definition, len(d.Cohorts))
	for i := range d.Cohorts {
		var err error
		if out[i], err = d.Cohorts[i].Definition(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Digest is the SHA-256, in hex, of everything that the definition says.
func (d *Definition) Digest() string {
	b, err := json.Marshal(d)
	if err != nil { // a cohort that is not JSON: Check has refused it
		b = []byte(err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
