package permit

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

type auditEvent = audit.Event

func TestPermitOfADecision(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	app := w.application()
	id, err := w.a.Apply(ctx, ana, app)
	must(t, err)
	if id != "p-0001" {
		t.Errorf("id %s", id)
	}
	_, err = w.a.Restrict(ctx, id, ana, w.snap)
	wantKind(t, "before the decision", err, havre.PermitDenied)
	_, err = w.a.Decide(ctx, id, ana, true, "")
	wantKind(t, "by the applicant", err, havre.Refused)
	_, err = w.a.Decide(ctx, id, checker, true, "")
	wantKind(t, "by a checker", err, havre.Refused)
	_, err = w.a.Decide(ctx, id, "nobody@havre.example", true, "")
	wantKind(t, "by nobody", err, havre.NotFound)
	signed, err := w.a.Decide(ctx, id, officer, true, "useful")
	must(t, err)
	p, err := record.VerifyPermit(signed, w.config.Signer.Public())
	must(t, err)
	e := w.log.Events()[p.LogIndex]
	if e.Action != record.DecidedAction || e.Subject != id || e.Facts["permit_sha256"] != record.PermitDigest(p) || e.Facts["version"] != "1" {
		t.Errorf("log entry %+v", e)
	}
	if p.Version != 1 || p.Decider != officer || p.Hub != "hub" || !p.Start.Equal(w.now) || !p.End.Equal(app.End) {
		t.Errorf("permit %+v", p)
	}
	_, err = w.a.Decide(ctx, id, officer, true, "")
	wantKind(t, "twice", err, havre.NotFound)

	app.Tables = app.Tables[:1]
	wantKind(t, "amendment by a stranger", w.a.Amend(ctx, id, ben, app), havre.Refused)
	must(t, w.a.Amend(ctx, id, ana, app))
	if _, err := w.a.Restrict(ctx, id, ana, w.snap); err != nil {
		t.Errorf("while an amendment waits: %v", err)
	}
	_, err = w.a.Decide(ctx, id, officer, false, "no")
	must(t, err)
	must(t, w.a.Amend(ctx, id, ana, app))
	_, err = w.a.Decide(ctx, id, officer, true, "")
	must(t, err)
	now, sum, err := w.a.InForce(ctx, id)
	must(t, err)
	if now.Version != 2 || len(now.Tables) != 1 {
		t.Errorf("version in force %+v", now)
	}
	latest, err := w.a.Signed(ctx, id, 0)
	must(t, err)
	if sha(latest) != sum {
		t.Error("the hash is not that of the signed bytes")
	}
	if old, err := w.a.Signed(ctx, id, 1); err != nil || string(old) != string(signed) {
		t.Errorf("the first version is not kept: %v", err)
	}
	must(t, w.a.Revoke(ctx, id, officer, "end"))
	wantKind(t, "resume after revoke", w.a.Resume(ctx, id, officer, ""), havre.Refused)
	wantKind(t, "amend after revoke", w.a.Amend(ctx, id, ana, app), havre.Refused)
	wantKind(t, "suspend by a researcher", w.a.Suspend(ctx, id, ana, ""), havre.Refused)

	refused, err := w.a.Apply(ctx, ana, app)
	must(t, err)
	_, err = w.a.Decide(ctx, refused, officer, false, "no")
	must(t, err)
	_, err = w.a.Restrict(ctx, refused, ana, w.snap)
	wantKind(t, "refused application", err, havre.PermitDenied)
	w.now = w.now.AddDate(0, 0, 1)
	ended := w.granted(func(a *Application) { a.End = w.now.Add(time.Hour) })
	w.now = w.now.Add(2 * time.Hour)
	list, err := w.a.List(ctx)
	must(t, err)
	if len(list) != 3 || list[0].State != Revoked || list[0].Version != 2 || list[1].State != Rejected || list[2].State != Expired || list[2].ID != ended {
		t.Errorf("list %+v", list)
	}
	for _, e := range w.log.Events() {
		for _, v := range e.Facts {
			if v == "useful" || v == "no" || strings.Contains(v, "@") {
				t.Errorf("%s tells %q in clear", e.Action, v)
			}
		}
	}
}

func TestAPermitBeginsWhenItSays(t *testing.T) {
	w := newWorld(t)
	start := w.now.Add(24 * time.Hour)
	id := w.granted(func(a *Application) { a.Start = start })
	_, err := w.a.Restrict(t.Context(), id, ana, w.snap)
	wantKind(t, "before the start", err, havre.PermitDenied)
	w.now = start
	if _, err := w.a.Restrict(t.Context(), id, ana, w.snap); err != nil {
		t.Error(err)
	}
}

func TestBadApplicationsAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		kind   havre.Kind
		change func(*Application)
	}{
		"marketing":              {havre.Refused, func(a *Application) { a.Purpose = "marketing" }},
		"no such purpose":        {havre.Invalid, func(a *Application) { a.Purpose = "curiosity" }},
		"no title":               {havre.Invalid, func(a *Application) { a.Title = " " }},
		"nobody":                 {havre.Invalid, func(a *Application) { a.People = nil }},
		"unknown account":        {havre.NotFound, func(a *Application) { a.People = []string{"x@havre.example"} }},
		"an officer among them":  {havre.Refused, func(a *Application) { a.People = []string{ana, officer} }},
		"a checker among them":   {havre.Refused, func(a *Application) { a.People = []string{ana, checker} }},
		"one twice":              {havre.Invalid, func(a *Application) { a.People = []string{ana, ana} }},
		"ended":                  {havre.Invalid, func(a *Application) { a.End = w.now }},
		"eleven years":           {havre.Invalid, func(a *Application) { a.End = w.now.AddDate(MaxYears, 0, 1) }},
		"ends before it starts":  {havre.Invalid, func(a *Application) { a.Start = a.End.Add(time.Second) }},
		"low threshold":          {havre.Invalid, func(a *Application) { a.Rules.MinCount = 10 }},
		"no checker":             {havre.Invalid, func(a *Application) { a.Checkers = 0 }},
		"share":                  {havre.Invalid, func(a *Application) { a.Rules.MaxShare = math.NaN() }},
		"rounding":               {havre.Invalid, func(a *Application) { a.Rules.RoundTo = 0 }},
		"date of the period":     {havre.Invalid, func(a *Application) { a.Period.From = "31/02/2020" }},
		"period turned round":    {havre.Invalid, func(a *Application) { a.Period.From = "2021-01-01" }},
		"no tables":              {havre.Invalid, func(a *Application) { a.Tables = nil }},
		"no such table":          {havre.Invalid, func(a *Application) { a.Tables[0].Name = "patients" }},
		"table of no person":     {havre.Invalid, func(a *Application) { a.Tables[0].Name = "location" }},
		"a professional":         {havre.Invalid, func(a *Application) { a.Tables[0] = record.Table{Name: "provider", Columns: []string{"year_of_birth"}} }},
		"vocabulary":             {havre.Invalid, func(a *Application) { a.Tables[0].Name = "concept" }},
		"table twice":            {havre.Invalid, func(a *Application) { a.Tables[1] = a.Tables[0] }},
		"no such column":         {havre.Invalid, func(a *Application) { a.Tables[0].Columns[0] = "x" }},
		"identifying column":     {havre.Invalid, func(a *Application) { a.Tables[2].Columns[0] = "person_source_value" }},
		"key of another row":     {havre.Invalid, func(a *Application) { a.Tables[2].Columns[0] = "location_id" }},
		"holder":                 {havre.Invalid, func(a *Application) { a.Tables[0].Columns[0] = "holder_id" }},
		"column twice":           {havre.Invalid, func(a *Application) { a.Tables[0].Columns[0] = a.Tables[0].Columns[1] }},
		"table without a column": {havre.Invalid, func(a *Application) { a.Tables[0].Columns = nil }},
	} {
		app := w.application()
		c.change(&app)
		_, err := w.a.Apply(t.Context(), ana, app)
		wantKind(t, name, err, c.kind)
	}
	_, err := w.a.Apply(t.Context(), officer, w.application())
	wantKind(t, "an officer applies", err, havre.Refused)
}

func TestAnAccountHasOneRole(t *testing.T) {
	w := newWorld(t)
	add := func(name string, r havre.Role) error {
		return w.a.AddAccount(t.Context(), name, r, warehousetest.Actor)
	}
	must(t, add(ana, havre.RoleResearcher))
	wantKind(t, "two roles", add(ana, havre.RoleChecker), havre.Exists)
	wantKind(t, "a holder", add("h", havre.RoleHolder), havre.Invalid)
	wantKind(t, "a blank", add("a b", havre.RoleAuditor), havre.Invalid)
	wantKind(t, "no name", add("", havre.RoleAuditor), havre.Invalid)
	_, err := w.a.Roles(t.Context(), "nobody")
	wantKind(t, "nobody", err, havre.NotFound)
}
