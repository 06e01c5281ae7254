package analysis

import (
	"context"

	"github.com/havre-hub/havre/internal/hub/study"
)

// counts counts the persons of a cohort by their traits on their first day in
// it. Numbers of a cell: persons.
type counts struct {
	spec   study.Spec
	strata strata
}

// Name is as in study.Analysis.
func (c *counts) Name() string { return c.spec.Name }

// Map is as in study.Analysis.
func (c *counts) Map(_ context.Context, b *study.Bucket) (study.Partial, error) {
	t := newTally(1, 0)
	m := b.Cohort(c.spec.Cohort)
	for i, person := range m.Person {
		if i > 0 && m.Person[i-1] == person {
			continue // a later period of the same person
		}
		t.at(c.strata.key(b.People, int(person), m.Start[i])).sum[0]++
	}
	return t, nil
}

// Size is as in study.Sizer.
func (c *counts) Size(p study.Partial) (persons int64) {
	if t, err := tallyOf(p); err == nil {
		for _, n := range t.cells {
			persons += n.sum[0]
		}
	}
	return persons
}

// Decode is as in study.Analysis.
func (c *counts) Decode(data []byte) (study.Partial, error) {
	return decodeTally(data, max(1, len(c.spec.By)), 1, 0)
}

// Finish is as in study.Analysis.
func (c *counts) Finish(_ context.Context, p study.Partial) (study.Output, error) {
	t, err := tallyOf(p)
	if err != nil {
		return study.Output{}, err
	}
	dims := c.strata.dimensions(t)
	return study.Output{
		Name: c.spec.Name, Title: titleOf(&c.spec, "Persons of "+c.spec.Cohort), Kind: study.Frequencies, Dimensions: dims,
		Cells: cells(dims, t, func(key []string, n *numbers) study.Cell { return study.Cell{Key: key, Count: n.sum[0]} }),
		Notes: []string{"Age, year and sex are those of the first day in the cohort; age is that year less the year of birth."},
	}, nil
}
