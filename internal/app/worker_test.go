package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/app/demo"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/runner"
	"github.com/havre-hub/havre/internal/hub/study/runner/worker"
)

// The demo's people.
const (
	operator   = "operator@havre.example"
	researcher = "researcher@havre.example"
	officer    = "officer@havre.example"
)

// site is a hub with a granted permit and a worker enrolled at it.
type site struct {
	t      testing.TB
	dir    string
	hub    *app.Hub
	study  *study.Definition
	permit string
	worker string // its folder
	file   string // the study's
}

// newSite makes a hub by the demo's journey; store names where its objects are
// moved afterwards, "" for where they are.
func newSite(t testing.TB, o demo.Options, move func(folder string) (store string)) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "demo"), permit: "p-0001"}
	o.Out, o.Progress = s.dir, havre.NoProgress
	_, err := demo.Run(t.Context(), o)
	must(t, err)
	store := "file:" + filepath.Join(s.dir, "store")
	if move != nil {
		store = move(filepath.Join(s.dir, "store"))
		path := filepath.Join(s.dir, "hub", "havre.yaml")
		b, err := os.ReadFile(path)
		must(t, err)
		lines := strings.Split(string(b), "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, "store: ") {
				lines[i] = "store: " + store
			}
		}
		must(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	}
	s.open()
	must(t, s.hub.Permits.Resume(t.Context(), s.permit, officer, "the test goes on"))
	s.worker = filepath.Join(s.dir, "worker")
	card, err := app.InitWorker(t.Context(), app.WorkerOptions{Dir: s.worker, Name: "node-1", HubCard: filepath.Join(s.dir, "hub", "card.json"),
		Store: store, Custodian: "file:" + filepath.Join(s.dir, "custodian", "worker.key")})
	must(t, err)
	_, err = s.hub.EnrollWorker(t.Context(), filepath.Join(s.worker, "card.json"), card.Fingerprint(), operator)
	must(t, err)
	if s.file = o.Study; s.file == "" {
		s.file = filepath.Join(s.dir, "study", "study.yaml")
	}
	s.study, err = app.ReadStudy(s.file)
	must(t, err)
	return s
}

func (s *site) open() {
	s.t.Helper()
	var err error
	s.hub, err = app.OpenHub(s.t.Context(), filepath.Join(s.dir, "hub"))
	must(s.t, err)
	hub := s.hub
	s.t.Cleanup(func() { _ = hub.Close() })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (hint: %s)", err, havre.HintOf(err))
	}
}

func wantKind(t testing.TB, what string, err error, kind havre.Kind) {
	t.Helper()
	if havre.KindOf(err) != kind {
		t.Errorf("%s: kind %q of %v, want %q", what, havre.KindOf(err), err, kind)
	}
}

// plan makes a plan; it is removed with the test.
func (s *site) plan(t testing.TB, program string) (*worker.Plan, runner.Task) {
	t.Helper()
	p, task, err := s.hub.PlanOf(t.Context(), program, s.study, s.permit, researcher)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close(context.Background())) })
	return p, task
}

// serve runs a worker process in this one.
func (s *site) serve(t testing.TB, lines ...string) ([]string, error) {
	t.Helper()
	w, err := app.OpenWorker(t.Context(), s.worker)
	must(t, err)
	var out bytes.Buffer
	err = w.Serve(t.Context(), strings.NewReader(strings.Join(lines, "\n")+"\n"), &out)
	return strings.Split(strings.TrimSpace(out.String()), "\n"), err
}

// TestWorker: what a worker makes of a plan, and what it and the hub refuse of
// each other and of who carries the lines. No Spark takes part.
func TestWorker(t *testing.T) {
	s := newSite(t, demo.Options{Residents: 800, Seed: 5}, nil)
	t.Run("the same partial results", func(t *testing.T) {
		p, task := s.plan(t, "")
		var lines []string
		for _, b := range []int{63, 0, 7} {
			lines = append(lines, p.Line(b))
		}
		answers, err := s.serve(t, lines...)
		must(t, err)
		if len(answers) != 3 {
			t.Fatalf("%d answers to 3 lines", len(answers))
		}
		for i, a := range answers {
			bucket, partial, err := p.Answer(a)
			must(t, err)
			own, err := task.Map(t.Context(), bucket)
			must(t, err)
			if line := p.Line(bucket); line != lines[i] || !bytes.Equal(partial, own) {
				t.Errorf("bucket %d gives another result than at the hub", bucket)
			}
		}
		must(t, p.Check(t.Context(), task))
		if by := p.By(); len(by) != 1 || len(by["node-1"]) != 3 {
			t.Errorf("the buckets were done by %v", by)
		}
		if _, _, err := p.Answer(answers[0]); err != nil {
			t.Errorf("an answer that comes twice: %v", err)
		}
		sealed := answers[1]
		other, _ := s.plan(t, "")
		_, _, err = other.Answer(sealed)
		wantKind(t, "an answer to another plan", err, havre.Tampered)
	})
	t.Run("altered on the way", func(t *testing.T) {
		p, _ := s.plan(t, "")
		answers, err := s.serve(t, p.Line(1))
		must(t, err)
		text := strings.TrimPrefix(answers[0], "partial ")
		raw, err := base64.StdEncoding.DecodeString(text)
		must(t, err)
		for _, at := range []int{0, len(raw) / 2, len(raw) - 1} {
			bad := bytes.Clone(raw)
			bad[at] ^= 1
			_, _, err = p.Answer("partial " + base64.StdEncoding.EncodeToString(bad))
			wantKind(t, fmt.Sprintf("byte %d altered", at), err, havre.Tampered)
		}
		for name, line := range map[string]string{"cut": answers[0][:len(answers[0])-9], "empty": "", "no partial": "hello", "other base64": answers[0] + "\n"} {
			_, _, err = p.Answer(line)
			wantKind(t, name, err, havre.Tampered)
		}
	})
	t.Run("another version", func(t *testing.T) {
		p, _ := s.plan(t, "v0.0.1-other")
		answers, err := s.serve(t, p.Line(1))
		wantKind(t, "a plan of another version", err, havre.Refused)
		_, _, err = p.Answer(answers[0])
		wantKind(t, "as the hub hears it", err, havre.Refused)
		if !strings.Contains(err.Error(), "v0.0.1-other") {
			t.Errorf("the versions are not named: %v", err)
		}
	})
	t.Run("not a task", func(t *testing.T) {
		p, _ := s.plan(t, "")
		for name, line := range map[string]string{"words": "do bucket 3", "no such bucket": worker.Task{Plan: p.ID(), Bucket: 64}.String(),
			"no such round": worker.Task{Plan: p.ID(), Bucket: 1, Round: 7}.String(), "a blank more": p.Line(1) + " "} {
			_, err := s.serve(t, line)
			wantKind(t, name, err, havre.Invalid)
		}
		_, err := s.serve(t, worker.Task{Plan: strings.Repeat("a", 64), Bucket: 1}.String())
		wantKind(t, "no such plan", err, havre.PermitDenied)
	})
	t.Run("a permit that is suspended", func(t *testing.T) {
		p, _ := s.plan(t, "")
		watched := make(chan error, 1)
		go func() { watched <- p.Watch(t.Context()) }()
		_, err := s.serve(t, p.Line(1))
		must(t, err)
		must(t, s.hub.Permits.Suspend(t.Context(), s.permit, officer, "to see"))
		defer func() { must(t, s.hub.Permits.Resume(t.Context(), s.permit, officer, "seen")) }()
		began := time.Now()
		wantKind(t, "the hub's watch", <-watched, havre.PermitDenied)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the watch took %s", took)
		}
		answers, err := s.serve(t, p.Line(2))
		wantKind(t, "the next bucket", err, havre.PermitDenied)
		if len(answers) != 1 || !strings.HasPrefix(answers[0], "error ") {
			t.Errorf("it answers %q", answers)
		}
		_, _, err = s.hub.PlanOf(t.Context(), "", s.study, s.permit, researcher)
		wantKind(t, "a new plan", err, havre.PermitDenied)
	})
	t.Run("a worker that is not enrolled", func(t *testing.T) {
		must(t, s.hub.RemoveWorker(t.Context(), "node-1", operator))
		_, _, err := s.hub.PlanOf(t.Context(), "", s.study, s.permit, researcher)
		wantKind(t, "a plan for nobody", err, havre.Refused)
		_, err = s.hub.EnrollWorker(t.Context(), filepath.Join(s.worker, "card.json"), "0000-0000-0000-0000", operator)
		wantKind(t, "another fingerprint", err, havre.Refused)
		_, err = s.hub.EnrollWorker(t.Context(), filepath.Join(s.dir, "keeper", "card.json"), "0000-0000-0000-0000", operator)
		wantKind(t, "a keeper's card", err, havre.Invalid)
		second := filepath.Join(s.dir, "second")
		card, err := app.InitWorker(t.Context(), app.WorkerOptions{Dir: second, Name: "node-2", HubCard: filepath.Join(s.dir, "hub", "card.json"),
			Store: "file:" + filepath.Join(s.dir, "store"), Custodian: "file:" + filepath.Join(s.dir, "custodian", "second.key")})
		must(t, err)
		_, err = s.hub.EnrollWorker(t.Context(), filepath.Join(second, "card.json"), card.Fingerprint(), operator)
		must(t, err)
		p, _ := s.plan(t, "")
		_, err = s.serve(t, p.Line(1))
		wantKind(t, "a plan for another worker", err, havre.KeyUnavailable)
		// Somebody with access to the hub's disk puts a worker there.
		must(t, os.WriteFile(filepath.Join(s.dir, "hub", "workers", "node-3.json"), []byte(`{"name":"node-3"}`), 0o600))
		_, err = s.hub.Workers()
		wantKind(t, "a worker that the hub did not enrol", err, havre.Tampered)
	})
}
