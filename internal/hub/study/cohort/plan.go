package cohort

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// Plan answers a fixed list of definitions over any bucket. It does not change
// once made and may be used by several goroutines.
type Plan struct {
	definitions  []plannedDefinition
	criteria     []plannedCriterion
	domains      []domainPlan
	demographics bool     // the person table is wanted
	keys         []string // all that makes each criterion what it is
}

// plannedDefinition is a definition whose criteria stand in the plan's list.
type plannedDefinition struct {
	*Definition
	criteria []int
}

// plannedCriterion is a criterion that one or more definitions ask for.
type plannedCriterion struct {
	domain      int
	first       bool
	source      []int64 // concepts that the row's source concept must be among; nil for any
	filters     []plannedFilter
	definitions []int
}

// plannedFilter knows the place of its column among the domain's extra columns.
type plannedFilter struct {
	filter
	extra int
}

// domainPlan is what is read of one table, and which rows concern which
// criteria. Every criterion stands under the standard concepts it wants; one
// that asks for source concepts only, under these; one that asks for neither,
// under every row.
type domainPlan struct {
	*domain
	extra      []string // columns that filters look at
	readSource bool
	concepts   []int64 // rows wanted, ascending; nil for all
	byStandard classes
	bySource   classes
	every      []int
}

// classes sorts concepts by the criteria that want them: concepts wanted by
// the same criteria are of one class. Class 0 is wanted by nobody.
type classes struct {
	byConcept *lookup
	criteria  [][]int32 // by class
}

// Compile resolves the concept sets of the definitions and plans how to answer
// all of them at once. With demographics, Evaluate also gives sex and year of
// birth of everybody.
func Compile(ctx context.Context, v omop.Vocabulary, definitions []*Definition, demographics bool) (*Plan, error) {
	var sets []ConceptSet
	offsets := make([]int, len(definitions))
	for i, d := range definitions {
		offsets[i] = len(sets)
		sets = append(sets, d.ConceptSets...)
	}
	resolved, err := resolve(ctx, v, sets)
	if err != nil {
		return nil, err
	}
	b := planner{plan: &Plan{demographics: demographics}, seen: map[string]int{}, domainOf: map[string]int{}}
	for i, d := range definitions {
		b.add(d, resolved[offsets[i]:])
	}
	b.finish()
	return b.plan, nil
}

type planner struct {
	plan     *Plan
	seen     map[string]int // criterion by everything that makes it what it is
	domainOf map[string]int
	sets     [][]int64 // standard concepts of each criterion, nil for any
}

func (b *planner) add(d *Definition, sets [][]int64) {
	n := len(b.plan.definitions)
	pd := plannedDefinition{Definition: d}
	for _, c := range d.criteria {
		set, source := conceptsOf(sets, c.set), conceptsOf(sets, c.source)
		key := fmt.Sprint(c.domain.name, c.first, set == nil, set, source == nil, source, c.filters)
		i, ok := b.seen[key]
		if !ok {
			i = len(b.plan.criteria)
			b.seen[key] = i
			b.plan.criteria = append(b.plan.criteria, b.criterion(c, source))
			b.plan.keys = append(b.plan.keys, key)
			b.sets = append(b.sets, set)
		}
		pc := &b.plan.criteria[i]
		if !slices.Contains(pc.definitions, n) {
			pc.definitions = append(pc.definitions, n)
		}
		pd.criteria = append(pd.criteria, i)
	}
	b.plan.definitions = append(b.plan.definitions, pd)
}

// conceptsOf gives a resolved set: nil for any concept, empty for none at all.
func conceptsOf(sets [][]int64, i int) []int64 {
	if i < 0 {
		return nil
	}
	return append([]int64{}, sets[i]...)
}

func (b *planner) criterion(c criterion, source []int64) plannedCriterion {
	at, ok := b.domainOf[c.domain.name]
	if !ok {
		at = len(b.plan.domains)
		b.domainOf[c.domain.name] = at
		b.plan.domains = append(b.plan.domains, domainPlan{domain: c.domain})
	}
	d := &b.plan.domains[at]
	d.readSource = d.readSource || source != nil
	pc := plannedCriterion{domain: at, first: c.first, source: source}
	for _, f := range c.filters {
		pf := plannedFilter{filter: f, extra: -1}
		if f.subject == subjectColumn {
			if pf.extra = slices.Index(d.extra, f.column); pf.extra < 0 {
				pf.extra = len(d.extra)
				d.extra = append(d.extra, f.column)
			}
		}
		b.plan.demographics = b.plan.demographics || f.subject.needsPerson()
		pc.filters = append(pc.filters, pf)
	}
	return pc
}

// finish sorts concepts into classes and settles which rows are read.
func (b *planner) finish() {
	standard := make([]map[int64][]int32, len(b.plan.domains))
	source := make([]map[int64][]int32, len(b.plan.domains))
	for i := range b.plan.domains {
		standard[i], source[i] = map[int64][]int32{}, map[int64][]int32{}
	}
	for i := range b.plan.criteria {
		c := &b.plan.criteria[i]
		switch {
		case b.sets[i] != nil:
			for _, id := range b.sets[i] {
				standard[c.domain][id] = append(standard[c.domain][id], int32(i))
			}
		case c.source != nil:
			for _, id := range c.source {
				source[c.domain][id] = append(source[c.domain][id], int32(i))
			}
			c.source = nil // the class says it already
		default:
			b.plan.domains[c.domain].every = append(b.plan.domains[c.domain].every, i)
		}
	}
	for i := range b.plan.domains {
		d := &b.plan.domains[i]
		d.byStandard, d.bySource = newClasses(standard[i]), newClasses(source[i])
		if len(d.every) == 0 && len(source[i]) == 0 {
			d.concepts = make([]int64, 0, len(standard[i]))
			for id := range standard[i] {
				d.concepts = append(d.concepts, id)
			}
			slices.Sort(d.concepts)
		}
	}
}

func newClasses(wanted map[int64][]int32) classes {
	c := classes{byConcept: newLookup(len(wanted)), criteria: [][]int32{nil}}
	seen := map[string]int32{}
	for _, id := range slices.Sorted(maps.Keys(wanted)) { // so that every worker numbers the classes alike
		list := wanted[id]
		slices.Sort(list)
		list = slices.Compact(list)
		key := fmt.Sprint(list)
		class, ok := seen[key]
		if !ok {
			class = int32(len(c.criteria))
			seen[key] = class
			c.criteria = append(c.criteria, list)
		}
		c.byConcept.put(id, class)
	}
	return c
}

// Need is what a study reads of one table.
type Need struct {
	Table   string
	Columns []string
}

// Needs lists the tables and columns that the definitions read, whatever the
// vocabulary holds, so that a permit can be checked before anything runs.
func Needs(definitions []*Definition, demographics bool) []Need {
	b := planner{plan: &Plan{demographics: demographics}, seen: map[string]int{}, domainOf: map[string]int{}}
	for _, d := range definitions {
		b.add(d, make([][]int64, len(d.ConceptSets)))
	}
	needs := []Need{{"observation_period", periodColumns}}
	if b.plan.demographics {
		needs = append(needs, Need{"person", personColumns})
	}
	for _, d := range b.plan.domains {
		needs = append(needs, Need{d.table, d.columns()})
	}
	return needs
}

var (
	periodColumns = []string{"person_id", "observation_period_start_date", "observation_period_end_date"}
	personColumns = []string{"person_id", "gender_concept_id", "year_of_birth"}
)

// columns lists what is read of the domain's table, in the order that the
// loader expects.
func (d *domainPlan) columns() []string {
	out := []string{"person_id", d.id, d.start}
	for _, c := range []string{d.end, d.supply, d.concept} {
		if c != "" {
			out = append(out, c)
		}
	}
	if d.readSource {
		out = append(out, d.source)
	}
	return append(out, d.extra...)
}

// Digest is the SHA-256, in hex, of what the plan asks of the rows. It differs
// when the vocabulary gives other concepts for the same definitions.
func (p *Plan) Digest() string {
	h := sha256.New()
	for _, key := range p.keys {
		fmt.Fprintln(h, key)
	}
	return hex.EncodeToString(h.Sum(nil))
}
