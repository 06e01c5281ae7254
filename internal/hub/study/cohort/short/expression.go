package short

// expression is what is written of a Circe expression, in the order in which
// ATLAS shows it.
type expression struct {
	Title             string       `json:"Title,omitempty"`
	ConceptSets       []conceptSet `json:"ConceptSets"`
	PrimaryCriteria   primary      `json:"PrimaryCriteria"`
	QualifiedLimit    limit        `json:"QualifiedLimit"`
	ExpressionLimit   limit        `json:"ExpressionLimit"`
	InclusionRules    []rule       `json:"InclusionRules"`
	EndStrategy       *endStrategy `json:"EndStrategy,omitempty"`
	CensoringCriteria []any        `json:"CensoringCriteria"`
	CollapseSettings  struct {
		CollapseType string `json:"CollapseType"`
		EraPad       int64  `json:"EraPad"`
	} `json:"CollapseSettings"`
	CensorWindow span `json:"CensorWindow"`
}

type conceptSet struct {
	ID         int    `json:"id"`
	Name       string `json:"name"`
	Expression struct {
		Items []conceptItem `json:"items"`
	} `json:"expression"`
}

type conceptItem struct {
	Concept     concept `json:"concept"`
	Excluded    bool    `json:"isExcluded"`
	Descendants bool    `json:"includeDescendants"`
	Mapped      bool    `json:"includeMapped"`
}

type concept struct {
	ID   int64  `json:"CONCEPT_ID"`
	Name string `json:"CONCEPT_NAME,omitempty"`
}

type primary struct {
	CriteriaList      []any `json:"CriteriaList"`
	ObservationWindow struct {
		PriorDays int64 `json:"PriorDays"`
		PostDays  int64 `json:"PostDays"`
	} `json:"ObservationWindow"`
	PrimaryCriteriaLimit limit `json:"PrimaryCriteriaLimit"`
}

type limit struct {
	Type string `json:"Type"`
}

type rule struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Expression  *group `json:"expression"`
}

type endStrategy struct {
	DateOffset *dateOffset `json:"DateOffset,omitempty"`
	CustomEra  *customEra  `json:"CustomEra,omitempty"`
}

type dateOffset struct {
	DateField string `json:"DateField"`
	Offset    int64  `json:"Offset"`
}

type customEra struct {
	DrugCodesetID int    `json:"DrugCodesetId"`
	GapDays       int64  `json:"GapDays"`
	Offset        int64  `json:"Offset"`
	DaysSupply    *int64 `json:"DaysSupplyOverride,omitempty"`
}

// span is a time in the calendar; either end may be open.
type span struct {
	Start string `json:"StartDate,omitempty"`
	End   string `json:"EndDate,omitempty"`
}

type group struct {
	Type        string           `json:"Type"`
	Count       *int64           `json:"Count,omitempty"`
	Criteria    []*correlated    `json:"CriteriaList"`
	Demographic []map[string]any `json:"DemographicCriteriaList"`
	Groups      []*group         `json:"Groups"`
}

type correlated struct {
	Criteria   any        `json:"Criteria"`
	Start      *window    `json:"StartWindow"`
	End        *window    `json:"EndWindow,omitempty"`
	Occurrence occurrence `json:"Occurrence"`
	SameVisit  bool       `json:"RestrictVisit,omitempty"`
	AnyTime    bool       `json:"IgnoreObservationPeriod,omitempty"`
}

type occurrence struct {
	Type     int    `json:"Type"`
	Count    int64  `json:"Count"`
	Distinct bool   `json:"IsDistinct,omitempty"`
	Column   string `json:"CountColumn,omitempty"`
}

type window struct {
	From     endpoint `json:"Start"`
	To       endpoint `json:"End"`
	IndexEnd bool     `json:"UseIndexEnd"`
	EventEnd bool     `json:"UseEventEnd"`
}

// endpoint is a number of days before (-1) or after (1) the index day; without
// days the observation period is the bound.
type endpoint struct {
	Days  *int64 `json:"Days,omitempty"`
	Coeff int    `json:"Coeff"`
}

type comparison struct {
	Value  any    `json:"Value"`
	Op     string `json:"Op"`
	Extent any    `json:"Extent,omitempty"`
}

type textComparison struct {
	Text string `json:"Text"`
	Op   string `json:"Op"`
}

type selection struct {
	CodesetID int  `json:"CodesetId"`
	Exclusion bool `json:"IsExclusion"`
}
