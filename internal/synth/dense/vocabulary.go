package dense

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// SharedTables are the tables that are not about persons.
func SharedTables() []string {
	return []string{"concept", "concept_ancestor", "concept_relationship", "provider", "care_site", "location"}
}

// Shared gives a table that is not about persons, whole. The caller releases it.
func (g *Generator) Shared(table string) (arrow.RecordBatch, error) {
	spec, ok := omop.Lookup(table)
	if !ok || !slices.Contains(SharedTables(), table) {
		return nil, fmt.Errorf("the dense population has no shared table %q", table)
	}
	w := newWriter(spec)
	defer w.release()
	switch table {
	case "provider", "care_site", "location":
		w.int(spec.ID, 1)
		w.int("specialty_concept_id", 38004456)
		w.int("place_of_service_concept_id", 8717)
		w.next()
	default:
		for i, id := range g.named {
			g.words(w, table, i, id)
		}
	}
	return w.batch(), nil
}

// words are the rows of the vocabulary that one named concept has.
func (g *Generator) words(w *writer, table string, i int, id int64) {
	concept := func(id int64, name string) {
		w.int("concept_id", id)
		w.int("valid_start_date", 0)
		w.int("valid_end_date", 47481) // 2099-12-31
		w.text(name, "concept_name", "domain_id", "vocabulary_id", "concept_class_id", "concept_code")
		w.next()
	}
	ancestor := func(above, below, levels int64) {
		w.int("ancestor_concept_id", above)
		w.int("descendant_concept_id", below)
		w.int("min_levels_of_separation", levels)
		w.int("max_levels_of_separation", levels)
		w.next()
	}
	switch table {
	case "concept":
		concept(id, "named")
		for n := range Below {
			concept(below(i, n), "below")
		}
	case "concept_ancestor":
		ancestor(id, id, 0)
		for n := range Below {
			ancestor(id, below(i, n), 1)
			ancestor(below(i, n), below(i, n), 0)
		}
	case "concept_relationship":
		w.int("concept_id_1", below(i, 0))
		w.int("concept_id_2", id)
		w.text("Maps to", "relationship_id")
		w.int("valid_start_date", 0)
		w.int("valid_end_date", 47481)
		w.next()
	}
}
