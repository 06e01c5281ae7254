package check

import "strings"

func noExitDrug(r *report, e *expression) {
	if s := e.EndStrategy; s != nil && s.CustomEra != nil && s.CustomEra.DrugCodesetId == nil {
		r.add(Critical, "Drug concept set must be selected at Exit Criteria.")
	}
}

func noExitOffset(r *report, e *expression) {
	if s := e.EndStrategy; s != nil && s.DateOffset != nil && s.DateOffset.DateField == "StartDate" && s.DateOffset.Offset == 0 {
		r.add(Doubtful, "Cohort Exit criteria: Days offset from start date should be greater than 0")
	}
}

// noExit looks for definitions of which every event counts, each to the end of
// observation.
func noExit(r *report, e *expression) {
	if e.EndStrategy == nil && e.PrimaryCriteria.PrimaryCriteriaLimit.all() && e.ExpressionLimit.all() &&
		(e.AdditionalCriteria == nil || e.QualifiedLimit.all()) {
		r.add(Doubtful, ` "all events" are selected and cohort exit criteria has not been specified`)
	}
}

func (l limit) all() bool { return strings.EqualFold(l.Type, "All") }

// weight orders limits: a later one cannot bring back what an earlier one left
// out.
func (l limit) weight() int {
	switch {
	case l.all():
		return 2
	case strings.EqualFold(l.Type, "Last"):
		return 1
	}
	return 0
}

func limits(r *report, e *expression) {
	const text = "%s limit may not have intended effect since it breaks all/latest/earliest progression"
	entry, qualified, last := e.PrimaryCriteria.PrimaryCriteriaLimit.weight(), e.QualifiedLimit.weight(), 0
	if e.AdditionalCriteria != nil {
		last = e.ExpressionLimit.weight()
	}
	if entry < qualified {
		r.add(Doubtful, text, "Cohort of initial events")
	}
	if qualified < last || entry < last {
		r.add(Doubtful, text, "Qualifying cohort")
	}
}
