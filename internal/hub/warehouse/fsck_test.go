package warehouse_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// replace puts other bytes under a name, as a host may.
func replace(t *testing.T, s blob.Store, name string, change func([]byte) []byte) {
	t.Helper()
	ctx := context.Background()
	data, err := blob.GetAll(ctx, s, name)
	if err == nil {
		err = s.Delete(ctx, name)
	}
	if err == nil {
		if data = change(data); data != nil {
			err = s.Put(ctx, name, data)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flip(b []byte) []byte {
	b[len(b)-20] ^= 1
	return b
}

func TestFsck(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		harm   func(t *testing.T, c warehouse.Config, m *warehouse.Manifest) string // gives the object harmed
		kind   havre.Kind
		faults int
	}{
		"nothing": {func(*testing.T, warehouse.Config, *warehouse.Manifest) string { return "" }, "", 0},
		"a bit turned in a segment": {func(t *testing.T, c warehouse.Config, m *warehouse.Manifest) string {
			replace(t, c.Store, m.Segments[0].Object, flip)
			return m.Segments[0].Object
		}, havre.Tampered, 1},
		"a segment gone": {func(t *testing.T, c warehouse.Config, m *warehouse.Manifest) string {
			replace(t, c.Store, m.Segments[1].Object, func([]byte) []byte { return nil })
			return m.Segments[1].Object
		}, havre.NotFound, 1},
		"rejected rows altered": {func(t *testing.T, c warehouse.Config, m *warehouse.Manifest) string {
			replace(t, c.Store, m.Rejected[0].Object, flip)
			return m.Rejected[0].Object
		}, havre.Tampered, 1},
		"a manifest altered": {func(t *testing.T, c warehouse.Config, m *warehouse.Manifest) string {
			replace(t, c.Store, "snapshot/000000000001", flip)
			return "snapshot/000000000001"
		}, havre.Tampered, 1},
		"a manifest gone": {func(t *testing.T, c warehouse.Config, m *warehouse.Manifest) string {
			replace(t, c.Store, "snapshot/000000000001", func([]byte) []byte { return nil })
			return "snapshot/000000000001"
		}, havre.NotFound, 1},
	} {
		t.Run(name, func(t *testing.T) {
			conf := warehousetest.Config(t, warehousetest.Store(t))
			w := warehousetest.Create(t, conf, 2)
			warehousetest.Take(t, w, small(), 1)
			_, s := warehousetest.Take(t, w, small(), 2)
			harmed := c.harm(t, conf, s.Manifest())
			r, err := w.Fsck(ctx, warehouse.FsckOptions{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Faults) != c.faults || c.faults > 0 && (r.Faults[0].Object != harmed || r.Faults[0].Kind != c.kind) {
				t.Errorf("faults %+v", r.Faults)
			}
			if r.Root != s.Root() || r.Snapshots != 3 || r.Rows != 24 || len(r.Orphans) != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestOrphans: young orphans stay, since somebody may be about to commit them;
// none goes while a manifest is unreadable.
func TestOrphans(t *testing.T) {
	ctx := context.Background()
	c := warehousetest.Config(t, warehousetest.Store(t))
	w := warehousetest.Create(t, c, 2)
	_, s := warehousetest.Take(t, w, small(), 1)
	sealed, err := seal.Seal([]byte("x"), c.Keys.To...)
	if err != nil {
		t.Fatal(err)
	}
	orphan := "segment/aa/" + strings.Repeat("a", 64)
	if err := c.Store.Put(ctx, orphan, sealed); err != nil {
		t.Fatal(err)
	}
	check := func(o warehouse.FsckOptions, collected int) {
		t.Helper()
		r, err := w.Fsck(ctx, o, nil)
		if err != nil || len(r.Orphans) != 1 || r.Orphans[0] != orphan || r.OrphanBytes != int64(len(sealed)) || r.Collected != collected {
			t.Errorf("%+v, %v", r, err)
		}
	}
	check(warehouse.FsckOptions{}, 0)
	check(warehouse.FsckOptions{Collect: true}, 0)
	check(warehouse.FsckOptions{Collect: true, Age: time.Hour}, 0)
	replace(t, c.Store, "snapshot/000000000000", flip)
	if _, err := w.Fsck(ctx, warehouse.FsckOptions{Collect: true, Age: -1}, nil); havre.KindOf(err) != havre.Refused {
		t.Errorf("collected beside a damaged manifest: %v", err)
	}
	replace(t, c.Store, "snapshot/000000000000", flip)
	later := c
	later.Now = func() time.Time { return havre.SystemNow().Add(25 * time.Hour) }
	if w, err = warehouse.Open(ctx, later); err != nil {
		t.Fatal(err)
	}
	check(warehouse.FsckOptions{Collect: true}, 1)
	if got := warehousetest.AllRows(t, s, conditions); len(got) != 6 {
		t.Errorf("%q", got)
	}
}
