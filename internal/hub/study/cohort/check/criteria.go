package check

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// eachNamedSet visits the ids of the concept sets that criteria and persons name
// anywhere.
func (e *expression) eachNamedSet(use func(*int64)) {
	number := func(value json.RawMessage) {
		var id *int64
		_ = json.Unmarshal(value, &id)
		use(id)
	}
	attributes := func(known map[string]*circe.Attribute, fields map[string]json.RawMessage) {
		for name, a := range known {
			switch a.Form {
			case circe.Codeset:
				number(fields[name])
			case circe.Selection:
				var s struct{ CodesetId json.RawMessage }
				_ = json.Unmarshal(fields[name], &s)
				number(s.CodesetId)
			}
		}
	}
	v := values{
		criterion: func(c *criterion, _ string) {
			use(c.set(c.kind.Codeset))
			use(c.set(c.sourceField()))
			attributes(c.kind.Attributes, c.fields)
		},
		demographic: func(fields map[string]json.RawMessage, _ string) { attributes(circe.Demographics, fields) },
	}
	v.walk(e)
	for i := range e.InclusionRules { // walk leaves the groups of rules out
		for j := range e.InclusionRules[i].Expression.Groups {
			v.group(&e.InclusionRules[i].Expression.Groups[j], "")
		}
	}
}

func emptyRules(r *report, e *expression) {
	for _, rule := range e.InclusionRules {
		if rule.Expression.empty() {
			r.add(Critical, "Inclusion rule %s has no criteria.", rule.Name)
		}
	}
}

func noEntry(r *report, e *expression) {
	if len(e.PrimaryCriteria.CriteriaList) == 0 {
		r.add(Critical, "No initial event criteria specified")
	}
}

// drugEras looks for eras of drugs asked for at no time in particular.
func drugEras(r *report, e *expression) {
	e.eachCorrelated(func(c *correlated, place string) {
		if c.Criteria.kind.Name == "DrugEra" && (c.StartWindow == nil || c.StartWindow.Start == nil && c.StartWindow.End == nil) &&
			(c.EndWindow == nil || c.EndWindow.Start == nil) {
			r.add(Info, "Using drug era at %s criteria on medical claims (e.g., biologics) may not be accurate due to missing days supply information", place)
		}
	})
}

func atLeastNone(r *report, e *expression) {
	e.eachCorrelated(func(c *correlated, _ string) {
		if circe.Comparison(c.Occurrence.Type) == circe.NoFewerThan && c.Occurrence.Count == 0 {
			r.add(Doubtful, "'at least 0' occurrence is not a real constraint, probably meant 'exactly 0' or 'at least 1'")
		}
	})
}

// telling are the fields by which the reference takes two criteria of a kind for
// the same. Of kinds that are not here it is the concept set; those without one
// it never takes for the same.
var telling = map[string][]string{
	"ConditionOccurrence": {"CodesetId", "ConditionSourceConcept"},
	"ObservationPeriod":   {"PeriodStartDate", "PeriodEndDate", "PeriodLength"},
	"PayerPlanPeriod": {"PayerConcept", "PayerSourceConcept", "PlanConcept", "PlanSourceConcept", "SponsorConcept",
		"SponsorSourceConcept", "StopReasonConcept", "StopReasonSourceConcept"},
}

func (c *criterion) same(o *criterion) bool {
	if c.kind != o.kind {
		return false
	}
	fields, ok := telling[c.kind.Name]
	switch {
	case ok:
	case hasSets(c.kind):
		fields = []string{c.kind.Codeset}
	default:
		return false
	}
	for _, f := range fields {
		if canonical(c.fields[f]) != canonical(o.fields[f]) {
			return false
		}
	}
	return true
}

// canonical writes a value so that equal values are equal text.
func canonical(value json.RawMessage) string {
	var v any
	_ = json.Unmarshal(value, &v)
	text, _ := json.Marshal(v)
	return string(text)
}

// mostCompared bounds checks that compare every criterion with every other.
const mostCompared = 2000

func sameCriteria(r *report, e *expression) {
	var all []*criterion
	var names []string
	e.eachCriterion(func(c *criterion, place string) {
		if len(all) < mostCompared {
			all = append(all, c)
			names = append(names, c.name()+" criteria in "+place)
		}
	})
	for i := range all {
		var twins []string
		for j := i + 1; j < len(all); j++ {
			if all[i].same(all[j]) {
				twins = append(twins, names[j])
			}
		}
		if len(twins) > 0 {
			r.add(Doubtful, "Probably %s duplicates %s", names[i], strings.Join(twins, ", "))
		}
	}
}

// contradictions looks for two criteria of the same events whose numbers exclude
// each other.
func contradictions(r *report, e *expression) {
	var all []*correlated
	var names []string
	e.eachCorrelated(func(c *correlated, place string) {
		if len(all) < mostCompared {
			all = append(all, c)
			names = append(names, place+" "+c.Criteria.name())
		}
	})
	bounds := func(c *correlated) (lo, hi int) {
		switch circe.Comparison(c.Occurrence.Type) {
		case circe.NoMoreThan:
			return math.MinInt, c.Occurrence.Count
		case circe.NoFewerThan:
			return c.Occurrence.Count, math.MaxInt
		}
		return c.Occurrence.Count, c.Occurrence.Count
	}
	for i := range all {
		lo, hi := bounds(all[i])
		for j := i + 1; j < len(all); j++ {
			a, b := &all[i].Criteria, &all[j].Criteria
			if a.kind != b.kind || !hasSets(a.kind) || canonical(a.fields["CodesetId"]) != canonical(b.fields["CodesetId"]) {
				continue
			}
			if l, h := bounds(all[j]); h < lo || l > hi {
				r.add(Doubtful, "%s might be contradicted with %s and possibly will lead to 0 records", names[i], names[j])
			}
		}
	}
}

// longWindows looks for windows that reach further than the observation asked
// for around the entry.
func longWindows(r *report, e *expression) {
	w := e.PrimaryCriteria.ObservationWindow
	e.eachCorrelated(func(c *correlated, place string) {
		if c.StartWindow != nil && w.PriorDays+w.PostDays < c.StartWindow.End.days()-c.StartWindow.Start.days() {
			r.add(Info, "%s criteria have time window range that is longer than required time for initial event", place+" "+c.Criteria.name())
		}
	})
}

// oddWindows looks for windows that start otherwise than most others.
func oddWindows(r *report, e *expression) {
	type seen struct {
		name  string
		start int
		w     *window
	}
	var all []seen
	count := map[int]int{}
	e.eachCorrelated(func(c *correlated, place string) {
		s := seen{name: c.Criteria.name() + " criteria at " + place, w: c.StartWindow}
		if c.StartWindow != nil {
			s.start = c.StartWindow.Start.days()
		}
		all = append(all, s)
		count[s.start]++
	})
	var usual *seen
	for i := range all {
		if usual == nil || count[all[i].start] > count[usual.start] {
			usual = &all[i]
		}
	}
	if usual == nil || count[usual.start] < 2 {
		return
	}
	for _, s := range all {
		if count[s.start] < count[usual.start] {
			r.add(Info, "%s time window differs from most common pattern prior '%s', shouldn't that be a valid pattern?", s.name, usual.w.text())
		}
	}
}

func (w *window) text() string {
	if w == nil {
		return ""
	}
	text := ""
	if w.Start != nil {
		text = w.Start.text()
	}
	if w.End != nil {
		text += " and " + w.End.text()
	}
	return text
}

func (p *endpoint) text() string {
	days, side := "all", "after "
	if p.Days != nil {
		days = strconv.Itoa(*p.Days)
	}
	if p.Coeff < 0 {
		side = "before "
	}
	return days + " days " + side
}

// typeFields are the fields that say of which type a record must be.
var typeFields = map[string]string{
	"ConditionOccurrence": "ConditionType", "Death": "DeathType", "DeviceExposure": "DeviceType", "DrugExposure": "DrugType",
	"Measurement": "MeasurementType", "Observation": "ObservationType", "ProcedureOccurrence": "ProcedureType",
	"Specimen": "SpecimenType", "VisitOccurrence": "VisitType", "VisitDetail": "VisitDetailType",
}

// anyType looks for criteria that take records of every type.
func anyType(r *report, e *expression) {
	var names []string
	e.eachCriterion(func(c *criterion, place string) {
		field := typeFields[c.kind.Name]
		if field != "" && c.fields[field] == nil && c.fields[field+"CS"] == nil {
			names = append(names, c.name()+" at "+place)
		}
	})
	if len(names) > 0 {
		r.add(Info, "It's not specified what type of records to look for in %s", strings.Join(names, ", "))
	}
}

// deathBefore looks for deaths asked for before another event.
func deathBefore(r *report, e *expression) {
	visit := func(c *correlated, place string) {
		w := c.StartWindow
		if c.Criteria.kind.Name == "Death" && w != nil && w.Start != nil && w.Start.Coeff < 0 && (w.End == nil || w.End.Coeff <= 0) {
			r.add(Doubtful, "%s attempts to identify death event prior to index event. Events post-death may not be available", place+" death")
		}
	}
	e.eachCorrelated(visit)
	if e.AdditionalCriteria != nil {
		for i := range e.AdditionalCriteria.CriteriaList {
			e.AdditionalCriteria.CriteriaList[i].within("additional rule", visit)
		}
	}
	for i := range e.PrimaryCriteria.CriteriaList {
		e.PrimaryCriteria.CriteriaList[i].correlates("initial event", visit)
	}
}
