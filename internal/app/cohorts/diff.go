package cohorts

import (
	"cmp"
	"context"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort/diff"
)

// Difference is what changed between two versions of a definition.
type Difference struct {
	Before  string        `json:"before"`
	After   string        `json:"after"`
	Same    bool          `json:"same"` // both ask the same
	Changes []diff.Change `json:"changes"`
	Members *Members      `json:"members,omitempty"` // what it means in a CDM, if one is given
}

// Members says how the rows of a cohort changed, and who has any. A row is a
// person with a first and a last day.
type Members struct {
	PersonsBefore int64 `json:"persons_before"`
	PersonsAfter  int64 `json:"persons_after"`
	PersonsGained int64 `json:"persons_gained"`
	PersonsLost   int64 `json:"persons_lost"`
	RowsBefore    int64 `json:"rows_before"`
	RowsAfter     int64 `json:"rows_after"`
	RowsGained    int64 `json:"rows_gained"`
	RowsLost      int64 `json:"rows_lost"`
}

// Diff compares two versions of a definition, in a language of explain; with a
// CDM, as Options has it, also who belongs to them there.
func Diff(ctx context.Context, before, after Definition, language, cdm string, progress havre.Progress) (*Difference, error) {
	d := &Difference{Before: before.Name, After: after.Name}
	if before.Name == after.Name {
		d.Before, d.After = before.File, after.File
	}
	var err error
	if d.Changes, err = diff.Definitions(before.Definition, after.Definition, language); err != nil {
		return nil, err
	}
	d.Same = len(d.Changes) == 0
	if cdm == "" {
		return d, nil
	}
	run, err := find(ctx, Options{CDM: cdm, Definitions: []Definition{before, after}, Progress: progress})
	if err != nil {
		return nil, err
	}
	d.Members = compareMembers(&run.cohorts[0], &run.cohorts[1])
	return d, nil
}

// compareMembers walks the rows of two cohorts, both by person, then start.
func compareMembers(a, b *periods) *Members {
	m := &Members{RowsBefore: int64(len(a.person)), RowsAfter: int64(len(b.person))}
	var common int64
	for i, j := 0, 0; i < len(a.person) && j < len(b.person); {
		switch order := cmp.Or(cmp.Compare(a.person[i], b.person[j]), cmp.Compare(a.start[i], b.start[j]), cmp.Compare(a.end[i], b.end[j])); {
		case order < 0:
			i++
		case order > 0:
			j++
		default:
			common++
			i++
			j++
		}
	}
	m.RowsLost, m.RowsGained = m.RowsBefore-common, m.RowsAfter-common
	people := func(c *periods) map[int64]bool {
		out := map[int64]bool{}
		for _, p := range c.person {
			out[p] = true
		}
		return out
	}
	was, is := people(a), people(b)
	m.PersonsBefore, m.PersonsAfter = int64(len(was)), int64(len(is))
	for p := range was {
		if !is[p] {
			m.PersonsLost++
		}
	}
	m.PersonsGained = m.PersonsAfter - (m.PersonsBefore - m.PersonsLost)
	return m
}
