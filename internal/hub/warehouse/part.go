package warehouse

import (
	"slices"

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

// Part gives the segments of some tables in some buckets (ingest.Unbucketed for
// tables that are not about persons), in the order in which they are read, so
// that a machine without the dataset's key can read these and nothing else.
func (s *Snapshot) Part(tables []string, buckets []int) ([]PartSegment, error) {
	var out []PartSegment
	for _, t := range slices.Compact(slices.Sorted(slices.Values(tables))) {
		for _, b := range buckets {
			for _, e := range s.segments[t][b] {
				k, err := s.w.fileKey(e, s.keys[e.Delivery])
				if err != nil {
					return nil, err
				}
				out = append(out, PartSegment{e, k.Secret().Reveal()})
			}
		}
	}
	return out, nil
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
	w := &Warehouse{c: Config{Store: store}, buckets: buckets, cache: newCache(cache)}
	m := &Manifest{Format: Format, Number: number, Buckets: buckets}
	keys := map[string]seal.FileKey{}
	for _, p := range parts {
		m.Segments = append(m.Segments, p.Segment)
		keys[p.Object] = seal.NewFileKey(havre.NewSecret(p.FileKey))
	}
	s := newSnapshot(w, m, root)
	for _, p := range parts {
		s.keys[p.Delivery] = opened(keys)
	}
	return s
}
