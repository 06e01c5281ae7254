package short

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/havre-hub/havre/internal/hub/study/strictyaml"
)

func newGroup(kind string) *group {
	return &group{Type: kind, Criteria: []*correlated{}, Demographic: []map[string]any{}, Groups: []*group{}}
}

// add takes a part of any sort into a group.
func (g *group) add(part any) {
	switch p := part.(type) {
	case *correlated:
		g.Criteria = append(g.Criteria, p)
	case map[string]any:
		g.Demographic = append(g.Demographic, p)
	case *group:
		g.Groups = append(g.Groups, p)
	}
}

// asGroup makes a group of a condition that may be one already.
func asGroup(part any) *group {
	if g, ok := part.(*group); ok {
		return g
	}
	g := newGroup("ALL")
	g.add(part)
	return g
}

// part reads a condition with nothing beside it.
func (x *expander) part(n ast.Node) any {
	c, _ := x.condition(n, "a condition")
	return c
}

// together are the keys that join conditions.
var together = []string{"all_of", "any_of", "none_of", "of"}

// condition reads events to be looked for, traits of the person, or conditions
// joined together. It gives a *correlated, a map of Circe's demographic
// criteria, or a *group; nil after a mistake. The keys beside it come too.
func (x *expander) condition(n ast.Node, what string, beside ...string) (any, map[string]ast.Node) {
	pairs, ok := strictyaml.Pairs(n)
	if !ok {
		x.At(n, "%s must be keys and values", what)
		return nil, nil
	}
	if x.deep > mostDepth {
		x.At(n, "conditions are nested more than %d deep", mostDepth)
		return nil, nil
	}
	for _, v := range pairs {
		if key := v.Key.GetToken().Value; slices.Contains(together, key) {
			return x.group(n, key, what, beside)
		}
	}
	if kindOf(n) != "" {
		return x.correlated(n, what, beside)
	}
	people := attributes[""]
	given := x.given(n, what+" about the person", slices.Concat(beside, Attributes(""), Kinds(), together))
	members := map[string]any{}
	x.filters(given, people, members)
	if len(members) == 0 && given != nil {
		x.At(n, "%s asks for events (%s), for traits of the person (%s), or joins conditions (all_of, any_of, none_of, of)",
			what, strings.Join(Kinds(), ", "), strings.Join(Attributes(""), ", "))
		return nil, given
	}
	return members, given
}

func (x *expander) group(n ast.Node, key, what string, beside []string) (any, map[string]ast.Node) {
	known := append([]string{key}, beside...)
	if key == "of" {
		known = append(known, "at_least", "at_most")
	}
	given := x.given(n, what+" with "+key, known)
	count := func(v int64) *int64 { return &v }
	var g *group
	switch key {
	case "all_of":
		g = newGroup("ALL")
	case "any_of":
		g = newGroup("ANY")
	case "none_of":
		g = newGroup("AT_MOST")
		g.Count = count(0)
	default:
		least, isLeast := given["at_least"]
		most, isMost := given["at_most"]
		switch {
		case isLeast == isMost:
			x.At(n, "of needs at_least or at_most beside it: how many must hold")
			g = newGroup("ALL")
		case isLeast:
			g = newGroup("AT_LEAST")
			g.Count = count(x.Whole(least, mostDays))
		default:
			g = newGroup("AT_MOST")
			g.Count = count(x.Whole(most, mostDays))
		}
	}
	if v, ok := given[key]; ok {
		x.nested(func() { x.Items(v, func(n ast.Node) { g.add(x.part(n)) }) })
		if list, ok := v.(*ast.SequenceNode); ok && len(list.Values) == 0 {
			x.At(v, "the list is empty")
		}
	}
	return g, given
}

func (x *expander) correlated(n ast.Node, what string, beside []string) (any, map[string]ast.Node) {
	c := &correlated{Occurrence: occurrence{Type: 2, Count: 1}}
	var given map[string]ast.Node
	x.nested(func() {
		c.Criteria, given = x.event(n, what, append([]string{"count", "distinct", "when", "same_visit", "outside_observation"}, beside...))
	})
	if v, ok := given["count"]; ok {
		x.count(v, &c.Occurrence)
	}
	if v, ok := given["distinct"]; ok {
		columns := map[string]string{}
		for column := range kinds[kindOf(n)].Counts {
			columns[countKey(column)] = column
		}
		c.Occurrence.Distinct, c.Occurrence.Column = true, x.word(v, columns)
	}
	if v, ok := given["same_visit"]; ok {
		c.SameVisit = x.Flag(v)
	}
	if v, ok := given["outside_observation"]; ok {
		c.AnyTime = x.Flag(v)
	}
	if v, ok := given["when"]; ok {
		x.when(v, c)
	} else {
		x.At(n, "it must be said when: any time, within 30 days before, on the day, ...")
	}
	return c, given
}

var countRE = regexp.MustCompile(`^(at least|at most|exactly) ([0-9]{1,6})$`)

func (x *expander) count(n ast.Node, o *occurrence) {
	text := x.Text(n)
	if text == "none" {
		*o = occurrence{}
		return
	}
	m := countRE.FindStringSubmatch(text)
	if m == nil {
		x.At(n, "%q is no count: write none, at least 2, at most 2 or exactly 2", text)
		return
	}
	o.Type = map[string]int{"exactly": 0, "at most": 1, "at least": 2}[m[1]]
	o.Count, _ = strconv.ParseInt(m[2], 10, 64)
}

// when reads one span of days, or two, of which one bounds the start of the
// events and the other their end.
func (x *expander) when(n ast.Node, c *correlated) {
	list, two := n.(*ast.SequenceNode)
	if !two {
		c.Start = x.window(n)
		return
	}
	for _, n := range list.Values {
		w := x.window(n)
		at := &c.Start
		if w != nil && w.EventEnd {
			at = &c.End
		}
		if *at != nil {
			x.At(n, "of two spans one begins with starting, the other with ending")
		}
		*at = w
	}
	if c.Start == nil || len(list.Values) != 2 {
		x.At(n, "a list holds two spans: one that begins with starting, one with ending")
	}
}

const (
	bound = `(any time before|[0-9]{1,6} days? before|the day|[0-9]{1,6} days? after|any time after)`
	orDay = `( or on the day)?`
)

var spans = []struct {
	re   *regexp.Regexp
	read func(m []string) (from, to endpoint)
}{
	{regexp.MustCompile(`^any time$`), func([]string) (from, to endpoint) { return open(-1), open(1) }},
	{regexp.MustCompile(`^on the day$`), func([]string) (from, to endpoint) { return days(0), days(0) }},
	{regexp.MustCompile(`^any time before` + orDay + `$`), func(m []string) (from, to endpoint) { return open(-1), days(-other(m[1])) }},
	{regexp.MustCompile(`^any time after` + orDay + `$`), func(m []string) (from, to endpoint) { return days(other(m[1])), open(1) }},
	{regexp.MustCompile(`^within ([0-9]{1,6}) days?$`), func(m []string) (from, to endpoint) { return days(-whole(m[1])), days(whole(m[1])) }},
	{regexp.MustCompile(`^within ([0-9]{1,6}) days? before` + orDay + `$`), func(m []string) (from, to endpoint) { return days(-whole(m[1])), days(-other(m[2])) }},
	{regexp.MustCompile(`^within ([0-9]{1,6}) days? after` + orDay + `$`), func(m []string) (from, to endpoint) { return days(other(m[2])), days(whole(m[1])) }},
	{regexp.MustCompile(`^([0-9]{1,6}) to ([0-9]{1,6}) days (before|after)$`), func(m []string) (from, to endpoint) {
		near, far := whole(m[1]), whole(m[2])
		if near > far {
			near, far = far, near
		}
		if m[3] == "before" {
			return days(-far), days(-near)
		}
		return days(near), days(far)
	}},
	{regexp.MustCompile(`^from ` + bound + ` to ` + bound + `$`), func(m []string) (from, to endpoint) { return boundOf(m[1]), boundOf(m[2]) }},
}

// window reads "within 30 days before", before it perhaps "starting" or
// "ending", after it perhaps ", from the end".
func (x *expander) window(n ast.Node) *window {
	text := x.Text(n)
	w := &window{}
	rest, ending := strings.CutPrefix(text, "ending ")
	w.EventEnd = ending
	rest = strings.TrimPrefix(rest, "starting ")
	rest, w.IndexEnd = strings.CutSuffix(rest, ", from the end")
	for _, s := range spans {
		if m := s.re.FindStringSubmatch(rest); m != nil {
			w.From, w.To = s.read(m)
			return w
		}
	}
	x.At(n, "%q says no time: write any time, on the day, within 30 days, within 30 days before, any time before (or on the day), the same with after, "+
		"30 to 90 days after, or from 30 days before to 7 days after", text)
	return nil
}

func open(coeff int) endpoint { return endpoint{Coeff: coeff} }

func days(n int64) endpoint {
	if n < 0 {
		n = -n
		return endpoint{&n, -1}
	}
	return endpoint{&n, 1}
}

func whole(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // digits, as the pattern says
	return n
}

// other is how far from the index day the nearest day lies: 0 if it counts.
func other(orOnTheDay string) int64 {
	if orOnTheDay == "" {
		return 1
	}
	return 0
}

func boundOf(text string) endpoint {
	number, word, _ := strings.Cut(text, " ")
	switch {
	case text == "the day":
		return days(0)
	case text == "any time before":
		return open(-1)
	case text == "any time after":
		return open(1)
	case strings.HasSuffix(word, "before"):
		return days(-whole(number))
	}
	return days(whole(number))
}

var offsetRE = regexp.MustCompile(`^([0-9]{1,6}) days? (before|after) the (start|end)$`)

// exit reads when a person leaves: "end of observation", a number of days from
// a date of the event, or the end of an exposure.
func (x *expander) exit(n ast.Node) {
	if _, ok := strictyaml.Pairs(n); ok {
		x.exposure(n)
		return
	}
	text := x.Text(n)
	if text == "end of observation" {
		return
	}
	offset := &dateOffset{}
	switch m := offsetRE.FindStringSubmatch(text); {
	case text == "at the end":
		offset.DateField = "EndDate"
	case m != nil:
		offset.Offset = whole(m[1])
		if m[2] == "before" {
			offset.Offset = -offset.Offset
		}
		offset.DateField = map[string]string{"start": "StartDate", "end": "EndDate"}[m[3]]
	default:
		x.At(n, "%q is no exit: write end of observation, 30 days after the start, 30 days after the end, at the end, or {drug: NAME, gap_days: 30}", text)
	}
	x.out.EndStrategy = &endStrategy{DateOffset: offset}
}

func (x *expander) exposure(n ast.Node) {
	given := x.given(n, "the exit", []string{"drug", "gap_days", "days_after", "days_supply"})
	e := &customEra{DrugCodesetID: -1}
	if v, ok := given["drug"]; ok {
		if e.DrugCodesetID = x.set(v); x.Text(v) == anyConcept {
			x.At(v, "an exit by exposure names the drugs")
		}
	} else if given != nil {
		x.At(n, "an exit by exposure names the drugs: drug: NAME")
	}
	numbers := map[string]*int64{"gap_days": &e.GapDays, "days_after": &e.Offset}
	if _, ok := given["days_supply"]; ok {
		e.DaysSupply = new(int64)
		numbers["days_supply"] = e.DaysSupply
	}
	for _, key := range slices.Sorted(maps.Keys(numbers)) {
		if v, ok := given[key]; ok {
			*numbers[key] = x.Whole(v, mostDays)
		}
	}
	x.out.EndStrategy = &endStrategy{CustomEra: e}
}
