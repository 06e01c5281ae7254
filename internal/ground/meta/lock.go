package meta

import (
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/havre-hub/havre/internal/havre"
)

// FolderLock keeps a zone's folder for one process.
type FolderLock struct{ f *flock.Flock }

// Lock takes the folder for this process, or fails with Locked at once. The
// system releases it when the process ends, however it ends. The folder must
// be on a local disk.
func Lock(dir string) (*FolderLock, error) {
	f := flock.New(filepath.Join(dir, "lock"))
	ok, err := f.TryLock()
	if err != nil {
		return nil, havre.E("meta.lock", havre.NotFound, "the folder "+dir+" cannot be locked").
			WithHint("name the folder of the zone, one that this user may write to").Wrap(err)
	}
	if !ok {
		return nil, havre.E("meta.lock", havre.Locked, "another process works on "+dir).
			WithHint("wait until it has ended, or stop it")
	}
	return &FolderLock{f}, nil
}

// Unlock gives the folder back.
func (l *FolderLock) Unlock() error {
	if err := l.f.Unlock(); err != nil {
		return havre.E("meta.lock", havre.Internal, "the lock cannot be released").Wrap(err)
	}
	return nil
}
