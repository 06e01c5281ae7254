package verify

import (
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/record"
)

// committedAction is the log's entry of a snapshot (package warehouse).
const committedAction = "snapshot.committed"

// Move checks the signed report of a move or drill with nothing but the log,
// whose folder log is, and the hub's keys.
func Move(ctx context.Context, report []byte, log fs.FS, keys Keys) (*record.Move, error) {
	v := &folder{keys: keys, log: tlog.NewReader(log, keys.Trust()), shown: map[string]int64{}}
	v.head, v.headErr = v.log.Checkpoint()
	return v.moved(ctx, report)
}

func (v *folder) move(ctx context.Context, b []byte) (string, error) {
	m, err := v.moved(ctx, b)
	if err != nil {
		return "", err
	}
	return MoveDetail(m), nil
}

// MoveDetail says in a line what a sound report tells.
func MoveDetail(m *record.Move) string {
	what := "moved to"
	if m.Kind == record.KindDrill {
		what = "rehearsed at"
	}
	return fmt.Sprintf("%s: %d objects, %d bytes %s %s, one root on both sides, the other copy is gone; it stands in the log as entry %d",
		m.ID, m.Objects, m.Bytes, what, m.To.Where, m.LogIndex)
}

func (v *folder) moved(ctx context.Context, b []byte) (*record.Move, error) {
	m, err := record.VerifyMove(b, v.keys.Moves...)
	if err != nil {
		return nil, err
	}
	if err := v.ofHub(m.Hub); err != nil {
		return nil, err
	}
	steps := record.MoveSteps(m.Kind)
	if len(m.Steps) != len(steps) {
		return nil, fail("it does not name the log entries of a %s", m.Kind)
	}
	last := int64(-1)
	for _, step := range append(steps, record.StepFinished) {
		at, ok := m.Steps[step]
		if step == record.StepFinished {
			at, ok = m.LogIndex, true
		}
		if !ok || at <= last {
			return nil, fail("its step %q is not in the log, or not in order", step)
		}
		if err := v.logged(at, m.Kind+"."+step, m.ID, record.MoveStepFacts(m, step)); err != nil {
			return nil, err
		}
		last = at
	}
	for _, h := range []record.LogHead{m.Before.Log, m.After.Log} {
		if err := v.beganSo(h); err != nil {
			return nil, err
		}
	}
	return m, v.committed(ctx, m)
}

// beganSo demands that the log began with the one that was found in a store.
func (v *folder) beganSo(h record.LogHead) error {
	if h.Size < 0 || h.Size > v.head.Size {
		return fail("it tells of a log of %d entries, and this one has only %d", h.Size, v.head.Size)
	}
	root, err := v.log.RootAt(h.Size, v.head.Size)
	if err != nil {
		return err
	}
	if hex.EncodeToString(root) != h.Root {
		return fail("the log that it found in the store, of %d entries, is not how this log begins", h.Size)
	}
	return nil
}

// committed demands that the log knows the snapshot that both stores gave.
func (v *folder) committed(ctx context.Context, m *record.Move) error {
	number := strconv.FormatInt(m.After.Number, 10)
	for r, err := range v.log.Entries(ctx, 0, m.Steps[record.StepVerified], tlog.Filter{Action: committedAction, Subject: number}) {
		if err != nil {
			return err
		}
		if r.Facts["root"] == m.After.Snapshot {
			return nil
		}
	}
	return fail("the log knows no snapshot %s with the root %.16s... before the move was verified", number, m.After.Snapshot)
}
