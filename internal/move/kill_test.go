package move

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// The child process of the test below finds a hub in the folder of this
// variable, moves it, and kills itself: "DIR|URL|MODE|EVENT", MODE being move, drill or back.
const killVariable = "HAVRE_TEST_MOVE"

// events counts what a process does that another can see afterwards: each write
// to either store, before and after; each entry of the log, before and after;
// the configuration, before and after; each step that the journal has behind it
// when it begins. At the n-th it calls do.
type events struct {
	n  int
	do func()

	mu   sync.Mutex
	seen []string
}

func (v *events) event(what string) {
	v.mu.Lock()
	v.seen = append(v.seen, what)
	hit := len(v.seen) == v.n
	v.mu.Unlock()
	if hit {
		v.do()
	}
}

func (v *events) Step(name string, _ int64, _ string) havre.Counter {
	v.event("step " + name)
	return havre.NoProgress.Step("", 0, "")
}

type watched struct {
	blob.Store
	v *events
}

func (w watched) Put(ctx context.Context, name string, data []byte) error {
	w.v.event("before put " + name)
	err := w.Store.Put(ctx, name, data)
	w.v.event("after put " + name)
	return err
}

func (w watched) Delete(ctx context.Context, name string) error {
	w.v.event("before delete " + name)
	err := w.Store.Delete(ctx, name)
	w.v.event("after delete " + name)
	return err
}

// journey moves the hub at dir to url (and, in the mode back, back again, or
// makes a drill), and writes to it as a hub does
// meanwhile; what it writes is the same whenever it is done again.
func journey(ctx context.Context, dir, url, mode string, v *events) error {
	h := &hub{dir: dir, lines: true, before: v.event}
	h.wrap = func(_ string, s blob.Store) blob.Store { return watched{s, v} }
	if err := h.attach(ctx); err != nil {
		return err
	}
	defer h.close()
	var once sync.Once
	var failed error
	work := func() {
		once.Do(func() {
			for i := 200; i < 206; i++ {
				failed = errors.Join(failed, put(ctx, h.Live, i, 1))
			}
			gone, _ := content(0, 0)
			failed = errors.Join(failed, h.Live.Delete(ctx, gone))
			changed, _ := content(3, 0)
			failed = errors.Join(failed, h.Live.Delete(ctx, changed), h.Live.Put(ctx, changed, []byte("another")))
		})
	}
	h.Mover.c.Progress = both{v, onStep{"copy", work}}
	st, err := h.Mover.Status(ctx)
	if err == nil && st.State == Copying {
		work()
	}
	if mode == "drill" {
		if err == nil && st.State == Finished {
			return failed
		}
		_, err := h.Mover.Drill(ctx, PlanOptions{To: url, Actor: "op@hub.example"}, Pace{Streams: 2})
		return errors.Join(err, failed)
	}
	for {
		st, err := h.Mover.Status(ctx)
		if mode == "back" && err == nil && (st.State == Switched || st.State == Returning) {
			_, err := h.Mover.Back(ctx, Pace{Streams: 2}, false)
			return errors.Join(err, failed)
		}
		if mode == "back" && err == nil && st.State == Returned {
			return failed
		}
		over, err := advance(ctx, h, url)
		if over || err != nil {
			return errors.Join(err, failed)
		}
	}
}

type both [2]havre.Progress

func (b both) Step(name string, total int64, unit string) havre.Counter {
	b[0].Step(name, total, unit)
	return b[1].Step(name, total, unit)
}

// TestKilledAtEveryStep kills a real process with SIGKILL at each of its
// events in turn, and starts it again until it comes to its end. Each time the
// new store then holds everything, the old copy is dead and the report holds.
func TestKilledAtEveryStep(t *testing.T) {
	if arg := os.Getenv(killVariable); arg != "" {
		part := strings.Split(arg, "|")
		n, err := strconv.Atoi(part[3])
		if err == nil {
			err = journey(context.Background(), part[0], part[1], part[2], &events{n: n, do: func() {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // the signal is on its way
			}})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	for _, mode := range []string{"move", "drill", "back"} {
		count := &events{}
		dry := newHub(t, folder(t), 10, func(h *hub) { h.lines = true })
		dry.close()
		must(t, journey(t.Context(), dry.dir, folder(t), mode, count))
		t.Logf("%s: %d events", mode, len(count.seen))
		var wait sync.WaitGroup
		slots := make(chan bool, 4)
		objects := 0
		for i, what := range count.seen {
			// Of the many single objects, every sixth will do.
			if strings.Contains(what, " segment/") || strings.Contains(what, " delivery/") || strings.Contains(what, " probe/") {
				if objects++; objects%6 != 0 {
					continue
				}
			}
			wait.Add(1)
			slots <- true
			go func() {
				defer func() { <-slots; wait.Done() }()
				killAt(t, i+1, mode)
			}()
		}
		wait.Wait()
	}
}

func killAt(t *testing.T, n int, mode string) {
	from, to := folder(t), folder(t)
	h := newHub(t, from, 10, func(h *hub) { h.lines = true })
	want := objects(t, h, from)
	for i := 200; i < 206; i++ {
		name, data := content(i, 1)
		want[name] = string(data)
	}
	gone, _ := content(0, 0)
	delete(want, gone)
	changed, _ := content(3, 0)
	want[changed] = "another"
	h.close()
	for try := 0; ; try++ {
		// The second process dies later in its own life, the third is left alone.
		at := []int{n, n/2 + 3, 0}[min(try, 2)]
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledAtEveryStep$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%s|%d", killVariable, h.dir, to, mode, at))
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || try > 3 {
			t.Errorf("killed at event %d, then %v: %s", n, err, out)
			return
		}
	}
	h.open(t)
	here, other := to, from
	if mode != "move" {
		here, other = from, to
	}
	same(t, h, here, want)
	dead(t, h, other)
	if at, _ := h.Store(); at != here {
		t.Errorf("killed at event %d: the hub is at %s", n, at)
	}
	if mode == "back" {
		return
	}
	r := report(t, h)
	if r.Root != r.RootBack || r.Keys.Changed == (mode == "drill") {
		t.Errorf("killed at event %d: report %+v", n, r)
	}
}
