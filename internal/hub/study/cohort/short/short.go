// Package short reads cohort definitions written by hand: a page of YAML that
// expands to the JSON of ATLAS (Circe), which alone has a meaning. Everything in
// it is read strictly; docs/reference/cohort.md lists every key.
//
//	concepts: {diabetes: 201826}
//	entry: {condition: diabetes, occurrence: first, observed_days_before: 730}
package short

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/strictyaml"
)

const hint = "docs/reference/cohort.md lists every key of a short definition"

// Expand gives the Circe expression of a short definition. The error, of kind
// Invalid, names everything that is wrong, with line and column.
func Expand(data []byte) ([]byte, error) {
	root, err := strictyaml.Parse(data, "cohort.parse", "cohort definition")
	if err != nil {
		return nil, err
	}
	var p strictyaml.Problems
	out := ExpandNode(&p, root)
	if err := p.Err("cohort.parse", "the cohort definition cannot be used", hint); err != nil {
		return nil, err
	}
	return out, nil
}

// Problems lists what is wrong with a short definition, none if it expands.
func Problems(data []byte) []circe.Problem {
	root, err := strictyaml.Parse(data, "cohort.parse", "cohort definition")
	if err != nil {
		return []circe.Problem{{Path: "$", Text: err.Error()}}
	}
	var p strictyaml.Problems
	ExpandNode(&p, root)
	var out []circe.Problem
	for _, x := range p.List() {
		out = append(out, circe.Problem{Path: fmt.Sprintf("line %d, column %d", x.Line, x.Column), Text: x.Text})
	}
	return out
}

// ExpandNode expands a definition that stands within another document, and adds
// what is wrong with it to p.
func ExpandNode(p *strictyaml.Problems, n ast.Node) json.RawMessage {
	before := len(p.List())
	x := &expander{Problems: p, sets: map[string]int{}}
	x.definition(n)
	if len(p.List()) > before {
		return nil
	}
	out, err := json.MarshalIndent(x.out, "", "  ")
	if err != nil {
		p.At(n, "this cannot be written as JSON: %v", err)
		return nil
	}
	// Only the parser decides what can be run. It finds nothing unless a check is
	// missing here.
	if _, problems := circe.Read(out); len(problems) > 0 {
		p.At(n, "this expands to what Circe does not take: %v", problems[0])
	}
	return out
}

// expander makes one expression of one document.
type expander struct {
	*strictyaml.Problems
	out  expression
	sets map[string]int // concept sets by name
	deep int            // how deep the condition at hand is nested
}

const (
	mostDays  = 1_000_000 // as in circe
	mostRules = 63
	mostDepth = 20
)

var limits = map[string]string{"all": "All", "first": "First", "last": "Last"}

func (x *expander) definition(n ast.Node) {
	given := x.given(n, "a cohort definition", []string{"title", "concepts", "entry", "rules", "limit", "exit", "censor", "era_gap_days", "calendar"})
	if given == nil {
		return
	}
	o := &x.out
	o.ConceptSets, o.InclusionRules, o.CensoringCriteria = []conceptSet{}, []rule{}, []any{}
	o.CollapseSettings.CollapseType = "ERA"
	o.QualifiedLimit.Type = "All"
	if v, ok := given["title"]; ok {
		o.Title = x.Text(v)
	}
	if v, ok := given["concepts"]; ok { // before all that names them
		x.Fields(v, "the list of concept sets", nil, x.conceptSet)
	}
	if v, ok := given["entry"]; ok {
		x.entry(v)
	} else {
		x.At(n, "a cohort definition needs the key entry: which events let a person enter")
	}
	if v, ok := given["rules"]; ok {
		x.Items(v, x.rule)
		if len(o.InclusionRules) > mostRules {
			x.At(v, "there are %d rules; Circe can count %d", len(o.InclusionRules), mostRules)
		}
	}
	o.ExpressionLimit.Type = x.limit(given["limit"])
	if v, ok := given["exit"]; ok {
		x.exit(v)
	}
	if v, ok := given["censor"]; ok {
		x.events(v, func(n ast.Node) {
			o.CensoringCriteria = append(o.CensoringCriteria, x.criterion(n, "a censoring event"))
		})
	}
	if v, ok := given["era_gap_days"]; ok {
		o.CollapseSettings.EraPad = x.Whole(v, mostDays)
	}
	if v, ok := given["calendar"]; ok {
		o.CensorWindow = x.span(v)
	}
}

// given reads a mapping into a map; nil if it is none.
func (x *expander) given(n ast.Node, what string, known []string) map[string]ast.Node {
	if _, ok := strictyaml.Pairs(n); !ok {
		x.At(n, "%s must be keys and values", what)
		return nil
	}
	out := map[string]ast.Node{}
	x.Fields(n, what, known, func(key string, _, v ast.Node) { out[key] = v })
	return out
}

// events calls visit for one event or for each of a list.
func (x *expander) events(n ast.Node, visit func(ast.Node)) {
	if _, one := strictyaml.Pairs(n); one {
		visit(n)
		return
	}
	x.Items(n, visit)
}

func (x *expander) limit(n ast.Node) string {
	if n == nil {
		return "All"
	}
	return x.word(n, limits)
}

// word reads one of a few words and gives what stands for it.
func (x *expander) word(n ast.Node, words map[string]string) string {
	text := x.Text(n)
	w, ok := words[text]
	if !ok && text != "" {
		var known []string
		for k := range words {
			known = append(known, k)
		}
		slices.Sort(known)
		x.At(n, "%q is not one of %s%s", text, strings.Join(known, ", "), havre.Nearest(text, known))
	}
	return w
}

// conceptSet reads NAME: id, or a list of ids and of keys and values.
func (x *expander) conceptSet(name string, at, n ast.Node) {
	s := conceptSet{ID: len(x.out.ConceptSets), Name: name}
	s.Expression.Items = []conceptItem{}
	if name == anyConcept {
		x.At(at, "a concept set cannot be named %q, which stands for every concept", anyConcept)
	}
	if _, list := n.(*ast.SequenceNode); list {
		x.Items(n, func(n ast.Node) { s.Expression.Items = append(s.Expression.Items, x.conceptItem(n)) })
	} else {
		s.Expression.Items = append(s.Expression.Items, x.conceptItem(n))
	}
	x.sets[name] = s.ID
	x.out.ConceptSets = append(x.out.ConceptSets, s)
}

// conceptItem reads a concept. All below it in the hierarchy count too, unless
// "descendants: false" says otherwise.
func (x *expander) conceptItem(n ast.Node) conceptItem {
	item := conceptItem{Descendants: true}
	if _, ok := strictyaml.Pairs(n); !ok {
		item.Concept.ID = x.conceptID(n)
		return item
	}
	given := x.given(n, "a concept", []string{"id", "name", "descendants", "mapped", "exclude"})
	for key, flag := range map[string]*bool{"descendants": &item.Descendants, "mapped": &item.Mapped, "exclude": &item.Excluded} {
		if v, ok := given[key]; ok {
			*flag = x.Flag(v)
		}
	}
	if v, ok := given["name"]; ok {
		item.Concept.Name = x.Text(v)
	}
	if v, ok := given["id"]; ok {
		item.Concept.ID = x.conceptID(v)
	} else {
		x.At(n, "the concept needs the key id")
	}
	return item
}

func (x *expander) conceptID(n ast.Node) int64 { return x.Whole(n, 1<<53) }

const anyConcept = "any"

// set reads the name of a concept set; -1 for any concept, and after a mistake.
func (x *expander) set(n ast.Node) int {
	name := x.Text(n)
	if name == anyConcept || name == "" {
		return -1
	}
	i, ok := x.sets[name]
	if !ok {
		var known []string
		for k := range x.sets {
			known = append(known, k)
		}
		slices.Sort(known)
		x.At(n, "there is no concept set %q%s", name, havre.Nearest(name, known))
		return -1
	}
	return i
}

// entry reads which events let a person enter: one event, or any of a list.
func (x *expander) entry(n ast.Node) {
	pairs, ok := strictyaml.Pairs(n)
	if !ok {
		x.At(n, "the entry must be keys and values")
		return
	}
	about := []string{"observed_days_before", "observed_days_after", "limit"}
	several := slices.ContainsFunc(pairs, func(v *ast.MappingValueNode) bool { return v.Key.GetToken().Value == "any_of" })
	p := &x.out.PrimaryCriteria
	p.CriteriaList = []any{}
	var given map[string]ast.Node
	if several {
		given = x.given(n, "the entry", append(about, "any_of"))
		x.Items(given["any_of"], func(n ast.Node) { p.CriteriaList = append(p.CriteriaList, x.criterion(n, "an entry event")) })
		if len(p.CriteriaList) == 0 {
			x.At(n, "at least one event must let a person enter")
		}
	} else {
		var c any
		c, given = x.event(n, "the entry", about)
		p.CriteriaList = append(p.CriteriaList, c)
	}
	if v, ok := given["observed_days_before"]; ok {
		p.ObservationWindow.PriorDays = x.Whole(v, mostDays)
	}
	if v, ok := given["observed_days_after"]; ok {
		p.ObservationWindow.PostDays = x.Whole(v, mostDays)
	}
	p.PrimaryCriteriaLimit.Type = x.limit(given["limit"])
}

func (x *expander) rule(n ast.Node) {
	c, given := x.condition(n, "a rule", "name", "description")
	r := rule{Expression: asGroup(c)}
	if v, ok := given["name"]; ok {
		r.Name = x.Text(v)
	} else if given != nil {
		x.At(n, "the rule needs a name, which stands in the attrition table")
	}
	if v, ok := given["description"]; ok {
		r.Description = x.Text(v)
	}
	x.out.InclusionRules = append(x.out.InclusionRules, r)
}
