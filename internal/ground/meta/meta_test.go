package meta

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

func created(t *testing.T) (*DB, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.db")
	d, err := Create(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, path
}

func wantKind(t *testing.T, what string, err error, kind havre.Kind) {
	t.Helper()
	if havre.KindOf(err) != kind {
		t.Errorf("%s: kind %q of %v, want %q", what, havre.KindOf(err), err, kind)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	d, path := created(t)
	_, err := Create(t.Context(), path)
	wantKind(t, "second create", err, havre.Exists)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "temp_store": "2", "secure_delete": "1"} {
		var got string
		if err := again.DB().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", pragma, got, err, want)
		}
	}
}

func TestOpenNeverStartsAfresh(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.db")
	_, err := Open(t.Context(), missing)
	wantKind(t, "missing", err, havre.NotFound)
	if _, err := os.Stat(missing); err == nil {
		t.Error("opening a missing database made one")
	}
	for name, content := range map[string]string{"empty.db": "", "text.db": "this is no database, and it is longer than one header of a hundred bytes, which SQLite reads before it looks"} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), p)
		wantKind(t, name, err, havre.Tampered)
	}
	half, path := created(t)
	if _, err := half.DB().Exec("PRAGMA application_id = 0"); err != nil { // as init leaves it until its last step
		t.Fatal(err)
	}
	_, err = Open(t.Context(), path)
	wantKind(t, "half-made", err, havre.Tampered)
}

func TestNewerSchemaIsRefused(t *testing.T) {
	d, path := created(t)
	if _, err := d.DB().Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path)
	wantKind(t, "newer schema", err, havre.Refused)
	if havre.HintOf(err) == "" {
		t.Error("no hint")
	}
}

func TestTxIsAllOrNothing(t *testing.T) {
	d, _ := created(t)
	sentinel := errors.New("no")
	err := d.Tx(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec("UPDATE clock SET latest = 5"); err != nil {
			t.Fatal(err)
		}
		return sentinel
	})
	if !errors.Is(err, sentinel) {
		t.Fatalf("got %v", err)
	}
	var latest int64
	if err := d.DB().QueryRow("SELECT latest FROM clock").Scan(&latest); err != nil || latest != 0 {
		t.Errorf("latest is %d (%v) after a rollback", latest, err)
	}
}

func TestClockSetBackIsRefused(t *testing.T) {
	d, path := created(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after time.Duration
		want  havre.Kind
	}{
		{0, ""}, {time.Hour, ""}, {time.Hour - 59*time.Second, ""}, {time.Hour - 61*time.Second, havre.Clock},
		{-24 * time.Hour, havre.Clock}, {2 * time.Hour, ""}, {time.Hour, havre.Clock},
	} {
		wantKind(t, c.after.String(), d.CheckClock(t.Context(), now.Add(c.after)), c.want)
	}
	_ = d.Close()
	again, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	wantKind(t, "after a restart", again.CheckClock(t.Context(), now), havre.Clock)
}

// TestLockHoldsAcrossProcesses runs this test binary as the second process.
func TestLockHoldsAcrossProcesses(t *testing.T) {
	if dir := os.Getenv("HAVRE_TEST_LOCK"); dir != "" {
		if _, err := Lock(dir); err != nil {
			os.Exit(havre.KindOf(err).ExitCode())
		}
		os.Exit(0)
	}
	dir := t.TempDir()
	other := func() int {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockHoldsAcrossProcesses$")
		cmd.Env = append(os.Environ(), "HAVRE_TEST_LOCK="+dir)
		_ = cmd.Run()
		return cmd.ProcessState.ExitCode()
	}
	l, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); havre.KindOf(err) != havre.Locked {
		t.Errorf("twice in one process: %v", err)
	}
	if got := other(); got != havre.Locked.ExitCode() {
		t.Errorf("the second process ended with %d", got)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if got := other(); got != 0 {
		t.Errorf("after unlock the second process ended with %d", got)
	}
	if _, err := Lock(filepath.Join(dir, "absent")); havre.KindOf(err) != havre.NotFound {
		t.Errorf("absent folder: %v", err)
	}
}

func TestFailKnowsTheCause(t *testing.T) {
	d, _ := created(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.DB().ExecContext(ctx, "UPDATE clock SET latest = 1")
	wantKind(t, "cancelled", Fail("x", "y", err), havre.Cancelled)
	_, err = d.DB().Exec("INSERT INTO clock VALUES (1, 1)")
	wantKind(t, "constraint", Fail("x", "y", err), havre.Exists)
	kept := havre.E("a", havre.NoSpace, "b")
	wantKind(t, "kept", Fail("x", "y", kept), havre.NoSpace)
}
