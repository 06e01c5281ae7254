package app

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/verify"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/synth"
)

const mover = "operator@hub.example"

// movable is a hub with one delivery in its warehouse, one that waits in
// transit, and a study that is permitted.
type movable struct {
	t     testing.TB
	dir   string
	waits havre.DeliveryID // received by nobody yet
	study ReferenceStudy
}

func (m *movable) at(p ...string) string { return filepath.Join(append([]string{m.dir}, p...)...) }

func (m *movable) must(_ any, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%v (hint: %s)", err, havre.HintOf(err))
	}
}

func newMovable(t testing.TB, store string) *movable {
	t.Helper()
	ctx := t.Context()
	m := &movable{t: t, dir: t.TempDir()}
	m.must(synth.Generate(ctx, synth.Options{Residents: 80, Seed: 2, Out: m.at("pop"), Progress: havre.NoProgress}))
	m.must(InitKeeper(ctx, m.at("keeper"), "keeper", "file:../safe/keeper.key"))
	m.must(InitHub(ctx, HubOptions{Dir: m.at("hub"), Name: "le-havre", Store: store, KeyBesideStore: true,
		Custodian: "file:../safe/hub.key", Buckets: 4, Actor: mover}))
	m.must(Trust(ctx, m.at("hub"), m.at("keeper", "card.json")))
	m.must(Trust(ctx, m.at("keeper"), m.at("hub", "card.json")))
	for i, name := range []string{"chu-nord", "assurance"} {
		m.must(InitHolder(ctx, m.at(name), name, m.at("hub", "card.json"), m.at("keeper", "card.json")))
		m.must(Trust(ctx, m.at("hub"), m.at(name, "card.json")))
		m.must(Trust(ctx, m.at("keeper"), m.at(name, "card.json")))
		d, err := Deliver(ctx, Delivery{Home: m.at(name), CDM: m.at("pop", "holders", name, "omop"), Identity: m.at("pop", "holders", name, "identity.csv"),
			ToHub: m.at("way", "hub"), ToKeeper: m.at("way", "keeper"), Progress: havre.NoProgress})
		m.must(nil, err)
		m.waits = d.Manifest.Delivery
		k, err := OpenKeeper(ctx, m.at("keeper"))
		m.must(nil, err)
		m.must(k.LinkDelivery(ctx, envelope.Folder(m.at("way", "keeper", string(m.waits))), m.at("way", "linked"), havre.NoProgress))
		m.must(nil, k.Close())
		if i == 0 {
			h, err := OpenHub(ctx, m.at("hub"))
			m.must(nil, err)
			m.must(nil, m.takeIn(ctx, h, m.waits, havre.HolderID(name)))
			m.permit(h)
			m.must(nil, h.Close())
		}
	}
	return m
}

// takeIn receives and ingests a delivery.
func (m *movable) takeIn(ctx context.Context, h *Hub, id havre.DeliveryID, from havre.HolderID) error {
	if _, err := h.Desk.Receive(ctx, envelope.Folder(m.at("way", "hub", string(id))), from, havre.NoProgress); err != nil {
		return err
	}
	_, err := h.Ingest(ctx, id, envelope.Folder(m.at("way", "linked", string(id))), havre.NoProgress)
	return err
}

// permit makes accounts, and a permit for the reference study.
func (m *movable) permit(h *Hub) {
	ctx := m.t.Context()
	for account, role := range map[string]havre.Role{mover: havre.RoleOperator, "ada@univ.example": havre.RoleResearcher, "officer@hub.example": havre.RoleOfficer} {
		m.must(nil, h.Permits.AddAccount(ctx, account, role, havre.NewPersonal(mover)))
	}
	m.must(nil, os.CopyFS(m.at("study"), os.DirFS(filepath.Join("demo", "study"))))
	d, err := ReadStudy(m.at("study", "study.yaml"))
	m.must(nil, err)
	needs, err := d.Needs()
	m.must(nil, err)
	a := permit.Application{Title: d.Title, Purpose: "scientific_research", Benefit: "shows that a move changes no result",
		People: []string{"ada@univ.example"}, Rules: record.DefaultRules(), Checkers: 1, End: havre.SystemNow().AddDate(1, 0, 0).Truncate(time.Second)}
	for _, n := range needs {
		a.Tables = append(a.Tables, record.Table{Name: n.Table, Columns: n.Columns})
	}
	id, err := h.Permits.Apply(ctx, "ada@univ.example", a)
	m.must(nil, err)
	m.must(h.Permits.Decide(ctx, id, "officer@hub.example", true, "it is needed to see that a move changes nothing"))
	m.study = ReferenceStudy{Path: m.at("study", "study.yaml"), Permit: id, Account: "ada@univ.example"}
}

// rows counts what the warehouse holds, and reads it all.
func (m *movable) fsck(h *Hub) (rows int64) {
	m.t.Helper()
	snap, err := h.Warehouse.Current(m.t.Context())
	m.must(nil, err)
	for _, n := range snap.Rows() {
		rows += n
	}
	if _, err := snap.Quality(m.t.Context(), havre.NoProgress); err != nil {
		m.t.Fatal(err)
	}
	return rows
}

// cloud starts both servers and puts their credentials into the environment.
func cloud(t *testing.T) (azure, s3 string) {
	t.Helper()
	a, b := blobtest.StartAzure(t), blobtest.StartS3(t)
	t.Setenv("AZURE_STORAGE_KEY", a.Getenv("AZURE_STORAGE_KEY"))
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(v, b.Getenv(v))
	}
	return a.URL("hub"), b.URL("hub")
}

// TestMoveWhileServing: a hub that serves moves from Azure Blob to S3, takes a
// delivery meanwhile, and goes on serving; outsiders verify the report.
func TestMoveWhileServing(t *testing.T) {
	from, to := cloud(t)
	m := newMovable(t, from)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	address, served := make(chan string, 1), make(chan error, 1)
	go func() {
		served <- ServeHub(ctx, m.at("hub"), "127.0.0.1:0", func(a string) { address <- a })
	}()
	url := "https://" + <-address

	// A holder delivers as soon as the copy begins.
	var once sync.Once
	delivered := make(chan error, 1)
	during := hook{"copy", func() {
		once.Do(func() {
			go func() {
				_, err := Deliver(ctx, Delivery{Home: m.at("assurance"), CDM: m.at("pop", "holders", "assurance", "omop"),
					Identity: m.at("pop", "holders", "assurance", "identity.csv"), ToHub: url, ToKeeper: m.at("way", "again"), Progress: havre.NoProgress})
				delivered <- err
			}()
		})
	}}
	step := func(r MoveRequest, p havre.Progress) MoveResult {
		t.Helper()
		r.By = mover
		res, err := Move(ctx, m.at("hub"), r, p)
		m.must(nil, err)
		return res
	}
	for _, bad := range []MoveRequest{{Act: "plan", To: to, By: "ada@univ.example"}, {Act: "plan", To: from, By: mover}, {Act: "run", By: mover}} {
		if _, err := Move(ctx, m.at("hub"), bad, havre.NoProgress); havre.KindOf(err) != havre.Refused && havre.KindOf(err) != havre.NotFound {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	plan := step(MoveRequest{Act: "plan", To: to, PerGB: "0.08", Currency: "EUR", Notice: havre.SystemNow()}, havre.NoProgress).Plan
	run := step(MoveRequest{Act: "run"}, during).Status
	if run.FreezeMS > 10_000 {
		t.Errorf("writes waited for %d ms", run.FreezeMS)
	}
	m.must(nil, <-delivered)
	step(MoveRequest{Act: "verify", Studies: []ReferenceStudy{m.study}}, havre.NoProgress)
	if _, err := Move(ctx, m.at("hub"), MoveRequest{Act: "finish", ID: "m-9999", By: mover}, havre.NoProgress); havre.KindOf(err) != havre.Usage {
		t.Errorf("finishing another move: %v", err)
	}
	before, err := os.ReadFile(m.at("safe", "hub.key"))
	m.must(nil, err)
	report := step(MoveRequest{Act: "finish", ID: plan.ID}, havre.NoProgress).Report
	if after, err := os.ReadFile(m.at("safe", "hub.key")); err != nil || string(after) == string(before) {
		t.Errorf("the custodian's key is the one of before: %v", err)
	}
	// It still serves, with its new keys.
	if _, err := Deliver(ctx, Delivery{Home: m.at("assurance"), CDM: m.at("pop", "holders", "assurance", "omop"), Identity: m.at("pop", "holders", "assurance", "identity.csv"),
		ToHub: url, ToKeeper: m.at("way", "once-more"), Progress: havre.NoProgress}); err != nil {
		t.Errorf("a delivery after the move: %v", err)
	}
	stop()
	m.must(nil, <-served)

	r, ok, err := checkReport(t.Context(), m.at("hub"), report)
	m.must(nil, err)
	if !ok || r.Root != r.RootBack || len(r.Before.Studies) != 2 || r.Before.Rows == 0 || !r.Keys.Changed || slices.Equal(r.Keys.Before, r.Keys.After) || r.From.Kind != "azblob" || r.To.Kind != "s3" {
		t.Errorf("verified %v: %+v", ok, r)
	}
	if left, err := anything(t.Context(), m.at("hub"), from); err != nil || left {
		t.Errorf("the old store is not empty: %v", err)
	}
	h, err := OpenHub(t.Context(), m.at("hub"))
	m.must(nil, err)
	defer h.Close()
	if h.Config.Store != to {
		t.Errorf("the hub stands at %s", h.Config.Store)
	}
	if all, err := h.Desk.Deliveries(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("%d deliveries: %v", len(all), err)
	}
	if rows := m.fsck(h); rows != r.After.Rows {
		t.Errorf("%d rows, and the report tells of %d", rows, r.After.Rows)
	}
	// Outsiders: the whole folder, then a report edited after signing.
	m.must(h.ExportProofs(t.Context(), m.at("verify"), ""))
	m.must(verify.Folder(t.Context(), m.at("verify"), h.Keys(), havre.NoProgress))
	path := m.at("verify", "moves", plan.ID+".json")
	b, err := os.ReadFile(path)
	m.must(nil, err)
	b[len(b)/2] ^= 1
	m.must(nil, os.WriteFile(path, b, 0o600))
	if rep, err := verify.Folder(t.Context(), m.at("verify"), h.Keys(), havre.NoProgress); havre.KindOf(err) != havre.Tampered || rep.Failed != 1 {
		t.Errorf("an edited report: %v", err)
	}
}

// hook calls do when a step of that name begins.
type hook struct {
	name string
	do   func()
}

func (o hook) Step(name string, _ int64, _ string) havre.Counter {
	if name == o.name {
		o.do()
	}
	return havre.NoProgress.Step(name, 0, "")
}

// TestRelocate is the demo's last act, between two folders; a delivery is
// ingested and rows are read all through it.
func TestRelocate(t *testing.T) {
	m := newMovable(t, "file:../store")
	got, err := Relocate(t.Context(), m.at("hub"), "file:../drill", MoveRequest{To: "file:../store2", By: mover, PerGB: "0.08", Studies: []ReferenceStudy{m.study}}, havre.NoProgress)
	m.must(nil, err)
	if got.Objects == 0 || got.Bytes == 0 || !got.RootsEqual || got.OldCopyReadable || !got.ReportVerified || got.Drill == nil ||
		!strings.HasSuffix(got.From, "/store") || !strings.HasSuffix(got.To, "/store2") {
		t.Errorf("%+v", got)
	}
	b, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(b), `"old_copy_readable":false`) {
		t.Errorf("%s, %v", b, err)
	}
	for _, gone := range []string{"store", "drill"} {
		if entries, err := os.ReadDir(m.at(gone)); err != nil || len(entries) > 0 {
			t.Errorf("%s still has %d entries, %v", gone, len(entries), err)
		}
	}
}

// TestIngestDuringMove: a delivery is ingested in the middle of a move, with
// snapshots committed before and after the switch, while a study reads.
func TestIngestDuringMove(t *testing.T) {
	m := newMovable(t, "file:../store")
	ctx := t.Context()
	h, err := OpenHub(ctx, m.at("hub"))
	m.must(nil, err)
	defer h.Close()
	plan, err := h.Move(ctx, MoveRequest{Act: "plan", To: "file:../store2", By: mover}, nil)
	m.must(nil, err)
	var failed atomic.Pointer[error]
	fail := func(err error) {
		if err != nil {
			failed.Store(&err)
		}
	}
	var work sync.WaitGroup
	var once sync.Once
	reading, stop := context.WithCancel(ctx)
	defer stop()
	work.Go(func() {
		for reading.Err() == nil {
			if snap, err := h.Warehouse.Current(ctx); err != nil {
				fail(err)
			} else if _, err := snap.Quality(ctx, havre.NoProgress); err != nil {
				fail(err)
			}
		}
	})
	taken := make(chan bool)
	_, err = h.Move(ctx, MoveRequest{Act: "run", By: mover}, hook{"copy", func() {
		once.Do(func() {
			go func() {
				defer close(taken)
				fail(m.takeIn(ctx, h, m.waits, "assurance"))
			}()
		})
	}})
	m.must(nil, err)
	<-taken
	stop()
	work.Wait()
	if e := failed.Load(); e != nil {
		t.Fatalf("the hub at work: %v", *e)
	}
	rows := m.fsck(h)
	m.must(h.Move(ctx, MoveRequest{Act: "verify", By: mover, Studies: []ReferenceStudy{m.study}}, nil))
	m.must(h.Move(ctx, MoveRequest{Act: "finish", By: mover, ID: plan.Plan.ID}, nil))
	m.must(nil, h.Close())
	again, err := OpenHub(ctx, m.at("hub"))
	m.must(nil, err)
	defer again.Close()
	if n := m.fsck(again); n != rows || n == 0 {
		t.Errorf("%d rows after the move, %d before it was finished", n, rows)
	}
	if f, err := again.Warehouse.Fsck(ctx, warehouse.FsckOptions{}, havre.NoProgress); err != nil || len(f.Faults) > 0 {
		t.Errorf("fsck: %+v, %v", f.Faults, err)
	}
}
