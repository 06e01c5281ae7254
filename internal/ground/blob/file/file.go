// Package file keeps a blob.Store in a folder, for a hub on one machine or on
// a file system shared over the network.
//
// The life of one object:
//
//  1. Put writes the bytes to a new file with a random name in .havre-tmp, in
//     the same folder, and calls fsync on it: the data is durable, no name
//     shows it.
//  2. It makes the folders of the object's name and calls fsync on each new
//     one's parent.
//  3. link(2) gives the file its name. The kernel does this whole or not at
//     all, and refuses if the name is taken: that is write-if-absent, also
//     between processes and machines.
//  4. fsync on the object's folder makes the name durable. Only now does Put
//     return nil, or Exists, so that what a caller has seen is there after a
//     power cut.
//  5. The random name is removed. A process killed before leaves it behind; no
//     one sees it (names never start with a dot), and opening the store
//     removes what is older than an hour.
//  6. Delete removes the name and calls fsync on its folder.
//
// Files have mode 0600, folders 0700. All names are resolved below the opened
// folder (os.Root), so no symbolic link leads out of it. The file system must
// have hard links.
package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

const (
	tempDir  = ".havre-tmp"
	staleAge = time.Hour
)

// Driver opens file: URLs.
type Driver struct{}

// Scheme is "file".
func (Driver) Scheme() string { return "file" }

// Open opens file:/absolute/folder, file:///absolute/folder or file:relative/folder.
func (Driver) Open(_ context.Context, u *url.URL, o blob.Options) (blob.Store, error) {
	if _, err := blob.Settings(u); err != nil {
		return nil, err
	}
	dir, err := folder(u)
	if err != nil {
		return nil, err
	}
	if o.Create {
		return Create(dir)
	}
	return Open(dir)
}

// folder is the path that a file: URL names.
func folder(u *url.URL) (string, error) {
	if u.Host != "" {
		return "", havre.E("blob.open", havre.Invalid, "the store's URL names a machine; file: reaches folders of this machine only").
			WithHint("write file:/absolute/folder or file:relative/folder")
	}
	dir := u.Path
	if u.Opaque != "" {
		var err error
		if dir, err = url.PathUnescape(u.Opaque); err != nil {
			return "", havre.E("blob.open", havre.Invalid, "the folder in the store's URL cannot be read").
				WithHint("a '%' in a folder's name is written %25")
		}
	}
	if dir == "" || strings.ContainsRune(dir, 0) {
		return "", havre.E("blob.open", havre.Invalid, "the store's URL names no folder").
			WithHint("write file:/absolute/folder or file:relative/folder")
	}
	return filepath.FromSlash(dir), nil
}

// Store is a folder. It holds no lock and no state that matters: any number of
// Stores, in any number of processes, may be open on one folder.
type Store struct {
	dir     string // for messages, and to see that it is still there
	root    *os.Root
	durable sync.Map // names of folders whose own entry this Store has synced
}

var _ blob.Store = (*Store)(nil)

// Create makes the folder, with those above it, if it is absent, and opens it.
func Create(dir string) (*Store, error) {
	const op = "blob.open"
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, failure(op, dir, err)
	}
	// What is above the folder must outlive a power cut too.
	var absent []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			break
		}
		absent = append(absent, d)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, failure(op, dir, err)
	}
	for _, d := range absent {
		parent, err := os.Open(filepath.Dir(d))
		if err != nil {
			return nil, failure(op, d, err)
		}
		if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
			return nil, failure(op, d, err)
		}
	}
	return Open(dir)
}

// Open opens a folder that exists, and removes what writers killed over an
// hour ago left in it.
func Open(dir string) (*Store, error) {
	const op = "blob.open"
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, failure(op, dir, err)
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, havre.E(op, havre.StoreUnavailable, fmt.Sprintf("the store's folder %s does not exist", dir)).
			WithHint("check the path, and that the disk is mounted; a new store is begun with havre init").Wrap(err)
	}
	if err != nil {
		return nil, failure(op, dir, err)
	}
	s := &Store{dir: dir, root: root}
	if err := s.sweep(time.Now().Add(-staleAge)); err != nil {
		return nil, errors.Join(failure(op, dir, err), root.Close())
	}
	return s, nil
}

// sweep removes the temporary files last written before the given time. If
// their writer lives after all, its Put fails and is repeated.
func (s *Store) sweep(before time.Time) error {
	entries, err := fs.ReadDir(s.root.FS(), tempDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.ModTime().Before(before) {
			err = s.root.Remove(tempDir + "/" + e.Name())
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process swept it
			return err
		}
	}
	return nil
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	const op = "blob.put"
	if err := blob.CheckPut(op, name, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.present(); err != nil {
		return err
	}
	if err := s.makeFolders(path.Dir(name)); err != nil {
		return failure(op, name, err)
	}
	// Asked first only to spare the write of what is likely there already;
	// link decides.
	if _, err := s.root.Lstat(name); err == nil {
		return s.exists(op, name)
	}
	temp, err := s.writeTemp(data)
	if err != nil {
		return failure(op, name, err)
	}
	// From here on the object is either nameless or whole, so a context that
	// ends now changes nothing.
	linkErr := s.root.Link(temp, name)
	if linkErr != nil && s.linked(temp, name) {
		linkErr = nil // NFS repeats a link whose answer was lost, and refuses its own first try
	}
	removeErr := s.root.Remove(temp)
	switch {
	case errors.Is(linkErr, fs.ErrExist):
		return s.exists(op, name)
	case errors.Is(linkErr, syscall.EPERM), errors.Is(linkErr, errors.ErrUnsupported):
		return havre.E(op, havre.StoreUnavailable, fmt.Sprintf("the file system of %s has no hard links", s.dir)).
			WithHint("keep the store on a file system that has them (ext4, xfs, btrfs, zfs, nfs)").Wrap(linkErr)
	case linkErr != nil:
		return failure(op, name, linkErr)
	}
	if err := s.sync(path.Dir(name)); err != nil {
		return failure(op, name, err)
	}
	if removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
		return failure(op, name, removeErr)
	}
	return nil
}

// exists is the error of a Put that came second. The first may not have synced
// the folder yet, and who hears Exists may act on the object's being there.
func (s *Store) exists(op, name string) error {
	if info, err := s.root.Stat(name); err == nil && info.IsDir() {
		return havre.E(op, havre.Invalid, fmt.Sprintf("%s is the folder of other objects", name))
	}
	if err := s.sync(path.Dir(name)); err != nil {
		return failure(op, name, err)
	}
	return havre.E(op, havre.Exists, fmt.Sprintf("object %s is there already", name))
}

// linked says whether both names are of one file.
func (s *Store) linked(a, b string) bool {
	x, errA := s.root.Lstat(a)
	y, errB := s.root.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}

// writeTemp makes a durable file without a name that anybody looks at.
func (s *Store) writeTemp(data []byte) (name string, err error) {
	if err := s.root.Mkdir(tempDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	name = tempDir + "/" + rand.Text()
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, s.root.Remove(name)) // a full disk gets its space back
	}
	return name, nil
}

// makeFolders makes the folder and those above it within the store, and makes
// their entries durable. A folder that is there already may have been made a
// moment ago by a process that has not synced it yet, so each is synced once
// by each Store.
func (s *Store) makeFolders(dir string) error {
	if dir == "." {
		return nil
	}
	if _, done := s.durable.Load(dir); done {
		return nil
	}
	if err := s.makeFolders(path.Dir(dir)); err != nil {
		return err
	}
	if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.sync(path.Dir(dir)); err != nil {
		return err
	}
	s.durable.Store(dir, true)
	return nil
}

// sync makes the entries of a folder durable.
func (s *Store) sync(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	const op = "blob.get"
	if err := blob.CheckRange(op, name, off, n); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, s.absent(op, name, err)
	}
	defer f.Close()
	info, err := s.info(op, name, f.Stat)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		n = info.Size - off
	}
	if n < 0 || off+n > info.Size {
		return nil, blob.PastEnd(op, name, off, n, info.Size)
	}
	data := make([]byte, n)
	if _, err := f.ReadAt(data, off); err != nil && !(n == 0 && err == io.EOF) {
		return nil, failure(op, name, err)
	}
	return data, nil
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, name string) (blob.Info, error) {
	const op = "blob.stat"
	if err := blob.CheckName(op, name); err != nil {
		return blob.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	return s.info(op, name, func() (fs.FileInfo, error) { return s.root.Stat(name) })
}

func (s *Store) info(op, name string, stat func() (fs.FileInfo, error)) (blob.Info, error) {
	info, err := stat()
	if err == nil && !info.Mode().IsRegular() { // a folder of other objects
		err = fs.ErrNotExist
	}
	if err != nil {
		return blob.Info{}, s.absent(op, name, err)
	}
	return blob.Info{Name: name, Size: info.Size(), Modified: info.ModTime().UTC()}, nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	const op = "blob.delete"
	if err := blob.CheckName(op, name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.info(op, name, func() (fs.FileInfo, error) { return s.root.Lstat(name) })
	if havre.KindOf(err) == havre.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failure(op, name, err)
	}
	if err := s.sync(path.Dir(name)); err != nil {
		return failure(op, name, err)
	}
	return nil
}

// present fails if the folder has gone since it was opened.
func (s *Store) present() error {
	now, err := os.Stat(s.dir)
	if err == nil {
		var opened fs.FileInfo
		if opened, err = s.root.Stat("."); err == nil && os.SameFile(now, opened) {
			return nil
		}
	}
	return havre.E("blob.file", havre.StoreUnavailable, fmt.Sprintf("the store's folder %s has gone", s.dir)).
		WithHint("check that its disk is mounted").Wrap(err)
}

// absent is NotFound if err says so and the store is there: a disk that was
// unmounted must not look like an empty store.
func (s *Store) absent(op, name string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return failure(op, name, err)
	}
	if gone := s.present(); gone != nil {
		return gone
	}
	return havre.E(op, havre.NotFound, fmt.Sprintf("object %s does not exist", name)).Wrap(err)
}

// failure gives an error of the operating system its kind.
func failure(op, name string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return havre.E(op, havre.NoSpace, fmt.Sprintf("there is no room for %s in the store", name)).
			WithHint("free space on the store's disk or raise its quota; what is stored is whole").Wrap(err)
	case errors.Is(err, syscall.ENOTDIR):
		return havre.E(op, havre.Invalid, fmt.Sprintf("a folder of the name %s is an object", name)).Wrap(err)
	}
	return havre.E(op, havre.StoreUnavailable, fmt.Sprintf("the store's folder fails at %s", name)).
		WithHint("check the disk, its mount and its permissions").Wrap(err)
}
