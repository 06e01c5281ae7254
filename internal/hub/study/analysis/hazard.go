package analysis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/survival"
)

// hazardRatio compares the hazard of an outcome in two cohorts by Cox's model.
type hazardRatio struct {
	times
	rates []string // outputs of the study that show the rate of one of the groups
}

// minFreedom is how many more events than covariates a model must have: fewer
// than ten residual degrees of freedom say too much about single persons. It
// is the rule for regressions of M. Brandt et al., Guidelines for the checking
// of output based on microdata research (ESSnet SDC, 2010).
const minFreedom = 10

// Finish is as in study.Analysis. Only the groups' ratio is shown: those of the
// covariates are not effects (D. Westreich and S. Greenland, American Journal
// of Epidemiology 177 (2013) 292-298).
func (a *hazardRatio) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	keys, byKey := rows(t)
	c := study.Cell{Key: []string{}, Contributors: map[string]int64{}, Values: map[string]float64{}}
	for _, group := range []string{groupTarget, groupComparator} {
		c.Contributors[group+"_persons"], c.Contributors[group+"_events"] = 0, 0
	}
	for _, key := range keys {
		group, _, _ := strings.Cut(key, keySeparator)
		c.Count += survival.Persons(byKey[key])
		c.Contributors[group+"_persons"] += survival.Persons(byKey[key])
		c.Contributors[group+"_events"] += survival.Events(byKey[key])
	}
	if c.Contributors[groupTarget+"_events"] > 0 && c.Contributors[groupComparator+"_events"] > 0 {
		m := a.model(keys, byKey)
		if err := m.fit(survival.Ties(a.spec.Ties), c.Values); err != nil {
			return study.Output{}, err
		}
	}
	return study.Output{
		Name: a.spec.Name, Title: titleOf(&a.spec, fmt.Sprintf("Hazard of %s in %s over %s", a.spec.Outcome, a.spec.Target, a.spec.Comparator)),
		Kind: study.Ratios, Dimensions: []study.Dimension{},
		Measures: []string{"hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"},
		Cells:    []study.Cell{c}, Notes: a.notes(), Sources: a.rates,
	}, nil
}

// notes are the same whatever was found: a note is shown even where the cell
// is hidden.
func (a *hazardRatio) notes() []string {
	how := "unadjusted"
	if len(a.spec.Adjust) > 0 {
		how = "adjusted for " + strings.ReplaceAll(strings.Join(a.spec.Adjust, ", "), "_", " ")
	}
	author := "Efron 1977"
	if a.spec.Ties == string(survival.Breslow) {
		author = "Breslow 1974"
	}
	notes := []string{
		fmt.Sprintf("The hazard ratio is the target's over the comparator's, %s (Cox 1972, ties by %s), with its 95 %% interval.", how, author),
		fmt.Sprintf("No ratio is given where a group has no event, where the likelihood has no maximum, or where events exceed covariates by fewer than %d.", minFreedom),
		followNote(&a.spec),
		"A person of both cohorts counts in both.",
	}
	if len(a.spec.Adjust) > 0 {
		notes = append(notes, "Persons of whom a covariate is not known are compared with one another only.")
	}
	return notes
}

// model is Cox's model over the tally: one entry for each covariate pattern.
type model struct {
	covariates int
	persons    []survival.Alike
}

// Age enters in decades from 50, so that coefficients are of the size of 1.
const (
	ageOrigin = 50
	ageUnit   = 10

	inYears = "years" // stands for the one column of age
)

// model lays out the covariates: whether in the target; age as a number; an
// indicator for each other category, the one with most events left out. A
// category without events is left out with its persons: the likelihood is
// highest where their hazard is 0. Who has a covariate that is not known is in
// a stratum of their own.
func (a *hazardRatio) model(keys []string, byKey map[string][]survival.Row) *model {
	m := &model{covariates: 1}
	columns := make([]map[string]int, len(a.spec.Adjust)) // by category, -1 without a column; categories without events are not there
	for i, name := range a.spec.Adjust {
		columns[i] = map[string]int{}
		if name == study.ByAge {
			columns[i][inYears] = m.covariates
			m.covariates++
			continue
		}
		events := map[string]int64{}
		for _, key := range keys {
			if category := strings.Split(key, keySeparator)[1+i]; category != unknown {
				events[category] += survival.Events(byKey[key])
			}
		}
		reference := ""
		for _, category := range sortedKeys(events) {
			if reference == "" || events[category] > events[reference] {
				reference = category
			}
		}
		for _, category := range sortedKeys(events) {
			switch {
			case category == reference:
				columns[i][category] = -1
			case events[category] > 0:
				columns[i][category] = m.covariates
				m.covariates++
			}
		}
	}
	for _, key := range keys {
		if one, ok := m.pattern(a.spec.Adjust, strings.Split(key, keySeparator), columns); ok {
			one.Rows = byKey[key]
			m.persons = append(m.persons, one)
		}
	}
	return m
}

// pattern reads the covariates of a key; not ok if it leaves the model.
func (m *model) pattern(adjust, parts []string, columns []map[string]int) (survival.Alike, bool) {
	one := survival.Alike{X: make([]float64, m.covariates)}
	if parts[0] == groupTarget {
		one.X[0] = 1
	}
	for i, name := range adjust {
		category := parts[1+i]
		if category == unknown {
			one.Stratum += name + " "
			continue
		}
		if name == study.ByAge {
			years, _ := strconv.Atoi(category) // Map and Decode write nothing else
			one.X[columns[i][inYears]] = float64(years-ageOrigin) / ageUnit
			continue
		}
		column, ok := columns[i][category]
		if !ok {
			return one, false
		}
		if column > 0 {
			one.X[column] = 1
		}
	}
	return one, true
}

// fit sets the ratio and its interval if there is one.
func (m *model) fit(ties survival.Ties, values map[string]float64) error {
	var events int64
	for _, one := range m.persons {
		events += survival.Events(one.Rows)
	}
	if events-int64(m.covariates) < minFreedom {
		return nil
	}
	times := survival.EventTimes(m.persons)
	e, err := survival.Fit(m.covariates, ties, func(beta []float64) ([]survival.RiskSum, error) {
		return survival.RiskSums(beta, m.persons, times), nil
	})
	if err != nil || !e.Found {
		return err
	}
	values["hazard_ratio"], values["hazard_ratio_low"], values["hazard_ratio_high"] = survival.Interval(e.Beta[0], e.Error[0])
	return nil
}
