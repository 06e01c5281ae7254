package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/posture"
	"github.com/havre-hub/havre/internal/host/words"
	"github.com/havre-hub/havre/internal/move"
)

// What a quick posture may spend on things that grow with the hub. Their sum
// with everything else stays under a second.
const (
	countFor  = 200 * time.Millisecond // listing the store
	answerFor = 300 * time.Millisecond // waiting for a store that does not answer
	sampleFor = 200 * time.Millisecond // reading the heads of some objects
	resolve   = 100 * time.Millisecond // looking up the name of the store
	verifyFor = 200 * time.Millisecond // hashing the log again
	lastLog   = 20_000                 // entries from the end in which drills, moves and decisions are looked for
	samples   = 16                     // objects whose head is read
)

// Posture gathers the facts of a hub and composes its report. full counts the
// whole store and verifies the whole log, however long that takes.
func (b *Beside) Posture(ctx context.Context, full bool) (*posture.Report, error) {
	f, err := b.facts(ctx, full)
	if err != nil {
		return nil, err
	}
	return posture.Compose(f), nil
}

// beside is the hub's own view as Beside has it.
func (h *Hub) beside() *Beside {
	return &Beside{Config: h.Config, Store: h.Store, Meta: h.Meta, Log: h.Log.Reader, Host: h.Host, home: h.home, dir: h.home.dir}
}

func (b *Beside) facts(ctx context.Context, full bool) (f posture.Facts, err error) {
	f = posture.Facts{Hub: b.Config.Name, At: havre.SystemNow().Truncate(time.Second), Accounts: map[string]int{}}
	if f.Standing, err = b.Host.Standing(ctx); err != nil {
		return f, err
	}
	if f.Derogations, err = b.Host.Derogations(ctx); err != nil {
		return f, err
	}
	keepers, err := trusted(b.dir, ZoneKeeper)
	if err != nil {
		return f, err
	}
	if len(keepers) == 1 {
		f.Keeper = keepers[0].Name
	}
	if err := b.counts(ctx, &f); err != nil {
		return f, err
	}
	keys, err := ReadKeyFacts(b.dir)
	if err != nil {
		return f, err
	}
	f.Accepted = keys.Accepted
	for _, c := range keys.Custodians {
		f.Custodians = append(f.Custodians, custodianFact(c))
	}
	heads := b.look(ctx, full, &f.Store)
	b.readLog(ctx, full, &f)
	probes, err := b.probes(ctx, f, heads)
	f.Probes = probes
	return f, err
}

// counts reads who there is.
func (b *Beside) counts(ctx context.Context, f *posture.Facts) error {
	db := b.Meta.DB()
	if err := db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM holder), (SELECT count(*) FROM permit WHERE state = 'granted')").Scan(&f.Holders, &f.Permits); err != nil {
		return meta.Fail("posture", "the control database cannot be read", err)
	}
	rows, err := db.QueryContext(ctx, "SELECT role, count(*) FROM account GROUP BY role")
	if err != nil {
		return meta.Fail("posture", "the accounts cannot be read", err)
	}
	for rows.Next() {
		var role string
		var n int
		if err := rows.Scan(&role, &n); err != nil {
			return meta.Fail("posture", "the accounts cannot be read", errors.Join(err, rows.Close()))
		}
		f.Accounts[role] = n
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return meta.Fail("posture", "the accounts cannot be read", err)
	}
	return nil
}

func custodianFact(c CustodianFacts) posture.Custodian {
	where := posture.Apart
	switch {
	case c.BesideStore:
		where = posture.WithStore
	case c.Kind == "plugin": // the plugin may call any service, anywhere
		where = posture.Unknown
	}
	return posture.Custodian{Kind: c.Kind, Ref: c.Ref, People: c.People, Needed: c.Needed, Hardware: c.Hardware, PostQuantum: c.PostQuantum, Where: where}
}

// look sees the store as its host does: names, sizes, times, and of some
// objects the first bytes. It gives those heads by name.
func (b *Beside) look(ctx context.Context, full bool, s *posture.Store) map[string][]byte {
	place, err := move.PlaceOf(b.Config.Store)
	if err != nil {
		s.Failed = err.Error()
	}
	s.Kind, s.Place, s.Names = place.Kind, place.Where, []string{}
	began := time.Now()
	listing, stop := ctx, context.CancelFunc(func() {})
	if !full {
		listing, stop = context.WithTimeout(ctx, answerFor)
	}
	defer stop()
	var chosen []string
	s.Whole = true
	for info, err := range b.Store.List(listing, "") {
		if err != nil {
			switch s.Whole = false; {
			case listing.Err() == nil || ctx.Err() != nil:
				s.Failed = err.Error()
			case s.Objects == 0:
				s.Failed = "it did not answer within " + answerFor.String()
			}
			break
		}
		// A sample spread over the listing, without a source of chance: every
		// object whose number is a power-of-two step away from the last.
		if n := s.Objects; len(chosen) < samples && (n < samples/2 || n&(n-1) == 0) {
			chosen = append(chosen, info.Name)
		}
		if strings.HasSuffix(info.Name, "/"+envelope.ManifestName) {
			s.Clear++
		}
		s.Objects++
		s.Bytes += info.Size
		if !info.Modified.IsZero() {
			if s.First.IsZero() || info.Modified.Before(s.First) {
				s.First = info.Modified
			}
			if info.Modified.After(s.Last) {
				s.Last = info.Modified
			}
		}
		if !full && time.Since(began) > countFor {
			s.Whole = false
			break
		}
	}
	s.Names = append(s.Names, chosen[:min(len(chosen), 4)]...)
	return b.heads(ctx, full, chosen)
}

// heads reads the first bytes of objects, several at once.
func (b *Beside) heads(ctx context.Context, full bool, names []string) map[string][]byte {
	const headBytes = 64
	if !full {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, sampleFor)
		defer stop()
	}
	type head struct {
		name string
		b    []byte
	}
	found := make(chan head, len(names))
	for _, n := range names {
		go func() {
			got, err := b.Store.Get(ctx, n, 0, headBytes)
			if havre.KindOf(err) == havre.Invalid { // shorter than that
				got, err = blob.GetAll(ctx, b.Store, n)
			}
			if err != nil {
				got = nil
			}
			found <- head{n, got}
		}()
	}
	all := map[string][]byte{}
	for range names {
		if h := <-found; h.b != nil {
			all[h.name] = h.b
		}
	}
	return all
}

// readLog verifies the log, as far as time allows, and finds in its end the
// last drill, the last move, and decisions that the control database lacks.
func (b *Beside) readLog(ctx context.Context, full bool, f *posture.Facts) {
	c, err := b.Log.Checkpoint()
	if err != nil {
		f.Log.Problem = err.Error()
		return
	}
	f.Log.Entries, f.Log.Root, f.Log.Sound = c.Size, fmt.Sprintf("%x", c.Root), true
	verifying, stop := ctx, context.CancelFunc(func() {})
	if !full {
		verifying, stop = context.WithTimeout(ctx, verifyFor)
	}
	report, err := b.Log.Verify(verifying, havre.NoProgress)
	stop()
	switch {
	case err == nil:
		f.Log.Checked, f.Log.Last = true, report.Last
	case verifying.Err() == nil || ctx.Err() != nil:
		f.Log.Sound, f.Log.Problem = false, err.Error()
		return
	}
	b.events(ctx, c.Size, f)
}

// events finds drills and moves in the end of the log, and compares decisions.
func (b *Beside) events(ctx context.Context, size int64, f *posture.Facts) {
	from := max(0, size-lastLog)
	all := map[string]*posture.Event{} // by kind and id
	decided := map[string]bool{}
	fail := func(err error) { f.Log.Sound, f.Log.Problem = false, err.Error() }
	for e, err := range b.Log.Entries(ctx, from, size, tlog.Filter{}) {
		if err != nil {
			fail(err)
			return
		}
		if slices.Contains(host.Actions, e.Action) {
			decided[e.Facts["document_sha256"]] = true
		}
		kind, step, _ := strings.Cut(e.Action, ".")
		if kind != record.KindMove && kind != record.KindDrill {
			continue
		}
		ev := all[kind+e.Subject]
		if ev == nil {
			ev = &posture.Event{}
			all[kind+e.Subject] = ev
		}
		switch step {
		case record.StepPlanned, record.StepStarted:
			ev.From, ev.To = e.Facts["from"], e.Facts["to"]
			if step == record.StepStarted {
				ev.At = e.Time
			}
		case record.StepVerified:
			ev.Objects, _ = strconv.ParseInt(e.Facts["objects"], 10, 64)
			ev.Bytes, _ = strconv.ParseInt(e.Facts["bytes"], 10, 64)
		case record.StepFinished, "returned":
			ev.OK = step == record.StepFinished
			if !ev.At.IsZero() {
				ev.Seconds = e.Time.Sub(ev.At).Seconds()
			}
			ev.At, ev.LogIndex = e.Time, e.Index
			last := &f.Drill
			if kind == record.KindMove {
				last = &f.Move
			}
			*last = ev
		}
	}
	b.compare(ctx, from, decided, f, fail)
}

// compare holds the documents of the control database against the log: one
// that was removed there, or put in, shows.
func (b *Beside) compare(ctx context.Context, from int64, decided map[string]bool, f *posture.Facts, fail func(error)) {
	docs, err := b.Host.Documents(ctx)
	if err != nil {
		fail(err)
		return
	}
	strange := 0
	for _, d := range docs {
		if d.LogIndex >= from && !decided[d.SHA256] {
			strange++
		}
		delete(decided, d.SHA256)
	}
	p := posture.Probe{ID: "decisions", OK: strange == 0 && len(decided) == 0,
		Found: words.Say("%d decisions on hosts and requirements are signed and stand in the log", "%d décisions sur hébergeurs et exigences sont signées et figurent au journal", len(docs))}
	if !p.OK {
		p.Found = words.Say("%d decisions of the log are not in the control database (removed, or cut by a crash before they took effect), %d of the control database not in the log",
			"%d décisions du journal manquent dans la base de contrôle (retirées, ou coupées avant de prendre effet), %d de la base de contrôle manquent au journal", len(decided), strange)
	}
	f.Probes = append(f.Probes, p)
}
