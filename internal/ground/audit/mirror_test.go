package audit

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

func storeAt(t *testing.T) (*file.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := file.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func sealKey(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func names(t *testing.T, s blob.Store) (all []string) {
	t.Helper()
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Name)
	}
	return all
}

// brittle is a store that fails after some writes, as a host does.
type brittle struct {
	blob.Store
	left int
}

func (b *brittle) Put(ctx context.Context, name string, data []byte) error {
	if b.left--; b.left < 0 {
		return havre.E("blob.put", havre.StoreUnavailable, "the store does not answer")
	}
	return b.Store.Put(ctx, name, data)
}

func TestMirrorAndRestore(t *testing.T) {
	t.Parallel()
	o := options()
	l, dir := made(t, o)
	store, at := storeAt(t)
	key := sealKey(t)
	mirror := func(want int64) {
		t.Helper()
		if n, err := l.Mirror(t.Context(), store, key.Recipient()); err != nil || n != want {
			t.Fatalf("the mirror covers %d entries, want %d: %v", n, want, err)
		}
	}
	mirror(0)
	fill(t, l, 0, 30)
	mirror(30)
	fill(t, l, 30, 570)
	for left := range 4 { // a store that fails half way, again and again
		_, err := l.Mirror(t.Context(), &brittle{store, left}, key.Recipient())
		if havre.KindOf(err) != havre.StoreUnavailable {
			t.Fatalf("a failing store gives %v", err)
		}
	}
	mirror(600)
	before := names(t, store)
	mirror(600)
	if after := names(t, store); strings.Join(before, " ") != strings.Join(after, " ") {
		t.Error("mirroring twice wrote something new")
	}
	want := verified(t, dir, o)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	again := filepath.Join(t.TempDir(), "deep", "log")
	if err := Restore(t.Context(), store, key, again, o); err != nil {
		t.Fatal(err)
	}
	got := verified(t, again, o)
	if got.Root != want.Root || got.Size != 600 || got.Checkpoints != want.Checkpoints {
		t.Errorf("restored %d entries, %d checkpoints, root %s; want %d, %d, %s", got.Size, got.Checkpoints, got.Root, want.Size, want.Checkpoints, want.Root)
	}
	if err := Restore(t.Context(), store, key, again, o); havre.KindOf(err) != havre.Exists {
		t.Errorf("restoring over a log: %v", err)
	}
	l2 := opened(t, again, o)
	if pos, err := l2.Record(t.Context(), event(600)); err != nil || pos.Index != 600 {
		t.Fatalf("the restored log takes %d, %v", pos.Index, err)
	}
	if n, err := l2.Mirror(t.Context(), store, key.Recipient()); err != nil || n != 601 {
		t.Fatalf("mirroring on: %d, %v", n, err)
	}
	old := opened(t, dir, o) // the first folder now lies behind the mirror
	if _, err := old.Mirror(t.Context(), store, key.Recipient()); havre.KindOf(err) != havre.Tampered {
		t.Errorf("a log rolled back behind its mirror: %v", err)
	}

	err := filepath.WalkDir(at, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("test.happened")) || bytes.Contains(b, []byte(origin)) {
			t.Errorf("the host can read %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	o := options()
	l, _ := made(t, o)
	fill(t, l, 0, 300)
	key := sealKey(t)
	for name, tc := range map[string]struct {
		harm func(s blob.Store)
		key  *seal.Key
		with Options
		kind havre.Kind
	}{
		"another key of the seal": {func(blob.Store) {}, sealKey(t), o, havre.KeyUnavailable},
		"another signer":          {func(blob.Store) {}, key, options(), havre.Tampered},
		"a bundle missing":        {func(s blob.Store) { s.Delete(t.Context(), "log/tile/entries/000") }, key, o, havre.NotFound},
		"a bundle that the host made up": {func(s blob.Store) {
			sealed, err := seal.Seal([]byte{0, 2, '{', '}'}, key.Recipient())
			if err != nil {
				t.Fatal(err)
			}
			s.Delete(t.Context(), "log/tile/entries/000")
			s.Put(t.Context(), "log/tile/entries/000", sealed)
		}, key, o, havre.Tampered},
		"no mirror at all": {func(s blob.Store) {
			for _, n := range names(t, s) {
				s.Delete(t.Context(), n)
			}
		}, key, o, havre.NotFound},
		"a checkpoint under another name": {func(s blob.Store) {
			b, _ := blob.GetAll(t.Context(), s, mirrorName(300))
			s.Delete(t.Context(), mirrorName(300))
			s.Put(t.Context(), mirrorName(299), b)
		}, key, o, havre.Tampered},
	} {
		t.Run(name, func(t *testing.T) {
			store, _ := storeAt(t)
			if _, err := l.Mirror(t.Context(), store, key.Recipient()); err != nil {
				t.Fatal(err)
			}
			tc.harm(store)
			dir := filepath.Join(t.TempDir(), "log")
			if err := Restore(t.Context(), store, tc.key, dir, tc.with); havre.KindOf(err) != tc.kind {
				t.Errorf("got %v (%s), want %s", err, havre.KindOf(err), tc.kind)
			}
			if _, err := os.Lstat(dir); err == nil {
				t.Error("a folder was left in the log's place")
			}
		})
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	o := options()
	dir := entries700(t, o)
	l := opened(t, dir, o)
	to := filepath.Join(t.TempDir(), "out", "log")
	c, err := l.Export(t.Context(), to)
	if err != nil || c.Size != 700 {
		t.Fatalf("exported %d entries, %v", c.Size, err)
	}
	if got, want := verified(t, to, o), verified(t, dir, o); got.Root != want.Root || got.Checkpoints != want.Checkpoints {
		t.Errorf("exported %+v, want %+v", got, want)
	}
	if b, err := os.ReadFile(filepath.Join(to, tlog.KeyName)); err != nil || !strings.HasPrefix(string(b), origin+"+") {
		t.Errorf("the verifier key is %q, %v", b, err)
	}
	if _, err := l.Export(t.Context(), to); havre.KindOf(err) != havre.Exists {
		t.Errorf("exporting over a folder: %v", err)
	}
}
