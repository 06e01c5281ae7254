package warehouse

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

var _ omop.Vocabulary = (*Snapshot)(nil)

// Descendants is omop.Vocabulary's.
func (s *Snapshot) Descendants(ctx context.Context, ancestors []int64) ([]int64, error) {
	var ids []int64
	err := s.lookUp(ctx, "concept_ancestor", ancestors, []string{"descendant_concept_id"}, func(b arrow.RecordBatch) {
		ids = append(ids, ints(b, "descendant_concept_id")...)
	})
	return ascending(ids), err
}

// Mapped is omop.Vocabulary's.
func (s *Snapshot) Mapped(ctx context.Context, targets []int64) ([]int64, error) {
	var ids []int64
	err := s.lookUp(ctx, "concept_relationship", targets, []string{"concept_id_1", "relationship_id", "invalid_reason"}, func(b arrow.RecordBatch) {
		relation, invalid := text(b, "relationship_id"), text(b, "invalid_reason")
		for i, id := range ints(b, "concept_id_1") {
			if relation(i) == "Maps to" && invalid(i) == "" {
				ids = append(ids, id)
			}
		}
	})
	return ascending(ids), err
}

// Ancestry gives the concept_ancestor rows whose ancestor is among ancestors,
// as two columns: many questions of Descendants in one read.
func (s *Snapshot) Ancestry(ctx context.Context, ancestors []int64) (ancestor, descendant []int64, err error) {
	err = s.lookUp(ctx, "concept_ancestor", ancestors, []string{"ancestor_concept_id", "descendant_concept_id"}, func(b arrow.RecordBatch) {
		ancestor = append(ancestor, ints(b, "ancestor_concept_id")...)
		descendant = append(descendant, ints(b, "descendant_concept_id")...)
	})
	return ancestor, descendant, err
}

// Validity gives, of the concepts of those ids that the vocabulary knows, the
// ids, and whether each is valid.
func (s *Snapshot) Validity(ctx context.Context, ids []int64) (known []int64, valid []bool, err error) {
	seen := map[int64]bool{}
	err = s.lookUp(ctx, "concept", ids, []string{"concept_id", "invalid_reason"}, func(b arrow.RecordBatch) {
		reason := column(b, "invalid_reason").(*array.String)
		for i, id := range ints(b, "concept_id") {
			if !seen[id] { // the first delivery's row stands
				seen[id] = true
				known, valid = append(known, id), append(valid, reason.IsNull(i) || reason.Value(i) == "")
			}
		}
	})
	return known, valid, err
}

// Concepts is omop.Vocabulary's. Where several holders deliver a concept, the
// first delivery's row stands.
func (s *Snapshot) Concepts(ctx context.Context, ids []int64) ([]omop.Concept, error) {
	found := map[int64]omop.Concept{}
	columns := []string{"concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_class_id", "standard_concept", "concept_code", "invalid_reason"}
	err := s.lookUp(ctx, "concept", ids, columns, func(b arrow.RecordBatch) {
		var of [8]func(int) string
		for i := 1; i < len(columns); i++ {
			of[i] = text(b, columns[i])
		}
		for i, id := range ints(b, "concept_id") {
			if _, ok := found[id]; !ok {
				found[id] = omop.Concept{ID: id, Name: of[1](i), Domain: of[2](i), Vocabulary: of[3](i), Class: of[4](i),
					Standard: of[5](i), Code: of[6](i), Invalid: of[7](i)}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	out := make([]omop.Concept, 0, len(found))
	for _, c := range found {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b omop.Concept) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out, nil
}

// lookUp reads the rows of a vocabulary table by the concept it is sorted by.
func (s *Snapshot) lookUp(ctx context.Context, table string, concepts []int64, columns []string, each func(arrow.RecordBatch)) error {
	if len(concepts) == 0 {
		return nil
	}
	batches, err := s.Read(ctx, ingest.Unbucketed, Want{Table: table, Columns: columns, Concepts: ascending(slices.Clone(concepts))})
	if err != nil {
		return err
	}
	defer releaseAll(batches)
	for _, b := range batches {
		each(b)
	}
	return nil
}

// text gives the strings of a column; they are copied, since they outlive the batch.
func text(b arrow.RecordBatch, name string) func(int) string {
	c := column(b, name).(*array.String)
	return func(i int) string {
		if c.IsNull(i) {
			return ""
		}
		return string([]byte(c.Value(i)))
	}
}

func ascending(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}
