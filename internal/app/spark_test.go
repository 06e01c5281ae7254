package app_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/app/cohorts"
	"github.com/havre-hub/havre/internal/app/demo"
	"github.com/havre-hub/havre/internal/cli"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/runner/spark"
	"github.com/havre-hub/havre/internal/hub/study/runner/spark/sparktest"
	"github.com/havre-hub/havre/internal/realinput"
)

// TestMain lets the test binary be the program itself, as Spark starts it: a
// worker, one that takes its time over each bucket, one that lies, or a driver.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		streams := cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
		switch os.Args[1] {
		case "worker":
			os.Exit(cli.Main(ctx, os.Args[1:], streams))
		case "slow-worker":
			streams.In = slowly{os.Stdin}
			os.Exit(cli.Main(ctx, append([]string{"worker"}, os.Args[2:]...), streams))
		case "lying-worker":
			os.Exit(lie(ctx, os.Args[2]))
		case "drive":
			os.Exit(drive(ctx, os.Args[2:]))
		}
		stop()
	}
	os.Exit(m.Run())
}

// slowly gives one task line at a time, with a pause before each.
type slowly struct{ r io.Reader }

func (s slowly) Read(p []byte) (n int, err error) {
	time.Sleep(250 * time.Millisecond)
	for n < len(p) {
		k, err := s.r.Read(p[n : n+1])
		n += k
		if err != nil || k == 1 && p[n-1] == '\n' {
			return n, err
		}
	}
	return n, nil
}

// lie is an enrolled worker whose results are sound, signed, and wrong.
func lie(ctx context.Context, folder string) int {
	w, err := app.OpenWorker(ctx, folder)
	if err != nil {
		return 1
	}
	build := w.Build
	w.Build = func(d *study.Definition, v omop.Vocabulary) ([]study.Analysis, error) {
		all, err := build(d, v)
		for i, a := range all {
			all[i] = liar{a}
		}
		return all, err
	}
	if w.Serve(ctx, os.Stdin, os.Stdout) != nil {
		return 1
	}
	return 0
}

type liar struct{ study.Analysis }

// Map takes everybody for a man.
func (l liar) Map(ctx context.Context, b *study.Bucket) (study.Partial, error) {
	for i := range b.People.Gender {
		b.People.Gender[i] = 8507
	}
	return l.Analysis.Map(ctx, b)
}

// drive runs a study on Spark and prints what would go into the airlock: a hub's
// process to be killed.
func drive(ctx context.Context, args []string) int {
	hub, studyFile, run, master, command := args[0], args[1], args[2], args[3], args[4]
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "drive:", err)
		return 1
	}
	h, err := app.OpenHub(ctx, hub)
	if err != nil {
		return fail(err)
	}
	defer h.Close()
	d, err := app.ReadStudy(studyFile)
	if err != nil {
		return fail(err)
	}
	on := app.On{Spark: &spark.Options{Master: master, Command: command, Conf: small, Notes: os.Stderr}}
	out, _, err := h.OutputsOn(ctx, on, run, d, "p-0001", researcher, havre.NoProgress)
	if err != nil {
		return fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return fail(err)
	}
	return 0
}

// small are settings of Spark for the driver that is killed.
var small = map[string]string{"spark.driver.memory": "512m", "spark.executor.memory": "512m", "spark.ui.enabled": "false"}

// grid is a Spark with a site whose store is on a real S3 server.
type grid struct {
	*site
	spark *sparktest.Cluster
	s3    *serve.Server
	self  string
}

func newGrid(t testing.TB, c *sparktest.Cluster, s3 *serve.Server, prefix string, o demo.Options) *grid {
	g := &grid{spark: c, s3: s3}
	var err error
	g.self, err = os.Executable()
	must(t, err)
	g.site = newSite(t, o, func(folder string) string {
		store, err := app.Stores().Open(t.Context(), s3.URL(prefix), blob.Options{Getenv: s3.Getenv})
		must(t, err)
		must(t, filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
			name, _ := filepath.Rel(folder, p)
			if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") {
				return err
			}
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			return store.Put(t.Context(), filepath.ToSlash(name), b)
		}))
		file := filepath.Join(filepath.Dir(folder), "s3.credentials")
		var text string
		for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
			text += v + "=" + s3.Getenv(v) + "\n"
		}
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return s3.URL(prefix) + "&credentials=" + file
	})
	return g
}

// on chooses Spark with a kind of worker.
func (g *grid) on(kind string) app.On {
	command := g.self + " " + kind + " --worker " + g.worker
	if kind == "lying-worker" {
		command = g.self + " " + kind + " " + g.worker
	}
	return app.On{Spark: &spark.Options{Master: g.spark.Master, Command: command, Conf: g.spark.Conf(g.t)}}
}

func (g *grid) outputs(t testing.TB, on app.On, run string, progress havre.Progress) (string, map[string]string, error) {
	t.Helper()
	out, where, err := g.hub.OutputsOn(t.Context(), on, run, g.study, g.permit, researcher, progress)
	if err != nil {
		return "", where, err
	}
	b, err := json.Marshal(out)
	must(t, err)
	return string(b), where, nil
}

// counting counts finished buckets and calls back at each.
type counting struct{ each func(done int64) }

func (c counting) Step(string, int64, string) havre.Counter { return &counter{each: c.each} }

type counter struct {
	n    int64
	each func(int64)
}

func (c *counter) Add(n int64) { c.n += n; c.each(c.n) }
func (c *counter) Done()       {}

// TestSpark runs studies on a real Spark with their store on a real S3 server:
// the same bytes as the pool gives, whatever dies on the way.
func TestSpark(t *testing.T) {
	c := sparktest.Start(t, 2)
	c.Setenv(t)
	s3, err := serve.S3(t.Context(), t.TempDir())
	must(t, err)
	t.Cleanup(func() { s3.Stop() })
	var seen pages
	people := newGrid(t, c, s3, "demo", demo.Options{Residents: 2000, Seed: 7})
	t.Run("the demo's study", func(t *testing.T) { sameBytes(t, people, &seen) })
	library := newGrid(t, c, s3, "dense", demo.Options{From: realinput.Path(t, "cohorts/dense-cdm"), Study: libraryStudy(t)})
	t.Run("the definition library", func(t *testing.T) { sameBytes(t, library, &seen) })
	t.Run("driver, worker, executor and store die", func(t *testing.T) { survives(t, library) })
	t.Run("cohort run of the definition library", func(t *testing.T) {
		definitions, err := cohorts.Read([]string{filepath.Dir(library.file)})
		must(t, err)
		run := *library
		site := *library.site
		run.site = &site
		site.study, err = cohorts.Study("cohorts", definitions, []string{study.BySex})
		must(t, err)
		if n := len(site.study.Analyses) - len(definitions); n < 50 {
			t.Errorf("only %d attritions", n)
		}
		sameBytes(t, &run, &seen)
	})
	t.Run("the permit is suspended", func(t *testing.T) { suspended(t, people) })
	t.Run("an enrolled worker lies", func(t *testing.T) {
		_, _, err := people.outputs(t, people.on("lying-worker"), "lie", havre.NoProgress)
		wantKind(t, "a wrong result, rightly signed", err, havre.Tampered)
		if err != nil && !strings.Contains(err.Error(), "node-1") {
			t.Errorf("the worker is not named: %v", err)
		}
	})
	t.Run("the runner is checked", func(t *testing.T) { checked(t, people) })
	seen.fetch(t, c.UI...)
	t.Run("nothing is left in clear", func(t *testing.T) { canaries(t, c, &seen, people, library) })
}

func sameBytes(t *testing.T, g *grid, seen *pages) {
	began := time.Now()
	want, _, err := g.outputs(t, app.On{}, "pool", havre.NoProgress)
	must(t, err)
	pool := time.Since(began)
	began = time.Now()
	fetched := false
	got, where, err := g.outputs(t, g.on("worker"), "spark", counting{func(int64) {
		if !fetched { // while the application runs it has pages of its own
			fetched = true
			seen.fetch(t, append([]string{"http://127.0.0.1:4040"}, g.spark.UI...)...)
		}
	}})
	must(t, err)
	if got != want {
		t.Errorf("Spark gives other bytes than the pool (%d and %d)", len(got), len(want))
	}
	if where["runner"] != "spark" || where["application"] == "" || where["worker_node-1"] != "64 buckets" || where["master"] != g.spark.Master {
		t.Errorf("the log would say %v", where)
	}
	t.Logf("pool %s, Spark %s with its start", pool.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	for _, prefix := range []string{"plan/", "lease/"} {
		for info, err := range g.hub.Store.List(t.Context(), prefix) {
			must(t, err)
			t.Errorf("%s is left in the store", info.Name)
		}
	}
}

// survives kills the hub's process half way, and in the run that goes on from
// there a worker process, an executor and the S3 server.
func survives(t *testing.T, g *grid) {
	want, _, err := g.outputs(t, app.On{}, "pool", havre.NoProgress) // from its checkpoints
	must(t, err)
	before := driverKilled(t, g)
	kill := func(what string, pids func() []int) {
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			if all := pids(); len(all) > 0 {
				must(t, syscall.Kill(all[0], syscall.SIGKILL))
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("there is no %s to kill", what)
				return
			}
		}
	}
	var resumed int64
	done := make(chan struct{})
	got, where, err := g.outputs(t, g.on("slow-worker"), "killed", counting{func(n int64) {
		if resumed == 0 {
			resumed = n
		}
		if n != int64(before)+1 {
			return
		}
		go func() {
			defer close(done)
			kill("worker", func() []int { return sparktest.Processes("slow-worker", g.worker) })
			kill("executor", g.spark.Executors)
			g.s3.Stop()
			time.Sleep(10 * time.Second)
			if err := g.s3.Restart(t.Context()); err != nil {
				t.Error(err)
			}
		}()
	}})
	must(t, err)
	<-done
	if got != want {
		t.Error("the result is another one")
	}
	if where["worker_node-1"] != fmt.Sprintf("%d buckets", 64-before) {
		t.Errorf("%d buckets were finished, and the log would say %v", before, where)
	}
}

// driverKilled kills a hub's process half way and says how many buckets it had
// finished.
func driverKilled(t *testing.T, g *grid) int {
	must(t, g.hub.Close()) // one process has a hub at a time
	cmd := exec.Command(g.self, "drive", filepath.Join(g.dir, "hub"), g.file, "killed", g.spark.Master, g.self+" slow-worker --worker "+g.worker)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	must(t, cmd.Start())
	store, err := app.Stores().Open(t.Context(), g.s3.URL("dense"), blob.Options{Getenv: g.s3.Getenv})
	must(t, err)
	finished := func() (n int) {
		for _, err := range store.List(t.Context(), "run/killed/") {
			must(t, err)
			n++
		}
		return n
	}
	for deadline := time.Now().Add(10 * time.Minute); finished() < 12; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			t.Fatalf("the run does not get on: %s", stderr.String())
		}
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	n := finished()
	if n >= 60 {
		t.Fatal("the run had all but ended before it was killed")
	}
	// Spark's side ends by itself.
	for deadline := time.Now().Add(2 * time.Minute); len(sparktest.Processes("slow-worker", g.worker)) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("workers outlive their driver")
		}
	}
	g.open()
	return n
}

// suspended stops the permit half way.
func suspended(t *testing.T, g *grid) {
	var at time.Time
	_, where, err := g.outputs(t, g.on("slow-worker"), "suspended", counting{func(n int64) {
		if n == 3 {
			at = time.Now()
			must(t, g.hub.Permits.Suspend(context.Background(), g.permit, officer, "to see"))
		}
	}})
	took := time.Since(at)
	wantKind(t, "a suspended permit", err, havre.PermitDenied)
	if at.IsZero() || took > 10*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	t.Logf("stopped %s after the suspension, with %s", took.Round(time.Millisecond), where["worker_node-1"])
	if pids := sparktest.Processes("slow-worker", g.worker); len(pids) > 0 {
		t.Errorf("%d workers still run", len(pids))
	}
	must(t, g.hub.Permits.Resume(t.Context(), g.permit, officer, "seen"))
}

func checked(t *testing.T, g *grid) {
	report, err := g.hub.CheckRunner(t.Context(), *g.on("worker").Spark)
	must(t, err)
	if p := report.Problems(); len(p) > 0 || report.Executors != 2 || len(report.Answers) != 2 || report.Answers[0].Worker != "node-1" {
		t.Errorf("%+v: %v", report, p)
	}
}

// libraryStudy writes a study that counts every definition of the library that
// is evaluated, by sex.
func libraryStudy(t testing.TB) string {
	t.Helper()
	f, err := os.Open(realinput.Path(t, "cohorts/definitions.json.tar.zst"))
	must(t, err)
	defer f.Close()
	z, err := zstd.NewReader(f)
	must(t, err)
	defer z.Close()
	folder := t.TempDir()
	text := "name: library\ntitle: Every definition\ncohorts:\n"
	analyses := "analyses:\n"
	n := 0
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		name, ok := strings.CutSuffix(path.Base(h.Name), ".json")
		if !ok {
			continue
		}
		data, err := io.ReadAll(archive)
		must(t, err)
		if _, err := cohort.Parse(data); err != nil {
			continue
		}
		must(t, os.WriteFile(filepath.Join(folder, name+".json"), data, 0o600))
		text += fmt.Sprintf("  c%s: {circe: %s.json}\n", name, name)
		analyses += fmt.Sprintf("  - {name: c%s, kind: counts, cohort: c%s, by: [sex]}\n", name, name)
		n++
	}
	if n < 100 {
		t.Fatalf("only %d definitions of the library can be evaluated", n)
	}
	file := filepath.Join(folder, "study.yaml")
	must(t, os.WriteFile(file, []byte(text+analyses), 0o600))
	return file
}

// pages are web pages of Spark.
type pages struct{ text bytes.Buffer }

func (p *pages) fetch(t testing.TB, urls ...string) {
	client := http.Client{Timeout: 5 * time.Second}
	for _, u := range urls {
		for _, page := range []string{"/", "/environment/", "/executors/", "/stages/", "/jobs/", "/json/"} {
			r, err := client.Get(u + page)
			if err != nil {
				continue
			}
			b, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			p.text.Write(b)
		}
	}
}

// canaries looks for what must not be there in all that Spark wrote and showed.
func canaries(t *testing.T, c *sparktest.Cluster, seen *pages, sites ...*grid) {
	words := []string{"AGE-SECRET-KEY", researcher, officer, `"partials"`, "p-0001", "drug-a", "person_id", "gender_concept_id", "PAR1"}
	for _, g := range sites {
		words = append(words, g.s3.Getenv("AWS_SECRET_ACCESS_KEY"), g.study.Title)
		for _, key := range []string{"worker.key", "hub.key"} {
			b, err := os.ReadFile(filepath.Join(g.dir, "custodian", key))
			must(t, err)
			words = append(words, strings.TrimSpace(string(b)))
		}
	}
	files, plans := 0, 0
	look := func(where string, b []byte) {
		files++
		if bytes.Contains(b, []byte("havre1 ")) || bytes.Contains(b, []byte("-worker --worker ")) || bytes.Contains(b, []byte("havre")) {
			plans++
		}
		for _, w := range words {
			if w != "" && bytes.Contains(b, []byte(w)) {
				t.Errorf("%s holds %.24q", where, w)
			}
		}
	}
	must(t, filepath.WalkDir(c.Folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasSuffix(p, ".jar") {
			return err
		}
		b, err := os.ReadFile(p)
		if err == nil {
			if z, zerr := zstd.NewReader(bytes.NewReader(b)); zerr == nil { // event logs are compressed
				if plain, rerr := io.ReadAll(z); rerr == nil {
					b = append(b, plain...)
				}
				z.Close()
			}
			look(p, b)
		}
		return err
	}))
	look("a web page", seen.text.Bytes())
	if files < 10 || plans < 3 || seen.text.Len() < 10_000 {
		t.Errorf("only %d files, %d of them about havre, and %d bytes of pages were looked at", files, plans, seen.text.Len())
	}
}
