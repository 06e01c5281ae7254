package seal

import (
	"io"

	"filippo.io/age"

	"github.com/havre-hub/havre/internal/havre"
)

// FileKey opens one sealed object and no other: the 16 bytes that age drew for
// it. It lets a machine read an object without the key that the object was
// sealed to. It prints as a placeholder; Secret gives the bytes.
type FileKey struct{ s havre.Secret }

// NewFileKey takes the bytes that Secret gave.
func NewFileKey(s havre.Secret) FileKey { return FileKey{s} }

// FileKeyOf gives the key of the object that begins with head (its age header;
// what follows that is not looked at). Errors as of Open.
func FileKeyOf(head []byte, keys ...*Key) (FileKey, error) {
	k, err := age.DecryptHeader(head, identities(keys)...)
	if err != nil {
		return FileKey{}, openError(err)
	}
	return FileKey{havre.NewSecret(k)}, nil
}

// Secret is the key's bytes, to be sealed to whoever may read the object.
func (k FileKey) Secret() havre.Secret { return k.s }

// OpenAt is as the function OpenAt. A key of another object fails with Tampered.
func (k FileKey) OpenAt(src io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
	r, n, err := age.DecryptReaderAt(src, size, age.NewInjectedFileKeyIdentity(k.s.Reveal()))
	if err != nil {
		return nil, 0, openError(err)
	}
	return r, n, nil
}

// String never shows the key.
func (k FileKey) String() string { return "[secret]" }
