package cohort

import (
	"slices"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// Need is what a study reads of one table.
type Need struct {
	Table   string
	Columns []string
}

// Needs lists the tables and columns that the definitions read, whatever the
// vocabulary holds, so that a permit can be checked before anything runs.
func Needs(definitions []*Definition, demographics bool) []Need {
	b := newPlanner(demographics)
	for _, d := range definitions {
		b.add(d, make([][]int64, len(d.ConceptSets)))
	}
	p := b.plan
	needs := []Need{{"observation_period", periodColumns}}
	if p.person.any() {
		needs = append(needs, Need{"person", p.person.columns()})
	}
	if p.visits {
		needs = append(needs, Need{"visit_occurrence", visitColumns})
	}
	if p.providers {
		needs = append(needs, Need{"provider", providerColumns})
	}
	if p.sites {
		needs = append(needs, Need{"care_site", siteColumns})
	}
	for i := range p.domains {
		columns := p.domains[i].columns()
		if at := slices.IndexFunc(needs, func(n Need) bool { return n.Table == p.domains[i].Table }); at >= 0 {
			for _, c := range columns {
				if !slices.Contains(needs[at].Columns, c) {
					needs[at].Columns = append(slices.Clip(needs[at].Columns), c)
				}
			}
			continue
		}
		needs = append(needs, Need{p.domains[i].Table, columns})
	}
	return needs
}

var (
	periodColumns   = []string{"person_id", "observation_period_start_date", "observation_period_end_date"}
	visitColumns    = []string{"person_id", "visit_occurrence_id", "visit_concept_id"}
	providerColumns = []string{"provider_id", "specialty_concept_id"}
	siteColumns     = []string{"care_site_id", "place_of_service_concept_id"}
)

func (n personNeeds) columns() []string {
	c := []string{"person_id", "gender_concept_id", "year_of_birth"}
	if n.race {
		c = append(c, "race_concept_id")
	}
	if n.ethnicity {
		c = append(c, "ethnicity_concept_id")
	}
	return c
}

// columns lists what is read of the domain's table; load.go finds each by name.
func (d *domainPlan) columns() []string {
	out := []string{"person_id", d.Start}
	add := func(want bool, c string) {
		if want && c != "" && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	add(d.needID, d.ID)
	add(d.needEnd, d.End)
	add(d.needEnd, d.Supply)
	add(d.needsConcept(), d.Concept)
	add(d.needSource, d.Source)
	add(d.needVisit, d.Visit)
	for _, x := range d.extra {
		add(true, x.column)
	}
	return out
}

// needsConcept says whether the concept of a row matters: not if every
// criterion takes any concept.
func (d *domainPlan) needsConcept() bool {
	return d.needConcept || len(d.every) < len(d.criteria)
}

// Absent lists what a definition asks of the CDM that versions 5.3 and 5.4 do
// not have: columns of older or drafted versions that Circe knows. The
// reference's SQL fails on a CDM without them.
func Absent(d *Definition) []circe.Problem {
	var out []circe.Problem
	d.Walk(func(c *circe.Criterion) {
		table, ok := omop.Lookup(c.Kind.Table)
		if !ok {
			out = append(out, circe.Problem{Path: c.Path, Text: c.Kind.Name + " needs the table " + c.Kind.Table + ", which the CDM does not have before version 6"})
			return
		}
		for _, f := range c.Filters {
			if f.Attribute.Subject == circe.SubjectRegion {
				out = append(out, circe.Problem{Path: f.Path, Text: "this needs the table location_history, which the CDM does not have before version 6"})
			} else if _, ok := table.Field(f.Attribute.Column); f.Attribute.Column != "" && !ok {
				out = append(out, circe.Problem{Path: f.Path, Text: "this needs the column " + table.Name + "." + f.Attribute.Column + ", which the CDM does not have since version 5.2"})
			}
		}
	})
	return out
}
