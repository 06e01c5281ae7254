package cohort

import "math/bits"

// lookup finds small numbers by 64-bit ids, faster than a Go map and without
// allocation: one look-up stands in the path of every row that is read.
type lookup struct {
	slots []slot
	shift int
}

type slot struct {
	key int64
	val int32 // 0: the slot is free
}

func newLookup(size int) *lookup {
	slotBits := bits.Len(uint(size)) + 1 // at most half full
	return &lookup{slots: make([]slot, 1<<slotBits), shift: 64 - slotBits}
}

// slot gives where the id stands, or the free slot where it would.
func (l *lookup) slot(id int64) *slot {
	// Fibonacci hashing: Knuth, TAOCP vol. 3, 6.4; 2^64 over the golden ratio.
	i := int(uint64(id) * 0x9e3779b97f4a7c15 >> l.shift)
	for {
		s := &l.slots[i&(len(l.slots)-1)]
		if s.val == 0 || s.key == id {
			return s
		}
		i++
	}
}

// get gives the number put under id, 0 if there is none.
func (l *lookup) get(id int64) int32 { return l.slot(id).val }

// put stores v, not 0, under id. No more ids than the size given at the start
// may be put.
func (l *lookup) put(id int64, v int32) { *l.slot(id) = slot{id, v} }
