package catalogue

import (
	"strconv"
	"strings"
)

// Tally counts items by how they stand: an item is met when it is met at each
// of its layers (one layer without is enough to fail: sovereignty is tested
// per layer, not per vendor).
type Tally struct {
	Items         int `json:"items"`
	Met           int `json:"met"`
	Partly        int `json:"partly"` // met at some layers, or partly
	NotMet        int `json:"not_met"`
	Unanswered    int `json:"unanswered"` // at one layer at least
	NotApplicable int `json:"not_applicable"`
}

// Percent is the share met of what applies, rounded down.
func (t Tally) Percent() int {
	if n := t.Items - t.NotApplicable; n > 0 {
		return 100 * t.Met / n
	}
	return 0
}

// Score is one provider against one version at one horizon.
type Score struct {
	Provider     string           `json:"provider"`
	Version      int              `json:"version"`
	Horizon      Horizon          `json:"horizon"`
	Requirements Tally            `json:"requirements"`
	Mandatory    Tally            `json:"mandatory"` // the mandatory ones among them
	UseCases     Tally            `json:"use_cases"`
	Layers       map[string]Tally `json:"layers"` // requirements, layer by layer
}

// Book is the newest answer of one provider to each item and layer of one version.
type Book map[[2]string]Answer

// Take puts a provider's answers on top of earlier ones to the same version.
// The earlier ones stay where they are kept; only this view prefers the newest.
func (b Book) Take(a *Answers) {
	for _, x := range a.Answers {
		b[[2]string{x.ID, x.Layer}] = x
	}
}

// Carry gives the book as it would stand against another version: answers to
// items that did not change stand, all others are missing.
func (b Book) Carry(from, to *Catalogue) Book {
	out := Book{}
	for k, x := range b {
		was, ok := from.Find(k[0])
		is, still := to.Find(k[0])
		if ok && still && same(from, was, to, is) {
			out[k] = x
		}
	}
	return out
}

// ScoreOf counts.
func ScoreOf(c *Catalogue, version int, provider string, b Book, h Horizon) Score {
	s := Score{Provider: provider, Version: version, Horizon: h, Layers: map[string]Tally{}}
	for _, i := range c.Requirements {
		w := b.item(c, i, h)
		s.Requirements.add(w)
		if i.Weight == "" || i.Weight == Mandatory {
			s.Mandatory.add(w)
		}
		for _, l := range c.LayersOf(i) {
			t := s.Layers[l]
			t.add(b[[2]string{i.ID, l}].At(h))
			s.Layers[l] = t
		}
	}
	for _, i := range c.UseCases {
		s.UseCases.add(b.item(c, i, h))
	}
	return s
}

// item is the word over all layers of an item: "" as soon as one is missing.
func (b Book) item(c *Catalogue, i Item, h Horizon) Word {
	count := map[Word]int{}
	layers := c.LayersOf(i)
	for _, l := range layers {
		count[b[[2]string{i.ID, l}].At(h)]++
	}
	applies := len(layers) - count[NotApplicable]
	switch {
	case count[""] > 0:
		return ""
	case applies == 0:
		return NotApplicable
	case count[Met] == applies:
		return Met
	case count[NotMet] == applies:
		return NotMet
	}
	return Partly
}

func (t *Tally) add(w Word) {
	t.Items++
	switch w {
	case Met:
		t.Met++
	case Partly:
		t.Partly++
	case NotMet:
		t.NotMet++
	case NotApplicable:
		t.NotApplicable++
	default:
		t.Unanswered++
	}
}

// Label is "secnumcloud@2", how a version is named.
func Label(name string, version int) string { return name + "@" + strconv.Itoa(version) }

// ParseLabel reads "secnumcloud@2"; without a number it gives 0, the newest.
func ParseLabel(s string) (name string, version int, err error) {
	name, number, ok := strings.Cut(s, "@")
	if !ok {
		return name, 0, nil
	}
	version, err = strconv.Atoi(number)
	if err != nil || version < 1 {
		return "", 0, invalid("a version is named catalogue@2, by a number from 1")
	}
	return name, version, nil
}
