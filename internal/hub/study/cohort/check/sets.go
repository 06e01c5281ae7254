package check

import (
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// unusedSets looks for concept sets that no criterion, attribute or exit names.
func unusedSets(r *report, e *expression) {
	used := map[int64]bool{}
	use := func(id *int64) {
		if id != nil {
			used[*id] = true
		}
	}
	e.eachNamedSet(use)
	if e.EndStrategy != nil && e.EndStrategy.CustomEra != nil {
		use(e.EndStrategy.CustomEra.DrugCodesetId)
	}
	for i := range e.ConceptSets {
		if s := &e.ConceptSets[i]; !used[s.ID] {
			r.add(Doubtful, `Concept Set "%s" is not used`, s.Name)
			r.list[len(r.list)-1].ConceptSet = &s.ID
		}
	}
}

// emptySets looks for concept sets without concepts.
func emptySets(r *report, e *expression) {
	for _, s := range e.ConceptSets {
		if len(s.Expression.Items) == 0 {
			r.add(Critical, "Concept set %s contains no concepts", s.Name)
		}
	}
}

// sameSets looks for concept sets of the same concepts, whatever their flags.
func sameSets(r *report, e *expression) {
	for i := range e.ConceptSets {
		var names []string
		for j := i + 1; j < len(e.ConceptSets); j++ {
			if sameConcepts(&e.ConceptSets[i], &e.ConceptSets[j]) {
				names = append(names, e.ConceptSets[j].Name)
			}
		}
		if len(names) > 0 {
			r.add(Doubtful, "Concept set %s contains the same concepts like %s", e.ConceptSets[i].Name, strings.Join(names, ", "))
		}
	}
}

// sameConcepts compares by code, domain and vocabulary, as the reference does; a
// concept that is written without these, by its id.
func sameConcepts(a, b *conceptSet) bool {
	if len(a.Expression.Items) != len(b.Expression.Items) {
		return false
	}
	known := map[concept]bool{}
	for _, i := range a.Expression.Items {
		known[i.Concept.key()] = true
	}
	for _, i := range b.Expression.Items {
		if !known[i.Concept.key()] {
			return false
		}
	}
	return true
}

// key is what makes a concept what it is.
func (c concept) key() concept {
	if c.Code != "" || c.Domain != "" || c.Vocabulary != "" {
		c.ID = 0
	}
	return c
}

// drugExits looks for drugs that let a person enter, but whose end does not let
// the person leave.
func drugExits(r *report, e *expression) {
	var exit *int64
	if e.EndStrategy != nil && e.EndStrategy.CustomEra != nil {
		exit = e.EndStrategy.CustomEra.DrugCodesetId
	}
	var names []string
	for i := range e.PrimaryCriteria.CriteriaList {
		c := &e.PrimaryCriteria.CriteriaList[i]
		if c.kind == nil {
			continue
		}
		id := c.set(c.kind.Codeset)
		if id == nil || exit != nil && *id == *exit {
			continue
		}
		for _, s := range e.ConceptSets {
			if s.ID == *id {
				if s.ofDrugs() {
					names = append(names, s.Name)
				}
				break
			}
		}
	}
	switch len(names) {
	case 0:
	case 1:
		r.add(Info, "Concept set %s used in initial event and not used for cohort exit criteria", names[0])
	default:
		r.add(Info, "Concept sets %s used in initial event and not used for cohort exit criteria", strings.Join(names, ", "))
	}
}

func (s *conceptSet) ofDrugs() bool {
	for _, i := range s.Expression.Items {
		if strings.EqualFold(i.Concept.Domain, "Drug") {
			return true
		}
	}
	return false
}

// hasSets says whether events of a kind are of a concept and the reference knows
// so.
func hasSets(k *circe.Kind) bool {
	return k.Codeset != "" && k.Name != "LocationRegion" && k.Name != "Episode"
}

// anyConcept looks for criteria that take events of every concept.
func anyConcept(r *report, e *expression) {
	e.eachCriterion(func(c *criterion, place string) {
		if hasSets(c.kind) && c.set(c.kind.Codeset) == nil && c.set(c.sourceField()) == nil {
			r.add(Doubtful, "No concept set specified as part of a criteria at %s in %s criteria", place, c.name())
		}
	})
}

// sourceField is the field that names the source concepts. Of a specimen Circe
// reads it, and does nothing with it.
func (c *criterion) sourceField() string {
	if c.kind.Name == "Specimen" {
		return "SpecimenSourceConcept"
	}
	return c.kind.SourceField
}
