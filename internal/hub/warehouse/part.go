package warehouse

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

// PartSegment is a segment with the key that opens it and no other.
type PartSegment struct {
	Segment
	FileKey []byte `json:"file_key"` // secret: whoever writes it anywhere seals it
}

// heads is how many segments' heads are fetched at once.
const heads = 16

// Part gives the segments of some tables in some buckets (ingest.Unbucketed for
// tables that are not about persons), in the order in which they are read, so
// that a machine without the dataset's key can read these and nothing else. It
// fetches the head of each from the store.
func (s *Snapshot) Part(ctx context.Context, tables []string, buckets []int) ([]PartSegment, error) {
	var out []PartSegment
	for _, t := range slices.Compact(slices.Sorted(slices.Values(tables))) {
		for _, b := range buckets {
			for _, e := range s.segments[t][b] {
				out = append(out, PartSegment{Segment: e})
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(heads)
	for i := range out {
		g.Go(func() error {
			e := &out[i]
			head, err := s.w.c.Store.Get(ctx, e.Object, 0, e.Head)
			if err != nil {
				return err
			}
			if sum(head) != e.HeadSHA {
				return (&source{entry: e.Segment}).damaged("it is not the object that the snapshot names", nil)
			}
			keys, err := s.w.c.Keys.opens(e.Delivery)
			if err != nil {
				return err
			}
			k, err := seal.FileKeyOf(head, keys...)
			if err != nil {
				return havre.E("warehouse.part", havre.KindOf(err), "segment "+e.Object+" could not be opened").Wrap(err)
			}
			e.FileKey = k.Secret().Reveal()
			return nil
		})
	}
	return out, g.Wait()
}

// Weights gives, for each bucket, the bytes of ciphertext that some tables have
// in it: what a bucket costs to read, nearly.
func (s *Snapshot) Weights(tables []string) []int64 {
	w := make([]int64, s.manifest.Buckets)
	for _, t := range slices.Compact(slices.Sorted(slices.Values(tables))) {
		for b, list := range s.segments[t] {
			if b == ingest.Unbucketed {
				continue
			}
			for _, e := range list {
				w[b] += e.Size
			}
		}
	}
	return w
}

// OpenPart gives a snapshot that can read the segments of parts and nothing
// else. Whoever calls it has seen to it that number, root, buckets and parts
// are the hub's. cache is as in Config.
func OpenPart(store blob.Store, number int64, root string, buckets int, parts []PartSegment, cache int64) *Snapshot {
	if cache <= 0 {
		cache = 256 << 20
	}
	w := &Warehouse{c: Config{Store: store}, buckets: buckets, cache: newCache(cache), fileKeys: map[string]seal.FileKey{}}
	m := &Manifest{Format: Format, Number: number, Buckets: buckets}
	for _, p := range parts {
		m.Segments = append(m.Segments, p.Segment)
		w.fileKeys[p.Object] = seal.NewFileKey(havre.NewSecret(p.FileKey))
	}
	return newSnapshot(w, m, root)
}
