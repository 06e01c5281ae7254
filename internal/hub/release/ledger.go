package release

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// entry is one row of the ledger.
type entry struct {
	seq       int64
	state     State
	permit    string
	permitSHA string
	checkers  int
	barred    []string
	requester string
	requested time.Time
	draft     record.Release
	content   string
	reasons   []string
	record    []byte
	decisions []record.Decision
}

func (e *entry) id() string { return fmt.Sprintf("r-%04d", e.seq) }

func (e *entry) object() string { return "airlock/" + e.id() + "/result.age" }

func (e *entry) approvals() (n int) {
	for _, d := range e.decisions {
		if d.Approve {
			n++
		}
	}
	return n
}

func (e *entry) rejected() bool { return e.approvals() < len(e.decisions) }

func (e *entry) status() Status {
	return Status{ID: e.id(), State: e.state, Permit: e.permit, Study: e.draft.Study, Run: e.draft.Run,
		Requester: e.requester, Requested: e.requested, Checkers: e.checkers, Decisions: e.decisions,
		Findings: e.draft.Findings, Reasons: e.reasons}
}

// parseID reads "r-0007"; there is one spelling of each id.
func parseID(op, id string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(id, "r-"), 10, 64)
	if e := (entry{seq: n}); err != nil || n < 1 || e.id() != id {
		return 0, noRelease(op, id)
	}
	return n, nil
}

const columns = `seq, state, permit, permit_sha, checkers, barred, requester, requested, draft, content, reasons, record`

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// entries reads the rows that the condition selects, in order of request.
func entries(ctx context.Context, q querier, where string, args ...any) ([]entry, error) {
	const op = "release.ledger"
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM release_request WHERE `+where+` ORDER BY seq`, args...)
	if err != nil {
		return nil, meta.Fail(op, "the releases cannot be read", err)
	}
	defer rows.Close()
	var out []entry
	for rows.Next() {
		var e entry
		var requested int64
		var barred, draft, reasons string
		if err := rows.Scan(&e.seq, &e.state, &e.permit, &e.permitSHA, &e.checkers, &barred, &e.requester, &requested, &draft, &e.content, &reasons, &e.record); err != nil {
			return nil, meta.Fail(op, "the releases cannot be read", err)
		}
		e.requested = time.UnixMicro(requested).UTC()
		if err := errors.Join(json.Unmarshal([]byte(barred), &e.barred), json.Unmarshal([]byte(draft), &e.draft), json.Unmarshal([]byte(reasons), &e.reasons)); err != nil {
			return nil, havre.E(op, havre.Tampered, "release "+e.id()+" is damaged in the control database").Wrap(err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, meta.Fail(op, "the releases cannot be read", err)
	}
	for i := range out {
		if out[i].decisions, err = decisions(ctx, q, out[i].seq); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decisions(ctx context.Context, q querier, seq int64) ([]record.Decision, error) {
	const op = "release.ledger"
	rows, err := q.QueryContext(ctx, `SELECT checker, approve, reason, decided FROM release_decision WHERE release = ? ORDER BY decided, checker`, seq)
	if err != nil {
		return nil, meta.Fail(op, "the decisions cannot be read", err)
	}
	defer rows.Close()
	var out []record.Decision
	for rows.Next() {
		var d record.Decision
		var at int64
		if err := rows.Scan(&d.Checker, &d.Approve, &d.Reason, &at); err != nil {
			return nil, meta.Fail(op, "the decisions cannot be read", err)
		}
		d.At = time.UnixMicro(at).UTC()
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, meta.Fail(op, "the decisions cannot be read", err)
	}
	return out, nil
}

// get reads one release.
func get(ctx context.Context, q querier, op, id string) (*entry, error) {
	seq, err := parseID(op, id)
	if err != nil {
		return nil, err
	}
	es, err := entries(ctx, q, `seq = ?`, seq)
	if err != nil {
		return nil, err
	}
	if len(es) == 0 {
		return nil, noRelease(op, id)
	}
	return &es[0], nil
}

// insert writes a new request down, in state requested, and gives its number.
func (a *Airlock) insert(ctx context.Context, e *entry) error {
	draft, err1 := json.Marshal(e.draft)
	barred, err2 := json.Marshal(e.barred)
	reasons, err3 := json.Marshal(e.reasons)
	if err := errors.Join(err1, err2, err3); err != nil {
		return havre.E("release.request", havre.Internal, "the request has no JSON form").Wrap(err)
	}
	return a.Meta.Tx(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `INSERT INTO release_request (state, permit, permit_sha, checkers, barred, requester, requested, draft, content, reasons) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			e.state, e.permit, e.permitSHA, e.checkers, string(barred), e.requester, e.requested.UnixMicro(), string(draft), e.content, string(reasons))
		if err == nil {
			e.seq, err = r.LastInsertId()
		}
		if err != nil {
			return meta.Fail("release.request", "the request cannot be written down", err)
		}
		return nil
	})
}

// move takes a release from one state to another, with the signed record if
// there is one; it fails with Locked if somebody else moved it meanwhile.
func (a *Airlock) move(ctx context.Context, e *entry, to State, signed []byte) error {
	return a.Meta.Tx(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `UPDATE release_request SET state = ?, record = coalesce(?, record) WHERE seq = ? AND state = ?`, to, signed, e.seq, e.state)
		if err != nil {
			return meta.Fail("release", "the state of the release cannot be written down", err)
		}
		if n, err := r.RowsAffected(); err != nil || n != 1 {
			return havre.E("release", havre.Locked, "release "+e.id()+" was moved on by somebody else just now").WithHint("look at it again")
		}
		e.state = to
		if signed != nil {
			e.record = signed
		}
		return nil
	})
}
