package cohort

import (
	"encoding/binary"
	"maps"
	"slices"
)

// classes sorts concepts by the criteria that want them: concepts wanted by
// the same criteria are of one class. Class 0 is wanted by nobody.
type classes struct {
	byConcept *lookup
	criteria  []wanting // by class
}

// wanting are the criteria that want the concepts of a class: those that ask for
// nothing more, and those that do.
type wanting struct{ plain, asked []int32 }

func newClasses(wanted map[int64][]int32, plain func(int32) bool) classes {
	c := classes{byConcept: newLookup(len(wanted)), criteria: make([]wanting, 1)}
	seen := map[string]int32{}
	var key []byte
	for _, id := range slices.Sorted(maps.Keys(wanted)) { // so that every worker numbers the classes alike
		list := wanted[id]
		slices.Sort(list)
		list = slices.Compact(list)
		key = key[:0]
		for _, v := range list {
			key = binary.LittleEndian.AppendUint32(key, uint32(v))
		}
		class, ok := seen[string(key)]
		if !ok {
			class = int32(len(c.criteria))
			seen[string(key)] = class
			var w wanting
			for _, i := range list {
				if plain(i) {
					w.plain = append(w.plain, i)
				} else {
					w.asked = append(w.asked, i)
				}
			}
			c.criteria = append(c.criteria, w)
		}
		c.byConcept.put(id, class)
	}
	return c
}
