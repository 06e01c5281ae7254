package study

import (
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/havre-hub/havre/internal/havre"
)

// What a prevalence can be of, and who is in its denominator.
const (
	Period = "period" // of a calendar year
	Point  = "point"  // of a day of it

	ObservedAny   = "any"   // who is observed on a day of the year
	ObservedWhole = "whole" // who is observed on all of them
)

// DayLayout is how the day of a point prevalence is written: month and day.
const DayLayout = "01-02"

// prevalenceDefaults fills the keys that are not given.
func (s *Spec) prevalenceDefaults() {
	if s.Kind != KindPrevalence {
		return
	}
	if s.Type == "" {
		s.Type = Period
	}
	if s.Type == Period && s.Observed == "" {
		s.Observed = ObservedAny
	}
	if s.Type == Point && s.Day == "" {
		s.Day = "01-01"
	}
}

func (p *problems) checkPrevalence(s *Spec, at ast.Node) {
	if s.Kind != KindPrevalence {
		return
	}
	for _, by := range s.By {
		if by != BySex && by != ByAgeBand && slices.Contains(Dimensions(), by) {
			p.At(at, "analysis %q: a prevalence is by year, and further by %s or %s, not by %s", s.Name, BySex, ByAgeBand, by)
		}
	}
	p.oneOf(s, "type", s.Type, []string{Period, Point}, at)
	switch s.Type {
	case Period:
		p.oneOf(s, "observed", s.Observed, []string{ObservedAny, ObservedWhole}, at)
		if s.Day != "" {
			p.At(at, "analysis %q: a period prevalence has no day", s.Name)
		}
	case Point:
		if s.Observed != "" {
			p.At(at, "analysis %q: observed belongs to a period prevalence; on a day one is observed or not", s.Name)
		}
		if _, err := time.Parse("2006-"+DayLayout, "2001-"+s.Day); err != nil {
			p.At(at, "analysis %q: the day of a point prevalence is a month and a day of every year, such as 07-01", s.Name)
		}
	}
}

func (p *problems) oneOf(s *Spec, key, value string, known []string, at ast.Node) {
	if !slices.Contains(known, value) {
		p.At(at, "analysis %q: %s is %s or %s, not %q%s", s.Name, key, known[0], known[1], value, havre.Nearest(value, known))
	}
}
