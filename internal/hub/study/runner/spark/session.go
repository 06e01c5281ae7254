package spark

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

//go:embed job.py
var job []byte

// How long Spark may take to start, to stop what it does, and to end.
const (
	startTime = 5 * time.Minute
	stopTime  = 20 * time.Second
	endTime   = 15 * time.Second
)

// session is one running application of Spark: spark-submit with job.py, and a
// socket to it.
type session struct {
	hello  Hello
	folder string
	cmd    *exec.Cmd
	conn   net.Conn
	tail   *tail
	ended  chan struct{} // closed when spark-submit has ended
	heard  chan string   // lines from job.py; closed when it has gone

	finished int           // the run whose end was heard last
	stopping chan struct{} // closed by close: nobody hears any more
	once     sync.Once
}

// submit finds spark-submit.
func (o Options) submit() (string, error) {
	if o.Submit != "" {
		return o.Submit, nil
	}
	if home := os.Getenv("SPARK_HOME"); home != "" {
		return filepath.Join(home, "bin", "spark-submit"), nil
	}
	path, err := exec.LookPath("spark-submit")
	if err != nil {
		return "", havre.E("spark", havre.NotFound, "there is no spark-submit on the PATH, and SPARK_HOME is not set").
			WithHint("install Apache Spark 4 or pyspark on this machine, and set SPARK_HOME; see docs/howto/spark.md").Wrap(err)
	}
	return path, nil
}

// environment is this process's without what opens a store or a key ring:
// Spark needs none of it and shows much of what it has.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "AZURE_") || strings.HasPrefix(v, "HAVRE_")
	})
}

func startSession(ctx context.Context, o Options) (_ *session, err error) {
	if o.Command == "" {
		return nil, havre.E("spark", havre.Usage, "no command of a worker was given")
	}
	program, err := o.submit()
	if err != nil {
		return nil, err
	}
	s := &session{ended: make(chan struct{}), heard: make(chan string, 64), stopping: make(chan struct{}), tail: &tail{also: o.Notes}}
	if s.folder, err = os.MkdirTemp("", "havre-spark-"); err != nil {
		return nil, havre.E("spark", havre.NoSpace, "no folder for the socket to Spark can be made").Wrap(err)
	}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	script, socket := filepath.Join(s.folder, "job.py"), filepath.Join(s.folder, "s")
	if err := os.WriteFile(script, job, 0o600); err != nil {
		return nil, havre.E("spark", havre.NoSpace, "the job for Spark cannot be written").Wrap(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, havre.E("spark", havre.Internal, "the socket to Spark cannot be made").Wrap(err)
	}
	defer listener.Close()
	conf := map[string]string{"spark.submit.deployMode": "client", "spark.ui.showConsoleProgress": "false", "spark.app.name": "havre"}
	maps.Copy(conf, o.Conf)
	args := []string{"--master", o.Master}
	for _, name := range slices.Sorted(maps.Keys(conf)) {
		args = append(args, "--conf", name+"="+conf[name])
	}
	s.cmd = exec.Command(program, append(args, script, socket)...)
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = environment(), s.tail, s.tail
	// It dies with this process, however that ends.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.launch(); err != nil {
		return nil, havre.E("spark", havre.NotFound, "spark-submit cannot be started: "+program).
			WithHint("SPARK_HOME must name the folder of Spark; see docs/howto/spark.md").Wrap(err)
	}
	return s, s.greet(ctx, listener, o.Command)
}

// launch starts spark-submit on a thread of its own: the signal at the death of
// the parent is sent when the thread ends that started it.
func (s *session) launch() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait() // how it ended shows in what it printed
		}
		close(s.ended)
	}()
	return <-started
}

// greet waits for job.py, tells it what a worker is, and waits for executors.
func (s *session) greet(ctx context.Context, listener net.Listener, command string) error {
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := listener.Accept(); err == nil {
			accepted <- c
		}
	}()
	limit := time.NewTimer(startTime)
	defer limit.Stop()
	select {
	case s.conn = <-accepted:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return s.gone("Spark did not start")
	case <-limit.C:
		return s.gone(fmt.Sprintf("Spark did not start within %s", startTime))
	}
	go s.hear()
	if err := s.send(map[string]string{"command": command}); err != nil {
		return err
	}
	for {
		select {
		case line, ok := <-s.heard:
			if !ok {
				return s.gone("Spark did not start")
			}
			w, _, err := parseWord(line)
			if err == nil && w.Application == "" {
				err = havre.E("spark", havre.Internal, "the job on Spark does not say what it is: "+short(line))
			}
			s.hello = w.Hello
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return s.gone(fmt.Sprintf("Spark's master gave no executor within %s", startTime))
		}
	}
}

func (s *session) gone(what string) error {
	return havre.E("spark", havre.StoreUnavailable, what+": "+s.tail.reason()).
		WithHint("is the master's address right, and does it run? havre runner check --master URL; the same command goes on at the last finished bucket")
}

// hear reads the socket until job.py has gone.
func (s *session) hear() {
	defer close(s.heard)
	r := bufio.NewReaderSize(s.conn, 1<<20)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		select {
		case s.heard <- strings.TrimSuffix(line, "\n"):
		case <-s.stopping:
			return
		}
	}
}

func (s *session) alive() bool {
	select {
	case <-s.ended:
		return false
	default:
		return s.conn != nil
	}
}

func (s *session) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return havre.E("spark", havre.Internal, "the job has no JSON form").Wrap(err)
	}
	if _, err := s.conn.Write(append(b, '\n')); err != nil {
		return s.gone("Spark's application has ended")
	}
	return nil
}

// lines gives the lines of a run to each until the run has ended, well or not.
func (s *session) lines(ctx context.Context, run int, each func(string)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-s.heard:
			if !ok {
				return s.gone("Spark's application has ended")
			}
			w, own, err := parseWord(line)
			switch {
			case err != nil:
				return err
			case !own:
				each(line)
			case w.End && w.Run == run:
				s.finished = run
				if w.Failed != "" {
					return failed(w.Failed)
				}
				return nil
			}
		}
	}
}

// stop lets Spark cancel a run and waits until it has; an application that does
// not is ended.
func (s *session) stop(run int) {
	if s.finished == run || !s.alive() || s.send(map[string]int{"stop": run}) != nil {
		return
	}
	limit := time.After(stopTime)
	for {
		select {
		case line, ok := <-s.heard:
			if !ok {
				return
			}
			if w, own, err := parseWord(line); own && err == nil && w.End && w.Run == run {
				return
			}
		case <-limit:
			_ = s.close()
			return
		}
	}
}

// close ends the application: it is asked to, then told, then killed.
func (s *session) close() error {
	s.once.Do(func() {
		close(s.stopping)
		if s.conn != nil {
			_ = s.conn.Close() // job.py stops when it hears nothing more
		}
		if s.cmd != nil && s.cmd.Process != nil {
			s.end()
		}
	})
	if err := os.RemoveAll(s.folder); err != nil {
		return havre.E("spark", havre.Internal, "the folder of the socket to Spark cannot be removed").Wrap(err)
	}
	return nil
}

func (s *session) end() {
	group := -s.cmd.Process.Pid // it leads a group of its own, in which its Python is
	if s.conn == nil {
		_ = syscall.Kill(group, syscall.SIGTERM)
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-s.ended:
			_ = syscall.Kill(group, syscall.SIGKILL) // what it may have left behind
			return
		case <-time.After(endTime):
			_ = syscall.Kill(group, signal)
		}
	}
	<-s.ended
}

// kept is how many bytes of it.
const kept = 64 << 10

// tail keeps the end of what spark-submit prints.
type tail struct {
	also io.Writer

	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 2*kept {
		t.b = append([]byte(nil), t.b[len(t.b)-kept:]...)
	}
	if t.also != nil {
		_, _ = t.also.Write(p)
	}
	return len(p), nil
}

// reason is the line that says best why Spark ended.
func (t *tail) reason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	best := ""
	for line := range bytes.Lines(t.b) {
		text := strings.TrimSpace(string(line))
		for _, mark := range []string{"Exception", "Error", "ERROR", "All masters are unresponsive", "not found"} {
			if strings.Contains(text, mark) && best == "" {
				best = text
			}
		}
	}
	if best == "" {
		return "it gives no reason"
	}
	return short(best)
}
