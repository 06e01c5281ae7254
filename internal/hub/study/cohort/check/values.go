package check

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// spoken are the attributes that the reference calls otherwise than Circe's
// fields.
var spoken = map[string]string{"VisitType": "visit", "ProviderSpecialty": "provider speciality"}

// attributeName is the reference's name of an attribute: a list of concepts and
// its twin that names a concept set have the same.
func attributeName(kind string, a *circe.Attribute) string {
	name := strings.TrimSuffix(a.Name, "CS")
	switch {
	case kind == "condition era" && strings.HasPrefix(name, "AgeAt"):
		return "age at era " + strings.ToLower(strings.TrimPrefix(name, "AgeAt"))
	case kind == "location region":
		return kind + " " + words(name)
	case spoken[name] != "":
		if kind == "visit occurrence" || name != "VisitType" {
			return spoken[name]
		}
		return "visit"
	}
	return words(name)
}

// unchecked are attributes whose values the reference does not look at.
var unchecked = map[string]bool{"ConditionStatus": true}

// eachValue visits all attributes that are filled in, of criteria and persons.
func eachValue(e *expression, visit func(place, kind string, a *circe.Attribute, value json.RawMessage)) {
	attributes := func(known map[string]*circe.Attribute, fields map[string]json.RawMessage, place, kind string) {
		for _, name := range slices.Sorted(maps.Keys(known)) {
			if value, ok := fields[name]; ok && !unchecked[strings.TrimSuffix(name, "CS")] {
				visit(place, kind, known[name], value)
			}
		}
	}
	values{
		criterion: func(c *criterion, place string) { attributes(c.kind.Attributes, c.fields, place, c.name()) },
		demographic: func(fields map[string]json.RawMessage, place string) {
			attributes(circe.Demographics, fields, place, "demographic")
		},
	}.walk(e)
}

// ranges looks at the bounds of dates, numbers and windows.
func ranges(r *report, e *expression) {
	eachValue(e, func(place, kind string, a *circe.Attribute, value json.RawMessage) {
		name := attributeName(kind, a)
		switch a.Form {
		case circe.Dates:
			r.dates(place, kind, name, value)
		case circe.Integers, circe.Decimals:
			r.numbers(place, kind, name, value)
		case circe.UserPeriods:
			r.period(place, kind, name, value)
		case circe.WithoutEffect:
			if kind == "location region" { // the only one that the reference looks at
				r.dates(place, kind, name, value)
			}
		}
	})
	window := func(c *correlated, place string) {
		for _, w := range []*window{c.StartWindow, c.EndWindow} {
			if w != nil {
				r.endpoint(place, "start", w.Start)
				r.endpoint(place, "end", w.End)
			}
		}
	}
	values{correlated: window}.walk(e)
	for _, rule := range e.InclusionRules { // the reference says it twice, of the rule by its name too
		for i := range rule.Expression.CriteriaList {
			window(&rule.Expression.CriteriaList[i], rule.Name)
		}
	}
	w := e.PrimaryCriteria.ObservationWindow
	r.negative("observation window", "prior days", w.PriorDays)
	r.negative("observation window", "post days", w.PostDays)
	r.period("Primary criteria", "root object", "censor window", e.CensorWindow)
	r.period("Primary criteria", "cohort", "censor window", e.CensorWindow)
}

func (r *report) endpoint(place, side string, p *endpoint) {
	if p != nil && p.Days != nil {
		r.negative(place, side, *p.Days)
	}
}

func (r *report) negative(place, side string, days int) {
	if days < 0 {
		r.add(Critical, `Time window in criteria "%s" has negative value %d at %s`, place, days, side)
	}
}

const (
	emptyValue = "%s in the %s has empty %s value"
	emptyStart = "%s in the %s has empty %s start value"
	emptyEnd   = "%s in the %s has empty %s end value"
	turned     = "%s in the %s has start value greater than end in %s"
	noDate     = "%s in the %s has invalid date value at %s"
)

func (r *report) dates(place, kind, name string, value json.RawMessage) {
	var v struct {
		Op            string
		Value, Extent *string
	}
	_ = json.Unmarshal(value, &v)
	say := func(format string) { r.add(Critical, format, place, kind, name) }
	if v.Value != nil && !isDate(*v.Value) {
		say(noDate)
	}
	if v.Value == nil {
		say(emptyStart)
	}
	if !strings.HasSuffix(v.Op, "bt") {
		return
	}
	switch {
	case v.Extent == nil:
		say(emptyEnd)
	case !isDate(*v.Extent):
		say(noDate)
	case v.Value != nil && isDate(*v.Value) && *v.Value > *v.Extent:
		say(turned)
	}
}

func (r *report) numbers(place, kind, name string, value json.RawMessage) {
	var v struct {
		Op            string
		Value, Extent *float64
	}
	_ = json.Unmarshal(value, &v)
	say := func(format string) { r.add(Critical, format, place, kind, name) }
	between := strings.HasSuffix(v.Op, "bt")
	switch {
	case v.Value == nil:
		say(emptyStart)
	case between && v.Extent != nil && math.Trunc(*v.Value) > math.Trunc(*v.Extent): // so does the reference
		say(turned)
	}
	if between && v.Extent == nil {
		say(emptyEnd)
	}
}

func (r *report) period(place, kind, name string, value json.RawMessage) {
	var v struct{ StartDate, EndDate *string }
	_ = json.Unmarshal(value, &v)
	sound := true
	for _, d := range []*string{v.StartDate, v.EndDate} {
		if d != nil && !isDate(*d) {
			sound = false
			r.add(Critical, noDate, place, kind, name)
		}
	}
	if sound && v.StartDate != nil && v.EndDate != nil && *v.StartDate > *v.EndDate {
		r.add(Critical, turned, place, kind, name)
	}
}

// isDate says whether s is a date as the reference reads it: 2006-01-02.
// Sound dates of this form compare as text.
func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// emptyConcepts looks for lists of concepts without any, and for selections that
// name no concept set.
func emptyConcepts(r *report, e *expression) {
	eachValue(e, func(place, kind string, a *circe.Attribute, value json.RawMessage) {
		empty := false
		switch a.Form {
		case circe.Concepts:
			var list []json.RawMessage
			empty = json.Unmarshal(value, &list) == nil && len(list) == 0
		case circe.Selection:
			var s struct{ CodesetId *int64 }
			empty = json.Unmarshal(value, &s) == nil && s.CodesetId == nil
		}
		if empty {
			r.add(Critical, emptyValue, place, kind, attributeName(kind, a))
		}
	})
}

// emptyTexts looks for comparisons of text without the text.
func emptyTexts(r *report, e *expression) {
	eachValue(e, func(place, kind string, a *circe.Attribute, value json.RawMessage) {
		var v struct{ Text *string }
		if a.Form == circe.Texts && json.Unmarshal(value, &v) == nil && v.Text == nil {
			r.add(Doubtful, emptyValue, place, kind, attributeName(kind, a))
		}
	})
}

// emptyPeople looks for demographic criteria that ask nothing.
func emptyPeople(r *report, e *expression) {
	values{demographic: func(fields map[string]json.RawMessage, place string) {
		if len(fields) == 0 {
			r.add(Doubtful, "%s in the demographic does not have attributes", place)
		}
	}}.walk(e)
}
