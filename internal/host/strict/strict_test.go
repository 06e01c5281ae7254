package strict

import (
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

type thing struct {
	Name  string   `yaml:"name"`
	Day   Date     `yaml:"day"`
	Parts []part   `yaml:"parts"`
	Words []string `yaml:"words"`
}

type part struct {
	Colour string `yaml:"colour"`
}

func TestYAML(t *testing.T) {
	var v thing
	if err := YAML("thing.yaml", []byte("name: a\nday: 2026-12-31\nparts:\n  - colour: blue\n"), &v); err != nil || v.Parts[0].Colour != "blue" || v.Day.String() != "2026-12-31" {
		t.Errorf("%+v, %v", v, err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":        {"name: a\nparts:\n  - color: blue\n", `line 3: unknown field "color"; did you mean "colour"?`},
		"nothing like it":    {"zzzzzzzz: 1\n", `unknown field "zzzzzzzz"`},
		"twice":              {"name: a\nname: b\n", "already defined"},
		"anchor":             {"name: &x a\n", "line 1: anchors"},
		"alias":              {"name: &x a\nwords: [*x]\n", "anchors"},
		"merge":              {"parts:\n  - <<: {colour: blue}\n", "anchors"},
		"tag":                {"name: !!str a\n", "anchors"},
		"two documents":      {"name: a\n---\nname: b\n", "one YAML document"},
		"none":               {"# nothing\n", "one YAML document"},
		"empty":              {"", "one YAML document"},
		"not YAML":           {"name: [a\n", "cannot be read"},
		"another type":       {"parts: blue\n", "cannot be read"},
		"not a date":         {"day: 31/12/2026\n", "2026-12-31"},
		"a date of nowhere":  {"day: 2026-02-30\n", "2026-12-31"},
		"nested too deeply":  {"words: " + strings.Repeat("[", 60) + strings.Repeat("]", 60), "nested too deeply"},
		"longer than it may": {"name: " + strings.Repeat("a", MaxBytes), "more than"},
	} {
		err := YAML("thing.yaml", []byte(c.text), new(thing))
		if havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "thing.yaml") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestDate(t *testing.T) {
	d, err := ParseDate("2026-12-31")
	if err != nil {
		t.Fatal(err)
	}
	late := time.Date(2026, 12, 31, 23, 59, 0, 0, time.UTC)
	if !late.Before(d.End()) || late.Before(d.Start()) || d.Days(late) != 0 || d.Days(late.AddDate(0, 0, -10)) != 10 || d.Days(late.Add(time.Hour)) != -1 {
		t.Errorf("the day %s begins %s, ends %s", d, d.Start(), d.End())
	}
	if DateOf(time.Date(2027, 1, 1, 1, 0, 0, 0, time.FixedZone("", 7200))) != d {
		t.Error("a day is one of UTC")
	}
	var none Date
	if err := none.UnmarshalText(nil); err != nil || !none.IsZero() || none.String() != "" {
		t.Errorf("no date: %v", err)
	}
}

// FuzzYAML: nothing that is read makes the reader fail otherwise than by an
// error of kind Invalid.
func FuzzYAML(f *testing.F) {
	f.Add([]byte("name: a\nday: 2026-12-31\nparts:\n  - colour: blue\nwords: [a, \"b\"]\n"))
	f.Add([]byte("name: &x a\nwords: [*x]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := YAML("x", b, new(thing)); err != nil && havre.KindOf(err) != havre.Invalid {
			t.Errorf("kind %s: %v", havre.KindOf(err), err)
		}
	})
}
