package seal

import (
	"os"
	"path/filepath"

	"github.com/havre-hub/havre/internal/havre"
)

// FileCustodian guards a ring with one hybrid age identity in a file that only
// its owner can read. Whoever can read that file opens the hub: it belongs on
// another medium than the store and the hub's folder.
type FileCustodian struct {
	path string
	key  *Key
}

var _ Custodian = (*FileCustodian)(nil)

// CreateFileCustodian makes the file; it fails with Exists if it is there.
func CreateFileCustodian(path string) (*FileCustodian, error) {
	k, err := NewKey()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fileError("seal.custodian", "the folder of the custodian's key cannot be made", err)
	}
	if err := writeOnce(path, append(k.Secret().Reveal(), '\n')); err != nil {
		return nil, err
	}
	return &FileCustodian{path, k}, nil
}

// OpenFileCustodian reads the file.
func OpenFileCustodian(path string) (*FileCustodian, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, havre.E("seal.custodian", havre.KeyUnavailable, "the custodian's key "+path+" is not there").
			WithHint("connect the medium that holds it, or name its place in the configuration (custodian: file:PATH)").Wrap(err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, havre.E("seal.custodian", havre.KeyUnavailable, "other users of this machine can read the custodian's key "+path).
			WithHint("chmod 600 " + path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, havre.E("seal.custodian", havre.KeyUnavailable, "the custodian's key "+path+" cannot be read").Wrap(err)
	}
	k, err := ParseKey(havre.NewSecret(b))
	if err != nil {
		return nil, havre.E("seal.custodian", havre.KeyUnavailable, path+" does not hold a custodian's key").Wrap(err)
	}
	return &FileCustodian{path, k}, nil
}

// Wrap seals the secret to the custodian's key.
func (c *FileCustodian) Wrap(s havre.Secret) ([]byte, error) {
	return Seal(s.Reveal(), c.key.Recipient())
}

// Unwrap opens it.
func (c *FileCustodian) Unwrap(wrapped []byte) (havre.Secret, error) {
	b, err := Open(wrapped, c.key)
	return havre.NewSecret(b), err
}

func (c *FileCustodian) String() string { return "file:" + c.path }
