package app

import (
	"context"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/seal"
)

// TestCheckpointsOfThisHub: whoever can write to the store, and even knows the
// key to seal to, puts nothing into a run.
func TestCheckpointsOfThisHub(t *testing.T) {
	ctx := context.Background()
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := file.Create(t.TempDir() + "/store")
	try(err)
	key, err := seal.NewKey()
	try(err)
	c := newCheckpoints(store, key)
	try(c.Put(ctx, "r", 0, []byte("zero")))
	try(c.Put(ctx, "r", 1, []byte("one")))
	if got, ok, err := c.Get(ctx, "r", 0); string(got) != "zero" || !ok || err != nil {
		t.Fatal(string(got), ok, err)
	}
	sealed, err := blob.GetAll(ctx, store, c.name("r", 0))
	try(err)
	other, err := blob.GetAll(ctx, store, c.name("r", 1))
	try(err)
	forged, err := seal.Seal([]byte("zero"), key.Recipient())
	try(err)
	altered := append([]byte(nil), sealed...)
	altered[len(altered)-1] ^= 1
	for what, b := range map[string][]byte{"forged": forged, "of another bucket": other, "altered": altered, "cut": sealed[:40], "empty": nil} {
		try(store.Delete(ctx, c.name("r", 0)))
		try(store.Put(ctx, c.name("r", 0), b))
		if got, ok, err := c.Get(ctx, "r", 0); ok || err != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	try(c.Put(ctx, "r", 0, []byte("again")))
	if got, ok, err := c.Get(ctx, "r", 0); string(got) != "again" || !ok || err != nil {
		t.Error(string(got), ok, err)
	}
	try(c.clear(ctx, "r"))
	if _, ok, err := c.Get(ctx, "r", 1); ok || err != nil {
		t.Error("cleared:", ok, err)
	}
}
