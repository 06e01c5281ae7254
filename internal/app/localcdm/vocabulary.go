package localcdm

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake"
	source "github.com/havre-hub/havre/internal/holder/intake/omop"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// vocabulary answers omop.Vocabulary from the part of the tables that some
// definitions can ask about: a whole vocabulary has tens of millions of rows.
type vocabulary struct {
	ancestors map[int64]bool // concepts whose descendants are asked for
	mentioned map[int64]bool
	maps      bool // some concept set asks for mapped concepts

	below    map[int64][]int64
	mapped   map[int64][]int64
	concepts map[int64]omop.Concept
}

func newVocabulary(definitions []*cohort.Definition) *vocabulary {
	v := &vocabulary{ancestors: map[int64]bool{}, mentioned: map[int64]bool{}, below: map[int64][]int64{},
		mapped: map[int64][]int64{}, concepts: map[int64]omop.Concept{}}
	for _, d := range definitions {
		for _, set := range d.ConceptSets {
			for _, item := range set.Items {
				v.mentioned[item.Concept.ID] = true
				if item.Descendants {
					v.ancestors[item.Concept.ID] = true
				}
				v.maps = v.maps || item.Mapped
			}
		}
	}
	return v
}

// load reads the tables in the order in which each narrows the next.
func (v *vocabulary) load(ctx context.Context, src *source.Source) error {
	err := v.table(ctx, src, "concept_ancestor", []string{"ancestor_concept_id", "descendant_concept_id"}, func(row [][]byte) {
		if a, ok := id(row[0]); ok && v.ancestors[a] {
			if d, ok := id(row[1]); ok {
				v.below[a] = append(v.below[a], d)
				v.mentioned[d] = true
			}
		}
	})
	if err != nil {
		return err
	}
	if v.maps {
		err = v.table(ctx, src, "concept_relationship", []string{"concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"}, func(row [][]byte) {
			if string(row[2]) != "Maps to" || len(row[3]) > 0 {
				return
			}
			if target, ok := id(row[1]); ok && v.mentioned[target] {
				if c, ok := id(row[0]); ok {
					v.mapped[target] = append(v.mapped[target], c)
				}
			}
		})
		if err != nil {
			return err
		}
		for _, from := range v.mapped {
			for _, c := range from {
				v.mentioned[c] = true
			}
		}
	}
	columns := []string{"concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_class_id", "standard_concept", "concept_code", "invalid_reason"}
	return v.table(ctx, src, "concept", columns, func(row [][]byte) {
		if c, ok := id(row[0]); ok && v.mentioned[c] {
			v.concepts[c] = omop.Concept{ID: c, Name: string(row[1]), Domain: string(row[2]), Vocabulary: string(row[3]),
				Class: string(row[4]), Standard: string(row[5]), Code: string(row[6]), Invalid: string(row[7])}
		}
	})
}

// table calls visit for each sound row of a table with the columns asked for,
// empty where there is none.
func (v *vocabulary) table(ctx context.Context, src *source.Source, name string, columns []string, visit func(row [][]byte)) error {
	found := false
	for _, f := range src.Files() {
		if f.Table != name {
			continue
		}
		found = true
		f.Ignored = nil
		f.Columns = slices.DeleteFunc(slices.Clone(f.Columns), func(c string) bool { return !slices.Contains(columns, c) })
		at := make([]int, len(columns))
		for i, c := range columns {
			at[i] = slices.Index(f.Columns, c)
		}
		values := make([][]byte, len(columns))
		for row, err := range src.Rows(ctx, f) {
			if err != nil {
				return err
			}
			if row.Fault != intake.NoFault {
				continue
			}
			for i, k := range at {
				values[i] = nil
				if k >= 0 {
					values[i] = bytes.TrimSpace(row.Values[k])
				}
			}
			visit(values)
		}
	}
	if !found && len(v.mentioned) > 0 && name != "concept_relationship" {
		return havre.E("cohort.run", havre.Invalid, "there is no table "+name+", which the concept sets of the definitions are resolved against").
			WithHint("put the vocabulary tables (concept, concept_ancestor, concept_relationship) beside the others")
	}
	return nil
}

func id(text []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	return n, err == nil
}

// Descendants is as in omop.Vocabulary.
func (v *vocabulary) Descendants(_ context.Context, ancestors []int64) ([]int64, error) {
	return union(v.below, ancestors), nil
}

// Mapped is as in omop.Vocabulary.
func (v *vocabulary) Mapped(_ context.Context, targets []int64) ([]int64, error) {
	return union(v.mapped, targets), nil
}

// Concepts is as in omop.Vocabulary.
func (v *vocabulary) Concepts(_ context.Context, ids []int64) (out []omop.Concept, _ error) {
	for _, c := range ids {
		if known, ok := v.concepts[c]; ok {
			out = append(out, known)
		}
	}
	return out, nil
}

func union(m map[int64][]int64, ids []int64) []int64 {
	var out []int64
	for _, c := range ids {
		out = append(out, m[c]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
