package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"

	"github.com/havre-hub/havre/internal/havre"
)

// Free gives the bytes that the folder's file system has left for this user. A
// quota on the folder alone is not seen.
func (s *Store) Free(ctx context.Context) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &disk); err != nil {
		return 0, havre.E("blob.free", havre.StoreUnavailable, fmt.Sprintf("the file system of %s does not say how much room it has", s.dir)).Wrap(err)
	}
	return int64(disk.Bavail) * disk.Bsize, nil
}

// Prune removes the folders of the store that hold nothing, but not the store's
// own. A Put that makes one of them again at the same time is repeated by its
// caller.
func (s *Store) Prune() error {
	var prune func(dir string) error
	prune = func(dir string) error {
		entries, err := fs.ReadDir(s.root.FS(), dir)
		if err != nil {
			return failure("blob.prune", dir, err)
		}
		for _, e := range entries {
			if e.IsDir() {
				if err := prune(path.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
		if dir == "." {
			return nil
		}
		s.durable.Delete(dir)
		if err := s.root.Remove(dir); err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return failure("blob.prune", dir, err)
		}
		return nil
	}
	return prune(".")
}
