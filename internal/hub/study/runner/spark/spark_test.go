package spark_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/runner"
	"github.com/havre-hub/havre/internal/hub/study/runner/runnertest"
	"github.com/havre-hub/havre/internal/hub/study/runner/spark"
	"github.com/havre-hub/havre/internal/hub/study/runner/spark/sparktest"
	"github.com/havre-hub/havre/internal/hub/study/runner/worker"
)

// TestMain lets the test binary be a worker process that asks the test for
// every bucket.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "ask" {
		os.Exit(ask(os.Args[2]))
	}
	os.Exit(m.Run())
}

func ask(url string) int {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		r, err := http.Post(url, "text/plain", strings.NewReader(lines.Text()))
		if err != nil {
			fmt.Println(worker.ErrorLine(err))
			return 1
		}
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return 1
		}
		fmt.Println(string(b))
		if r.StatusCode != http.StatusOK {
			return 1
		}
	}
	return 0
}

// asked is a spark.Work whose buckets are mapped in the test's process, called
// from processes that Spark starts.
type asked struct {
	mu      sync.RWMutex // held for reading while a bucket is mapped, so that Stop waits for those
	task    runner.Task
	ctx     context.Context
	stopped bool
}

func (a *asked) Begin(ctx context.Context, t runner.Task) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.task, a.ctx, a.stopped = t, ctx, false
	return nil
}
func (a *asked) Line(bucket int) string                       { return strconv.Itoa(bucket) }
func (a *asked) Weight(bucket int) int64                      { return int64(-bucket) }
func (a *asked) Watch(ctx context.Context) error              { <-ctx.Done(); return ctx.Err() }
func (a *asked) Check(_ context.Context, _ runner.Task) error { return nil }
func (a *asked) Stop(_ context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	return nil
}

func (a *asked) Answer(line string) (int, []byte, error) {
	if err, ok := worker.ParseError(line); ok {
		return 0, nil, err
	}
	number, text, _ := strings.Cut(line, " ")
	bucket, err := strconv.Atoi(number)
	if err != nil {
		return 0, nil, err
	}
	partial, err := base64.StdEncoding.DecodeString(text)
	return bucket, partial, err
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fail := func(err error) {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, worker.ErrorLine(err))
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		fail(err)
		return
	}
	bucket, err := strconv.Atoi(string(b))
	if err != nil {
		fail(err)
		return
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.stopped || a.ctx.Err() != nil {
		fail(havre.E("suite", havre.PermitDenied, "the run is over"))
		return
	}
	partial, err := a.task.Map(a.ctx, bucket)
	if err != nil {
		fail(err)
		return
	}
	fmt.Fprintf(w, "%d %s", bucket, base64.StdEncoding.EncodeToString(partial))
}

// TestSpark: the suite that every runner passes, on a real Spark.
func TestSpark(t *testing.T) {
	c := sparktest.Start(t, 2)
	c.Setenv(t)
	work := &asked{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: work}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var notes strings.Builder
	r := &spark.Runner{Options: spark.Options{Master: c.Master, Conf: c.Conf(t), Command: self + " ask http://" + listener.Addr().String(), Notes: &notes}, Work: work}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(notes.String())
		}
	})
	runnertest.Run(t, func() runner.Runner { return r })
	if h := r.Application(); h.Spark != sparktest.Version || h.Java == "" || h.Python == "" || h.Parallelism != 2 {
		t.Errorf("Spark says of itself %+v", h)
	}
}

// TestNoSpark: what is wrong with the way to Spark is told.
func TestNoSpark(t *testing.T) {
	t.Setenv("SPARK_HOME", t.TempDir())
	r := &spark.Runner{Options: spark.Options{Master: "local[1]", Command: "/bin/true"}, Work: &asked{}}
	task := runner.Task{ID: "x", Buckets: []int{1}}
	if err := r.Run(t.Context(), task); havre.KindOf(err) != havre.NotFound || havre.HintOf(err) == "" {
		t.Errorf("no spark-submit: %v", err)
	}
}

// TestClosedWhileItStarts: what was begun is ended, whatever came between.
func TestClosedWhileItStarts(t *testing.T) {
	submit := filepath.Join(t.TempDir(), "spark-submit")
	if err := os.WriteFile(submit, []byte("#!/bin/sh\nsleep 100\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := &spark.Runner{Options: spark.Options{Master: "local[1]", Submit: submit, Command: submit}}
	began := time.Now()
	r.Start(t.Context())
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if pids := sparktest.Processes(submit); len(pids) > 0 {
		t.Errorf("%d processes are left", len(pids))
	}
}
