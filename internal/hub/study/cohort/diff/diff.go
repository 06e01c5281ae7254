// Package diff says what changed between two versions of a cohort definition, in
// the words of package explain: it compares what the two ask, so the order of
// keys, the numbers of concept sets and the layout make no difference.
package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/cohort/explain"
)

// Kind says what happened to a statement.
type Kind string

// The kinds of changes. Renamed is a concept set that holds what it held;
// Reordered, the order of what has one: entry events, inclusion rules.
const (
	Added     Kind = "added"
	Removed   Kind = "removed"
	Changed   Kind = "changed"
	Renamed   Kind = "renamed"
	Reordered Kind = "reordered"
)

// Change is one difference. Paths are JSON paths in the document before and
// after, "" where there is none.
type Change struct {
	Part       string   `json:"part"` // one of Parts
	Kind       Kind     `json:"kind"`
	Within     []string `json:"within,omitempty"` // the statements that it stands under, outermost first
	Before     string   `json:"before,omitempty"`
	After      string   `json:"after,omitempty"`
	PathBefore string   `json:"path_before,omitempty"`
	PathAfter  string   `json:"path_after,omitempty"`
}

// Parts name the parts of a definition, as explain.Tree has them.
var Parts = []string{"entry", "rules", "exit", "concepts"}

// Definitions compares two definitions, in a language of explain. None means that
// they ask the same.
func Definitions(before, after *cohort.Definition, language string) ([]Change, error) {
	changes := []Change{}
	before, changes = sameNames(before, after, changes)
	a, err := explain.Tree(before, language)
	if err != nil {
		return nil, err
	}
	b, err := explain.Tree(after, language)
	if err != nil {
		return nil, err
	}
	for i := range a {
		c := comparison{part: Parts[i]}
		c.nodes(a[i].Nodes, b[i].Nodes, nil)
		changes = append(changes, c.changes...)
	}
	if len(changes) == 0 && cohort.Key(before) != cohort.Key(after) {
		changes = append(changes, Change{Part: "entry", Kind: Reordered, PathBefore: "$.PrimaryCriteria", PathAfter: "$.PrimaryCriteria"})
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return slices.Index(Parts, a.Part) - slices.Index(Parts, b.Part) })
	return changes, nil
}

// sameNames gives concept sets of before the names that after has for the same
// concepts, so that a new name is told once and not wherever the set is meant.
func sameNames(before, after *cohort.Definition, changes []Change) (*cohort.Definition, []Change) {
	contents := func(d *cohort.Definition) (by map[string]int, names map[string]bool) {
		by, names = map[string]int{}, map[string]bool{}
		for i, s := range d.ConceptSets {
			var items []string
			for _, item := range s.Items {
				items = append(items, fmt.Sprint(item.Concept.ID, item.Excluded, item.Descendants, item.Mapped))
			}
			slices.Sort(items)
			key := strings.Join(items, "\n")
			if _, twice := by[key]; twice {
				by[key] = -1
			} else {
				by[key] = i
			}
			names[s.Name] = true
		}
		return by, names
	}
	was, wasNamed := contents(before)
	is, isNamed := contents(after)
	renamed := *before
	renamed.ConceptSets = slices.Clone(before.ConceptSets)
	for i := range renamed.ConceptSets {
		for key, at := range was {
			j, there := is[key]
			if at != i || !there || j < 0 {
				continue
			}
			// An equal name in both speaks of two sets.
			old, name := before.ConceptSets[i].Name, after.ConceptSets[j].Name
			if old != name && !isNamed[old] && !wasNamed[name] {
				renamed.ConceptSets[i].Name = name
				changes = append(changes, Change{Part: "concepts", Kind: Renamed, Before: old, After: name,
					PathBefore: fmt.Sprintf("$.ConceptSets[%d].name", i), PathAfter: fmt.Sprintf("$.ConceptSets[%d].name", j)})
			}
			// What concepts are called in the document says nothing.
			items := slices.Clone(renamed.ConceptSets[i].Items)
			for k := range items {
				for _, item := range after.ConceptSets[j].Items {
					if item.Concept.ID == items[k].Concept.ID {
						items[k].Concept.Name = item.Concept.Name
					}
				}
			}
			renamed.ConceptSets[i].Items = items
		}
	}
	return &renamed, changes
}

// comparison collects the differences of one part.
type comparison struct {
	part    string
	changes []Change
}

// nodes compares two lists of statements. Equal ones are matched first, then
// those of one name, then those that share most words.
func (c *comparison) nodes(a, b []explain.Node, within []string) {
	match := make([]int, len(a)) // place in b, -1 for none
	taken := make([]bool, len(b))
	for i := range match {
		match[i] = -1
	}
	pair := func(i, j int) { match[i], taken[j] = j, true }
	byKey := func(key func(explain.Node) string) {
		places := map[string][]int{}
		for j, y := range b {
			if k := key(y); k != "" && !taken[j] {
				places[k] = append(places[k], j)
			}
		}
		for i, x := range a {
			if k := key(x); k != "" && match[i] < 0 && len(places[k]) > 0 {
				pair(i, places[k][0])
				places[k] = places[k][1:]
			}
		}
	}
	byKey(canonical)
	byKey(func(n explain.Node) string { return n.Name })
	type couple struct {
		i, j int
		like float64
	}
	var couples []couple
	for i, x := range a {
		for j, y := range b {
			if match[i] >= 0 || taken[j] || x.Name != "" && c.part == "concepts" || (x.Name == "") != (y.Name == "") {
				continue // concept sets of other names and contents are others
			}
			if l := likeness(x, y); l > 0.4 {
				couples = append(couples, couple{i, j, l})
			}
		}
	}
	slices.SortStableFunc(couples, func(x, y couple) int { return cmp.Compare(y.like, x.like) })
	for _, p := range couples {
		if match[p.i] < 0 && !taken[p.j] {
			pair(p.i, p.j)
		}
	}
	last, moved := -1, false
	for i, x := range a {
		if match[i] < 0 {
			c.add(Change{Kind: Removed, Within: within, Before: told(x), PathBefore: x.Path})
			continue
		}
		moved = moved || c.part == "rules" && len(within) == 0 && match[i] < last
		last = max(last, match[i])
		y := b[match[i]]
		if canonical(x) == canonical(y) {
			continue
		}
		if x.Text != y.Text || x.Name != y.Name {
			c.add(Change{Kind: Changed, Within: within, Before: line(x), After: line(y), PathBefore: x.Path, PathAfter: y.Path})
		}
		c.nodes(x.Children, y.Children, append(slices.Clone(within), line(y)))
	}
	for j, y := range b {
		if !taken[j] {
			c.add(Change{Kind: Added, Within: within, After: told(y), PathAfter: y.Path})
		}
	}
	if moved {
		c.add(Change{Kind: Reordered, PathBefore: "$.InclusionRules", PathAfter: "$.InclusionRules"})
	}
}

func (c *comparison) add(x Change) {
	x.Part = c.part
	c.changes = append(c.changes, x)
}

// canonical is a statement with all below it, in an order of its own.
func canonical(n explain.Node) string {
	var below []string
	for _, child := range n.Children {
		below = append(below, canonical(child))
	}
	slices.Sort(below)
	return fmt.Sprintf("%q%q%q", n.Name, n.Text, below)
}

// line is a statement without what is below it.
func line(n explain.Node) string {
	if n.Name != "" && n.Text != "" {
		return n.Name + " (" + strings.Trim(n.Text, " :") + ")"
	}
	return n.Name + strings.TrimRight(n.Text, " :")
}

// told is a statement with what is below it, on lines of their own.
func told(n explain.Node) string {
	var b strings.Builder
	b.WriteString(line(n))
	for _, child := range n.Children {
		b.WriteString("\n- " + strings.ReplaceAll(told(child), "\n", "\n  "))
	}
	return b.String()
}

// likeness is the share of words that two statements have in common (L. R. Dice,
// Ecology 26 (1945) 297-302).
func likeness(x, y explain.Node) float64 {
	a, b := strings.Fields(told(x)), strings.Fields(told(y))
	all, left, common := len(a)+len(b), map[string]int{}, 0
	for _, w := range a {
		left[w]++
	}
	for _, w := range b {
		if left[w] > 0 {
			left[w]--
			common++
		}
	}
	return 2 * float64(common) / float64(max(1, all))
}
