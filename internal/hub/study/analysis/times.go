package analysis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/survival"
)

// times is what the analyses of times to an event share: their map step. The
// key of a tally is the group, the traits and the day at risk on which persons
// leave; its numbers are how many leave by the outcome and without it.
type times struct {
	spec   study.Spec
	strata strata
}

const (
	sumOutcome = iota
	sumCensored
	timeSums
)

// newTimes sorts persons by the traits of the list by.
func newTimes(s study.Spec, by []string) times {
	byTraits := s
	byTraits.By = by
	return times{s, newStrata(&byTraits)}
}

// Name is as in study.Analysis.
func (a *times) Name() string { return a.spec.Name }

// groups lists the groups with the names of their cohorts.
func (a *times) groups() (groups, cohorts []string) {
	groups, cohorts = []string{groupTarget}, []string{a.spec.Target}
	if a.spec.Comparator != "" {
		groups, cohorts = append(groups, groupComparator), append(cohorts, a.spec.Comparator)
	}
	return groups, cohorts
}

// Map is as in study.Analysis.
func (a *times) Map(_ context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(timeSums, 0)
	groups, cohorts := a.groups()
	for i, group := range groups {
		m, outcomes := b.Cohort(cohorts[i]), b.Cohort(a.spec.Outcome)
		for k, person := range m.Person {
			if k > 0 && m.Person[k-1] == person {
				continue // a later period of the same person
			}
			p, start, end := int(person), m.Start[k], m.End[k]
			from, to := outcomes.Of(p)
			days, event := follow(&a.spec, b.People.Periods(p), start, end, outcomes.Start[from:to])
			if days == 0 {
				continue
			}
			sum := t.at(a.key(group, b.People, p, start, days)).sum
			if event {
				sum[sumOutcome]++
			} else {
				sum[sumCensored]++
			}
		}
	}
	return t, nil
}

func (a *times) key(group string, p *cohort.People, person int, day int32, days int) string {
	parts := []string{group}
	if len(a.strata.by) > 0 {
		parts = append(parts, a.strata.key(p, person, day))
	}
	return strings.Join(append(parts, strconv.Itoa(days)), keySeparator)
}

// follow counts the days at risk of a person who is in a cohort from start to
// end, up to and with that of the first outcome; 0 if there is none. Nobody is
// at risk whose first day at risk lies in the clean window after an outcome.
func follow(s *study.Spec, observed []cohort.Period, start, end int32, outcomes []int32) (days int, event bool) {
	first, last := start+int32(s.TimeAtRisk.Start), start+int32(s.TimeAtRisk.End)
	if s.TimeAtRisk.CohortEnd {
		last = end
	}
	last = min(last, observedUntil(observed, start))
	if first > last {
		return 0, false
	}
	for _, day := range outcomes {
		switch {
		case day < first && (s.CleanWindow == study.Ever || first-day <= int32(s.CleanWindow)):
			return 0, false
		case day >= first && day <= last:
			last, event = day, true // the list may be in any order: the first one stays
		}
	}
	return int(last-first) + 1, event
}

// Decode is as in study.Analysis.
func (a *times) Decode(data []byte) (study.Partial, error) {
	t, err := decodeTally(data, 2+len(a.strata.by), timeSums, 0)
	if err != nil {
		return nil, err
	}
	groups, _ := a.groups()
	for key, n := range t.cells {
		parts := strings.Split(key, keySeparator)
		ok := slices.Contains(groups, parts[0]) && wholeFrom(parts[len(parts)-1], 1) && n.sum[sumOutcome]+n.sum[sumCensored] > 0
		for i, by := range a.strata.by {
			ok = ok && a.strata.has(by, parts[1+i])
		}
		if !ok {
			return nil, havre.E("analysis.decode", havre.Invalid, "a partial result has a group, a trait or a day that the analysis does not know")
		}
	}
	return t, nil
}

// maxTime bounds times at risk: longer than lives.
const maxTime = 100_000

// wholeFrom says whether text is a whole number from least to maxTime, in its
// one spelling.
func wholeFrom(text string, least int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= least && n <= maxTime && strconv.Itoa(n) == text
}

// has says whether a trait can have a category.
func (s *strata) has(by, category string) bool {
	switch by {
	case study.BySex:
		return slices.Contains([]string{sexFemale, sexMale, unknown}, category)
	case study.ByAgeBand:
		return category == unknown || slices.Contains(s.bandNames(), category)
	case study.ByAge:
		return category == unknown || wholeFrom(category, 0)
	case study.ByYear:
		return wholeFrom(category, 0)
	}
	return false
}

// rows gathers a tally by all of its key but the day, in the order of the keys.
func rows(t *tally) (keys []string, byKey map[string][]survival.Row) {
	byKey = map[string][]survival.Row{}
	for _, key := range sortedKeys(t.cells) {
		cut := strings.LastIndex(key, keySeparator)
		day, _ := strconv.Atoi(key[cut+len(keySeparator):]) // Map and Decode write nothing else
		n := t.cells[key]
		if _, known := byKey[key[:cut]]; !known {
			keys = append(keys, key[:cut])
		}
		byKey[key[:cut]] = append(byKey[key[:cut]], survival.Row{Time: day, Events: n.sum[sumOutcome], Censored: n.sum[sumCensored]})
	}
	for key, list := range byKey {
		byKey[key] = survival.Merge(list) // days sort as text in a tally
	}
	return keys, byKey
}

// followNote says how times are counted.
func followNote(s *study.Spec) string {
	end := fmt.Sprintf("day %d", s.TimeAtRisk.End)
	if s.TimeAtRisk.CohortEnd {
		end = "the last day in the cohort"
	}
	clean := "an outcome at any time before"
	if s.CleanWindow != study.Ever {
		clean = fmt.Sprintf("an outcome in the %d days before", s.CleanWindow)
	}
	note := fmt.Sprintf("Time is counted in days at risk, from day %d after the first entry (the first day at risk is 1) to the first outcome or to %s, no longer than observed.", s.TimeAtRisk.Start, end)
	if s.CleanWindow == 0 {
		return note
	}
	return note + " Persons with " + clean + " are not at risk."
}
