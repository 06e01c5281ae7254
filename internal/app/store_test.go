package app

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/synth"
)

// TestStoreAway: the store on the network goes away in the middle of receiving,
// of ingesting, of a commit. Nothing half done shows, and the same call goes on
// when the store is back; a short absence is not even noticed.
func TestStoreAway(t *testing.T) {
	ctx := t.Context()
	server := blobtest.StartS3(t)
	proxy := blobtest.StartProxy(t, server.Endpoint)
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(v, server.Getenv(v))
	}
	dir := t.TempDir()
	at := func(p ...string) string { return filepath.Join(append([]string{dir}, p...)...) }
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(synth.Generate(ctx, synth.Options{Residents: 60, Seed: 2, Out: at("pop"), Progress: havre.NoProgress}))
	must(InitKeeper(ctx, at("keeper"), "keeper", "file:../safe/keeper.key"))
	must(InitHub(ctx, HubOptions{Dir: at("hub"), Name: "le-havre", Store: server.URLThrough(proxy.URL, "hub"), KeyBesideStore: true,
		Custodian: "file:../safe/hub.key", Buckets: 4, Actor: "operator@hub.example"}))
	must(InitHolder(ctx, at("chu-nord"), "chu-nord", at("hub", "card.json"), at("keeper", "card.json")))
	must(Trust(ctx, at("hub"), at("keeper", "card.json"), at("chu-nord", "card.json")))
	must(Trust(ctx, at("keeper"), at("hub", "card.json"), at("chu-nord", "card.json")))
	d, err := Deliver(ctx, Delivery{Home: at("chu-nord"), CDM: at("pop", "holders", "chu-nord", "omop"), Identity: at("pop", "holders", "chu-nord", "identity.csv"),
		ToHub: at("way", "hub"), ToKeeper: at("way", "keeper"), Progress: havre.NoProgress})
	must(nil, err)
	id := string(d.Manifest.Delivery)
	keeper, err := OpenKeeper(ctx, at("keeper"))
	must(nil, err)
	defer keeper.Close()
	must(keeper.LinkDelivery(ctx, envelope.Folder(at("way", "keeper", id)), at("way", "linked"), havre.NoProgress))
	hub, err := OpenHub(ctx, at("hub"))
	must(nil, err)
	defer hub.Close()

	receive := func(ctx context.Context) error {
		_, err := hub.Desk.Receive(ctx, envelope.Folder(at("way", "hub", id)), "chu-nord", havre.NoProgress)
		return err
	}
	ingest := func(ctx context.Context) error {
		_, err := hub.Ingest(ctx, d.Manifest.Delivery, envelope.Folder(at("way", "linked", id)), havre.NoProgress)
		return err
	}
	// away lets some requests through, and then the server turns all away: the
	// one way to be gone that the store does not wait out for two minutes.
	away := func(passed int, do func(context.Context) error) error {
		faults := slices.Repeat([]blobtest.Fault{blobtest.Pass}, passed)
		proxy.Next(append(faults, slices.Repeat([]blobtest.Fault{blobtest.Status(http.StatusForbidden)}, 2000)...)...)
		defer proxy.Next()
		return do(ctx)
	}
	for _, passed := range []int{0, 5} {
		if err := away(passed, receive); havre.KindOf(err) != havre.StoreUnavailable || havre.HintOf(err) == "" {
			t.Errorf("receiving, the store gone after %d requests: %v (%s)", passed, err, havre.KindOf(err))
		}
		if all, err := hub.Desk.Deliveries(ctx); err != nil || len(all) != 0 {
			t.Errorf("half a delivery is on record: %+v, %v", all, err)
		}
		if q, err := hub.Desk.Quarantine(ctx); err != nil || len(q) != 0 {
			t.Errorf("a good delivery is in quarantine: %+v, %v", q, err)
		}
	}
	// Three requests fail: the store is asked again.
	proxy.Next(blobtest.Pass, blobtest.Status(503), blobtest.CutUpload(10), blobtest.LoseAnswer)
	must(nil, receive(ctx))
	for _, passed := range []int{2, 12, 30} {
		if err := away(passed, ingest); havre.KindOf(err) != havre.StoreUnavailable || havre.HintOf(err) == "" {
			t.Errorf("ingesting, the store gone after %d requests: %v (%s)", passed, err, havre.KindOf(err))
		}
		if s, err := hub.Warehouse.Current(ctx); err != nil || s.Number() != 0 {
			t.Errorf("after %d requests a snapshot was committed, %v", passed, err)
		}
	}
	must(nil, ingest(ctx))
	s, err := hub.Warehouse.Current(ctx)
	if err != nil || s.Number() != 1 || s.Rows()["person"] != d.Manifest.Persons {
		t.Errorf("snapshot %v, %v", s, err)
	}
	if r, err := hub.Log.Verify(ctx, havre.NoProgress); err != nil || !r.OK() {
		t.Errorf("the log does not verify: %v", err)
	}
	if _, err := os.Stat(at("store")); err == nil {
		t.Error("a folder was made in place of the store")
	}
}
