package cohort

import (
	"maps"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// Parse reads a cohort definition in the JSON that ATLAS exports. The error
// names everything that is wrong, each with its JSON path: kind Invalid if
// something is a mistake, kind Refused if the definition is sound but uses a
// feature that is not evaluated yet.
func Parse(data []byte) (*Definition, error) {
	root, err := parseTree(data)
	if err != nil {
		return nil, havre.E("cohort.parse", havre.Invalid, "the cohort definition is not sound JSON").Wrap(err)
	}
	p := parser{d: &Definition{censorStart: noDate, censorEnd: noDate}, sets: map[int64]int{}}
	p.definition(root)
	if err := p.err(); err != nil {
		return nil, err
	}
	return p.d, nil
}

type parser struct {
	reader
	d    *Definition
	sets map[int64]int // index of a concept set by its id
}

func (p *parser) definition(root node) {
	seen := map[string]node{}
	known := []string{"cdmVersionRange", "Title", "PrimaryCriteria", "AdditionalCriteria", "ConceptSets",
		"QualifiedLimit", "ExpressionLimit", "InclusionRules", "EndStrategy", "CensoringCriteria",
		"CollapseSettings", "CensorWindow"}
	if !p.object(root, known, func(name string, n node) { seen[name] = n }) {
		return
	}
	if n, ok := seen["cdmVersionRange"]; ok {
		p.text(n)
	}
	if n, ok := seen["Title"]; ok {
		p.d.Title = p.text(n)
	}
	if n, ok := seen["ConceptSets"]; ok { // before the criteria, which point at them
		p.list(n, p.conceptSet)
	}
	if n, ok := seen["PrimaryCriteria"]; ok {
		p.primary(n)
	} else {
		p.mistake("$.PrimaryCriteria", "a definition must say which events let a person enter")
	}
	for _, name := range []string{"InclusionRules", "CensoringCriteria"} {
		if n, ok := seen[name]; ok {
			p.list(n, func(node) {})
			if len(n.items) > 0 {
				p.unsupported(n.path, name)
			}
		}
	}
	if n, ok := seen["AdditionalCriteria"]; ok {
		p.unsupported(n.path, "AdditionalCriteria")
	}
	// Circe limits qualified events only together with additional criteria, so
	// without them the limit is read and has no effect.
	p.limit(seen, "QualifiedLimit")
	p.d.expressionLimit = p.limit(seen, "ExpressionLimit")
	if n, ok := seen["EndStrategy"]; ok {
		p.endStrategy(n)
	}
	if n, ok := seen["CollapseSettings"]; ok {
		p.collapse(n)
	}
	if n, ok := seen["CensorWindow"]; ok {
		p.object(n, []string{"StartDate", "EndDate"}, func(name string, n node) {
			if name == "StartDate" {
				p.d.censorStart = p.day(n)
			} else {
				p.d.censorEnd = p.day(n)
			}
		})
	}
}

func (p *parser) primary(n node) {
	seen := map[string]node{}
	p.object(n, []string{"CriteriaList", "ObservationWindow", "PrimaryCriteriaLimit", "PrimaryLimit"}, func(name string, n node) { seen[name] = n })
	list, ok := seen["CriteriaList"]
	if !ok || list.kind == listNode && len(list.items) == 0 {
		p.mistake(n.path+".CriteriaList", "at least one event must let a person enter")
	} else {
		p.list(list, p.criterion)
	}
	if w, ok := seen["ObservationWindow"]; ok {
		p.object(w, []string{"PriorDays", "PostDays"}, func(name string, n node) {
			if name == "PriorDays" {
				p.d.priorDays = p.days(n, 0)
			} else {
				p.d.postDays = p.days(n, 0)
			}
		})
	} else {
		p.mistake(n.path+".ObservationWindow", "the days of observation around the event are missing")
	}
	if l, ok := seen["PrimaryLimit"]; ok {
		p.mistake(l.path, "Circe calls this PrimaryCriteriaLimit")
	}
	if _, ok := seen["PrimaryCriteriaLimit"]; !ok {
		p.mistake(n.path+".PrimaryCriteriaLimit", "it must be said whether all, the first or the last event counts")
	}
	p.d.primaryLimit = p.limit(seen, "PrimaryCriteriaLimit")
}

// limit reads {"Type": "All" | "First" | "Last"} in any case. An absent limit
// is All, as in Circe.
func (p *parser) limit(seen map[string]node, name string) limit {
	n, ok := seen[name]
	if !ok {
		return limitAll
	}
	var l limit
	p.object(n, []string{"Type"}, func(_ string, n node) {
		switch strings.ToLower(p.text(n)) {
		case "all":
			l = limitAll
		case "first":
			l = limitFirst
		case "last":
			l = limitLast
		default:
			if n.kind == stringNode {
				p.mistake(n.path, "a limit is All, First or Last")
			}
		}
	})
	return l
}

func (p *parser) criterion(n node) {
	if n.kind != objectNode || len(n.members) != 1 {
		p.mistake(n.path, "a criterion is an object with one member, its kind")
		return
	}
	m := n.members[0]
	d, ok := domains[m.name]
	if !ok {
		if slices.Contains(refusedDomains, m.name) {
			p.unsupported(m.value.path, m.name)
		} else {
			known := append(slices.Sorted(maps.Keys(domains)), refusedDomains...)
			p.mistake(m.value.path, "Circe has no such kind of criterion%s", havre.Nearest(m.name, known))
		}
		return
	}
	c := criterion{domain: d, set: -1, source: -1}
	excludes := p.excludes(m.value, d)
	sourceField := d.sourceField()
	known := slices.Sorted(maps.Keys(d.attributes))
	known = slices.Concat(known, []string{"First"}, d.refused, always, slices.Sorted(maps.Keys(excludes)))
	if d.concept != "" {
		known = append(known, "CodesetId")
	}
	if d.source != "" {
		known = append(known, sourceField)
	}
	p.object(m.value, known, func(name string, n node) {
		switch {
		case name == "First":
			c.first = p.flag(n)
		case name == "CodesetId":
			c.set = p.codeset(n)
		case name == sourceField:
			c.source = p.codeset(n)
		case slices.Contains(d.refused, name) || slices.Contains(always, name):
			p.unsupported(n.path, d.name+"."+name)
		default:
			if a, ok := d.attributes[name]; ok {
				p.filter(&c, a, n, excludes)
			}
		}
	})
	p.d.criteria = append(p.d.criteria, c)
}

// excludes reads the flags that turn lists of concepts around. Alone, without
// their list, they mean nothing, also to Circe.
func (p *parser) excludes(n node, d *domain) map[string]bool {
	flags := map[string]bool{}
	for _, a := range d.attributes {
		if a.exclude != "" {
			flags[a.exclude] = false
		}
	}
	for _, m := range n.members {
		if _, ok := flags[m.name]; ok && m.value.kind != nullNode {
			flags[m.name] = p.flag(m.value)
		}
	}
	return flags
}

func (p *parser) codeset(n node) int {
	id := p.integer(n, -1<<31, 1<<31-1)
	if n.kind != numberNode {
		return -1
	}
	i, ok := p.sets[id]
	if !ok {
		p.mistake(n.path, "there is no concept set %d", id)
		return -1
	}
	return i
}

func (p *parser) filter(c *criterion, a attribute, n node, excludes map[string]bool) {
	f := filter{subject: a.subject, column: a.column, op: opIn}
	if a.form != concepts {
		p.bounds(&f, a.form, n)
		c.filters = append(c.filters, f)
		return
	}
	if excludes[a.exclude] {
		f.op = opNotIn
	}
	p.list(n, func(n node) { f.list = append(f.list, p.concept(n)) })
	if len(f.list) > 0 { // an empty list asks nothing, also of Circe
		slices.Sort(f.list)
		f.list = slices.Compact(f.list)
		c.filters = append(c.filters, f)
	}
}

var operators = map[string]operator{
	"lt": opLess, "lte": opLessEqual, "eq": opEqual, "!eq": opNotEqual,
	"gt": opGreater, "gte": opGreaterEqual, "bt": opBetween, "!bt": opNotBetween,
}

func (p *parser) bounds(f *filter, form form, n node) {
	seen := map[string]node{}
	if !p.object(n, []string{"Value", "Op", "Extent"}, func(name string, n node) { seen[name] = n }) {
		return
	}
	bound := func(name string) float64 {
		b, ok := seen[name]
		switch {
		case !ok:
			p.mistake(n.path+"."+name, "the bound is missing")
			return 0
		case form == dates:
			return float64(p.day(b))
		default:
			return p.number(b, form)
		}
	}
	op, ok := seen["Op"]
	if !ok {
		p.mistake(n.path+".Op", "the comparison is missing")
		return
	}
	if f.op, ok = operators[p.text(op)]; !ok {
		p.mistake(op.path, "a comparison is lt, lte, eq, !eq, gt, gte, bt or !bt")
		return
	}
	f.lo = bound("Value")
	if f.op == opBetween || f.op == opNotBetween {
		f.hi = bound("Extent")
	}
}

func (p *parser) endStrategy(n node) {
	known := []string{"DateOffset", "CustomEra"}
	p.object(n, known, func(name string, n node) {
		if name == "CustomEra" {
			p.unsupported(n.path, "EndStrategy.CustomEra")
			return
		}
		p.d.end.offset = true
		hasField := false
		p.object(n, []string{"DateField", "Offset"}, func(name string, n node) {
			if name == "Offset" {
				p.d.end.days = p.days(n, -1_000_000)
				return
			}
			hasField = true
			switch p.text(n) {
			case "StartDate":
			case "EndDate":
				p.d.end.fromEnd = true
			default:
				p.mistake(n.path, "the date is StartDate or EndDate")
			}
		})
		if !hasField {
			p.mistake(n.path+".DateField", "it must be said from which date the days are counted")
		}
	})
	if n.kind == objectNode && len(n.members) != 1 {
		p.mistake(n.path, "there must be one end strategy, or no EndStrategy at all")
	}
}

func (p *parser) collapse(n node) {
	p.object(n, []string{"CollapseType", "EraPad"}, func(name string, n node) {
		if name == "EraPad" {
			p.d.eraPad = p.days(n, 0)
		} else if t := p.text(n); n.kind == stringNode && !strings.EqualFold(t, "ERA") {
			p.mistake(n.path, "periods can be collapsed as ERA only")
		}
	})
}
