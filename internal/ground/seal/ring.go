package seal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// Custodian guards a key ring: it wraps the ring's secrets and unwraps them in
// memory. Whoever holds the custodian's means opens the ring; nobody else does.
type Custodian interface {
	// Wrap seals a secret so that only this custodian opens it.
	Wrap(secret havre.Secret) ([]byte, error)
	// Unwrap gives it back, or fails with KeyUnavailable or Tampered.
	Unwrap(wrapped []byte) (havre.Secret, error)
	// String names the custodian without its secret, e.g. "file:/path".
	String() string
}

// Ring is a folder of named secrets, each wrapped by the custodian in a file
// NAME.age. Secrets are written once; a missing one is an error, never made
// anew. Safe for concurrent reads.
type Ring struct {
	dir       string
	custodian Custodian
}

// CreateRing makes an empty ring; it fails with Exists if the folder is there.
func CreateRing(dir string, c Custodian) (*Ring, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, fileError("seal.ring", "the folder of the key ring cannot be made", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, havre.E("seal.ring", havre.Exists, "there is a key ring at "+dir+" already")
		}
		return nil, fileError("seal.ring", "the key ring cannot be made", err)
	}
	return &Ring{dir, c}, nil
}

// OpenRing opens the ring at dir.
func OpenRing(dir string, c Custodian) (*Ring, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, havre.E("seal.ring", havre.KeyUnavailable, "there is no key ring at "+dir).
			WithHint("restore the folder from its backup: without it nothing can be opened, and a new one would not open the old data")
	}
	return &Ring{dir, c}, nil
}

// Custodian is who guards the ring.
func (r *Ring) Custodian() Custodian { return r.custodian }

// Put adds a secret; it fails with Exists if the name is taken.
func (r *Ring) Put(name string, s havre.Secret) error {
	if !havre.ValidName(name) {
		return havre.E("seal.ring", havre.Invalid, "a key may not be named "+name)
	}
	wrapped, err := r.custodian.Wrap(s)
	if err != nil {
		return err
	}
	return writeOnce(r.path(name), wrapped)
}

// Get unwraps a secret.
func (r *Ring) Get(name string) (havre.Secret, error) {
	wrapped, err := os.ReadFile(r.path(name))
	if err != nil {
		return havre.Secret{}, havre.E("seal.ring", havre.KeyUnavailable, "the key "+name+" is not in the key ring "+r.dir).
			WithHint("restore " + name + ".age from the backup of the key ring").Wrap(err)
	}
	s, err := r.custodian.Unwrap(wrapped)
	if err != nil {
		return havre.Secret{}, havre.E("seal.ring", havre.KindOf(err), "the custodian "+r.custodian.String()+" does not open the key "+name).Wrap(err)
	}
	return s, nil
}

// Names lists the secrets, sorted.
func (r *Ring) Names() ([]string, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fileError("seal.ring", "the key ring cannot be listed", err)
	}
	var names []string
	for _, e := range entries {
		if n, ok := strings.CutSuffix(e.Name(), ".age"); ok {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	return names, nil
}

// NewKey makes a sealing key under the name.
func (r *Ring) NewKey(name string) (*Key, error) {
	k, err := NewKey()
	if err != nil {
		return nil, err
	}
	return k, r.Put(name, k.Secret())
}

// Key reads the sealing key of that name.
func (r *Ring) Key(name string) (*Key, error) {
	s, err := r.Get(name)
	if err != nil {
		return nil, err
	}
	return ParseKey(s)
}

func (r *Ring) path(name string) string { return filepath.Join(r.dir, name+".age") }

// writeOnce makes a durable file that must not exist yet.
func writeOnce(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return havre.E("seal.ring", havre.Exists, path+" exists and is never overwritten")
	}
	if err != nil {
		return fileError("seal.ring", path+" cannot be written", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(path)
		return fileError("seal.ring", path+" cannot be written", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func fileError(op, msg string, err error) error {
	return havre.E(op, havre.KeyUnavailable, msg).Wrap(err)
}
