package cohort

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// Traced is a Reader of which it is known what its rows hang on; *permit.View is
// the one in use. Its ids are ranks (see ranker), so that a person's periods hang
// on that person's rows, and members that were found once can be taken over for
// everybody whose rows are as they were. Each method but the plain names fails
// as Read does when nothing may be read.
type Traced interface {
	Reader
	ranker
	// Cut says in one word what rows are left out for, beside opt-outs.
	Cut(ctx context.Context) (string, error)
	// OptOutSerial changes whenever somebody opts out or takes it back.
	OptOutSerial() int64
	// Segments names what a table's rows in a bucket come from, in order. The same
	// name is the same rows.
	Segments(table string, bucket int) []string
	// PersonsIn gives the persons who have rows in some segments.
	PersonsIn(ctx context.Context, table string, bucket int, segments []string) ([]int64, error)
}

// Shelf keeps what was found in the buckets of one permit, sealed. It is never
// needed: what is lost is found again.
type Shelf interface {
	// Get gives what was put, ok=false if nothing was. What does not open, or was
	// not put by this hub, is an error of kind Tampered or KeyUnavailable.
	Get(ctx context.Context, bucket int) (data []byte, ok bool, err error)
	// Put takes the place of what was put before.
	Put(ctx context.Context, bucket int, data []byte) error
}

// Keeper answers a plan's definitions over buckets, and evaluates only what has
// changed since an earlier answer: a definition that is new, or persons with new
// rows. The answer is the same as Evaluate's, to the last bit. Safe for
// concurrent use.
//
// What is kept of a definition holds for a person if all of this is as it was:
// the definition and the concepts that its sets stand for (its key), the
// program, what the permit cuts off, the person's rows in the tables that the
// definition reads, and the tables that are not about persons. New segments
// touch the persons who have rows in them; a segment that is gone may have
// touched anybody.
type Keeper struct {
	plan       *Plan
	rows       Traced
	shelf      Shelf
	version    string // of the program
	vocabulary omop.Vocabulary
	tables     [][]string // that each definition reads
	all        []string   // that any reads

	mu   sync.Mutex
	subs map[string]*Plan // plans of some of the definitions

	evaluated      []atomic.Bool // by definition: in some bucket, for somebody
	persons, again atomic.Int64
	damaged        atomic.Int64
}

// Keep makes a keeper. version is that of the program: what another program
// found is not taken over.
func (p *Plan) Keep(rows Traced, shelf Shelf, version string, v omop.Vocabulary) *Keeper {
	k := &Keeper{plan: p, rows: rows, shelf: shelf, version: version, vocabulary: v, subs: map[string]*Plan{},
		evaluated: make([]atomic.Bool, len(p.definitions))}
	for i := range p.definitions {
		var of []string
		for _, n := range Needs([]*Definition{p.definitions[i].Definition}, true) {
			of = append(of, n.Table)
		}
		k.tables = append(k.tables, of)
		k.all = append(k.all, of...)
	}
	slices.Sort(k.all)
	k.all = slices.Compact(k.all)
	return k
}

// TakenOver says how much of an answer was taken over from earlier ones.
type TakenOver struct {
	Cohorts   int   // whose definitions were answered
	Evaluated int   // of those, for somebody at least
	Persons   int64 // under observation in the buckets that were answered
	Again     int64 // of those, evaluated for some cohort at least
	Damaged   int64 // buckets whose kept members did not open, and were evaluated
}

// TakenOver counts since the keeper was made.
func (k *Keeper) TakenOver() TakenOver {
	t := TakenOver{Cohorts: len(k.evaluated), Persons: k.persons.Load(), Again: k.again.Load(), Damaged: k.damaged.Load()}
	for i := range k.evaluated {
		if k.evaluated[i].Load() {
			t.Evaluated++
		}
	}
	return t
}

// Evaluate is Plan.Evaluate; with attrition, Plan.EvaluateAttrition.
func (k *Keeper) Evaluate(ctx context.Context, bucket int, attrition bool) (*Result, error) {
	serial := k.rows.OptOutSerial()
	people, err := k.plan.people(ctx, k.rows, bucket) // nothing is read back if this may not be read
	if err != nil {
		return nil, err
	}
	now := keptState{Segments: map[string][]string{}, persons: people.ID}
	if now.Cut, err = k.rows.Cut(ctx); err != nil {
		return nil, err
	}
	for _, t := range k.all {
		now.Segments[t] = k.rows.Segments(t, bucket)
	}
	old, err := k.fetch(ctx, bucket)
	if err != nil {
		return nil, err
	}
	l := &leftover{k: k, bucket: bucket, people: people, now: &now, old: old, again: make([]bool, len(people.ID)), touched: map[touchedKey]touched{}}
	res, err := l.answer(ctx, attrition)
	if err != nil {
		return nil, err
	}
	if k.rows.OptOutSerial() != serial { // on the way: who it was cannot be told
		k.count(l.wholeBucket())
		return k.plan.evaluate(ctx, k.rows, bucket, attrition)
	}
	k.count(l)
	if l.asBefore() {
		return res, nil
	}
	data, err := l.kept(res, attrition).encode(k.version)
	if err != nil {
		return nil, err
	}
	return res, k.shelf.Put(ctx, bucket, data)
}

// fetch gives what is kept of a bucket. What is damaged is as good as nothing.
func (k *Keeper) fetch(ctx context.Context, bucket int) (*kept, error) {
	data, ok, err := k.shelf.Get(ctx, bucket)
	var out *kept
	if err == nil && ok {
		out, err = decodeKept(data, k.version)
	}
	switch havre.KindOf(err) {
	case havre.Tampered, havre.KeyUnavailable, havre.Invalid:
		k.damaged.Add(1)
		return &kept{}, nil
	}
	if err == nil && out == nil {
		out = &kept{}
	}
	return out, err
}

func (k *Keeper) count(l *leftover) {
	k.persons.Add(int64(len(l.people.ID)))
	for _, again := range l.again {
		if again || len(l.whole) > 0 {
			k.again.Add(1)
		}
	}
	for _, list := range [][]int{l.whole, l.some} {
		for _, i := range list {
			k.evaluated[i].Store(true)
		}
	}
}

// sub gives the plan of some definitions.
func (k *Keeper) sub(ctx context.Context, which []int) (*Plan, error) {
	if len(which) == len(k.plan.definitions) {
		return k.plan, nil
	}
	name := fmt.Sprint(which)
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.subs[name]; ok {
		return p, nil
	}
	var definitions []*Definition
	for _, i := range which {
		definitions = append(definitions, k.plan.definitions[i].Definition)
	}
	p, err := Compile(ctx, k.vocabulary, definitions, true)
	if err != nil {
		return nil, err
	}
	for n, i := range which {
		if p.definitions[n].key != k.plan.definitions[i].key {
			return nil, havre.E("cohort.kept", havre.Internal, "the vocabulary has changed under the plan")
		}
	}
	k.subs[name] = p
	return p, nil
}
