package move

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// State is how far a move has come.
type State string

// The states. A move: planned, copying, (switching) switched, verified,
// finishing, finished. A drill: planned, copying, verified, finishing, finished.
// Either may go to returning and returned before it is finishing.
const (
	Planned   State = "planned"
	Copying   State = "copying"
	Switching State = "switching" // seen only after a crash
	Switched  State = "switched"
	Verified  State = "verified"
	Finishing State = "finishing"
	Finished  State = "finished"
	Returning State = "returning"
	Returned  State = "returned"
)

func (s State) open() bool { return s != Finished && s != Returned }

// entry is one move in the journal; doc is its JSON.
type entry struct {
	number int64
	State  State `json:"-"`
	doc
}

type doc struct {
	Kind       string       `json:"kind"`
	From       string       `json:"from"` // URL, as configured
	To         string       `json:"to"`
	FromPlace  record.Place `json:"from_place"`
	ToPlace    record.Place `json:"to_place"`
	Actor      string       `json:"actor"`
	Nonce      string       `json:"nonce"` // of the claim
	Host       []byte       `json:"host"`  // PlanOptions.Host
	Cost       record.Cost  `json:"cost"`
	Clock      record.Clock `json:"clock"`
	PlanCount  int64        `json:"plan_objects"`
	PlanBytes  int64        `json:"plan_bytes"`
	Listed     bool         `json:"listed"`    // every object of the old store is in move_object
	Rereading  bool         `json:"rereading"` // verify has begun and not ended
	Home       bool         `json:"home"`      // returning: the configuration names the old store again
	SnapshotAt int64        `json:"snapshot"`  // number of the snapshot in force at the switch
	Frozen     int64        `json:"frozen"`    // milliseconds of the freeze that ended in the switch
	KeysBefore []string     `json:"keys_before"`
	KeysAfter  []string     `json:"keys_after"`
	KeysNew    bool         `json:"keys_new"`

	Objects      int64            `json:"objects"`
	Bytes        int64            `json:"bytes"`
	Root         string           `json:"root"`
	RootBack     string           `json:"root_back"`
	Before       record.Evidence  `json:"before"`
	After        record.Evidence  `json:"after"`
	Times        record.MoveTimes `json:"times"`
	Milliseconds map[string]int64 `json:"milliseconds"`
	Runs         int              `json:"runs"`
	Traffic      record.Traffic   `json:"traffic"`
	Removed      record.Removed   `json:"removed"`
	Steps        map[string]int64 `json:"steps"`
}

func (e *entry) id() string {
	letter := "m"
	if e.Kind == record.KindDrill {
		letter = "d"
	}
	return fmt.Sprintf("%s-%04d", letter, e.number)
}

// report is the entry as its report has it.
func (e *entry) report(hub string) *record.Move {
	steps := map[string]int64{}
	for _, s := range record.MoveSteps(e.Kind) {
		if at, ok := e.Steps[s]; ok {
			steps[s] = at
		}
	}
	list := func(ids []string) []string { return append([]string{}, ids...) }
	studies := func(v record.Evidence) record.Evidence {
		v.Studies = append([]record.StudyMark{}, v.Studies...)
		return v
	}
	return &record.Move{ID: e.id(), Kind: e.Kind, Hub: hub, From: e.FromPlace, To: e.ToPlace, Objects: e.Objects, Bytes: e.Bytes,
		Root: e.Root, RootBack: e.RootBack, Before: studies(e.Before), After: studies(e.After), Times: e.Times, Milliseconds: e.Milliseconds,
		Runs: e.Runs, Traffic: e.Traffic, Keys: record.MoveKeys{Before: list(e.KeysBefore), After: list(e.KeysAfter), Changed: e.KeysNew},
		Removed: e.Removed, Cost: e.Cost, Clock: e.Clock, Steps: steps}
}

// load gives the open move, or nil.
func (m *Mover) load(ctx context.Context) (*entry, error) {
	return m.one(ctx, "WHERE open = 1")
}

func (m *Mover) one(ctx context.Context, where string, args ...any) (*entry, error) {
	var e entry
	var state, text string
	err := m.c.DB.DB().QueryRowContext(ctx, "SELECT id, state, doc FROM move "+where, args...).Scan(&e.number, &state, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, meta.Fail(op, "the journal of moves cannot be read", err)
	}
	if err := json.Unmarshal([]byte(text), &e.doc); err != nil {
		return nil, havre.E(op, havre.Tampered, "the journal of the move cannot be understood").
			WithHint("restore the control database from its backup").Wrap(err)
	}
	e.State = State(state)
	return &e, nil
}

// need gives the open move if it is of the kind and in one of the states.
func (m *Mover) need(ctx context.Context, kind string, hint string, states ...State) (*entry, error) {
	e, err := m.load(ctx)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, havre.E(op, havre.NotFound, "no "+kind+" is open").WithHint("begin with: havre move plan --to URL")
	}
	if e.Kind != kind {
		return nil, havre.E(op, havre.Refused, "the "+e.Kind+" "+e.id()+" to "+e.ToPlace.Where+" is open, which is no "+kind).
			WithHint("end it first: havre drill goes on with a drill, havre move back takes either back")
	}
	for _, s := range states {
		if e.State == s {
			return e, nil
		}
	}
	return nil, havre.E(op, havre.Refused, "the "+e.Kind+" "+e.id()+" is "+string(e.State)).WithHint(hint)
}

// create puts a new move into the journal, empties the lists of the one before
// and, with replace, ends a plan that was never begun.
func (m *Mover) create(ctx context.Context, e *entry, replace int64) error {
	text, err := json.Marshal(e.doc)
	if err != nil {
		return havre.E(op, havre.Internal, "the journal entry has no JSON form").Wrap(err)
	}
	err = m.c.DB.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE move SET state = 'returned', open = 0 WHERE id = ? AND state = 'planned'", replace); err != nil {
			return err
		}
		for _, table := range []string{"move_object", "move_change"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		r, err := tx.ExecContext(ctx, "INSERT INTO move (state, open, doc) VALUES (?, 1, ?)", string(e.State), string(text))
		if err != nil {
			return err
		}
		e.number, err = r.LastInsertId()
		return err
	})
	if err != nil {
		return meta.Fail(op, "the move cannot be put on record: another one may be open", err)
	}
	return nil
}

// save writes state and doc, durably. A closed move leaves no lists behind.
func (m *Mover) save(ctx context.Context, e *entry, report ...byte) error {
	text, err := json.Marshal(e.doc)
	if err != nil {
		return havre.E(op, havre.Internal, "the journal entry has no JSON form").Wrap(err)
	}
	err = m.c.DB.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE move SET state = ?, open = ?, doc = ?, report = coalesce(?, report) WHERE id = ?",
			string(e.State), e.State.open(), string(text), report, e.number); err != nil {
			return err
		}
		if e.State.open() {
			return nil
		}
		for _, table := range []string{"move_object", "move_change"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return meta.Fail(op, "the journal of the move cannot be written", err)
	}
	return nil
}

// noteChange puts a write on record before it is made.
func (m *Mover) noteChange(ctx context.Context, name string) error {
	if _, err := m.c.DB.DB().ExecContext(ctx, "INSERT INTO move_change (name) VALUES (?)", name); err != nil {
		return meta.Fail(op, "a change cannot be put on record while the hub moves", err)
	}
	return nil
}

// object is one row of move_object.
type object struct {
	name string
	size int64
	sum  []byte // SHA-256 as read from the old store
	back []byte // as read back from the new store
}

// rows gives up to limit objects after a name, in order, that the condition chooses.
func (m *Mover) rows(ctx context.Context, condition, after string, limit int) ([]object, error) {
	rows, err := m.c.DB.DB().QueryContext(ctx, "SELECT name, size, sha256, back FROM move_object WHERE name > ? AND "+condition+" ORDER BY name LIMIT ?", after, limit)
	if err != nil {
		return nil, meta.Fail(op, "the list of objects cannot be read", err)
	}
	defer rows.Close()
	var out []object
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.name, &o.size, &o.sum, &o.back); err != nil {
			return nil, meta.Fail(op, "the list of objects cannot be read", err)
		}
		out = append(out, o)
	}
	if err := rows.Err(); err != nil {
		return nil, meta.Fail(op, "the list of objects cannot be read", err)
	}
	return out, nil
}

// put writes objects to the list; an object without a sum is added only if it
// is not there, one with a negative size is taken off.
func (m *Mover) put(ctx context.Context, objects []object) error {
	if len(objects) == 0 {
		return nil
	}
	err := m.c.DB.Tx(ctx, func(tx *sql.Tx) error {
		add, err := tx.PrepareContext(ctx, "INSERT OR IGNORE INTO move_object (name, size) VALUES (?, ?)")
		if err != nil {
			return err
		}
		set, err := tx.PrepareContext(ctx, "INSERT INTO move_object (name, size, sha256, back) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET size = excluded.size, sha256 = excluded.sha256, back = excluded.back")
		if err != nil {
			return err
		}
		del, err := tx.PrepareContext(ctx, "DELETE FROM move_object WHERE name = ?")
		if err != nil {
			return err
		}
		for _, o := range objects {
			switch {
			case o.size < 0:
				_, err = del.ExecContext(ctx, o.name)
			case o.sum == nil:
				_, err = add.ExecContext(ctx, o.name, o.size)
			default:
				_, err = set.ExecContext(ctx, o.name, o.size, o.sum, o.back)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return meta.Fail(op, "the list of objects cannot be written", err)
	}
	return nil
}

// total counts the objects that the condition chooses, and their bytes.
func (m *Mover) total(ctx context.Context, condition string) (objects, bytes int64, err error) {
	err = m.c.DB.DB().QueryRowContext(ctx, "SELECT count(*), coalesce(sum(size), 0) FROM move_object WHERE "+condition).Scan(&objects, &bytes)
	if err != nil {
		return 0, 0, meta.Fail(op, "the list of objects cannot be counted", err)
	}
	return objects, bytes, nil
}

// changed says whether a write of that name is on record.
func (m *Mover) changed(ctx context.Context, name string) (bool, error) {
	var n int
	err := m.c.DB.DB().QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM move_change WHERE name = ? LIMIT 1)", name).Scan(&n)
	if err != nil {
		return false, meta.Fail(op, "the record of changes cannot be read", err)
	}
	return n > 0, nil
}

// changes gives the names on record, each with its newest number.
func (m *Mover) changes(ctx context.Context) (map[string]int64, error) {
	rows, err := m.c.DB.DB().QueryContext(ctx, "SELECT name, max(seq) FROM move_change GROUP BY name")
	if err != nil {
		return nil, meta.Fail(op, "the record of changes cannot be read", err)
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var name string
		var seq int64
		if err := rows.Scan(&name, &seq); err != nil {
			return nil, meta.Fail(op, "the record of changes cannot be read", err)
		}
		out[name] = seq
	}
	if err := rows.Err(); err != nil {
		return nil, meta.Fail(op, "the record of changes cannot be read", err)
	}
	return out, nil
}

// carried takes changes off the record, up to the number given for each name.
func (m *Mover) carried(ctx context.Context, done map[string]int64) error {
	err := m.c.DB.Tx(ctx, func(tx *sql.Tx) error {
		for name, seq := range done {
			if _, err := tx.ExecContext(ctx, "DELETE FROM move_change WHERE name = ? AND seq <= ?", name, seq); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return meta.Fail(op, "the record of changes cannot be written", err)
	}
	return nil
}
