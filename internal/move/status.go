package move

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// Status is how far the open move has come, or how the last one ended.
type Status struct {
	ID       string           `json:"id"`
	Kind     string           `json:"kind"`
	State    State            `json:"state"`
	From     record.Place     `json:"from"`
	To       record.Place     `json:"to"`
	Objects  int64            `json:"objects"`   // in the list
	Bytes    int64            `json:"bytes"`     // of them
	Copied   int64            `json:"copied"`    // objects
	ReadBack int64            `json:"read_back"` // objects
	Changes  int              `json:"changes"`   // that the hub made and that are not carried
	FreezeMS int64            `json:"freeze_ms"` // how long writes waited for the switch
	Root     string           `json:"root,omitempty"`
	Clock    record.Clock     `json:"clock"`
	Times    record.MoveTimes `json:"times"`
	Next     string           `json:"next"` // command, or ""
	Host     []byte           `json:"-"`    // PlanOptions.Host
}

// Status tells of the open move, else of the last one; NotFound if there never was one.
func (m *Mover) Status(ctx context.Context) (Status, error) {
	e, err := m.one(ctx, "ORDER BY id DESC LIMIT 1")
	if err != nil {
		return Status{}, err
	}
	if e == nil {
		return Status{}, havre.E(op, havre.NotFound, "this hub has never moved, and made no drill").
			WithHint("rehearse it: havre drill --at URL")
	}
	return m.status(ctx, e)
}

func (m *Mover) status(ctx context.Context, e *entry) (Status, error) {
	s := Status{ID: e.id(), Kind: e.Kind, State: e.State, From: e.FromPlace, To: e.ToPlace, Objects: e.Objects, Bytes: e.Bytes,
		FreezeMS: e.Frozen, Root: e.Root, Clock: e.Clock, Times: e.Times, Host: e.Host}
	s.Next = map[State]string{Planned: "havre move run", Copying: "havre move run", Switching: "havre move run", Switched: "havre move verify",
		Verified: "havre move finish " + e.id(), Finishing: "havre move finish " + e.id(), Returning: "havre move back"}[e.State]
	if e.Kind == record.KindDrill && s.Next != "" && e.State != Returning {
		s.Next = "havre drill"
	}
	if !e.State.open() {
		return s, nil
	}
	var err error
	if s.Copied, _, err = m.total(ctx, "sha256 IS NOT NULL"); err != nil {
		return s, err
	}
	if s.ReadBack, _, err = m.total(ctx, "back IS NOT NULL"); err != nil {
		return s, err
	}
	if s.Objects, s.Bytes, err = m.total(ctx, "true"); err != nil {
		return s, err
	}
	pending, err := m.changes(ctx)
	s.Changes = len(pending)
	return s, err
}

// Report is a signed report of the journal.
type Report struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Finished time.Time `json:"finished"`
	Signed   []byte    `json:"-"`
}

// Reports gives the signed reports of the hub's moves and drills, oldest first.
func Reports(ctx context.Context, db *meta.DB) ([]Report, error) {
	m := &Mover{c: Config{DB: db}}
	rows, err := db.DB().QueryContext(ctx, "SELECT id, report FROM move WHERE report IS NOT NULL ORDER BY id")
	if err != nil {
		return nil, meta.Fail(op, "the reports of moves cannot be read", err)
	}
	defer rows.Close()
	type row struct {
		id     int64
		signed []byte
	}
	var found []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.signed); err != nil {
			return nil, meta.Fail(op, "the reports of moves cannot be read", err)
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, meta.Fail(op, "the reports of moves cannot be read", err)
	}
	var out []Report
	for _, r := range found {
		e, err := m.one(ctx, "WHERE id = ?", r.id)
		if err != nil {
			return nil, err
		}
		out = append(out, Report{ID: e.id(), Kind: e.Kind, Finished: e.Times.Finished, Signed: r.signed})
	}
	return out, nil
}

// LastDrill is when the last drill or move was finished, for the posture; the
// zero time if none was.
func LastDrill(ctx context.Context, db *meta.DB) (Report, error) {
	all, err := Reports(ctx, db)
	if err != nil || len(all) == 0 {
		return Report{}, err
	}
	return all[len(all)-1], nil
}

// Open says whether a move or drill is open, without a Mover.
func Open(ctx context.Context, db *meta.DB) (bool, error) {
	var n int
	err := db.DB().QueryRowContext(ctx, "SELECT 1 FROM move WHERE open = 1").Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, meta.Fail(op, "the journal of moves cannot be read", err)
	}
	return true, nil
}
