package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMoveKilled kills the program itself, as it runs in the field, with
// SIGKILL at steps that it tells of, and goes on with the same commands.
func TestMoveKilled(t *testing.T) {
	prepared := prepare(t)
	for _, at := range []string{"list the old store", "copy", "read back from the new store", "carry the last changes", "writes wait for the switch",
		"read everything back once more", "delete the old copy", "ask for the old copy once more"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := copyAll(prepared, dir); err != nil {
				t.Fatal(err)
			}
			killed := false
			havre := func(args ...string) bool {
				t.Helper()
				args = append(args, "--json", "--hub", filepath.Join(dir, "hub"), "--as", "operator@hub.example")
				cmd := exec.Command("havre", args...)
				errs, err := cmd.StderrPipe()
				if err != nil {
					t.Fatal(err)
				}
				var out, seen bytes.Buffer
				cmd.Stdout = &out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				for lines := bufio.NewScanner(errs); lines.Scan(); {
					seen.Write(append(lines.Bytes(), '\n'))
					var l struct {
						Progress struct{ Step string }
					}
					if json.Unmarshal(lines.Bytes(), &l) == nil && l.Progress.Step == at && !killed {
						killed = true
						_ = cmd.Process.Kill()
					}
				}
				err = cmd.Wait()
				if e, ok := err.(*exec.ExitError); ok && e.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
					return false
				}
				if err != nil {
					t.Fatalf("havre %s: %v\n%s", strings.Join(args, " "), err, seen.String())
				}
				return true
			}
			again := func(args ...string) {
				for !havre(args...) {
				}
			}
			again("account", "add", "--role", "operator", "operator@hub.example")
			again("move", "plan", "--to", "file:../new")
			again("move", "run")
			again("move", "verify")
			again("move", "finish", "m-0001")
			if !killed && at != "carry the last changes" { // there may be none
				t.Fatalf("no step %q was seen", at)
			}
			old, err := filepath.Glob(filepath.Join(dir, "store", "*"))
			if err != nil || len(old) > 0 {
				t.Errorf("the old store still has %v, %v", old, err)
			}
			if out, err := exec.Command("havre", "-q", "fsck", "--hub", filepath.Join(dir, "hub")).CombinedOutput(); err != nil {
				t.Errorf("fsck: %v\n%s", err, out)
			}
		})
	}
}
