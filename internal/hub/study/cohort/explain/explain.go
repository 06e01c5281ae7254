// Package explain says in plain English or French what a cohort definition asks
// for, for who must judge it without reading JSON: a clinician, a permit officer,
// a citizen. Everything that the definition asks is said; concepts keep the names
// that the document gives them.
package explain

import (
	"fmt"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// Languages are those that Text speaks.
var Languages = []string{"en", "fr"}

// Part is one of the questions that an explanation answers, the same in the same
// order for every definition: who enters, who stays, when people leave, which
// concepts are meant.
type Part struct {
	Heading string
	Nodes   []Node
}

// Node is one statement, with what is told below it.
type Node struct {
	Text     string
	Path     string // JSON path of what it tells
	Name     string // of a rule or a concept set
	Children []Node
}

// Text explains a definition as Markdown. title heads it. The language is one of
// Languages, else the error is of kind Usage.
func Text(d *circe.Definition, title, language string) (string, error) {
	parts, err := Tree(d, language)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", oneLine(title))
	for i, p := range parts {
		if len(p.Nodes) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", p.Heading)
		for j, n := range p.Nodes {
			switch {
			case i == partRules && n.Name != "":
				fmt.Fprintf(&b, "%d. **%s**\n", j+1, n.Name)
				if n.Text != "" {
					fmt.Fprintf(&b, "   %s\n", n.Text)
				}
				list(&b, "   ", n.Children)
			case i == partSets:
				fmt.Fprintf(&b, "- **%s**%s\n", n.Name, n.Text)
				list(&b, "  ", n.Children)
			default:
				if j > 0 {
					b.WriteByte('\n')
				}
				fmt.Fprintf(&b, "%s\n", n.Text)
				if len(n.Children) > 0 {
					b.WriteByte('\n')
				}
				list(&b, "", n.Children)
			}
		}
	}
	return b.String(), nil
}

func list(b *strings.Builder, indent string, nodes []Node) {
	for _, n := range nodes {
		fmt.Fprintf(b, "%s- %s\n", indent, n.Text)
		list(b, indent+"  ", n.Children)
	}
}

// The parts, by their places in a tree.
const (
	partEntry = iota
	partRules
	partExit
	partSets
)

// Tree explains a definition statement by statement.
func Tree(d *circe.Definition, language string) ([]Part, error) {
	var l *words
	switch language {
	case "en":
		l = english
	case "fr":
		l = french
	default:
		return nil, havre.E("cohort.explain", havre.Usage, fmt.Sprintf("%q is not among the languages spoken: %s", language, strings.Join(Languages, ", "))).
			WithHint("give --lang en or --lang fr")
	}
	t := &teller{words: l, d: d}
	return []Part{{l.headEntry, t.entry()}, {l.headRules, t.rules()}, {l.headExit, t.exit()}, {l.headSets, t.sets()}}, nil
}

// teller explains one definition.
type teller struct {
	*words
	d *circe.Definition
}

func (t *teller) entry() []Node {
	p := t.d.Primary
	n := Node{Path: "$.PrimaryCriteria"}
	if len(p.Criteria) == 1 {
		c := p.Criteria[0]
		once := t.once()
		event := t.event(t.single(c), c)
		n.Text = t.people(event.Text, t.observed(p.PriorDays, p.PostDays), p.Limit, once)
		n.Children = event.Children
		if len(event.Children) > 0 { // the condition is told first, then what counts
			head := Node{Text: t.peopleWith(event.Text), Path: c.Path, Children: event.Children}
			return append([]Node{head, {Text: t.entersWhen(t.observed(p.PriorDays, p.PostDays), p.Limit, once), Path: n.Path}}, t.qualified()...)
		}
	} else {
		n.Text = t.enters(p.Limit, t.observed(p.PriorDays, p.PostDays)) + t.colon
		for _, c := range p.Criteria {
			n.Children = append(n.Children, t.event(t.single(c), c))
		}
	}
	return append([]Node{n}, t.qualified()...)
}

// once says whether only one event of each person can let the person enter, for
// there is no other: then a limit says nothing.
func (t *teller) once() bool {
	c := t.d.Primary.Criteria
	return len(c) == 1 && (c[0].First || c[0].Kind.Name == "Death")
}

// qualified tells the condition on entry events that stands outside the rules.
func (t *teller) qualified() (out []Node) {
	if g := t.d.Additional; g != nil && !g.Empty() {
		head, children := t.group(g, t.entryAnchor)
		if head == "" {
			head = t.thereIs
		}
		out = append(out, Node{Text: t.countsOnlyIf + head + t.colon, Path: g.Path, Children: children})
	}
	if t.d.Additional != nil && t.d.Primary.Limit == circe.LimitAll && !t.once() {
		out = append(out, Node{Text: t.remaining[t.d.QualifiedLimit], Path: "$.QualifiedLimit"})
	}
	return out
}

func (t *teller) rules() (out []Node) {
	for i, r := range t.d.Rules {
		n := Node{Name: oneLine(r.Name), Text: oneLine(r.Description), Path: fmt.Sprintf("$.InclusionRules[%d]", i)}
		if n.Name == "" {
			n.Name = t.unnamed
		}
		n.Children = t.asList(r.Group, t.entryAnchor)
		out = append(out, n)
	}
	// An earlier limit to one event a person makes this one say nothing.
	if t.d.Primary.Limit == circe.LimitAll && (t.d.Additional == nil || t.d.QualifiedLimit == circe.LimitAll) && !t.once() {
		out = append(out, Node{Text: t.lasting[t.d.ExpressionLimit], Path: "$.ExpressionLimit"})
	}
	return out
}

func (t *teller) exit() []Node {
	e := t.d.End
	n := Node{Text: t.endOfObservation, Path: "$.EndStrategy"}
	switch e.Kind {
	case circe.EndAtOffset:
		n.Text = t.endAtOffset(e.Days, e.FromEnd)
	case circe.EndOfExposure:
		var supply *int32
		if e.HasSupply {
			supply = &e.Supply
		}
		n.Text = t.endOfExposure(t.setName(e.Set), e.GapDays, e.Days, supply)
	}
	out := []Node{n}
	if len(t.d.Censoring) > 0 {
		c := Node{Text: t.censoredBy + t.colon, Path: "$.CensoringCriteria"}
		for _, criterion := range t.d.Censoring {
			c.Children = append(c.Children, t.event(t.single(criterion), criterion))
		}
		out = append(out, c)
	}
	out = append(out, Node{Text: t.eras(t.d.EraPad), Path: "$.CollapseSettings"})
	if t.d.CensorStart != circe.NoDate || t.d.CensorEnd != circe.NoDate {
		out = append(out, Node{Text: t.censorWindow(t.day(t.d.CensorStart), t.day(t.d.CensorEnd)), Path: "$.CensorWindow"})
	}
	return out
}

// sets tells each concept set: on its line if short, else as a list.
func (t *teller) sets() (out []Node) {
	for i, s := range t.d.ConceptSets {
		n := Node{Name: oneLine(s.Name), Path: fmt.Sprintf("$.ConceptSets[%d]", i)}
		for j, item := range s.Items {
			text := fmt.Sprint(item.Concept.ID)
			if item.Concept.Name != "" {
				text = fmt.Sprintf("%s (%d)", oneLine(item.Concept.Name), item.Concept.ID)
			}
			if item.Descendants {
				text += t.andBelow
			}
			if item.Mapped {
				text += t.andMapped
			}
			if item.Excluded {
				text = t.except + text
			}
			n.Children = append(n.Children, Node{Text: text, Path: fmt.Sprintf("%s.expression.items[%d]", n.Path, j)})
		}
		if len(s.Items) == 0 {
			n.Text = t.colon + " " + t.nothing
		}
		out = append(out, n)
	}
	return out
}

// asList tells a condition as statements of a list: one with its parts below it,
// or just its only part.
func (t *teller) asList(g *circe.Group, a anchor) []Node {
	if g.Empty() {
		return []Node{{Text: t.everybody, Path: g.Path}}
	}
	head, children := t.group(g, a)
	if head == "" {
		return children
	}
	return []Node{{Text: head + t.colon, Path: g.Path, Children: children}}
}

// group tells the parts of a condition, and how many of them must hold: "" if
// there is one, which must. What all of them say of the time is told with that.
func (t *teller) group(g *circe.Group, a anchor) (head string, children []Node) {
	parts := len(g.Criteria) + len(g.Demographic) + len(g.Groups)
	shared := parts > 1 && len(g.Criteria) == parts
	lasting := false
	for _, c := range g.Criteria {
		shared = shared && sameTime(c, g.Criteria[0])
		lasting = lasting || t.nouns[c.Criterion.Kind.Name].lasts
	}
	if parts > 1 || g.Kind == circe.AtLeast || g.Kind == circe.AtMost {
		head = t.ofThese(g.Kind, g.Count)
	}
	if shared {
		head += t.comma + t.when(g.Criteria[0], a, lasting)
	}
	for _, d := range g.Demographic {
		children = append(children, Node{Text: t.aPerson(d.Filters), Path: d.Path})
	}
	for _, c := range g.Criteria {
		text := t.counted(c)
		if !shared {
			text += t.beforeTime(c) + t.when(c, a, t.nouns[c.Criterion.Kind.Name].lasts)
		}
		children = append(children, t.event(text, c.Criterion))
		children[len(children)-1].Path = c.Path
	}
	for _, inner := range g.Groups {
		children = append(children, t.asList(inner, a)...)
	}
	return head, children
}

// beforeTime stands before the time of an event: a comma if more was said of it
// than its kind.
func (t *teller) beforeTime(c *circe.Correlated) string {
	if e := c.Criterion; len(e.Filters) > 0 || e.First || e.Period != nil || e.Adjust != nil || e.Source >= 0 || c.Occurrence.Distinct {
		return t.comma
	}
	return " "
}

// sameTime says whether two conditions look at the same time.
func sameTime(a, b *circe.Correlated) bool {
	return a.Start == b.Start && (a.End == nil) == (b.End == nil) && (a.End == nil || *a.End == *b.End) &&
		a.RestrictVisit == b.RestrictVisit && a.AnyTime == b.AnyTime
}

// when says when events looked for take place.
func (t *teller) when(c *circe.Correlated, a anchor, lasting bool) string {
	text := t.window(&c.Start, a, lasting || c.End != nil)
	if c.End != nil {
		text += t.and + t.window(c.End, a, true)
	}
	if c.RestrictVisit {
		text += t.comma + t.sameVisit
	}
	if c.AnyTime {
		text = strings.ReplaceAll(text, t.inObservation, "") + t.comma + t.unobserved
	}
	return text
}

// window says when an event must start or end.
func (t *teller) window(w *circe.Window, a anchor, lasting bool) string {
	if w.IndexEnd {
		a = anchor{a.ended, a.ended}
	}
	span := t.span(w.From, w.To, a)
	switch {
	case w.EventEnd:
		return t.ending + " " + span
	case lasting:
		return t.starting + " " + span
	}
	return span
}

// event is a statement about an event, with what is asked of it below.
func (t *teller) event(text string, c *circe.Criterion) Node {
	n := Node{Text: text, Path: c.Path}
	if c.Group != nil && !c.Group.Empty() {
		head, children := t.group(c.Group, t.eventAnchor)
		n.Children = children
		if head == "" {
			n.Text += t.comma + t.suchThat + t.thereIs + t.colon
		} else {
			n.Text += t.comma + t.suchThat + head + t.colon
		}
	}
	return n
}

// single names one event of a criterion.
func (t *teller) single(c *circe.Criterion) string {
	n := t.nouns[c.Kind.Name]
	return t.article(n, c.First) + n.one + t.about(c, n)
}

// counted names events with how many of them are asked for.
func (t *teller) counted(c *circe.Correlated) string {
	n := t.nouns[c.Criterion.Kind.Name]
	o := c.Occurrence
	noun := n.many
	if o.Count == 1 || o.Count == 0 && o.Comparison != circe.NoFewerThan {
		noun = n.one
	}
	text := t.howMany(o.Comparison, o.Count, n.feminine) + " " + noun + t.about(c.Criterion, n)
	if c.Criterion.First {
		text += t.comma + t.firstTime
	}
	if o.Distinct {
		text += t.comma + t.distinctBy(o.Column)
	}
	return text
}

// about says of what an event is, and what else is asked of it.
func (t *teller) about(c *circe.Criterion, n noun) string {
	text := ""
	switch {
	case c.Set >= 0:
		text = t.elide(n.of, t.setName(c.Set))
	case c.Source < 0:
		text = n.any
	}
	if c.Source >= 0 {
		text += t.elide(t.sourceCode, t.setName(c.Source))
	}
	asked := t.filters(c.Filters)
	if c.Source >= 0 && asked != "" && !strings.HasPrefix(asked, " (") {
		asked = t.comma + strings.TrimSpace(asked)
	}
	text += asked
	if p := c.Period; p != nil {
		text += t.comma + t.fixedDates(t.day(p.Start), t.day(p.End))
	}
	if a := c.Adjust; a != nil {
		text += t.comma + t.adjusted(a)
	}
	return text
}

func (t *teller) setName(set int) string {
	if set < 0 || set >= len(t.d.ConceptSets) {
		return t.quote("?")
	}
	return t.quote(oneLine(t.d.ConceptSets[set].Name))
}

// oneLine takes line breaks out of a text of the author's.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
