package warehouse

import (
	"math/bits"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Sizes between which memory is used again, as powers of two.
const (
	leastRecycled = 12
	mostRecycled  = 26
)

// recycler is an allocator whose memory, once freed, is given out again as it
// is: not zeroed. It suits those alone who write all they later read. Freed
// memory is held by pools, which the garbage collector empties: it is never more
// than was in use at once since the last but one collection. Safe for concurrent
// use.
type recycler struct {
	pools [mostRecycled + 1]sync.Pool // of *[]byte, by the power of two that is their capacity
}

// recycled is where the pages and values of segments lie.
var recycled memory.Allocator = new(recycler)

func (r *recycler) Allocate(size int) []byte {
	class := max(bits.Len(uint(max(size, 1)-1)), leastRecycled)
	if class > mostRecycled || size < 1<<(leastRecycled-1) {
		return memory.DefaultAllocator.Allocate(size)
	}
	if b, ok := r.pools[class].Get().(*[]byte); ok {
		return (*b)[:size]
	}
	return make([]byte, size, 1<<class) // so large, it begins at a multiple of 64, as Arrow asks
}

func (r *recycler) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	larger := r.Allocate(size)
	copy(larger, b)
	r.Free(b)
	return larger
}

func (r *recycler) Free(b []byte) {
	if class := bits.Len(uint(cap(b))) - 1; class >= leastRecycled && class <= mostRecycled && cap(b) == 1<<class {
		r.pools[class].Put(&b)
	}
}
