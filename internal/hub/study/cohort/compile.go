package cohort

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// Compile resolves the concept sets of the definitions and plans how to answer
// all of them at once. With demographics, Evaluate also gives sex and year of
// birth of everybody.
//
// A definition may ask for columns that the CDM does not have (Absent): it
// compiles, and Evaluate refuses it.
func Compile(ctx context.Context, v omop.Vocabulary, definitions []*Definition, demographics bool) (*Plan, error) {
	var sets []circe.ConceptSet
	offsets := make([]int, len(definitions))
	for i, d := range definitions {
		offsets[i] = len(sets)
		sets = append(sets, d.ConceptSets...)
	}
	resolved, err := resolve(ctx, v, sets)
	if err != nil {
		return nil, err
	}
	b := newPlanner(demographics)
	for i, d := range definitions {
		b.plan.absent = append(b.plan.absent, Absent(d)...)
		b.add(d, resolved[offsets[i]:][:len(d.ConceptSets)])
	}
	b.finish()
	return b.plan, nil
}

type planner struct {
	plan     *Plan
	sets     [][]int64 // concept sets of the definition at hand
	setKeys  []string
	seen     map[string]int32 // criterion by everything that makes it what it is
	domainOf map[string]int32
	concepts [][]int64 // standard concepts of each criterion, nil for any
}

func newPlanner(demographics bool) *planner {
	p := &Plan{person: personNeeds{demographics: demographics}}
	return &planner{plan: p, seen: map[string]int32{}, domainOf: map[string]int32{}}
}

func (b *planner) add(d *Definition, sets [][]int64) {
	b.sets, b.setKeys = sets, make([]string, len(sets))
	for i, s := range sets {
		b.setKeys[i] = keyOf(s)
	}
	pd := plannedDefinition{Definition: d, everyMask: 1<<len(d.Rules) - 1}
	end := d.End
	end.Set = 0 // where the set stands in the document says nothing; its drugs are told below
	key := []string{fmt.Sprint("definition ", d.Primary.PriorDays, d.Primary.PostDays, d.Primary.Limit, d.QualifiedLimit, d.ExpressionLimit,
		end, d.EraPad, d.CensorStart, d.CensorEnd)}
	add := func(to *[]int32, what string, list []*circe.Criterion) {
		for _, c := range list {
			i, k := b.criterion(c, nil)
			*to = append(*to, i)
			key = append(key, what+k)
		}
	}
	add(&pd.primary, "primary ", d.Primary.Criteria)
	for place, c := range pd.primary {
		at := b.plan.criteria[c].domain
		pd.tables = append(pd.tables, int32(slices.IndexFunc(pd.primary[:place+1], func(o int32) bool { return b.plan.criteria[o].domain == at })))
		dom := &b.plan.domains[b.plan.criteria[c].domain]
		dom.needID = true
		dom.needEnd = dom.needEnd || d.End.FromEnd
	}
	add(&pd.censoring, "censoring ", d.Censoring)
	slices.Sort(key[1+len(d.Primary.Criteria):])
	if d.Additional != nil {
		pd.qualify = d.QualifiedLimit
		key = append(key, "qualified") // an empty group is not none
		if !d.Additional.Empty() {
			g, k := b.group(d.Additional, pd.primary)
			pd.additional = &g
			key = append(key, "additional "+k)
		}
	}
	for _, r := range d.Rules {
		g, k := b.group(r.Group, pd.primary)
		pd.rules = append(pd.rules, g)
		key = append(key, "rule "+k)
	}
	if d.End.Kind == circe.EndOfExposure {
		// The reference takes the drugs' exposures by either concept.
		drug := circe.Kinds["DrugExposure"]
		for _, c := range []*circe.Criterion{{Kind: drug, Set: d.End.Set, Source: -1}, {Kind: drug, Set: -1, Source: d.End.Set}} {
			var supply *int32
			if d.End.HasSupply {
				supply = &d.End.Supply
			}
			i, k := b.criterion(c, supply)
			pd.drugs = append(pd.drugs, i)
			key = append(key, "drugs "+k)
			b.plan.domains[b.plan.criteria[i].domain].needEnd = true
		}
	}
	pd.unordered = d.Primary.Limit == circe.LimitAll && pd.qualify == circe.LimitAll && d.ExpressionLimit == circe.LimitAll
	pd.key = digest(key...)
	b.plan.definitions = append(b.plan.definitions, pd)
	b.plan.keys = append(b.plan.keys, pd.key)
}

// Key is a short name of what a definition asks, whatever vocabulary answers: the
// same for two that differ only in names, numbers of concept sets, or the order
// of what has no order.
func Key(d *Definition) string {
	sets := make([][]int64, len(d.ConceptSets))
	for i, s := range d.ConceptSets {
		for _, item := range s.Items { // each stands for itself
			sum := sha256.Sum256(fmt.Appendf(nil, "%d %v %v %v", item.Concept.ID, item.Excluded, item.Descendants, item.Mapped))
			sets[i] = append(sets[i], int64(binary.LittleEndian.Uint64(sum[:])))
		}
		sets[i] = distinct(sets[i])
	}
	b := newPlanner(false)
	b.add(d, sets)
	return b.plan.keys[len(b.plan.keys)-1]
}

// digest makes a short name of a list of texts.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}

// keyOf makes a short name of a list of ids.
func keyOf(ids []int64) string {
	var b []byte
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint64(b, uint64(id))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// set gives a resolved concept set, nil for any concept, and its name.
func (b *planner) set(i int) ([]int64, string) {
	if i < 0 {
		return nil, "any"
	}
	return append([]int64{}, b.sets[i]...), b.setKeys[i]
}

// criterion gives the place of a criterion in the plan, and its name.
func (b *planner) criterion(c *circe.Criterion, supply *int32) (int32, string) {
	at, ok := b.domainOf[c.Kind.Name]
	if !ok {
		at = int32(len(b.plan.domains))
		b.domainOf[c.Kind.Name] = at
		b.plan.domains = append(b.plan.domains, domainPlan{Kind: c.Kind})
	}
	set, setKey := b.set(c.Set)
	source, sourceKey := b.set(c.Source)
	pc := plannedCriterion{domain: at, first: c.First, adjust: c.Adjust, period: c.Period, supply: supply}
	parts := []string{c.Kind.Name, fmt.Sprint(c.First), setKey, sourceKey}
	if c.Adjust != nil {
		parts = append(parts, fmt.Sprint("adjust ", *c.Adjust))
	}
	if c.Period != nil {
		parts = append(parts, fmt.Sprint("period ", *c.Period))
	}
	if supply != nil {
		parts = append(parts, fmt.Sprint("supply ", *supply))
	}
	for i := range c.Filters {
		f, k := b.filter(&c.Filters[i], at)
		pc.filters = append(pc.filters, f)
		parts = append(parts, k)
	}
	slices.Sort(parts[len(parts)-len(c.Filters):]) // their order says nothing
	if c.Group != nil {
		g, k := b.group(c.Group, []int32{-1 - at})
		pc.group = &g
		parts = append(parts, "group "+k)
	}
	d := &b.plan.domains[at]
	d.needSource = d.needSource || source != nil
	d.needID = d.needID || c.First
	d.needEnd = d.needEnd || c.Adjust != nil || c.Period != nil
	key := digest(parts...)
	if i, ok := b.seen[key]; ok {
		return i, key
	}
	i := int32(len(b.plan.criteria))
	b.seen[key] = i
	if set == nil && source != nil {
		// The source concepts choose the rows; pc.source stays nil.
	} else {
		pc.source = source
	}
	pc.plain = pc.source == nil && !pc.first && pc.supply == nil && pc.adjust == nil && pc.period == nil && len(pc.filters) == 0
	b.plan.criteria = append(b.plan.criteria, pc)
	b.plan.keys = append(b.plan.keys, key)
	b.wants(i, set, source)
	return i, key
}

// group plans a condition on events of some criteria; one that stands for a
// domain is -1 less the domain's place.
func (b *planner) group(g *circe.Group, index []int32) (groupPlan, string) {
	gp := groupPlan{kind: g.Kind, count: g.Count}
	parts := []string{fmt.Sprint(g.Kind, g.Count)}
	if g.Kind == circe.All || g.Kind == circe.Any {
		parts[0] = fmt.Sprint(g.Kind) // the count says nothing
	}
	for _, d := range g.Demographic {
		var dp demographicPlan
		person := []string{"person"}
		for i := range d.Filters {
			f, k := b.filter(&d.Filters[i], -1)
			dp.filters = append(dp.filters, f)
			person = append(person, k)
			if f.subject == circe.SubjectEnd {
				b.indexNeeds(index, true, false)
			}
		}
		slices.Sort(person[1:])
		parts = append(parts, digest(person...))
		b.plan.person.demographics = true
		gp.people = append(gp.people, dp)
	}
	for _, c := range g.Criteria {
		i, k := b.criterion(c.Criterion, nil)
		cp := correlatedPlan{criterion: i, Correlated: c}
		end := "none"
		if c.End != nil {
			end = fmt.Sprint(*c.End)
		}
		parts = append(parts, fmt.Sprint("events ", k, c.Start, end, c.RestrictVisit, c.AnyTime, c.Occurrence))
		dom := &b.plan.domains[b.plan.criteria[i].domain]
		dom.needEnd = dom.needEnd || c.Start.EventEnd || c.End != nil && c.End.EventEnd
		dom.needVisit = dom.needVisit || c.RestrictVisit
		b.indexNeeds(index, c.Start.IndexEnd || c.End != nil && c.End.IndexEnd, c.RestrictVisit)
		if c.Occurrence.Distinct {
			cp.distinct = b.counted(dom, c.Occurrence.Column)
		}
		gp.correlated = append(gp.correlated, cp)
	}
	for _, sub := range g.Groups {
		sp, k := b.group(sub, index)
		gp.groups = append(gp.groups, sp)
		parts = append(parts, "group "+k)
	}
	slices.Sort(parts[1:]) // the order of the parts says nothing
	return gp, digest(parts...)
}

// indexNeeds says that a condition looks at the end or the visit of its events.
func (b *planner) indexNeeds(index []int32, end, visit bool) {
	for _, c := range index {
		at := -1 - c
		if c >= 0 {
			at = b.plan.criteria[c].domain
		}
		d := &b.plan.domains[at]
		d.needEnd, d.needVisit = d.needEnd || end, d.needVisit || visit
	}
}

// counted says how a column is counted distinct.
func (b *planner) counted(d *domainPlan, column string) countedColumn {
	switch column {
	case "START_DATE":
		return countStart
	case "END_DATE":
		d.needEnd = true
		return countEnd
	case "DURATION":
		if d.End == "" {
			return countOne // circe-be counts the constant 1 there
		}
		d.needEnd = true
		return countLength
	case "VISIT_ID":
		if d.Visit == "" {
			return countNone
		}
		d.needVisit = true
		return countVisit
	}
	name := d.Counts[column]
	if name == d.Concept {
		d.needConcept = true
		return countConcept
	}
	return countedColumn(d.addExtra(extraColumn{column: name}))
}

// addExtra gives the place of an extra column.
func (d *domainPlan) addExtra(c extraColumn) int32 {
	at := slices.IndexFunc(d.extra, func(x extraColumn) bool {
		return x.column == c.column && (x.pattern == nil) == (c.pattern == nil) && (c.pattern == nil || x.pattern.text == c.pattern.text)
	})
	if at < 0 {
		at = len(d.extra)
		d.extra = append(d.extra, c)
	}
	return int32(at)
}

// wants notes which rows a criterion is interested in.
func (b *planner) wants(i int32, set, source []int64) {
	c := &b.plan.criteria[i]
	d := &b.plan.domains[c.domain]
	d.criteria = append(d.criteria, i)
	if set == nil && source == nil {
		d.every = append(d.every, i)
	}
	if set == nil && source != nil {
		set = nil
	} else {
		source = nil
	}
	b.concepts = append(b.concepts, set, source)
}

// finish sorts concepts into classes and settles which rows are read.
func (b *planner) finish() {
	for at := range b.plan.domains {
		d := &b.plan.domains[at]
		standard, source := map[int64][]int32{}, map[int64][]int32{}
		for _, i := range d.criteria {
			for _, id := range b.concepts[2*i] {
				standard[id] = append(standard[id], i)
			}
			for _, id := range b.concepts[2*i+1] {
				source[id] = append(source[id], i)
			}
		}
		plain := func(i int32) bool { return b.plan.criteria[i].plain }
		d.byStandard, d.bySource = newClasses(standard, plain), newClasses(source, plain)
		if len(d.every) == 0 && len(source) == 0 {
			d.concepts = make([]int64, 0, len(standard))
			for id := range standard {
				d.concepts = append(d.concepts, id)
			}
			slices.Sort(d.concepts)
		}
	}
}
