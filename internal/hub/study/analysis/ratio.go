package analysis

import (
	"context"
	"fmt"
	"math"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// rateRatio compares the incidence of an outcome in two cohorts. A person of
// both counts in both.
type rateRatio struct {
	spec  study.Spec
	rates []string // outputs of the study that show the rate of one of the groups
}

// The groups of a tally; of those in either, only the persons are counted.
const (
	groupTarget     = study.GroupTarget
	groupComparator = study.GroupComparator
	groupEither     = "either"
)

// Name is as in study.Analysis.
func (a *rateRatio) Name() string { return a.spec.Name }

// Map is as in study.Analysis.
func (a *rateRatio) Map(_ context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(riskSums, riskMaxima)
	r := risk{spec: &a.spec}
	counted := make([]bool, len(b.People.ID))
	for group, name := range map[string]string{groupTarget: a.spec.Target, groupComparator: a.spec.Comparator} {
		r.each(b, name, func(person int, _ int32, days, events int64) {
			t.at(group).addPerson(days, events)
			if !counted[person] {
				counted[person] = true
				t.at(groupEither).sum[sumPersons]++
			}
		})
	}
	return t, nil
}

// Decode is as in study.Analysis.
func (a *rateRatio) Decode(data []byte) (study.Partial, error) {
	return decodeTally(data, 1, riskSums, riskMaxima)
}

// Finish is as in study.Analysis.
func (a *rateRatio) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	x, y := t.at(groupTarget), t.at(groupComparator)
	c := study.Cell{
		Key: []string{}, Count: t.at(groupEither).sum[sumPersons], Contributors: map[string]int64{}, Values: map[string]float64{},
	}
	for group, n := range map[string]*numbers{groupTarget: x, groupComparator: y} {
		c.Contributors[group+"_persons"] = n.sum[sumPersons]
		c.Contributors[group+"_events"] = n.sum[sumCases]
		c.Values[group+"_events"] = float64(n.sum[sumEvents])
		c.Values[group+"_person_years"] = years(n)
		c.MaxShare = math.Max(c.MaxShare, math.Max(share(n.max[maxEvents], n.sum[sumEvents]), share(n.max[maxDays], n.sum[sumDays])))
	}
	notes := []string{ // the same whatever was found: a note is shown even where the cell is hidden
		"The ratio is the target's rate over the comparator's, with the exact conditional 95 % interval (Przyborowski and Wilenski 1940, by the limits of Clopper and Pearson 1934).",
		"Where the comparator has no event, the ratio has no upper limit.",
		timeAtRiskNote(&a.spec),
	}
	if x.sum[sumDays] > 0 && y.sum[sumDays] > 0 {
		low, high := rateRatioInterval(x.sum[sumEvents], years(x), y.sum[sumEvents], years(y))
		c.Values["ratio_low"] = low
		if y.sum[sumEvents] > 0 {
			c.Values["ratio"] = float64(x.sum[sumEvents]) / years(x) / (float64(y.sum[sumEvents]) / years(y))
			c.Values["ratio_high"] = high
		}
	}
	return study.Output{
		Name: a.spec.Name, Title: titleOf(&a.spec, fmt.Sprintf("Rate of %s in %s over %s", a.spec.Outcome, a.spec.Target, a.spec.Comparator)),
		Kind: study.Ratios, Dimensions: []study.Dimension{},
		Measures: []string{"ratio", "ratio_low", "ratio_high", "target_events", "target_person_years", "comparator_events", "comparator_person_years"},
		Cells:    []study.Cell{c}, Notes: notes, Sources: a.rates,
	}, nil
}

func tallyOf(p study.Partial) (*tally, error) {
	t, ok := p.(*tally)
	if !ok {
		return nil, havre.E("analysis.finish", havre.Internal, "the partial result is of another analysis")
	}
	return t, nil
}

func titleOf(s *study.Spec, otherwise string) string {
	if s.Title != "" {
		return s.Title
	}
	return otherwise
}
