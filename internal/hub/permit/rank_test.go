package permit

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRank compares with sorting whole rows.
func TestRank(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		ids, holders := make([]int64, r.IntN(300)), make([]int64, 0, 300)
		width := 1 + r.IntN(64)
		for i := range ids {
			ids[i] = int64(r.Uint64()) >> (64 - width)
			if r.IntN(40) == 0 {
				ids[i] = []int64{math.MinInt64, math.MaxInt64, 0, -1}[r.IntN(4)]
			}
			holders = append(holders, int64(1+r.IntN(3)))
		}
		order := make([]int, len(ids))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			return cmp.Or(cmp.Compare(ids[a], ids[b]), cmp.Compare(holders[a], holders[b]))
		})
		want := make([]int64, len(ids))
		for at, i := range order {
			want[i] = int64(at) + 1
		}
		if got := rank(ids, holders); !slices.Equal(got, want) {
			t.Fatalf("ids %v of holders %v: ranks %v, want %v", ids, holders, got, want)
		}
	}
}
