package cohort

import (
	"encoding/binary"
	"maps"
	"slices"
)

// classes sorts concepts by the criteria that want them: concepts wanted by
// the same criteria are of one class. Class 0 is wanted by nobody.
type classes struct {
	concepts *index
	class    []int32   // by place of the concept
	criteria []wanting // by class
}

// of gives the class of a concept.
func (c *classes) of(concept int64) int32 {
	if at := c.concepts.place(concept); at >= 0 {
		return c.class[at]
	}
	return 0
}

// wanting are the criteria that want the concepts of a class: those that ask for
// nothing more, and those that do.
type wanting struct{ plain, asked []int32 }

func newClasses(wanted map[int64][]int32, plain func(int32) bool) classes {
	ids := slices.Sorted(maps.Keys(wanted)) // so that every worker numbers the classes alike
	c := classes{concepts: newIndex(ids), class: make([]int32, len(ids)), criteria: make([]wanting, 1)}
	seen := map[string]int32{}
	var key []byte
	for at, id := range ids {
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
		c.class[at] = class
	}
	return c
}
