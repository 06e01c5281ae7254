package analysis

import (
	"fmt"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// Build makes the analyses of a checked definition, in its order. It is the
// study.Build that a job is given.
func Build(d *study.Definition, v omop.Vocabulary) ([]study.Analysis, error) {
	var out []study.Analysis
	for _, s := range d.Analyses {
		switch s.Kind {
		case study.KindCounts:
			out = append(out, &counts{s, newStrata(&s)})
		case study.KindAttrition:
			a, err := newAttrition(d, s)
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		case study.KindIncidence:
			out = append(out, &incidence{s, newStrata(&s)})
		case study.KindRateRatio:
			out = append(out, &rateRatio{s, ratesOf(d, &s)})
		case study.KindSurvival:
			out = append(out, &survivalCurves{newTimes(s, s.By)})
		case study.KindHazardRatio:
			out = append(out, &hazardRatio{newTimes(s, s.Adjust), ratesOf(d, &s)})
		case study.KindObservation:
			out = append(out, &observation{s})
		case study.KindRecords:
			out = append(out, &records{s})
		case study.KindConcepts:
			t, _ := omop.Lookup(s.Table)
			out = append(out, &concepts{s, t.Concept, v})
		case study.KindCharacterisation:
			out = append(out, &characterisation{s, newStrata(&s), v})
		case study.KindPrevalence:
			out = append(out, &prevalence{s, newStrata(&s)})
		case study.KindPathways:
			out = append(out, &pathways{s})
		default:
			return nil, havre.E("analysis.build", havre.Internal, fmt.Sprintf("no analysis of kind %s has been built", s.Kind))
		}
	}
	return out, nil
}

// ratesOf lists the incidence analyses of the study that show the rate of one
// of the two groups of a ratio: what they hide must not be read from it.
func ratesOf(d *study.Definition, ratio *study.Spec) []string {
	var out []string
	for _, s := range d.Analyses {
		if s.Kind == study.KindIncidence && (s.Target == ratio.Target || s.Target == ratio.Comparator) &&
			s.Outcome == ratio.Outcome && s.TimeAtRisk == ratio.TimeAtRisk && s.CleanWindow == ratio.CleanWindow {
			out = append(out, s.Name)
		}
	}
	return out
}
