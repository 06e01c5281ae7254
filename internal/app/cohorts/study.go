package cohorts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// Study makes a study of definitions, to be run at a hub: the persons of each
// cohort, by traits if any are named, and the attrition of each definition that
// has inclusion rules. The outputs are named by the definitions' numbers:
// c1071, and c1071-attrition.
func Study(name string, definitions []Definition, by []string) (*study.Definition, error) {
	d := &study.Definition{Name: name, Title: title(definitions)}
	for _, def := range definitions {
		if err := absent(def); err != nil {
			return nil, err
		}
		c := fmt.Sprintf("c%d", def.ID)
		d.Cohorts = append(d.Cohorts, study.Cohort{Name: c, Circe: def.Expression})
		d.Analyses = append(d.Analyses, study.Spec{Name: c, Title: "Persons of " + def.Name, Kind: study.KindCounts, Cohort: c, By: by})
		if len(def.Definition.Rules) > 0 {
			d.Analyses = append(d.Analyses, study.Spec{Name: c + "-attrition", Title: "Attrition of " + def.Name, Kind: study.KindAttrition, Cohort: c})
		}
	}
	slices.SortFunc(d.Cohorts, func(a, b study.Cohort) int { return strings.Compare(a.Name, b.Name) })
	return d, study.Check(d)
}

// title names a definition, or says how many there are.
func title(definitions []Definition) string {
	if len(definitions) == 1 {
		return definitions[0].Name
	}
	return fmt.Sprintf("%d cohort definitions", len(definitions))
}

// absent says what a definition asks for that no CDM has.
func absent(d Definition) error {
	if missing := cohort.Absent(d.Definition); len(missing) > 0 {
		return havre.E("cohort.run", havre.Invalid, fmt.Sprintf("%s asks for what the CDM 5.3 and 5.4 do not have: %s", d.File, missing[0])).
			WithHint("the reference's SQL fails on it too; take the criterion out")
	}
	return nil
}
