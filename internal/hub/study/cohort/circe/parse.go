package circe

import (
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// Parse reads a cohort definition. The error, of kind Invalid, names everything
// that is wrong, each with its JSON path.
func Parse(data []byte) (*Definition, error) {
	d, problems := Read(data)
	if err := Refuse("cohort.parse", havre.Invalid, problems, "correct the definition in ATLAS or in the file and try again"); err != nil {
		return nil, err
	}
	return d, nil
}

// Read reads as much of a definition as can be made out, and says all that is
// wrong with it. It is for showing and checking; only what Parse gives can be
// run. The definition is never nil.
func Read(data []byte) (*Definition, []Problem) {
	p := parser{d: &Definition{CensorStart: NoDate, CensorEnd: NoDate, QualifiedLimit: LimitFirst, ExpressionLimit: LimitFirst}, sets: map[int64]int{}}
	root, err := parseTree(data)
	if err != nil {
		return p.d, []Problem{{"$", "this is not sound JSON: " + err.Error()}}
	}
	p.definition(root)
	p.d.Notes = p.notes
	return p.d, p.problems
}

type parser struct {
	reader
	d    *Definition
	sets map[int64]int // index of a concept set by its id
}

// maxRules is how many inclusion rules there may be: the reference keeps which
// of them an event meets in a 64-bit number.
const maxRules = 63

func (p *parser) definition(root node) {
	seen := map[string]node{}
	known := []string{"cdmVersionRange", "Title", "PrimaryCriteria", "AdditionalCriteria", "ConceptSets",
		"QualifiedLimit", "ExpressionLimit", "InclusionRules", "EndStrategy", "CensoringCriteria",
		"CollapseSettings", "CensorWindow"}
	if !p.object(root, known, func(name string, n node) { seen[name] = n }) {
		return
	}
	if n, ok := seen["cdmVersionRange"]; ok {
		p.d.CDMVersions = p.text(n)
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
	if n, ok := seen["AdditionalCriteria"]; ok {
		p.d.Additional = p.group(n)
	}
	if n, ok := seen["InclusionRules"]; ok {
		p.list(n, p.rule)
		if len(n.items) > maxRules {
			p.mistake(n.path, "there are %d rules; Circe can count %d", len(n.items), maxRules)
		}
	}
	if n, ok := seen["CensoringCriteria"]; ok {
		p.list(n, func(n node) { p.d.Censoring = append(p.d.Censoring, p.criterion(n)...) })
	}
	// A limit that is left out is First in Circe.
	if n, ok := seen["QualifiedLimit"]; ok {
		p.d.QualifiedLimit = p.limit(n, LimitAll)
	}
	if n, ok := seen["ExpressionLimit"]; ok {
		p.d.ExpressionLimit = p.limit(n, LimitAll)
	}
	if n, ok := seen["EndStrategy"]; ok {
		p.endStrategy(n)
	}
	if n, ok := seen["CollapseSettings"]; ok {
		p.collapse(n)
	}
	if n, ok := seen["CensorWindow"]; ok {
		p.d.CensorStart, p.d.CensorEnd = p.period(n)
	}
}

func (p *parser) primary(n node) {
	seen := p.fields(n, "CriteriaList", "ObservationWindow", "PrimaryCriteriaLimit", "PrimaryLimit")
	list, ok := seen["CriteriaList"]
	if !ok || list.kind == listNode && len(list.items) == 0 {
		p.mistake(n.path+".CriteriaList", "at least one event must let a person enter")
	} else {
		p.list(list, func(n node) { p.d.Primary.Criteria = append(p.d.Primary.Criteria, p.criterion(n)...) })
	}
	if w, ok := seen["ObservationWindow"]; ok {
		window := p.fields(w, "PriorDays", "PostDays")
		if n, ok := window["PriorDays"]; ok {
			p.d.Primary.PriorDays = p.days(n, 0)
		}
		if n, ok := window["PostDays"]; ok {
			p.d.Primary.PostDays = p.days(n, 0)
		}
	} else {
		p.mistake(n.path+".ObservationWindow", "the days of observation around the event are missing")
	}
	if l, ok := seen["PrimaryLimit"]; ok {
		p.mistake(l.path, "Circe calls this PrimaryCriteriaLimit")
	}
	l, ok := seen["PrimaryCriteriaLimit"]
	if !ok {
		p.mistake(n.path+".PrimaryCriteriaLimit", "it must be said whether all, the first or the last event counts")
		return
	}
	p.d.Primary.Limit = p.limit(l, LimitFirst)
}

// limit reads {"Type": "All" | "First" | "Last"} in any case. Without Type it
// is First, as in Circe; null gives ifNull.
func (p *parser) limit(n node, ifNull Limit) Limit {
	l := LimitFirst
	for _, m := range n.members {
		if m.name == "Type" && m.value.kind == nullNode {
			l = ifNull
		}
	}
	p.object(n, []string{"Type"}, func(_ string, n node) {
		switch word := strings.ToLower(p.text(n)); word {
		case "all":
			l = LimitAll
		case "first":
			l = LimitFirst
		case "last":
			l = LimitLast
		default:
			if n.kind == stringNode {
				p.mistake(n.path, "a limit is All, First or Last")
			}
		}
	})
	return l
}

func (p *parser) rule(n node) {
	var r Rule
	seen := p.fields(n, "name", "description", "expression")
	if n, ok := seen["name"]; ok {
		r.Name = p.text(n)
	}
	if n, ok := seen["description"]; ok {
		r.Description = p.text(n)
	}
	if e, ok := seen["expression"]; ok {
		r.Group = p.group(e)
	} else {
		p.mistake(n.path+".expression", "the rule does not say what must hold")
		r.Group = &Group{Path: n.path}
	}
	p.d.Rules = append(p.d.Rules, r)
}

func (p *parser) endStrategy(n node) {
	p.object(n, []string{"DateOffset", "CustomEra"}, func(name string, n node) {
		if name == "CustomEra" {
			p.customEra(n)
			return
		}
		p.d.End.Kind = EndAtOffset
		seen := p.fields(n, "DateField", "Offset")
		if n, ok := seen["Offset"]; ok {
			p.d.End.Days = p.days(n, -mostDays)
		}
		field, ok := seen["DateField"]
		if !ok {
			p.mistake(n.path+".DateField", "it must be said from which date the days are counted")
			return
		}
		switch p.text(field) {
		case "StartDate":
		case "EndDate":
			p.d.End.FromEnd = true
		default:
			p.mistake(field.path, "the date is StartDate or EndDate")
		}
	})
	if n.kind == objectNode && len(n.members) != 1 {
		p.mistake(n.path, "there must be one end strategy, or no EndStrategy at all")
	}
}

func (p *parser) customEra(n node) {
	e := &p.d.End
	*e = EndStrategy{Kind: EndOfExposure, Set: -1}
	seen := p.fields(n, "DrugCodesetId", "GapDays", "Offset", "DaysSupplyOverride")
	if set, ok := seen["DrugCodesetId"]; ok {
		e.Set = p.codeset(set)
	} else {
		p.mistake(n.path+".DrugCodesetId", "it must be said which drugs the exposure is to")
	}
	if n, ok := seen["GapDays"]; ok {
		e.GapDays = p.days(n, 0)
	}
	if n, ok := seen["Offset"]; ok {
		e.Days = p.days(n, -mostDays)
	}
	if n, ok := seen["DaysSupplyOverride"]; ok {
		e.Supply, e.HasSupply = p.days(n, -mostDays), true
	}
}

func (p *parser) collapse(n node) {
	p.object(n, []string{"CollapseType", "EraPad"}, func(name string, n node) {
		if name == "EraPad" {
			p.d.EraPad = p.days(n, 0)
		} else if t := p.text(n); n.kind == stringNode && !strings.EqualFold(t, "ERA") {
			p.mistake(n.path, "periods can be collapsed as ERA only")
		}
	})
}

// period reads a start and an end, either of which may be missing.
func (p *parser) period(n node) (start, end Date) {
	start, end = NoDate, NoDate
	seen := p.fields(n, "StartDate", "EndDate")
	if n, ok := seen["StartDate"]; ok {
		start = p.day(n)
	}
	if n, ok := seen["EndDate"]; ok {
		end = p.day(n)
	}
	return start, end
}
