// Package explain says in plain English or French what a cohort definition asks
// for, for who must judge it without reading JSON: a clinician, a permit officer,
// a citizen. Everything that the definition asks is said; concepts keep the names
// that the document gives them.
package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// Languages are those that Text speaks.
var Languages = []string{"en", "fr"}

// Text explains a definition as Markdown. title heads it. The language is one of
// Languages, else the error is of kind Usage.
func Text(d *circe.Definition, title, language string) (string, error) {
	var l *words
	switch language {
	case "en":
		l = english
	case "fr":
		l = french
	default:
		return "", havre.E("cohort.explain", havre.Usage, fmt.Sprintf("%q is not among the languages spoken: %s", language, strings.Join(Languages, ", "))).
			WithHint("give --lang en or --lang fr")
	}
	t := &teller{words: l, d: d}
	t.line("# %s", title)
	t.entry()
	t.rules()
	t.exit()
	t.sets()
	return strings.TrimRight(t.b.String(), "\n") + "\n", nil
}

// teller writes one explanation.
type teller struct {
	*words
	d *circe.Definition
	b strings.Builder
}

func (t *teller) line(format string, args ...any) {
	fmt.Fprintf(&t.b, format+"\n", args...)
}

// heading begins a part.
func (t *teller) heading(text string) { t.line("\n## %s\n", text) }

// item writes a line of a list at a depth.
func (t *teller) item(depth int, text string) {
	t.line("%s- %s", strings.Repeat("  ", depth), text)
}

func (t *teller) entry() {
	p := t.d.Primary
	t.heading(t.headEntry)
	t.line("%s%s", t.enters[p.Limit], t.observed(p.PriorDays, p.PostDays)+t.colon)
	t.line("")
	for _, c := range p.Criteria {
		t.criterion(0, t.single(c), c)
	}
	if g := t.d.Additional; g != nil && !g.Empty() {
		t.line("\n%s", t.countsOnlyIf+t.colon)
		t.line("")
		t.group(0, g, t.entryAnchor)
	}
	if t.d.Additional != nil && t.d.QualifiedLimit != circe.LimitAll {
		t.line("\n%s", t.remaining[t.d.QualifiedLimit])
	}
}

func (t *teller) rules() {
	if len(t.d.Rules) > 0 {
		t.heading(t.headRules)
		for i, r := range t.d.Rules {
			name := r.Name
			if name == "" {
				name = t.unnamed
			}
			t.line("%d. **%s**", i+1, oneLine(name))
			if r.Description != "" {
				t.line("   %s", oneLine(r.Description))
			}
			if r.Group == nil || r.Group.Empty() {
				t.item(1, t.everybody)
				continue
			}
			t.group(1, r.Group, t.entryAnchor)
		}
	}
	if t.d.ExpressionLimit != circe.LimitAll && (len(t.d.Rules) > 0 || t.d.Primary.Limit == circe.LimitAll) {
		t.line("\n%s", t.remaining[t.d.ExpressionLimit])
	}
}

func (t *teller) exit() {
	t.heading(t.headExit)
	e := t.d.End
	switch e.Kind {
	case circe.EndOfObservation:
		t.line("%s", t.endOfObservation)
	case circe.EndAtOffset:
		t.line("%s", t.endAtOffset(e.Days, e.FromEnd))
	case circe.EndOfExposure:
		supply := int32(-1)
		if e.HasSupply {
			supply = e.Supply
		}
		t.line("%s", t.endOfExposure(t.setName(e.Set), e.GapDays, e.Days, supply))
	}
	if len(t.d.Censoring) > 0 {
		t.line("\n%s\n", t.censoredBy+t.colon)
		for _, c := range t.d.Censoring {
			t.criterion(0, t.single(c), c)
		}
	}
	t.line("\n%s", t.eras(t.d.EraPad))
	if t.d.CensorStart != circe.NoDate || t.d.CensorEnd != circe.NoDate {
		t.line("\n%s", t.censorWindow(t.day(t.d.CensorStart), t.day(t.d.CensorEnd)))
	}
}

func (t *teller) sets() {
	if len(t.d.ConceptSets) == 0 {
		return
	}
	t.heading(t.headSets)
	for _, s := range t.d.ConceptSets {
		var in, out []string
		for _, i := range s.Items {
			text := i.Concept.Name
			if text == "" {
				text = fmt.Sprintf("%d", i.Concept.ID)
			} else {
				text = fmt.Sprintf("%s (%d)", text, i.Concept.ID)
			}
			if i.Descendants {
				text += t.andBelow
			}
			if i.Mapped {
				text += t.andMapped
			}
			if i.Excluded {
				out = append(out, text)
			} else {
				in = append(in, text)
			}
		}
		text := strings.Join(in, "; ")
		if len(in) == 0 {
			text = t.nothing
		}
		if len(out) > 0 {
			text += ". " + t.except + t.colon + " " + strings.Join(out, "; ")
		}
		t.item(0, fmt.Sprintf("**%s**%s %s", oneLine(s.Name), t.colon, text))
	}
}

// group writes the parts of a condition on an event.
func (t *teller) group(depth int, g *circe.Group, a anchor) {
	parts := len(g.Criteria) + len(g.Demographic) + len(g.Groups)
	if parts > 1 || g.Kind == circe.AtLeast || g.Kind == circe.AtMost {
		t.item(depth, t.ofThese(g.Kind, g.Count)+t.colon)
		depth++
	}
	for _, d := range g.Demographic {
		t.item(depth, t.person+t.filters(d.Filters))
	}
	for _, c := range g.Criteria {
		t.correlated(depth, c, a)
	}
	for _, inner := range g.Groups {
		t.group(depth, inner, a)
	}
}

func (t *teller) correlated(depth int, c *circe.Correlated, a anchor) {
	text := t.counted(c)
	text += t.comma + t.window(&c.Start, a)
	if c.End != nil {
		text += t.and + t.window(c.End, a)
	}
	if c.RestrictVisit {
		text += t.comma + t.sameVisit
	}
	if c.AnyTime {
		text += t.comma + t.unobserved
	}
	t.criterion(depth, text, c.Criterion)
}

// criterion writes an event, and what is asked of it below.
func (t *teller) criterion(depth int, text string, c *circe.Criterion) {
	if c.Group == nil || c.Group.Empty() {
		t.item(depth, text)
		return
	}
	t.item(depth, text+t.comma+t.suchThat+t.colon)
	t.group(depth+1, c.Group, t.eventAnchor)
}

// single names one event of a criterion.
func (t *teller) single(c *circe.Criterion) string {
	n := t.nouns[c.Kind.Name]
	return t.article(n) + n.one + t.about(c, n)
}

// counted names events with how many of them are asked for.
func (t *teller) counted(c *circe.Correlated) string {
	n := t.nouns[c.Criterion.Kind.Name]
	o := c.Occurrence
	noun := n.many
	if o.Count <= 1 {
		noun = n.one
	}
	text := t.howMany(o.Comparison, o.Count, n.feminine) + " " + noun + t.about(c.Criterion, n)
	if o.Distinct {
		text += t.distinctBy(o.Column)
	}
	return text
}

// about says of what an event is, and what else is asked of it.
func (t *teller) about(c *circe.Criterion, n noun) string {
	text := ""
	switch {
	case c.Set >= 0:
		text = n.of + t.setName(c.Set)
	case c.Source < 0 && c.Kind.Codeset != "":
		text = t.ofAnyKind
	}
	if c.Source >= 0 {
		text += t.sourceCode(t.setName(c.Source))
	}
	if c.First {
		text += t.comma + t.firstTime
	}
	if p := c.Period; p != nil {
		text += t.comma + t.fixedDates(t.day(p.Start), t.day(p.End))
	}
	if a := c.Adjust; a != nil {
		text += t.comma + t.adjusted(a)
	}
	return text + t.filters(c.Filters)
}

func (t *teller) setName(set int) string {
	if set < 0 || set >= len(t.d.ConceptSets) {
		return t.quote("?")
	}
	return t.quote(oneLine(t.d.ConceptSets[set].Name))
}

// filters lists what is asked of an event or a person, in brackets.
func (t *teller) filters(filters []circe.Filter) string {
	var parts []string
	for i := range filters {
		parts = append(parts, t.filter(&filters[i]))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

func (t *teller) filter(f *circe.Filter) string {
	name := t.attribute(f.Attribute)
	switch f.Op {
	case circe.OpHolds:
		return name
	case circe.OpLike, circe.OpNotLike:
		return name + t.colon + " " + t.contains[f.Op == circe.OpNotLike] + " " + t.quote(strings.Trim(f.Text, "%"))
	case circe.OpIn, circe.OpNotIn:
		var list string
		if f.Set >= 0 {
			list = t.setName(f.Set)
		} else {
			var names []string
			for _, c := range f.Concepts {
				names = append(names, t.concept(c))
			}
			list = t.list(names)
		}
		if f.Op == circe.OpNotIn {
			return name + t.colon + " " + t.otherThan + " " + list
		}
		return name + t.colon + " " + list
	}
	if f.Attribute.Form == circe.Dates {
		return name + t.colon + " " + fill(t.dates[f.Op], t.day(circe.Date(f.Value)), t.day(circe.Date(f.Extent)))
	}
	text := fill(t.numbers[f.Op], t.number(f.Value), t.number(f.Extent))
	switch f.Attribute.Subject {
	case circe.SubjectAgeAtStart, circe.SubjectAgeAtEnd:
		text += t.years
	case circe.SubjectLength:
		text += t.days
	}
	return name + t.colon + " " + text
}

// concept gives the name that a document has for a concept; the sexes have words
// of their own.
func (t *teller) concept(c circe.Concept) string {
	switch {
	case c.ID == 8532:
		return t.female
	case c.ID == 8507:
		return t.male
	case c.Name != "":
		return c.Name
	}
	return fmt.Sprintf("%d", c.ID)
}

// attribute gives the words for an attribute; one without words of its own is
// spelt out from Circe's name.
func (t *teller) attribute(a *circe.Attribute) string {
	if text, ok := t.attributes[strings.TrimSuffix(a.Name, "CS")]; ok {
		return text
	}
	var b strings.Builder
	for i, r := range a.Name {
		if i > 0 && r >= 'A' && r <= 'Z' && !(a.Name[i-1] >= 'A' && a.Name[i-1] <= 'Z') {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// window says when an event must start or end.
func (t *teller) window(w *circe.Window, a anchor) string {
	if w.IndexEnd {
		a = a.end()
	}
	subject := t.starting
	if w.EventEnd {
		subject = t.ending
	}
	return subject + " " + t.span(w.From, w.To, a)
}

func fill(format string, values ...string) string {
	for i, v := range values {
		format = strings.ReplaceAll(format, fmt.Sprintf("$%d", i+1), v)
	}
	return format
}

// oneLine takes line breaks out of a text of the author's.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// list joins alternatives by the language's "or".
func (t *teller) list(names []string) string {
	names = slices.Clone(names)
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + t.or + names[last]
}
