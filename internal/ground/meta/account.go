package meta

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// Accounts knows who may do what. Safe for concurrent use.
type Accounts struct{ d *DB }

// Accounts gives the accounts of this database.
func (d *DB) Accounts() Accounts { return Accounts{d} }

// apart lists roles that one account may not hold together: whoever assesses
// applications, works with the data or checks outputs does only one of these
// (Regulation (EU) 2025/327, Art. 55(3)); an auditor changes nothing.
var apart = []havre.Role{havre.RoleResearcher, havre.RoleOfficer, havre.RoleChecker, havre.RoleAuditor}

// grantable are the roles that people hold at a hub.
var grantable = append([]havre.Role{havre.RoleOperator}, apart...)

var accountRE = regexp.MustCompile(`^[a-z0-9][a-z0-9._+-]*@[a-z0-9][a-z0-9.-]*$`)

// Grant gives a role to an account, which need not have been known. A role that
// is there already is no error. It fails with Refused when the account holds a
// role that must stay apart from this one.
func (a Accounts) Grant(ctx context.Context, account string, role havre.Role, at time.Time) error {
	if !accountRE.MatchString(account) || len(account) > 254 {
		return havre.E("account.grant", havre.Invalid, "an account is an e-mail address in lower case")
	}
	if !slices.Contains(grantable, role) {
		return havre.E("account.grant", havre.Invalid, "there is no role "+string(role)+" at a hub").
			WithHint("the roles are operator, researcher, permit_officer, output_checker, auditor")
	}
	return a.d.Tx(ctx, func(tx *sql.Tx) error {
		held, err := roles(ctx, tx, account)
		if err != nil {
			return err
		}
		for _, h := range held {
			if h != role && slices.Contains(apart, h) && slices.Contains(apart, role) {
				return havre.E("account.grant", havre.Refused, "the account is "+string(h)+" already, and nobody is both that and "+string(role)).
					WithHint("give the role to another person")
			}
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO account_role (account, role, granted) VALUES (?, ?, ?)", account, string(role), at.UnixMicro()); err != nil {
			return Fail("account.grant", "the role cannot be written", err)
		}
		return nil
	})
}

// Revoke takes a role away; one that is not held is no error.
func (a Accounts) Revoke(ctx context.Context, account string, role havre.Role) error {
	return a.d.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM account_role WHERE account = ? AND role = ?", account, string(role)); err != nil {
			return Fail("account.revoke", "the role cannot be taken away", err)
		}
		return nil
	})
}

// Roles gives the roles of an account, or fails with NotFound.
func (a Accounts) Roles(ctx context.Context, account string) ([]havre.Role, error) {
	held, err := roles(ctx, a.d.DB(), account)
	if err == nil && len(held) == 0 {
		return nil, havre.E("account", havre.NotFound, "this hub knows no such account").
			WithHint("an operator adds people: havre account add --hub FOLDER --role ROLE ACCOUNT")
	}
	return held, err
}

// List gives every account with its roles.
func (a Accounts) List(ctx context.Context) (map[string][]havre.Role, error) {
	rows, err := a.d.DB().QueryContext(ctx, "SELECT account, role FROM account_role ORDER BY account, role")
	if err != nil {
		return nil, Fail("account", "the accounts cannot be read", err)
	}
	defer rows.Close()
	all := map[string][]havre.Role{}
	for rows.Next() {
		var account string
		var role havre.Role
		if err := rows.Scan(&account, &role); err != nil {
			return nil, Fail("account", "the accounts cannot be read", err)
		}
		all[account] = append(all[account], role)
	}
	if err := rows.Err(); err != nil {
		return nil, Fail("account", "the accounts cannot be read", err)
	}
	return all, nil
}

func roles(ctx context.Context, q interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, account string) ([]havre.Role, error) {
	rows, err := q.QueryContext(ctx, "SELECT role FROM account_role WHERE account = ? ORDER BY role", account)
	if err != nil {
		return nil, Fail("account", "the account cannot be read", err)
	}
	defer rows.Close()
	var held []havre.Role
	for rows.Next() {
		var r havre.Role
		if err := rows.Scan(&r); err != nil {
			return nil, Fail("account", "the account cannot be read", err)
		}
		held = append(held, r)
	}
	if err := rows.Err(); err != nil {
		return nil, Fail("account", "the account cannot be read", err)
	}
	return held, nil
}
