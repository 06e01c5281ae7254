package pkcs11

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// modules are the libraries that this process has loaded: PKCS#11 allows one
// initialisation of each in a process.
var modules struct {
	sync.Mutex
	loaded map[string]*p11.Ctx
}

func load(path string) (*p11.Ctx, error) {
	modules.Lock()
	defer modules.Unlock()
	if c := modules.loaded[path]; c != nil {
		return c, nil
	}
	bad := func(err error) (*p11.Ctx, error) {
		return nil, havre.E("pkcs11", havre.KeyUnavailable, "the token's library "+path+" cannot be loaded").
			WithHint("install the library of the token's maker, and name it by module-path").Wrap(err)
	}
	if _, err := os.Stat(path); err != nil {
		return bad(err)
	}
	c := p11.New(path)
	if c == nil {
		return bad(errors.New("it is no PKCS#11 library"))
	}
	if err := c.Initialize(); err != nil && !errors.Is(err, p11.Error(p11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return bad(err)
	}
	if modules.loaded == nil {
		modules.loaded = map[string]*p11.Ctx{}
	}
	modules.loaded[path] = c
	return c, nil
}

// token is an open session with a token, logged in.
type token struct {
	ctx      *p11.Ctx
	session  p11.SessionHandle
	hardware bool
}

// login opens the token of that label. The session is closed by close.
func login(u URI, ask seal.Ask) (*token, error) {
	ctx, err := load(u.Module)
	if err != nil {
		return nil, err
	}
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return nil, explain("the tokens cannot be listed", err)
	}
	var labels []string
	for _, slot := range slots {
		info, err := ctx.GetTokenInfo(slot)
		if err != nil {
			continue // a token that was pulled while we looked
		}
		label := strings.TrimRight(info.Label, " \x00")
		if label != u.Token {
			if label != "" { // an empty slot, or a token not yet made ready
				labels = append(labels, label)
			}
			continue
		}
		s, err := ctx.GetSlotInfo(slot)
		if err != nil {
			return nil, explain("the slot cannot be read", err)
		}
		t := &token{ctx: ctx, hardware: s.Flags&p11.CKF_HW_SLOT != 0}
		if t.session, err = ctx.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION); err != nil {
			return nil, explain("the token "+u.Token+" cannot be opened", err)
		}
		if err := t.pin(u, info, ask); err != nil {
			t.close()
			return nil, err
		}
		return t, nil
	}
	e := havre.E("pkcs11", havre.KeyUnavailable, "the token "+u.Token+" is not there")
	if len(labels) > 0 {
		return nil, e.WithHint("plug it in; the library sees: " + strings.Join(labels, ", "))
	}
	return nil, e.WithHint("plug it in; the library sees no token at all")
}

// pin logs in.
func (t *token) pin(u URI, info p11.TokenInfo, ask seal.Ask) error {
	const op = "pkcs11"
	if info.Flags&p11.CKF_USER_PIN_LOCKED != 0 {
		return explain("the token "+u.Token+" refuses the PIN", p11.Error(p11.CKR_PIN_LOCKED))
	}
	var pin havre.Secret
	if u.PINSource != "" {
		b, err := os.ReadFile(u.PINSource)
		if err != nil {
			return havre.E(op, havre.KeyUnavailable, "the file with the PIN of the token "+u.Token+" cannot be read").Wrap(err)
		}
		pin = havre.NewSecret([]byte(strings.TrimRight(string(b), "\r\n")))
	} else {
		var err error
		if pin, err = ask("PIN of the token " + u.Token); err != nil {
			return err
		}
	}
	err := t.ctx.Login(t.session, p11.CKU_USER, string(pin.Reveal()))
	if errors.Is(err, p11.Error(p11.CKR_USER_ALREADY_LOGGED_IN)) {
		return nil // another session of this process did
	}
	if err != nil {
		what := "the token " + u.Token + " refuses the PIN"
		if info.Flags&p11.CKF_USER_PIN_FINAL_TRY != 0 {
			what += ", and that was the last try"
		}
		return explain(what, err)
	}
	return nil
}

func (t *token) close() { _ = t.ctx.CloseSession(t.session) }

// explain turns an answer of the token into an error with what to do.
func explain(what string, err error) error {
	hint := "look at the token with the tools of its maker"
	var code p11.Error
	if errors.As(err, &code) {
		switch code {
		case p11.CKR_PIN_INCORRECT, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE:
			hint = "nothing was changed; a token locks after a few wrong PINs, so be sure before you try again"
		case p11.CKR_PIN_LOCKED, p11.CKR_PIN_EXPIRED:
			hint = "the PIN is locked: the token's security officer unlocks it with the SO PIN (PUK); until then open with another custodian"
		case p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_DEVICE_REMOVED, p11.CKR_DEVICE_ERROR, p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SLOT_ID_INVALID:
			hint = "the token is gone: plug it in again, or open with another custodian"
		}
	}
	return havre.E("pkcs11", havre.KeyUnavailable, what).WithHint(hint).Wrap(err)
}

// key is a key pair in the token; its private half never leaves it. It is an
// ecdh.KeyExchanger, so that HPKE works with it as with any other key.
type key struct {
	t       *token
	id      []byte // CKA_ID
	private p11.ObjectHandle
	public  *ecdh.PublicKey
	curve   ecdh.Curve
}

var _ ecdh.KeyExchanger = (*key)(nil)

func (k *key) PublicKey() *ecdh.PublicKey { return k.public }
func (k *key) Curve() ecdh.Curve          { return k.curve }
func (k *key) ID() string                 { return hex.EncodeToString(k.id) }

// ECDH has the token compute the shared secret: CKM_ECDH1_DERIVE without a key
// derivation of its own, since HPKE brings one.
func (k *key) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	size := (len(peer.Bytes()) - 1) / 2 // of a coordinate: 65, 97 or 133 bytes of an uncompressed point
	template := []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY),
		p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET),
		p11.NewAttribute(p11.CKA_TOKEN, false),
		p11.NewAttribute(p11.CKA_SENSITIVE, false),
		p11.NewAttribute(p11.CKA_EXTRACTABLE, true),
		p11.NewAttribute(p11.CKA_VALUE_LEN, size),
	}
	params := p11.NewECDH1DeriveParams(p11.CKD_NULL, nil, peer.Bytes())
	o, err := k.t.ctx.DeriveKey(k.t.session, []*p11.Mechanism{p11.NewMechanism(p11.CKM_ECDH1_DERIVE, params)}, k.private, template)
	if err != nil {
		return nil, explain("the token does not derive", err)
	}
	defer func() { _ = k.t.ctx.DestroyObject(k.t.session, o) }()
	got, err := k.t.ctx.GetAttributeValue(k.t.session, o, []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)})
	if err != nil {
		return nil, explain("the token does not give what it derived", err)
	}
	return got[0].Value, nil
}

// curves by their DER object identifiers.
var curves = map[string]ecdh.Curve{
	"06082a8648ce3d030107": ecdh.P256(),
	"06052b81040022":       ecdh.P384(),
	"06052b81040023":       ecdh.P521(),
}

const p256 = "06082a8648ce3d030107"

// keys lists the key pairs of that label.
func (t *token) keys(label string) ([]*key, error) {
	private, err := t.find(p11.CKO_PRIVATE_KEY, label, nil)
	if err != nil {
		return nil, err
	}
	var out []*key
	for _, o := range private {
		got, err := t.ctx.GetAttributeValue(t.session, o, []*p11.Attribute{p11.NewAttribute(p11.CKA_ID, nil), p11.NewAttribute(p11.CKA_KEY_TYPE, nil)})
		if err != nil {
			return nil, explain("the key "+label+" cannot be read", err)
		}
		k := &key{t: t, id: got[0].Value, private: o}
		public, err := t.find(p11.CKO_PUBLIC_KEY, label, k.id)
		if err != nil {
			return nil, err
		}
		if len(public) != 1 {
			return nil, havre.E("pkcs11", havre.KeyUnavailable, "the token has no public half of the key "+label).
				WithHint("keep the certificate or public key beside the private key, under the same label and id")
		}
		if err := k.point(public[0]); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// point reads the public half.
func (k *key) point(o p11.ObjectHandle) error {
	got, err := k.t.ctx.GetAttributeValue(k.t.session, o, []*p11.Attribute{p11.NewAttribute(p11.CKA_EC_PARAMS, nil), p11.NewAttribute(p11.CKA_EC_POINT, nil)})
	if err != nil {
		return havre.E("pkcs11", havre.Invalid, "the key in the token is not on an elliptic curve").
			WithHint("a custodian's key is on NIST P-256, P-384 or P-521").Wrap(err)
	}
	k.curve = curves[hex.EncodeToString(got[0].Value)]
	if k.curve == nil {
		return havre.E("pkcs11", havre.Invalid, "the key in the token is on a curve that is not known here").
			WithHint("a custodian's key is on NIST P-256, P-384 or P-521")
	}
	point := got[1].Value
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner // as the standard wants it; some tokens give the bare point
	}
	if k.public, err = k.curve.NewPublicKey(point); err != nil {
		return havre.E("pkcs11", havre.Tampered, "the public half of the key in the token is no point of its curve").Wrap(err)
	}
	return nil
}

// generate makes a key pair on P-256 whose private half can never be read.
func (t *token) generate(label string) (*key, error) {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // crypto/rand never fails
	oid, _ := hex.DecodeString(p256)
	public := []*p11.Attribute{
		p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_LABEL, label), p11.NewAttribute(p11.CKA_ID, id),
		p11.NewAttribute(p11.CKA_EC_PARAMS, oid), p11.NewAttribute(p11.CKA_DERIVE, true),
	}
	private := []*p11.Attribute{
		p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_LABEL, label), p11.NewAttribute(p11.CKA_ID, id),
		p11.NewAttribute(p11.CKA_PRIVATE, true), p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false),
		p11.NewAttribute(p11.CKA_DERIVE, true),
	}
	_, _, err := t.ctx.GenerateKeyPair(t.session, []*p11.Mechanism{p11.NewMechanism(p11.CKM_EC_KEY_PAIR_GEN, nil)}, public, private)
	if err != nil {
		return nil, explain("the token makes no key on P-256", err)
	}
	all, err := t.keys(label)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if k.ID() == hex.EncodeToString(id) {
			return k, nil
		}
	}
	return nil, havre.E("pkcs11", havre.KeyUnavailable, "the token made a key and does not show it")
}

// destroy removes a key pair from the token.
func (t *token) destroy(k *key, label string) error {
	for _, class := range []uint{p11.CKO_PRIVATE_KEY, p11.CKO_PUBLIC_KEY} {
		objects, err := t.find(class, label, k.id)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if err := t.ctx.DestroyObject(t.session, o); err != nil {
				return explain("the token does not destroy the old key", err)
			}
		}
	}
	return nil
}

// find lists objects of a class and label, and of an id if one is given.
func (t *token) find(class uint, label string, id []byte) ([]p11.ObjectHandle, error) {
	template := []*p11.Attribute{p11.NewAttribute(p11.CKA_CLASS, class), p11.NewAttribute(p11.CKA_LABEL, label)}
	if id != nil {
		template = append(template, p11.NewAttribute(p11.CKA_ID, id))
	}
	if err := t.ctx.FindObjectsInit(t.session, template); err != nil {
		return nil, explain("the token cannot be searched", err)
	}
	found, _, err := t.ctx.FindObjects(t.session, 100)
	if ferr := t.ctx.FindObjectsFinal(t.session); err == nil {
		err = ferr
	}
	if err != nil {
		return nil, explain(fmt.Sprintf("the token cannot be searched for %q", label), err)
	}
	return found, nil
}
