package check

import "encoding/json"

// The reference walks a definition in three ways, each for other checks.

// eachCriterion visits, with the place in words, the entry events, the criteria
// of rules, and what is correlated with them, but not the groups of a rule.
func (e *expression) eachCriterion(visit func(c *criterion, place string)) {
	for i := range e.PrimaryCriteria.CriteriaList {
		e.PrimaryCriteria.CriteriaList[i].within("initial event", visit)
	}
	for i := range e.InclusionRules {
		r := &e.InclusionRules[i]
		for j := range r.Expression.CriteriaList {
			if c := &r.Expression.CriteriaList[j].Criteria; c.kind != nil {
				c.within("inclusion rule "+r.Name, visit)
			}
		}
	}
}

func (c *criterion) within(place string, visit func(*criterion, string)) {
	if c.kind == nil {
		return
	}
	visit(c, place)
	c.correlates(place, func(x *correlated, place string) { visit(&x.Criteria, place) })
}

// eachCorrelated visits the correlated criteria of rules at any depth that
// eachCriterion reaches.
func (e *expression) eachCorrelated(visit func(c *correlated, place string)) {
	for i := range e.InclusionRules {
		r := &e.InclusionRules[i]
		for j := range r.Expression.CriteriaList {
			r.Expression.CriteriaList[j].within("inclusion rule "+r.Name, visit)
		}
	}
}

func (x *correlated) within(place string, visit func(*correlated, string)) {
	if x.Criteria.kind == nil {
		return
	}
	visit(x, place)
	x.Criteria.correlates(place, visit)
}

// correlates visits what is correlated with a criterion: in its group, and in
// the groups directly below.
func (c *criterion) correlates(place string, visit func(*correlated, string)) {
	if c.group == nil {
		return
	}
	for i := range c.group.CriteriaList {
		c.group.CriteriaList[i].within(place, visit)
	}
	for i := range c.group.Groups {
		for j := range c.group.Groups[i].CriteriaList {
			c.group.Groups[i].CriteriaList[j].within(place, visit)
		}
	}
}

// values visits everything that has values to fill in; any of the functions may
// be nil. The places are those of the reference's warnings about values.
type values struct {
	criterion   func(c *criterion, place string)
	demographic func(fields map[string]json.RawMessage, place string)
	correlated  func(c *correlated, place string)
}

func (v values) walk(e *expression) {
	for i := range e.PrimaryCriteria.CriteriaList {
		v.one(&e.PrimaryCriteria.CriteriaList[i], "Primary criteria")
	}
	if e.AdditionalCriteria != nil {
		v.group(e.AdditionalCriteria, "Additional criteria")
	}
	for _, r := range e.InclusionRules {
		v.group(&group{CriteriaList: r.Expression.CriteriaList, DemographicCriteriaList: r.Expression.DemographicCriteriaList}, `Inclusion criteria "`+r.Name+`"`)
	}
	for i := range e.CensoringCriteria {
		v.one(&e.CensoringCriteria[i], "Censoring events")
	}
}

func (v values) group(g *group, place string) {
	for _, d := range g.DemographicCriteriaList {
		if v.demographic != nil {
			present(d)
			v.demographic(d, place)
		}
	}
	for i := range g.CriteriaList {
		v.one(&g.CriteriaList[i].Criteria, place)
		if v.correlated != nil {
			v.correlated(&g.CriteriaList[i], place)
		}
	}
	for i := range g.Groups {
		v.group(&g.Groups[i], place)
	}
}

func (v values) one(c *criterion, place string) {
	if c.group != nil {
		v.group(c.group, place)
	}
	if v.criterion != nil && c.kind != nil {
		v.criterion(c, place)
	}
}
