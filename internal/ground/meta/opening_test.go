package meta

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/havre"
)

var _ audit.Openings = Openings{}

func TestErasedOpeningsLeaveNoBytes(t *testing.T) {
	d, path := created(t)
	o := d.Openings()
	const marker = "marker-officer@example"
	gone, kept := tlog.Commit(havre.NewPersonal(marker)), tlog.Commit(havre.NewPersonal("other"))
	for range 2 { // a retry after a lost answer
		if err := o.Put(t.Context(), []tlog.Opening{gone, kept}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Get(t.Context(), gone.Commitment); err != nil || got.Value.Reveal() != marker {
		t.Fatalf("kept opening: %v", err)
	}
	if !fileHolds(t, path, marker) {
		t.Fatal("the check below would not find the marker")
	}
	if err := o.Erase(t.Context(), gone.Commitment, "absent"); err != nil {
		t.Fatal(err)
	}
	if fileHolds(t, path, marker) {
		t.Error("the erased value is still in the database's files")
	}
	_, err := o.Get(t.Context(), gone.Commitment)
	wantKind(t, "erased", err, havre.NotFound)
	if _, err := o.Get(t.Context(), kept.Commitment); err != nil {
		t.Error(err)
	}
	if _, err := d.DB().Exec("UPDATE opening SET value = 'somebody else'"); err != nil {
		t.Fatal(err)
	}
	_, err = o.Get(t.Context(), kept.Commitment)
	wantKind(t, "edited", err, havre.Tampered)
}

func fileHolds(t *testing.T, path, marker string) bool {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(marker)) {
			return true
		}
	}
	return false
}
