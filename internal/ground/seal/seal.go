// Package seal encrypts what is at rest or on its way, with age and its hybrid
// post-quantum recipients (X25519 + ML-KEM-768), and keeps the key ring, which
// custodians open. A sealed object is an age v1 file; the ring's format is
// docs/formats/ring.md.
package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/havre-hub/havre/internal/havre"
)

// Key opens what was sealed to its Recipient, or to that of a former
// generation of the same key.
type Key struct {
	id     *age.HybridIdentity
	former []*age.HybridIdentity // newest first
}

// Recipient is the public half of a Key; its String begins "age1pq1".
type Recipient struct{ r *age.HybridRecipient }

// NewKey draws a fresh key.
func NewKey() (*Key, error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, havre.E("seal.key", havre.Internal, "a key could not be made").Wrap(err)
	}
	return &Key{id: id}, nil
}

// ParseKey reads the text that Secret gives.
func ParseKey(s havre.Secret) (*Key, error) {
	id, err := age.ParseHybridIdentity(strings.TrimSpace(string(s.Reveal())))
	if err != nil { // the cause may quote the secret: it is dropped
		return nil, havre.E("seal.key", havre.KeyUnavailable, "this is not a hybrid age identity (AGE-SECRET-KEY-PQ-1...)")
	}
	return &Key{id: id}, nil
}

// With gives a key that seals as k does and also opens what the former keys,
// newest first, open.
func (k *Key) With(former ...*Key) *Key {
	all := &Key{id: k.id, former: k.former}
	for _, f := range former {
		all.former = append(append(all.former[:len(all.former):len(all.former)], f.id), f.former...)
	}
	return all
}

// Secret is the key as text, to be wrapped by a custodian; former generations
// are not in it.
func (k *Key) Secret() havre.Secret { return havre.NewSecret([]byte(k.id.String())) }

// Recipient is the public half.
func (k *Key) Recipient() Recipient { return Recipient{k.id.Recipient()} }

// String never shows the key.
func (k *Key) String() string { return "[secret]" }

// ParseRecipient reads "age1pq1...".
func ParseRecipient(s string) (Recipient, error) {
	r, err := age.ParseHybridRecipient(strings.TrimSpace(s))
	if err != nil {
		return Recipient{}, havre.E("seal.recipient", havre.Invalid, "this is not a hybrid age recipient (age1pq1...)").Wrap(err)
	}
	return Recipient{r}, nil
}

func (r Recipient) String() string {
	if r.r == nil {
		return ""
	}
	return r.r.String()
}

// ID is the first 16 hex digits of SHA-256 of the recipient's text: a name
// short enough to print and compare.
func (r Recipient) ID() string {
	h := sha256.Sum256([]byte(r.String()))
	return hex.EncodeToString(h[:8])
}

// MarshalText and UnmarshalText let a recipient stand in JSON and YAML.
func (r Recipient) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads "age1pq1...".
func (r *Recipient) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRecipient(string(b))
	return err
}

// Seal encrypts plaintext so that any one of the recipients' keys opens it.
func Seal(plaintext []byte, to ...Recipient) ([]byte, error) {
	rs, err := recipients(to)
	if err != nil {
		return nil, err
	}
	return sealTo(plaintext, rs)
}

func sealTo(plaintext []byte, to []age.Recipient) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(len(plaintext) + len(plaintext)/4096 + 2500*len(to) + 512)
	w, err := age.Encrypt(&buf, to...)
	if err != nil {
		return nil, havre.E("seal", havre.Internal, "sealing failed").Wrap(err)
	}
	if _, err := w.Write(plaintext); err != nil {
		return nil, havre.E("seal", havre.Internal, "sealing failed").Wrap(err)
	}
	if err := w.Close(); err != nil {
		return nil, havre.E("seal", havre.Internal, "sealing failed").Wrap(err)
	}
	return buf.Bytes(), nil
}

// Writer seals a stream; Close finishes it but does not close dst.
func Writer(dst io.Writer, to ...Recipient) (io.WriteCloser, error) {
	rs, err := recipients(to)
	if err != nil {
		return nil, err
	}
	w, err := age.Encrypt(dst, rs...)
	if err != nil {
		return nil, havre.E("seal", havre.Internal, "sealing failed").Wrap(err)
	}
	return w, nil
}

func recipients(to []Recipient) ([]age.Recipient, error) {
	if len(to) == 0 {
		return nil, havre.E("seal", havre.KeyUnavailable, "there is no recipient to seal to")
	}
	rs := make([]age.Recipient, len(to))
	for i, r := range to {
		if r.r == nil {
			return nil, havre.E("seal", havre.KeyUnavailable, "an empty recipient was given")
		}
		rs[i] = r.r
	}
	return rs, nil
}

// Open decrypts a sealed object whole. It fails with KeyUnavailable when none
// of the keys fits and with Tampered when a byte is altered or missing; no
// part of an altered object is returned.
func Open(ciphertext []byte, keys ...*Key) ([]byte, error) {
	return open(ciphertext, identities(keys)...)
}

func open(ciphertext []byte, with ...age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(ciphertext), with...)
	if err != nil {
		return nil, openError(err)
	}
	var buf bytes.Buffer
	buf.Grow(len(ciphertext))
	if _, err := buf.ReadFrom(r); err != nil {
		return nil, openError(err)
	}
	return buf.Bytes(), nil
}

func identities(keys []*Key) []age.Identity {
	ids := make([]age.Identity, 0, len(keys))
	for _, k := range keys {
		if k == nil {
			continue
		}
		ids = append(ids, k.id)
		for _, f := range k.former {
			ids = append(ids, f)
		}
	}
	if len(ids) == 0 {
		ids = append(ids, noKey{})
	}
	return ids
}

// noKey makes "no key at all" fail like a key that does not fit.
type noKey struct{}

func (noKey) Unwrap([]*age.Stanza) ([]byte, error) { return nil, age.ErrIncorrectIdentity }

func openError(err error) error {
	if _, ok := errors.AsType[*havre.Error](err); ok {
		return err // the source itself failed: its own kind tells more
	}
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return havre.E("seal.open", havre.KeyUnavailable, "the sealed object is not addressed to this key").Wrap(err)
	}
	return havre.E("seal.open", havre.Tampered, "the sealed object is damaged or was altered").Wrap(err)
}
