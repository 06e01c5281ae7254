package study

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/survival"
)

// ByAge as a covariate is age in years, as a number.
const ByAge = "age"

// defaultStep is the length of the steps of a survival curve, in days.
const defaultStep = 30

// Covariates lists what a hazard ratio can be adjusted for.
func Covariates() []string { return []string{BySex, ByAge, ByAgeBand, ByYear} }

// timeDefaults fills the keys of survival and hazard_ratio that are not given.
func (s *Spec) timeDefaults(given func(key string) bool) {
	if s.Kind == KindSurvival && !given("step") {
		s.Step = defaultStep
	}
	if s.Kind == KindHazardRatio && !given("ties") {
		s.Ties = string(survival.Efron)
	}
}

// checkTimes checks the analyses of times to an event.
func (p *problems) checkTimes(s *Spec, cohorts map[string]bool, at ast.Node) {
	switch s.Kind {
	case KindSurvival:
		p.checkSurvival(s, cohorts, at)
	case KindHazardRatio:
		p.checkHazardRatio(s, at)
	}
}

func (p *problems) checkSurvival(s *Spec, cohorts map[string]bool, at ast.Node) {
	if s.Comparator != "" && !cohorts[s.Comparator] {
		p.At(at, "analysis %q: there is no cohort %q", s.Name, s.Comparator)
	}
	p.checkCompared(s, at)
	for _, by := range s.By {
		if by != BySex && by != ByAgeBand && slices.Contains(Dimensions(), by) {
			p.At(at, "analysis %q: survival is shown by %s or %s, not by %s", s.Name, BySex, ByAgeBand, by)
		}
	}
	if s.Step < 1 || s.Step > most {
		p.At(at, "analysis %q: a step has from 1 to %d days", s.Name, most)
	}
}

func (p *problems) checkHazardRatio(s *Spec, at ast.Node) {
	p.checkCompared(s, at)
	for i, name := range s.Adjust {
		if !slices.Contains(Covariates(), name) {
			p.At(at, "analysis %q cannot adjust for %q%s", s.Name, name, havre.Nearest(name, Covariates()))
		} else if slices.Contains(s.Adjust[:i], name) {
			p.At(at, "analysis %q adjusts for %q twice", s.Name, name)
		}
	}
	if slices.Contains(s.Adjust, ByAge) && slices.Contains(s.Adjust, ByAgeBand) {
		p.At(at, "analysis %q adjusts for age twice: in years and in bands", s.Name)
	}
	ways := []string{string(survival.Efron), string(survival.Breslow)}
	if !slices.Contains(ways, s.Ties) {
		p.At(at, "analysis %q: ties are treated as %s, not %q%s", s.Name, strings.Join(ways, " or "), s.Ties, havre.Nearest(s.Ties, ways))
	}
}

func (p *problems) checkCompared(s *Spec, at ast.Node) {
	if s.Target != "" && s.Target == s.Comparator {
		p.At(at, "analysis %q compares cohort %q with itself", s.Name, s.Target)
	}
}
