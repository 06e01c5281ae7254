package cohort

import "math/bits"

// index finds the places of 64-bit ids in a list, faster than a Go map: one
// look-up stands in the path of every row that is read. For a bucket's persons it
// fits the processor's first cache.
type index struct {
	ids   []int64
	slots []int32 // 1 + place in ids; 0: the slot is free
	shift int
}

// newIndex makes one of distinct ids, which must stay as they are.
func newIndex(ids []int64) *index {
	slotBits := bits.Len(uint(len(ids))) + 1 // at most half full
	x := &index{ids: ids, slots: make([]int32, 1<<slotBits), shift: 64 - slotBits}
	for i, id := range ids {
		*x.slot(id) = int32(i) + 1
	}
	return x
}

// slot gives where the id stands, or the free slot where it would.
func (x *index) slot(id int64) *int32 {
	// Fibonacci hashing: Knuth, TAOCP vol. 3, 6.4; 2^64 over the golden ratio.
	i := int(uint64(id) * 0x9e3779b97f4a7c15 >> x.shift)
	for {
		s := &x.slots[i&(len(x.slots)-1)]
		if *s == 0 || x.ids[*s-1] == id {
			return s
		}
		i++
	}
}

// place gives the place of an id, -1 if it is not in the list.
func (x *index) place(id int64) int { return int(*x.slot(id)) - 1 }
