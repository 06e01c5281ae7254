package app

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/placement"
	"github.com/havre-hub/havre/internal/host/posture"
	"github.com/havre-hub/havre/internal/host/strict"
	"github.com/havre-hub/havre/internal/host/words"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/synth"
)

var order = host.Order{Authority: "Conseil d'Etat", Reference: "no. 400000"}

// hosted is a hub with a keeper and a holder that has something to deliver.
func hosted(t *testing.T) (*Hub, func(p ...string) string) {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	at := func(p ...string) string { return filepath.Join(append([]string{dir}, p...)...) }
	_, err := synth.Generate(ctx, synth.Options{Residents: 200, Seed: 2, Out: at("pop"), Progress: havre.NoProgress})
	fatal(t, err)
	_, err = InitKeeper(ctx, at("keeper"), "keeper", "file:../safe/keeper.key")
	fatal(t, err)
	_, err = InitHub(ctx, HubOptions{Dir: at("hub"), Name: "le-havre", Store: "file:../store", Custodian: "file:../safe/hub.key", KeyBesideStore: true,
		Buckets: warehouse.DefaultBuckets, Actor: "operator@hub.example"})
	fatal(t, err)
	_, err = InitHolder(ctx, at("chu-nord"), "chu-nord", at("hub", "card.json"), at("keeper", "card.json"))
	fatal(t, err)
	_, err = Trust(ctx, at("hub"), at("keeper", "card.json"), at("chu-nord", "card.json"))
	fatal(t, err)
	h, err := OpenHub(ctx, at("hub"))
	fatal(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return h, at
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSuspendedWhileItServes: an order given beside a serving hub stops what it
// does within seconds; a holder is told by whose order, and its parts wait.
func TestSuspendedWhileItServes(t *testing.T) {
	h, at := hosted(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address, served := make(chan string, 1), make(chan error, 1)
	go func() { served <- h.Serve(ctx, "127.0.0.1:0", func(a string) { address <- a }) }()
	url := "https://" + <-address

	// Something that takes long is under way when the order comes.
	cut, began := make(chan error, 1), make(chan struct{})
	go func() {
		cut <- h.whileWritable(ctx, func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-began
	given := time.Now()
	_, logged, err := SuspendHub(ctx, at("hub"), order, havre.NewPersonal("operator@hub.example"))
	fatal(t, err)
	if logged {
		t.Error("the order is in the log although another process holds it")
	}
	if err := h.Permits.Standing(ctx); havre.KindOf(err) != havre.PermitDenied {
		t.Errorf("the next read: %v", err)
	}
	select {
	case err := <-cut:
		if havre.KindOf(err) != havre.PermitDenied || !strings.Contains(err.Error(), "Conseil d'Etat") {
			t.Errorf("what was under way ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("what was under way goes on")
	}
	if took := time.Since(given); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	deliver := func() error {
		_, err := Deliver(ctx, Delivery{Home: at("chu-nord"), CDM: at("pop", "holders", "chu-nord", "omop"), Identity: at("pop", "holders", "chu-nord", "identity.csv"),
			ToHub: url, ToKeeper: at("to-keeper"), Progress: havre.NoProgress})
		return err
	}
	if err := deliver(); err == nil || !strings.Contains(err.Error(), "by order of Conseil d'Etat (no. 400000)") {
		t.Errorf("the holder is told %v", err)
	}
	if n := h.Notices(ctx); len(n) != 1 || !strings.Contains(n[0], "Conseil d'Etat") {
		t.Errorf("the commands say %q of it", n)
	}

	// The posture is told beside the serving hub, and quickly.
	b, err := OpenBeside(ctx, at("hub"))
	fatal(t, err)
	defer b.Close()
	asked := time.Now()
	r, err := b.Posture(ctx, false)
	fatal(t, err)
	if took := time.Since(asked); took > time.Second {
		t.Errorf("the posture took %s", took)
	}
	if r.State != host.Suspended || r.Signals[0].Level != posture.Red || !strings.Contains(r.Headline.EN, "suspended by order of Conseil d'Etat") {
		t.Errorf("the posture says %s: %s", r.State, r.Headline.EN)
	}

	// The process that serves wrote the order into the log; an officer lifts it.
	var entries []string
	for e, err := range h.Log.Entries(ctx, 0, -1, tlog.Filter{Action: "hub"}) {
		fatal(t, err)
		entries = append(entries, e.Action+" "+e.Facts["reference"])
	}
	if len(entries) != 1 || entries[0] != "hub.suspended no. 400000" {
		t.Errorf("the log tells %v", entries)
	}
	by := havre.NewPersonal("operator@hub.example")
	fatal(t, h.Permits.AddAccount(ctx, "operator@hub.example", havre.RoleOperator, by))
	fatal(t, h.Permits.AddAccount(ctx, "officer@hub.example", havre.RoleOfficer, by))
	if _, err := h.ResumeHub(ctx, order, "operator@hub.example"); havre.KindOf(err) != havre.Refused {
		t.Errorf("an operator lifts the order: %v", err)
	}
	_, err = h.ResumeHub(ctx, order, "officer@hub.example")
	fatal(t, err)
	if err := deliver(); err != nil {
		t.Errorf("after the order was lifted: %v", err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestPosture: facts of a real hub, and what is edited behind its back.
func TestPosture(t *testing.T) {
	h, _ := hosted(t)
	ctx, by := t.Context(), havre.NewPersonal("operator@hub.example")
	azure, err := ReadHost("azure-france")
	fatal(t, err)
	until, _ := strict.ParseDate(time.Now().AddDate(0, 0, 100).Format(time.DateOnly))
	_, err = h.Host.Derogate(ctx, host.Derogation{Host: azure.Name, Data: placement.NationalBase, Authority: "CNIL", Reference: "2023-146", Reasons: "no host in time", Until: until}, by)
	fatal(t, err)
	_, err = h.Host.Place(ctx, host.Store, azure, placement.NationalBase, by)
	fatal(t, err)
	r, err := h.beside().Posture(ctx, true)
	fatal(t, err)
	if r.State != host.Open || !r.Store.Whole || r.Store.Objects == 0 || !r.Log.Checked || len(r.Derogations) != 1 || r.Derogations[0].Days != 100 {
		t.Errorf("the posture: %+v", r)
	}
	says := map[posture.Level]string{}
	for _, s := range r.Signals {
		says[s.Level] += s.Says.EN + "\n"
	}
	for _, want := range []string{"same place as the store", "not immune to extra-EU law", "100 days left", "never rehearsed"} {
		if !strings.Contains(says[posture.Red], want) {
			t.Errorf("no alarm says %q:\n%s", want, says[posture.Red])
		}
	}
	for _, p := range r.Probes {
		if want := p.ID != probeKeys; p.OK != want { // the test's key lies beside its store
			t.Errorf("probe %s: %v: %s", p.ID, p.OK, p.Found.EN)
		}
	}
	for _, lang := range []words.Lang{words.EN, words.FR} {
		var page bytes.Buffer
		fatal(t, r.HTML(&page, lang))
		if bytes.Contains(page.Bytes(), []byte("<script")) || bytes.Contains(page.Bytes(), []byte("src=")) || !bytes.Contains(page.Bytes(), []byte("Microsoft")) {
			t.Errorf("the page in %s loads something, or says too little", lang)
		}
	}

	// A decision removed from the control database shows against the log.
	_, err = h.Meta.DB().ExecContext(ctx, "DELETE FROM host_document WHERE kind = 'placement'")
	fatal(t, err)
	if r, err = h.beside().Posture(ctx, false); err != nil || r.Probes[0].ID != "decisions" || r.Probes[0].OK {
		t.Errorf("a decision was removed: %+v, %v", r.Probes, err)
	}
}

// TestProbeCatalogue: answers about Havre itself come from probes, and what
// they cannot tell is left unanswered.
func TestProbeCatalogue(t *testing.T) {
	h, _ := hosted(t)
	ctx, by := t.Context(), havre.NewPersonal("operator@hub.example")
	c, err := ReadCatalogue("satre")
	fatal(t, err)
	_, err = h.Host.OpenCatalogue(ctx, c, "", by)
	fatal(t, err)
	a, err := h.ProbeCatalogue(ctx, "satre", by)
	fatal(t, err)
	got := map[string]string{}
	for _, x := range a.Answers {
		got[x.ID] = string(x.Today)
	}
	if got["2.8.01"] != "met" || got["2.8.04"] != "met" || got["3.1.02"] != "met" || got["2.8.05"] != "not_met" {
		t.Errorf("the probes say %v", got)
	}
	rows, err := h.Host.Scores(ctx, "satre", "today")
	fatal(t, err)
	if rows[0].Provider != "havre" || rows[0].Requirements.Met == 0 || rows[0].Requirements.Unanswered < 20 {
		t.Errorf("scores %+v", rows[0].Requirements)
	}
	// Something in clear in the store, and the same probe says so.
	fatal(t, h.Store.Put(ctx, "segment/plain", []byte("person_id,condition\n1,2\n")))
	a, err = h.ProbeCatalogue(ctx, "satre", by)
	fatal(t, err)
	for _, x := range a.Answers {
		if x.ID == "2.8.01" && x.Today != "not_met" {
			t.Errorf("a file in clear lies in the store, and the probe says %s: %s", x.Today, x.Evidence)
		}
	}
	odd := *c
	odd.Name, odd.Requirements = "odd", append(odd.Requirements[:1:1], odd.Requirements[1])
	odd.Requirements[1].Probe = "sealed-at-rset"
	_, err = h.Host.OpenCatalogue(ctx, &odd, "", by)
	fatal(t, err)
	if _, err := h.ProbeCatalogue(ctx, "odd", by); havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), "sealed-at-rest") {
		t.Errorf("an unknown probe: %v", err)
	}
}
