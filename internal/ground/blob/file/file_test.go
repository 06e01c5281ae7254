package file

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
	"github.com/havre-hub/havre/internal/havre"
)

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	blobtest.Run(t, 0, func(t testing.TB) blob.Store { return open(t, dir) })
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *Store, name string) {
	t.Helper()
	if err := s.Put(t.Context(), name, []byte(name)); err != nil {
		t.Fatal(err)
	}
}

func kind(t testing.TB, what string, err error, want havre.Kind) {
	t.Helper()
	if got := havre.KindOf(err); got != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}

func names(t testing.TB, s *Store) []string {
	t.Helper()
	var all []string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Name)
	}
	return all
}

func TestOpenURL(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	r := blob.NewRegistry(Driver{})
	for _, c := range []struct {
		url, folder string // folder within dir
	}{
		{"file:" + dir + "/absolute", "absolute"},
		{"file://" + dir + "/three", "three"},
		{"file:relative/deep/er", "relative/deep/er"},
		{"file:with%20space%25", "with space%"},
		{"file:./dot", "dot"},
	} {
		_, err := r.Open(t.Context(), c.url, blob.Options{})
		kind(t, c.url+", absent", err, havre.StoreUnavailable)
		s, err := r.Open(t.Context(), c.url, blob.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		put(t, s.(*Store), "a")
		if _, err := os.Stat(filepath.Join(dir, c.folder, "a")); err != nil {
			t.Error(err)
		}
		_, err = r.Open(t.Context(), c.url, blob.Options{})
		kind(t, c.url, err, "")
	}
	for _, bad := range []string{"file:", "file://", "file://host/a", "file:a%00b", "file:/a?x=y", "file:a%zz"} {
		_, err := r.Open(t.Context(), bad, blob.Options{Create: true})
		kind(t, bad, err, havre.Invalid)
	}
}

func FuzzFolder(f *testing.F) {
	for _, raw := range []string{"file:/a/b", "file:a%20b", "file:///a", "file://h/a", "file:%zz", "file:", "file:..%2f"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "file" {
			return
		}
		dir, err := folder(u)
		if err == nil && (dir == "" || strings.ContainsRune(dir, 0) || u.Host != "") {
			t.Errorf("%q names the folder %q", raw, dir)
		}
		if err != nil && havre.KindOf(err) != havre.Invalid {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a/b/c")
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a")
	fresh, stale := filepath.Join(dir, tempDir, "FRESH"), filepath.Join(dir, tempDir, "STALE")
	for _, path := range []string{fresh, stale} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * staleAge)
	if err := os.Chtimes(stale, old, old); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if got := names(t, s); len(got) != 1 || got[0] != "a" {
		t.Errorf("%q are listed", got)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("a file that somebody may be writing was removed")
	}
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a stale file was kept: %v", err)
	}
}

// A vanished disk must not look like an empty store.
func TestFolderGone(t *testing.T) {
	for name, begone := range map[string]func(dir string) error{
		"moved": func(dir string) error { return os.Rename(dir, dir+"-away") },
		"unmounted, the mount point is there": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+"-away"), os.Mkdir(dir, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			s, err := Create(dir)
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, "there")
			if err := begone(dir); err != nil {
				t.Fatal(err)
			}
			_, getErr := s.Get(t.Context(), "absent", 0, -1)
			kind(t, "get", getErr, havre.StoreUnavailable)
			_, statErr := s.Stat(t.Context(), "absent")
			kind(t, "stat", statErr, havre.StoreUnavailable)
			kind(t, "put", s.Put(t.Context(), "new", nil), havre.StoreUnavailable)
			kind(t, "delete", s.Delete(t.Context(), "absent"), havre.StoreUnavailable)
			for _, err := range s.List(t.Context(), "") {
				kind(t, "list", err, havre.StoreUnavailable)
			}
		})
	}
}

func TestSymbolicLinksDoNotLeadOut(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	for link, target := range map[string]string{"folder": outside, "object": filepath.Join(outside, "secret")} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"folder/secret", "object"} {
		if data, err := s.Get(t.Context(), name, 0, -1); err == nil {
			t.Errorf("Get %s reads %d bytes from outside", name, len(data))
		}
		if err := s.Put(t.Context(), name+"-new", []byte("x")); err == nil && strings.HasPrefix(name, "folder") {
			t.Errorf("Put %s writes outside", name)
		}
	}
	if err := s.Put(t.Context(), "object", nil); err == nil {
		t.Error("Put goes through a link")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside are now %v, %v", entries, err)
	}
}

func TestNameAndFolderCollide(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "a/b")
	kind(t, "a folder's name", s.Put(t.Context(), "a", nil), havre.Invalid)
	kind(t, "below an object", s.Put(t.Context(), "a/b/c", nil), havre.Invalid)
	if got := names(t, s); len(got) != 1 {
		t.Errorf("%q are listed", got)
	}
}

func BenchmarkPut1MiB(b *testing.B) {
	s := open(b, b.TempDir())
	data := make([]byte, 1<<20)
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		if err := s.Put(b.Context(), "bench/"+time.Unix(int64(i), 0).UTC().Format("20060102150405"), data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet64KiBRange(b *testing.B) {
	s := open(b, b.TempDir())
	if err := s.Put(b.Context(), "bench", make([]byte, 32<<20)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 10)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Get(b.Context(), "bench", int64(i%500)<<16, 64<<10); err != nil {
			b.Fatal(err)
		}
	}
}
