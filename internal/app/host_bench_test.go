package app

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// BenchmarkPosture is the whole command, from opening the hub's folder on, with
// 20,000 objects in the store and 2,000 entries in the log. It is to stay under
// a second whatever their number: listing, sampling and verifying have each a
// time of their own.
func BenchmarkPosture(b *testing.B) {
	ctx, dir := b.Context(), b.TempDir()
	ok := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	_, err := InitHub(ctx, HubOptions{Dir: filepath.Join(dir, "hub"), Name: "le-havre", Store: "file:../store", Custodian: "file:../safe/hub.key", KeyBesideStore: true,
		Buckets: warehouse.DefaultBuckets, Actor: "operator@hub.example"})
	ok(err)
	h, err := OpenHub(ctx, filepath.Join(dir, "hub"))
	ok(err)
	var group errgroup.Group
	group.SetLimit(200)
	for i := range 2_000 {
		group.Go(func() error {
			_, err := h.Log.Record(ctx, audit.Event{Action: "bench.entry", Subject: fmt.Sprint(i)})
			return err
		})
	}
	ok(group.Wait())
	ok(h.Close())
	for i := range 20_000 {
		folder := filepath.Join(dir, "store", "segment", fmt.Sprintf("%02x", i%64))
		ok(os.MkdirAll(folder, 0o700))
		ok(os.WriteFile(filepath.Join(folder, fmt.Sprintf("%064x", i)), []byte(pqHead+"bench"), 0o600))
	}
	for b.Loop() {
		x, err := OpenBeside(ctx, filepath.Join(dir, "hub"))
		ok(err)
		_, err = x.Posture(ctx, false)
		ok(err)
		ok(x.Close())
	}
}
