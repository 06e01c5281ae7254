package circe

import (
	"maps"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// criterion reads {"Kind": {...}}: one criterion, or none after a mistake.
func (p *parser) criterion(n node) []*Criterion {
	if n.kind != objectNode || len(n.members) != 1 {
		p.mistake(n.path, "a criterion is an object with one member, its kind")
		return nil
	}
	m := n.members[0]
	k, ok := Kinds[m.name]
	if !ok {
		p.mistake(m.value.path, "Circe has no such kind of criterion%s", havre.Nearest(m.name, slices.Sorted(maps.Keys(Kinds))))
		return nil
	}
	c := &Criterion{Path: m.value.path, Kind: k, Set: -1, Source: -1}
	excludes := p.excludes(m.value, k)
	known := append(slices.Sorted(maps.Keys(k.Attributes)), "CorrelatedCriteria", "DateAdjustment")
	known = append(known, slices.Sorted(maps.Keys(excludes))...)
	for _, name := range []string{k.Codeset, k.SourceField} {
		if name != "" {
			known = append(known, name)
		}
	}
	if k.First {
		known = append(known, "First")
	}
	if k.Codeset == "" {
		known = append(known, "CodesetId") // of a kind without concepts; Circe passes over it
	}
	p.object(m.value, known, func(name string, n node) {
		switch name {
		case "First":
			c.First = p.flag(n)
		case "CodesetId":
			if k.Codeset == "" {
				p.note(n.path, "Circe has no concepts for %s and does nothing with this", k.Name)
				return
			}
			c.Set = p.codeset(n)
		case k.SourceField:
			c.Source = p.codeset(n)
		case "CorrelatedCriteria":
			c.Group = p.group(n)
			if c.Group.Empty() {
				c.Group = nil // Circe passes over an empty group here
			}
		case "DateAdjustment":
			c.Adjust = p.adjustment(n, k)
		default:
			if a := k.Attributes[name]; a != nil && a.Form == UserPeriods {
				start, end := p.period(n)
				c.Period = &UserPeriod{start, end}
			} else if a != nil {
				c.Filters = append(c.Filters, p.filter(a, n, excludes[a.Exclude])...)
			}
		}
	})
	p.likeCirce(c)
	return []*Criterion{c}
}

// likeCirce does what circe-be does for its own reasons.
func (p *parser) likeCirce(c *Criterion) {
	for i := range c.Filters {
		f := &c.Filters[i]
		switch {
		case c.Kind.Name == "DrugExposure" && f.Attribute.Name == "OccurrenceEndDate":
			p.note(f.Path, "Circe compares the start of an exposure here, not its end")
		case c.Kind.Name == "VisitDetail" && f.Attribute.Name == "Age":
			p.note(f.Path, "Circe takes the age at the end of the visit here")
		case c.Kind.Name == "DrugEra" && f.Attribute.Name == "GapDays":
			// DrugEraSqlBuilder compares gap_days with the bounds of EraLength, and
			// fails where there are none.
			for _, other := range c.Filters {
				if other.Attribute.Name == "EraLength" {
					p.note(f.Path, "Circe compares the gap days with the bounds of EraLength")
					f.Op, f.Value, f.Extent = other.Op, other.Value, other.Extent
				}
			}
		}
	}
	if a := c.Adjust; a != nil && c.Kind.Name == "Death" {
		// DeathSqlBuilder counts the start from the start and the end from the end.
		a.StartFromEnd, a.EndFromEnd = false, true
	}
	if c.Adjust != nil && c.Kind.Name == "LocationRegion" {
		c.Adjust = nil
	}
}

// excludes reads the flags that turn lists of concepts around. Alone, without
// its list, such a flag asks nothing.
func (p *parser) excludes(n node, k *Kind) map[string]bool {
	flags := map[string]bool{}
	for _, a := range k.Attributes {
		if a.Exclude != "" {
			flags[a.Exclude] = false
		}
	}
	for _, m := range n.members {
		if _, ok := flags[m.name]; ok && m.value.kind != nullNode {
			flags[m.name] = p.flag(m.value)
		}
	}
	return flags
}

func (p *parser) adjustment(n node, k *Kind) *Adjustment {
	a := &Adjustment{EndFromEnd: true}
	fromEnd := func(n node) bool {
		switch p.text(n) {
		case "START_DATE":
		case "END_DATE":
			return true
		default:
			p.mistake(n.path, "the date is START_DATE or END_DATE")
		}
		return false
	}
	p.object(n, []string{"StartWith", "StartOffset", "EndWith", "EndOffset"}, func(name string, n node) {
		switch name {
		case "StartWith":
			a.StartFromEnd = fromEnd(n)
		case "StartOffset":
			a.StartDays = p.days(n, -mostDays)
		case "EndWith":
			a.EndFromEnd = fromEnd(n)
		case "EndOffset":
			a.EndDays = p.days(n, -mostDays)
		}
	})
	return a
}

// filter reads one attribute: one filter, or none if it asks nothing.
func (p *parser) filter(a *Attribute, n node, exclude bool) []Filter {
	f := Filter{Path: n.path, Attribute: a, Op: OpIn, Set: -1}
	switch a.Form {
	case WithoutEffect:
		p.note(n.path, "Circe reads this and does nothing with it")
		return nil
	case Flag:
		f.Op = OpHolds
		if !p.flag(n) {
			return nil
		}
	case Concepts:
		p.list(n, func(n node) { f.Concepts = append(f.Concepts, p.concept(n)) })
		if len(f.Concepts) == 0 {
			return nil // an empty list asks nothing, also of Circe
		}
		if exclude {
			f.Op = OpNotIn
		}
	case Selection:
		seen := p.fields(n, "CodesetId", "IsExclusion")
		set, ok := seen["CodesetId"]
		if !ok {
			p.note(n.path, "without CodesetId this asks nothing")
			return nil
		}
		f.Set = p.codeset(set)
		if x, ok := seen["IsExclusion"]; ok && p.flag(x) {
			f.Op = OpNotIn
		}
	case Codeset:
		f.Set = p.codeset(n)
	case Texts:
		p.like(&f, n)
	default:
		p.bounds(&f, n)
	}
	return []Filter{f}
}

var operators = map[string]Op{
	"lt": OpLess, "lte": OpLessEqual, "eq": OpEqual, "!eq": OpNotEqual,
	"gt": OpGreater, "gte": OpGreaterEqual, "bt": OpBetween, "!bt": OpNotBetween,
}

func (p *parser) bounds(f *Filter, n node) {
	seen := p.fields(n, "Value", "Op", "Extent")
	if n.kind != objectNode {
		return
	}
	bound := func(name string) float64 {
		b, ok := seen[name]
		switch {
		case !ok:
			p.mistake(n.path+"."+name, "the bound is missing")
			return 0
		case f.Attribute.Form == Dates:
			return float64(p.day(b))
		default:
			return p.number(b, f.Attribute.Form)
		}
	}
	op, ok := seen["Op"]
	if !ok {
		p.mistake(n.path+".Op", "the comparison is missing")
		return
	}
	if f.Op, ok = operators[p.text(op)]; !ok {
		p.mistake(op.path, "a comparison is lt, lte, eq, !eq, gt, gte, bt or !bt")
		return
	}
	f.Value = bound("Value")
	if f.Op == OpBetween || f.Op == OpNotBetween {
		f.Extent = bound("Extent")
	}
}

// like reads a comparison of text as the pattern that Circe makes of it: its
// SQL is LIKE, so % and _ in the text stand for anything and for any character.
func (p *parser) like(f *Filter, n node) {
	seen := p.fields(n, "Text", "Op")
	if n.kind != objectNode {
		return
	}
	t, ok := seen["Text"]
	if !ok {
		p.mistake(n.path+".Text", "the text is missing")
		return
	}
	op, ok := seen["Op"]
	if !ok {
		p.mistake(n.path+".Op", "the comparison is missing")
		return
	}
	f.Text, f.Op = unescape(p.text(t)), OpLike
	word, not := strings.CutPrefix(p.text(op), "!")
	if not {
		f.Op = OpNotLike
	}
	switch word {
	case "eq":
	case "startsWith":
		f.Text += "%"
	case "endsWith":
		f.Text = "%" + f.Text
	case "contains":
		f.Text = "%" + f.Text + "%"
	default:
		p.mistake(op.path, "a comparison of text is eq, startsWith, endsWith or contains, or one of these after !")
	}
}

// unescape takes away backslashes before a quote, as circe-be does.
func unescape(s string) string {
	for strings.Contains(s, `\'`) {
		s = strings.ReplaceAll(s, `\'`, `'`)
	}
	return s
}
