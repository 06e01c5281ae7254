package catalogue

import (
	"fmt"
	"slices"
)

// Diff is what changed from one version to the next, requirements and use
// cases apart.
type Diff struct {
	Requirements Change `json:"requirements"`
	UseCases     Change `json:"use_cases"`
	Head         bool   `json:"head"` // title, edition, source or coverage changed
}

// Change lists ids.
type Change struct {
	Before   int      `json:"before"` // number of items
	After    int      `json:"after"`
	Added    []string `json:"added,omitempty"`
	Removed  []string `json:"removed,omitempty"`
	Reworded []string `json:"reworded,omitempty"` // same id; text, layers, weight or probe changed
}

// Empty says that nothing changed.
func (d Diff) Empty() bool { return !d.Head && d.Requirements.empty() && d.UseCases.empty() }

func (c Change) empty() bool { return len(c.Added)+len(c.Removed)+len(c.Reworded) == 0 }

// String is "165 -> 262 requirements (+97, 3 reworded), 200 -> 466 use cases (+266)".
func (d Diff) String() string {
	return d.Requirements.text("requirements") + ", " + d.UseCases.text("use cases")
}

func (c Change) text(what string) string {
	s := fmt.Sprintf("%d -> %d %s", c.Before, c.After, what)
	var parts []string
	if n := len(c.Added); n > 0 {
		parts = append(parts, fmt.Sprintf("+%d", n))
	}
	if n := len(c.Removed); n > 0 {
		parts = append(parts, fmt.Sprintf("-%d", n))
	}
	if n := len(c.Reworded); n > 0 {
		parts = append(parts, fmt.Sprintf("%d reworded", n))
	}
	for i, p := range parts {
		s += map[bool]string{true: " (", false: ", "}[i == 0] + p
	}
	if len(parts) > 0 {
		s += ")"
	}
	return s
}

// Compare gives the difference from old to new.
func Compare(old, new *Catalogue) Diff {
	return Diff{
		Requirements: change(old, old.Requirements, new, new.Requirements),
		UseCases:     change(old, old.UseCases, new, new.UseCases),
		Head:         old.Title != new.Title || old.Edition != new.Edition || old.Source != new.Source || old.Coverage != new.Coverage,
	}
}

func change(old *Catalogue, before []Item, new *Catalogue, after []Item) Change {
	c := Change{Before: len(before), After: len(after)}
	was := map[string]Item{}
	for _, i := range before {
		was[i.ID] = i
	}
	for _, i := range after {
		o, ok := was[i.ID]
		switch {
		case !ok:
			c.Added = append(c.Added, i.ID)
		case !same(old, o, new, i):
			c.Reworded = append(c.Reworded, i.ID)
		}
		delete(was, i.ID)
	}
	for _, i := range before {
		if _, gone := was[i.ID]; gone {
			c.Removed = append(c.Removed, i.ID)
		}
	}
	return c
}

// same says whether an answer to one item answers the other.
func same(a *Catalogue, x Item, b *Catalogue, y Item) bool {
	return x.ID == y.ID && x.Text == y.Text && x.Weight == y.Weight && x.Probe == y.Probe && slices.Equal(a.LayersOf(x), b.LayersOf(y))
}
