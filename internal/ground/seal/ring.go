package seal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// Ring is named secrets in one file, sealed to the ring's own key, which is
// wrapped for each custodian: any one of them opens the ring. Secrets are
// never overwritten; a missing one is an error, never made anew. A sealing
// key may have several generations: the newest seals, all of them open.
//
// Every change is one atomic replacement of the file, and the new file has
// been opened by its custodians before it takes the place of the old.
// Safe for concurrent use by one process; the folder's lock keeps others out.
type Ring struct {
	dir       string
	custodian Custodian // who opened it

	mu  sync.Mutex // guards all below
	doc *document
	key *Key // the ring's own
}

// CreateRing makes an empty ring with its first custodian; it fails with
// Exists if the folder is there. id is NewRingID's.
func CreateRing(dir, id string, c Custodian) (*Ring, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, fileError("seal.ring", "the folder of the key ring cannot be made", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, havre.E("seal.ring", havre.Exists, "there is a key ring at "+dir+" already")
		}
		return nil, fileError("seal.ring", "the key ring cannot be made", err)
	}
	r := &Ring{dir: dir, doc: &document{Info: Info{Format: RingFormat, Ring: id}, secrets: map[string][]byte{}}}
	return r, r.Change(Change{To: []Custodian{c}})
}

// NewRingID draws the id of a new ring.
func NewRingID() string { return hex.EncodeToString(noise(8)) }

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand never fails
	return b
}

// OpenRing opens the ring at dir by one of its custodians.
func OpenRing(dir string, c Custodian) (*Ring, error) {
	r := &Ring{dir: dir, custodian: c}
	doc, err := readRing(dir)
	if err != nil {
		return nil, err
	}
	r.doc = doc
	r.key, err = doc.unwrap(c)
	if err != nil {
		return nil, err
	}
	return r, doc.open(r.key)
}

// ReadInfo reads what everybody may know of the ring at dir; no custodian is
// needed, so what it says was not authenticated.
func ReadInfo(dir string) (Info, error) {
	doc, err := readRing(dir)
	if err != nil {
		return Info{}, err
	}
	return doc.Info, nil
}

// Info is what everybody may know of the ring.
func (r *Ring) Info() Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doc.clone().Info
}

// Custodian is who opened the ring.
func (r *Ring) Custodian() Custodian { return r.custodian }

// Put adds a secret; it fails with Exists if the name is taken, and with
// Refused if a key of that name was destroyed.
func (r *Ring) Put(name string, s havre.Secret) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.put(name, s, "")
}

func (r *Ring) put(name string, s havre.Secret, id string) error {
	if !havre.ValidName(name) {
		return havre.E("seal.ring", havre.Invalid, "a key may not be named "+name)
	}
	if _, ok := r.doc.newest(name); ok {
		return havre.E("seal.ring", havre.Exists, "the key ring has a key "+name+" already")
	}
	if g, gone := r.doc.gone(name); gone {
		return havre.E("seal.ring", havre.Refused, "the key "+name+" was destroyed on "+g.At.Format(time.DateOnly)+" and is never made again")
	}
	next := r.doc.clone()
	next.add(Entry{Name: name, Generation: 1, ID: id, Made: now()}, s.Reveal())
	return r.save(next, r.key)
}

// Get gives the newest generation of a secret.
func (r *Ring) Get(name string) (havre.Secret, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.get(name)
}

func (r *Ring) get(name string) (havre.Secret, error) {
	if e, ok := r.doc.newest(name); ok {
		return havre.NewSecret(slices.Clone(r.doc.secrets[e.label()])), nil
	}
	if g, gone := r.doc.gone(name); gone {
		return havre.Secret{}, havre.E("seal.ring", havre.KeyUnavailable, "the key "+name+" was destroyed on "+g.At.Format(time.DateOnly)+": what it sealed is gone for good").
			WithHint("its certificate: havre key certificate " + name).Wrap(ErrDestroyed)
	}
	return havre.Secret{}, havre.E("seal.ring", havre.KeyUnavailable, "the key "+name+" is not in the key ring "+r.dir).
		WithHint("restore the file " + ringName + " from the backup of the key ring")
}

// ErrDestroyed is in the chain of every error that comes of a key's destruction.
var ErrDestroyed = errors.New("destroyed on purpose")

// Names lists the secrets, sorted.
func (r *Ring) Names() ([]string, error) {
	var names []string
	for _, e := range r.Info().Keys {
		if !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	return names, nil
}

// NewKey makes a sealing key under the name.
func (r *Ring) NewKey(name string) (*Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newKey(name)
}

func (r *Ring) newKey(name string) (*Key, error) {
	k, err := NewKey()
	if err != nil {
		return nil, err
	}
	return k, r.put(name, k.Secret(), k.Recipient().ID())
}

// Key reads the sealing key of that name with all its generations.
func (r *Ring) Key(name string) (*Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sealing(name)
}

func (r *Ring) sealing(name string) (*Key, error) {
	s, err := r.get(name)
	if err != nil {
		return nil, err
	}
	k, err := ParseKey(s)
	if err != nil {
		return nil, err
	}
	newest, _ := r.doc.newest(name)
	for g := newest.Generation - 1; g > 0; g-- {
		old, ok := r.doc.secrets[Entry{Name: name, Generation: g}.label()]
		if !ok {
			continue
		}
		former, err := ParseKey(havre.NewSecret(slices.Clone(old)))
		if err != nil {
			return nil, err
		}
		k = k.With(former)
	}
	return k, nil
}

// Ensure gives the sealing key of that name, and makes it if there never was
// one. It is on disk when Ensure returns.
func (r *Ring) Ensure(name string) (*Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.doc.newest(name); !ok {
		if _, gone := r.doc.gone(name); !gone {
			return r.newKey(name)
		}
	}
	return r.sealing(name)
}

// Change is what Ring.Change does, in one step.
type Change struct {
	To      []Custodian // those who open the ring from now on; at least one must be able to open now
	Renew   []string    // sealing keys that get a new generation
	Destroy []string    // keys that end, with all their generations
	Pending *Pending    // what is left to do after the step; Finish ends it
}

// Change makes the ring's next generation: a fresh key of its own, wrapped for
// the custodians of the change and nobody else, with new generations of some
// keys and without others. It is one atomic step: a crash leaves the ring
// before it or after it, and both are opened by their custodians. Data are
// never touched.
func (r *Ring) Change(c Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := NewKey()
	if err != nil {
		return err
	}
	next := r.doc.clone()
	next.Generation, next.Made, next.Pending, next.Wraps = next.Generation+1, now(), c.Pending, nil
	for _, name := range c.Renew {
		if err := next.renew(name); err != nil {
			return err
		}
	}
	for _, name := range c.Destroy {
		if !next.destroy(name) {
			return havre.E("seal.ring", havre.NotFound, "the key ring has no key "+name)
		}
	}
	if err := next.wrap(key, c.To...); err != nil {
		return err
	}
	if err := r.save(next, key, c.To...); err != nil {
		return err
	}
	r.key, r.custodian = key, c.To[0]
	return nil
}

// Add wraps the ring's key for one more custodian. The generation stays.
func (r *Ring) Add(c Custodian) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.doc.clone()
	if err := next.wrap(r.key, c); err != nil {
		return err
	}
	return r.save(next, r.key, c)
}

// Finish ends what a change left pending.
func (r *Ring) Finish() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doc.Pending == nil {
		return nil
	}
	next := r.doc.clone()
	next.Pending = nil
	return r.save(next, r.key)
}

// save writes the next state beside the ring, opens it again as its readers
// will, and only then puts it in place.
func (r *Ring) save(next *document, key *Key, custodians ...Custodian) error {
	b, err := next.encode(key)
	if err != nil {
		return err
	}
	tmp := filepath.Join(r.dir, ringName+nextSuffix)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError("seal.ring", "the key ring cannot be written", err)
	}
	if err := writeOnce(tmp, b); err != nil {
		return err
	}
	if err := next.check(tmp, key, custodians); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	err = os.Rename(tmp, filepath.Join(r.dir, ringName))
	if err == nil {
		err = syncDir(r.dir)
	}
	if err != nil {
		return fileError("seal.ring", "the key ring cannot be put in place", err)
	}
	r.doc = next
	return nil
}

// check opens what was written, by its key and by the custodians.
func (d *document) check(path string, key *Key, custodians []Custodian) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fileError("seal.ring", "the key ring cannot be read back", err)
	}
	again, err := parseRing(b)
	if err == nil {
		err = again.open(key)
	}
	if err != nil {
		return havre.E("seal.ring", havre.Internal, "the key ring that was written does not read back").Wrap(err)
	}
	opens := len(custodians) == 0
	for _, c := range custodians {
		if w, ok := c.(WrapOnly); ok && w.WrapOnly() {
			continue
		}
		got, err := again.unwrap(c)
		if err != nil {
			return havre.E("seal.ring", havre.KindOf(err), "the custodian "+c.Who().Ref+" does not open what was just wrapped for it; the key ring is as it was").Wrap(err)
		}
		opens = opens || got.Recipient().String() == key.Recipient().String()
	}
	if !opens {
		return havre.E("seal.ring", havre.Refused, "no custodian who is here would open the ring").
			WithHint("name one more custodian that is present, or bring the people with their shares")
	}
	return nil
}

// now is the time on record, in whole seconds.
func now() time.Time { return havre.SystemNow().Truncate(time.Second) }

// writeOnce makes a durable file that must not exist yet.
func writeOnce(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return havre.E("seal.ring", havre.Exists, path+" exists and is never overwritten")
	}
	if err != nil {
		return fileError("seal.ring", path+" cannot be written", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(path)
		return fileError("seal.ring", path+" cannot be written", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func fileError(op, msg string, err error) error {
	return havre.E(op, havre.KeyUnavailable, msg).Wrap(err)
}

func refs(wraps []Wrap) string {
	names := make([]string, len(wraps))
	for i, w := range wraps {
		names[i] = fmt.Sprintf("%s (key %s)", w.Ref, w.ID)
	}
	return strings.Join(names, ", ")
}
