package cohort

import (
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// Resolve gives the concepts that a vocabulary has for each concept set of a
// definition, ascending and distinct.
func Resolve(ctx context.Context, v omop.Vocabulary, d *Definition) ([][]int64, error) {
	return resolve(ctx, v, d.ConceptSets)
}

// resolve gives the concepts of each set, ascending and distinct, by the rules
// of circe-be's ConceptSetExpressionQueryBuilder:
//   - a concept that is named counts if the vocabulary has it, valid or not;
//   - a descendant counts if the vocabulary has it and it is valid;
//   - with "mapped", whatever maps to one of these counts too;
//   - what the excluded items give in the same way is taken away.
func resolve(ctx context.Context, v omop.Vocabulary, sets []circe.ConceptSet) ([][]int64, error) {
	var parts []part // two for each set: included and excluded
	for _, s := range sets {
		parts = append(parts, newPart(s, false), newPart(s, true))
	}
	if err := descend(ctx, v, parts); err != nil {
		return nil, err
	}
	var mentioned []int64
	for _, p := range parts {
		mentioned = append(append(mentioned, p.all.named...), p.all.below...)
	}
	valid, err := validity(ctx, v, distinct(mentioned))
	if err != nil {
		return nil, err
	}
	if err := mapTo(ctx, v, parts, valid); err != nil {
		return nil, err
	}
	out := make([][]int64, len(sets))
	for i := range sets {
		out[i] = without(parts[2*i].concepts(valid), parts[2*i+1].concepts(valid))
	}
	return out, nil
}

// part is one side of a concept set, included or excluded.
type part struct {
	all    side
	mapped side // those of its items that also ask for mapped concepts
	maps   []int64
}

type side struct {
	named     []int64
	ancestors []int64
	below     []int64 // the descendants of ancestors
}

func newPart(s circe.ConceptSet, excluded bool) part {
	var p part
	for _, item := range s.Items {
		if item.Excluded != excluded {
			continue
		}
		p.all.add(item)
		if item.Mapped {
			p.mapped.add(item)
		}
	}
	return p
}

func (s *side) add(item circe.ConceptItem) {
	s.named = append(s.named, item.Concept.ID)
	if item.Descendants {
		s.ancestors = append(s.ancestors, item.Concept.ID)
	}
}

// concepts gives what a side names and what lies below it.
func (s *side) concepts(valid map[int64]bool) []int64 {
	var out []int64
	for _, id := range s.named {
		if _, known := valid[id]; known {
			out = append(out, id)
		}
	}
	for _, id := range s.below {
		if valid[id] {
			out = append(out, id)
		}
	}
	return distinct(out)
}

func (p *part) concepts(valid map[int64]bool) []int64 {
	return distinct(append(p.all.concepts(valid), p.maps...))
}

// descend asks for the descendants of every side, equal questions once.
func descend(ctx context.Context, v omop.Vocabulary, parts []part) error {
	answers := map[string][]int64{}
	var questions [][]int64
	for i := range parts {
		for _, s := range []*side{&parts[i].all, &parts[i].mapped} {
			s.ancestors = distinct(s.ancestors)
			if _, asked := answers[keyOf(s.ancestors)]; !asked && len(s.ancestors) > 0 {
				answers[keyOf(s.ancestors)] = nil
				questions = append(questions, s.ancestors)
			}
		}
	}
	found, err := descendants(ctx, v, questions)
	if err != nil {
		return err
	}
	for i, q := range questions {
		answers[keyOf(q)] = found[i]
	}
	for i := range parts {
		for _, s := range []*side{&parts[i].all, &parts[i].mapped} {
			s.below = answers[keyOf(s.ancestors)]
		}
	}
	return nil
}

func mapTo(ctx context.Context, v omop.Vocabulary, parts []part, valid map[int64]bool) error {
	var questions [][]int64
	var askers []*part
	for i := range parts {
		if targets := parts[i].mapped.concepts(valid); len(targets) > 0 {
			questions, askers = append(questions, targets), append(askers, &parts[i])
		}
	}
	found, err := ask(ctx, questions, v.Mapped)
	for i := range found {
		askers[i].maps = found[i]
	}
	return err
}

// bulk is what a vocabulary may have beside omop.Vocabulary: answers to many
// questions in one read.
type bulk interface {
	// Ancestry gives the concept_ancestor rows whose ancestor is among
	// ancestors, as two columns.
	Ancestry(ctx context.Context, ancestors []int64) (ancestor, descendant []int64, err error)
	// Validity gives, of the concepts that the vocabulary knows, the ids, and
	// whether each is valid.
	Validity(ctx context.Context, ids []int64) (known []int64, valid []bool, err error)
}

// validity says of each concept that the vocabulary knows whether it is valid.
func validity(ctx context.Context, v omop.Vocabulary, ids []int64) (map[int64]bool, error) {
	if b, ok := v.(bulk); ok {
		known, valid, err := b.Validity(ctx, ids)
		out := make(map[int64]bool, len(known))
		for i, id := range known {
			out[id] = valid[i]
		}
		return out, err
	}
	known, err := v.Concepts(ctx, ids)
	out := make(map[int64]bool, len(known))
	for _, c := range known {
		out[c.ID] = c.Invalid == ""
	}
	return out, err
}

// descendants gives the descendants of each list of ancestors.
func descendants(ctx context.Context, v omop.Vocabulary, questions [][]int64) ([][]int64, error) {
	b, ok := v.(bulk)
	if !ok {
		return ask(ctx, questions, v.Descendants)
	}
	ancestor, descendant, err := b.Ancestry(ctx, distinct(slices.Concat(questions...)))
	if err != nil {
		return nil, err
	}
	below := map[int64][]int64{}
	for i, a := range ancestor {
		below[a] = append(below[a], descendant[i])
	}
	out := make([][]int64, len(questions))
	for i, q := range questions {
		for _, a := range q {
			out[i] = append(out[i], below[a]...)
		}
		out[i] = distinct(out[i])
	}
	return out, nil
}

// ask puts questions to the vocabulary, several at a time.
func ask(ctx context.Context, questions [][]int64, answer func(context.Context, []int64) ([]int64, error)) ([][]int64, error) {
	out := make([][]int64, len(questions))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, q := range questions {
		g.Go(func() (err error) {
			out[i], err = answer(ctx, q)
			return err
		})
	}
	return out, g.Wait()
}

func distinct(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// without gives the members of a that are not in b; both are ascending.
func without(a, b []int64) []int64 {
	return slices.DeleteFunc(a, func(id int64) bool {
		_, out := slices.BinarySearch(b, id)
		return out
	})
}
