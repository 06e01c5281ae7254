package audit

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// The environment that turns this test binary into a process that appends
// until it is killed.
const (
	childDir = "HAVRE_AUDIT_CHILD_DIR"
	childKey = "HAVRE_AUDIT_CHILD_KEY" // file of the signing seed
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := appendForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// appendForever prints "INDEX SUBJECT" for each entry that was acknowledged.
func appendForever(dir string) error {
	seed, err := os.ReadFile(os.Getenv(childKey))
	if err != nil {
		return err
	}
	signer, err := sign.ParseSigner(havre.NewSecret(seed))
	if err != nil {
		return err
	}
	l, err := Open(context.Background(), dir, Options{Origin: origin, Signer: signer, Openings: NoOpenings})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	var mu sync.Mutex
	var wg sync.WaitGroup
	for c := range 64 {
		wg.Go(func() {
			for i := 0; ; i++ {
				e := event(i)
				e.Subject = fmt.Sprintf("p%d-c%d-%d", os.Getpid(), c, i)
				at, err := l.Record(context.Background(), e)
				if err != nil {
					return
				}
				mu.Lock()
				fmt.Println(at.Index, e.Subject)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

// TestKilled kills a process that appends, at many instants, and demands every
// acknowledged entry back, at its position, in a log that verifies.
func TestKilled(t *testing.T) {
	t.Parallel()
	o := options()
	dir := filepath.Join(t.TempDir(), "log")
	if err := Create(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(key, o.Signer.Secret().Reveal(), 0o600); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[int64]string{}
	for round := range 8 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir, childKey+"="+key)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan()
		if lines.Text() != "ready" {
			t.Fatalf("the child says %q", lines.Text())
		}
		for n := 0; lines.Scan(); n++ {
			var at int64
			var subject string
			if n, _ := fmt.Sscan(lines.Text(), &at, &subject); n == 2 && strings.HasPrefix(subject, "p") { // the last line may be cut by the kill
				acknowledged[at] = subject
			}
			if n == 40+round*29 { // some way into a batch, another in each round
				time.AfterFunc(time.Duration(round*17)*time.Millisecond, func() { _ = child.Process.Kill() })
			}
		}
		_ = child.Wait()
	}
	if len(acknowledged) < 500 {
		t.Fatalf("only %d entries were acknowledged: the test tests nothing", len(acknowledged))
	}
	l := opened(t, dir, o)
	for at, subject := range acknowledged {
		rec, err := l.Entry(at)
		if err != nil {
			t.Fatalf("entry %d was acknowledged and is not there: %v", at, err)
		}
		if rec.Subject != subject && !strings.HasPrefix(rec.Subject, subject) {
			t.Fatalf("entry %d is %s and was acknowledged as %s", at, rec.Subject, subject)
		}
	}
	fill(t, l, 0, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rep := verified(t, dir, o)
	t.Logf("%d acknowledged, %d in the log, %d checkpoints", len(acknowledged), rep.Size, rep.Checkpoints)
}
