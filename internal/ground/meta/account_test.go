package meta

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

func TestAccounts(t *testing.T) {
	ctx := context.Background()
	d, err := Create(ctx, filepath.Join(t.TempDir(), "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	a, now := d.Accounts(), time.Unix(1_700_000_000, 0)
	for _, tc := range []struct {
		account string
		role    havre.Role
		kind    havre.Kind
	}{
		{"officer@havre.example", havre.RoleOfficer, ""},
		{"officer@havre.example", havre.RoleOfficer, ""},
		{"officer@havre.example", havre.RoleOperator, ""},
		{"officer@havre.example", havre.RoleResearcher, havre.Refused},
		{"officer@havre.example", havre.RoleChecker, havre.Refused},
		{"auditor@havre.example", havre.RoleAuditor, ""},
		{"auditor@havre.example", havre.RoleOfficer, havre.Refused},
		{"someone@havre.example", havre.Role("king"), havre.Invalid},
		{"Someone@havre.example", havre.RoleAuditor, havre.Invalid},
		{"", havre.RoleAuditor, havre.Invalid},
	} {
		if err := a.Grant(ctx, tc.account, tc.role, now); havre.KindOf(err) != tc.kind {
			t.Errorf("%s as %s: %v, want kind %q", tc.account, tc.role, err, tc.kind)
		}
	}
	if held, err := a.Roles(ctx, "officer@havre.example"); err != nil || len(held) != 2 {
		t.Errorf("roles %v, %v", held, err)
	}
	if _, err := a.Roles(ctx, "stranger@havre.example"); havre.KindOf(err) != havre.NotFound {
		t.Errorf("a stranger has roles: %v", err)
	}
	if err := a.Revoke(ctx, "officer@havre.example", havre.RoleOfficer); err != nil {
		t.Fatal(err)
	}
	if err := a.Grant(ctx, "officer@havre.example", havre.RoleChecker, now); err != nil {
		t.Errorf("after the other role was taken away: %v", err)
	}
	if all, err := a.List(ctx); err != nil || len(all) != 2 {
		t.Errorf("all accounts: %v, %v", all, err)
	}
}
