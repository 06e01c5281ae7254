package move

import (
	"context"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// leaf is one object in the tree over all objects; its canonical JSON is hashed.
type leaf struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	SHA  string `json:"sha256"`
}

const page = 2000 // rows of the journal read at once

// roots computes the Merkle tree hash (RFC 6962, section 2.1) over all objects
// sorted by name, once by the hashes read from the old store and once by those
// read back from the new one. An object that was not read back is an error.
func (m *Mover) roots(ctx context.Context) (root, back string, err error) {
	f := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	trees := [2]*compact.Range{f.NewEmptyRange(0), f.NewEmptyRange(0)}
	for after := ""; ; {
		rows, err := m.rows(ctx, "true", after, page)
		if err != nil {
			return "", "", err
		}
		for _, o := range rows {
			for i, sum := range [][]byte{o.sum, o.back} {
				if len(sum) != 32 {
					return "", "", havre.E(op, havre.Internal, "the object "+o.name+" was not read back").
						WithHint("run the last step again")
				}
				b, err := sign.Canonical(leaf{o.name, o.size, hexOf(sum)})
				if err == nil {
					err = trees[i].Append(rfc6962.DefaultHasher.HashLeaf(b), nil)
				}
				if err != nil {
					return "", "", havre.E(op, havre.Internal, "the tree over the objects cannot be built").Wrap(err)
				}
			}
		}
		if len(rows) < page {
			break
		}
		after = rows[len(rows)-1].name
	}
	var out [2]string
	for i, t := range trees {
		h, err := t.GetRootHash(nil)
		if err != nil {
			return "", "", havre.E(op, havre.Internal, "the tree over the objects cannot be built").Wrap(err)
		}
		if t.End() == 0 {
			h = rfc6962.DefaultHasher.EmptyRoot()
		}
		out[i] = hexOf(h)
	}
	return out[0], out[1], nil
}
