package warehouse

import (
	"bytes"
	"context"
	"strconv"
	"sync"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

// Actions of the log entries around a commit; the subject is the snapshot's
// number, the facts hold its root.
const (
	IntentAction    = "snapshot.intent"
	CommittedAction = "snapshot.committed"
)

// Batch is what is to become the next snapshot. Objects are written as they
// are added and mean nothing until Commit; a batch that is dropped leaves them
// as orphans for Fsck. Safe for concurrent use, except Commit.
type Batch struct {
	w     *Warehouse
	actor havre.Personal[string]

	mu   sync.Mutex
	next Manifest
	keys map[string]seal.FileKey // of the segments that were added, by object

	sealed []byte // the snapshot object, once made: a repeated Commit writes the same bytes
	root   string
}

// Begin starts a batch on the current snapshot.
func (w *Warehouse) Begin(ctx context.Context, actor havre.Personal[string]) (*Batch, error) {
	s, err := w.Current(ctx)
	if err != nil {
		return nil, err
	}
	m := s.manifest
	next := Manifest{Format: Format, Number: m.Number + 1, Parent: &Parent{m.Number, s.root}, CDMVersion: m.CDMVersion, Buckets: m.Buckets}
	next.Deliveries = append(next.Deliveries, m.Deliveries...)
	next.Segments = append(next.Segments, m.Segments...)
	next.Rejected = append(next.Rejected, m.Rejected...)
	next.Keys = append(next.Keys, m.Keys...)
	return &Batch{w: w, actor: actor, next: next}, nil
}

// Buckets is the number of buckets.
func (b *Batch) Buckets() int { return b.w.buckets }

// BucketOf is the bucket of a person.
func (b *Batch) BucketOf(p havre.PersonID) int { return b.w.bucketOf(p) }

// Ingested gives the account of a delivery that is in the warehouse or in
// this batch.
func (b *Batch) Ingested(id havre.DeliveryID) (ingest.Account, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.next.Deliveries {
		if d.Delivery == id {
			return d, true
		}
	}
	return ingest.Account{}, false
}

// Add seals a segment and writes it.
func (b *Batch) Add(ctx context.Context, s ingest.Segment) error {
	if s.Rows < 1 || s.Bucket >= b.w.buckets || s.Bucket < ingest.Unbucketed {
		return havre.E("warehouse.add", havre.Internal, "a segment of "+s.Table+" has no rows or no such bucket")
	}
	name, ciphertext, key, err := b.put(ctx, "segment", s.Delivery, s.Parquet)
	if err != nil {
		return err
	}
	n := headSize(ciphertext)
	entry := Segment{Table: s.Table, Bucket: s.Bucket, Object: name, Size: int64(len(ciphertext)),
		Head: int64(n), HeadSHA: sum(ciphertext[:n]),
		Plain: int64(len(s.Parquet)), PlainSHA: sum(s.Parquet),
		Rows: s.Rows, First: s.First, Last: s.Last, Delivery: s.Delivery, HolderID: s.HolderID}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next.Segments = append(b.next.Segments, entry)
	if b.keys == nil {
		b.keys = map[string]seal.FileKey{}
	}
	b.keys[name] = key
	return nil
}

// Reject seals rejected rows and writes them.
func (b *Batch) Reject(ctx context.Context, d havre.DeliveryID, rows int64, csv []byte) error {
	name, ciphertext, _, err := b.put(ctx, "rejected", d, csv)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next.Rejected = append(b.next.Rejected, Rejected{Object: name, Size: int64(len(ciphertext)), Rows: rows, Delivery: d})
	return nil
}

func (b *Batch) put(ctx context.Context, kind string, d havre.DeliveryID, plain []byte) (name string, ciphertext []byte, key seal.FileKey, err error) {
	to, err := b.w.c.Keys.seals(d)
	if err != nil {
		return "", nil, key, err
	}
	if ciphertext, key, err = seal.SealKeyed(plain, to...); err != nil {
		return "", nil, key, err
	}
	name = objectName(kind, ciphertext)
	return name, ciphertext, key, blob.PutSame(ctx, b.w.c.Store, name, ciphertext)
}

// headSize is the length of what comes before an age file's payload: the
// header, whose last line is its MAC, and a nonce of 16 bytes. The payload's
// key follows from these bytes and the recipient's, so whoever has checked them
// and reads authenticated chunks reads the sealed object and no other.
func headSize(ciphertext []byte) int {
	mac := bytes.Index(ciphertext, []byte("\n--- "))
	line := bytes.IndexByte(ciphertext[mac+1:], '\n')
	return mac + 1 + line + 1 + 16
}

// Account closes a delivery: its rows in this batch must be those it says.
func (b *Batch) Account(a ingest.Account) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var stored, rejected, kept int64
	for _, s := range b.next.Segments {
		if s.Delivery == a.Delivery {
			stored += s.Rows
		}
	}
	for _, r := range b.next.Rejected {
		if r.Delivery == a.Delivery {
			kept += r.Rows
		}
	}
	for _, n := range a.Rejected() {
		rejected += n
	}
	if stored != a.Stored() || kept != rejected || a.RowsIn() != stored+rejected {
		return havre.E("warehouse.account", havre.Internal, "delivery "+string(a.Delivery)+": the segments hold "+strconv.FormatInt(stored, 10)+
			" rows and "+strconv.FormatInt(kept, 10)+" are kept aside, which is not what its account says")
	}
	for _, d := range b.next.Deliveries {
		if d.Delivery == a.Delivery {
			return havre.E("warehouse.account", havre.Exists, "delivery "+string(a.Delivery)+" is in the warehouse already")
		}
	}
	b.next.Deliveries = append(b.next.Deliveries, a)
	return nil
}

// Commit puts the snapshot in force, in one atomic step, and gives it. A batch
// into which nothing came gives the current snapshot and writes nothing. It
// fails with Locked if another batch was committed since Begin; what this one
// wrote is then orphaned. After a StoreUnavailable, or an error of the log, it
// may be called again: the same snapshot is written at most once.
func (b *Batch) Commit(ctx context.Context) (*Snapshot, error) {
	current, err := b.w.Current(ctx)
	if err != nil {
		return nil, err
	}
	if len(b.next.Deliveries) == len(current.manifest.Deliveries) && current.root == b.next.Parent.Root {
		return current, nil
	}
	closed := map[havre.DeliveryID]bool{}
	for _, d := range b.next.Deliveries {
		closed[d.Delivery] = true
	}
	for _, s := range b.next.Segments {
		if !closed[s.Delivery] {
			return nil, havre.E("warehouse.commit", havre.Internal, "delivery "+string(s.Delivery)+" has segments and no account: it was not taken in whole")
		}
	}
	return b.commit(ctx)
}

func (b *Batch) commit(ctx context.Context) (*Snapshot, error) {
	if b.sealed == nil {
		b.next.Created = b.w.c.Now().UTC().Truncate(1e9)
		if b.next.Deliveries == nil {
			b.next.Deliveries = []ingest.Account{}
		}
		if b.next.Segments == nil {
			b.next.Segments = []Segment{}
		}
		if b.next.Rejected == nil {
			b.next.Rejected = []Rejected{}
		}
		if b.next.Keys == nil {
			b.next.Keys = []FileKeys{}
		}
		b.next.sorted()
		if err := b.sealKeys(); err != nil {
			return nil, err
		}
		plain, root, err := encode(&b.next, b.w.c.Keys.Bucket)
		if err != nil {
			return nil, err
		}
		if b.sealed, err = seal.Seal(plain, b.w.c.Keys.To...); err != nil {
			return nil, err
		}
		b.root = root
	}
	if err := b.record(ctx, IntentAction); err != nil {
		return nil, err
	}
	err := blob.PutSame(ctx, b.w.c.Store, snapshotName(b.next.Number), b.sealed)
	if havre.KindOf(err) == havre.Exists {
		return nil, havre.E("warehouse.commit", havre.Locked, "another process committed snapshot "+strconv.FormatInt(b.next.Number, 10)+" first").
			WithHint("ingest again on the new snapshot; havre fsck --collect removes what this attempt left").Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	if err := b.record(ctx, CommittedAction); err != nil {
		return nil, err
	}
	m := b.next
	return newSnapshot(b.w, &m, b.root), nil
}

func (b *Batch) record(ctx context.Context, action string) error {
	var rows int64
	for _, s := range b.next.Segments {
		rows += s.Rows
	}
	facts := map[string]string{
		"root": b.root, "segments": strconv.Itoa(len(b.next.Segments)), "rows": strconv.FormatInt(rows, 10),
		"deliveries": strconv.Itoa(len(b.next.Deliveries)),
	}
	if p := b.next.Parent; p != nil {
		facts["parent"] = p.Root
	}
	_, err := b.w.c.Log.Record(ctx, audit.Event{Action: action, Actor: b.actor, Subject: strconv.FormatInt(b.next.Number, 10), Facts: facts})
	return err
}
