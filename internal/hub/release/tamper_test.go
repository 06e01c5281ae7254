package release_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/release"
)

func TestTampering(t *testing.T) {
	t.Parallel()
	ctx, h := t.Context(), newHub(t)
	out := filepath.Join(h.dir, "released")
	s := must(h.Request(ctx, request(outputs())))(t)
	object := "airlock/" + s.ID + "/result.age"
	honest := must(blob.GetAll(ctx, h.Store, object))(t)
	swap := func(data []byte) {
		t.Helper()
		if err := h.Store.Delete(ctx, object); err != nil {
			t.Fatal(err)
		}
		if err := h.Store.Put(ctx, object, data); err != nil {
			t.Fatal(err)
		}
	}
	forged := must(seal.Seal([]byte(`{"outputs":[]}`), h.own.Recipient()))(t)
	swap(forged)
	_, err := h.Decide(ctx, s.ID, checker1, true, "")
	refusal(t, "approve outputs that the store swapped", err, havre.Tampered)
	bent := slices.Clone(honest)
	bent[len(bent)-1] ^= 1
	swap(bent)
	_, err = h.Review(ctx, s.ID, checker1)
	refusal(t, "review bent outputs", err, havre.Tampered)
	swap(honest)
	must(h.Decide(ctx, s.ID, checker1, true, ""))(t)
	must(h.Decide(ctx, s.ID, checker2, true, ""))(t)
	swap(forged)
	_, err = h.Release(ctx, s.ID, researcher, out)
	refusal(t, "release outputs that the store swapped", err, havre.Tampered)
	swap(honest)

	var signed []byte
	if err := h.Meta.DB().QueryRowContext(ctx, `SELECT record FROM release_request`).Scan(&signed); err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		err := h.Meta.Tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE release_request SET record = ?`, b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var env map[string]any
	if err := json.Unmarshal(signed, &env); err != nil {
		t.Fatal(err)
	}
	env["payload"] = strings.Replace(env["payload"].(string), "a", "b", 1)
	put(must(json.Marshal(env))(t))
	_, err = h.Release(ctx, s.ID, researcher, out)
	refusal(t, "the record edited after signing", err, havre.Tampered)
	mine, err := record.SignRelease(&record.Release{ID: s.ID, Permit: "p-0001"}, sign.NewSigner())
	if err != nil {
		t.Fatal(err)
	}
	put(mine)
	_, err = h.Release(ctx, s.ID, researcher, out)
	refusal(t, "a record signed by somebody else", err, havre.Tampered)
	put(signed)

	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "by-sex.csv"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = h.Release(ctx, s.ID, researcher, out)
	refusal(t, "a folder with another file of that name", err, havre.Exists)
	must(h.Release(ctx, s.ID, researcher, filepath.Join(h.dir, "elsewhere")))(t)
	checkFolder(t, h, filepath.Join(h.dir, "elsewhere"))
}

// No log record, no effect.
func TestNoLogNoEffect(t *testing.T) {
	t.Parallel()
	ctx, h := t.Context(), newHub(t)
	out := filepath.Join(h.dir, "released")
	h.Audit = deaf{}
	_, err := h.Request(ctx, request(outputs()))
	refusal(t, "request without log", err, havre.StoreUnavailable)
	h.Audit = h.log
	_, err = h.Decide(ctx, "r-0001", checker1, true, "")
	refusal(t, "decide on what was not logged", err, havre.Refused)
	s := must(h.Request(ctx, request(outputs())))(t)
	if s.ID != "r-0001" || s.State != release.InReview {
		t.Fatalf("the request goes on where it stopped: %+v", s)
	}
	must(h.Decide(ctx, s.ID, checker1, true, ""))(t)
	h.Audit = deaf{}
	_, err = h.Decide(ctx, s.ID, checker2, true, "")
	refusal(t, "decide without log", err, havre.StoreUnavailable)
	if s = must(h.Get(ctx, s.ID, checker1))(t); len(s.Decisions) != 1 {
		t.Errorf("a decision without log took effect: %+v", s)
	}
	h.Audit = h.log
	must(h.Decide(ctx, s.ID, checker2, true, ""))(t)
	h.Audit = deaf{}
	_, err = h.Release(ctx, s.ID, researcher, out)
	refusal(t, "release without log", err, havre.StoreUnavailable)
	if left, _ := os.ReadDir(out); len(left) > 0 {
		t.Errorf("a release without log wrote %v", left)
	}
}

// deaf is a log whose disk is gone.
type deaf struct{}

func (deaf) Record(context.Context, audit.Event) (audit.Position, error) {
	return audit.Position{}, havre.E("audit", havre.StoreUnavailable, "the log cannot be written")
}
