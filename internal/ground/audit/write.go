package audit

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/transparency-dev/tessera"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/havre"
)

// Openings keeps what opens the commitments in the log, outside the log, so
// that a value can be shown, or erased for good. The control database
// implements it. Erasing changes no entry and no proof.
// Safe for concurrent use.
type Openings interface {
	// Put keeps openings; they are durable when it returns. It is called
	// before the entries are logged, so a crash may leave openings of entries
	// that never came to be.
	Put(ctx context.Context, openings []tlog.Opening) error
	// Get gives the opening of a commitment, or fails with NotFound if it was
	// erased or never kept.
	Get(ctx context.Context, commitment string) (tlog.Opening, error)
	// Erase forgets openings for good; those that are not there are no error.
	Erase(ctx context.Context, commitments ...string) error
}

// NoOpenings keeps nothing: commitments can never be opened.
var NoOpenings Openings = noOpenings{}

type noOpenings struct{}

func (noOpenings) Put(context.Context, []tlog.Opening) error { return nil }
func (noOpenings) Erase(context.Context, ...string) error    { return nil }
func (noOpenings) Get(context.Context, string) (tlog.Opening, error) {
	return tlog.Opening{}, havre.E("audit.opening", havre.NotFound, "openings of this log are not kept")
}

// pending is an entry on its way into the log.
type pending struct {
	entry    tlog.Entry // without its time
	openings []tlog.Opening
	index    int64
	done     chan error // of one place, so that nobody waits to answer
}

// draft turns an event into an entry without a time, and checks that it can be
// logged.
func draft(e Event) (*pending, error) {
	p := &pending{done: make(chan error, 1)}
	p.entry = tlog.Entry{Action: e.Action, Subject: e.Subject, Facts: maps.Clone(e.Facts)}
	if e.Actor.Reveal() != "" {
		if !utf8.ValidString(e.Actor.Reveal()) {
			return nil, havre.E("audit.record", havre.Invalid, "the actor of "+e.Action+" is not UTF-8")
		}
		actor := tlog.Commit(e.Actor)
		p.entry.Actor = actor.Commitment
		p.openings = append(p.openings, actor)
	}
	if len(e.Private) > 0 {
		p.entry.Commitments = make(map[string]string, len(e.Private))
	}
	for name, value := range e.Private {
		if !utf8.ValidString(value.Reveal()) {
			return nil, havre.E("audit.record", havre.Invalid, "the private fact "+name+" of "+e.Action+" is not UTF-8")
		}
		o := tlog.Commit(value)
		p.entry.Commitments[name] = o.Commitment
		p.openings = append(p.openings, o)
	}
	probe := p.entry
	probe.Time = time.Unix(0, 0)
	_, err := probe.Encode() // times have a fixed width: what fits now fits later
	return p, err
}

// Record appends e and returns once a published, kept checkpoint covers it. On
// any error the caller must not act. When ctx ends first, the entry may still
// be logged: it then tells of an act that did not follow.
func (l *Log) Record(ctx context.Context, e Event) (Position, error) {
	p, err := draft(e)
	if err != nil {
		return Position{}, err
	}
	if err := l.enqueue(ctx, p); err != nil {
		return Position{}, err
	}
	select {
	case err := <-p.done:
		if err != nil {
			return Position{}, err
		}
		return Position{Index: p.index}, nil
	case <-ctx.Done():
		return Position{}, havre.E("audit.record", havre.Cancelled, "stopped while "+e.Action+" was being logged").Wrap(ctx.Err())
	}
}

func (l *Log) enqueue(ctx context.Context, p *pending) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return havre.E("audit.record", havre.Internal, "the log was closed")
	}
	select {
	case l.queue <- p:
		return nil
	case <-ctx.Done():
		return havre.E("audit.record", havre.Cancelled, "stopped before "+p.entry.Action+" was logged").Wrap(ctx.Err())
	}
}

// write takes what has come in since the last batch, writes it, and hands it
// on to be published. One batch is integrated before the next begins, and all
// its entries bear one time: so the order in the log is the order of time
// whatever tessera's queue does inside a batch.
func (l *Log) write(ctx context.Context, batches chan<- []*pending) {
	defer close(batches)
	for p := range l.queue {
		batch := []*pending{p}
	fill:
		for len(batch) < maxBatch {
			select {
			case next, ok := <-l.queue:
				if !ok {
					break fill
				}
				batch = append(batch, next)
			default:
				break fill
			}
		}
		if err := l.integrate(ctx, batch); err != nil {
			answer(batch, err)
			continue
		}
		batches <- batch
	}
}

func (l *Log) integrate(ctx context.Context, batch []*pending) error {
	now, err := l.time()
	if err != nil {
		return err
	}
	var openings []tlog.Opening
	for _, p := range batch {
		openings = append(openings, p.openings...)
	}
	if len(openings) > 0 {
		if err := l.opts.Openings.Put(ctx, openings); err != nil {
			return err
		}
	}
	l.last = now // even if only a part of the batch gets in
	futures := make([]tessera.IndexFuture, len(batch))
	for i, p := range batch {
		p.entry.Time = now
		b, err := p.entry.Encode()
		if err != nil {
			return err
		}
		futures[i] = l.appender.Add(ctx, tessera.NewEntry(b))
	}
	var failed error
	for i, future := range futures {
		at, err := future()
		failed = errors.Join(failed, err)
		batch[i].index = int64(at.Index)
	}
	if failed != nil {
		return diskError("audit.record", "the log cannot be written", failed)
	}
	return nil
}

// time is the time of the next batch. A clock that steps back a little (by its
// synchronisation) is waited for; one that stands far back is an error.
func (l *Log) time() (time.Time, error) {
	const patience = time.Second
	read := func() time.Time { return l.opts.Now().UTC().Truncate(time.Microsecond) }
	now := read()
	if behind := l.last.Sub(now); behind > 0 && behind <= patience {
		time.Sleep(behind)
		now = read()
	}
	if now.Before(l.last) {
		return now, clockError(l.last)
	}
	return now, nil
}

func clockError(last time.Time) error {
	return havre.E("audit.record", havre.Clock, "the clock of this machine stands before the last entry of the log ("+last.UTC().Format(time.RFC3339)+")").
		WithHint("set the clock right (NTP), then repeat; nothing was done")
}

// publish answers each batch once a kept checkpoint covers it.
func (l *Log) publish(ctx context.Context, batches <-chan []*pending) {
	for batch := range batches {
		var size int64
		for _, p := range batch {
			size = max(size, p.index+1)
		}
		answer(batch, l.awaitPublished(ctx, size))
	}
}

func answer(batch []*pending, err error) {
	for _, p := range batch {
		p.done <- err
	}
}

// awaitPublished waits until a checkpoint of at least size entries is
// published, and keeps it in the history.
func (l *Log) awaitPublished(ctx context.Context, size int64) error {
	for end := time.Now().Add(publishLimit); l.kept < size; {
		c, err := l.Checkpoint()
		if err != nil {
			return err
		}
		if c.Size > l.kept {
			if err := l.keep(c); err != nil {
				return err
			}
			continue
		}
		if time.Now().After(end) {
			return l.unpublished()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
	return nil
}

// keep appends a checkpoint to the history, durably. It writes at the known
// end, so that what a failed write left there is written over.
func (l *Log) keep(c tlog.Checkpoint) error {
	line := tlog.HistoryLine(c.Raw)
	_, err := l.history.WriteAt(line, l.historyEnd)
	if err == nil {
		err = l.history.Sync()
	}
	if err != nil {
		_ = l.history.Truncate(l.historyEnd)
		return diskError("audit.record", "the history of checkpoints cannot be written", err)
	}
	l.historyEnd += int64(len(line))
	l.kept = c.Size
	return nil
}

// unpublished finds the likely reason why no checkpoint came.
func (l *Log) unpublished() error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(l.dir, &disk); err == nil && disk.Bavail == 0 {
		return diskError("audit.record", "no checkpoint of the log could be published", syscall.ENOSPC)
	}
	// tessera goes by the age of the checkpoint's file.
	if st, err := os.Stat(filepath.Join(l.dir, tlog.CheckpointName)); err == nil && st.ModTime().After(time.Now()) {
		return clockError(st.ModTime())
	}
	return havre.E("audit.record", havre.StoreUnavailable, "no checkpoint of the log was published within "+publishLimit.String()).
		WithHint("check that the disk of the log is healthy and writable")
}

// diskError gives an error of the file system its kind. tessera drops the chain
// of causes at places, so the text of "no space" is looked for as well.
func diskError(op, msg string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return havre.E(op, havre.NoSpace, msg+": the disk is full").WithHint("make room, then repeat").Wrap(err)
	}
	if _, ok := errors.AsType[*havre.Error](err); ok {
		return err
	}
	return havre.E(op, havre.StoreUnavailable, msg).Wrap(err)
}
