package circe

import (
	"maps"
	"slices"
	"strings"
)

func (p *parser) group(n node) *Group {
	g := &Group{Path: n.path}
	seen := p.fields(n, "Type", "Count", "CriteriaList", "DemographicCriteriaList", "Groups")
	if l, ok := seen["CriteriaList"]; ok {
		p.list(l, func(n node) {
			if c := p.correlated(n); c != nil {
				g.Criteria = append(g.Criteria, c)
			}
		})
	}
	if l, ok := seen["DemographicCriteriaList"]; ok {
		p.list(l, func(n node) { g.Demographic = append(g.Demographic, p.demographic(n)) })
	}
	if l, ok := seen["Groups"]; ok {
		p.list(l, func(n node) { g.Groups = append(g.Groups, p.group(n)) })
	}
	counted := false
	if t, ok := seen["Type"]; ok {
		switch word := strings.ToUpper(p.text(t)); {
		case word == "ALL":
		case word == "ANY":
			g.Kind = Any
		case word == "AT_LEAST":
			g.Kind, counted = AtLeast, true
		case word == "AT_MOST":
			g.Kind, counted = AtMost, true
		default:
			p.mistake(t.path, "a group is ALL, ANY, AT_LEAST or AT_MOST")
		}
	} else if !g.Empty() {
		p.mistake(n.path+".Type", "it must be said how many parts of the group must hold")
	}
	if c, ok := seen["Count"]; ok {
		g.Count = int(p.integer(c, 0, mostDays))
	} else if counted && !g.Empty() {
		p.mistake(n.path+".Count", "it must be said how many parts of the group must hold")
	}
	return g
}

func (p *parser) correlated(n node) *Correlated {
	c := &Correlated{Path: n.path}
	seen := p.fields(n, "Criteria", "StartWindow", "EndWindow", "Occurrence", "RestrictVisit", "IgnoreObservationPeriod")
	if n.kind != objectNode {
		return nil
	}
	if e, ok := seen["Criteria"]; !ok {
		p.mistake(n.path+".Criteria", "it must be said which events are looked for")
		return nil
	} else if list := p.criterion(e); len(list) == 1 {
		c.Criterion = list[0]
	}
	if w, ok := seen["StartWindow"]; ok {
		c.Start = p.window(w, false)
	} else {
		p.mistake(n.path+".StartWindow", "it must be said when the events may start")
	}
	if w, ok := seen["EndWindow"]; ok {
		end := p.window(w, true)
		c.End = &end
	}
	if f, ok := seen["RestrictVisit"]; ok {
		c.RestrictVisit = p.flag(f)
	}
	if f, ok := seen["IgnoreObservationPeriod"]; ok {
		c.AnyTime = p.flag(f)
	}
	if o, ok := seen["Occurrence"]; ok {
		p.occurrence(o, c)
	} else {
		p.mistake(n.path+".Occurrence", "it must be said how many events there must be")
	}
	if c.Criterion == nil {
		return nil
	}
	return c
}

// window reads a window. An end window that does not say so looks at the
// event's end, a start window at its start.
func (p *parser) window(n node, eventEnd bool) Window {
	w := Window{EventEnd: eventEnd}
	seen := p.fields(n, "Start", "End", "UseIndexEnd", "UseEventEnd")
	if n.kind != objectNode {
		return w
	}
	for name, at := range map[string]*Endpoint{"Start": &w.From, "End": &w.To} {
		if e, ok := seen[name]; ok {
			*at = p.endpoint(e)
		} else {
			p.mistake(n.path+"."+name, "the bound of the window is missing")
		}
	}
	if f, ok := seen["UseIndexEnd"]; ok {
		w.IndexEnd = p.flag(f)
	}
	if f, ok := seen["UseEventEnd"]; ok {
		w.EventEnd = p.flag(f)
	}
	return w
}

// endpoint reads days before (Coeff -1) or after (1) the index date.
func (p *parser) endpoint(n node) Endpoint {
	e := Endpoint{Open: true}
	seen := p.fields(n, "Days", "Coeff")
	coeff := int64(0) // as a Java int that is not set
	if c, ok := seen["Coeff"]; ok {
		coeff = p.integer(c, -mostDays, mostDays)
	}
	e.Before = coeff == -1
	if d, ok := seen["Days"]; ok {
		e.Open = false
		days := coeff * p.integer(d, -mostDays, mostDays)
		if days < -mostDays || days > mostDays {
			p.mistake(n.path, "%d days are more than %d", days, mostDays)
			days = 0
		}
		e.Days, e.Before = int32(days), false
	}
	return e
}

func (p *parser) occurrence(n node, c *Correlated) {
	o := &c.Occurrence
	seen := p.fields(n, "Type", "Count", "IsDistinct", "CountColumn")
	if t, ok := seen["Type"]; ok {
		o.Comparison = Comparison(p.integer(t, 0, 2))
	}
	if v, ok := seen["Count"]; ok {
		o.Count = int(p.integer(v, 0, mostDays))
	}
	if f, ok := seen["IsDistinct"]; ok {
		o.Distinct = p.flag(f)
	}
	column, ok := seen["CountColumn"]
	if ok {
		o.Column = p.text(column)
	}
	if !o.Distinct || c.Criterion == nil {
		o.Column = "" // Circe passes over it
		return
	}
	path := column.path
	if !ok {
		o.Column, path = "DOMAIN_CONCEPT", n.path+".IsDistinct"
	}
	k := c.Criterion.Kind
	if _, ok := k.Counts[o.Column]; !ok {
		p.mistake(path, "of %s Circe can count distinct only %s", k.Name, strings.Join(slices.Sorted(maps.Keys(k.Counts)), ", "))
	}
}

func (p *parser) demographic(n node) *Demographic {
	d := &Demographic{Path: n.path}
	p.object(n, slices.Sorted(maps.Keys(Demographics)), func(name string, n node) {
		d.Filters = append(d.Filters, p.filter(Demographics[name], n, false)...)
	})
	return d
}
