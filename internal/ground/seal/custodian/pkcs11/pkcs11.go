// Package pkcs11 is the custodian in a hardware token or HSM: an elliptic-curve
// key whose private half never leaves it. The ring's key is wrapped with HPKE
// (RFC 9180, base mode, DHKEM on the key's curve, HKDF and AES-256-GCM); to
// unwrap, the token computes the Diffie-Hellman value and nothing else.
//
// No token of today holds a post-quantum key behind this interface: whoever
// keeps a copy of the ring until there is a large quantum computer opens it.
// So a token is best joined with a file, both being needed (package custodian).
package pkcs11

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/json"
	"path/filepath"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Kind is the word before the colon of a reference.
const Kind = "pkcs11"

// WrapFormat is the version of what the custodian wraps; it only rises.
const WrapFormat = "havre-pkcs11/1"

// Custodian is one key label of one token. The token is asked at each call, so
// it may be unplugged between them.
type Custodian struct {
	uri  URI
	ref  string
	ask  seal.Ask
	id   string // of the key that wraps
	hard bool
}

var _ seal.Renewable = (*Custodian)(nil)

// Open finds the key in the token. Relative paths count from dir.
func Open(ref, dir string, ask seal.Ask) (*Custodian, error) {
	c, err := prepare(ref, dir, ask)
	if err != nil {
		return nil, err
	}
	return c, c.with(func(t *token) error {
		all, err := t.keys(c.uri.Object)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return havre.E("pkcs11", havre.KeyUnavailable, "the token "+c.uri.Token+" holds no key "+c.uri.Object).
				WithHint("is it another token of the same label? `havre init` and `havre key rotate --to` make the key")
		}
		c.id, c.hard = all[0].ID(), t.hardware
		return nil
	})
}

// Create makes the key in the token; it fails with Exists if there is one of
// that label.
func Create(ref, dir string, ask seal.Ask) (*Custodian, error) {
	c, err := prepare(ref, dir, ask)
	if err != nil {
		return nil, err
	}
	return c, c.with(func(t *token) error {
		all, err := t.keys(c.uri.Object)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			return havre.E("pkcs11", havre.Exists, "the token "+c.uri.Token+" holds a key "+c.uri.Object+" already").
				WithHint("name another object: each key ring has a key of its own")
		}
		return c.generate(t)
	})
}

func prepare(ref, dir string, ask seal.Ask) (*Custodian, error) {
	u, err := ParseURI(ref)
	if err != nil {
		return nil, err
	}
	for _, p := range []*string{&u.Module, &u.PINSource} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	return &Custodian{uri: u, ref: ref, ask: ask}, nil
}

func (c *Custodian) generate(t *token) error {
	k, err := t.generate(c.uri.Object)
	if err != nil {
		return err
	}
	c.id, c.hard = k.ID(), t.hardware
	return nil
}

func (c *Custodian) with(do func(*token) error) error {
	t, err := login(c.uri, c.ask)
	if err != nil {
		return err
	}
	defer t.close()
	return do(t)
}

// key gives the key of that id.
func (c *Custodian) key(t *token, id string) (*key, error) {
	all, err := t.keys(c.uri.Object)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if k.ID() == id {
			return k, nil
		}
	}
	return nil, havre.E("pkcs11", havre.KeyUnavailable, "the token "+c.uri.Token+" no longer holds the key "+c.uri.Object+" of the id "+id).
		WithHint("the key was replaced or destroyed: this copy of the key ring opens by another custodian, or not at all")
}

// Who names the token and its key.
func (c *Custodian) Who() seal.Who {
	return seal.Who{Kind: Kind, Ref: c.ref, ID: c.id, Hardware: c.hard}
}

type wrapped struct {
	Format string `json:"format"`
	Key    string `json:"key"`    // CKA_ID, hex
	Sealed []byte `json:"sealed"` // HPKE: encapsulated key and ciphertext
}

// info binds what is sealed to its use.
var info = []byte("havre key ring by PKCS#11")

// suite is the rest of the HPKE suite: the hash goes with the curve.
func suite(c ecdh.Curve) (hpke.KDF, hpke.AEAD) {
	switch c {
	case ecdh.P384():
		return hpke.HKDFSHA384(), hpke.AES256GCM()
	case ecdh.P521():
		return hpke.HKDFSHA512(), hpke.AES256GCM()
	}
	return hpke.HKDFSHA256(), hpke.AES256GCM()
}

// Wrap seals to the public half.
func (c *Custodian) Wrap(s havre.Secret) (out []byte, err error) {
	err = c.with(func(t *token) error {
		k, err := c.key(t, c.id)
		if err != nil {
			return err
		}
		public, err := hpke.NewDHKEMPublicKey(k.public)
		if err != nil {
			return havre.E("pkcs11", havre.Invalid, "HPKE does not take the token's key").Wrap(err)
		}
		kdf, aead := suite(k.curve)
		sealed, err := hpke.Seal(public, kdf, aead, info, s.Reveal())
		if err != nil {
			return havre.E("pkcs11", havre.Internal, "wrapping failed").Wrap(err)
		}
		out, err = sign.Canonical(wrapped{WrapFormat, c.id, sealed})
		return err
	})
	return out, err
}

// Unwrap has the token do its half.
func (c *Custodian) Unwrap(b []byte) (s havre.Secret, err error) {
	w, err := parseWrapped(b)
	if err != nil {
		return s, err
	}
	err = c.with(func(t *token) error {
		k, err := c.key(t, w.Key)
		if err != nil {
			return err
		}
		private, err := hpke.NewDHKEMPrivateKey(k)
		if err != nil {
			return havre.E("pkcs11", havre.Invalid, "HPKE does not take the token's key").Wrap(err)
		}
		kdf, aead := suite(k.curve)
		plain, err := hpke.Open(private, kdf, aead, info, w.Sealed)
		if err != nil {
			return havre.E("pkcs11", havre.Tampered, "the token does not open what was wrapped for its key "+w.Key).
				WithHint("the key ring's file was altered, or the token failed: try again, then restore the file from its backup").Wrap(err)
		}
		s = havre.NewSecret(plain)
		return nil
	})
	return s, err
}

func parseWrapped(b []byte) (w wrapped, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err = d.Decode(&w); err == nil && w.Format == WrapFormat {
		if again, cerr := sign.Canonical(w); cerr == nil && bytes.Equal(again, b) {
			return w, nil
		}
	}
	return w, havre.E("pkcs11", havre.Tampered, "what the ring keeps for the token is damaged").
		WithHint("restore the key ring's file from its backup").Wrap(err)
}

// Renew makes a fresh key in the token, beside the old one.
func (c *Custodian) Renew() (seal.Custodian, error) {
	next := *c
	return &next, c.with(next.generate)
}

// Settle destroys the label's other keys in the token.
func (c *Custodian) Settle(id string) error {
	return c.with(func(t *token) error {
		if _, err := c.key(t, id); err != nil {
			return nil
		}
		all, err := t.keys(c.uri.Object)
		if err != nil {
			return err
		}
		for _, k := range all {
			if k.ID() == id {
				continue
			}
			if err := t.destroy(k, c.uri.Object); err != nil {
				return err
			}
		}
		return nil
	})
}
