package release_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/release"
	"github.com/havre-hub/havre/internal/hub/study"
)

const (
	researcher = "researcher@havre.example"
	colleague  = "colleague@havre.example" // of the permit's people, and a checker elsewhere
	officer    = "officer@havre.example"   // decided the permit, and is a checker too
	checker1   = "checker-1@havre.example"
	checker2   = "checker-2@havre.example"
	operator   = "operator@havre.example"
	stranger   = "stranger@havre.example"
	other      = "other@havre.example" // a researcher of another project
)

// desk is the permits and accounts of a test hub.
type desk struct {
	mu        sync.Mutex
	permit    record.Permit
	sha       string
	suspended bool
}

func (d *desk) InForce(_ context.Context, id string) (*record.Permit, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id != d.permit.ID {
		return nil, "", havre.E("permit", havre.NotFound, "there is no permit "+id)
	}
	if d.suspended {
		return nil, "", havre.E("permit", havre.PermitDenied, "permit "+id+" is suspended")
	}
	p := d.permit
	return &p, d.sha, nil
}

func (d *desk) suspend(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.suspended = yes
}

func (*desk) Roles(_ context.Context, account string) ([]havre.Role, error) {
	roles := map[string][]havre.Role{
		researcher: {havre.RoleResearcher}, other: {havre.RoleResearcher}, operator: {havre.RoleOperator},
		colleague: {havre.RoleResearcher, havre.RoleChecker}, officer: {havre.RoleOfficer, havre.RoleChecker},
		checker1: {havre.RoleChecker}, checker2: {havre.RoleChecker},
	}
	r, ok := roles[account]
	if !ok {
		return nil, havre.E("account", havre.NotFound, "there is no such account")
	}
	return r, nil
}

func newDesk() *desk {
	return &desk{sha: strings.Repeat("ab", 32), permit: record.Permit{ID: "p-0001", Version: 1, People: []string{researcher, colleague},
		Rules: record.DefaultRules(), Checkers: 2, Decider: officer}}
}

type hub struct {
	*release.Airlock
	desk *desk
	log  *audit.Log
	dir  string
	own  *seal.Key // of every permit
}

// newHub makes a hub at dir with a real store, log and control database.
func newHub(t testing.TB) *hub {
	t.Helper()
	dir := t.TempDir()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	signer := sign.NewSigner()
	db, err := meta.Create(t.Context(), filepath.Join(dir, "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := file.Create(filepath.Join(dir, "store")); err != nil {
		t.Fatal(err)
	}
	o := audit.Options{Origin: "hub.example/log", Signer: signer, Openings: db.Openings()}
	if err := audit.Create(t.Context(), filepath.Join(dir, "log"), o); err != nil {
		t.Fatal(err)
	}
	return openHub(t, dir, key, signer)
}

func openHub(t testing.TB, dir string, key *seal.Key, signer *sign.Signer) *hub {
	t.Helper()
	db, err := meta.Open(t.Context(), filepath.Join(dir, "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := file.Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(t.Context(), filepath.Join(dir, "log"), audit.Options{Origin: "hub.example/log", Signer: signer, Openings: db.Openings()})
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{desk: newDesk(), log: log, dir: dir, own: key}
	h.Airlock = &release.Airlock{Hub: "hub", Meta: db, Store: store, Key: func(string) (*seal.Key, error) { return key, nil }, Signer: signer,
		Audit: log, Permits: h.desk, Accounts: h.desk, Drawer: drawer{}, Now: havre.SystemNow}
	t.Cleanup(func() { _ = log.Close(); _ = db.Close() })
	return h
}

// outputs is a table with one small cell, which needs a second one hidden.
func outputs() []study.Output {
	return []study.Output{{Name: "by-sex", Title: "Persons by sex", Kind: study.Frequencies,
		Dimensions: []study.Dimension{{Name: "sex", Categories: []string{"women", "men", "unknown"}, Total: true}},
		Cells: []study.Cell{{Key: []string{"women"}, Count: 4711}, {Key: []string{"men"}, Count: 3923},
			{Key: []string{"unknown"}, Count: 7}, {Key: []string{"total"}, Count: 8641}}}}
}

func request(outputs []study.Output) release.Request {
	return release.Request{Permit: "p-0001", Requester: researcher, Study: "study", StudySHA: strings.Repeat("cd", 32),
		Run: "run-1", Snapshot: strings.Repeat("ef", 32), Outputs: outputs}
}

// must fails the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refusal expects an error of one kind.
func refusal(t *testing.T, what string, err error, kind havre.Kind) {
	t.Helper()
	if havre.KindOf(err) != kind {
		t.Errorf("%s: got %v (kind %q), want kind %q", what, err, havre.KindOf(err), kind)
	}
}

func (h *hub) actions(t *testing.T) (out []string) {
	t.Helper()
	for r, err := range h.log.Entries(t.Context(), 0, -1, filter) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r.Entry.Action)
	}
	return out
}

func TestJourney(t *testing.T) {
	t.Parallel()
	ctx, h := t.Context(), newHub(t)
	s := must(h.Request(ctx, request(outputs())))(t)
	if s.ID != "r-0001" || s.State != release.InReview || s.Findings["min_count"] != 1 || s.Findings["secondary"] != 1 {
		t.Fatalf("requested: %+v", s)
	}
	if again := must(h.Request(ctx, request(outputs())))(t); again.ID != s.ID {
		t.Fatalf("the same request twice gives %s and %s", s.ID, again.ID)
	}
	rv := must(h.Review(ctx, s.ID, checker1))(t)
	if rv.Evidence.Outputs[0].Cells[2].Count != 7 || rv.Outputs[0].Cells[2].Count != 0 {
		t.Fatalf("the checker sees %+v", rv)
	}
	if s = must(h.Decide(ctx, s.ID, checker1, true, "fine"))(t); s.State != release.InReview {
		t.Fatalf("after one of two: %+v", s)
	}
	if s = must(h.Decide(ctx, s.ID, checker2, true, ""))(t); s.State != release.Approved {
		t.Fatalf("after two of two: %+v", s)
	}
	out := filepath.Join(h.dir, "released")
	r := must(h.Release(ctx, s.ID, researcher, out))(t)
	if len(r.Decisions) != 2 || r.Permit != "p-0001" || r.Requester != researcher || len(r.Files) != 3 {
		t.Fatalf("record: %+v", r)
	}
	checkFolder(t, h, out)

	// Again, also over what an interruption left.
	if err := os.Remove(filepath.Join(out, "by-sex.svg")); err != nil {
		t.Fatal(err)
	}
	must(h.Release(ctx, s.ID, checker1, out))(t)
	checkFolder(t, h, out)
	if s = must(h.Get(ctx, s.ID, researcher))(t); s.State != release.Released {
		t.Errorf("in the end: %+v", s)
	}
	want := []string{"release.requested", "release.decided", "release.decided", "release.approved", "release.released"}
	if got := h.actions(t); !slices.Equal(got, want) {
		t.Errorf("the log has %v, want %v", got, want)
	}
	logged := must(h.log.Entry(r.LogIndex))(t)
	if logged.Entry.Action != record.ApprovedAction || logged.Entry.Facts["release_sha256"] != record.ReleaseDigest(r) {
		t.Errorf("the record points at %+v", logged)
	}
}

// checkFolder reads a released folder as an outsider would.
func checkFolder(t *testing.T, h *hub, dir string) {
	t.Helper()
	r := must(record.VerifyRelease(must(os.ReadFile(filepath.Join(dir, release.RecordName)))(t), h.Signer.Public()))(t)
	entries := must(os.ReadDir(dir))(t)
	if len(entries) != len(r.Files)+1 {
		t.Errorf("the folder has %d files, the record %d", len(entries), len(r.Files))
	}
	for _, f := range r.Files {
		b := must(os.ReadFile(filepath.Join(dir, f.Name)))(t)
		if int64(len(b)) != f.Size || sum(b) != f.SHA256 {
			t.Errorf("%s is not what the record says", f.Name)
		}
	}
	csv := string(must(os.ReadFile(filepath.Join(dir, "by-sex.csv")))(t))
	if want := "sex,count,suppressed\nwomen,4711,\nmen,,yes\nunknown,,yes\ntotal,8641,\n"; csv != want {
		t.Errorf("CSV:\n%swant:\n%s", csv, want)
	}
	got, minCount, err := release.DecodeOutputs(must(os.ReadFile(filepath.Join(dir, release.OutputsName)))(t))
	if err != nil || minCount != 11 || got[0].Cells[2].Suppressed != release.Hidden || got[0].Cells[0].Count != 4711 {
		t.Errorf("outputs.json: %+v %v", got, err)
	}
	for _, e := range entries { // nothing says which rule hid a cell, nor what it held
		b := string(must(os.ReadFile(filepath.Join(dir, e.Name())))(t))
		if strings.Contains(b, "primary") || strings.Contains(b, "3923") || strings.Contains(b, "<script") {
			t.Errorf("%s tells too much", e.Name())
		}
	}
}

// Nothing of what waits is in clear at rest.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	ctx, h := t.Context(), newHub(t)
	s := must(h.Request(ctx, request(outputs())))(t)
	must(h.Decide(ctx, s.ID, checker1, true, ""))(t)
	must(h.Decide(ctx, s.ID, checker2, true, ""))(t)
	err := filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, word := range []string{"4711", "3923", "8641", "unknown"} {
			if strings.Contains(string(b), word) {
				t.Errorf("%s holds %q before the release", path, word)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	ctx, h := t.Context(), newHub(t)
	out := filepath.Join(h.dir, "released")

	r := request(outputs())
	r.Requester = stranger
	_, err := h.Request(ctx, r)
	refusal(t, "an unknown account asks", err, havre.PermitDenied)
	r.Requester = other
	_, err = h.Request(ctx, r)
	refusal(t, "somebody outside the permit asks", err, havre.PermitDenied)
	r = request(outputs())
	r.Permit = "p-0002"
	_, err = h.Request(ctx, r)
	refusal(t, "under no permit", err, havre.NotFound)
	_, err = h.Request(ctx, request(nil))
	refusal(t, "nothing to release", err, havre.Invalid)

	s := must(h.Request(ctx, request(outputs())))(t)
	for _, tc := range []struct {
		who  string
		kind havre.Kind
	}{
		{stranger, havre.NotFound}, {other, havre.NotFound}, {researcher, havre.Refused}, {colleague, havre.Refused},
		{officer, havre.Refused}, {operator, havre.Refused},
	} {
		_, err := h.Decide(ctx, s.ID, tc.who, true, "")
		refusal(t, tc.who+" approves", err, tc.kind)
		_, err = h.Decide(ctx, s.ID, tc.who, false, "no")
		refusal(t, tc.who+" rejects", err, tc.kind)
		_, err = h.Review(ctx, s.ID, tc.who)
		refusal(t, tc.who+" reviews", err, tc.kind)
	}
	for _, who := range []string{stranger, other} {
		_, err := h.Get(ctx, s.ID, who)
		refusal(t, who+" looks", err, havre.NotFound)
		_, absent := h.Get(ctx, "r-0099", who)
		if strings.ReplaceAll(absent.Error(), "r-0099", s.ID) != err.Error() {
			t.Errorf("%s can tell what exists: %q, %q", who, err, absent)
		}
		if list := must(h.List(ctx, who))(t); len(list) != 0 {
			t.Errorf("%s sees %v", who, list)
		}
	}
	for _, id := range []string{"r-1", "r-00001", "r-0000", "0001", "r--001", "r-+001", ""} {
		_, err := h.Get(ctx, id, checker1)
		refusal(t, "id "+id, err, havre.NotFound)
	}

	_, err = h.Release(ctx, s.ID, researcher, out)
	refusal(t, "release before approval", err, havre.Refused)
	must(h.Decide(ctx, s.ID, checker1, true, ""))(t)
	_, err = h.Decide(ctx, s.ID, checker1, true, "")
	refusal(t, "one checker decides twice", err, havre.Refused)
	_, err = h.Decide(ctx, s.ID, checker1, false, "changed my mind")
	refusal(t, "one checker decides twice, otherwise", err, havre.Refused)
	_, err = h.Release(ctx, s.ID, researcher, out)
	refusal(t, "release after one of two", err, havre.Refused)
	must(h.Decide(ctx, s.ID, checker2, true, ""))(t)
	_, err = h.Decide(ctx, s.ID, checker2, false, "no")
	refusal(t, "a decision after the decision", err, havre.Refused)
	for who, kind := range map[string]havre.Kind{stranger: havre.NotFound, other: havre.NotFound, operator: havre.Refused} {
		_, err = h.Release(ctx, s.ID, who, out)
		refusal(t, who+" takes it out", err, kind)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a refused release wrote something")
	}
	if n := len(h.actions(t)); n != 4 {
		t.Errorf("refused attempts changed the log: %v", h.actions(t))
	}
}

func TestPermitChangesOnTheWay(t *testing.T) {
	t.Parallel()
	ctx, h := t.Context(), newHub(t)
	out := filepath.Join(h.dir, "released")
	s := must(h.Request(ctx, request(outputs())))(t)
	h.desk.suspend(true)
	_, err := h.Decide(ctx, s.ID, checker1, true, "")
	refusal(t, "approve under a suspended permit", err, havre.PermitDenied)
	h.desk.suspend(false)
	must(h.Decide(ctx, s.ID, checker1, true, ""))(t)
	must(h.Decide(ctx, s.ID, checker2, true, ""))(t)
	h.desk.suspend(true)
	_, err = h.Release(ctx, s.ID, researcher, out)
	refusal(t, "release under a suspended permit", err, havre.PermitDenied)
	h.desk.suspend(false)
	h.desk.sha = strings.Repeat("00", 32)
	_, err = h.Release(ctx, s.ID, researcher, out)
	refusal(t, "release under another version of the permit", err, havre.Refused)

	b := request(outputs())
	b.Outputs[0].Cells[0].Count++
	b.Outputs[0].Cells[3].Count++
	s = must(h.Request(ctx, b))(t)
	h.desk.suspend(true)
	if s = must(h.Decide(ctx, s.ID, checker1, false, "the permit is suspended"))(t); s.State != release.Rejected {
		t.Errorf("a rejection needs no permit: %+v", s)
	}
}

func TestQuarantineAndRejection(t *testing.T) {
	t.Parallel()
	ctx, h := t.Context(), newHub(t)
	small := outputs()
	for i := range small[0].Cells {
		small[0].Cells[i].Count = []int64{2, 3, 1, 6}[i]
	}
	s := must(h.Request(ctx, request(small)))(t)
	if s.State != release.Quarantined || len(s.Reasons) != 1 {
		t.Fatalf("all cells hidden: %+v", s)
	}
	_, err := h.Decide(ctx, s.ID, checker1, true, "")
	refusal(t, "approve what is in quarantine", err, havre.DisclosureRefused)
	_, err = h.Release(ctx, s.ID, researcher, h.dir)
	refusal(t, "release what is in quarantine", err, havre.DisclosureRefused)
	_, err = h.Decide(ctx, s.ID, checker1, false, "")
	refusal(t, "reject without a reason", err, havre.Usage)
	if s = must(h.Decide(ctx, s.ID, checker1, false, "too small"))(t); s.State != release.Rejected {
		t.Fatalf("rejected: %+v", s)
	}
	_, err = h.Release(ctx, s.ID, researcher, h.dir)
	refusal(t, "release what was rejected", err, havre.DisclosureRefused)
	if again := must(h.Request(ctx, request(small)))(t); again.ID == s.ID {
		t.Error("a rejected request cannot be made again")
	}
}

// All checkers at once: as many decisions as the permit asks for, one record.
func TestRace(t *testing.T) {
	t.Parallel()
	ctx, h := t.Context(), newHub(t)
	s := must(h.Request(ctx, request(outputs())))(t)
	var wg sync.WaitGroup
	for range 4 {
		for _, c := range []string{checker1, checker2} {
			wg.Go(func() { _, _ = h.Decide(ctx, s.ID, c, true, "") })
		}
	}
	wg.Wait()
	if err := h.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	if s = must(h.Get(ctx, s.ID, checker1))(t); s.State != release.Approved || len(s.Decisions) != 2 {
		t.Errorf("after a race: %+v", s)
	}
	must(h.Release(ctx, s.ID, researcher, filepath.Join(h.dir, "released")))(t)
	checkFolder(t, h, filepath.Join(h.dir, "released"))
}
