package seal

import (
	"bytes"
	"io"

	"filippo.io/age"

	"github.com/havre-hub/havre/internal/havre"
)

// FileKey opens one sealed object and no other: the 16 bytes that age drew for
// it. It lets a machine read an object without the key that the object was
// sealed to. It prints as a placeholder; Secret gives the bytes.
type FileKey struct{ s havre.Secret }

// FileKeySize is the number of bytes that Secret gives.
const FileKeySize = 16

// NewFileKey takes the bytes that Secret gave.
func NewFileKey(s havre.Secret) FileKey { return FileKey{s} }

// SealKeyed is as Seal, and gives the object's own key too.
func SealKeyed(plaintext []byte, to ...Recipient) ([]byte, FileKey, error) {
	var k FileKey
	rs, err := recipients(to)
	if err != nil {
		return nil, k, err
	}
	rs[0] = witness{rs[0], &k}
	ciphertext, err := sealTo(plaintext, rs)
	return ciphertext, k, err
}

// witness learns the key that an object is sealed with.
type witness struct {
	age.Recipient
	key *FileKey
}

// WrapWithLabels makes a witness the recipient that it stands for, which is
// hybrid: age asks for labels, so that none that is not joins it.
func (w witness) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	w.key.s = havre.NewSecret(bytes.Clone(fileKey))
	return w.Recipient.(age.RecipientWithLabels).WrapWithLabels(fileKey)
}

// Secret is the key's bytes, to be sealed to whoever may read the object.
func (k FileKey) Secret() havre.Secret { return k.s }

// OpenAt gives random access to the plaintext of a sealed object of the given
// size, authenticating each chunk of 64 KiB as it is read, and its plaintext size.
// A key of another object fails with Tampered.
func (k FileKey) OpenAt(src io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
	r, n, err := age.DecryptReaderAt(src, size, age.NewInjectedFileKeyIdentity(k.s.Reveal()))
	if err != nil {
		return nil, 0, openError(err)
	}
	return r, n, nil
}

// Open is as the function Open. A key of another object fails with Tampered.
func (k FileKey) Open(ciphertext []byte) ([]byte, error) {
	return open(ciphertext, age.NewInjectedFileKeyIdentity(k.s.Reveal()))
}

// String never shows the key.
func (k FileKey) String() string { return "[secret]" }
