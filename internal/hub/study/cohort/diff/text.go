package diff

import (
	"fmt"
	"slices"
	"strings"
)

// words say in a language what happened.
type words struct {
	title, same             string
	parts                   map[string]string
	kinds                   map[Kind]string
	becomes, within, orders string
	colon, open, close      string // quotes
}

var languages = map[string]words{
	"en": {
		title: "What changes from “%s” to “%s”", same: "Nothing: both ask the same.",
		parts:   map[string]string{"entry": "Who enters, and when", "rules": "Who stays", "exit": "When a person leaves", "concepts": "Concept sets"},
		kinds:   map[Kind]string{Added: "Added", Removed: "Removed", Changed: "Changed", Renamed: "Renamed", Reordered: "Reordered"},
		becomes: "to", within: "Within", orders: "the same is asked in another order", colon: ":", open: "“", close: "”",
	},
	"fr": {
		title: "Ce qui change de « %s » à « %s »", same: "Rien : les deux demandent la même chose.",
		parts:   map[string]string{"entry": "Qui entre, et quand", "rules": "Qui reste", "exit": "Quand une personne sort", "concepts": "Listes de concepts"},
		kinds:   map[Kind]string{Added: "Ajouté", Removed: "Retiré", Changed: "Modifié", Renamed: "Renommé", Reordered: "Réordonné"},
		becomes: "en", within: "Dans", orders: "la même chose est demandée dans un autre ordre", colon: " :", open: "« ", close: " »",
	},
}

// Text tells changes as Markdown, in a language of explain.
func Text(changes []Change, before, after, language string) string {
	w := languages[language]
	var b strings.Builder
	fmt.Fprintf(&b, "# "+w.title+"\n", before, after)
	if len(changes) == 0 {
		fmt.Fprintf(&b, "\n%s\n", w.same)
	}
	indented := func(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }
	part := ""
	var within []string
	for _, c := range changes {
		if c.Part != part {
			part, within = c.Part, nil
			fmt.Fprintf(&b, "\n## %s\n\n", w.parts[part])
		}
		if !slices.Equal(c.Within, within) {
			if within = c.Within; len(within) > 0 {
				fmt.Fprintf(&b, "- %s %s%s%s%s\n", w.within, w.open, strings.Join(within, " > "), w.close, w.colon)
			}
		}
		var text string
		switch c.Kind {
		case Added:
			text = c.After
		case Removed:
			text = c.Before
		case Reordered:
			text = w.orders
		default:
			text = c.Before + "\n" + w.becomes + w.colon + " " + c.After
		}
		line := fmt.Sprintf("- %s%s %s\n", w.kinds[c.Kind], w.colon, indented(text))
		if len(within) > 0 {
			line = "  " + strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\n", "\n  ") + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}
