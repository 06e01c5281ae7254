package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// subjects are those that are told as people speak, in this order; the others
// follow in brackets, by name.
var subjects = []circe.Subject{circe.SubjectAbnormal, circe.SubjectLength, circe.SubjectAgeAtStart, circe.SubjectGender, circe.SubjectStart, circe.SubjectEnd}

// ordered puts filters into an order that does not hang on the document's.
func ordered(filters []circe.Filter) []circe.Filter {
	rank := func(f circe.Filter) int {
		if f.Attribute.Name == "ValueAsNumber" || f.Attribute.Name == "DoseValue" {
			return -1
		}
		if i := slices.Index(subjects, f.Attribute.Subject); i >= 0 {
			return i
		}
		return len(subjects)
	}
	out := slices.Clone(filters)
	slices.SortStableFunc(out, func(a, b circe.Filter) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Attribute.Name, b.Attribute.Name))
	})
	return out
}

// filters tells what else is asked of an event: " at age 18 or over, in women
// (unit: g/dL)".
func (t *teller) filters(filters []circe.Filter) string {
	var said, rest []string
	for _, f := range ordered(filters) {
		text := ""
		switch {
		case f.Attribute.Subject == circe.SubjectAgeAtStart:
			text = t.compare(t.ages, &f)
		case f.Attribute.Subject == circe.SubjectGender && f.Op == circe.OpIn && t.sexes(&f, t.inSex) != "":
			text = t.sexes(&f, t.inSex)
		case f.Attribute.Subject == circe.SubjectStart:
			text = t.compare(t.dates, &f)
		case f.Attribute.Subject == circe.SubjectEnd:
			text = t.ending + " " + t.compare(t.dates, &f)
		case f.Attribute.Subject == circe.SubjectLength:
			text = t.lastingFor + t.compare(t.lengths, &f)
		case f.Attribute.Name == "ValueAsNumber":
			text = t.withValue + t.compare(t.values, &f)
		case f.Attribute.Name == "DoseValue":
			text = t.withDose + t.compare(t.values, &f)
		case f.Attribute.Subject == circe.SubjectAbnormal:
			text = t.abnormal
		default:
			rest = append(rest, t.inBrackets(&f))
			continue
		}
		said = append(said, text)
	}
	text := ""
	if len(said) > 0 {
		text = " " + strings.Join(said, t.comma)
	}
	if len(rest) > 0 {
		text += " (" + strings.Join(rest, t.semicolon) + ")"
	}
	return text
}

// aPerson tells a condition on the person of an event.
func (t *teller) aPerson(filters []circe.Filter) string {
	var said, rest []string
	for _, f := range ordered(filters) {
		switch {
		case f.Attribute.Subject == circe.SubjectAgeAtStart:
			said = append(said, t.compare(t.aged, &f))
		case f.Attribute.Subject == circe.SubjectGender && f.Op == circe.OpIn && t.sexes(&f, t.ofSex) != "":
			said = append(said, t.sexes(&f, t.ofSex))
		case f.Attribute.Subject == circe.SubjectStart:
			said = append(said, t.eventStarting+t.compare(t.dates, &f))
		case f.Attribute.Subject == circe.SubjectEnd:
			said = append(said, t.eventEnding+t.compare(t.dates, &f))
		default:
			rest = append(rest, t.inBrackets(&f))
		}
	}
	text := t.person
	if len(said) > 0 {
		text += " " + strings.Join(said, t.comma)
	}
	if len(rest) > 0 {
		text += " (" + strings.Join(rest, t.semicolon) + ")"
	}
	return text
}

// compare fills the phrase of a comparison.
func (t *teller) compare(phrases map[circe.Op]string, f *circe.Filter) string {
	if f.Attribute.Form == circe.Dates {
		return fill(phrases[f.Op], t.day(circe.Date(f.Value)), t.day(circe.Date(f.Extent)))
	}
	text := fill(phrases[f.Op], t.number(f.Value), t.number(f.Extent))
	if last := map[bool]float64{false: f.Value, true: f.Extent}[f.Op == circe.OpBetween || f.Op == circe.OpNotBetween]; t.isOne(last) {
		text = t.oneOnly.Replace(text)
	}
	return text
}

// sexes tells a list of the two sexes; "" if another concept is among them.
func (t *teller) sexes(f *circe.Filter, words map[int64]string) string {
	var list []string
	for _, c := range f.Concepts {
		w, ok := words[c.ID]
		if !ok {
			return ""
		}
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	slices.Sort(list)
	return t.either(list)
}

// inBrackets tells a filter as "name: what".
func (t *teller) inBrackets(f *circe.Filter) string {
	name := t.attribute(f.Attribute)
	switch f.Op {
	case circe.OpHolds:
		return name
	case circe.OpLike, circe.OpNotLike:
		return name + " " + t.like(f)
	case circe.OpIn, circe.OpNotIn:
		var list string
		if f.Set >= 0 {
			list = t.setName(f.Set)
		} else {
			var names []string
			for _, c := range f.Concepts {
				names = append(names, t.concept(c))
			}
			list = t.either(names)
		}
		if f.Op == circe.OpNotIn {
			return name + t.colon + " " + t.otherThan + list
		}
		return name + t.colon + " " + list
	}
	phrases := t.numbers
	switch {
	case f.Attribute.Subject == circe.SubjectAgeAtEnd:
		phrases = t.years
	case f.Attribute.Form == circe.Dates:
		phrases = t.dates
	}
	return name + t.colon + " " + t.compare(phrases, f)
}

// like tells a pattern as Circe writes it: text with % before or after it.
func (t *teller) like(f *circe.Filter) string {
	text, before := strings.CutPrefix(f.Text, "%")
	text, after := strings.CutSuffix(text, "%")
	how := "is"
	switch {
	case before && after:
		how = "contains"
	case after:
		how = "starts"
	case before:
		how = "ends"
	}
	if f.Op == circe.OpNotLike {
		how = "not " + how
	}
	return t.likes[how] + " " + t.quote(text)
}

// concept gives the name that a document has for a concept; the sexes have words
// of their own.
func (t *teller) concept(c circe.Concept) string {
	switch {
	case t.sexNames[c.ID] != "":
		return t.sexNames[c.ID]
	case c.Name != "":
		return oneLine(c.Name)
	}
	return fmt.Sprint(c.ID)
}

// attribute gives the words for an attribute; one without words of its own is
// spelt out from Circe's name.
func (t *teller) attribute(a *circe.Attribute) string {
	name := strings.TrimSuffix(a.Name, "CS")
	if a.Subject == circe.SubjectAgeAtEnd {
		name = "AgeAtEnd" // Age of a visit detail is that
	}
	if text, ok := t.attributes[name]; ok {
		return text
	}
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// either joins alternatives by the language's "or".
func (t *teller) either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + t.or + names[last]
}

func fill(format string, values ...string) string {
	for i, v := range values {
		format = strings.ReplaceAll(format, fmt.Sprintf("$%d", i+1), v)
	}
	return format
}
