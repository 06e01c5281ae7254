// Package permit decides who may read what, and holds every read to it.
//
// A permit is applied for, decided by an officer who is somebody else, signed,
// and from then on a running policy: Restrict gives a View of a snapshot, and
// each of its reads checks the permit anew (signature, state, dates, account,
// tables, columns) and gives only the rows, persons and identifiers that the
// permit lets exist. There is no other way from a study to rows; a test of this
// package holds that.
package permit

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive"
)

// Config is what the authority works with.
type Config struct {
	Hub      string // name of this hub
	Store    blob.Store
	DB       *meta.DB
	Key      *seal.Key      // opens the keeper's opt-out messages, seals their record
	Signer   *sign.Signer   // signs permits
	Keeper   sign.PublicKey // signs opt-out messages; zero until a keeper is trusted
	Level2   *receive.Level2
	Secret   havre.Secret // project pseudonyms derive from it; 32 bytes or more
	Log      audit.Recorder
	Now      havre.Now
	MinCount int // no permit goes below this disclosure threshold; 0 = 11
	// Standing is asked before each read: an error, of kind PermitDenied while
	// the whole hub is suspended, stops it. nil = never suspended.
	Standing func(context.Context) error
}

// Authority grants permits and enforces them. Safe for concurrent use; one
// process has a hub's authority at a time.
type Authority struct {
	Config
	deciding sync.Mutex // one decision at a time, so that a log entry and its version agree
	optouts  optouts
	verified verifiedPermits
}

// Open reads the opt-outs into memory and gives the authority.
func Open(ctx context.Context, c Config) (*Authority, error) {
	if len(c.Secret.Reveal()) < 32 {
		return nil, havre.E("permit.open", havre.KeyUnavailable, "the secret of project pseudonyms has fewer than 32 bytes")
	}
	if c.MinCount == 0 {
		c.MinCount = 11
	}
	if c.Standing == nil {
		c.Standing = func(context.Context) error { return nil }
	}
	a := &Authority{Config: c, verified: verifiedPermits{all: map[string]verified{}}}
	return a, a.loadOptOuts(ctx)
}

// AddAccount registers an account. An account has one role: whoever decides
// does not use data, and whoever uses data does not check results. Adding the
// same pair again changes nothing; another role fails with Exists.
func (a *Authority) AddAccount(ctx context.Context, name string, role havre.Role, by havre.Personal[string]) error {
	const op = "permit.account"
	switch role {
	case havre.RoleOperator, havre.RoleResearcher, havre.RoleOfficer, havre.RoleChecker, havre.RoleAuditor:
	default:
		return havre.E(op, havre.Invalid, "an account of the hub cannot have the role "+string(role)).
			WithHint("the roles are operator, researcher, permit_officer, output_checker and auditor")
	}
	if !validAccount(name) {
		return havre.E(op, havre.Invalid, "an account needs a name of 1 to 200 printable characters without blanks")
	}
	if roles, err := a.Roles(ctx, name); err == nil {
		if roles[0] != role {
			return havre.E(op, havre.Exists, "this account has the role "+string(roles[0])+", and an account has one role").
				WithHint("give the person another account for the other role, if the rules of the house allow it")
		}
		return nil
	} else if havre.KindOf(err) != havre.NotFound {
		return err
	}
	_, err := a.Log.Record(ctx, audit.Event{Action: "account.added", Actor: by, Subject: string(role),
		Private: map[string]havre.Personal[string]{"account": havre.NewPersonal(name)}})
	if err != nil {
		return err
	}
	_, err = a.DB.DB().ExecContext(ctx, "INSERT INTO account (name, role, added) VALUES (?, ?, ?)", name, string(role), a.Now().UnixMicro())
	if err != nil {
		return meta.Fail(op, "the account cannot be registered", err)
	}
	return nil
}

// Roles gives the roles of an account, or fails with NotFound.
func (a *Authority) Roles(ctx context.Context, account string) ([]havre.Role, error) {
	var role string
	err := a.DB.DB().QueryRowContext(ctx, "SELECT role FROM account WHERE name = ?", account).Scan(&role)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, havre.E("permit.account", havre.NotFound, "there is no such account at this hub").
			WithHint("let the operator register it")
	}
	if err != nil {
		return nil, meta.Fail("permit.account", "the account cannot be read", err)
	}
	return []havre.Role{havre.Role(role)}, nil
}

// must fails unless the account has the role.
func (a *Authority) must(ctx context.Context, account string, role havre.Role, to string) error {
	roles, err := a.Roles(ctx, account)
	if err != nil {
		return err
	}
	if roles[0] != role {
		return havre.E("permit", havre.Refused, "only an account with the role "+string(role)+" may "+to).
			WithHint("this account is a " + string(roles[0]))
	}
	return nil
}

func validAccount(name string) bool {
	for _, c := range name {
		if c <= ' ' || c == 0x7f || c > 0xffff {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= 200
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
