package catalogue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/strict"
)

// Word is what a provider says of one requirement at one layer and date.
type Word string

// The words.
const (
	Met           Word = "met"
	Partly        Word = "partly"
	NotMet        Word = "not_met"
	NotApplicable Word = "not_applicable"
)

var allWords = []string{string(Met), string(Partly), string(NotMet), string(NotApplicable)}

// Horizon is when an answer speaks of.
type Horizon string

// The horizons: the day the version was opened, and months after it.
const (
	Today    Horizon = "today"
	Months6  Horizon = "+6"
	Months12 Horizon = "+12"
	Months18 Horizon = "+18"
)

// Horizons lists them in order, with their months after the opening.
var Horizons = []Horizon{Today, Months6, Months12, Months18}

// Answers is what one provider says to one version.
type Answers struct {
	Catalogue string   `yaml:"catalogue" json:"catalogue"`
	Version   int      `yaml:"version" json:"version"`
	Provider  string   `yaml:"provider" json:"provider"`
	Answers   []Answer `yaml:"answers" json:"answers"`
}

// Answer is about one item at one layer. A horizon that is left out was not
// answered and counts as not met; later ones are never filled in from earlier.
type Answer struct {
	ID       string `yaml:"id" json:"id"`
	Layer    string `yaml:"layer" json:"layer"` // of the host, or hub; "all" stands for each layer of the item
	Today    Word   `yaml:"today,omitempty" json:"today,omitempty"`
	In6      Word   `yaml:"in_6_months,omitempty" json:"in_6_months,omitempty"`
	In12     Word   `yaml:"in_12_months,omitempty" json:"in_12_months,omitempty"`
	In18     Word   `yaml:"in_18_months,omitempty" json:"in_18_months,omitempty"`
	Evidence string `yaml:"evidence,omitempty" json:"evidence,omitempty"` // where it can be checked; needed for met and partly
}

// At gives the word for a horizon, "" if it was not answered.
func (a Answer) At(h Horizon) Word {
	return map[Horizon]Word{Today: a.Today, Months6: a.In6, Months12: a.In12, Months18: a.In18}[h]
}

// ParseAnswers reads a provider's answers strictly.
func ParseAnswers(what string, b []byte) (*Answers, error) {
	a := new(Answers)
	if err := strict.YAML(what, b, a); err != nil {
		return nil, err
	}
	return a, nil
}

// Check says whether the answers fit the version's catalogue: each id and
// layer exists there, nothing is answered twice, and what is claimed has
// evidence. "all" is spread over the layers, in the answers given back.
func (a *Answers) Check(c *Catalogue) (*Answers, error) {
	if !havre.ValidName(a.Provider) {
		return nil, invalid(fmt.Sprintf("the provider needs a name of lower-case letters, digits and hyphens, not %.40q", a.Provider))
	}
	if a.Catalogue != c.Name {
		return nil, invalid(fmt.Sprintf("these are answers to the catalogue %.60q, not to %s", a.Catalogue, c.Name))
	}
	if len(a.Answers) == 0 {
		return nil, invalid("there is no answer in it")
	}
	out := &Answers{a.Catalogue, a.Version, a.Provider, nil}
	var ids []string
	for _, i := range c.Items() {
		ids = append(ids, i.ID)
	}
	seen := map[[2]string]bool{}
	for _, x := range a.Answers {
		item, ok := c.Find(x.ID)
		if !ok {
			return nil, invalid(fmt.Sprintf("%s version %d has no item %.60q%s", c.Name, a.Version, x.ID, havre.Nearest(x.ID, ids)))
		}
		layers := c.LayersOf(item)
		if x.Layer != "all" {
			if !slices.Contains(layers, x.Layer) {
				return nil, invalid(fmt.Sprintf("%s %s is about %s, not about the layer %.30q", c.Name, x.ID, strings.Join(layers, ", "), x.Layer))
			}
			layers = []string{x.Layer}
		}
		if err := x.check(c.Name); err != nil {
			return nil, err
		}
		for _, l := range layers {
			if seen[[2]string{x.ID, l}] {
				return nil, invalid(fmt.Sprintf("%s %s is answered twice for the layer %s", c.Name, x.ID, l))
			}
			seen[[2]string{x.ID, l}] = true
			x.Layer = l
			out.Answers = append(out.Answers, x)
		}
	}
	return out, nil
}

func (a Answer) check(catalogue string) error {
	claimed := false
	for _, h := range Horizons {
		w := a.At(h)
		if w != "" && !slices.Contains(allWords, string(w)) {
			return invalid(fmt.Sprintf("%s %s: the answer is one of %s, not %.30q%s", catalogue, a.ID, strings.Join(allWords, ", "), w, havre.Nearest(string(w), allWords)))
		}
		claimed = claimed || w == Met || w == Partly
	}
	if claimed && strings.TrimSpace(a.Evidence) == "" {
		return invalid(fmt.Sprintf("%s %s: what is claimed to be met needs evidence", catalogue, a.ID))
	}
	return nil
}
