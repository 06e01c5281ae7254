package permit

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/audittest"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

const (
	ana     = "researcher@havre.example"
	ben     = "second@havre.example"
	officer = "officer@havre.example"
	checker = "checker-1@havre.example"
)

// level1 is the keeper's pseudonym of the n-th person.
func level1(n int) string { return "p1.1." + strings.Repeat("a", 51) + string(rune('a'+n)) }

// world is an authority over a real warehouse with four persons.
type world struct {
	t      testing.TB
	dir    string
	a      *Authority
	config Config
	log    *audittest.Diary
	keeper *sign.Signer
	snap   *warehouse.Snapshot
	now    time.Time
	id     map[int]int64 // person_id of the n-th person
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, what string, err error, kind havre.Kind) {
	t.Helper()
	if havre.KindOf(err) != kind {
		t.Errorf("%s: kind %q of %v, want %q", what, havre.KindOf(err), err, kind)
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &audittest.Diary{}, keeper: sign.NewSigner(), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), id: map[int]int64{}}
	db, err := meta.Create(t.Context(), filepath.Join(w.dir, "control.db"))
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	key, err := seal.NewKey()
	must(t, err)
	level2, err := receive.NewLevel2(1, havre.NewSecret(bytes.Repeat([]byte{9}, 32)))
	must(t, err)
	w.config = Config{Hub: "hub", Store: warehousetest.Store(t), DB: db, Key: key, Signer: sign.NewSigner(), Keeper: w.keeper.Public(),
		Level2: level2, Secret: havre.NewSecret(bytes.Repeat([]byte{5}, 32)), Log: w.log, Now: func() time.Time { return w.now }}
	w.a = w.open()
	for account, role := range map[string]havre.Role{ana: havre.RoleResearcher, ben: havre.RoleResearcher, officer: havre.RoleOfficer, checker: havre.RoleChecker} {
		must(t, w.a.AddAccount(t.Context(), account, role, warehousetest.Actor))
	}
	hospital, payer := warehousetest.NewDelivery("chu-nord"), warehousetest.NewDelivery("payer")
	for n := range 4 {
		w.id[n] = int64(level2.Of(level1(n)).ID)
		tid := fmt.Sprintf("%032x", n)
		hospital.Link(tid, w.id[n])
		payer.Link(tid, w.id[n])
	}
	tid := func(n int) string { return fmt.Sprintf("%032x", n) }
	hospital.Part(envelope.Health, "person", "tid,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id,location_id\n"+
		tid(0)+",8532,1950,0,0,77\n"+tid(1)+",8507,1960,0,0,78\n"+tid(2)+",8507,1970,0,0,79\n")
	hospital.Part(envelope.Health, "condition_occurrence", "tid,condition_occurrence_id,condition_concept_id,condition_start_date,condition_type_concept_id,visit_occurrence_id\n"+
		tid(0)+",900,192671,2014-12-31,32817,5\n"+tid(0)+",-7,192671,2015-01-01,32817,5\n"+tid(1)+",800,192671,2016-06-01,32817,6\n"+
		tid(2)+",9223372036854775807,201826,2020-12-31,32817,7\n"+tid(2)+",850,192671,2021-01-01,32817,7\n")
	payer.Part(envelope.Health, "observation_period", "tid,observation_period_id,observation_period_start_date,observation_period_end_date,period_type_concept_id\n"+
		tid(0)+",1,2010-01-01,2022-12-31,32817\n"+tid(1)+",2,2016-01-01,2017-01-01,32817\n"+tid(2)+",3,2021-01-01,2022-01-01,32817\n"+tid(3)+",4,2000-01-01,2014-12-31,32817\n")
	payer.Part(envelope.Health, "condition_occurrence", "tid,condition_occurrence_id,condition_concept_id,condition_start_date,condition_type_concept_id\n"+
		tid(1)+",800,192671,2017-01-01,32817\n")
	hospital.Part(envelope.Health, "concept", "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,concept_code,valid_start_date,valid_end_date\n192671,Gastrointestinal haemorrhage,Condition,SNOMED,Clinical Finding,74474003,1970-01-01,2099-12-31\n")
	hospital.Part(envelope.Health, "location", "location_id,city\n77,Nantes\n")
	house := warehousetest.New(t, 1)
	warehousetest.Take(t, house, hospital, 1)
	_, w.snap = warehousetest.Take(t, house, payer, 2)
	return w
}

func (w *world) open() *Authority {
	w.t.Helper()
	a, err := Open(w.t.Context(), w.config)
	must(w.t, err)
	return a
}

// application is one that is granted as it stands.
func (w *world) application() Application {
	return Application{Title: "Bleeding", Purpose: "scientific_research", Benefit: "safer drugs", People: []string{ana},
		Tables: []record.Table{
			{Name: "condition_occurrence", Columns: []string{"person_id", "condition_occurrence_id", "condition_concept_id", "condition_start_date"}},
			{Name: "observation_period", Columns: []string{"person_id", "observation_period_start_date", "observation_period_end_date"}},
			{Name: "person", Columns: []string{"person_id", "gender_concept_id"}},
		},
		Period: record.Period{From: "2015-01-01", To: "2020-12-31"}, Rules: record.DefaultRules(), Checkers: 2, End: w.now.AddDate(1, 0, 0)}
}

// granted applies, decides, and gives the permit's id.
func (w *world) granted(change func(*Application)) string {
	w.t.Helper()
	app := w.application()
	if change != nil {
		change(&app)
	}
	id, err := w.a.Apply(w.t.Context(), ana, app)
	must(w.t, err)
	_, err = w.a.Decide(w.t.Context(), id, officer, true, "useful")
	must(w.t, err)
	return id
}

func (w *world) view(id string) *View {
	w.t.Helper()
	v, err := w.a.Restrict(w.t.Context(), id, ana, w.snap)
	must(w.t, err)
	return v
}

// rows reads a table of the only bucket as text, in order of the text.
func rows(t testing.TB, v *View, table string, columns ...string) []string {
	t.Helper()
	out, err := tryRows(t.Context(), v, warehouse.Want{Table: table, Columns: columns})
	must(t, err)
	return out
}

func tryRows(ctx context.Context, v *View, want warehouse.Want) (out []string, err error) {
	bucket := 0
	if want.Table == "concept" || want.Table == "location" {
		bucket = unbucketed
	}
	batches, err := v.Read(ctx, bucket, want)
	for _, b := range batches {
		for i := range int(b.NumRows()) {
			values := make([]string, b.NumCols())
			for c := range values {
				values[c] = b.Column(c).ValueStr(i)
			}
			out = append(out, strings.Join(values, "|"))
		}
		b.Release()
	}
	slices.Sort(out)
	return out, err
}

var conditionDates = warehouse.Want{Table: "condition_occurrence", Columns: []string{"condition_start_date"}}

func TestViewShowsOnlyThePermit(t *testing.T) {
	w := newWorld(t)
	v := w.view(w.granted(nil))
	if got := rows(t, v, "condition_occurrence", "condition_start_date", "condition_concept_id"); !slices.Equal(got,
		[]string{"2015-01-01|192671", "2016-06-01|192671", "2017-01-01|192671", "2020-12-31|201826"}) {
		t.Errorf("rows within the period: %v", got)
	}
	if got, err := tryRows(t.Context(), v, warehouse.Want{Table: "condition_occurrence", Columns: []string{"condition_start_date"}, Concepts: []int64{201826}}); err != nil || !slices.Equal(got, []string{"2020-12-31"}) {
		t.Errorf("rows of a concept: %v, %v", got, err)
	}
	// Observation periods are clipped; those outside are not there.
	if got := rows(t, v, "observation_period", "observation_period_start_date", "observation_period_end_date"); !slices.Equal(got,
		[]string{"2015-01-01|2020-12-31", "2016-01-01|2017-01-01"}) {
		t.Errorf("periods: %v", got)
	}
	// The warehouse's ids are nowhere; what stands for them keeps order and identity.
	got := rows(t, v, "condition_occurrence", "condition_occurrence_id", "condition_start_date")
	if !slices.Equal(got, []string{"1|2015-01-01", "2|2016-06-01", "3|2017-01-01", "4|2020-12-31"}) {
		t.Errorf("ranks: %v", got)
	}
	persons := map[string]bool{}
	for _, table := range []string{"person", "condition_occurrence", "observation_period"} {
		for _, r := range rows(t, v, table, "person_id") {
			persons[r] = true
		}
	}
	if len(persons) != 3 {
		t.Errorf("%d persons in three tables", len(persons))
	}
	for _, id := range w.id {
		if persons[fmt.Sprint(id)] {
			t.Error("a warehouse person_id reached the study")
		}
	}
	// Another permit has other pseudonyms of the same persons.
	other := w.view(w.granted(nil))
	for _, r := range rows(t, other, "person", "person_id") {
		if persons[r] {
			t.Error("two permits share a project pseudonym")
		}
	}
	if again := w.view(v.permit); !slices.Equal(rows(t, again, "person", "person_id"), rows(t, v, "person", "person_id")) {
		t.Error("a second run under the permit has other pseudonyms")
	}
	if got := rows(t, v, "concept", "concept_id", "concept_name"); !slices.Equal(got, []string{"192671|Gastrointestinal haemorrhage"}) {
		t.Errorf("vocabulary: %v", got)
	}
	open := w.view(w.granted(func(a *Application) { a.Period = record.Period{} }))
	if got := rows(t, open, "condition_occurrence", "condition_start_date"); len(got) != 6 {
		t.Errorf("without a period: %v", got)
	}
}

// TestAsAStranger tries to read what the permit does not give.
func TestAsAStranger(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := w.granted(nil)
	_, err := w.a.Restrict(ctx, id, ben, w.snap)
	wantKind(t, "another account", err, havre.PermitDenied)
	_, missing := w.a.Restrict(ctx, "p-9999", ben, w.snap)
	if err == nil || missing == nil || strings.ReplaceAll(missing.Error(), "p-9999", id) != err.Error() {
		t.Errorf("a permit of others does not look like none: %q, %q", err, missing)
	}
	must(t, w.a.Suspend(ctx, id, officer, "query"))
	if _, err := w.a.Restrict(ctx, id, ben, w.snap); err == nil || strings.Contains(err.Error(), "suspended") {
		t.Errorf("a stranger learns the state: %v", err)
	}
	must(t, w.a.Resume(ctx, id, officer, ""))
	v := w.view(id)
	for what, want := range map[string]warehouse.Want{
		"table not listed":   {Table: "drug_exposure", Columns: []string{"person_id"}},
		"column not listed":  {Table: "person", Columns: []string{"year_of_birth"}},
		"key of a visit":     {Table: "condition_occurrence", Columns: []string{"visit_occurrence_id"}},
		"key of another row": {Table: "measurement", Columns: []string{"measurement_event_id"}},
		"a professional":     {Table: "provider", Columns: []string{"provider_id", "year_of_birth"}},
		"key of a place":     {Table: "person", Columns: []string{"location_id"}},
		"holder":             {Table: "condition_occurrence", Columns: []string{"holder_id"}},
		"table of no person": {Table: "location", Columns: []string{"city"}},
		"no such table":      {Table: "segment/00", Columns: []string{"x"}},
		"identifying column": {Table: "person", Columns: []string{"person_source_value"}},
		"one good, one bad":  {Table: "person", Columns: []string{"gender_concept_id", "location_id"}},
	} {
		got, err := tryRows(ctx, v, want)
		wantKind(t, what, err, havre.PermitDenied)
		if len(got) > 0 || err != nil && (!strings.Contains(err.Error(), id) || havre.HintOf(err) == "") {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	events := w.log.Events()
	if !slices.ContainsFunc(events, func(e auditEvent) bool {
		return e.Action == "view.denied" && e.Subject == id && e.Actor.Reveal() == ben
	}) {
		t.Error("the refused account is not in the log")
	}
}

func TestPermitActsOnTheNextRead(t *testing.T) {
	for what, act := range map[string]func(w *world, id string){
		"suspended": func(w *world, id string) { must(w.t, w.a.Suspend(w.t.Context(), id, officer, "")) },
		"revoked":   func(w *world, id string) { must(w.t, w.a.Revoke(w.t.Context(), id, officer, "")) },
		"ended one nanosecond ago": func(w *world, id string) {
			p, _, err := w.a.InForce(w.t.Context(), id)
			must(w.t, err)
			w.now = p.End.Add(-time.Nanosecond)
			if _, err := tryRows(w.t.Context(), w.view(id), conditionDates); err != nil {
				w.t.Errorf("one nanosecond before its end: %v", err)
			}
			w.now = p.End
		},
		"amended": func(w *world, id string) {
			must(w.t, w.a.Amend(w.t.Context(), id, ana, w.application()))
			_, err := w.a.Decide(w.t.Context(), id, officer, true, "")
			must(w.t, err)
		},
	} {
		w := newWorld(t)
		id := w.granted(nil)
		v := w.view(id)
		if len(rows(t, v, "condition_occurrence", "condition_start_date")) == 0 {
			t.Fatal("no rows to begin with")
		}
		act(w, id)
		got, err := tryRows(t.Context(), v, conditionDates)
		wantKind(t, what, err, havre.PermitDenied)
		if len(got) > 0 {
			t.Errorf("%s: rows came with the refusal", what)
		}
	}
}

func TestClockSetBackRevivesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.granted(nil)
	v := w.view(id)
	before := w.now
	w.now = w.now.AddDate(2, 0, 0)
	_, err := tryRows(t.Context(), v, conditionDates)
	wantKind(t, "after the end", err, havre.PermitDenied)
	w.now = before
	_, err = tryRows(t.Context(), v, conditionDates)
	wantKind(t, "clock set back", err, havre.Clock)
	_, err = w.open().Restrict(t.Context(), id, ana, w.snap)
	wantKind(t, "clock set back, after a restart", err, havre.Clock)
}

// TestEditedPermits edits the control database as an administrator could.
func TestEditedPermits(t *testing.T) {
	edit := func(w *world, query string, args ...any) {
		res, err := w.config.DB.DB().Exec(query, args...)
		must(w.t, err)
		if n, err := res.RowsAffected(); err != nil || n < 1 {
			w.t.Fatalf("%s changed nothing", query)
		}
	}
	for what, c := range map[string]struct {
		kind havre.Kind
		act  func(w *world, id string)
	}{
		"one byte of the permit": {havre.Tampered, func(w *world, id string) {
			edit(w, "UPDATE permit_version SET signed = CAST(replace(CAST(signed AS TEXT), 'eyJ', 'eyK') AS BLOB) WHERE permit = ?", id)
		}},
		"permit deleted": {havre.PermitDenied, func(w *world, id string) {
			edit(w, "DELETE FROM permit_version WHERE permit = ?", id)
			edit(w, "DELETE FROM permit WHERE id = ?", id)
		}},
		"version deleted": {havre.Tampered, func(w *world, id string) { edit(w, "DELETE FROM permit_version WHERE permit = ?", id) }},
		"newest version deleted": {havre.Tampered, func(w *world, id string) {
			must(w.t, w.a.Amend(w.t.Context(), id, ana, w.application()))
			_, err := w.a.Decide(w.t.Context(), id, officer, true, "")
			must(w.t, err)
			edit(w, "DELETE FROM permit_version WHERE permit = ? AND version = 2", id)
		}},
		"suspension lifted by hand": {havre.PermitDenied, func(w *world, id string) {
			must(w.t, w.a.Suspend(w.t.Context(), id, officer, ""))
			edit(w, "UPDATE permit SET state = 'granted' WHERE id = ?", id)
		}},
		"state removed": {havre.Tampered, func(w *world, id string) { edit(w, "UPDATE permit SET standing = NULL WHERE id = ?", id) }},
		"permit of another id": {havre.Tampered, func(w *world, id string) {
			other, err := w.a.Signed(w.t.Context(), w.granted(func(a *Application) { a.Period = record.Period{} }), 0)
			must(w.t, err)
			edit(w, "UPDATE permit_version SET signed = ? WHERE permit = ?", other, id)
		}},
		"permit of another hub": {havre.Tampered, func(w *world, id string) {
			p, _, err := w.a.InForce(w.t.Context(), id)
			must(w.t, err)
			p.Period = record.Period{}
			foreign, err := record.SignPermit(p, sign.NewSigner())
			must(w.t, err)
			edit(w, "UPDATE permit_version SET signed = ? WHERE permit = ?", foreign, id)
		}},
		"permit for another hub, by our key": {havre.Tampered, func(w *world, id string) {
			p, _, err := w.a.InForce(w.t.Context(), id)
			must(w.t, err)
			p.Hub = "elsewhere"
			signed, err := record.SignPermit(p, w.config.Signer)
			must(w.t, err)
			standing, err := sign.Sign(standingType, Standing{Permit: id, Version: p.Version, PermitSHA: sha(signed), State: Granted}, w.config.Signer)
			must(w.t, err)
			edit(w, "UPDATE permit_version SET signed = ? WHERE permit = ?", signed, id)
			edit(w, "UPDATE permit SET standing = ? WHERE id = ?", standing, id)
		}},
	} {
		w := newWorld(t)
		id := w.granted(nil)
		v := w.view(id)
		c.act(w, id)
		got, err := tryRows(t.Context(), v, conditionDates)
		wantKind(t, what, err, c.kind)
		if len(got) > 0 {
			t.Errorf("%s: rows came", what)
		}
	}
}

func (w *world) optOut(out bool, at time.Time, persons ...int) []byte {
	w.t.Helper()
	m := &envelope.OptOut{ID: string(havre.NewTransportID()), Hub: "hub", Keeper: "keeper", At: at, Out: out, KeyVersion: 1}
	for _, n := range persons {
		m.Pseudonyms = append(m.Pseudonyms, level1(n))
	}
	signed, err := envelope.SignOptOut(m, w.keeper)
	must(w.t, err)
	sealed, err := seal.Seal(signed, w.config.Key.Recipient())
	must(w.t, err)
	return sealed
}

func TestOptOutActsOnTheNextRead(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	v := w.view(w.granted(nil))
	count := func() int { return len(rows(t, v, "condition_occurrence", "condition_start_date")) }
	if count() != 4 {
		t.Fatalf("%d rows to begin with", count())
	}
	out := w.optOut(true, w.now.Add(-time.Hour), 1, 3)
	for range 2 {
		must(t, w.a.RecordOptOut(ctx, out))
	}
	if n := count(); n != 2 || w.a.OptedOut() != 2 || w.a.OptOutSerial() != 1 {
		t.Errorf("%d rows after the opt-out, %d persons out", n, w.a.OptedOut())
	}
	if n := len(rows(t, v, "person", "person_id")); n != 2 {
		t.Errorf("%d persons after the opt-out", n)
	}
	// What was said earlier and comes later does not take it back.
	must(t, w.a.RecordOptOut(ctx, w.optOut(false, w.now.Add(-2*time.Hour), 1)))
	if count() != 2 {
		t.Error("an older message took the opt-out back")
	}
	w.a = w.open() // a restart
	v = w.view(v.permit)
	if count() != 2 {
		t.Error("the opt-out did not survive a restart")
	}
	must(t, w.a.RecordOptOut(ctx, w.optOut(false, w.now, 1)))
	if count() != 4 {
		t.Error("the opt-out cannot be taken back")
	}
	for info, err := range w.config.Store.List(ctx, "optout/") {
		must(t, err)
		b, err := blob.GetAll(ctx, w.config.Store, info.Name)
		must(t, err)
		if bytes.Contains(b, []byte(fmt.Sprint(w.id[1]))) {
			t.Errorf("%s names a person in clear", info.Name)
		}
	}
}

func TestBadOptOutsAreRefused(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	good := w.optOut(true, w.now, 1)
	altered := slices.Clone(good)
	altered[len(altered)-9] ^= 1
	wantKind(t, "altered", w.a.RecordOptOut(ctx, altered), havre.Tampered)
	wantKind(t, "from the future", w.a.RecordOptOut(ctx, w.optOut(true, w.now.Add(48*time.Hour), 1)), havre.Refused)
	wantKind(t, "about nobody", w.a.RecordOptOut(ctx, w.optOut(true, w.now)), havre.Refused)
	w.keeper = sign.NewSigner()
	wantKind(t, "not the keeper's", w.a.RecordOptOut(ctx, w.optOut(true, w.now, 1)), havre.Tampered)
	if w.a.OptedOut() != 0 {
		t.Error("a refused message acted")
	}
}

func TestHiddenOptOutStopsEverything(t *testing.T) {
	for n := range 2 {
		w := newWorld(t)
		must(t, w.a.RecordOptOut(t.Context(), w.optOut(true, w.now, 1)))
		must(t, w.a.RecordOptOut(t.Context(), w.optOut(true, w.now, 2)))
		must(t, w.config.Store.Delete(t.Context(), optOutName(int64(n))))
		_, err := Open(t.Context(), w.config)
		wantKind(t, fmt.Sprintf("object %d hidden", n), err, havre.Tampered)
	}
	// Stored and not listed, as after a crash between the two: it counts.
	w := newWorld(t)
	must(t, w.a.RecordOptOut(t.Context(), w.optOut(true, w.now, 1)))
	must(t, w.config.DB.Tx(t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec("DELETE FROM optout"); return err }))
	if w.a = w.open(); w.a.OptedOut() != 1 {
		t.Error("a stored opt-out was lost")
	}
	if err := w.config.Store.Delete(t.Context(), optOutName(0)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), w.config)
	wantKind(t, "hidden after it was listed at the start", err, havre.Tampered)
}
