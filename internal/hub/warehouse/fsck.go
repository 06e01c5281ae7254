package warehouse

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/parquet/file"
	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// SafetyAge is how old an orphan must be before it is collected: a batch that
// is being written looks like orphans until it commits.
const SafetyAge = 24 * time.Hour

// FsckOptions say what Fsck does besides looking.
type FsckOptions struct {
	Collect bool          // delete orphans older than Age
	Age     time.Duration // 0 = SafetyAge; negative = any age: only when nothing else works on the warehouse
}

// Fault is one thing that is not as it must be.
type Fault struct {
	Object  string     `json:"object"`
	Kind    havre.Kind `json:"kind"`
	Problem string     `json:"problem"`
}

// FsckReport is what Fsck found.
type FsckReport struct {
	Snapshots   int      `json:"snapshots"`
	Root        string   `json:"root"`     // of the current snapshot
	Segments    int      `json:"segments"` // distinct, of all snapshots
	Rejected    int      `json:"rejected"`
	Bytes       int64    `json:"bytes"`     // of ciphertext checked
	Rows        int64    `json:"rows"`      // in the current snapshot
	Destroyed   int      `json:"destroyed"` // objects of snapshots whose key was destroyed
	Faults      []Fault  `json:"faults"`
	Orphans     []string `json:"orphans"` // objects of no snapshot
	OrphanBytes int64    `json:"orphan_bytes"`
	Collected   int      `json:"collected"`
}

// Fsck reads the whole warehouse and checks all that can be checked: each
// manifest's seal, MAC, Merkle root and parent; each object's ciphertext hash,
// seal, plaintext hash and row count. Faults are reported, not returned; an error
// means that the check itself could not be done. Orphans are never collected
// while a manifest is unreadable, because they may be its segments.
func (w *Warehouse) Fsck(ctx context.Context, o FsckOptions, p havre.Progress) (FsckReport, error) {
	if p == nil {
		p = havre.NoProgress
	}
	f := &fsck{w: w, FsckReport: FsckReport{Faults: []Fault{}, Orphans: []string{}}, known: map[string]bool{}, gone: map[string]bool{}}
	if err := f.snapshots(ctx, p); err != nil {
		return f.FsckReport, err
	}
	unreadable := len(f.Faults) > 0
	if err := f.objects(ctx, p); err != nil {
		return f.FsckReport, err
	}
	if err := f.orphans(ctx, o, unreadable, p); err != nil {
		return f.FsckReport, err
	}
	return f.FsckReport, nil
}

type fsck struct {
	w        *Warehouse
	known    map[string]bool // objects that some snapshot names
	gone     map[string]bool // such ones whose key was destroyed
	segments []found
	rejected []Rejected

	mu sync.Mutex // guards the report
	FsckReport
}

// found is a segment and what opens it.
type found struct {
	Segment
	keys *fileKeys
}

// fault reports err against an object; an error that says nothing of the
// object itself (the store is away, the user stopped) is given back.
func (f *fsck) fault(object string, err error) error {
	switch kind := havre.KindOf(err); kind {
	case "":
		return nil
	case havre.Tampered, havre.NotFound, havre.KeyUnavailable, havre.Invalid:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.Faults = append(f.Faults, Fault{object, kind, err.Error()})
		return nil
	}
	return err
}

func (f *fsck) snapshots(ctx context.Context, p havre.Progress) error {
	last, err := f.w.highest(ctx)
	if err != nil {
		return err
	}
	c := p.Step("snapshots", last+1, "snapshots")
	defer c.Done()
	parent := ""
	for n := range last + 1 {
		f.Snapshots++
		s, err := f.w.At(ctx, n)
		if err := f.fault(snapshotName(n), err); err != nil {
			return err
		}
		c.Add(1)
		if err != nil {
			parent = ""
			continue
		}
		m := s.manifest
		if n > 0 && (m.Parent == nil || m.Parent.Number != n-1 || parent != "" && m.Parent.Root != parent) {
			f.Faults = append(f.Faults, Fault{snapshotName(n), havre.Tampered, "its parent is not the snapshot before it"})
		}
		parent, f.Root, f.Rows = s.root, s.root, 0
		for _, e := range m.Segments {
			f.Rows += e.Rows
			if f.first(e.Object, e.Delivery) {
				f.segments = append(f.segments, found{e, s.keys[e.Delivery]})
			}
		}
		for _, r := range m.Rejected {
			if f.first(r.Object, r.Delivery) {
				f.rejected = append(f.rejected, r)
			}
		}
	}
	f.Segments, f.Rejected = len(f.segments), len(f.rejected)
	return nil
}

// first says whether an object is seen for the first time and should be there.
func (f *fsck) first(object string, d havre.DeliveryID) bool {
	if f.known[object] {
		return false
	}
	if f.w.c.Keys.destroyed(d) { // it may be gone too; what is left of it is an orphan
		f.gone[object] = true
		f.Destroyed = len(f.gone)
		return false
	}
	f.known[object] = true
	return true
}

func (f *fsck) objects(ctx context.Context, p havre.Progress) error {
	c := p.Step("objects", int64(len(f.segments)+len(f.rejected)), "objects")
	defer c.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, e := range f.segments {
		g.Go(func() error {
			defer c.Add(1)
			return f.fault(e.Object, f.segment(ctx, e.Segment, e.keys))
		})
	}
	for _, r := range f.rejected {
		g.Go(func() error {
			defer c.Add(1)
			return f.fault(r.Object, f.rejectedObject(ctx, r))
		})
	}
	err := g.Wait()
	slices.SortFunc(f.Faults, func(a, b Fault) int { return strings.Compare(a.Object, b.Object) })
	return err
}

func (f *fsck) segment(ctx context.Context, e Segment, keys *fileKeys) error {
	plain, err := f.w.openWhole(ctx, e, keys)
	if err != nil {
		return err
	}
	f.count(e.Size)
	damaged := (&source{entry: e}).damaged
	r, err := file.NewParquetReader(bytes.NewReader(plain))
	if err != nil {
		return damaged("it is not Parquet", err)
	}
	if r.NumRows() != e.Rows {
		return damaged(fmt.Sprintf("it holds %d rows and the snapshot says %d", r.NumRows(), e.Rows), nil)
	}
	return nil
}

func (f *fsck) rejectedObject(ctx context.Context, r Rejected) error {
	ciphertext, err := blob.GetAll(ctx, f.w.c.Store, r.Object)
	if err != nil {
		return err
	}
	f.count(r.Size)
	if objectName("rejected", ciphertext) != r.Object {
		return havre.E("fsck", havre.Tampered, "object "+r.Object+": its bytes are not those that its name promises")
	}
	keys, err := f.w.c.Keys.opens(r.Delivery)
	if err == nil {
		_, err = seal.Open(ciphertext, keys...)
	}
	return err
}

func (f *fsck) count(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Bytes += n
}

func (f *fsck) orphans(ctx context.Context, o FsckOptions, unreadable bool, p havre.Progress) error {
	if o.Age == 0 {
		o.Age = SafetyAge
	}
	before := f.w.c.Now().Add(-o.Age)
	if o.Age < 0 {
		before = time.Time{}
	}
	c := p.Step("orphans", -1, "objects")
	defer c.Done()
	var old []string
	for _, prefix := range []string{"segment/", "rejected/"} {
		for info, err := range f.w.c.Store.List(ctx, prefix) {
			if err != nil {
				return err
			}
			c.Add(1)
			if f.known[info.Name] {
				continue
			}
			f.Orphans = append(f.Orphans, info.Name)
			f.OrphanBytes += info.Size
			if o.Age < 0 || !info.Modified.IsZero() && info.Modified.Before(before) {
				old = append(old, info.Name)
			}
		}
	}
	if !o.Collect {
		return nil
	}
	if unreadable {
		return havre.E("fsck", havre.Refused, "orphans were not collected, because a snapshot manifest is damaged and they may be its segments").
			WithHint("restore the manifest first")
	}
	for _, name := range old {
		if err := f.w.c.Store.Delete(ctx, name); err != nil {
			return err
		}
		f.Collected++
	}
	return nil
}
