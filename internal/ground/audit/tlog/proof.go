package tlog

import (
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"

	"github.com/havre-hub/havre/internal/havre"
)

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// Inclusion proves that the log of checkpoint c holds an entry at index: the
// hashes of RFC 6962, 2.1.1, checked against c before they are returned with
// the entry's bytes.
func (r *Reader) Inclusion(c Checkpoint, index int64) (entry []byte, hashes [][]byte, err error) {
	if index < 0 || index >= c.Size {
		return nil, nil, havre.E("audit.proof", havre.NotFound, "the log covers "+plural(c.Size, "entry", "entries")+" and has none at position "+itoa(index))
	}
	bundle, err := r.bundle(index/Width, c.Size)
	if int64(len(bundle)) <= index%Width {
		return nil, nil, err
	}
	entry = bundle[index%Width]
	nodes, err := proof.Inclusion(uint64(index), uint64(c.Size))
	if err != nil {
		return nil, nil, havre.E("audit.proof", havre.Internal, "the proof cannot be planned").Wrap(err)
	}
	if hashes, err = r.nodes(nodes, c.Size); err != nil {
		return nil, nil, err
	}
	if err := CheckInclusion(c, index, entry, hashes); err != nil {
		return nil, nil, err
	}
	return entry, hashes, nil
}

// CheckInclusion says whether the hashes prove that entry stands at index.
func CheckInclusion(c Checkpoint, index int64, entry []byte, hashes [][]byte) error {
	if index < 0 || index >= c.Size {
		return tampered("entry %d lies beyond the checkpoint of %d entries", index, c.Size)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(c.Size), LeafHash(entry), hashes, c.Root[:]); err != nil {
		return tampered("entry %d is not the one that the checkpoint of %d entries covers", index, c.Size).Wrap(err)
	}
	return nil
}

// Entry reads the entry at index and proves it against the newest checkpoint.
func (r *Reader) Entry(index int64) (Record, error) {
	c, err := r.Checkpoint()
	if err != nil {
		return Record{}, err
	}
	raw, _, err := r.Inclusion(c, index)
	if err != nil {
		return Record{}, err
	}
	e, err := ParseEntry(raw)
	return Record{index, e}, err
}

// Consistency proves that the log of the later checkpoint begins with the log
// of the earlier one (RFC 6962, 2.1.2).
func (r *Reader) Consistency(earlier, later Checkpoint) ([][]byte, error) {
	if earlier.Size > later.Size {
		return nil, tampered("the checkpoint of %d entries is older than the one of %d", later.Size, earlier.Size)
	}
	if earlier.Size == 0 {
		return nil, CheckConsistency(earlier, later, nil)
	}
	nodes, err := proof.Consistency(uint64(earlier.Size), uint64(later.Size))
	if err != nil {
		return nil, havre.E("audit.proof", havre.Internal, "the proof cannot be planned").Wrap(err)
	}
	hashes, err := r.nodes(nodes, later.Size)
	if err != nil {
		return nil, err
	}
	return hashes, CheckConsistency(earlier, later, hashes)
}

// CheckConsistency says whether the hashes prove that later continues earlier.
func CheckConsistency(earlier, later Checkpoint, hashes [][]byte) error {
	if earlier.Size == 0 && earlier.RootHex() != emptyRoot {
		return tampered("the checkpoint of an empty log has entries under its root")
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(earlier.Size), uint64(later.Size), hashes, earlier.Root[:], later.Root[:]); err != nil {
		return tampered("the log of %d entries does not continue the log of %d entries: its past was rewritten", later.Size, earlier.Size).Wrap(err)
	}
	return nil
}

// RootFromTiles computes the root of a log of size entries from its tiles.
func (r *Reader) RootFromTiles(size int64) ([]byte, error) { return r.RootAt(size, size) }

// RootAt computes the root that a log had when it had size entries, from the
// tiles of now, when it has so many more.
func (r *Reader) RootAt(size, now int64) ([]byte, error) {
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	ids := compact.RangeNodes(0, uint64(size), nil)
	cache := map[[2]int64][][]byte{}
	hashes := make([][]byte, len(ids))
	for i, id := range ids {
		h, err := r.node(id, now, cache)
		if err != nil {
			return nil, err
		}
		hashes[i] = h
	}
	rg, err := ranges.NewRange(0, uint64(size), hashes)
	if err != nil {
		return nil, havre.E("audit.proof", havre.Internal, "the root cannot be computed").Wrap(err)
	}
	return rg.GetRootHash(nil)
}

func (r *Reader) nodes(n proof.Nodes, size int64) ([][]byte, error) {
	cache := map[[2]int64][][]byte{}
	hashes := make([][]byte, len(n.IDs))
	for i, id := range n.IDs {
		h, err := r.node(id, size, cache)
		if err != nil {
			return nil, err
		}
		hashes[i] = h
	}
	out, err := n.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	if err != nil {
		return nil, havre.E("audit.proof", havre.Internal, "the proof cannot be put together").Wrap(err)
	}
	return out, nil
}

// node gives the hash of a complete subtree, read from its tile or computed
// from the tile's hashes below it.
func (r *Reader) node(id compact.NodeID, size int64, cache map[[2]int64][][]byte) ([]byte, error) {
	level, index, inLevel, inIndex := layout.NodeCoordsToTileAddress(uint64(id.Level), id.Index)
	key := [2]int64{int64(level), int64(index)}
	tile, ok := cache[key]
	if !ok {
		var err error
		if tile, err = r.tile(key[0], key[1], size); err != nil {
			return nil, err
		}
		cache[key] = tile
	}
	first, n := int(inIndex)<<inLevel, 1<<inLevel
	if first+n > len(tile) {
		return nil, tampered("tile %d/%d is cut short", level, index)
	}
	rg := ranges.NewEmptyRange(0)
	for _, h := range tile[first : first+n] {
		if err := rg.Append(h, nil); err != nil {
			return nil, havre.E("audit.proof", havre.Internal, "a subtree cannot be computed").Wrap(err)
		}
	}
	return rg.GetRootHash(nil)
}
