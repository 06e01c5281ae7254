package check

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// expression is a definition read for checking: leniently, since most warnings
// are about parts that a strict reader refuses or passes over.
type expression struct {
	ConceptSets     []conceptSet
	PrimaryCriteria struct {
		CriteriaList         []criterion
		ObservationWindow    observed
		PrimaryCriteriaLimit limit
	}
	AdditionalCriteria *group
	QualifiedLimit     limit
	ExpressionLimit    limit
	InclusionRules     []rule
	EndStrategy        *struct {
		DateOffset *struct {
			DateField string
			Offset    int
		}
		CustomEra *struct{ DrugCodesetId *int64 }
	}
	CensoringCriteria []criterion
	CensorWindow      json.RawMessage
}

type conceptSet struct {
	ID         int64
	Name       string
	Expression struct {
		Items []struct{ Concept concept }
	}
}

type concept struct {
	ID         int64  `json:"CONCEPT_ID"`
	Code       string `json:"CONCEPT_CODE"`
	Domain     string `json:"DOMAIN_ID"`
	Vocabulary string `json:"VOCABULARY_ID"`
}

type observed struct{ PriorDays, PostDays int }

type limit struct{ Type string }

type rule struct {
	Name       string
	Expression group
}

type group struct {
	CriteriaList            []correlated
	DemographicCriteriaList []map[string]json.RawMessage
	Groups                  []group
}

func (g *group) empty() bool {
	return len(g.CriteriaList) == 0 && len(g.DemographicCriteriaList) == 0 && len(g.Groups) == 0
}

type correlated struct {
	Criteria    criterion
	StartWindow *window
	EndWindow   *window
	Occurrence  struct{ Type, Count int }
}

type window struct{ Start, End *endpoint }

type endpoint struct {
	Days  *int
	Coeff int
}

// days is the bound as days after the index date, 0 where it is open.
func (e *endpoint) days() int {
	if e == nil || e.Days == nil {
		return 0
	}
	return *e.Days * e.Coeff
}

// criterion is one member of its object, the kind; kind is nil if Circe has no
// such kind or there is nothing at all.
type criterion struct {
	kind   *circe.Kind
	fields map[string]json.RawMessage // without those that are null
	group  *group
}

// UnmarshalJSON never fails: what cannot be made out is left out.
func (c *criterion) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || len(members) != 1 {
		return nil
	}
	for name, value := range members {
		c.kind = circe.Kinds[name]
		_ = json.Unmarshal(value, &c.fields)
	}
	present(c.fields)
	if g := c.fields["CorrelatedCriteria"]; g != nil {
		c.group = new(group)
		_ = json.Unmarshal(g, c.group)
	}
	return nil
}

// present takes out the fields that are null: they count as absent.
func present(fields map[string]json.RawMessage) {
	for name, value := range fields {
		if string(bytes.TrimSpace(value)) == "null" {
			delete(fields, name)
		}
	}
}

// set gives the id of the concept set that a field names, nil if it names none.
func (c *criterion) set(field string) *int64 {
	var id *int64
	if field != "" {
		_ = json.Unmarshal(c.fields[field], &id)
	}
	return id
}

// name is the kind in words: "condition occurrence".
func (c *criterion) name() string {
	if c.kind == nil {
		return "unknown"
	}
	return words(c.kind.Name)
}

// words writes a name of Circe's as words: OccurrenceStartDate is "occurrence
// start date".
func words(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

func trimBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }
