// Package register is the keeper's register of persons. Each person has a
// number, given once and never again; records of identity traits are sightings
// of a person. The register holds no health data, no transport id, and no
// pseudonym.
//
// At rest it is a journal of write-once objects, register/000000000000 and up,
// each sealed to the keeper's key; it is read into memory when it is opened.
// Each object carries the hash of the plaintext before it, which only the
// keeper can know: an object taken out of the middle, changed, or written by
// somebody who knows no more than the keeper's public key is found.
package register

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper/link"
)

// Row is one row of an identity part, as delivered.
type Row struct {
	link.Traits
	Source    string // the holder's own id of the person, or ""
	UsedName  string
	Residence string
}

// Review is a record that waits for a human: it has a person of its own, and
// no rule links it to the candidates.
type Review struct {
	Person     int64
	Candidates []int64
	Reason     string // one of link.Reason...
	Delivery   havre.DeliveryID
	Holder     havre.HolderID
	At         time.Time
}

// Counts says how the rows of a delivery were decided.
type Counts struct {
	Linked map[string]int64 `json:"linked"` // by rule
	New    int64            `json:"new"`
	Review map[string]int64 `json:"review"` // by reason
}

// Rows is the sum of the counts.
func (c Counts) Rows() (n int64) {
	n = c.New
	for _, v := range c.Linked {
		n += v
	}
	for _, v := range c.Review {
		n += v
	}
	return n
}

// Register is an open register, safe for concurrent use; one delivery is
// entered at a time.
type Register struct {
	store  blob.Store
	key    *seal.Key
	linker link.Linker
	now    havre.Now

	mu      sync.RWMutex
	known   *known
	reviews []Review
	done    map[havre.DeliveryID]Counts
	next    int    // number of the next journal object
	chain   string // hash of the plaintext of the last one
	broken  error  // memory is ahead of the journal: open the register anew
}

// Create begins an empty register in the store; it fails with Exists if there
// is one.
func Create(ctx context.Context, store blob.Store, key *seal.Key) error {
	object, _, err := encode(head{Number: 0, Previous: nonce()}, nil, key)
	if err != nil {
		return err
	}
	if err := store.Put(ctx, objectName(0), object); err != nil {
		if havre.KindOf(err) == havre.Exists {
			return havre.E("register.create", havre.Exists, "there is a register of persons in this store already; it is never overwritten").Wrap(err)
		}
		return err
	}
	return nil
}

// Open reads the register into memory: about 300 bytes a person.
func Open(ctx context.Context, store blob.Store, key *seal.Key, linker link.Linker, now havre.Now) (*Register, error) {
	r := &Register{store: store, key: key, linker: linker, now: now, known: newKnown(), done: map[havre.DeliveryID]Counts{}}
	for info, err := range store.List(ctx, journalPrefix) {
		if err != nil {
			return nil, err
		}
		if info.Name != objectName(r.next) {
			return nil, havre.E("register.open", havre.Tampered, "the register has "+info.Name+" where "+objectName(r.next)+" should follow: an object is missing").
				WithHint("restore the register's objects from their backup; without all of them persons would get numbers twice")
		}
		if err := r.load(ctx, info.Name); err != nil {
			return nil, err
		}
	}
	if r.next == 0 {
		return nil, havre.E("register.open", havre.NotFound, "there is no register of persons in this store").
			WithHint("restore it from its backup; an empty one would give known persons new numbers")
	}
	return r, nil
}

func (r *Register) load(ctx context.Context, name string) error {
	object, err := blob.GetAll(ctx, r.store, name)
	if err != nil {
		return err
	}
	h, entries, chain, err := decode(object, r.key)
	if err != nil {
		return havre.E("register.open", havre.KindOf(err), "the register's object "+name+" cannot be read").WithHint(havre.HintOf(err)).Wrap(err)
	}
	if h.Number != r.next || (h.Number > 0 && h.Previous != r.chain) {
		return havre.E("register.open", havre.Tampered, "the register's object "+name+" does not follow the one before it: an object was exchanged")
	}
	for i := range entries {
		if err := r.apply(&entries[i]); err != nil {
			return havre.E("register.open", havre.Tampered, fmt.Sprintf("the register's object %s, entry %d, is not valid", name, i+1)).Wrap(err)
		}
	}
	r.next, r.chain = h.Number+1, chain
	return nil
}

// apply brings one journal entry into memory.
func (r *Register) apply(e *entry) error {
	switch e.kind {
	case kindSeen:
		return r.known.add(e.person, sighting{link.NewRecord(e.row.Traits), sourceKey(e.holder, e.row.Source)}, link.Source{Holder: e.holder, ID: e.row.Source})
	case kindReview:
		if e.person < 1 || e.person > r.known.last() {
			return havre.E("register", havre.Tampered, "a review names a person that does not exist")
		}
		r.known.persons[e.person-1].review = true
		r.reviews = append(r.reviews, Review{Person: e.person, Candidates: e.candidates, Reason: e.rule,
			Delivery: e.delivery, Holder: havre.HolderID(e.holder), At: e.at})
	case kindDone:
		r.done[e.delivery] = *e.counts
	}
	return nil
}

// Entry enters the rows of one delivery. Add each row, then Commit; Close
// always. Nobody else can enter until it is closed.
type Entry struct {
	r        *Register
	delivery havre.DeliveryID
	holder   havre.HolderID
	counts   Counts
	pending  []entry
	closed   bool
}

// flushAt is how many entries one journal object holds at most.
const flushAt = 100_000

// Begin opens an entry for a delivery.
func (r *Register) Begin(delivery havre.DeliveryID, holder havre.HolderID) (*Entry, error) {
	r.mu.Lock()
	if r.broken != nil {
		r.mu.Unlock()
		return nil, havre.E("register", havre.KindOf(r.broken), "the register could not be written, and must be opened anew").Wrap(r.broken)
	}
	return &Entry{r: r, delivery: delivery, holder: holder,
		counts: Counts{Linked: map[string]int64{}, Review: map[string]int64{}}}, nil
}

// Add decides on one row and gives the number of its person. A row that says
// nothing new writes nothing, so a delivery entered twice leaves the register
// as it is, and the same row gets the same number. Only rows with neither a
// source id, nor a certified NIR, nor five strict traits get a new person each time.
func (e *Entry) Add(ctx context.Context, row Row) (int64, error) {
	r := e.r
	from := link.Source{Holder: string(e.holder), ID: row.Source}
	s := sighting{link.NewRecord(row.Traits), sourceKey(from.Holder, from.ID)}
	if p, ok := r.known.seen(s, from); ok {
		e.counts.Linked[link.RuleSource]++
		return p, nil
	}
	d := r.linker.Decide(s.Record, from, r.known)
	person := d.Person
	switch d.Outcome {
	case link.Link:
		e.counts.Linked[d.Rule]++
	case link.New:
		e.counts.New++
		person = r.known.last() + 1
	default:
		e.counts.Review[d.Rule]++
		person = r.known.last() + 1
	}
	e.pending = append(e.pending, entry{kind: kindSeen, person: person, holder: string(e.holder), rule: d.Rule, row: row, at: r.now()})
	if err := r.known.add(person, s, from); err != nil {
		return 0, err
	}
	if d.Outcome == link.Review {
		e.pending = append(e.pending, entry{kind: kindReview, person: person, holder: string(e.holder), rule: d.Rule,
			candidates: d.Candidates, delivery: e.delivery, at: r.now()})
		if err := r.apply(&e.pending[len(e.pending)-1]); err != nil {
			return 0, err
		}
	}
	if len(e.pending) >= flushAt {
		return person, e.flush(ctx)
	}
	return person, nil
}

// Commit writes what is left of the delivery, durably, and gives the counts: of
// this time, or of the first time the delivery was entered.
func (e *Entry) Commit(ctx context.Context) (Counts, error) {
	if before, ok := e.r.done[e.delivery]; ok && e.delivery != "" {
		return before, e.flush(ctx)
	}
	if e.delivery != "" {
		done := entry{kind: kindDone, delivery: e.delivery, holder: string(e.holder), counts: &e.counts, at: e.r.now()}
		e.pending = append(e.pending, done)
		if err := e.r.apply(&done); err != nil {
			return Counts{}, err
		}
	}
	return e.counts, e.flush(ctx)
}

func (e *Entry) flush(ctx context.Context) error {
	if len(e.pending) == 0 {
		return nil
	}
	r := e.r
	object, chain, err := encode(head{Number: r.next, Previous: r.chain}, e.pending, r.key)
	if err == nil {
		err = r.store.Put(ctx, objectName(r.next), object)
		if havre.KindOf(err) == havre.Exists {
			err = havre.E("register", havre.Locked, "another process wrote to the register of persons").
				WithHint("let one keeper work at a time").Wrap(err)
		}
	}
	if err != nil {
		r.broken = err
		return err
	}
	r.next, r.chain, e.pending = r.next+1, chain, e.pending[:0]
	return nil
}

// Close ends the entry. Rows added and not committed make the register unusable
// until it is opened anew: its memory is then ahead of its journal.
func (e *Entry) Close() {
	if e.closed {
		return
	}
	e.closed = true
	if len(e.pending) > 0 && e.r.broken == nil {
		e.r.broken = havre.E("register", havre.Internal, "a delivery was not entered to its end")
	}
	e.r.mu.Unlock()
}

// Entered says whether a delivery was entered to its end.
func (r *Register) Entered(delivery havre.DeliveryID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.done[delivery]
	return ok
}

// Persons is how many persons have a number.
func (r *Register) Persons() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.known.last()
}

// Reviews lists what waits for a human, oldest first.
func (r *Register) Reviews() []Review {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.reviews)
}

// BySource gives the persons that a holder delivered under an id of its own:
// none, one, or several where records under the same id contradict each other.
func (r *Register) BySource(holder havre.HolderID, id string) []int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.known.BySource(link.Source{Holder: string(holder), ID: id}))
}

// WithReviews adds to persons everyone under review who may be one of them.
func (r *Register) WithReviews(persons []int64) []int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := slices.Clone(persons)
	for _, v := range r.reviews {
		if slices.ContainsFunc(v.Candidates, func(c int64) bool { return slices.Contains(persons, c) }) {
			all = append(all, v.Person)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Find says what the linker would decide on a row, and changes nothing.
func (r *Register) Find(row Row, holder havre.HolderID) link.Decision {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.linker.Decide(link.NewRecord(row.Traits), link.Source{Holder: string(holder), ID: row.Source}, r.known)
}
