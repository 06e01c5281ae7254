package move

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// PlanOptions say where to go.
type PlanOptions struct {
	To       string    // URL of the new store
	Actor    string    // account that moves the hub
	PerGB    string    // what the old host takes for reading out 10^9 bytes, decimal; "" = not known, counted as 0
	Currency string    // of PerGB; "" = EUR
	Notice   time.Time // day on which notice was given to the old host; zero = today
	Host     []byte    // JSON, kept for who asked (Plan of the open move), not looked at
}

// Plan is what a move would mean.
type Plan struct {
	ID      string       `json:"id"`
	Kind    string       `json:"kind"`
	From    record.Place `json:"from"`
	To      record.Place `json:"to"`
	Objects int64        `json:"objects"`
	Bytes   int64        `json:"bytes"`
	Largest int64        `json:"largest"` // bytes of the largest object
	// Free is how many bytes the new store can take, -1 where it does not say.
	Free int64 `json:"free"`
	// Seconds is what copying and reading back will take about, going by a
	// sample; 0 if there was nothing to take one of.
	Seconds  float64      `json:"seconds"`
	Cost     record.Cost  `json:"cost"`
	Clock    record.Clock `json:"clock"`
	Warnings []string     `json:"warnings"`
}

// spacer is a store that knows how much room is left.
type spacer interface {
	Free(ctx context.Context) (int64, error)
}

// Plan looks at both stores and puts a move on record that Run begins. The new
// store is left empty. A plan that was never begun is replaced.
func (m *Mover) Plan(ctx context.Context, o PlanOptions) (Plan, error) {
	release, err := m.exclusive()
	if err != nil {
		return Plan{}, err
	}
	defer release()
	p, _, err := m.plan(ctx, record.KindMove, o)
	return p, err
}

func (m *Mover) plan(ctx context.Context, kind string, o PlanOptions) (Plan, *entry, error) {
	old, err := m.load(ctx)
	if err != nil {
		return Plan{}, nil, err
	}
	if old != nil && old.State != Planned {
		return Plan{}, nil, havre.E(op, havre.Refused, "the "+old.Kind+" "+old.id()+" to "+old.ToPlace.Where+" is open already ("+string(old.State)+"); a hub makes one move at a time").
			WithHint("go on with it (havre move status tells how), or take it back: havre move back")
	}
	e, err := m.draft(kind, o)
	if err != nil {
		return Plan{}, nil, err
	}
	from := m.c.Live.Current()
	to, err := m.c.Home.Open(ctx, e.To, true)
	if err != nil {
		return Plan{}, nil, err
	}
	if err := m.apart(ctx, from, to); err != nil {
		return Plan{}, nil, err
	}
	if err := m.vacant(ctx, to, e.ToPlace.Where, false); err != nil {
		return Plan{}, nil, err
	}
	if err := blob.Probe(ctx, to); err != nil {
		return Plan{}, nil, err
	}
	p := Plan{Kind: kind, From: e.FromPlace, To: e.ToPlace, Free: -1, Clock: e.Clock, Warnings: []string{}}
	names, err := m.count(ctx, from, &p)
	if err != nil {
		return Plan{}, nil, err
	}
	if err := m.room(ctx, to, &p); err != nil {
		return Plan{}, nil, err
	}
	if p.Seconds, err = m.sample(ctx, from, to, names, p); err != nil {
		return Plan{}, nil, err
	}
	if e.Cost.Total, err = record.Egress(p.Bytes, e.Cost.PerGB); err != nil {
		return Plan{}, nil, err
	}
	e.PlanCount, e.PlanBytes, p.Cost = p.Objects, p.Bytes, e.Cost
	warn(&p, m.now())
	replace := int64(0)
	if old != nil {
		if err := m.unclaim(ctx, old); err != nil { // it may have begun and died at once
			return Plan{}, nil, err
		}
		replace = old.number
	}
	if err := m.create(ctx, e, replace); err != nil {
		return Plan{}, nil, err
	}
	p.ID = e.id()
	return p, e, m.step(ctx, e, record.StepPlanned)
}

// draft checks what can be checked without the stores.
func (m *Mover) draft(kind string, o PlanOptions) (*entry, error) {
	from, err := m.c.Home.Store()
	if err != nil {
		return nil, err
	}
	e := &entry{State: Planned, doc: doc{Kind: kind, From: from, To: o.To, Actor: o.Actor, Nonce: rand.Text(), Host: o.Host,
		Cost: record.Cost{PerGB: o.PerGB, Currency: o.Currency}, Milliseconds: map[string]int64{}, Steps: map[string]int64{}}}
	if e.FromPlace, err = PlaceOf(m.c.Home.Absolute(from)); err != nil {
		return nil, err
	}
	if e.ToPlace, err = PlaceOf(m.c.Home.Absolute(o.To)); err != nil {
		return nil, err
	}
	if overlap(m.c.Home.Absolute(from), m.c.Home.Absolute(o.To)) {
		return nil, samePlace()
	}
	if e.Cost.PerGB == "" {
		e.Cost.PerGB = "0"
	}
	if e.Cost.Currency == "" {
		e.Cost.Currency = "EUR"
	}
	if _, err := record.Egress(0, e.Cost.PerGB); err != nil {
		return nil, err
	}
	now := m.now()
	if o.Notice.IsZero() {
		o.Notice = now
	}
	e.Times.Planned, e.Clock = now, record.NewClock(o.Notice)
	return e, nil
}

// count lists the old store and keeps some names to try the way with.
func (m *Mover) count(ctx context.Context, from blob.Store, p *Plan) (names []string, err error) {
	step := m.c.Progress.Step("count the objects", -1, "objects")
	defer step.Done()
	for info, err := range from.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if own(info.Name) {
			continue
		}
		step.Add(1)
		p.Objects++
		p.Bytes += info.Size
		p.Largest = max(p.Largest, info.Size)
		// Powers of two and a half: the sample is spread over a store of any size.
		if n := p.Objects; n&(n-1) == 0 || n%1000 == 500 && len(names) < 64 {
			names = append(names, info.Name)
		}
	}
	if p.Objects == 0 {
		return nil, havre.E(op, havre.NotFound, "the old store lists no objects at all").
			WithHint("check the store in the hub's configuration")
	}
	return names, nil
}

// room refuses a new store that is too small, where that can be known. On a file
// system every object takes whole blocks and an entry in a folder.
func (m *Mover) room(ctx context.Context, to blob.Store, p *Plan) error {
	s, ok := to.(spacer)
	if !ok {
		return nil
	}
	free, err := s.Free(ctx)
	if err != nil {
		return err
	}
	p.Free = free
	if need := p.Bytes + p.Bytes/50 + p.Objects*4096; free < need {
		return havre.E(op, havre.NoSpace, fmt.Sprintf("the new store has room for %d bytes; %d objects need about %d", free, p.Objects, need)).
			WithHint("make room there, or choose another store; nothing was changed")
	}
	return nil
}

// sample carries some objects to the new store under names that go at once, and
// gives the seconds that the whole would take.
func (m *Mover) sample(ctx context.Context, from, to blob.Store, names []string, p Plan) (seconds float64, err error) {
	const limit = 2 * time.Second
	began := time.Now()
	prefix := probes + strings.ToLower(rand.Text()) + "-"
	var objects, bytes atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(DefaultStreams)
	for i, name := range names {
		g.Go(func() error {
			if time.Since(began) > limit {
				return nil
			}
			data, err := blob.GetAll(gctx, from, name)
			if havre.KindOf(err) == havre.NotFound {
				return nil // deleted since
			}
			if err != nil {
				return err
			}
			probe := fmt.Sprintf("%s%d", prefix, i)
			if err := to.Put(gctx, probe, data); err != nil {
				return err
			}
			_, err = blob.GetAll(gctx, to, probe)
			objects.Add(1)
			bytes.Add(int64(len(data)))
			return err
		})
	}
	err = g.Wait()
	took := time.Since(began)
	// At the end, because some servers on a file system lose a write to a folder
	// that another request is emptying.
	for i := range names {
		if derr := to.Delete(context.WithoutCancel(ctx), fmt.Sprintf("%s%d", prefix, i)); err == nil {
			err = derr
		}
	}
	if err != nil || objects.Load() == 0 {
		return 0, err
	}
	factor := float64(p.Objects) / float64(objects.Load())
	if b := bytes.Load(); b > 1<<20 {
		factor = max(factor, float64(p.Bytes)/float64(b))
	}
	return took.Seconds() * factor, nil
}

// warn says what the figures mean for the calendar and the bill.
func warn(p *Plan, now time.Time) {
	if p.Clock.TransitionEnd < now.Format(time.DateOnly) {
		p.Warnings = append(p.Warnings, "the transition that the Data Act allows for this notice ended on "+p.Clock.TransitionEnd)
	} else if end, err := time.Parse(time.DateOnly, p.Clock.TransitionEnd); err == nil && now.Add(time.Duration(p.Seconds)*time.Second).After(end) {
		p.Warnings = append(p.Warnings, "at the speed of the sample the move ends after "+p.Clock.TransitionEnd+", the last day that the Data Act allows")
	}
	// Regulation (EU) 2023/2854, Art. 29: switching charges, data egress
	// included, at cost until 12 January 2027 and none from then on.
	switch free := time.Date(2027, 1, 12, 0, 0, 0, 0, time.UTC); {
	case p.Cost.Total == "0.00":
	case !now.Before(free):
		p.Warnings = append(p.Warnings, "since 12 January 2027 a provider in the EU may charge nothing for reading out on a switch (Data Act, Art. 29)")
	default:
		p.Warnings = append(p.Warnings, "until 12 January 2027 a provider in the EU may charge its own cost, at most, for reading out on a switch (Data Act, Art. 29)")
	}
}
