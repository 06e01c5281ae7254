package study

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// The steps of a pathway that count.
const (
	FilterFirst   = "first"   // each event or combination where it comes first
	FilterChanges = "changes" // all that differ from the step before
)

const (
	maxDepth     = 10
	maxEvents    = 20
	defaultDepth = 5
	defaultDays  = 30 // of TreatmentPatterns, for gaps and combinations
)

// pathwayDefaults fills the keys that are not given.
func (s *Spec) pathwayDefaults(given func(key string) bool) {
	if s.Kind != KindPathways {
		return
	}
	for key, field := range map[string]*int{"collapse": &s.Collapse, "combination_window": &s.CombinationWindow} {
		if !given(key) {
			*field = defaultDays
		}
	}
	if !given("depth") {
		s.Depth = defaultDepth
	}
	if s.Filter == "" {
		s.Filter = FilterFirst
	}
}

func (p *problems) checkPathways(s *Spec, cohorts map[string]bool, at ast.Node) {
	if s.Kind != KindPathways {
		return
	}
	for i, name := range s.Events {
		switch {
		case !cohorts[name]:
			p.At(at, "analysis %q: there is no cohort %q", s.Name, name)
		case slices.Contains(s.Events[:i], name):
			p.At(at, "analysis %q names event %q twice", s.Name, name)
		case name == NoStep || name == OtherStep:
			p.At(at, "analysis %q: an event cannot be named %q, which means something else in a pathway", s.Name, name)
		}
	}
	if n := len(s.Events); n < 1 || n > maxEvents {
		p.At(at, "analysis %q names from 1 to %d events, which are cohorts", s.Name, maxEvents)
	}
	if s.Depth < 1 || s.Depth > maxDepth {
		p.At(at, "analysis %q: a depth is a number of steps from 1 to %d", s.Name, maxDepth)
	}
	if s.MinEra < 0 || s.Collapse < 0 || s.CombinationWindow < 1 {
		p.At(at, "analysis %q: min_era and collapse are days, and a combination_window is a day or more", s.Name)
	}
	p.oneOf(s, "filter", s.Filter, []string{FilterFirst, FilterChanges}, at)
}
