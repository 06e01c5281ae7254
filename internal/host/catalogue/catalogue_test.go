package catalogue

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

// TestShipped: the catalogues that come with Havre parse, have a source with
// dates, and say how much of it they hold.
func TestShipped(t *testing.T) {
	all, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 6 {
		t.Errorf("%d catalogues are shipped, want 6", len(all))
	}
	for _, c := range all {
		if c.Source.URL == "" || c.Source.Date.IsZero() || c.Source.Read.IsZero() || c.Coverage == "" {
			t.Errorf("%s does not say where it comes from and how much of it", c.Name)
		}
	}
	// Those that are whole, by the numbers that their sources state; SecNumCloud
	// by its lettered requirements.
	for name, want := range map[string]map[string]int{
		"hds":         {Mandatory: 31},
		"satre":       {Mandatory: 89 + 6, Recommended: 67, Optional: 23},
		"secnumcloud": {Mandatory: 261, Recommended: 17},
	} {
		c, err := ShippedOne(name)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, i := range c.Requirements {
			got[cmp.Or(i.Weight, Mandatory)]++
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s has %v requirements, want %v", name, got, want)
		}
	}
	if _, err := ShippedOne("secnumclowd"); havre.KindOf(err) != havre.NotFound || !strings.Contains(err.Error(), "secnumcloud") {
		t.Errorf("a misspelt catalogue: %v", err)
	}
}

const small = `
name: small
title: A small list
edition: "1"
source: {title: t, url: "https://x.example", date: 2026-01-01, read: 2026-01-02}
coverage: all
layers: [iaas, paas]
requirements:
  - {id: R1, text: encrypted}
  - {id: R2, text: in the Union, layers: [iaas]}
  - {id: R3, text: fast, weight: recommended}
use_cases:
  - {id: U1, text: cohort, layers: [saas]}
`

func parse(t *testing.T, text string) *Catalogue {
	t.Helper()
	c, err := Parse("small.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBadCatalogues(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":   {"weight: recommended", "wieght: recommended", `did you mean "weight"?`},
		"id twice":      {"id: R2", "id: R1", `"R1" twice`},
		"same use case": {"id: U1", "id: R1", `"R1" twice`},
		"no text":       {"text: encrypted", `text: ""`, "without an id or a text"},
		"no layer":      {"layers: [saas]", "layers: [sass]", `did you mean "saas"?`},
		"layer twice":   {"layers: [saas]", "layers: [saas, saas]", "stands twice"},
		"weight":        {"recommended", "nice", "mandatory, recommended or optional"},
		"no edition":    {`edition: "1"`, `edition: ""`, "an edition"},
	} {
		if _, err := Parse("small.yaml", []byte(strings.Replace(small, c.old, c.new, 1))); havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	a := parse(t, small)
	b := parse(t, strings.NewReplacer("text: encrypted}", "text: encrypted twice}\n  - {id: R4, text: new}", "  - {id: R3, text: fast, weight: recommended}\n", "").Replace(small))
	d := Compare(a, b)
	if got, want := d.String(), "3 -> 3 requirements (+1, -1, 1 reworded), 1 -> 1 use cases"; got != want {
		t.Errorf("difference %q, want %q", got, want)
	}
	if !slices.Equal(d.Requirements.Added, []string{"R4"}) || !slices.Equal(d.Requirements.Removed, []string{"R3"}) || !slices.Equal(d.Requirements.Reworded, []string{"R1"}) {
		t.Errorf("difference %+v", d.Requirements)
	}
	if !Compare(a, a).Empty() || d.Empty() {
		t.Error("which difference is empty is told wrongly")
	}
	moved := parse(t, strings.Replace(small, "layers: [iaas, paas]", "layers: [iaas]", 1))
	if d := Compare(a, moved); len(d.Requirements.Reworded) != 2 {
		t.Errorf("a change of the common layers changes the items that rest on them: %+v", d)
	}
	if a.Digest() == b.Digest() || a.Digest() != parse(t, small).Digest() {
		t.Error("the digest does not follow the content")
	}
}

const answers = `
catalogue: small
version: 1
provider: host-a
answers:
  - {id: R1, layer: all, today: met, in_6_months: met, evidence: "audit of May"}
  - {id: R2, layer: iaas, today: not_met, in_6_months: met, evidence: "new region"}
  - {id: R3, layer: iaas, today: met, evidence: "benchmark"}
  - {id: R3, layer: paas, today: partly, evidence: "benchmark"}
  - {id: U1, layer: saas, today: not_applicable}
`

func TestScores(t *testing.T) {
	c := parse(t, small)
	a, err := ParseAnswers("answers.yaml", []byte(answers))
	if err != nil {
		t.Fatal(err)
	}
	if a, err = a.Check(c); err != nil {
		t.Fatal(err)
	}
	b := Book{}
	b.Take(a)
	today := ScoreOf(c, 1, a.Provider, b, Today)
	if got := today.Requirements; got != (Tally{Items: 3, Met: 1, Partly: 1, NotMet: 1}) {
		t.Errorf("today %+v", got)
	}
	if got := today.Mandatory; got != (Tally{Items: 2, Met: 1, NotMet: 1}) || got.Percent() != 50 {
		t.Errorf("mandatory %+v", got)
	}
	if got := today.UseCases; got != (Tally{Items: 1, NotApplicable: 1}) || got.Percent() != 0 {
		t.Errorf("use cases %+v", got)
	}
	if got := today.Layers["paas"]; got != (Tally{Items: 2, Met: 1, Partly: 1}) {
		t.Errorf("paas %+v", got)
	}
	in6 := ScoreOf(c, 1, a.Provider, b, Months6)
	if got := in6.Requirements; got != (Tally{Items: 3, Met: 2, Unanswered: 1}) {
		t.Errorf("in 6 months %+v: what was not answered is not filled in", got)
	}
	// One layer without an answer, and the whole item is unanswered.
	delete(b, [2]string{"R1", "paas"})
	if got := ScoreOf(c, 1, a.Provider, b, Today).Requirements; got.Unanswered != 1 || got.Met != 0 {
		t.Errorf("with a layer missing %+v", got)
	}
}

func TestBadAnswers(t *testing.T) {
	c := parse(t, small)
	for name, x := range map[string]struct{ old, new, want string }{
		"another catalogue": {"catalogue: small", "catalogue: other", "not to small"},
		"unknown id":        {"id: R2", "id: R22", `no item "R22"`},
		"another layer":     {"id: R2, layer: iaas", "id: R2, layer: paas", "is about iaas"},
		"twice":             {"id: R3, layer: paas", "id: R3, layer: iaas", "answered twice"},
		"twice by all":      {"id: R3, layer: paas", "id: R3, layer: all", "answered twice"},
		"a word":            {"today: not_met", "today: unmet", "not_met"},
		"no evidence":       {`today: met, in_6_months: met, evidence: "audit of May"`, "today: met", "needs evidence"},
		"a name":            {"provider: host-a", "provider: Host A", "lower-case"},
	} {
		a, err := ParseAnswers("answers.yaml", []byte(strings.Replace(answers, x.old, x.new, 1)))
		if err == nil {
			_, err = a.Check(c)
		}
		if havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

// TestCarry: an answer holds for a later version only where the item is the same.
func TestCarry(t *testing.T) {
	c := parse(t, small)
	a, _ := ParseAnswers("answers.yaml", []byte(answers))
	a, err := a.Check(c)
	if err != nil {
		t.Fatal(err)
	}
	b := Book{}
	b.Take(a)
	next := parse(t, strings.NewReplacer("text: encrypted}", "text: encrypted twice}", "  - {id: R3, text: fast, weight: recommended}", "  - {id: R4, text: new}").Replace(small))
	if got := len(b.Carry(c, next)); got != 2 {
		t.Errorf("%d answers are carried, want those of R2 and U1", got)
	}
}

func TestLabels(t *testing.T) {
	if n, v, err := ParseLabel("small@12"); n != "small" || v != 12 || err != nil {
		t.Errorf("%s %d %v", n, v, err)
	}
	if n, v, err := ParseLabel("small"); n != "small" || v != 0 || err != nil {
		t.Errorf("%s %d %v", n, v, err)
	}
	for _, bad := range []string{"small@", "small@0", "small@x", "small@-1"} {
		if _, _, err := ParseLabel(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

// FuzzParse: whatever is read has a digest, differs from nothing of itself,
// and a provider that says nothing has every item unanswered.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(answers))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := ParseAnswers("answers", b); err == nil {
			_, _ = a.Check(&Catalogue{Name: a.Catalogue, Layers: []string{"iaas"}, Requirements: []Item{{ID: "R1", Text: "x"}}})
		}
		c, err := Parse("catalogue", b)
		if err != nil {
			return
		}
		if c.Digest() == "" || !Compare(c, c).Empty() {
			t.Errorf("digest %q, difference from itself %v", c.Digest(), Compare(c, c))
		}
		s := ScoreOf(c, 1, "nobody", Book{}, Today)
		if s.Requirements.Unanswered != len(c.Requirements) || s.UseCases.Unanswered != len(c.UseCases) {
			t.Errorf("nobody's score: %s", fmt.Sprint(s))
		}
	})
}
