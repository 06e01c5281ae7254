// Package plugin is the custodian behind the age plugin protocol: a key
// service, a smart card or anything else for which there is a program
// age-plugin-NAME. It is run as a child process; the ring's key is wrapped as
// an age file whose one stanza is the plugin's.
package plugin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// Kind is the word before the colon of a reference.
const Kind = "plugin"

const recipientComment = "# public key: "

// Custodian is one identity of one plugin.
type Custodian struct {
	ref       string
	name      string // of the plugin
	id        string
	identity  *plugin.Identity
	recipient age.Recipient
}

var _ seal.Custodian = (*Custodian)(nil)

// Open reads an identity file as the plugin's own tools write it: the line
// AGE-PLUGIN-NAME-1..., and, where the plugin has recipients of its own, the
// comment "# public key: age1name1...".
func Open(ref, path string, ask seal.Ask) (*Custodian, error) {
	const op = "plugin"
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, havre.E(op, havre.KeyUnavailable, "the plugin's identity file "+path+" cannot be read").
			WithHint("make it with the plugin's own tool, e.g. age-plugin-NAME --generate").Wrap(err)
	}
	c := &Custodian{ref: ref}
	var public string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if r, ok := strings.CutPrefix(line, recipientComment); ok {
			public = r
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if c.identity != nil {
			return nil, havre.E(op, havre.Invalid, path+" holds more than one identity").WithHint("put each into a file of its own")
		}
		if c.identity, err = plugin.NewIdentity(line, ui(ask)); err != nil { // the cause could quote the identity
			return nil, havre.E(op, havre.Invalid, path+" does not hold the identity of an age plugin (AGE-PLUGIN-NAME-1...)")
		}
		sum := sha256.Sum256([]byte(line))
		c.id = hex.EncodeToString(sum[:8])
	}
	if c.identity == nil {
		return nil, havre.E(op, havre.Invalid, path+" holds no identity of an age plugin (AGE-PLUGIN-NAME-1...)")
	}
	c.name, c.recipient = c.identity.Name(), c.identity.Recipient()
	if public != "" {
		if c.recipient, err = plugin.NewRecipient(public, ui(ask)); err != nil {
			return nil, havre.E(op, havre.Invalid, path+": the public key is not that of an age plugin").Wrap(err)
		}
	}
	return c, nil
}

// ui lets a plugin ask for a PIN or passphrase; what it merely tells goes
// nowhere, since it may be asked in the middle of anything.
func ui(ask seal.Ask) *plugin.ClientUI {
	return &plugin.ClientUI{
		DisplayMessage: func(string, string) error { return nil },
		RequestValue: func(name, message string, _ bool) (string, error) {
			s, err := ask(message + " (age-plugin-" + name + ")")
			return string(s.Reveal()), err
		},
		Confirm: func(string, string, string, string) (bool, error) {
			return false, errors.New("nobody is here to confirm")
		},
		WaitTimer: func(string) {},
	}
}

// Who names the plugin. What it can do against quantum computers is its own
// matter and not known here.
func (c *Custodian) Who() seal.Who { return seal.Who{Kind: Kind, Ref: c.ref, ID: c.id} }

// Wrap seals to the plugin's recipient.
func (c *Custodian) Wrap(s havre.Secret) ([]byte, error) {
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, c.recipient)
	if err == nil {
		_, err = w.Write(s.Reveal())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, c.failed("does not wrap", err)
	}
	return buf.Bytes(), nil
}

// Unwrap has the plugin open its stanza.
func (c *Custodian) Unwrap(wrapped []byte) (havre.Secret, error) {
	r, err := age.Decrypt(bytes.NewReader(wrapped), c.identity)
	if err != nil {
		return havre.Secret{}, c.failed("does not open what was wrapped for it", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, 1<<16))
	if err != nil {
		return havre.Secret{}, havre.E("plugin", havre.Tampered, "what the ring keeps for age-plugin-"+c.name+" is damaged").
			WithHint("restore the key ring's file from its backup").Wrap(err)
	}
	return havre.NewSecret(plain), nil
}

func (c *Custodian) failed(what string, err error) error {
	e := havre.E("plugin", havre.KeyUnavailable, "age-plugin-"+c.name+" "+what).Wrap(err)
	if nf := new(plugin.NotFoundError); errors.As(err, &nf) {
		return e.WithHint("install age-plugin-" + c.name + " where $PATH finds it")
	}
	return e.WithHint("is its key service reachable, and this machine allowed to use the key?")
}
