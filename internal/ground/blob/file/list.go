package file

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/havre-hub/havre/internal/ground/blob"
)

// List implements blob.Store. It holds the entries of one folder on each level
// in memory, not those of the whole store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	const op = "blob.list"
	return func(yield func(blob.Info, error) bool) {
		if err := blob.CheckPrefix(op, prefix); err != nil {
			yield(blob.Info{}, err)
			return
		}
		if err := s.present(); err != nil {
			yield(blob.Info{}, err)
			return
		}
		s.walk(ctx, path.Dir(prefix+"x"), prefix, yield)
	}
}

// walk lists a folder and those in it, and says whether to go on.
func (s *Store) walk(ctx context.Context, dir, prefix string, yield func(blob.Info, error) bool) bool {
	const op = "blob.list"
	if err := ctx.Err(); err != nil {
		yield(blob.Info{}, err)
		return false
	}
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		// No object has such a name, or an object has the folder's.
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return true
		}
		yield(blob.Info{}, failure(op, dir, err))
		return false
	}
	// Names are sorted as a whole: "a-b" comes before "a/b", so a folder
	// counts with its slash.
	key := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(key(a), key(b)) })
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case !blob.ValidName(name): // temporary files, and what is not ours
		case e.IsDir():
			if strings.HasPrefix(name+"/", prefix) || strings.HasPrefix(prefix, name+"/") {
				if !s.walk(ctx, name, prefix, yield) {
					return false
				}
			}
		case e.Type().IsRegular() && strings.HasPrefix(name, prefix):
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) { // deleted since
				continue
			}
			if err != nil {
				yield(blob.Info{}, failure(op, name, err))
				return false
			}
			if !yield(blob.Info{Name: name, Size: info.Size(), Modified: info.ModTime().UTC()}, nil) {
				return false
			}
		}
	}
	return true
}
