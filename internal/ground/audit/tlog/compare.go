package tlog

import (
	"bytes"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// tree grows a Merkle tree hash by hash and keeps what is needed later: the
// roots at marked sizes, and the hashes of the tiles above level 0. A tree in
// which a hash is missing is broken and has no root from there on.
type tree struct {
	rg     *compact.Range
	broken bool
	marks  [][]byte   // root at each mark; nil when broken
	upper  [][][]byte // upper[l]: hashes of tile level l+1, in order
}

func newTree() *tree { return &tree{rg: ranges.NewEmptyRange(0)} }

// add takes in the i-th hash, or breaks the tree if there is none.
func (t *tree) add(hashes [][]byte, i int) {
	if i >= len(hashes) {
		t.broken = true
	}
	if t.broken {
		return
	}
	err := t.rg.Append(hashes[i], func(id compact.NodeID, hash []byte) {
		if id.Level == 0 || id.Level%8 != 0 {
			return
		}
		level := int(id.Level/8) - 1
		for len(t.upper) <= level {
			t.upper = append(t.upper, nil)
		}
		t.upper[level] = append(t.upper[level], hash)
	})
	t.broken = err != nil
}

func (t *tree) mark() {
	var root []byte
	if !t.broken {
		if t.rg.End() == 0 {
			root = rfc6962.DefaultHasher.EmptyRoot()
		} else if h, err := t.rg.GetRootHash(nil); err == nil {
			root = h
		}
	}
	t.marks = append(t.marks, root)
}

// compare says in which way the hashes of one bundle's entries differ from its
// tile. base is the position of the first entry and want their number.
func compare(base int64, want int, got, tile [][]byte) []Finding {
	if len(tile) < want {
		return nil // the tile itself is missing and was reported
	}
	first := 0
	for first < want && first < len(got) && bytes.Equal(got[first], tile[first]) {
		first++
	}
	place := make(map[string]int, want)
	for i, h := range tile {
		place[string(h)] = i
	}
	foreign := 0 // hashes that no entry of this bundle has
	for _, h := range got {
		if _, ok := place[string(h)]; !ok {
			foreign++
		}
	}
	switch at := base + int64(first); {
	case first == want:
		return nil
	case first == len(got):
		return []Finding{{at, "entries " + itoa(at) + " to " + itoa(base+int64(want)-1) + " were cut off"}}
	case (foreign > 0 || len(got) < want) && equalRuns(got[first:], tile[first+1:]):
		return []Finding{{at, "entry " + itoa(at) + " was removed; those after it moved up"}}
	case foreign > 0 && equalRuns(got[first+1:], tile[first:]):
		return []Finding{{at, "an entry was put in before entry " + itoa(at)}}
	}
	var found []Finding
	for i := first; i < want && i < len(got); i++ {
		if bytes.Equal(got[i], tile[i]) {
			continue
		}
		at, here := base+int64(i), "entry "+itoa(base+int64(i))
		if j, ok := place[string(got[i])]; ok {
			found = append(found, Finding{at, here + " was re-ordered: what stands there is entry " + itoa(base+int64(j))})
		} else {
			found = append(found, Finding{at, here + " was changed"})
		}
	}
	if len(got) < want {
		found = append(found, Finding{base + int64(len(got)), "entries " + itoa(base+int64(len(got))) + " to " + itoa(base+int64(want)-1) + " were cut off"})
	}
	return found
}

// equalRuns says whether the runs are the same as far as both go, and that far
// is at least one hash.
func equalRuns(a, b [][]byte) bool {
	n := min(len(a), len(b))
	for i := range n {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return n > 0
}
