package cohort

import (
	"math/rand/v2"
	"reflect"
)

// RandomDefinition writes a random definition, for tests that must stand outside
// of this package.
func RandomDefinition(r *rand.Rand) string { return author{r}.definition() }

// Mutate changes all that can be changed in d, one thing at a time, calls test
// with each, and puts it back.
func Mutate(d *Definition, test func(what string)) {
	m := mutator{d: d, test: test}
	m.value("definition", reflect.ValueOf(d).Elem(), nil)
}
