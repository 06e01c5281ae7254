package study

import (
	"strconv"

	"github.com/goccy/go-yaml/ast"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// describedTables are the tables that a characterisation counts unless it
// names others.
var describedTables = []string{"condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement"}

// describedDays is how long before the first day a characterisation looks
// unless it says otherwise: the long term of OHDSI's FeatureExtraction.
const describedDays = 365

// EventColumns lists the columns of a table that a characterisation reads: the
// person, the concept and the date, and what is measured.
func EventColumns(table string) []string {
	t, _ := omop.Lookup(table)
	columns := []string{"person_id", t.Concept, t.Start}
	if table == "measurement" {
		columns = append(columns, "value_as_number", "unit_concept_id")
	}
	return columns
}

// characterisationDefaults fills the keys that are not given. With a least
// prevalence all concepts that reach it are shown.
func (s *Spec) characterisationDefaults(given func(key string) bool) {
	if s.Kind != KindCharacterisation {
		return
	}
	if !given("tables") {
		s.Tables = describedTables
	}
	if !given("window") {
		s.Window = Window{Start: -describedDays}
	}
	if given("min_prevalence") && !given("top") {
		s.Top = maxTop
	}
}

func (p *problems) checkCharacterisation(s *Spec, cohorts map[string]bool, at ast.Node) {
	if s.Kind != KindCharacterisation {
		return
	}
	if s.Comparator != "" && !cohorts[s.Comparator] {
		p.At(at, "analysis %q: there is no cohort %q", s.Name, s.Comparator)
	}
	p.checkCompared(s, at)
	if s.Window.Start > s.Window.End {
		p.At(at, "analysis %q: the window ends before it starts", s.Name)
	}
	if !(s.MinPrevalence >= 0 && s.MinPrevalence <= 1) {
		p.At(at, "analysis %q: a least prevalence is a number from 0 to 1", s.Name)
	}
	for _, name := range s.Tables {
		if t, ok := omop.Lookup(name); ok && t.Concept != "" && t.Start == "" {
			p.At(at, "analysis %q: table %s has no dates", s.Name, name)
		}
	}
}

// window reads a span of days around the first day.
func (p *yamlStudy) window(n ast.Node) Window {
	var w Window
	seen := map[string]bool{}
	p.Fields(n, "a window", []string{"start", "end"}, func(key string, _, v ast.Node) {
		seen[key] = true
		if key == "start" {
			w.Start = p.day(v)
		} else {
			w.End = p.day(v)
		}
	})
	if !seen["start"] {
		p.At(n, "a window needs a start: days after the first day, negative for days before")
	}
	return w
}

// day reads a day before or after another one.
func (p *problems) day(n ast.Node) int {
	if v, ok := n.(*ast.IntegerNode); ok {
		if i, err := strconv.Atoi(v.GetToken().Value); err == nil && i >= -most && i <= most {
			return i
		}
	}
	p.At(n, "this must be a whole number of days, negative for days before")
	return 0
}

// share reads a number from 0 to 1.
func (p *problems) share(n ast.Node) float64 {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		if f, err := strconv.ParseFloat(n.GetToken().Value, 64); err == nil && f >= 0 && f <= 1 {
			return f
		}
	}
	p.At(n, "this must be a number from 0 to 1")
	return 0
}
