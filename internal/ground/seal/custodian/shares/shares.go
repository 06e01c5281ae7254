// Package shares is the custodian that is several people: any k of n of them
// open the ring together, fewer learn nothing. The secret is split by Shamir's
// scheme over the scalars of ristretto255 (package secretsharing of CIRCL);
// it is the passphrase of an age file that holds the set's hybrid identity, so
// the people can open without this program too (docs/formats/shares.md).
package shares

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Kind is the word before the colon of a reference.
const Kind = "shares"

// WrapFormat is the version of what the custodian wraps; it only rises.
const WrapFormat = "havre-shares/1"

// MaxPeople bounds the number of people of one set.
const MaxPeople = 100

var field = group.Ristretto255

// wrapped is what the ring keeps for the set: all that is public of it, and
// the ring's key sealed to it.
type wrapped struct {
	Format    string         `json:"format"`
	Ring      string         `json:"ring"`
	Set       string         `json:"set"`
	Needed    int            `json:"needed"`
	People    []person       `json:"people"` // by number, from 1
	Recipient seal.Recipient `json:"recipient"`
	Locked    []byte         `json:"locked"` // the set's identity, an age file under the split secret
	Sealed    []byte         `json:"sealed"` // the ring's key, an age file to Recipient
}

type person struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // of the share's text: tells a damaged or forged share before it is used
}

// Custodian is a set of people, with as many of their shares as are here.
type Custodian struct {
	ref    string
	set    wrapped // without Sealed; empty until one is known
	shares []Share
	from   []string // where each share was read
}

var (
	_ seal.Custodian = (*Custodian)(nil)
	_ seal.WrapOnly  = (*Custodian)(nil)
)

// New makes a set for a ring and the share of each person, in their order. Any
// needed of them open it.
func New(ref, ring string, needed int, people []string) (*Custodian, []Share, error) {
	bad := func(what, hint string) (*Custodian, []Share, error) {
		return nil, nil, havre.E("shares", havre.Usage, what).WithHint(hint)
	}
	switch {
	case len(people) < 2 || len(people) > MaxPeople:
		return bad(fmt.Sprintf("shares are for 2 to %d people, and %d were named", MaxPeople, len(people)), "name each person with --person")
	case needed < 2 || needed > len(people):
		return bad(fmt.Sprintf("%d of %d people cannot be what is needed", needed, len(people)), "at least 2, and at most all of them")
	}
	for i, name := range people {
		if !validName(name) {
			return bad(fmt.Sprintf("%q cannot stand in a share as a name", name), "one line of 1 to 100 characters, without space at its ends")
		}
		if slices.Contains(people[:i], name) {
			return bad(name+" is named twice", "each person holds one share")
		}
	}
	key, err := seal.NewKey()
	if err != nil {
		return nil, nil, err
	}
	secret := field.RandomScalar(rand.Reader)
	id := sha256.Sum256([]byte(key.Recipient().String()))
	c := &Custodian{ref: ref, set: wrapped{Format: WrapFormat, Ring: ring, Set: hex.EncodeToString(id[:8]), Needed: needed, Recipient: key.Recipient()}}
	if c.set.Locked, err = lock(key.Secret(), secret); err != nil {
		return nil, nil, err
	}
	for i, s := range secretsharing.New(rand.Reader, uint(needed-1), secret).Share(uint(len(people))) {
		value, err := s.Value.MarshalBinary()
		if err != nil {
			return nil, nil, havre.E("shares", havre.Internal, "a share has no bytes").Wrap(err)
		}
		share := Share{Ring: ring, Set: c.set.Set, Person: people[i], Number: i + 1, Needed: needed, People: len(people), Value: havre.NewSecret(value)}
		c.shares, c.from = append(c.shares, share), append(c.from, "made now")
		c.set.People = append(c.set.People, person{people[i], share.digest()})
	}
	return c, slices.Clone(c.shares), nil
}

// passphrase gives the split secret as text: 64 hex digits.
func passphrase(s group.Scalar) (string, error) {
	b, err := s.MarshalBinary()
	return hex.EncodeToString(b), err
}

// lock seals the set's identity under the secret. The secret has 252 bits, so
// the passphrase needs no stretching and the lowest work factor will do.
func lock(identity havre.Secret, secret group.Scalar) ([]byte, error) {
	text, err := passphrase(secret)
	if err != nil {
		return nil, havre.E("shares", havre.Internal, "the secret has no bytes").Wrap(err)
	}
	var buf bytes.Buffer
	to, err := age.NewScryptRecipient(text)
	if err == nil {
		to.SetWorkFactor(1)
		var w io.WriteCloser
		if w, err = age.Encrypt(&buf, to); err == nil {
			_, err = w.Write(identity.Reveal())
		}
		if err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		return nil, havre.E("shares", havre.Internal, "the set's key could not be sealed").Wrap(err)
	}
	return buf.Bytes(), nil
}

// Keep gives the set that wrapped, so that it can wrap again while its people
// are away.
func Keep(ref string, sealed []byte) (*Custodian, error) {
	w, err := parseWrapped(sealed)
	if err != nil {
		return nil, err
	}
	w.Sealed = nil
	return &Custodian{ref: ref, set: w}, nil
}

// Open reads the shares at the given places: files, or folders whose *.share
// files count. Whether they are enough is known when something is unwrapped.
func Open(ref string, places []string) (*Custodian, error) {
	c := &Custodian{ref: ref}
	for _, p := range places {
		files := []string{p}
		if st, err := os.Stat(p); err == nil && st.IsDir() {
			files, _ = filepath.Glob(filepath.Join(p, "*.share"))
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, havre.E("shares.open", havre.KeyUnavailable, "the share "+f+" cannot be read").
					WithHint("connect the medium of the person who holds it").Wrap(err)
			}
			s, err := Parse(b)
			if err != nil {
				return nil, havre.E("shares.open", havre.KindOf(err), "the file "+f+" cannot be used").WithHint(havre.HintOf(err)).Wrap(err)
			}
			c.shares, c.from = append(c.shares, s), append(c.from, f)
		}
	}
	return c, nil
}

// Who names the people.
func (c *Custodian) Who() seal.Who {
	w := seal.Who{Kind: Kind, Ref: c.ref, ID: c.set.Set, Ring: c.set.Ring, PostQuantum: true, Needed: c.set.Needed}
	for _, p := range c.set.People {
		w.People = append(w.People, p.Name)
	}
	if c.set.Set == "" && len(c.shares) > 0 {
		w.ID = c.shares[0].Set
	}
	return w
}

// WrapOnly says whether the people who are here are too few to open.
func (c *Custodian) WrapOnly() bool { return len(c.shares) < max(c.set.Needed, 1) }

// Wrap seals to the set; nobody needs to be present.
func (c *Custodian) Wrap(s havre.Secret) ([]byte, error) {
	if c.set.Set == "" {
		return nil, havre.E("shares", havre.KeyUnavailable, "this set of people is not a custodian yet").
			WithHint("make one: havre key share")
	}
	w := c.set
	var err error
	if w.Sealed, err = seal.Seal(s.Reveal(), w.Recipient); err != nil {
		return nil, err
	}
	return sign.Canonical(w)
}

// Unwrap puts the shares together. It fails with KeyUnavailable when there are
// too few, Invalid when one is of another set or was given twice, and Tampered
// when one is not as it was handed out; the error names the people.
func (c *Custodian) Unwrap(sealed []byte) (havre.Secret, error) {
	w, err := parseWrapped(sealed)
	if err != nil {
		return havre.Secret{}, err
	}
	if err := c.check(w); err != nil {
		return havre.Secret{}, err
	}
	parts := make([]secretsharing.Share, w.Needed)
	for i, s := range c.shares[:w.Needed] {
		value := field.NewScalar()
		if err := value.UnmarshalBinary(s.Value.Reveal()); err != nil {
			return havre.Secret{}, havre.E("shares", havre.Tampered, "the share of "+s.Person+" is damaged").Wrap(err)
		}
		parts[i] = secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(s.Number)), Value: value}
	}
	secret, err := secretsharing.Recover(uint(w.Needed-1), parts)
	if err != nil {
		return havre.Secret{}, havre.E("shares", havre.Internal, "the shares could not be put together").Wrap(err)
	}
	key, err := unlock(w.Locked, secret)
	if err != nil {
		return havre.Secret{}, err
	}
	plain, err := seal.Open(w.Sealed, key)
	return havre.NewSecret(plain), err
}

// check demands enough different shares of this very set.
func (c *Custodian) check(w wrapped) error {
	const op = "shares.open"
	all := make([]string, len(w.People))
	for i, p := range w.People {
		all[i] = p.Name
	}
	have := map[int]string{}
	for i, s := range c.shares {
		at := " (" + c.from[i] + ")"
		switch {
		case s.Ring != w.Ring:
			return havre.E(op, havre.Invalid, "the share of "+s.Person+at+" is of another key ring").
				WithHint("this ring's shares are with " + strings.Join(all, ", "))
		case s.Set != w.Set:
			return havre.E(op, havre.Invalid, "the share of "+s.Person+at+" is of another set of this ring: it was replaced, or is not in force yet").
				WithHint("the set in force is with " + strings.Join(all, ", ") + "; have shares of older sets destroyed")
		case s.Number > len(w.People) || w.People[s.Number-1].SHA256 != s.digest():
			return havre.E(op, havre.Tampered, "the share of "+s.Person+at+" is not as it was handed out").
				WithHint("read it again from its medium, or ask another person")
		}
		if first, twice := have[s.Number]; twice {
			return havre.E(op, havre.Invalid, "the share of "+s.Person+" was given twice"+at+" and ("+first+")").
				WithHint("each person brings one share; still needed: " + missing(w, have))
		}
		have[s.Number] = c.from[i]
	}
	if len(have) < w.Needed {
		var here []string
		for _, s := range c.shares {
			here = append(here, s.Person)
		}
		who := "nobody's is here"
		if len(here) > 0 {
			who = "here are those of " + strings.Join(here, ", ")
		}
		return havre.E(op, havre.KeyUnavailable, fmt.Sprintf("%d shares are needed, and %s", w.Needed, who)).
			WithHint("still needed: " + missing(w, have))
	}
	return nil
}

// missing says how many more, and of whom.
func missing(w wrapped, have map[int]string) string {
	var names []string
	for i, p := range w.People {
		if _, ok := have[i+1]; !ok {
			names = append(names, p.Name)
		}
	}
	return fmt.Sprintf("%d of %s", w.Needed-len(have), strings.Join(names, ", "))
}

func unlock(locked []byte, secret group.Scalar) (*seal.Key, error) {
	bad := func(err error) (*seal.Key, error) {
		return nil, havre.E("shares", havre.Tampered, "the shares do not open the set's key").
			WithHint("the key ring's file was altered: restore it from its backup").Wrap(err)
	}
	text, err := passphrase(secret)
	if err != nil {
		return bad(err)
	}
	id, err := age.NewScryptIdentity(text)
	if err != nil {
		return bad(err)
	}
	r, err := age.Decrypt(bytes.NewReader(locked), id)
	if err != nil {
		return bad(err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, 1<<12))
	if err != nil {
		return bad(err)
	}
	return seal.ParseKey(havre.NewSecret(plain))
}

// parseWrapped reads what Wrap gave, in its one spelling.
func parseWrapped(b []byte) (wrapped, error) {
	bad := func(err error) (wrapped, error) {
		return wrapped{}, havre.E("shares", havre.Tampered, "what the ring keeps for the people with shares is damaged").
			WithHint("restore the key ring's file from its backup").Wrap(err)
	}
	var w wrapped
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return bad(err)
	}
	if again, err := sign.Canonical(w); err != nil || !bytes.Equal(again, b) {
		return bad(err)
	}
	if w.Format != WrapFormat || w.Needed < 2 || w.Needed > len(w.People) || len(w.People) > MaxPeople {
		return bad(nil)
	}
	return w, nil
}
