package release_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

const (
	crashDir = "HAVRE_TEST_CRASH_DIR"
	crashAt  = "HAVRE_TEST_CRASH_AT"
)

// fuse kills this very process at its n-th step.
type fuse struct{ left atomic.Int64 }

func (f *fuse) step() {
	if f.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

type fusedStore struct {
	blob.Store
	*fuse
}

func (s fusedStore) Put(ctx context.Context, name string, data []byte) error {
	s.step()
	err := s.Store.Put(ctx, name, data)
	s.step()
	return err
}

type fusedLog struct {
	audit.Recorder
	*fuse
}

func (l fusedLog) Record(ctx context.Context, e audit.Event) (audit.Position, error) {
	l.step()
	p, err := l.Recorder.Record(ctx, e)
	l.step()
	return p, err
}

// TestCrashChild is the process that is killed: it takes one release as far
// as it can, from wherever the folder stands.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return // only a child of TestCrash has work here
	}
	n := must(strconv.ParseInt(os.Getenv(crashAt), 10, 64))(t)
	key := must(seal.ParseKey(havre.NewSecret(must(os.ReadFile(filepath.Join(dir, "key")))(t))))(t)
	signer := must(sign.ParseSigner(havre.NewSecret(must(os.ReadFile(filepath.Join(dir, "seed")))(t))))(t)
	ctx, h := t.Context(), openHub(t, dir, key, signer)
	f := &fuse{}
	f.left.Store(n)
	h.Store, h.Audit = fusedStore{h.Store, f}, fusedLog{h.log, f}
	if err := h.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	s := must(h.Request(ctx, request(outputs())))(t)
	for _, c := range []string{checker1, checker2} {
		if _, err := h.Decide(ctx, s.ID, c, true, ""); err != nil && havre.KindOf(err) != havre.Refused {
			t.Fatal(err) // refused: decided before the crash
		}
	}
	must(h.Release(ctx, s.ID, researcher, filepath.Join(dir, "released")))(t)
}

// TestCrash kills the process before and after every write to store and log.
// Whatever the moment, nothing has left that is not approved and logged, and
// doing it again ends in one complete release.
func TestCrash(t *testing.T) {
	t.Parallel()
	const steps = 12 // before and after: one object sealed, five entries logged
	for at := 1; at <= steps+1; at++ {
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			t.Parallel()
			crash(t, at, at <= steps)
		})
	}
}

func crash(t *testing.T, at int, dies bool) {
	h := newHub(t)
	for name, data := range map[string][]byte{"key": h.own.Secret().Reveal(), "seed": h.Signer.Secret().Reveal()} {
		if err := os.WriteFile(filepath.Join(h.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.log.Close(); err != nil {
		t.Fatal(err)
	}
	if killed := child(t, h.dir, at); killed != dies {
		t.Fatalf("killed: %v, want %v: the journey has another number of steps", killed, dies)
	}
	_, err := os.Stat(filepath.Join(h.dir, "released", "by-sex.csv"))
	between := openHub(t, h.dir, h.own, h.Signer)
	if logged := slices.Contains(between.actions(t), "release.released"); err == nil && !logged {
		t.Error("files left and the log does not know")
	}
	if err := between.log.Close(); err != nil {
		t.Fatal(err)
	}
	if child(t, h.dir, 0) {
		t.Fatal("the second run was killed too")
	}
	again := openHub(t, h.dir, h.own, h.Signer)
	checkFolder(t, again, filepath.Join(h.dir, "released"))
	s := must(again.Get(t.Context(), "r-0001", checker1))(t)
	if s.State != "released" || len(s.Decisions) != 2 {
		t.Errorf("in the end: %+v", s)
	}
	if list := must(again.List(t.Context(), checker1))(t); len(list) != 1 {
		t.Errorf("%d releases", len(list))
	}
}

// child runs the journey in a process that is killed at step at, and says
// whether it was.
func child(t *testing.T, dir string, at int) (killed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashAt+"="+strconv.Itoa(at))
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	if err != nil {
		t.Fatalf("step %d: %v\n%s", at, err, out)
	}
	return false
}
