package warehouse

import (
	"slices"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

// Snapshot is one state of the warehouse; it never changes. Safe for
// concurrent use.
type Snapshot struct {
	w        *Warehouse
	manifest *Manifest
	root     string
	segments map[string]map[int][]Segment // by table and bucket, in order of delivery
	keys     map[havre.DeliveryID]*fileKeys
}

func newSnapshot(w *Warehouse, m *Manifest, root string) *Snapshot {
	s := &Snapshot{w: w, manifest: m, root: root, segments: map[string]map[int][]Segment{}, keys: fileKeysOf(m)}
	rank := map[havre.DeliveryID]int{}
	for i, d := range m.Deliveries {
		rank[d.Delivery] = i
	}
	for _, e := range m.Segments {
		if s.segments[e.Table] == nil {
			s.segments[e.Table] = map[int][]Segment{}
		}
		s.segments[e.Table][e.Bucket] = append(s.segments[e.Table][e.Bucket], e)
	}
	for _, buckets := range s.segments {
		for _, list := range buckets {
			slices.SortStableFunc(list, func(a, b Segment) int { return rank[a.Delivery] - rank[b.Delivery] })
		}
	}
	return s
}

// Manifest is the snapshot's manifest; the caller must not change it.
func (s *Snapshot) Manifest() *Manifest { return s.manifest }

// Root is the Merkle root of the manifest, hex: the snapshot's name to the outside.
func (s *Snapshot) Root() string { return s.root }

// Number is the snapshot's number, from 0.
func (s *Snapshot) Number() int64 { return s.manifest.Number }

// Buckets is the number of buckets.
func (s *Snapshot) Buckets() int { return s.manifest.Buckets }

// BucketOf is the bucket of a person.
func (s *Snapshot) BucketOf(p havre.PersonID) int { return s.w.bucketOf(p) }

// Segments names the objects that a table's rows in a bucket come from
// (ingest.Unbucketed for tables that are not about persons), in the order in
// which they are read. The same name is the same rows.
func (s *Snapshot) Segments(table string, bucket int) []string {
	var out []string
	for _, e := range s.segments[table][bucket] {
		out = append(out, e.Object)
	}
	return out
}

// Only gives a snapshot that has, of one table in one bucket, some segments, and
// nothing else.
func (s *Snapshot) Only(table string, bucket int, objects []string) *Snapshot {
	few := *s
	few.segments = map[string]map[int][]Segment{table: {}}
	for _, e := range s.segments[table][bucket] {
		if slices.Contains(objects, e.Object) {
			few.segments[table][bucket] = append(few.segments[table][bucket], e)
		}
	}
	return &few
}

// Rows is the number of rows stored of each table, before persons and
// observation periods of several holders are resolved.
func (s *Snapshot) Rows() map[string]int64 {
	rows := map[string]int64{}
	for _, e := range s.manifest.Segments {
		rows[e.Table] += e.Rows
	}
	return rows
}

// Delivery gives the account of a delivery.
func (s *Snapshot) Delivery(id havre.DeliveryID) (ingest.Account, bool) {
	for _, d := range s.manifest.Deliveries {
		if d.Delivery == id {
			return d, true
		}
	}
	return ingest.Account{}, false
}
