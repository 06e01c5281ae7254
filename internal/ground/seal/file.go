package seal

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/havre-hub/havre/internal/havre"
)

// FileCustodian guards a ring with one hybrid age identity in a file that only
// its owner can read, in clear or under a passphrase (age's scrypt). Whoever
// can read that file (and knows the passphrase) opens the hub: it belongs on
// another medium than the store and the hub's folder.
//
// The file is an age identity file, so that the age command opens with it. A
// comment names the one ring it guards:
//
//	# custodian of the key ring 0f3a...
//	AGE-SECRET-KEY-PQ-1...
//
// While it is being renewed, the fresh key stands beside it in PATH.next.
type FileCustodian struct {
	path   string
	ref    string
	ask    Ask // nil: the file is in clear
	ring   string
	key    *Key
	before *FileCustodian // the key that a renewal leaves behind, or begins with
}

// Ask gets a secret from its owner: a passphrase, a PIN. What says for what.
type Ask func(what string) (havre.Secret, error)

var _ Renewable = (*FileCustodian)(nil)

const ringComment = "# custodian of the key ring "

// FileOptions say how a custodian's file is named and protected.
type FileOptions struct {
	Path string
	Ref  string // how the configuration names it; "" = "file:PATH"
	Ring string // id of the ring that it is to guard
	Ask  Ask    // not nil: the file is sealed with the passphrase that it gives
}

// CreateFileCustodian makes the file; it fails with Exists if it is there.
func CreateFileCustodian(o FileOptions) (*FileCustodian, error) {
	c, err := newFile(o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o700); err != nil {
		return nil, fileError("seal.custodian", "the folder of the custodian's key cannot be made", err)
	}
	return c, c.write(o.Path)
}

func newFile(o FileOptions) (*FileCustodian, error) {
	k, err := NewKey()
	if err != nil {
		return nil, err
	}
	return &FileCustodian{path: o.Path, ref: o.Ref, ask: o.Ask, ring: o.Ring, key: k}, nil
}

// OpenFileCustodian reads the file, and the fresh key beside it if a renewal
// was cut.
func OpenFileCustodian(o FileOptions) (*FileCustodian, error) {
	c, err := readFile(o, o.Path)
	if _, serr := os.Stat(o.Path + nextSuffix); serr != nil {
		return c, err
	}
	next, nerr := readFile(o, o.Path+nextSuffix)
	switch {
	case nerr != nil:
		return c, err // a fresh key that was cut while being written guards nothing yet
	case err != nil:
		return next, nil
	}
	c.before = next
	return c, nil
}

const nextSuffix = ".next"

func readFile(o FileOptions, path string) (*FileCustodian, error) {
	const op = "seal.custodian"
	st, err := os.Stat(path)
	if err != nil {
		return nil, havre.E(op, havre.KeyUnavailable, "the custodian's key "+path+" is not there").
			WithHint("connect the medium that holds it, or name its place in the configuration (custodian: file:PATH)").Wrap(err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, havre.E(op, havre.KeyUnavailable, "other users of this machine can read the custodian's key "+path).
			WithHint("chmod 600 " + path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, havre.E(op, havre.KeyUnavailable, "the custodian's key "+path+" cannot be read").Wrap(err)
	}
	if o.Ask != nil {
		if b, err = openPassphrase(b, path, o.Ask); err != nil {
			return nil, err
		}
	}
	c := &FileCustodian{path: o.Path, ref: o.Ref, ask: o.Ask}
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	if ring, ok := strings.CutPrefix(string(line), ringComment); ok {
		c.ring, b = ring, rest
	}
	if c.key, err = ParseKey(havre.NewSecret(b)); err != nil {
		return nil, havre.E(op, havre.KeyUnavailable, path+" does not hold a custodian's key").Wrap(err)
	}
	return c, nil
}

func openPassphrase(b []byte, path string, ask Ask) ([]byte, error) {
	const op = "seal.custodian"
	pass, err := ask("passphrase of " + path)
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(string(pass.Reveal()))
	if err != nil {
		return nil, havre.E(op, havre.KeyUnavailable, "the passphrase of "+path+" is empty")
	}
	r, err := age.Decrypt(bytes.NewReader(b), id)
	if err != nil {
		return nil, havre.E(op, havre.KeyUnavailable, "the passphrase does not open "+path).
			WithHint("type it again; nothing was changed").Wrap(err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, havre.E(op, havre.Tampered, path+" is damaged").WithHint("restore it from its copy").Wrap(err)
	}
	return plain, nil
}

// text is what stands in the file.
func (c *FileCustodian) text() ([]byte, error) {
	plain := []byte(string(c.key.Secret().Reveal()) + "\n")
	if c.ring != "" {
		plain = append([]byte(ringComment+c.ring+"\n"), plain...)
	}
	if c.ask == nil {
		return plain, nil
	}
	pass, err := c.ask("passphrase of " + c.path)
	if err != nil {
		return nil, err
	}
	to, err := age.NewScryptRecipient(string(pass.Reveal()))
	if err != nil {
		return nil, havre.E("seal.custodian", havre.Invalid, "an empty passphrase protects nothing")
	}
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, to)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, havre.E("seal.custodian", havre.Internal, "the custodian's key could not be sealed").Wrap(err)
	}
	return buf.Bytes(), nil
}

func (c *FileCustodian) write(path string) error {
	b, err := c.text()
	if err != nil {
		return err
	}
	return writeOnce(path, b)
}

// Who names the file.
func (c *FileCustodian) Who() Who {
	w := Who{Kind: "file", Ref: c.ref, ID: c.key.Recipient().ID(), Ring: c.ring, PostQuantum: true}
	if c.ask != nil {
		w.Kind = "passphrase"
	}
	if w.Ref == "" {
		w.Ref = w.Kind + ":" + c.path
	}
	return w
}

// Wrap seals the secret to the custodian's key.
func (c *FileCustodian) Wrap(s havre.Secret) ([]byte, error) {
	return Seal(s.Reveal(), c.key.Recipient())
}

// Unwrap opens it.
func (c *FileCustodian) Unwrap(wrapped []byte) (havre.Secret, error) {
	keys := []*Key{c.key}
	if c.before != nil {
		keys = append(keys, c.before.key)
	}
	b, err := Open(wrapped, keys...)
	return havre.NewSecret(b), err
}

// Renew writes a fresh key to PATH.next. What an earlier renewal left there may
// be the one key that opens the ring, so it must be settled first.
func (c *FileCustodian) Renew() (Custodian, error) {
	next, err := newFile(FileOptions{c.path, c.ref, c.ring, c.ask})
	if err != nil {
		return nil, err
	}
	next.before = c
	return next, next.write(c.path + nextSuffix)
}

// Settle leaves only the key of that id, at PATH.
func (c *FileCustodian) Settle(id string) error {
	next := c.path + nextSuffix
	if _, err := os.Stat(next); err != nil {
		return nil
	}
	o := FileOptions{c.path, c.ref, c.ring, c.ask}
	fresh, err := readFile(o, next)
	if err == nil && fresh.key.Recipient().ID() == id {
		overwrite(c.path)
		err = os.Rename(next, c.path)
	} else {
		var old *FileCustodian
		if old, err = readFile(o, c.path); err != nil || old.key.Recipient().ID() != id {
			return err
		}
		err = os.Remove(next)
	}
	if err == nil {
		err = syncDir(filepath.Dir(c.path))
	}
	if err != nil {
		return fileError("seal.custodian", "the old key of "+c.path+" cannot be destroyed", err)
	}
	return nil
}

// overwrite writes noise over a file before it goes. On flash and on file
// systems that copy on write the old bytes may survive all the same: the
// documentation says so, and the certificate names the medium.
func overwrite(path string) {
	st, err := os.Stat(path)
	if err != nil {
		return
	}
	if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
		_, _ = f.Write(noise(int(st.Size())))
		_ = f.Sync()
		_ = f.Close()
	}
}
