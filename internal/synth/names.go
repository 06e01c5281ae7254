package synth

import (
	"slices"
	"strings"
)

// names draws family and given names, in upper case without accents as the INS
// writes them. Family names have a long tail: a few hundred common ones, and
// tens of thousands composed of syllables.
type names struct {
	french, other, rare []string
	frenchBy, otherBy   weighted
	rareBy              weighted
	given               []givenPeriod
}

type givenPeriod struct {
	before       int
	bySex        [2][]string
	by           [2]weighted
	manyPerChild bool
}

func newNames() *names {
	n := &names{french: nameList(frenchFamilies), other: nameList(otherFamilies)}
	n.rare = rareNames(n.french, n.other)
	n.frenchBy = newWeighted(len(n.french), func(rank int) int { return 1_000_000 / (rank + 25) })
	n.otherBy = newWeighted(len(n.other), func(rank int) int { return 1_000_000 / (rank + 15) })
	n.rareBy = newWeighted(len(n.rare), func(rank int) int { return 100_000_000 / (rank + 400) })
	for _, p := range givenNames {
		g := givenPeriod{before: p.before, bySex: [2][]string{nameList(p.men), nameList(p.women)}, manyPerChild: p.manyPerChild}
		for sex := range g.by {
			g.by[sex] = newWeighted(len(g.bySex[sex]), func(rank int) int { return 100_000 / (rank + 6) })
		}
		n.given = append(n.given, g)
	}
	return n
}

// nameList reads a list in which _ stands for the space inside a name.
func nameList(text string) []string {
	list := strings.Fields(text)
	for i := range list {
		list[i] = strings.ReplaceAll(list[i], "_", " ")
	}
	return list
}

// rareNames composes every head, middle and tail, shuffled by a fixed stride
// so that neighbours in rank do not sound alike.
func rareNames(known ...[]string) []string {
	taken := make(map[string]bool)
	for _, list := range append(known, strings.Fields(notNames)) {
		for _, name := range list {
			taken[name] = true
		}
	}
	heads, middles, tails := strings.Fields(nameHeads), strings.Fields(nameMiddles), strings.Fields(nameTails)
	total := len(heads) * len(middles) * len(tails)
	const stride = 1_000_003 // a prime larger than total and no divisor of it
	var rare []string
	for k := range total {
		i := int(uint64(k) * stride % uint64(total))
		middle := middles[i/len(heads)%len(middles)]
		name := heads[i%len(heads)] + strings.TrimPrefix(middle, "-") + tails[i/len(heads)/len(middles)]
		if !taken[name] {
			taken[name] = true
			rare = append(rare, name)
		}
	}
	return rare
}

// family draws a birth name.
func (n *names) family(s *stream, abroad bool) string {
	common := 3500
	if abroad {
		common = 800
	}
	switch {
	case abroad && s.chance(7500), !abroad && s.chance(900):
		return n.other[n.otherBy.draw(s)]
	case s.chance(250):
		return n.french[n.frenchBy.draw(s)] + "-" + n.rare[n.rareBy.draw(s)]
	case s.chance(common):
		return n.french[n.frenchBy.draw(s)]
	}
	return n.rare[n.rareBy.draw(s)]
}

// givens draws one to three given names of a person, none of them in not.
func (n *names) givens(s *stream, sex, year int, not []string) []string {
	p := slices.IndexFunc(n.given, func(g givenPeriod) bool { return year < g.before })
	count := 1
	if n.given[p].manyPerChild || s.chance(5000) {
		count += s.below(3)
	}
	var out []string
	for len(out) < count {
		from := p
		if len(out) > 0 && from > 0 && s.chance(4000) {
			from-- // a second name is often a grandparent's
		} else if s.chance(500) {
			from = s.below(len(n.given))
		}
		name := n.given[from].bySex[sex][n.given[from].by[sex].draw(s)]
		if !slices.Contains(out, name) && !slices.Contains(not, name) {
			out = append(out, name)
		}
	}
	return out
}
