package seal

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// RingFormat is the version of the ring's file; it only rises.
const RingFormat = "havre-ring/1"

const ringName = "ring.json"

// Info is what everybody may know of a ring: names, times and fingerprints,
// no secret. docs/formats/ring.md has it byte for byte.
type Info struct {
	Format     string    `json:"format"`
	Ring       string    `json:"ring"`       // id, for the ring's whole life
	Generation int       `json:"generation"` // from 1; rises when the ring's own key changes
	Made       time.Time `json:"made"`       // of this generation
	Wraps      []Wrap    `json:"wraps"`      // one for each custodian; any of them opens
	Keys       []Entry   `json:"keys"`       // sorted by name and generation
	Destroyed  []Gone    `json:"destroyed"`  // sorted by name
	Pending    *Pending  `json:"pending,omitempty"`
}

// Entry is one generation of a secret.
type Entry struct {
	Name       string    `json:"name"`
	Generation int       `json:"generation"` // from 1
	ID         string    `json:"id,omitempty"`
	Made       time.Time `json:"made"`
}

func (e Entry) label() string { return e.Name + "@" + strconv.Itoa(e.Generation) }

// Gone is what is left of a key that was destroyed.
type Gone struct {
	Name string    `json:"name"`
	IDs  []string  `json:"ids"` // of all its generations
	At   time.Time `json:"at"`
}

// Pending is an act that the ring has taken part in and that is not finished:
// whoever opens the ring next finishes it.
type Pending struct {
	Act     string    `json:"act"`    // "rotate", "destroy"
	Intent  int64     `json:"intent"` // position of the log's entry
	At      time.Time `json:"at"`
	By      string    `json:"by"` // account
	Reason  string    `json:"reason"`
	Names   []string  `json:"names"`   // keys renewed or destroyed
	Former  []Who     `json:"former"`  // custodians before the act
	Subject []string  `json:"subject"` // deliveries or permits
}

// document is the ring's file: Info and the sealed secrets. What is sealed
// holds the hash of Info, so that neither can be altered or exchanged alone.
type document struct {
	Info
	sealed  []byte            // as read
	secrets map[string][]byte // by Entry.label; nil until open
}

type ringFile struct {
	Info
	Sealed []byte `json:"sealed"`
}

type contents struct {
	Info    string            `json:"info_sha256"`
	Secrets map[string][]byte `json:"secrets"`
}

func readRing(dir string) (*document, error) {
	path := filepath.Join(dir, ringName)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, havre.E("seal.ring", havre.KeyUnavailable, "there is no key ring at "+path).
			WithHint("restore the folder from its backup: without it nothing can be opened, and a new one would not open the old data").Wrap(err)
	}
	d, err := parseRing(b)
	if err != nil {
		return nil, havre.E("seal.ring", havre.KindOf(err), "the key ring "+path+" cannot be used").
			WithHint("restore it from its backup").Wrap(err)
	}
	return d, nil
}

// parseRing reads a ring's file in its one spelling.
func parseRing(b []byte) (*document, error) {
	bad := func(what string, err error) (*document, error) {
		return nil, havre.E("seal.ring", havre.Tampered, what).Wrap(err)
	}
	var f ringFile
	strict := json.NewDecoder(bytes.NewReader(b))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&f); err != nil {
		return bad("it is not the JSON of a key ring", err)
	}
	if f.Format != RingFormat {
		return nil, havre.E("seal.ring", havre.Invalid, "it has the format "+strconv.Quote(f.Format)+"; this program knows "+RingFormat)
	}
	if again, err := spell(f); err != nil || !bytes.Equal(again, b) {
		return bad("it is not in its one spelling", err)
	}
	if f.Generation < 1 || len(f.Wraps) == 0 {
		return bad("it has no generation, or no custodian", nil)
	}
	for _, e := range f.Keys {
		if !havre.ValidName(e.Name) || e.Generation < 1 {
			return bad("it names a key "+strconv.Quote(e.Name)+", which cannot be", nil)
		}
	}
	return &document{Info: f.Info, sealed: f.Sealed}, nil
}

func spell(f ringFile) ([]byte, error) {
	b, err := sign.Canonical(f)
	return append(b, '\n'), err
}

// unwrap gives the ring's own key, by one of its custodians.
func (d *document) unwrap(c Custodian) (*Key, error) {
	who := c.Who()
	if who.Ring != "" && who.Ring != d.Ring {
		return nil, havre.E("seal.ring", havre.Refused, who.Ref+" guards the key ring "+who.Ring+", and this is "+d.Ring).
			WithHint("every key ring has a custodian of its own")
	}
	var failed error
	for _, w := range d.Wraps {
		if w.Kind != who.Kind {
			continue
		}
		s, err := c.Unwrap(w.Sealed)
		if err == nil {
			return ParseKey(s)
		}
		if failed == nil || w.ID == who.ID {
			failed = havre.E("seal.ring", havre.KindOf(err), "the custodian "+who.Ref+" does not open the key ring").Wrap(err)
		}
	}
	if failed == nil || havre.HintOf(failed) == "" {
		e := havre.E("seal.ring", havre.KeyUnavailable, who.Ref+" (key "+who.ID+") is not a custodian of this key ring").
			WithHint("since " + d.Made.Format(time.DateTime) + " its custodians are: " + refs(d.Wraps))
		return nil, e.Wrap(failed)
	}
	return nil, failed
}

// open decrypts the secrets.
func (d *document) open(key *Key) error {
	bad := func(what string) error {
		return havre.E("seal.ring", havre.Tampered, "the key ring was altered: "+what).WithHint("restore it from its backup")
	}
	plain, err := Open(d.sealed, key)
	if err != nil {
		return err
	}
	var c contents
	strict := json.NewDecoder(bytes.NewReader(plain))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&c); err != nil {
		return bad("its contents are not what they should be")
	}
	if c.Info != sign.Digest(d.Info) {
		return bad("what is written outside the seal is not what is sealed inside")
	}
	if len(c.Secrets) != len(d.Keys) {
		return bad("it does not hold the keys that it lists")
	}
	for _, e := range d.Keys {
		if len(c.Secrets[e.label()]) == 0 {
			return bad("the key " + e.label() + " is missing")
		}
	}
	d.secrets = c.Secrets
	return nil
}

// encode gives the file, sealed to the ring's own key.
func (d *document) encode(key *Key) ([]byte, error) {
	if d.Keys == nil {
		d.Keys = []Entry{}
	}
	if d.Destroyed == nil {
		d.Destroyed = []Gone{}
	}
	plain, err := sign.Canonical(contents{sign.Digest(d.Info), d.secrets})
	if err != nil {
		return nil, err
	}
	if d.sealed, err = Seal(plain, key.Recipient()); err != nil {
		return nil, err
	}
	return spell(ringFile{d.Info, d.sealed})
}

func (d *document) clone() *document {
	c := *d
	c.Wraps, c.Keys, c.Destroyed = slices.Clone(d.Wraps), slices.Clone(d.Keys), slices.Clone(d.Destroyed)
	c.secrets = maps.Clone(d.secrets)
	return &c
}

func (d *document) newest(name string) (newest Entry, ok bool) {
	for _, e := range d.Keys {
		if e.Name == name && e.Generation > newest.Generation {
			newest, ok = e, true
		}
	}
	return newest, ok
}

func (d *document) gone(name string) (Gone, bool) {
	i := slices.IndexFunc(d.Destroyed, func(g Gone) bool { return g.Name == name })
	if i < 0 {
		return Gone{}, false
	}
	return d.Destroyed[i], true
}

func (d *document) add(e Entry, secret []byte) {
	d.Keys = append(d.Keys, e)
	slices.SortFunc(d.Keys, func(a, b Entry) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return a.Generation - b.Generation
	})
	d.secrets[e.label()] = slices.Clone(secret)
}

// renew gives a sealing key its next generation.
func (d *document) renew(name string) error {
	newest, ok := d.newest(name)
	if !ok || newest.ID == "" {
		return havre.E("seal.ring", havre.NotFound, "the key ring has no sealing key "+name)
	}
	k, err := NewKey()
	if err != nil {
		return err
	}
	d.add(Entry{Name: name, Generation: newest.Generation + 1, ID: k.Recipient().ID(), Made: d.Made}, k.Secret().Reveal())
	return nil
}

// destroy takes a key out, with all its generations.
func (d *document) destroy(name string) bool {
	g := Gone{Name: name, IDs: []string{}, At: d.Made}
	found := false
	d.Keys = slices.DeleteFunc(d.Keys, func(e Entry) bool {
		if e.Name != name {
			return false
		}
		found = true
		if e.ID != "" {
			g.IDs = append(g.IDs, e.ID)
		}
		delete(d.secrets, e.label())
		return true
	})
	if found {
		d.Destroyed = append(d.Destroyed, g)
		slices.SortFunc(d.Destroyed, func(a, b Gone) int { return strings.Compare(a.Name, b.Name) })
	}
	return found
}

// wrap adds the ring's key, wrapped for some custodians.
func (d *document) wrap(key *Key, to ...Custodian) error {
	if len(to) == 0 {
		return havre.E("seal.ring", havre.Usage, "a key ring needs a custodian")
	}
	for _, c := range to {
		who := c.Who()
		if who.Ring != "" && who.Ring != d.Ring {
			return havre.E("seal.ring", havre.Refused, who.Ref+" guards the key ring "+who.Ring+", and this is "+d.Ring).
				WithHint("every key ring has a custodian of its own: name another file")
		}
		if slices.ContainsFunc(d.Wraps, func(w Wrap) bool { return w.ID == who.ID && w.Kind == who.Kind }) {
			return havre.E("seal.ring", havre.Exists, who.Ref+" is a custodian of this key ring already")
		}
		sealed, err := c.Wrap(key.Secret())
		if err != nil {
			return err
		}
		d.Wraps = append(d.Wraps, Wrap{Who: who, Made: now(), Sealed: sealed})
	}
	return nil
}
