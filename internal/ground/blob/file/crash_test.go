package file

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

// The test program runs itself again as the writer that is killed or out of space.
const (
	envWriter = "HAVRE_TEST_WRITER_FOLDER"
	envLimit  = "HAVRE_TEST_LIMITED_FOLDER"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envWriter) != "":
		writeForEver(os.Getenv(envWriter))
	case os.Getenv(envLimit) != "":
		writeBeyondLimit(os.Getenv(envLimit))
	}
	os.Exit(m.Run())
}

// bytesOf makes an object of up to 300 KB from its name.
func bytesOf(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return bytes.Repeat(sum[:], int(sum[0])*(int(sum[1])%40))
}

// writeForEver puts objects with several goroutines and prints each name once
// its Put has returned.
func writeForEver(dir string) {
	s, err := Open(dir)
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("crash/%02x/%d-%d-%d", i%5, os.Getpid(), w, i)
				if err := s.Put(context.Background(), name, bytesOf(name)); err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println(name)
				mu.Unlock()
			}
		}()
	}
	select {}
}

// TestKill kills a writing process at many random instants: what is listed is
// whole, and what was acknowledged is there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for range 40 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envWriter+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() { // it writes
			t.Fatal("the writer wrote nothing")
		}
		acknowledged := []string{lines.Text()}
		time.AfterFunc(rand.N(40*time.Millisecond), func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			acknowledged = append(acknowledged, lines.Text())
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}

		s := open(t, dir)
		listed := map[string]bool{}
		for _, name := range names(t, s) {
			listed[name] = true
			data, err := blob.GetAll(t.Context(), s, name)
			if err != nil || !bytes.Equal(data, bytesOf(name)) {
				t.Fatalf("after a kill %s has %d bytes of %d: %v", name, len(data), len(bytesOf(name)), err)
			}
		}
		for _, name := range acknowledged[:len(acknowledged)-1] { // the last line may be cut
			if !listed[name] {
				t.Fatalf("%s was acknowledged and is lost", name)
			}
		}
	}
	s := open(t, dir)
	before := len(names(t, s))
	if err := s.sweep(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, tempDir)); err != nil || len(left) != 0 {
		t.Errorf("%d temporary files are left: %v", len(left), err)
	}
	if after := len(names(t, s)); after != before || after == 0 {
		t.Errorf("removing temporary files changed %d objects to %d", before, after)
	}
}

// writeBeyondLimit writes until the kernel refuses more, under a limit on the
// size of files, which fails a write half way as a full disk does.
func writeBeyondLimit(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	const limit = 100_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		panic(err)
	}
	s, err := Open(dir)
	if err != nil {
		panic(err)
	}
	err = s.Put(context.Background(), "large", make([]byte, 2*limit))
	fmt.Println(havre.KindOf(err))
	os.Exit(0)
}

func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envLimit+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != string(havre.NoSpace)+"\n" {
		t.Errorf("a write that the kernel cut gives %q, %v", out, err)
	}
	s := open(t, dir)
	if got := names(t, s); len(got) != 0 {
		t.Errorf("%q are listed", got)
	}
	if left, err := os.ReadDir(filepath.Join(dir, tempDir)); err != nil || len(left) != 0 {
		t.Errorf("the failed write keeps its space: %d files, %v", len(left), err)
	}

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, writeErr := full.Write([]byte("x"))
	if !errors.Is(writeErr, syscall.ENOSPC) {
		t.Fatalf("/dev/full gives %v", writeErr)
	}
	kind(t, "a full device", failure("blob.put", "a", errors.Join(writeErr, full.Close())), havre.NoSpace)
	kind(t, "a full quota", failure("blob.put", "a", syscall.EDQUOT), havre.NoSpace)
}
