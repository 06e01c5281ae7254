package explain

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// TestWords: both languages have a noun for every kind of event, and French has
// words for every attribute: Circe's own name is English.
func TestWords(t *testing.T) {
	attributes := []map[string]*circe.Attribute{circe.Demographics}
	for name, k := range circe.Kinds {
		attributes = append(attributes, k.Attributes)
		for language, w := range map[string]*words{"en": english, "fr": french} {
			if n := w.nouns[name]; n.one == "" || n.many == "" || n.any == "" && k.Codeset != "" {
				t.Errorf("%s has no words for %s", language, name)
			}
		}
	}
	for _, of := range attributes {
		for _, a := range of {
			told := slices.Contains(subjects, a.Subject) || a.Subject == circe.SubjectAgeAtEnd || a.Form == circe.WithoutEffect || a.Name == "ValueAsNumber" || a.Name == "DoseValue"
			if _, ok := french.attributes[strings.TrimSuffix(a.Name, "CS")]; !ok && !told {
				t.Errorf("French has no words for %s", a.Name)
			}
		}
	}
	for name := range english.attributes {
		if french.attributes[name] == "" {
			t.Errorf("French has no words for %s", name)
		}
	}
	for _, op := range []circe.Op{circe.OpLess, circe.OpLessEqual, circe.OpEqual, circe.OpNotEqual, circe.OpGreater, circe.OpGreaterEqual, circe.OpBetween, circe.OpNotBetween} {
		for _, w := range []*words{english, french} {
			for _, phrases := range []map[circe.Op]string{w.ages, w.aged, w.years, w.lengths, w.dates, w.numbers, w.values} {
				if !strings.Contains(phrases[op], "$1") {
					t.Errorf("an operator has no phrase: %v", slices.Sorted(maps.Values(phrases)))
				}
			}
		}
	}
}
