package omop

import (
	"regexp"
	"slices"
	"strings"

	cdm "github.com/havre-hub/havre/internal/ground/omop"
)

var (
	spacesRE     = regexp.MustCompile(`[\s-]+`)
	plainRE      = regexp.MustCompile(`^[\p{L}\p{N}_]*$`)
	identifierRE = regexp.MustCompile(`[\p{L}\p{N}_]+`)
)

// arrange says which source column gives which field of the table: by its
// name, by its name in CDM 5.3, and, where the name is a text such as
// date(birth_datetime,'unixepoch'), by the one field that the text names. A
// field is given by one column; the others are ignored and listed. old tells
// that names of 5.3 were met.
func arrange(t cdm.Table, header []string) (l layout, columns, ignored []string, old bool) {
	field := make([]string, len(header)) // of each source column, "" if none
	taken := map[string]bool{}
	claim := func(i int, name string) {
		if _, ok := t.Field(name); ok && field[i] == "" && !taken[name] {
			field[i], taken[name] = name, true
		}
	}
	plain := make([]string, len(header))
	for i, h := range header {
		plain[i] = plainName(t.Name, h)
		claim(i, plain[i])
	}
	for i, p := range plain {
		if now := cdm.Current(t.Name, p); now != p {
			old = true
			claim(i, now)
		}
	}
	for i, h := range header {
		if name, ok := named(t, strings.ToLower(strings.TrimSpace(h))); ok {
			claim(i, name)
		}
	}
	l.columns = len(header)
	for _, f := range t.Fields {
		if i := slices.Index(field, f.Name); i >= 0 {
			l.fields, l.from = append(l.fields, f), append(l.from, i)
			columns = append(columns, f.Name)
		}
	}
	for i, h := range header {
		if field[i] == "" {
			l.others = append(l.others, i)
			ignored = append(ignored, strings.TrimSpace(h))
		}
	}
	return l, columns, ignored, old
}

// plainName is a column name in lower case, without quotes, blanks and the
// table's name before it.
func plainName(table, h string) string {
	h = strings.ToLower(strings.Trim(strings.TrimSpace(h), "\"'`[] \t"))
	h = strings.TrimPrefix(h, table+".")
	h = strings.Trim(h, "\"'`[] \t")
	return spacesRE.ReplaceAllString(h, "_")
}

// named finds the one field of the table that stands in a text as a whole
// word. A plain name is no such text.
func named(t cdm.Table, text string) (string, bool) {
	if plainRE.MatchString(text) {
		return "", false
	}
	found := ""
	for _, word := range identifierRE.FindAllString(text, -1) {
		word = cdm.Current(t.Name, word)
		if _, ok := t.Field(word); !ok || word == found {
			continue
		}
		if found != "" {
			return "", false
		}
		found = word
	}
	return found, found != ""
}
