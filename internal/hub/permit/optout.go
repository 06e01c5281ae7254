package permit

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive"
)

const optOutPrefix = "optout/"

// optOut is one opt-out, or its taking back, as it stands sealed in the store.
type optOut struct {
	ID       string    `json:"id"` // of the keeper's message
	At       time.Time `json:"at"` // when the person said so
	Recorded time.Time `json:"recorded"`
	Out      bool      `json:"out"`
	Persons  []string  `json:"persons"` // person_id as text: 63 bits do not survive JSON numbers
}

// optouts holds, in memory, who is opted out now.
type optouts struct {
	mu     sync.RWMutex
	latest map[int64]said // what each person said last
	known  map[string]bool
	next   int64
}

type said struct {
	at  time.Time
	out bool
}

// mark sets keep for the rows of persons who are not opted out.
func (o *optouts) mark(persons []int64, keep []bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if len(o.latest) == 0 {
		for i := range keep {
			keep[i] = true
		}
		return
	}
	for i, p := range persons {
		if i > 0 && p == persons[i-1] { // rows of one person often follow each other
			keep[i] = keep[i-1]
			continue
		}
		keep[i] = !o.latest[p].out
	}
}

// apply brings one opt-out into memory. What a person said later counts, of
// two at the same time the one that came later.
func (o *optouts) apply(v optOut) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, text := range v.Persons {
		p, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return havre.E("permit.optout", havre.Tampered, "an opt-out names a person by what is no number")
		}
		if old, ok := o.latest[p]; !ok || !v.At.Before(old.at) {
			o.latest[p] = said{v.At, v.Out}
		}
	}
	o.known[v.ID] = true
	return nil
}

func optOutName(n int64) string { return fmt.Sprintf(optOutPrefix+"%012d", n) }

// loadOptOuts reads every opt-out. The control database says how many there
// must be: a store that lost or hides one is found, and nothing is read then.
func (a *Authority) loadOptOuts(ctx context.Context) error {
	a.optouts.latest, a.optouts.known = map[int64]said{}, map[string]bool{}
	var recorded int64
	if err := a.DB.DB().QueryRowContext(ctx, "SELECT coalesce(max(number) + 1, 0) FROM optout").Scan(&recorded); err != nil {
		return meta.Fail("permit.optout", "the list of opt-outs cannot be read", err)
	}
	for info, err := range a.Store.List(ctx, optOutPrefix) {
		if err != nil {
			return err
		}
		if info.Name != optOutName(a.optouts.next) {
			return a.optOutMissing()
		}
		v, err := a.readOptOut(ctx, info.Name)
		if err != nil {
			return err
		}
		if a.optouts.next >= recorded { // stored when the hub stopped, and not yet on the list
			if err := a.listOptOut(ctx, a.optouts.next, v); err != nil {
				return err
			}
		}
		if err := a.optouts.apply(v); err != nil {
			return err
		}
		a.optouts.next++
	}
	if a.optouts.next < recorded {
		return a.optOutMissing()
	}
	return nil
}

func (a *Authority) optOutMissing() error {
	return havre.E("permit.optout", havre.Tampered, "the store does not have the opt-out "+optOutName(a.optouts.next)+" that was recorded").
		WithHint("restore the store's " + optOutPrefix + " objects: no permit is used while an opt-out may be missing")
}

func (a *Authority) readOptOut(ctx context.Context, name string) (v optOut, err error) {
	sealed, err := blob.GetAll(ctx, a.Store, name)
	if err != nil {
		return v, err
	}
	plain, err := seal.Open(sealed, a.Key)
	if err != nil {
		return v, havre.E("permit.optout", havre.KindOf(err), "the opt-out "+name+" does not open").Wrap(err)
	}
	if err := json.Unmarshal(plain, &v); err != nil {
		return v, havre.E("permit.optout", havre.Tampered, "the opt-out "+name+" is damaged").Wrap(err)
	}
	return v, nil
}

func (a *Authority) listOptOut(ctx context.Context, number int64, v optOut) error {
	_, err := a.DB.DB().ExecContext(ctx, "INSERT INTO optout (number, id, recorded) VALUES (?, ?, ?)", number, v.ID, v.Recorded.UnixMicro())
	if err != nil {
		return meta.Fail("permit.optout", "the opt-out cannot be put on the list", err)
	}
	return nil
}

// RecordOptOut takes the keeper's sealed message. It acts on the next read of
// every permit; taking one back acts likewise. The same message twice acts once.
func (a *Authority) RecordOptOut(ctx context.Context, message []byte) error {
	const op = "permit.optout"
	signed, err := seal.Open(message, a.Key)
	if err != nil {
		return havre.E(op, havre.KindOf(err), "the opt-out message does not open").WithHint("ask the keeper whether it is for this hub").Wrap(err)
	}
	m, err := envelope.VerifyOptOut(signed, a.Keeper)
	if err != nil {
		return havre.E(op, havre.Tampered, "the opt-out message is not signed by the keeper").WithHint("ask the keeper for it again").Wrap(err)
	}
	if m.Hub != a.Hub || len(m.Pseudonyms) == 0 {
		return havre.E(op, havre.Refused, "the opt-out message is for another hub, or names nobody").WithHint("hand it to the hub that it is for")
	}
	now := a.Now()
	if m.At.After(now.Add(time.Hour)) {
		return havre.E(op, havre.Refused, "the opt-out message is dated "+stamp(m.At)+", which is still to come").
			WithHint("compare the clocks of the keeper and the hub")
	}
	version, err := receive.KeyVersion(ctx, a.DB)
	if err != nil {
		return err
	}
	if version != 0 && version != m.KeyVersion {
		return havre.E(op, havre.Refused, fmt.Sprintf("the opt-out has pseudonyms of key version %d, but the warehouse stands on version %d: it would reach nobody", m.KeyVersion, version)).
			WithHint("let the keeper tell it again with the version in use")
	}
	v := optOut{ID: m.ID, At: m.At, Recorded: now.UTC().Truncate(time.Second), Out: m.Out}
	for _, level1 := range m.Pseudonyms {
		if !receive.ValidLevel1(level1, m.KeyVersion) {
			return havre.E(op, havre.Invalid, "the opt-out message names somebody by what is no level-1 pseudonym of its key version")
		}
		v.Persons = append(v.Persons, strconv.FormatInt(int64(a.Level2.Of(level1).ID), 10))
	}
	a.deciding.Lock()
	defer a.deciding.Unlock()
	if a.optouts.known[m.ID] {
		return nil
	}
	err = a.record(ctx, "optout.recorded", m.Keeper, m.ID, map[string]string{"out": strconv.FormatBool(m.Out), "at": stamp(m.At)})
	if err != nil {
		return err
	}
	plain, err := json.Marshal(v)
	if err != nil {
		return havre.E(op, havre.Internal, "the opt-out has no JSON form").Wrap(err)
	}
	sealed, err := seal.Seal(plain, a.Key.Recipient())
	if err != nil {
		return err
	}
	if err := a.Store.Put(ctx, optOutName(a.optouts.next), sealed); err != nil {
		if havre.KindOf(err) == havre.Exists {
			return havre.E(op, havre.Locked, "another process recorded an opt-out").WithHint("open the hub in one process at a time").Wrap(err)
		}
		return err
	}
	number := a.optouts.next
	a.optouts.next++
	// It acts from here on, even if the list below cannot be written: the next
	// start finds the object and lists it.
	if err := a.optouts.apply(v); err != nil {
		return err
	}
	return a.listOptOut(ctx, number, v)
}

// OptOutSerial changes with every message recorded: reads at one serial leave
// out the same persons.
func (a *Authority) OptOutSerial() int64 {
	a.optouts.mu.RLock()
	defer a.optouts.mu.RUnlock()
	return int64(len(a.optouts.known))
}

// OptedOut is how many persons are opted out now.
func (a *Authority) OptedOut() (n int) {
	a.optouts.mu.RLock()
	defer a.optouts.mu.RUnlock()
	for _, s := range a.optouts.latest {
		if s.out {
			n++
		}
	}
	return n
}
