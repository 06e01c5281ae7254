package short

import (
	"maps"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// kinds are the kinds of events by their key. Kinds whose table no CDM of
// version 5.3 or 5.4 has are not among them.
var kinds = func() map[string]*circe.Kind {
	shorter := map[string]string{"ConditionOccurrence": "condition", "DrugExposure": "drug", "ProcedureOccurrence": "procedure",
		"DeviceExposure": "device", "VisitOccurrence": "visit"}
	m := map[string]*circe.Kind{}
	for name, k := range circe.Kinds {
		if _, ok := omop.Lookup(k.Table); !ok {
			continue
		}
		key, ok := shorter[name]
		if !ok {
			key = snake(name)
		}
		m[key] = k
	}
	return m
}()

// Kinds lists the keys that name a kind of event.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// attribute is how one key of an event is written in Circe: as list (or range,
// text, flag), and as a concept set, where both exist.
type attribute struct{ list, set *circe.Attribute }

// attributes are the attributes of each kind by their key; those of a person,
// without an event, stand under "".
var attributes = func() map[string]map[string]attribute {
	m := map[string]map[string]attribute{"": keysOf(omop.Table{}, circe.Demographics)}
	for key, k := range kinds {
		table, _ := omop.Lookup(k.Table)
		m[key] = keysOf(table, k.Attributes)
	}
	return m
}()

// Attributes lists the keys of a kind of event; "" is a person.
func Attributes(kind string) []string { return slices.Sorted(maps.Keys(attributes[kind])) }

func keysOf(table omop.Table, all map[string]*circe.Attribute) map[string]attribute {
	m := map[string]attribute{}
	for _, a := range all {
		if _, there := table.Field(a.Column); a.Column != "" && !there || a.Form == circe.WithoutEffect || a.Subject == circe.SubjectRegion {
			continue
		}
		key := attributeKey(a.Name)
		at := m[key]
		if a.Form == circe.Selection {
			at.set = a
		} else {
			at.list = a
		}
		m[key] = at
	}
	return m
}

// attributeKey is one word for what Circe has several for.
func attributeKey(name string) string {
	name = strings.TrimSuffix(name, "CS")
	switch name {
	case "AgeAtStart":
		return "age"
	case "Gender":
		return "sex"
	case "ValueAsNumber", "DoseValue":
		return "value"
	case "ValueAsConcept":
		return "result"
	case "ValueAsString":
		return "text"
	case "UserDefinedPeriod":
		return "fixed_dates"
	}
	for end, key := range map[string]string{"StartDate": "starts", "EndDate": "ends", "Length": "length"} {
		if strings.HasSuffix(name, end) {
			return key
		}
	}
	return snake(name)
}

// snake writes a name of Circe's in lower case with underscores.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// countKey is the key of a column that is counted distinct.
func countKey(column string) string {
	switch column {
	case "DOMAIN_CONCEPT":
		return "concept"
	case "VISIT_ID":
		return "visit"
	case "VALUE_AS_NUMBER":
		return "value"
	}
	return strings.ToLower(column)
}
