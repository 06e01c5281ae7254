package cohort

import (
	"slices"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// Definition is one parsed cohort definition. Make one with Parse; it is not
// changed afterwards and may be used by several goroutines.
type Definition = circe.Definition

// Parse reads a cohort definition in the JSON that ATLAS exports. The error, of
// kind Invalid, names everything that is wrong, each with its JSON path.
func Parse(data []byte) (*Definition, error) { return circe.Parse(data) }

type date = circe.Date

const noDate = circe.NoDate

// Supported lists the kinds of criteria, each with its attributes beside
// CodesetId and First, sorted.
func Supported() map[string][]string {
	out := map[string][]string{}
	for name, k := range circe.Kinds {
		var fields []string
		for field, a := range k.Attributes {
			fields = append(fields, field)
			if a.Exclude != "" {
				fields = append(fields, a.Exclude)
			}
		}
		if k.SourceField != "" {
			fields = append(fields, k.SourceField)
		}
		slices.Sort(fields)
		out[name] = fields
	}
	return out
}
