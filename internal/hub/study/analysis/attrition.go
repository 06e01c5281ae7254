package analysis

import (
	"context"
	"strconv"
	"strings"
	"unicode"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// attrition counts the persons with a qualifying event by the step at which a
// cohort loses them: the first inclusion rule that their best event does not
// meet, or the end of the definition, which leaves some without a period. The
// key of a tally is the number of the step from 0, or that of the steps for
// those who are in the cohort.
type attrition struct {
	spec  study.Spec
	steps []string // their names
}

// lastStep is the step after the rules. With a censor window, or an end before
// the event, persons who meet every rule have no day in the cohort.
const lastStep = "a period in the cohort"

func newAttrition(d *study.Definition, s study.Spec) (*attrition, error) {
	a := &attrition{spec: s}
	for i := range d.Cohorts {
		if d.Cohorts[i].Name != s.Cohort {
			continue
		}
		def, err := d.Cohorts[i].Definition()
		if err != nil {
			return nil, err
		}
		for i, r := range def.Rules {
			a.steps = append(a.steps, ruleName(r.Name, i))
		}
	}
	a.steps = append(a.steps, lastStep)
	return a, nil
}

// ruleName is a rule's name on one line.
func ruleName(name string, i int) string {
	name = strings.Join(strings.FieldsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if name == "" {
		return "rule " + strconv.Itoa(i+1)
	}
	return name
}

// Name is as in study.Analysis.
func (a *attrition) Name() string { return a.spec.Name }

// Map is as in study.Analysis.
func (a *attrition) Map(_ context.Context, b *study.Bucket) (study.Partial, error) {
	at, members := b.Attrition(a.spec.Cohort), b.Cohort(a.spec.Cohort)
	if at == nil {
		return nil, havre.E("analysis.map", havre.Internal, "the inclusion rules were not counted")
	}
	in := int64(0)
	for i, person := range members.Person {
		if i == 0 || members.Person[i-1] != person {
			in++
		}
	}
	left := append(at.Left(cohort.ByPerson, len(a.steps)-1), in)
	t := newTally(1, 0)
	for i, n := range left {
		if i+1 < len(left) {
			n -= left[i+1] // who are lost at step i; the last are those in the cohort
		}
		if n > 0 {
			t.at(strconv.Itoa(i)).sum[0] = n
		}
	}
	return t, nil
}

// Decode is as in study.Analysis.
func (a *attrition) Decode(data []byte) (study.Partial, error) {
	t, err := decodeTally(data, 1, 1, 0)
	if err != nil {
		return nil, err
	}
	for key, n := range t.cells {
		if i, err := strconv.Atoi(key); err != nil || i < 0 || i > len(a.steps) || strconv.Itoa(i) != key || n.sum[0] == 0 {
			return nil, havre.E("analysis.decode", havre.Invalid, "a partial result has a step that the analysis does not know")
		}
	}
	return t, nil
}

// Finish is as in study.Analysis.
func (a *attrition) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	dim := study.Dimension{Name: study.Rule, Total: true}
	all := study.Cell{Key: []string{study.TotalKey}}
	var cells []study.Cell
	for i := range len(a.steps) + 1 {
		name := study.InCohort
		if i < len(a.steps) {
			name = study.RuleName(i+1, a.steps[i])
		}
		dim.Categories = append(dim.Categories, name)
		c := study.Cell{Key: []string{name}}
		if n, ok := t.cells[strconv.Itoa(i)]; ok {
			c.Count = n.sum[0]
		}
		all.Count += c.Count
		cells = append(cells, c)
	}
	return study.Output{
		Name: a.spec.Name, Title: titleOf(&a.spec, "Attrition of "+a.spec.Cohort), Kind: study.Attrition,
		Dimensions: []study.Dimension{dim}, Measures: []string{study.MeasureRemaining}, Cells: append([]study.Cell{all}, cells...),
		Notes: []string{"Of each person with a qualifying event (total) the event that meets most rules. The count of a rule is of those lost at it, who meet all rules before it; remaining are those left after it."},
	}, nil
}
