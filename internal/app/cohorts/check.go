package cohorts

import (
	"context"
	"fmt"

	"github.com/havre-hub/havre/internal/app/localcdm"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/cohort/check"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// Checked is what can be said about one definition.
type Checked struct {
	ID       int64           `json:"id"`
	Name     string          `json:"name"`
	File     string          `json:"file"`
	Errors   []circe.Problem `json:"errors"`             // it cannot be run
	Notes    []circe.Problem `json:"notes"`              // Circe takes it otherwise than it is written
	Warnings []check.Warning `json:"warnings"`           // of the reference's checker
	Concepts []ConceptNote   `json:"concepts,omitempty"` // what the vocabulary says, if one is given
}

// ConceptNote is something odd about a concept set in a vocabulary.
type ConceptNote struct {
	Set     string `json:"set"`
	Concept int64  `json:"concept_id,omitempty"` // 0: the set as a whole
	Text    string `json:"text"`
}

// Check says what is wrong, odd or doubtful about definitions, all at once. With
// cdm, a CDM as Options has it, the concept sets are looked up in its vocabulary.
func Check(ctx context.Context, places []string, cdm string) ([]Checked, error) {
	all, err := readAll(places)
	if err != nil {
		return nil, err
	}
	var vocabulary omop.Vocabulary
	if cdm != "" {
		var definitions []*cohort.Definition
		for _, d := range all {
			definitions = append(definitions, d.Definition.Definition)
		}
		if vocabulary, err = localcdm.Vocabulary(ctx, cdm, definitions); err != nil {
			return nil, err
		}
	}
	out := make([]Checked, len(all))
	for i, d := range all {
		c := Checked{ID: d.ID, Name: d.Name, File: d.File, Errors: append([]circe.Problem{}, d.wrong...), Notes: append([]circe.Problem{}, d.Definition.Definition.Notes...)}
		c.Errors = append(c.Errors, cohort.Absent(d.Definition.Definition)...)
		c.Warnings = append([]check.Warning{}, check.Definition(d.Expression)...)
		if vocabulary != nil {
			if c.Concepts, err = conceptNotes(ctx, vocabulary, d.Definition.Definition); err != nil {
				return nil, err
			}
		}
		out[i] = c
	}
	return out, nil
}

// conceptNotes looks at each concept set: does the vocabulary know its concepts,
// are they valid, and standard where standard concepts are looked for.
func conceptNotes(ctx context.Context, v omop.Vocabulary, d *cohort.Definition) ([]ConceptNote, error) {
	resolved, err := cohort.Resolve(ctx, v, d)
	if err != nil {
		return nil, err
	}
	standard := map[int]bool{} // sets that standard concepts are looked for by, and nothing else
	d.Walk(func(c *circe.Criterion) {
		if _, seen := standard[c.Set]; !seen {
			standard[c.Set] = true
		}
		standard[c.Source] = false
	})
	var out []ConceptNote
	for i, set := range d.ConceptSets {
		if len(resolved[i]) == 0 {
			out = append(out, ConceptNote{Set: set.Name, Text: "the vocabulary has no concept of this set: nobody is found by it"})
		}
		for _, item := range set.Items {
			text, err := conceptNote(ctx, v, item, standard[i])
			if err != nil {
				return nil, err
			}
			if text != "" {
				out = append(out, ConceptNote{set.Name, item.Concept.ID, text})
			}
		}
	}
	return out, nil
}

func conceptNote(ctx context.Context, v omop.Vocabulary, item circe.ConceptItem, standard bool) (string, error) {
	known, err := v.Concepts(ctx, []int64{item.Concept.ID})
	if err != nil {
		return "", err
	}
	if len(known) == 0 {
		return "the vocabulary does not have this concept", nil
	}
	c := known[0]
	switch {
	case c.Invalid != "":
		return fmt.Sprintf("%s is no longer valid (%s)", c.Name, c.Invalid), nil
	case standard && !item.Excluded && c.Standard != "S" && !(c.Standard == "C" && item.Descendants):
		return c.Name + " is not a standard concept: no row has it where standard concepts stand", nil
	}
	return "", nil
}
