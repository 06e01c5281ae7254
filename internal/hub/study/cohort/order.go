package cohort

import (
	"cmp"
	"slices"
)

// sort puts the events in order: by person (a counting sort), then start, then
// event id. Ids are unique within one holder only, so events that are still
// equal are told apart by all else that was read of them: then the order, and
// with it what "first" means, does not hang on how rows came to lie in the
// store.
func (e *events) sort(persons int) {
	n := len(e.person)
	e.first = make([]int32, persons+1)
	for _, p := range e.person {
		e.first[p+1]++
	}
	for i := range persons {
		e.first[i+1] += e.first[i]
	}
	order := make([]int32, n)
	fill := slices.Clone(e.first)
	for i, p := range e.person {
		order[fill[p]] = int32(i)
		fill[p]++
	}
	for i := range persons {
		if mine := order[e.first[i]:e.first[i+1]]; len(mine) > 1 {
			slices.SortFunc(mine, e.compare)
		}
	}
	e.person = nil
	e.id = permute(e.id, order)
	e.start = permute(e.start, order)
	e.end = permute(e.end, order)
	e.standard = permute(e.standard, order)
	e.source = permute(e.source, order)
	e.sourceID = permute(e.sourceID, order)
	for i := range e.extra {
		c := &e.extra[i]
		c.ints, c.floats, c.ok = permute(c.ints, order), permute(c.floats, order), permute(c.ok, order)
	}
}

func (e *events) compare(a, b int32) int {
	if c := cmp.Compare(e.start[a], e.start[b]); c != 0 {
		return c
	}
	if c := cmp.Compare(e.id[a], e.id[b]); c != 0 {
		return c
	}
	return e.compareRest(a, b)
}

func (e *events) compareRest(a, b int32) int {
	if c := firstOrder(e.end[a], e.end[b], e.standard[a], e.standard[b], e.source[a], e.source[b]); c != 0 {
		return c
	}
	if len(e.sourceID) > 0 {
		if c := cmp.Compare(e.sourceID[a], e.sourceID[b]); c != 0 {
			return c
		}
	}
	for i := range e.extra {
		x := &e.extra[i]
		if x.ok[a] != x.ok[b] {
			if x.ok[a] {
				return -1
			}
			return 1
		}
		if !x.ok[a] {
			continue
		}
		c := 0
		if x.ints != nil {
			c = cmp.Compare(x.ints[a], x.ints[b])
		} else {
			c = cmp.Compare(x.floats[a], x.floats[b])
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// firstOrder compares pairs one after another and gives the first difference.
func firstOrder[T cmp.Ordered](pairs ...T) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		if c := cmp.Compare(pairs[i], pairs[i+1]); c != 0 {
			return c
		}
	}
	return 0
}

// permute gives the values in a new order; nil stays nil.
func permute[T any](values []T, order []int32) []T {
	if values == nil {
		return nil
	}
	out := make([]T, len(order))
	for i, from := range order {
		out[i] = values[from]
	}
	return out
}
