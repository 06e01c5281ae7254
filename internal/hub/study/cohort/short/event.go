package short

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/strictyaml"
)

// criterion reads an event with nothing beside it.
func (x *expander) criterion(n ast.Node, what string) any {
	c, _ := x.event(n, what, nil)
	return c
}

// kindOf finds the key that names the kind of an event, "" if none does.
func kindOf(n ast.Node) string {
	pairs, _ := strictyaml.Pairs(n)
	for _, v := range pairs {
		if _, ok := kinds[v.Key.GetToken().Value]; ok {
			return v.Key.GetToken().Value
		}
	}
	return ""
}

// event reads an event, and gives its criterion and the keys beside it.
func (x *expander) event(n ast.Node, what string, beside []string) (any, map[string]ast.Node) {
	name := kindOf(n)
	if name == "" {
		before := len(x.List())
		if x.given(n, what, slices.Concat(Kinds(), []string{"occurrence", "source", "with"}, Attributes("condition"), beside)); len(x.List()) == before {
			x.At(n, "%s names its kind: %s", what, strings.Join(Kinds(), ", "))
		}
		return nil, nil
	}
	k := kinds[name]
	known := append([]string{name, "with"}, beside...)
	if k.SourceField != "" {
		known = append(known, "source")
	}
	if k.First {
		known = append(known, "occurrence")
	}
	given := x.given(n, what+" of kind "+name, append(known, Attributes(name)...))
	members := map[string]any{}
	switch set := x.set(given[name]); {
	case set >= 0 && k.Codeset == "":
		x.At(given[name], "an event of kind %s has no concepts: write %s: any", name, name)
	case set >= 0:
		members[k.Codeset] = set
	}
	if v, ok := given["source"]; ok {
		if set := x.set(v); set >= 0 {
			members[k.SourceField] = set
		}
	}
	if v, ok := given["occurrence"]; ok && x.word(v, map[string]string{"first": "first", "any": "any"}) == "first" {
		members["First"] = true
	}
	x.filters(given, attributes[name], members)
	if v, ok := given["with"]; ok {
		g := newGroup("ALL")
		x.nested(func() { x.events(v, func(n ast.Node) { g.add(x.part(n)) }) })
		members["CorrelatedCriteria"] = g
	}
	return map[string]any{k.Name: members}, given
}

// nested reads what lies one level deeper.
func (x *expander) nested(read func()) {
	x.deep++
	read()
	x.deep--
}

// filters reads the attributes of an event or a person.
func (x *expander) filters(given map[string]ast.Node, known map[string]attribute, members map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(known)) {
		if v, ok := given[key]; ok {
			x.filter(key, v, known[key], members)
		}
	}
}

func (x *expander) filter(key string, n ast.Node, a attribute, members map[string]any) {
	form := circe.Selection
	if a.list != nil {
		form = a.list.Form
	}
	switch form {
	case circe.Concepts, circe.Selection:
		x.concepts(key, n, a, members)
	case circe.Codeset:
		if set := x.set(n); set >= 0 {
			members[a.list.Name] = set
		}
	case circe.Texts:
		members[a.list.Name] = x.likeness(n)
	case circe.Flag:
		members[a.list.Name] = x.Flag(n)
	case circe.UserPeriods:
		members[a.list.Name] = x.span(n)
	default:
		members[a.list.Name] = x.comparison(n, form)
	}
}

var sexes = map[string]concept{"female": {8532, "FEMALE"}, "male": {8507, "MALE"}}

// concepts reads ids, or the name of a concept set; {not: ...} turns it around.
func (x *expander) concepts(key string, n ast.Node, a attribute, members map[string]any) {
	exclude := false
	if _, ok := strictyaml.Pairs(n); ok {
		given := x.given(n, key, []string{"not"})
		inner, ok := given["not"]
		if !ok {
			x.At(n, "%s is ids, the name of a concept set, or {not: ...}", key)
			return
		}
		n, exclude = inner, true
	}
	var ids []concept
	one := func(n ast.Node) {
		if s, word := n.(*ast.StringNode); word && key == "sex" && sexes[s.Value].ID != 0 {
			ids = append(ids, sexes[s.Value])
			return
		}
		ids = append(ids, concept{ID: x.conceptID(n)})
	}
	switch v := n.(type) {
	case *ast.SequenceNode:
		x.Items(v, one)
		if len(v.Values) == 0 {
			x.At(n, "an empty list asks nothing")
		}
	case *ast.StringNode:
		if key == "sex" && sexes[v.Value].ID != 0 {
			one(n)
			break
		}
		if a.set == nil {
			x.At(n, "%s is a list of concept ids here", key)
		} else if set := x.set(n); set >= 0 {
			members[a.set.Name] = selection{set, exclude}
		} else if v.Value == anyConcept {
			x.At(n, "%s: any asks nothing", key)
		}
		return
	default:
		one(n)
	}
	switch {
	case a.list == nil || exclude && a.list.Exclude == "":
		members[a.set.Name] = selection{x.setOf(key, ids), exclude}
	default:
		members[a.list.Name] = ids
		if exclude {
			members[a.list.Exclude] = true
		}
	}
}

// setOf makes a concept set of ids, where Circe takes no list of them.
func (x *expander) setOf(key string, ids []concept) int {
	s := conceptSet{ID: len(x.out.ConceptSets), Name: key}
	for _, c := range ids {
		s.Expression.Items = append(s.Expression.Items, conceptItem{Concept: c})
		s.Name += fmt.Sprintf(" %d", c.ID)
	}
	if i, ok := x.sets[s.Name]; ok {
		return i
	}
	x.sets[s.Name] = s.ID
	x.out.ConceptSets = append(x.out.ConceptSets, s)
	return s.ID
}

var likenesses = map[string]string{"is": "eq", "starts with": "startsWith", "ends with": "endsWith", "contains": "contains"}

// likeness reads a comparison of text: "contains x", "not starts with x".
func (x *expander) likeness(n ast.Node) any {
	rest, not := strings.CutPrefix(x.Text(n), "not ")
	for words, op := range likenesses {
		if text, ok := strings.CutPrefix(rest, words+" "); ok {
			if not {
				op = "!" + op
			}
			return textComparison{text, op}
		}
	}
	x.At(n, "a comparison of text begins with is, starts with, ends with or contains, or with one of these after not")
	return nil
}

// words that begin a comparison, of numbers and of dates
var (
	numberWords = map[string]string{"at least": "gte", "at most": "lte", "more than": "gt", "less than": "lt"}
	dateWords   = map[string]string{"from": "gte", "until": "lte", "after": "gt", "before": "lt"}
	numberRE    = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,4})?$`)
)

// comparison reads "at least 18", "18 to 65", "not 18" and the like; of dates
// "from 2010-01-01", "2010-01-01 to 2019-12-31" and the like.
func (x *expander) comparison(n ast.Node, form circe.Form) any {
	text := x.Text(n)
	words, value := numberWords, x.numberOf(form)
	if form == circe.Dates {
		words, value = dateWords, day
	}
	fail := func() any {
		switch form {
		case circe.Dates:
			x.At(n, "%q is no comparison of dates: write 2010-01-01, from, until, after or before it, 2010-01-01 to 2010-12-31, or not and one of these", text)
		case circe.Integers:
			x.At(n, "%q is no comparison of whole numbers: write 18, at least, at most, more than or less than 18, 18 to 65, or not 18 or not 18 to 65", text)
		default:
			x.At(n, "%q is no comparison of numbers with up to four decimals: write 6.5, at least, at most, more than or less than 6.5, 6.5 to 8, or not 6.5 or not 6.5 to 8", text)
		}
		return nil
	}
	for w, op := range words {
		if rest, ok := strings.CutPrefix(text, w+" "); ok {
			if v := value(rest); v != nil {
				return comparison{Value: v, Op: op}
			}
			return fail()
		}
	}
	rest, not := strings.CutPrefix(text, "not ")
	op := func(op string) string {
		if not {
			return "!" + op
		}
		return op
	}
	if low, high, ok := strings.Cut(rest, " to "); ok {
		if a, b := value(low), value(high); a != nil && b != nil {
			return comparison{a, op("bt"), b}
		}
	} else if v := value(rest); v != nil {
		return comparison{Value: v, Op: op("eq")}
	}
	return fail()
}

// numberOf reads numbers of a form; nil if the text is none.
func (x *expander) numberOf(form circe.Form) func(string) any {
	return func(text string) any {
		if !numberRE.MatchString(text) {
			return nil
		}
		if form == circe.Integers {
			if v, err := strconv.ParseInt(text, 10, 32); err == nil {
				return v
			}
			return nil
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil
		}
		return v
	}
}

// day reads a date; nil if the text is none.
func day(text string) any {
	if t, err := time.Parse(time.DateOnly, text); err != nil || t.Year() < 1 {
		return nil
	}
	return text
}

// span reads a time in the calendar: "from 2010-01-01", "until 2019-12-31", or
// "2010-01-01 to 2019-12-31".
func (x *expander) span(n ast.Node) span {
	text := x.Text(n)
	from, to, both := strings.Cut(text, " to ")
	if !both {
		from, _ = strings.CutPrefix(text, "from ")
		to, _ = strings.CutPrefix(text, "until ")
		switch {
		case from != text && day(from) != nil:
			return span{Start: from}
		case to != text && day(to) != nil:
			return span{End: to}
		}
	} else if day(from) != nil && day(to) != nil {
		return span{from, to}
	}
	x.At(n, "%q is no time in the calendar: write from 2010-01-01, until 2019-12-31, or 2010-01-01 to 2019-12-31", text)
	return span{}
}
