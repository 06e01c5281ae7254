package omop

import "context"

// Concept is one row of the concept table.
type Concept struct {
	ID         int64
	Name       string
	Domain     string // domain_id, "Condition"
	Vocabulary string // vocabulary_id, "SNOMED"
	Class      string // concept_class_id
	Standard   string // "S" standard, "C" classification, "" neither
	Code       string // concept_code, the code within its vocabulary
	Invalid    string // invalid_reason: "" valid, "D" deleted, "U" replaced
}

// Vocabulary answers what a concept set asks. It holds no word about any
// person, so no permit is needed. Implementations are safe for concurrent use;
// results are ascending and distinct.
type Vocabulary interface {
	// Descendants gives descendant_concept_id of the concept_ancestor rows
	// whose ancestor is among ancestors. An ancestor itself is among them only
	// if the table has that row.
	Descendants(ctx context.Context, ancestors []int64) ([]int64, error)
	// Mapped gives concept_id_1 of the valid "Maps to" rows of
	// concept_relationship whose concept_id_2 is among targets.
	Mapped(ctx context.Context, targets []int64) ([]int64, error)
	// Concepts gives the concepts of those ids; ids that the vocabulary does
	// not know are left out.
	Concepts(ctx context.Context, ids []int64) ([]Concept, error)
}
