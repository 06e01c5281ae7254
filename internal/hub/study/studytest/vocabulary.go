package studytest

import (
	"context"
	"slices"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// Vocabulary answers from the tables concept, concept_ancestor and
// concept_relationship of a population.
type Vocabulary struct {
	below    map[int64][]int64
	mapped   map[int64][]int64
	concepts map[int64]omop.Concept
}

// NewVocabulary reads the vocabulary tables.
func NewVocabulary(tables map[string]Table) *Vocabulary {
	v := &Vocabulary{below: map[int64][]int64{}, mapped: map[int64][]int64{}, concepts: map[int64]omop.Concept{}}
	if t := tables["concept_ancestor"]; t != nil {
		for i, a := range t["ancestor_concept_id"].Ints {
			v.below[a] = append(v.below[a], t["descendant_concept_id"].Ints[i])
		}
	}
	text := func(c *Column, row int) string {
		if c.isNull(row) {
			return ""
		}
		return c.Texts[row]
	}
	if t := tables["concept_relationship"]; t != nil {
		for i, target := range t["concept_id_2"].Ints {
			if text(t["relationship_id"], i) == "Maps to" && text(t["invalid_reason"], i) == "" {
				v.mapped[target] = append(v.mapped[target], t["concept_id_1"].Ints[i])
			}
		}
	}
	if t := tables["concept"]; t != nil {
		for i, id := range t["concept_id"].Ints {
			v.concepts[id] = omop.Concept{ID: id, Name: text(t["concept_name"], i), Domain: text(t["domain_id"], i),
				Vocabulary: text(t["vocabulary_id"], i), Class: text(t["concept_class_id"], i),
				Standard: text(t["standard_concept"], i), Code: text(t["concept_code"], i), Invalid: text(t["invalid_reason"], i)}
		}
	}
	return v
}

// Descendants is as in omop.Vocabulary.
func (v *Vocabulary) Descendants(_ context.Context, ancestors []int64) ([]int64, error) {
	return union(v.below, ancestors), nil
}

// Mapped is as in omop.Vocabulary.
func (v *Vocabulary) Mapped(_ context.Context, targets []int64) ([]int64, error) {
	return union(v.mapped, targets), nil
}

// Concepts is as in omop.Vocabulary.
func (v *Vocabulary) Concepts(_ context.Context, ids []int64) ([]omop.Concept, error) {
	var out []omop.Concept
	for _, id := range ids {
		if c, ok := v.concepts[id]; ok {
			out = append(out, c)
		}
	}
	return out, nil
}

func union(m map[int64][]int64, ids []int64) []int64 {
	var out []int64
	for _, id := range ids {
		out = append(out, m[id]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
