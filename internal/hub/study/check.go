package study

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

const (
	maxTop     = 1000
	defaultTop = 25
)

// kindOf says which keys an analysis of a kind has; those in roles name a
// cohort and must be there.
type kindRules struct {
	keys  []string
	roles []string
}

var kinds = map[AnalysisKind]kindRules{
	KindCounts:      {[]string{"cohort", "by", "age_bands", "totals"}, []string{"cohort"}},
	KindAttrition:   {[]string{"cohort"}, []string{"cohort"}},
	KindIncidence:   {[]string{"target", "outcome", "time_at_risk", "clean_window", "by", "age_bands", "totals"}, []string{"target", "outcome"}},
	KindRateRatio:   {[]string{"target", "comparator", "outcome", "time_at_risk", "clean_window"}, []string{"target", "comparator", "outcome"}},
	KindSurvival:    {[]string{"target", "comparator", "outcome", "time_at_risk", "clean_window", "by", "age_bands", "step"}, []string{"target", "outcome"}},
	KindHazardRatio: {[]string{"target", "comparator", "outcome", "time_at_risk", "clean_window", "adjust", "age_bands", "ties"}, []string{"target", "comparator", "outcome"}},
	KindObservation: {[]string{"cohort"}, []string{"cohort"}},
	KindRecords:     {[]string{"cohort", "tables"}, []string{"cohort"}},
	KindConcepts:    {[]string{"cohort", "table", "top"}, []string{"cohort"}},

	KindCharacterisation: {[]string{"target", "comparator", "window", "tables", "top", "min_prevalence", "age_bands"}, []string{"target"}},
	KindPrevalence:       {[]string{"target", "outcome", "type", "observed", "day", "by", "age_bands", "totals"}, []string{"target", "outcome"}},
	KindPathways:         {[]string{"target", "events", "depth", "min_era", "collapse", "combination_window", "filter"}, []string{"target"}},
}

// Kinds lists the kinds of analyses.
func Kinds() []AnalysisKind {
	return []AnalysisKind{KindCounts, KindAttrition, KindIncidence, KindRateRatio, KindSurvival, KindHazardRatio, KindObservation, KindRecords, KindConcepts, KindCharacterisation, KindPrevalence, KindPathways}
}

// Dimensions lists what persons can be counted by.
func Dimensions() []string { return []string{BySex, ByAgeBand, ByYear, ByBirthDecade} }

// Check says everything that is wrong with a study, nil if it can be run.
func Check(d *Definition) error {
	var p problems
	p.check(d, nil)
	return p.err()
}

func analysisPlace(i int) string { return fmt.Sprintf("analysis %d", i) }

func (p *problems) check(d *Definition, where places) {
	if !havre.ValidName(d.Name) {
		p.At(either(where["name"], where["study"]), "the study needs a name of lower-case letters, digits and hyphens")
	}
	if len(d.Analyses) == 0 {
		p.At(where["study"], "the study has no analyses")
	}
	names, ruled := map[string]bool{}, map[string]bool{}
	for i, c := range d.Cohorts {
		at := where["cohort "+c.Name]
		if !havre.ValidName(c.Name) {
			p.At(at, "cohort %q needs a name of lower-case letters, digits and hyphens", c.Name)
		}
		if names[c.Name] || i > 0 && c.Name < d.Cohorts[i-1].Name {
			p.At(at, "cohort %q stands twice or out of order", c.Name)
		}
		names[c.Name] = true
		if len(c.Circe) == 0 {
			p.At(at, "cohort %q has no definition", c.Name)
			continue
		}
		own := &d.Cohorts[i]
		own.Circe = compact(c.Circe)
		def, err := own.Definition()
		if err != nil {
			p.At(at, "cohort %q: %v", c.Name, err)
		}
		own.parsed, own.text = def, own.Circe
		ruled[c.Name] = err != nil || len(def.Rules) > 0
	}
	outputs := map[string]bool{}
	for i := range d.Analyses {
		s := &d.Analyses[i]
		at := where[analysisPlace(i)]
		if !havre.ValidName(s.Name) {
			p.At(at, "an analysis needs a name of lower-case letters, digits and hyphens, to name its output")
		} else if outputs[s.Name] {
			p.At(at, "two analyses are named %q", s.Name)
		}
		outputs[s.Name] = true
		p.checkSpec(s, names, at)
		if rules, ok := ruled[s.Cohort]; s.Kind == KindAttrition && ok && !rules {
			p.At(at, "analysis %q: cohort %q has no inclusion rules that persons could be lost to", s.Name, s.Cohort)
		}
	}
}

func either(a, b ast.Node) ast.Node {
	if a != nil {
		return a
	}
	return b
}

func (p *problems) checkSpec(s *Spec, cohorts map[string]bool, at ast.Node) {
	rules, ok := kinds[s.Kind]
	if !ok {
		p.At(at, "analysis %q: there is no kind %q%s", s.Name, s.Kind, havre.Nearest(string(s.Kind), kindNames()))
		return
	}
	for _, role := range rules.roles {
		name := map[string]string{"cohort": s.Cohort, "target": s.Target, "comparator": s.Comparator, "outcome": s.Outcome}[role]
		if name == "" {
			p.At(at, "analysis %q needs the key %s", s.Name, role)
		} else if !cohorts[name] {
			p.At(at, "analysis %q: there is no cohort %q", s.Name, name)
		}
	}
	for i, by := range s.By {
		if !slices.Contains(Dimensions(), by) {
			p.At(at, "analysis %q cannot count by %q%s", s.Name, by, havre.Nearest(by, Dimensions()))
		} else if slices.Contains(s.By[:i], by) {
			p.At(at, "analysis %q counts by %q twice", s.Name, by)
		}
	}
	for i, a := range s.AgeBands {
		if i == 0 && a != 0 || i > 0 && a <= s.AgeBands[i-1] {
			p.At(at, "analysis %q: age_bands begin with 0 and rise", s.Name)
			break
		}
	}
	if t := s.TimeAtRisk; t.Start < 0 || t.End < 0 || !t.CohortEnd && t.End < t.Start || t.CohortEnd && t.End != 0 {
		p.At(at, "analysis %q: the time at risk ends before it starts", s.Name)
	}
	if s.CleanWindow < Ever {
		p.At(at, "analysis %q: a clean window is a number of days or ever", s.Name)
	}
	p.checkTables(s, at)
	p.checkTimes(s, cohorts, at)
	p.checkCharacterisation(s, cohorts, at)
	p.checkPrevalence(s, at)
	p.checkPathways(s, cohorts, at)
}

func (p *problems) checkTables(s *Spec, at ast.Node) {
	if slices.Contains(kinds[s.Kind].keys, "top") && (s.Top < 1 || s.Top > maxTop) {
		p.At(at, "analysis %q: top is a number from 1 to %d", s.Name, maxTop)
	}
	tables := s.Tables
	if s.Kind == KindConcepts {
		tables = []string{s.Table}
	}
	for i, name := range tables {
		t, ok := omop.Lookup(name)
		switch {
		case !ok:
			p.At(at, "analysis %q: the CDM has no table %q%s", s.Name, name, havre.Nearest(name, personTables()))
		case !slices.Contains(personTables(), name):
			p.At(at, "analysis %q: table %s does not hold events of persons", s.Name, name)
		case s.Kind != KindRecords && t.Concept == "":
			p.At(at, "analysis %q: table %s has no concepts", s.Name, name)
		case slices.Contains(tables[:i], name):
			p.At(at, "analysis %q names table %s twice", s.Name, name)
		}
	}
	if slices.Contains(kinds[s.Kind].keys, "tables") && len(tables) == 0 {
		p.At(at, "analysis %q names no tables", s.Name)
	}
}

func kindNames() []string {
	var out []string
	for _, k := range Kinds() {
		out = append(out, string(k))
	}
	return out
}

// personTables are the tables of the CDM that hold events of persons.
func personTables() []string {
	var out []string
	for _, t := range omop.Tables() {
		if t.PersonLevel && t.Person == "person_id" && t.Name != "person" {
			out = append(out, t.Name)
		}
	}
	return out
}

// needs lists what an analysis reads beside the cohorts and the persons.
func (s *Spec) needs() []cohort.Need {
	var out []cohort.Need
	switch s.Kind {
	case KindRecords:
		for _, t := range s.Tables {
			out = append(out, cohort.Need{Table: t, Columns: []string{"person_id"}})
		}
	case KindConcepts:
		t, _ := omop.Lookup(s.Table)
		out = append(out, cohort.Need{Table: s.Table, Columns: []string{"person_id", t.Concept}})
	case KindCharacterisation:
		for _, t := range s.Tables {
			out = append(out, cohort.Need{Table: t, Columns: EventColumns(t)})
		}
	}
	return out
}
