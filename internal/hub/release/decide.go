package release

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/disclose"
	"github.com/havre-hub/havre/internal/hub/study"
)

// Review is what a checker sees before deciding.
type Review struct {
	Status   Status            `json:"status"`
	Outputs  []study.Output    `json:"outputs"` // as they would leave, with the rule that hid each cell
	Evidence disclose.Evidence `json:"evidence"`
}

// Review opens a request for one of its possible checkers.
func (a *Airlock) Review(ctx context.Context, id, checker string) (Review, error) {
	const op = "release.review"
	e, err := a.checked(ctx, op, id, checker)
	if err != nil {
		return Review{}, err
	}
	s, err := a.content(ctx, e)
	if err != nil {
		return Review{}, err
	}
	return Review{Status: e.status(), Outputs: s.Outputs, Evidence: s.Evidence}, nil
}

// Get tells how a request stands, to the permit's people and to whoever has a
// role at the hub other than researcher.
func (a *Airlock) Get(ctx context.Context, id, account string) (Status, error) {
	const op = "release.get"
	roles, err := a.role(ctx, op, id, account)
	if err != nil {
		return Status{}, err
	}
	e, err := get(ctx, a.Meta.DB(), op, id)
	if err != nil {
		return Status{}, err
	}
	if account != e.requester && !mayOversee(roles) {
		return Status{}, noRelease(op, id)
	}
	return e.status(), nil
}

// List tells how all requests stand that the account may see, oldest first.
func (a *Airlock) List(ctx context.Context, account string) ([]Status, error) {
	roles, err := a.Accounts.Roles(ctx, account)
	if err != nil && havre.KindOf(err) != havre.NotFound {
		return nil, err
	}
	es, err := entries(ctx, a.Meta.DB(), `true`)
	if err != nil {
		return nil, err
	}
	var out []Status
	for i := range es {
		if mayOversee(roles) || len(roles) > 0 && es[i].requester == account {
			out = append(out, es[i].status())
		}
	}
	return out, nil
}

func mayOversee(roles []havre.Role) bool {
	return slices.ContainsFunc(roles, func(r havre.Role) bool {
		return r == havre.RoleChecker || r == havre.RoleOfficer || r == havre.RoleAuditor || r == havre.RoleOperator
	})
}

// checked reads a release for somebody who may check it: a checker by role,
// who is not of the permit's people and did not decide the permit.
func (a *Airlock) checked(ctx context.Context, op, id, checker string) (*entry, error) {
	roles, err := a.role(ctx, op, id, checker)
	if err != nil {
		return nil, err
	}
	e, err := get(ctx, a.Meta.DB(), op, id)
	if err != nil {
		return nil, err
	}
	if checker != e.requester && !slices.Contains(roles, havre.RoleChecker) && !mayOversee(roles) {
		return nil, noRelease(op, id)
	}
	return e, independent(op, roles, checker, e.requester, e.permit, e.barred)
}

// independent says why an account may not check what somebody requested under a
// permit.
func independent(op string, roles []havre.Role, checker, requester, permit string, barred []string) error {
	switch {
	case checker == requester:
		return refused(op, "nobody checks a release of their own").WithHint("another output checker must look at it")
	case !slices.Contains(roles, havre.RoleChecker):
		return refused(op, "this account is not an output checker")
	case slices.Contains(barred, checker):
		return refused(op, "this account is among the people of permit "+permit+" or decided it, so it cannot check its results").
			WithHint("an output checker from outside the project must look at it")
	}
	return nil
}

// MayWatch says why an account may not see numbers of a run under a permit
// before they are checked: it must be one that could check the run's release.
func (a *Airlock) MayWatch(ctx context.Context, permit, requester, checker string) error {
	const op = "release.watch"
	p, _, err := a.Permits.InForce(ctx, permit)
	if err != nil {
		return err
	}
	roles, err := a.Accounts.Roles(ctx, checker)
	if err != nil && havre.KindOf(err) != havre.NotFound {
		return err
	}
	return independent(op, roles, checker, requester, permit, barred(p))
}

// barred are those who may not check what comes of a permit.
func barred(p *record.Permit) []string { return append(slices.Clone(p.People), p.Decider) }

// samePermit gives the permit of the request, if it is in force as it was then.
func (a *Airlock) samePermit(ctx context.Context, op string, e *entry) (*record.Permit, error) {
	p, now, err := a.Permits.InForce(ctx, e.permit)
	if err != nil {
		return nil, err
	}
	if now != e.permitSHA {
		return nil, refused(op, "permit "+e.permit+" has changed since "+e.id()+" was requested").
			WithHint("reject this request and make it again under the new permit")
	}
	return p, nil
}

// Decide puts down one checker's word. A rejection ends the matter; the last
// approval that the permit asks for signs the record. A request in quarantine
// can only be rejected.
func (a *Airlock) Decide(ctx context.Context, id, checker string, approve bool, reason string) (Status, error) {
	const op = "release.decide"
	e, err := a.checked(ctx, op, id, checker)
	if err != nil {
		return Status{}, err
	}
	if err := e.open(op, checker, approve); err != nil {
		return Status{}, err
	}
	if !approve && reason == "" {
		return Status{}, havre.E(op, havre.Usage, "a rejection needs a reason").WithHint("the researcher must know what to change")
	}
	if approve { // under a permit in force, and only what can be opened and is what was requested
		if _, err := a.samePermit(ctx, op, e); err != nil {
			return Status{}, err
		}
		if _, err := a.content(ctx, e); err != nil {
			return Status{}, err
		}
	}
	_, err = a.Audit.Record(ctx, audit.Event{Action: decidedAction, Actor: havre.NewPersonal(checker), Subject: id,
		Facts: map[string]string{"approve": strconv.FormatBool(approve), "content_sha256": e.content}})
	if err != nil {
		return Status{}, err
	}
	d := record.Decision{Checker: checker, Approve: approve, Reason: reason, At: a.Now().Truncate(time.Microsecond)}
	if e, err = a.putDecision(ctx, op, e.id(), d); err != nil {
		return Status{}, err
	}
	if err := a.settle(ctx, e); err != nil {
		return Status{}, err
	}
	return e.status(), nil
}

// open says whether the checker may still decide.
func (e *entry) open(op, checker string, approve bool) error {
	switch {
	case slices.ContainsFunc(e.decisions, func(d record.Decision) bool { return d.Checker == checker }):
		return refused(op, "this account has decided on "+e.id()+" already; one person counts once")
	case e.state == Quarantined && approve:
		return havre.E(op, havre.DisclosureRefused, "release "+e.id()+" is in quarantine: "+e.reasons[0]).
			WithHint("reject it, and let the study be changed")
	case e.state != InReview && e.state != Quarantined:
		return refused(op, "release "+e.id()+" is "+string(e.state)+", so nothing is left to decide")
	case e.rejected() || e.approvals() >= e.checkers:
		return refused(op, "release "+e.id()+" has its decisions already")
	}
	return nil
}

// putDecision writes the decision down if the release is still open to it, and
// reads the release as it then stands.
func (a *Airlock) putDecision(ctx context.Context, op, id string, d record.Decision) (e *entry, err error) {
	err = a.Meta.Tx(ctx, func(tx *sql.Tx) error {
		if e, err = get(ctx, tx, op, id); err != nil {
			return err
		}
		if err := e.open(op, d.Checker, d.Approve); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO release_decision (release, checker, approve, reason, decided) VALUES (?, ?, ?, ?, ?)`,
			e.seq, d.Checker, d.Approve, d.Reason, d.At.UnixMicro())
		if err != nil {
			return meta.Fail(op, "the decision cannot be written down", err)
		}
		e.decisions = append(e.decisions, d)
		return nil
	})
	return e, err
}

// settle carries out what the decisions so far amount to, if anything: it logs
// it, signs the record of an approval and moves the release on.
func (a *Airlock) settle(ctx context.Context, e *entry) error {
	if e.state != InReview && e.state != Quarantined {
		return nil
	}
	switch {
	case e.rejected():
		_, err := a.Audit.Record(ctx, audit.Event{Action: rejectedAction, Subject: e.id(),
			Facts: map[string]string{"content_sha256": e.content, "permit": e.permit}})
		if err != nil {
			return err
		}
		return a.move(ctx, e, Rejected, nil)
	case e.state == InReview && e.approvals() >= e.checkers:
		signed, err := a.approve(ctx, e)
		if err != nil {
			return err
		}
		return a.move(ctx, e, Approved, signed)
	}
	return nil
}

// approve logs the approval and signs the record.
func (a *Airlock) approve(ctx context.Context, e *entry) ([]byte, error) {
	files, err := a.files(ctx, e)
	if err != nil {
		return nil, err
	}
	r := e.draft
	r.ID, r.Decisions = e.id(), e.decisions
	for _, f := range files {
		r.Files = append(r.Files, record.File{Name: f.name, SHA256: sha(f.data), Size: int64(len(f.data))})
	}
	pos, err := a.Audit.Record(ctx, audit.Event{Action: record.ApprovedAction, Subject: r.ID, Facts: record.ReleaseFacts(&r)})
	if err != nil {
		return nil, err
	}
	r.LogIndex = pos.Index
	return record.SignRelease(&r, a.Signer)
}

// Resume finishes what an interruption left half done: decisions that were
// written down and not carried out. Call it when the hub starts. A request
// that was not yet sealed is finished when it is made again.
func (a *Airlock) Resume(ctx context.Context) error {
	es, err := entries(ctx, a.Meta.DB(), `state IN ('in_review', 'quarantined')`)
	if err != nil {
		return err
	}
	for i := range es {
		// What was sealed to a destroyed key will never leave: nothing to finish.
		if err := a.settle(ctx, &es[i]); err != nil && !errors.Is(err, seal.ErrDestroyed) {
			return err
		}
	}
	return nil
}
