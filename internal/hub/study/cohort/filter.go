package cohort

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// plannedFilter is circe.Filter with its concepts resolved and its columns
// found among the domain's extra columns.
type plannedFilter struct {
	subject circe.Subject
	op      circe.Op
	lo, hi  float64
	list    []int64  // OpIn and OpNotIn, ascending
	columns [4]int32 // places of extra columns
	always  bool     // OpNotIn of an empty concept set: holds without a value too, as SQL has it
}

// Codes that say "abnormal": low and high (circe-be, MeasurementSqlBuilder).
var abnormalConcepts = []int64{4155142, 4155143}

func (b *planner) filter(f *circe.Filter, domain int32) (plannedFilter, string) {
	a := f.Attribute
	pf := plannedFilter{subject: a.Subject, op: f.Op, lo: f.Value, hi: f.Extent}
	key := fmt.Sprint("filter ", a.Subject, " ", a.Column, f.Op, f.Value, f.Extent, " ", f.Text)
	if f.Op == circe.OpIn || f.Op == circe.OpNotIn {
		if f.Set >= 0 {
			pf.list = b.sets[f.Set]
			pf.always = f.Op == circe.OpNotIn && len(pf.list) == 0
		} else {
			for _, c := range f.Concepts {
				pf.list = append(pf.list, c.ID)
			}
			slices.Sort(pf.list)
			pf.list = slices.Compact(pf.list)
		}
		key += keyOf(pf.list) + fmt.Sprint(pf.always)
	}
	extra := func(names ...string) {
		for i, name := range names {
			pf.columns[i] = b.plan.domains[domain].addExtra(extraColumn{column: name})
		}
	}
	switch a.Subject {
	case circe.SubjectColumn:
		extra(a.Column)
	case circe.SubjectText:
		p := newPattern(f.Text, f.Op == circe.OpNotLike)
		pf.columns[0] = b.plan.domains[domain].addExtra(extraColumn{column: a.Column, pattern: p})
	case circe.SubjectEnd, circe.SubjectLength, circe.SubjectAgeAtEnd:
		if domain >= 0 {
			b.plan.domains[domain].needEnd = true
		}
	case circe.SubjectSpecialty:
		b.plan.providers = true
		extra("provider_id")
	case circe.SubjectPlace:
		b.plan.sites = true
		extra("care_site_id")
	case circe.SubjectVisit:
		b.plan.visits = true
		b.plan.domains[domain].needVisit = true
	case circe.SubjectLowRatio:
		extra("value_as_number", "range_low")
	case circe.SubjectHighRatio:
		extra("value_as_number", "range_high")
	case circe.SubjectAbnormal:
		extra("value_as_number", "range_low", "range_high", "value_as_concept_id")
	}
	switch a.Subject {
	case circe.SubjectAgeAtStart, circe.SubjectAgeAtEnd, circe.SubjectGender:
		b.plan.person.demographics = true
	case circe.SubjectRace:
		b.plan.person.race = true
	case circe.SubjectEthnicity:
		b.plan.person.ethnicity = true
	}
	return pf, key
}

// keeps says whether a value that is there passes. NaN is above all else, as in
// SQL engines that order it at all.
func (f *plannedFilter) keeps(v float64) bool {
	if v != v {
		v = math.Inf(1)
	}
	switch f.op {
	case circe.OpLess:
		return v < f.lo
	case circe.OpLessEqual:
		return v <= f.lo
	case circe.OpEqual:
		return v == f.lo
	case circe.OpNotEqual:
		return v != f.lo
	case circe.OpGreater:
		return v > f.lo
	case circe.OpGreaterEqual:
		return v >= f.lo
	case circe.OpBetween:
		return v >= f.lo && v <= f.hi
	default: // circe.OpNotBetween
		return v < f.lo || v > f.hi
	}
}

// keepsConcept is keeps for lists of concepts.
func (f *plannedFilter) keepsConcept(id int64, there bool) bool {
	if !there {
		return f.always
	}
	return contains(f.list, id) == (f.op == circe.OpIn)
}

// contains looks an id up in a list that ascends.
func contains(list []int64, id int64) bool {
	if len(list) <= 8 {
		for _, x := range list {
			if x == id {
				return true
			}
		}
		return false
	}
	_, in := slices.BinarySearch(list, id)
	return in
}

// pattern is a LIKE pattern of SQL: % stands for anything, _ for one character.
type pattern struct {
	text string // with a mark in front if it is turned around
	not  bool
	p    []rune
}

func newPattern(text string, not bool) *pattern {
	return &pattern{text: fmt.Sprint(not, " ", text), not: not, p: []rune(text)}
}

// keeps says whether a text that is there passes.
func (p *pattern) keeps(s string) bool { return p.matches(s) != p.not }

// matches walks text and pattern, going back to the last % when stuck.
func (p *pattern) matches(s string) bool {
	at, star, from := 0, -1, ""
	for s != "" {
		c, size := utf8.DecodeRuneInString(s)
		switch {
		case at < len(p.p) && p.p[at] == '%':
			star, from = at, s
			at++
			continue
		case at < len(p.p) && (p.p[at] == '_' || p.p[at] == c):
			at++
			s = s[size:]
			continue
		}
		if star < 0 {
			return false
		}
		_, size = utf8.DecodeRuneInString(from)
		from = from[size:]
		s, at = from, star+1
	}
	for at < len(p.p) && p.p[at] == '%' {
		at++
	}
	return at == len(p.p)
}
