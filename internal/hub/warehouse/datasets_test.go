package warehouse_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/audit/audittest"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// datasets is a ring that is only memory.
type datasets struct {
	mu   sync.Mutex
	keys map[havre.DeliveryID]*seal.Key
	gone map[havre.DeliveryID]bool
}

func (d *datasets) key(id havre.DeliveryID, make bool) (*seal.Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone[id] {
		return nil, havre.E("test", havre.KeyUnavailable, "destroyed").Wrap(seal.ErrDestroyed)
	}
	if d.keys[id] == nil {
		if !make {
			return nil, havre.E("test", havre.KeyUnavailable, "never made")
		}
		k, err := seal.NewKey()
		if err != nil {
			return nil, err
		}
		d.keys[id] = k
	}
	return d.keys[id], nil
}

func (d *datasets) destroy(id havre.DeliveryID) *seal.Key {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[id]
	delete(d.keys, id)
	d.gone[id] = true
	return k
}

// TestShred: a destroyed delivery is gone from the store and from every copy
// of it, the others are whole, and the check of the store finds no fault.
func TestShred(t *testing.T) {
	ctx := context.Background()
	ring := &datasets{keys: map[havre.DeliveryID]*seal.Key{}, gone: map[havre.DeliveryID]bool{}}
	c := warehousetest.Config(t, warehousetest.Store(t))
	c.Keys.Dataset = ring.key
	w := warehousetest.Create(t, c, 2)
	warehousetest.Take(t, w, small(), 1)
	_, full := warehousetest.Take(t, w, small(), 2)
	first, second := full.Manifest().Deliveries[0].Delivery, full.Manifest().Deliveries[1].Delivery
	rows := full.Rows()
	backup := copyStore(t, c.Store)

	ring.destroy(first)
	dead := []havre.DeliveryID{first}
	s, err := w.Shred(ctx, dead, warehousetest.Actor)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Shred(ctx, dead, warehousetest.Actor)
	if err != nil || again != s || s.Objects == 0 || s.Bytes == 0 || s.Number != full.Number()+1 {
		t.Errorf("%+v, then %+v, %v", s, again, err)
	}
	now, err := w.Current(ctx)
	if err != nil || now.Root() != s.Root {
		t.Fatalf("%v", err)
	}
	for table, n := range now.Rows() {
		if n*2 != rows[table] {
			t.Errorf("%s: %d rows of %d", table, n, rows[table])
		}
	}
	if got := warehousetest.AllRows(t, now, conditions); len(got) == 0 {
		t.Error("the other delivery went too")
	}
	if _, ok := now.Delivery(first); ok {
		t.Error("the destroyed delivery is still in force")
	}
	r, err := w.Fsck(ctx, warehouse.FsckOptions{}, nil)
	if err != nil || len(r.Faults) != 0 || len(r.Orphans) != 0 || r.Destroyed != s.Objects {
		t.Errorf("fsck: %+v, %v", r, err)
	}

	// The hub with a store that was brought back from a backup.
	c.Store = backup
	c.Log = &audittest.Diary{}
	if w, err = warehouse.Open(ctx, c); err != nil {
		t.Fatal(err)
	}
	old, err := w.At(ctx, full.Number())
	if err != nil {
		t.Fatal(err)
	}
	for b := range old.Buckets() {
		batches, err := old.Read(ctx, b, conditions)
		if !errors.Is(err, seal.ErrDestroyed) || havre.KindOf(err) != havre.KeyUnavailable {
			t.Errorf("bucket %d of the backup: %d batches, %v", b, len(batches), err)
		}
	}
	if _, err := old.OpenSQL(ctx, []string{"condition_occurrence"}, nil, duck.Options{}); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("SQL over the backup: %v", err)
	}
	if _, err := old.Part([]string{"condition_occurrence"}, []int{0, 1}); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("parts for another machine: %v", err)
	}
	living, _ := ring.key(second, false)
	for _, e := range old.Manifest().Segments {
		sealed, err := blob.GetAll(ctx, backup, e.Object)
		if err != nil {
			t.Fatal(err)
		}
		_, err = seal.Open(sealed, living, c.Keys.Open[0])
		if open := err == nil; open != (e.Delivery == second) {
			t.Errorf("%s of %s: opens %v", e.Object, e.Delivery, open)
		}
	}
}

// TestShredCut: stopped at any write, it is finished by doing it again.
func TestShredCut(t *testing.T) {
	ctx := context.Background()
	for n := 1; ; n++ {
		ring := &datasets{keys: map[havre.DeliveryID]*seal.Key{}, gone: map[havre.DeliveryID]bool{}}
		c := warehousetest.Config(t, warehousetest.Store(t))
		c.Keys.Dataset = ring.key
		w := warehousetest.Create(t, c, 2)
		_, full := warehousetest.Take(t, w, small(), 1)
		warehousetest.Take(t, w, small(), 2)
		first := full.Manifest().Deliveries[0].Delivery
		ring.destroy(first)
		broken := c
		left := n
		broken.Store = deleting{c.Store, &left}
		broken.Log = &audittest.Diary{Fail: func(audit.Event) error { left--; return cutAt(left) }}
		bw, err := warehouse.Open(ctx, broken)
		if err != nil {
			t.Fatal(err)
		}
		_, err = bw.Shred(ctx, []havre.DeliveryID{first}, warehousetest.Actor)
		if err == nil {
			if n < 4 {
				t.Fatalf("only %d writes were cut", n)
			}
			return
		}
		s, err := w.Shred(ctx, []havre.DeliveryID{first}, warehousetest.Actor)
		if err != nil || s.Objects == 0 {
			t.Fatalf("cut at write %d: %+v, %v", n, s, err)
		}
		r, err := w.Fsck(ctx, warehouse.FsckOptions{}, nil)
		if err != nil || len(r.Faults) != 0 || len(r.Orphans) != 0 {
			t.Fatalf("cut at write %d: %+v, %v", n, r, err)
		}
	}
}

// deleting fails the deletion or write that finds nothing left.
type deleting struct {
	blob.Store
	left *int
}

func cutAt(left int) error {
	if left <= 0 {
		return havre.E("test", havre.StoreUnavailable, "cut")
	}
	return nil
}

func (d deleting) Delete(ctx context.Context, name string) error {
	*d.left--
	if err := cutAt(*d.left); err != nil {
		return err
	}
	return d.Store.Delete(ctx, name)
}

func (d deleting) Put(ctx context.Context, name string, b []byte) error {
	*d.left--
	if err := cutAt(*d.left); err != nil {
		return err
	}
	return d.Store.Put(ctx, name, b)
}

func copyStore(t *testing.T, from blob.Store) blob.Store {
	t.Helper()
	ctx := context.Background()
	to, err := file.Create(filepath.Join(t.TempDir(), "backup"))
	if err != nil {
		t.Fatal(err)
	}
	for info, err := range from.List(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		b, err := blob.GetAll(ctx, from, info.Name)
		if err == nil {
			err = to.Put(ctx, info.Name, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}
