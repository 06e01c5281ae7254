// Package analysis holds the analyses that a study can name. Each maps a
// bucket of persons to a tally of whole numbers, so that tallies merge exactly
// in any order; rates, ratios and intervals are made at the very end.
package analysis

import (
	"bytes"
	"slices"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// tally is the partial result of every analysis here: numbers by key. Sums are
// added when tallies merge, of maxima the larger is kept. A person lies in one
// bucket only, so counts of persons add up.
type tally struct {
	sums, maxima int // how many of each a cell has
	cells        map[string]*numbers
}

type numbers struct {
	sum, max []int64
}

// limit bounds every number: beyond it JSON numbers are not exact.
const limit = 1<<53 - 1

// keySeparator joins the parts of a key; no category holds it.
const keySeparator = "\x1f"

func newTally(sums, maxima int) *tally {
	return &tally{sums: sums, maxima: maxima, cells: map[string]*numbers{}}
}

// at gives the cell of a key, making it if it is not there.
func (t *tally) at(key string) *numbers {
	n, ok := t.cells[key]
	if !ok {
		n = &numbers{sum: make([]int64, t.sums), max: make([]int64, t.maxima)}
		t.cells[key] = n
	}
	return n
}

// add merges numbers into a cell's.
func (n *numbers) add(o *numbers) {
	for i, v := range o.sum {
		n.sum[i] += v
	}
	for i, v := range o.max {
		n.max[i] = max(n.max[i], v)
	}
}

// Merge is as in study.Partial.
func (t *tally) Merge(other study.Partial) (study.Partial, error) {
	o, ok := other.(*tally)
	if !ok || o.sums != t.sums || o.maxima != t.maxima {
		return nil, havre.E("analysis.merge", havre.Internal, "partial results of two analyses cannot be merged")
	}
	for key, n := range o.cells {
		t.at(key).add(n)
	}
	return t, nil
}

// Encode is as in study.Partial: the cells by key.
func (t *tally) Encode() ([]byte, error) {
	out := make([]byte, 0, 2+48*len(t.cells))
	out = append(out, '[')
	for i, key := range sortedKeys(t.cells) {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendCell(out, key, t.cells[key]); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

// decodeTally reads what Encode wrote and accepts nothing else.
func decodeTally(data []byte, parts, sums, maxima int) (*tally, error) {
	bad := havre.E("analysis.decode", havre.Invalid, "a partial result is damaged or not one of this analysis")
	t := newTally(sums, maxima)
	s := cellScanner{left: data, parts: parts}
	s.expect("[")
	for !s.bad && !s.skip("]") {
		if len(t.cells) > 0 {
			s.expect(",")
		}
		if key, n := s.cell(sums, maxima); !s.bad {
			t.at(key).add(n)
		}
	}
	if s.bad || len(s.left) > 0 {
		return nil, bad
	}
	again, err := t.Encode() // the order of cells, and that none stands twice
	if err != nil || !bytes.Equal(again, data) {
		return nil, bad
	}
	return t, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
