package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// TestKeyChild is the process that testKeysKilled starts and kills.
func TestKeyChild(t *testing.T) {
	act := os.Getenv("HAVRE_TEST_KEYS")
	if act == "" {
		return
	}
	ctx := context.Background()
	h, err := OpenHub(ctx, os.Getenv("HAVRE_TEST_HUB"))
	if err == nil {
		fmt.Println("open")
		switch act {
		case "rotate":
			_, err = h.RotateKeys(ctx, Rotation{To: []string{"file:../safe/next.key"}, By: keyOperator})
		case "renew":
			_, err = h.RotateKeys(ctx, Rotation{By: keyOperator})
		case "destroy":
			_, err = h.DestroyKeys(ctx, Destruction{Holder: "chu-nord", By: keyOperator, Reason: "end of the agreement"})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// testKeysKilled: a process that rotates or destroys is killed at any moment;
// the hub opens, whole, before or after the act, and the act can be done.
func testKeysKilled(t *testing.T, model *keySite) {
	ctx := context.Background()
	for _, act := range []string{"rotate", "renew", "destroy"} {
		t.Run(act, func(t *testing.T) {
			var whole time.Duration // of an act that nobody stops
			stopped, finished := 0, 0
			const cuts = 6
			for i := 0; i <= cuts; i++ {
				s := model.clone(t)
				took, killed := s.kill(act, whole*time.Duration(i*i)/(cuts*cuts)) // most of them early, where the ring changes
				if i == 0 {
					whole = took
				}
				if killed {
					stopped++
				}
				rows := s.whole()
				if f, err := ReadKeyFacts(s.at("hub")); err != nil || f.Generation > 2 || len(f.Custodians) != 1 {
					t.Fatalf("cut %d: %+v, %v", i, f, err)
				} else if f.Generation == 2 {
					finished++
				}
				switch act {
				case "destroy":
					s.with(func(h *Hub) {
						_, err := h.DestroyKeys(ctx, Destruction{Holder: "chu-nord", By: keyOperator, Reason: "end of the agreement"})
						if done := len(rows) == 1; done != (havre.KindOf(err) == havre.Usage) {
							t.Errorf("cut %d: %d deliveries are left, and doing it again gives %v", i, len(rows), err)
						}
						all, err := h.Desk.Deliveries(ctx)
						s.must(err)
						if _, _, err := h.Certificate(string(all[0].ID)); err != nil {
							t.Errorf("cut %d: %v", i, err)
						}
					})
					if rows := s.whole(); len(rows) != 1 {
						t.Errorf("cut %d: rows %v", i, rows)
					}
				default:
					if len(rows) != 2 {
						t.Errorf("cut %d: rows %v", i, rows)
					}
					s.with(func(h *Hub) {
						_, err := h.RotateKeys(ctx, Rotation{To: []string{"file:../safe/next.key"}, By: keyOperator})
						s.must(err)
					})
				}
			}
			t.Logf("an act takes %v; %d of %d processes were killed under way, %d acts had been done or were finished at the next opening", whole, stopped, cuts+1, finished)
			if stopped == 0 || finished == 0 || finished > cuts {
				t.Error("the cuts do not lie on both sides of the act")
			}
		})
	}
}

// kill starts a process that does the act and kills it that long after it has
// opened the hub; 0 lets it end.
func (s *keySite) kill(act string, after time.Duration) (took time.Duration, killed bool) {
	s.t.Helper()
	self, err := os.Executable()
	s.must(err)
	cmd := exec.Command(self, "-test.run=^TestKeyChild$")
	cmd.Env = append(os.Environ(), "HAVRE_TEST_KEYS="+act, "HAVRE_TEST_HUB="+s.at("hub"))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	if _, err := out.Read(make([]byte, 8)); err != nil {
		s.t.Fatalf("%v: %s", err, errs.String())
	}
	began := time.Now()
	if after > 0 {
		time.Sleep(after)
		_ = cmd.Process.Kill()
	}
	err = cmd.Wait()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 0) {
		s.t.Fatalf("%v: %s", err, errs.String())
	}
	return time.Since(began), err != nil
}
