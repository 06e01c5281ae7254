// Package sign signs and checks documents: a DSSE envelope (Dead Simple
// Signing Envelope v1) around canonical JSON (RFC 8785), signed with Ed25519.
// A document has exactly one spelling: Verify refuses a payload that is not in
// canonical form or has an unknown field.
package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/havre-hub/havre/internal/havre"
)

const keyPrefix = "havre-ed25519:"

// PublicKey checks signatures. As text it is "havre-ed25519:" and standard
// base64 of the 32 bytes.
type PublicKey struct{ k ed25519.PublicKey }

// Signer makes signatures.
type Signer struct{ k ed25519.PrivateKey }

// NewSigner draws a fresh signing key.
func NewSigner() *Signer {
	_, k, _ := ed25519.GenerateKey(rand.Reader) // crypto/rand never fails
	return &Signer{k}
}

// ParseSigner reads what Secret gives.
func ParseSigner(s havre.Secret) (*Signer, error) {
	if len(s.Reveal()) != ed25519.SeedSize {
		return nil, havre.E("sign.key", havre.KeyUnavailable, "this is not an Ed25519 seed of 32 bytes")
	}
	return &Signer{ed25519.NewKeyFromSeed(s.Reveal())}, nil
}

// Secret is the 32-byte seed, to be wrapped by a custodian.
func (s *Signer) Secret() havre.Secret { return havre.NewSecret(s.k.Seed()) }

// String never shows the key.
func (s *Signer) String() string { return "[secret]" }

// Public is the key that checks s's signatures.
func (s *Signer) Public() PublicKey { return PublicKey{s.k.Public().(ed25519.PublicKey)} }

// Private gives the key to a library that signs by itself (TLS, log checkpoints).
func (s *Signer) Private() ed25519.PrivateKey { return s.k }

// ParsePublicKey reads "havre-ed25519:...".
func ParsePublicKey(s string) (PublicKey, error) {
	b64, ok := strings.CutPrefix(strings.TrimSpace(s), keyPrefix)
	b, err := base64.StdEncoding.Strict().DecodeString(b64)
	if !ok || err != nil || len(b) != ed25519.PublicKeySize || base64.StdEncoding.EncodeToString(b) != b64 {
		return PublicKey{}, havre.E("sign.key", havre.Invalid, "this is not a public key (havre-ed25519:...)")
	}
	return PublicKey{b}, nil
}

func (p PublicKey) String() string {
	if p.k == nil {
		return ""
	}
	return keyPrefix + base64.StdEncoding.EncodeToString(p.k)
}

// MarshalText and UnmarshalText let a key stand in JSON and YAML.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads "havre-ed25519:...".
func (p *PublicKey) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePublicKey(string(b))
	return err
}

// Ed25519 gives the raw key.
func (p PublicKey) Ed25519() ed25519.PublicKey { return p.k }

// ID is the first 16 hex digits of SHA-256 of the raw key: the DSSE keyid, a
// hint that verification does not trust.
func (p PublicKey) ID() string {
	h := sha256.Sum256(p.k)
	return hex.EncodeToString(h[:8])
}

// Canonical is v as JSON in the one spelling of RFC 8785. Numbers beyond 2^53
// do not survive it: put 64-bit ids in strings.
func Canonical(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, havre.E("sign", havre.Internal, "the document has no JSON form").Wrap(err)
	}
	c := jsontext.Value(b)
	if err := c.Canonicalize(); err != nil {
		return nil, havre.E("sign", havre.Internal, "the document has no canonical form").Wrap(err)
	}
	return c, nil
}

// Digest is SHA-256, hex, of v's canonical JSON; "" if v has no JSON form.
func Digest(v any) string {
	c, err := Canonical(v)
	if err != nil {
		return ""
	}
	h := sha256.Sum256(c)
	return hex.EncodeToString(h[:])
}

// Sign gives the DSSE envelope (JSON, one line and a newline) of v.
func Sign(payloadType string, v any, s *Signer) ([]byte, error) {
	if s == nil {
		return nil, havre.E("sign", havre.KeyUnavailable, "there is no key to sign with")
	}
	payload, err := Canonical(v)
	if err != nil {
		return nil, err
	}
	es, err := dsse.NewEnvelopeSigner(dsseKey{s: s, p: s.Public()})
	if err != nil {
		return nil, havre.E("sign", havre.Internal, "signing failed").Wrap(err)
	}
	env, err := es.SignPayload(context.Background(), payloadType, payload)
	if err != nil {
		return nil, havre.E("sign", havre.Internal, "signing failed").Wrap(err)
	}
	out, err := Canonical(env)
	return append(out, '\n'), err
}

// Verify checks that one of keys signed the envelope, that it holds a document
// of that type in canonical form, decodes it into v (a pointer; unknown fields
// are refused), and says which key signed. Any failure is of kind Tampered,
// and v is then not to be used.
func Verify(envelope []byte, payloadType string, v any, keys ...PublicKey) (PublicKey, error) {
	bad := func(msg string, err error) (PublicKey, error) {
		return PublicKey{}, havre.E("verify", havre.Tampered, msg).Wrap(err)
	}
	var env dsse.Envelope
	if err := strict(envelope, &env); err != nil {
		return bad("the envelope is not DSSE JSON", err)
	}
	if env.PayloadType != payloadType {
		return bad("the envelope holds a document of type "+quote(env.PayloadType)+", not "+payloadType, nil)
	}
	signer, err := signedBy(&env, keys)
	if err != nil {
		return bad("no trusted key signed this document, or it was altered after signing", err)
	}
	payload, err := env.DecodeB64Payload()
	if err != nil {
		return bad("the payload is not base64", err)
	}
	if again, err := assemble(payloadType, payload, signer, env.Signatures[0].Sig); err != nil || !bytes.Equal(again, envelope) {
		return bad("the envelope is not in the one form that it may have", err)
	}
	if err := strict(payload, v); err != nil {
		return bad("the document does not have the fields of its type", err)
	}
	// The decoder takes spaces, other cases of a name, missing fields and other
	// spellings of a time: only what encodes back to the same bytes is read.
	if c, err := Canonical(v); err != nil || !bytes.Equal(c, payload) {
		return bad("the document is not in the canonical form (RFC 8785) of its type", err)
	}
	return signer, nil
}

// assemble gives the one envelope of a payload and its signature (base64).
func assemble(payloadType string, payload []byte, signer PublicKey, sig string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(sig)
	if err != nil {
		return nil, err
	}
	out, err := Canonical(dsse.Envelope{
		PayloadType: payloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures:  []dsse.Signature{{KeyID: signer.ID(), Sig: base64.StdEncoding.EncodeToString(raw)}},
	})
	return append(out, '\n'), err
}

func signedBy(env *dsse.Envelope, keys []PublicKey) (PublicKey, error) {
	if len(keys) == 0 {
		return PublicKey{}, dsse.ErrNoSignature
	}
	var last error
	for _, k := range keys {
		v, err := dsse.NewEnvelopeVerifier(dsseKey{p: k})
		if err == nil {
			_, err = v.Verify(context.Background(), env)
		}
		if err == nil {
			return k, nil
		}
		last = err
	}
	return PublicKey{}, last
}

func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return havre.E("verify", havre.Tampered, "there is data after the document")
	}
	return nil
}

func quote(s string) string {
	if len(s) > 80 {
		s = s[:80]
	}
	b, _ := json.Marshal(s)
	return string(b)
}

// dsseKey fits an Ed25519 key to the DSSE library.
type dsseKey struct {
	s *Signer
	p PublicKey
}

func (d dsseKey) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(d.s.k, data), nil
}

func (d dsseKey) Verify(_ context.Context, data, sig []byte) error {
	if d.p.k == nil || !ed25519.Verify(d.p.k, data, sig) {
		return dsse.ErrNoSignature
	}
	return nil
}

func (d dsseKey) KeyID() (string, error)   { return d.p.ID(), nil }
func (d dsseKey) Public() crypto.PublicKey { return d.p.k }
