package permit

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// MaxYears is how long a permit may run (Regulation (EU) 2025/327, Art. 68(12)).
const MaxYears = 10

// Purposes are those of Art. 53(1); the first three are for public bodies only,
// which the officer judges.
var Purposes = []string{"public_health", "policy", "statistics", "education", "scientific_research", "care_improvement"}

// forbidden are the uses of Art. 54, refused whatever else they are called.
var forbidden = []string{"detrimental_decision", "employment", "insurance", "credit", "marketing", "harmful_product", "ethics_breach"}

// Application asks for a permit, or for an amended version of one.
type Application struct {
	Title    string         `json:"title"`
	Purpose  string         `json:"purpose"`  // one of Purposes
	Benefit  string         `json:"benefit"`  // why pseudonymised rows are needed and what they are for
	People   []string       `json:"people"`   // accounts; the first is the principal investigator
	Tables   []record.Table `json:"tables"`   // nothing else can be read
	Period   record.Period  `json:"period"`   // events outside it do not exist for the study
	Rules    record.Rules   `json:"rules"`    // disclosure thresholds
	Checkers int            `json:"checkers"` // people who must agree to a release
	Start    time.Time      `json:"start"`    // zero = the decision
	End      time.Time      `json:"end"`
}

// Apply files an application and gives the id that the permit will have.
func (a *Authority) Apply(ctx context.Context, applicant string, app Application) (string, error) {
	const op = "permit.apply"
	if err := a.must(ctx, applicant, havre.RoleResearcher, "apply for a permit"); err != nil {
		return "", err
	}
	text, err := a.checked(ctx, app)
	if err != nil {
		return "", err
	}
	a.deciding.Lock()
	defer a.deciding.Unlock()
	var number int64
	if err := a.DB.DB().QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'permit'").Scan(&number); err != nil {
		return "", meta.Fail(op, "the next permit's number cannot be read", err)
	}
	id := fmt.Sprintf("p-%04d", number)
	if err := a.record(ctx, "permit.applied", applicant, id, map[string]string{"purpose": app.Purpose}); err != nil {
		return "", err
	}
	_, err = a.DB.DB().ExecContext(ctx, "INSERT INTO permit (number, id, applicant, state, pending, pending_by, applied) VALUES (?, ?, ?, ?, ?, ?, ?)",
		number, id, applicant, string(Applied), text, applicant, a.Now().UnixMicro())
	if err != nil {
		return "", meta.Fail(op, "the application cannot be filed", err)
	}
	return id, nil
}

// Amend asks for another version of a permit that was granted. The version in
// force stays so until the decision.
func (a *Authority) Amend(ctx context.Context, id, applicant string, app Application) error {
	const op = "permit.amend"
	if err := a.must(ctx, applicant, havre.RoleResearcher, "ask for an amendment"); err != nil {
		return err
	}
	text, err := a.checked(ctx, app)
	if err != nil {
		return err
	}
	a.deciding.Lock()
	defer a.deciding.Unlock()
	s, p, _, err := a.standing(ctx, id)
	if err != nil {
		return err
	}
	if s.State == Revoked || !slices.Contains(p.People, applicant) {
		return havre.E(op, havre.Refused, "the permit "+id+" is revoked, or this account is not one of its people").
			WithHint("apply for a new permit")
	}
	if err := a.record(ctx, "permit.amendment_applied", applicant, id, map[string]string{"purpose": app.Purpose}); err != nil {
		return err
	}
	return a.update(ctx, op, "UPDATE permit SET pending = ?, pending_by = ? WHERE id = ?", text, applicant, id)
}

// checked says what is wrong with an application, or gives it as JSON.
func (a *Authority) checked(ctx context.Context, app Application) (string, error) {
	bad := func(format string, args ...any) (string, error) {
		return "", havre.E("permit.apply", havre.Invalid, "the application is not complete: "+fmt.Sprintf(format, args...))
	}
	if slices.Contains(forbidden, app.Purpose) {
		return "", havre.E("permit.apply", havre.Refused, "the purpose "+app.Purpose+" is forbidden (Regulation (EU) 2025/327, Art. 54)").
			WithHint("no permit can be granted for it")
	}
	if !slices.Contains(Purposes, app.Purpose) {
		return "", havre.E("permit.apply", havre.Invalid, fmt.Sprintf("%.60q is no purpose of Art. 53(1)", app.Purpose)).
			WithHint("the purposes are: " + strings.Join(Purposes, ", "))
	}
	now := a.Now()
	start := app.Start
	if start.IsZero() {
		start = now
	}
	switch r := app.Rules; {
	case strings.TrimSpace(app.Title) == "":
		return bad("it has no title")
	case len(app.People) == 0:
		return bad("it names nobody who would run studies")
	case !app.End.After(now) || !app.End.After(start):
		return bad("its end is not after its start, or has passed")
	case app.End.After(start.AddDate(MaxYears, 0, 0)):
		return bad("a permit runs %d years at most", MaxYears)
	case app.Checkers < 1 || app.Checkers > 9:
		return bad("a release needs 1 to 9 checkers")
	case r.MinCount < a.MinCount:
		return bad("this hub shows no count below %d", a.MinCount)
	case !(r.MaxShare > 0 && r.MaxShare <= 1) || !(r.MaxTop1 > 0 && r.MaxTop1 <= 1) || r.RoundTo < 1:
		return bad("max_share and max_top1 are above 0 and at most 1, round_to is at least 1")
	}
	if err := checkPeriod(app.Period); err != nil {
		return "", err
	}
	if err := checkTables(app.Tables); err != nil {
		return "", err
	}
	for i, p := range app.People {
		if slices.Contains(app.People[:i], p) {
			return bad("an account is named twice")
		}
		if err := a.must(ctx, p, havre.RoleResearcher, "be named in a permit"); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(app)
	if err != nil {
		return "", havre.E("permit.apply", havre.Invalid, "the application has no JSON form").Wrap(err)
	}
	return string(text), nil
}

func checkPeriod(p record.Period) error {
	for _, d := range []string{p.From, p.To} {
		if _, err := time.Parse(time.DateOnly, d); d != "" && err != nil {
			return havre.E("permit.apply", havre.Invalid, "a bound of the period is no date").WithHint("write it as 2006-01-02, or leave it out")
		}
	}
	if p.From != "" && p.To != "" && p.From > p.To {
		return havre.E("permit.apply", havre.Invalid, "the period ends before it begins")
	}
	return nil
}

func checkTables(tables []record.Table) error {
	bad := func(message, hint string) error {
		return havre.E("permit.apply", havre.Invalid, message).WithHint(hint)
	}
	if len(tables) == 0 {
		return bad("the application asks for no table", "name the tables and columns of the OMOP CDM that the studies read")
	}
	seen := map[string]bool{}
	for _, want := range tables {
		t, ok := omop.Lookup(want.Name)
		if !ok {
			return bad(fmt.Sprintf("there is no table %.60q in CDM %s", want.Name, omop.Version), "names are written in lower case")
		}
		if why := notPermitted(t); why != "" {
			return bad("the table "+t.Name+" cannot be in a permit: "+why, "leave it out")
		}
		if seen[t.Name] || len(want.Columns) == 0 {
			return bad("the table "+t.Name+" is there twice, or without columns", "name each table once, with its columns")
		}
		seen[t.Name] = true
		for i, c := range want.Columns {
			if why := unreadable(t, c); why != "" || slices.Contains(want.Columns[:i], c) {
				return bad(fmt.Sprintf("the column %.60q of %s cannot be in a permit: %s", c, t.Name, orTwice(why)), "leave it out")
			}
		}
	}
	return nil
}

func orTwice(why string) string {
	if why == "" {
		return "it is there twice"
	}
	return why
}

// State is where a permit stands. Expired follows from its end date.
type State string

// The states.
const (
	Applied   State = "applied"
	Rejected  State = "rejected"
	Granted   State = "granted"
	Suspended State = "suspended"
	Revoked   State = "revoked"
	Expired   State = "expired"
)

func (a *Authority) record(ctx context.Context, action, actor, subject string, facts map[string]string) error {
	_, err := a.Log.Record(ctx, audit.Event{Action: action, Actor: havre.NewPersonal(actor), Subject: subject, Facts: facts})
	return err
}

func (a *Authority) update(ctx context.Context, op, query string, args ...any) error {
	return a.DB.Tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return meta.Fail(op, "the permit cannot be written", err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return havre.E(op, havre.NotFound, "there is no such permit").Wrap(err)
		}
		return nil
	})
}
