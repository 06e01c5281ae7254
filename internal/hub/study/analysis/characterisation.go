package analysis

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/proportion"
)

// characterisation describes the persons of a cohort on their first day in it
// and what was recorded of them in a window around it, beside those of another
// cohort ("Table 1"). The key of a tally is group, trait, category and unit,
// its one number persons:
//
//	target, sex, female, ""
//	target, age, 67, ""                          in years, for the mean
//	target, measurement, 3004410, ""             a record of the concept in the window
//	target, measurement, 3004410, 8554           a record with a value in the unit
type characterisation struct {
	spec       study.Spec
	strata     strata
	vocabulary omop.Vocabulary
}

const characterisationParts = 4

// partitions are the traits of which everybody has one.
var partitions = []string{study.BySex, study.TraitAgeBand, study.ByYear}

// Name is as in study.Analysis.
func (a *characterisation) Name() string { return a.spec.Name }

func (a *characterisation) groups() (groups, cohorts []string) {
	t := times{spec: a.spec}
	return t.groups()
}

func traitKey(parts ...string) string { return strings.Join(parts, keySeparator) }

// Map is as in study.Analysis.
func (a *characterisation) Map(ctx context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(1, 0)
	groups, cohorts := a.groups()
	first := make([][]int32, len(groups)) // by person: the first day in the cohort
	for g, group := range groups {
		first[g] = slices.Repeat([]int32{math.MinInt32}, len(b.People.ID))
		m := b.Cohort(cohorts[g])
		for i, person := range m.Person {
			if first[g][person] != math.MinInt32 {
				continue // a later period of the same person
			}
			first[g][person] = m.Start[i]
			a.count(t, group, b.People, int(person), m.Start[i])
		}
	}
	for _, table := range a.spec.Tables {
		events, err := readEvents(ctx, b, table)
		if err != nil {
			return nil, err
		}
		for g, group := range groups {
			tallyEvents(t, events, func(e event) bool {
				day := first[g][e.person]
				return day != math.MinInt32 && int(e.day)-int(day) >= a.spec.Window.Start && int(e.day)-int(day) <= a.spec.Window.End
			}, group, table)
		}
	}
	return t, nil
}

// count adds one person with the traits of a day.
func (a *characterisation) count(t *tally, group string, p *cohort.People, person int, day int32) {
	add := func(trait, category string) { t.at(traitKey(group, trait, category, "")).sum[0]++ }
	add(study.TraitPersons, study.All)
	add(study.BySex, sexOf(p.Gender[person]))
	add(study.TraitAgeBand, a.strata.ageBand(p.BirthYear[person], day))
	add(study.ByYear, strconv.Itoa(cohort.Year(day)))
	if age, known := ageOn(p.BirthYear[person], day); known {
		add(study.TraitAge, strconv.Itoa(age))
	}
}

// Decode is as in study.Analysis.
func (a *characterisation) Decode(data []byte) (study.Partial, error) {
	t, err := decodeTally(data, characterisationParts, 1, 0)
	if err != nil {
		return nil, err
	}
	groups, _ := a.groups()
	for key := range t.cells {
		k := strings.Split(key, keySeparator)
		if !slices.Contains(groups, k[0]) || !a.knows(k[1], k[2], k[3]) || t.cells[key].sum[0] == 0 {
			return nil, havre.E("analysis.decode", havre.Invalid, "a partial result has a group or a trait that the analysis does not know")
		}
	}
	return t, nil
}

// knows says whether Map may write the key.
func (a *characterisation) knows(trait, category, unit string) bool {
	switch {
	case slices.Contains(a.spec.Tables, trait):
		return isID(category) && (unit == "" || trait == measurement && isID(unit))
	case unit != "":
		return false
	case trait == study.TraitPersons:
		return category == study.All
	case trait == study.TraitAge:
		return category != unknown && a.strata.has(study.ByAge, category)
	}
	return slices.Contains(partitions, trait) && a.strata.has(trait, category)
}

func isID(text string) bool {
	id, err := strconv.ParseInt(text, 10, 64)
	return err == nil && strconv.FormatInt(id, 10) == text
}

// Finish is as in study.Analysis. The order of the concepts is that of their
// ids: an order by persons would tell about those that the rules hide.
func (a *characterisation) Finish(ctx context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	f := newFindings(a, t)
	f.row(study.TraitPersons, study.All, func(g string) int64 { return f.persons[g] })
	f.partition(study.BySex, []string{sexFemale, sexMale, unknown})
	f.partition(study.TraitAgeBand, append(a.strata.bandNames(), unknown))
	f.age()
	f.partition(study.ByYear, f.years())
	for _, table := range a.spec.Tables {
		if err := f.concepts(ctx, table); err != nil {
			return study.Output{}, err
		}
	}
	title := fmt.Sprintf("Persons of %s", a.spec.Target)
	if a.spec.Comparator != "" {
		title += " and " + a.spec.Comparator
	}
	o := study.Output{
		Name: a.spec.Name, Title: titleOf(&a.spec, title), Kind: study.Characteristics, Dimensions: f.dimensions(),
		Measures: []string{study.MeasureShare, study.MeasureMean, study.MeasureSD}, Cells: f.cells, Notes: a.notes(),
	}
	if len(f.groups) > 1 {
		o.Measures = append(o.Measures, study.MeasureDifference)
	}
	return o, nil
}

func (a *characterisation) notes() []string {
	notes := []string{
		"Age, year and sex are those of the first day in the cohort; age is that year less the year of birth.",
		fmt.Sprintf("Of a concept, persons with a record that starts from day %d to day %d after the first day in the cohort (day 0).", a.spec.Window.Start, a.spec.Window.End),
	}
	if a.spec.MinPrevalence > 0 {
		notes = append(notes, fmt.Sprintf("Of each table, the concepts that at least %g %% of the persons of a group have, at most %d.", a.spec.MinPrevalence*100, a.spec.Top))
	} else {
		notes = append(notes, fmt.Sprintf("Of each table, the %d concepts that the largest share of a group has.", a.spec.Top))
	}
	if a.spec.Comparator != "" {
		notes = append(notes, "smd is the standardised difference of target and comparator (Austin 2009). A person of both cohorts counts in both.")
	}
	return notes
}

// findings puts the cells of a characterisation together.
type findings struct {
	a                  *characterisation
	t                  *tally
	groups             []string
	persons            map[string]int64
	traits, categories []string
	cells              []study.Cell
}

func newFindings(a *characterisation, t *tally) *findings {
	f := &findings{a: a, t: t, persons: map[string]int64{}}
	f.groups, _ = a.groups()
	for _, g := range f.groups {
		f.persons[g] = f.count(g, study.TraitPersons, study.All, "")
	}
	return f
}

func (f *findings) count(parts ...string) int64 {
	if n, ok := f.t.cells[traitKey(parts...)]; ok {
		return n.sum[0]
	}
	return 0
}

func (f *findings) dimensions() []study.Dimension {
	return []study.Dimension{{Name: study.TraitDim, Categories: f.traits}, {Name: study.CategoryDim, Categories: f.categories},
		{Name: study.Group, Categories: f.groups}}
}

// add appends a cell of a group.
func (f *findings) add(trait, category, group string, count int64) *study.Cell {
	for list, name := range map[*[]string]string{&f.traits: trait, &f.categories: category} {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	f.cells = append(f.cells, study.Cell{Key: []string{trait, category, group}, Count: count, Values: map[string]float64{}})
	return &f.cells[len(f.cells)-1]
}

// row adds the cells of a category, one a group, with shares and their
// difference, if somebody is in it.
func (f *findings) row(trait, category string, count func(group string) int64) {
	if !slices.ContainsFunc(f.groups, func(g string) bool { return count(g) > 0 }) && trait != study.TraitPersons {
		return
	}
	shares := make([]float64, len(f.groups))
	at := len(f.cells)
	for i, g := range f.groups {
		c := f.add(trait, category, g, count(g))
		if n := f.persons[g]; n > 0 {
			shares[i] = float64(c.Count) / float64(n)
			c.Values[study.MeasureShare] = shares[i]
		}
	}
	if len(f.groups) > 1 && f.persons[f.groups[0]] > 0 && f.persons[f.groups[1]] > 0 {
		if d, ok := proportion.Difference(shares[0], shares[1]); ok {
			f.cells[at].Values[study.MeasureDifference] = d
		}
	}
}

func (f *findings) partition(trait string, categories []string) {
	for _, c := range categories {
		f.row(trait, c, func(g string) int64 { return f.count(g, trait, c, "") })
	}
}

// age adds mean and standard deviation of the ages, exact from their counts.
func (f *findings) age() {
	at := len(f.cells)
	var mean, sd []float64
	for _, g := range f.groups {
		var n, sum, squares, most int64
		for key, c := range f.t.cells {
			if k := strings.Split(key, keySeparator); k[0] == g && k[1] == study.TraitAge {
				age, _ := strconv.ParseInt(k[2], 10, 64) // Map and Decode write nothing else
				n, sum, squares, most = n+c.sum[0], sum+age*c.sum[0], squares+age*age*c.sum[0], max(most, age)
			}
		}
		c := f.add(study.TraitAge, study.Mean, g, n)
		c.MaxShare = share(most, sum)
		if n < 2 {
			continue
		}
		m := float64(sum) / float64(n)
		s := math.Sqrt(math.Max(0, (float64(squares)-m*float64(sum))/float64(n-1)))
		mean, sd = append(mean, m), append(sd, s)
		c.Values[study.MeasureMean], c.Values[study.MeasureSD] = m, s
	}
	if len(mean) > 1 {
		if d, ok := proportion.MeanDifference(mean[0], sd[0], mean[1], sd[1]); ok {
			f.cells[at].Values[study.MeasureDifference] = d
		}
	}
}

// years lists the years in which somebody entered.
func (f *findings) years() (out []string) {
	for _, key := range sortedKeys(f.t.cells) {
		if k := strings.Split(key, keySeparator); k[1] == study.ByYear && !slices.Contains(out, k[2]) {
			out = append(out, k[2])
		}
	}
	slices.Sort(out)
	return out
}
