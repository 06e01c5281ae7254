package permit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// standingType is the type of the signed state.
const standingType = "application/vnd.havre.permit-standing.v1+json"

// Standing is where a granted permit stands, signed by the hub like the permit
// itself: a state edited in the database is found, and so is a version removed.
type Standing struct {
	Permit    string    `json:"permit"`
	Version   int       `json:"version"`       // the one in force
	PermitSHA string    `json:"permit_sha256"` // of that version's signed bytes, hex
	State     State     `json:"state"`         // granted, suspended or revoked
	Since     time.Time `json:"since"`
	LogIndex  int64     `json:"log_index"` // of the entry that brought it here
}

// Decide grants or refuses what waits under the id: the application, or an
// amendment. The officer is neither the applicant nor one of the people. It
// gives the signed permit when it was granted, nil when not.
func (a *Authority) Decide(ctx context.Context, id, officer string, grant bool, reason string) ([]byte, error) {
	const op = "permit.decide"
	if err := a.must(ctx, officer, havre.RoleOfficer, "decide on a permit"); err != nil {
		return nil, err
	}
	now := a.Now()
	if err := a.DB.CheckClock(ctx, now); err != nil {
		return nil, err
	}
	a.deciding.Lock()
	defer a.deciding.Unlock()
	app, by, err := a.pending(ctx, id)
	if err != nil {
		return nil, err
	}
	if officer == by || slices.Contains(app.People, officer) {
		return nil, havre.E(op, havre.Refused, "nobody decides on an application of their own").WithHint("let another officer decide")
	}
	before, _, _, err := a.standing(ctx, id)
	first := havre.KindOf(err) == havre.NotFound
	if err != nil && !first {
		return nil, err
	}
	if !grant {
		_, err := a.Log.Record(ctx, audit.Event{Action: "permit.rejected", Actor: havre.NewPersonal(officer), Subject: id, Private: because(reason)})
		if err != nil {
			return nil, err
		}
		state := Rejected
		if !first {
			state = before.State // the version in force stays
		}
		return nil, a.update(ctx, op, "UPDATE permit SET pending = NULL, pending_by = NULL, state = ? WHERE id = ?", string(state), id)
	}
	if _, err := a.checked(ctx, *app); err != nil { // time has passed since the application
		return nil, err
	}
	if !first && before.State != Granted {
		return nil, havre.E(op, havre.Refused, "the permit "+id+" is "+string(before.State)+"; it is not amended while it is").
			WithHint("resume it first, or refuse the amendment")
	}
	p := &record.Permit{ID: id, Version: before.Version + 1, Hub: a.Hub, Title: app.Title, Purpose: app.Purpose,
		People: app.People, Tables: app.Tables, Period: app.Period, Rules: app.Rules, Checkers: app.Checkers,
		Decided: now.UTC().Truncate(time.Second), Decider: officer, Start: app.Start.UTC(), End: app.End.UTC()}
	if app.Start.IsZero() {
		p.Start = p.Decided
	}
	return a.grant(ctx, p, reason)
}

// grant logs, signs and puts in force one version of a permit.
func (a *Authority) grant(ctx context.Context, p *record.Permit, reason string) ([]byte, error) {
	const op = "permit.decide"
	pos, err := a.Log.Record(ctx, audit.Event{Action: record.DecidedAction, Actor: havre.NewPersonal(p.Decider), Subject: p.ID,
		Facts: record.PermitFacts(p), Private: because(reason)})
	if err != nil {
		return nil, err
	}
	p.LogIndex = pos.Index
	signed, err := record.SignPermit(p, a.Signer)
	if err != nil {
		return nil, err
	}
	standing, err := sign.Sign(standingType, Standing{Permit: p.ID, Version: p.Version, PermitSHA: sha(signed), State: Granted,
		Since: p.Decided, LogIndex: pos.Index}, a.Signer)
	if err != nil {
		return nil, err
	}
	return signed, a.DB.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO permit_version (permit, version, signed) VALUES (?, ?, ?)", p.ID, p.Version, signed); err != nil {
			return meta.Fail(op, "the permit cannot be written", err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE permit SET state = ?, standing = ?, pending = NULL, pending_by = NULL WHERE id = ?", string(Granted), standing, p.ID); err != nil {
			return meta.Fail(op, "the permit cannot be written", err)
		}
		return nil
	})
}

// Suspend stops a permit at its next read, until Resume.
func (a *Authority) Suspend(ctx context.Context, id, officer, reason string) error {
	return a.change(ctx, id, officer, reason, Suspended, "permit.suspended", Granted)
}

// Resume lets a suspended permit go on.
func (a *Authority) Resume(ctx context.Context, id, officer, reason string) error {
	return a.change(ctx, id, officer, reason, Granted, "permit.resumed", Suspended)
}

// Revoke ends a permit for good.
func (a *Authority) Revoke(ctx context.Context, id, officer, reason string) error {
	return a.change(ctx, id, officer, reason, Revoked, "permit.revoked", Granted, Suspended)
}

func (a *Authority) change(ctx context.Context, id, officer, reason string, to State, action string, from ...State) error {
	if err := a.must(ctx, officer, havre.RoleOfficer, "change the state of a permit"); err != nil {
		return err
	}
	a.deciding.Lock()
	defer a.deciding.Unlock()
	s, _, _, err := a.standing(ctx, id)
	if err != nil {
		return err
	}
	if s.State == to {
		return nil
	}
	if !slices.Contains(from, s.State) {
		return havre.E("permit.change", havre.Refused, "the permit "+id+" is "+string(s.State)+" and cannot become "+string(to))
	}
	pos, err := a.Log.Record(ctx, audit.Event{Action: action, Actor: havre.NewPersonal(officer), Subject: id,
		Facts: map[string]string{"permit_sha256": s.PermitSHA}, Private: because(reason)})
	if err != nil {
		return err
	}
	s.State, s.Since, s.LogIndex = to, a.Now().UTC().Truncate(time.Second), pos.Index
	signed, err := sign.Sign(standingType, s, a.Signer)
	if err != nil {
		return err
	}
	return a.update(ctx, "permit.change", "UPDATE permit SET state = ?, standing = ? WHERE id = ?", string(to), signed, id)
}

// because keeps an officer's free words out of the log: they may name somebody.
func because(reason string) map[string]havre.Personal[string] {
	if reason == "" {
		return nil
	}
	return map[string]havre.Personal[string]{"reason": havre.NewPersonal(reason)}
}

// pending gives what waits for a decision, and who asked for it.
func (a *Authority) pending(ctx context.Context, id string) (*Application, string, error) {
	var text, by sql.NullString
	err := a.DB.DB().QueryRowContext(ctx, "SELECT pending, pending_by FROM permit WHERE id = ?", id).Scan(&text, &by)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, "", meta.Fail("permit.decide", "the application cannot be read", err)
	}
	if err != nil || !text.Valid {
		return nil, "", havre.E("permit.decide", havre.NotFound, "nothing waits for a decision under the id "+id).
			WithHint("list the permits: it was decided before, or the id is wrong")
	}
	app := new(Application)
	d := json.NewDecoder(bytes.NewReader([]byte(text.String)))
	d.DisallowUnknownFields()
	if err := d.Decode(app); err != nil {
		return nil, "", havre.E("permit.decide", havre.Tampered, "the application "+id+" in the control database is damaged").Wrap(err)
	}
	return app, by.String, nil
}

// standing reads and verifies where a permit stands, with the version in force
// as verified and as signed. NotFound if none was granted.
func (a *Authority) standing(ctx context.Context, id string) (Standing, *record.Permit, []byte, error) {
	const op = "permit"
	fail := func(err error) (Standing, *record.Permit, []byte, error) { return Standing{}, nil, nil, err }
	var standing, signed []byte
	var version sql.NullInt64
	err := a.DB.DB().QueryRowContext(ctx, `SELECT p.standing, v.version, v.signed FROM permit p LEFT JOIN permit_version v ON v.permit = p.id
		WHERE p.id = ? ORDER BY v.version DESC LIMIT 1`, id).Scan(&standing, &version, &signed)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fail(meta.Fail(op, "the permit cannot be read", err))
	}
	if err != nil || (standing == nil && signed == nil) {
		return fail(havre.E(op, havre.NotFound, "there is no permit "+id+" at this hub").WithHint("list the permits; an application is no permit before its decision"))
	}
	damaged := func(what string, err error) (Standing, *record.Permit, []byte, error) {
		return fail(havre.E(op, havre.Tampered, "the permit "+id+" in the control database "+what).
			WithHint("nothing is read under it; compare with the log, and restore the control database from its backup").Wrap(err))
	}
	if v, ok := a.verified.get(id, standing, signed); ok && int64(v.permit.Version) == version.Int64 {
		return v.standing, v.permit, signed, nil
	}
	var s Standing
	if _, err := sign.Verify(standing, standingType, &s, a.Signer.Public()); err != nil {
		return damaged("has a state that this hub did not sign", err)
	}
	p, err := record.VerifyPermit(signed, a.Signer.Public())
	if err != nil {
		return damaged("was altered after it was signed, or another hub signed it", err)
	}
	if s.Permit != id || p.ID != id || p.Hub != a.Hub || s.Version != p.Version || int64(p.Version) != version.Int64 || s.PermitSHA != sha(signed) {
		return damaged("does not fit together: a version was removed or exchanged", nil)
	}
	a.verified.put(id, verified{standingBytes: standing, signedBytes: signed, standing: s, permit: p})
	return s, p, signed, nil
}

// verified is a permit whose signatures were checked, with the bytes that were.
type verified struct {
	standingBytes, signedBytes []byte
	standing                   Standing
	permit                     *record.Permit // not to be changed
}

// verifiedPermits spares checking the signatures of the very same bytes at
// each read. It never answers for other bytes.
type verifiedPermits struct {
	mu  sync.Mutex
	all map[string]verified
}

func (v *verifiedPermits) get(id string, standing, signed []byte) (verified, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.all[id]
	return e, ok && bytes.Equal(e.standingBytes, standing) && bytes.Equal(e.signedBytes, signed)
}

func (v *verifiedPermits) put(id string, e verified) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all[id] = e
}

// InForce gives a permit that can be used now, and the SHA-256 (hex) of its
// signed bytes. It fails with PermitDenied if the permit has not begun, has
// ended, or is suspended or revoked, and with NotFound if there is none.
func (a *Authority) InForce(ctx context.Context, id string) (*record.Permit, string, error) {
	now := a.Now()
	if err := a.DB.CheckClock(ctx, now); err != nil {
		return nil, "", err
	}
	s, p, _, err := a.standing(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if err := a.Standing(ctx); err != nil {
		return nil, "", err
	}
	own := *p
	return &own, s.PermitSHA, inForce(s, p, now)
}

// inForce says why a permit cannot be used at an instant, or nil.
func inForce(s Standing, p *record.Permit, now time.Time) error {
	switch {
	case s.State != Granted:
		return denied("the permit "+p.ID+" is "+string(s.State)+" since "+stamp(s.Since), "ask the permit officer why, and when it resumes")
	case now.Before(p.Start):
		return denied("the permit "+p.ID+" begins on "+stamp(p.Start), "wait until then")
	case !now.Before(p.End):
		return denied("the permit "+p.ID+" ended on "+stamp(p.End), "apply for a new permit")
	}
	return nil
}

func denied(message, hint string) error {
	return havre.E("permit", havre.PermitDenied, message).WithHint(hint)
}

// Summary is a permit in a list.
type Summary struct {
	ID        string    `json:"id"`
	State     State     `json:"state"`
	Version   int       `json:"version,omitempty"`
	Title     string    `json:"title"`
	Applicant string    `json:"applicant"`
	End       time.Time `json:"end"`
	Pending   bool      `json:"pending,omitempty"` // an application or amendment waits for a decision
}

// List gives every permit and application, oldest first.
func (a *Authority) List(ctx context.Context) ([]Summary, error) {
	rows, err := a.DB.DB().QueryContext(ctx, "SELECT id, applicant, state, pending IS NOT NULL FROM permit ORDER BY number")
	if err != nil {
		return nil, meta.Fail("permit.list", "the permits cannot be read", err)
	}
	var all []Summary
	for rows.Next() {
		var s Summary
		if err := rows.Scan(&s.ID, &s.Applicant, &s.State, &s.Pending); err != nil {
			_ = rows.Close()
			return nil, meta.Fail("permit.list", "the permits cannot be read", err)
		}
		all = append(all, s)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, meta.Fail("permit.list", "the permits cannot be read", err)
	}
	for i := range all {
		s, p, _, err := a.standing(ctx, all[i].ID)
		switch {
		case err == nil:
			all[i].State, all[i].Version, all[i].Title, all[i].End = s.State, p.Version, p.Title, p.End
			if !a.Now().Before(p.End) && s.State != Revoked {
				all[i].State = Expired
			}
		case havre.KindOf(err) == havre.NotFound:
			if app, _, err := a.pending(ctx, all[i].ID); err == nil {
				all[i].Title, all[i].End = app.Title, app.End
			}
		default:
			return nil, err
		}
	}
	return all, nil
}

// Signed gives one version of a permit as signed; version 0 is the latest.
func (a *Authority) Signed(ctx context.Context, id string, version int) ([]byte, error) {
	var signed []byte
	err := a.DB.DB().QueryRowContext(ctx, "SELECT signed FROM permit_version WHERE permit = ? AND (version = ? OR ? = 0) ORDER BY version DESC LIMIT 1",
		id, version, version).Scan(&signed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, havre.E("permit", havre.NotFound, "there is no such version of the permit "+id)
	}
	if err != nil {
		return nil, meta.Fail("permit", "the permit cannot be read", err)
	}
	return signed, nil
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
