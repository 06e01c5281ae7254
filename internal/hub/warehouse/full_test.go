package warehouse_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob/fault"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

const (
	fullVariable = "HAVRE_TEST_FULL_DISK" // folder of the disk; the child's part of TestDiskFull
	limitedWay   = "HAVRE_TEST_FULL_LIMIT"
)

// TestDiskFull ingests onto a disk of 4 MiB that really is full, with a little
// more room each time, so that the kernel refuses each write in turn. The disk
// is a tmpfs that a child mounts in namespaces of its own; where the kernel
// gives no namespaces, the child sets itself a limit on the size of files.
func TestDiskFull(t *testing.T) {
	run := func(limited bool) (string, error) {
		child := exec.Command(os.Args[0], "-test.run=^TestFullInChild$", "-test.v")
		child.Env = append(os.Environ(), fullVariable+"="+t.TempDir())
		if limited {
			child.Env = append(child.Env, limitedWay+"=1")
		} else {
			child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
		}
		out, err := child.CombinedOutput()
		return string(out), err
	}
	out, err := run(false)
	if err != nil && (out == "" || strings.Contains(out, noMount)) {
		t.Logf("no namespaces here (%v %s): files are limited instead", err, out)
		out, err = run(true)
	}
	if err != nil || !strings.Contains(out, "--- PASS: TestFullInChild") {
		t.Errorf("%v\n%s", err, out)
	}
}

const noMount = "the disk cannot be mounted"

// TestFullInChild is the child of TestDiskFull; alone it has no disk to fill.
func TestFullInChild(t *testing.T) {
	dir := os.Getenv(fullVariable)
	if dir == "" {
		return
	}
	room := limitFiles
	if os.Getenv(limitedWay) == "" {
		if err := syscall.Mount("none", dir, "tmpfs", 0, "size=4m"); err != nil {
			t.Fatal(noMount, err)
		}
		room = func(t *testing.T, free int64) { fillDisk(t, dir, free) }
	}
	ctx := context.Background()
	store, err := file.Create(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	c := warehousetest.Config(t, store)
	w := warehousetest.Create(t, c, 2)
	_, first := warehousetest.Take(t, w, withCanaries(), 1)
	want := warehousetest.AllRows(t, first, conditions)
	second := withCanaries()
	refused := map[string]bool{}
	const step, most = 4 << 10, 2 << 20
	for free := int64(0); ; free += step {
		if free > most {
			t.Fatal("it never fits")
		}
		room(t, free)
		_, after, err := warehousetest.TryTake(w, second, 2)
		if err == nil {
			if got := warehousetest.AllRows(t, after, conditions); len(got) != 2*len(want) {
				t.Errorf("after the retry %d rows", len(got))
			}
			break
		}
		if havre.KindOf(err) != havre.NoSpace || havre.HintOf(err) == "" {
			t.Fatalf("with %d bytes free: %v (%s), hint %q", free, err, havre.KindOf(err), havre.HintOf(err))
		}
		name, _, _ := strings.Cut(err.Error()[strings.Index(err.Error(), "\"")+1:], "/")
		refused[name] = true
		room(t, most)
		now, err := w.Current(ctx)
		if err != nil || now.Root() != first.Root() {
			t.Fatalf("with %d bytes free: snapshot %v", free, err)
		}
		if got := warehousetest.AllRows(t, now, conditions); len(got) != len(want) {
			t.Fatalf("with %d bytes free the snapshot reads %d rows of %d", free, len(got), len(want))
		}
		if _, err := w.Fsck(ctx, warehouse.FsckOptions{Collect: true, Age: -1}, nil); err != nil { // what the refused ingest left
			t.Fatal(err)
		}
	}
	if len(refused) < 2 {
		t.Errorf("only writes of %v were refused", refused)
	}
	report, err := w.Fsck(ctx, warehouse.FsckOptions{}, nil)
	if err != nil || len(report.Faults) > 0 || report.Snapshots != 3 {
		t.Errorf("%+v, %v", report, err)
	}
}

// fillDisk leaves so many bytes free on a disk.
func fillDisk(t *testing.T, dir string, free int64) {
	t.Helper()
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	if n := int64(s.Bavail)*s.Bsize - free; n > 0 {
		if err := os.WriteFile(filler, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// limitFiles lets no file of this process grow beyond a size.
func limitFiles(t *testing.T, size int64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		t.Fatal(err)
	}
	l.Cur = min(uint64(size), l.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		t.Fatal(err)
	}
}

// TestStoreGoesAway: the store answers no more from some operation on, in the
// middle of an ingest. The user is told so; once it is back the snapshot is
// the old one, and the same delivery goes in.
func TestStoreGoesAway(t *testing.T) {
	ctx := context.Background()
	probe := fault.Wrap(warehousetest.Store(t))
	warehousetest.Take(t, warehousetest.Create(t, warehousetest.Config(t, probe), 2), small(), 1)
	operations := probe.Count(fault.Any)
	for at := 1; at <= operations; at++ {
		sound := warehousetest.Config(t, warehousetest.Store(t))
		w := warehousetest.Create(t, sound, 2)
		_, first := warehousetest.Take(t, w, small(), 1)
		want := warehousetest.AllRows(t, first, conditions)
		gone := sound
		gone.Store = fault.Wrap(sound.Store, fault.Fault{Nth: at, Onward: true, Do: fault.FailBefore})
		second := small()
		err := func() error {
			faulty, err := warehouse.Open(ctx, gone)
			if err != nil {
				return err
			}
			b, err := faulty.Begin(ctx, warehousetest.Actor)
			if err != nil {
				return err
			}
			if _, err := ingest.Run(ctx, second.Input(b, 2)); err != nil {
				return err
			}
			_, err = b.Commit(ctx)
			return err
		}()
		if err == nil {
			break // it went away after all was done
		}
		if havre.KindOf(err) != havre.StoreUnavailable {
			t.Fatalf("away from operation %d: %v", at, err)
		}
		now, err := w.Current(ctx)
		if err != nil || now.Root() != first.Root() {
			t.Fatalf("away from operation %d: snapshot %v", at, err)
		}
		if got := warehousetest.AllRows(t, now, conditions); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("away from operation %d: the snapshot reads %q", at, got)
		}
		r, after := warehousetest.Take(t, w, second, 2)
		if r.Already || len(warehousetest.AllRows(t, after, conditions)) != 2*len(want) {
			t.Errorf("away from operation %d: the retry gives %+v", at, r)
		}
	}
}
