// Package analysis holds the analyses that a study can name. Each maps a
// bucket of persons to a tally of whole numbers, so that tallies merge exactly
// in any order; rates, ratios and intervals are made at the very end.
package analysis

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"

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

// encodedCell is one cell; its fields are in the order of their names.
type encodedCell struct {
	Key []string `json:"key"`
	Max []int64  `json:"max"`
	Sum []int64  `json:"sum"`
}

// Encode is as in study.Partial: the cells by key.
func (t *tally) Encode() ([]byte, error) {
	out := make([]encodedCell, 0, len(t.cells))
	for _, key := range sortedKeys(t.cells) {
		n := t.cells[key]
		for _, v := range slices.Concat(n.sum, n.max) {
			if v < 0 || v > limit {
				return nil, havre.E("analysis.encode", havre.Internal, "a sum has grown beyond what can be written exactly")
			}
		}
		out = append(out, encodedCell{Key: strings.Split(key, keySeparator), Max: n.max, Sum: n.sum})
	}
	return study.CanonicalJSON(out)
}

// decodeTally reads what Encode wrote and accepts nothing else.
func decodeTally(data []byte, parts, sums, maxima int) (*tally, error) {
	bad := havre.E("analysis.decode", havre.Invalid, "a partial result is damaged or not one of this analysis")
	var cells []encodedCell
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cells); err != nil {
		return nil, bad.Wrap(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, bad
	}
	t := newTally(sums, maxima)
	for _, c := range cells {
		if len(c.Key) != parts || len(c.Sum) != sums || len(c.Max) != maxima {
			return nil, bad
		}
		t.at(strings.Join(c.Key, keySeparator)).add(&numbers{c.Sum, c.Max})
	}
	again, err := t.Encode()
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
