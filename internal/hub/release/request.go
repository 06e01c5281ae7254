package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/disclose"
)

// Request checks the outputs by the permit's rules, seals them and puts them
// before the checkers, or into quarantine. Asking again for the same result
// under the same permit gives the request that is there, unless it was
// rejected.
func (a *Airlock) Request(ctx context.Context, r Request) (Status, error) {
	const op = "release.request"
	p, permitSHA, err := a.permit(ctx, op, r)
	if err != nil {
		return Status{}, err
	}
	res, err := disclose.Check(r.Outputs, p.Rules)
	if err != nil {
		return Status{}, err
	}
	plain, err := json.Marshal(sealed{res.Outputs, res.Evidence, res.Findings, res.Reasons})
	if err != nil {
		return Status{}, havre.E(op, havre.Invalid, "an output holds a number that JSON does not know").Wrap(err)
	}
	if _, err := a.render(res.Outputs, p.Rules); err != nil { // what cannot be drawn is better known now than when it is approved
		return Status{}, err
	}
	content := sha(plain)
	open, err := entries(ctx, a.Meta.DB(), `permit = ? AND content = ? AND state <> 'rejected'`, p.ID, content)
	if err != nil {
		return Status{}, err
	}
	if len(open) > 0 {
		return a.enter(ctx, &open[0], plain)
	}
	at := a.Now().Truncate(time.Microsecond)
	e := &entry{state: Requested, permit: p.ID, permitSHA: permitSHA, checkers: p.Checkers,
		barred: barred(p), requester: r.Requester,
		requested: at, content: content, reasons: res.Reasons,
		draft: record.Release{Hub: a.Hub, Permit: p.ID, PermitSHA: permitSHA, Study: r.Study, StudySHA: r.StudySHA, Run: r.Run,
			Snapshot: r.Snapshot, Requested: at, Requester: r.Requester, Rules: p.Rules, Evidence: sign.Digest(res.Evidence), Findings: res.Findings}}
	if err := a.insert(ctx, e); err != nil {
		return Status{}, err
	}
	return a.enter(ctx, e, plain)
}

// permit gives the permit that the request stands on, if it allows it.
func (a *Airlock) permit(ctx context.Context, op string, r Request) (*record.Permit, string, error) {
	p, permitSHA, err := a.Permits.InForce(ctx, r.Permit)
	if err != nil {
		return nil, "", err
	}
	roles, err := a.Accounts.Roles(ctx, r.Requester)
	if err != nil && havre.KindOf(err) != havre.NotFound {
		return nil, "", err
	}
	if len(roles) == 0 || !slices.Contains(p.People, r.Requester) {
		return nil, "", havre.E(op, havre.PermitDenied, "permit "+r.Permit+" does not name this account")
	}
	if p.Checkers < 1 {
		return nil, "", refused(op, "permit "+p.ID+" names no number of checkers, so nobody can approve a release").
			WithHint("ask the permit officer for a new version of the permit")
	}
	if len(r.Outputs) == 0 {
		return nil, "", havre.E(op, havre.Invalid, "there is no output to release")
	}
	return p, permitSHA, nil
}

// enter seals and logs a request that is written down, and takes it into
// review or quarantine. It does nothing for one that is past that.
func (a *Airlock) enter(ctx context.Context, e *entry, plain []byte) (Status, error) {
	if e.state != Requested {
		return e.status(), nil
	}
	if err := a.put(ctx, e, plain); err != nil {
		return Status{}, err
	}
	to := InReview
	if len(e.reasons) > 0 {
		to = Quarantined
	}
	_, err := a.Audit.Record(ctx, audit.Event{Action: requestedAction, Actor: havre.NewPersonal(e.requester), Subject: e.id(),
		Facts: map[string]string{"permit": e.permit, "run": e.draft.Run, "content_sha256": e.content,
			"evidence_sha256": e.draft.Evidence, "state": string(to), "hidden": strconv.Itoa(total(e.draft.Findings))}})
	if err != nil {
		return Status{}, err
	}
	if err := a.move(ctx, e, to, nil); err != nil {
		return Status{}, err
	}
	return e.status(), nil
}

// put seals the content into the store. A sealed object is different each
// time, so one that an interrupted request left is opened and compared.
func (a *Airlock) put(ctx context.Context, e *entry, plain []byte) error {
	key, err := a.Key(e.permit)
	if err != nil {
		return err
	}
	ciphertext, err := seal.Seal(plain, key.Recipient())
	if err != nil {
		return err
	}
	err = a.Store.Put(ctx, e.object(), ciphertext)
	if havre.KindOf(err) == havre.Exists {
		_, err = a.content(ctx, e)
	}
	return err
}

// content opens what waits sealed in the store and checks that it is what was
// requested.
func (a *Airlock) content(ctx context.Context, e *entry) (*sealed, error) {
	const op = "release.open"
	ciphertext, err := blob.GetAll(ctx, a.Store, e.object())
	if err != nil {
		return nil, err
	}
	key, err := a.Key(e.permit)
	if err != nil {
		return nil, err
	}
	plain, err := seal.Open(ciphertext, key)
	if err != nil {
		return nil, err
	}
	if sha(plain) != e.content {
		return nil, havre.E(op, havre.Tampered, "the outputs of release "+e.id()+" in the store are not those that were requested")
	}
	s := new(sealed)
	if err := json.Unmarshal(plain, s); err != nil {
		return nil, havre.E(op, havre.Tampered, "the outputs of release "+e.id()+" in the store are damaged").Wrap(err)
	}
	return s, nil
}

func sha(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func total(findings map[string]int) (n int) {
	for _, k := range findings {
		n += k
	}
	return n
}
