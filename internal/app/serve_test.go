package app

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/synth"
)

// TestDeliveryOverHTTPS: the holder's client and the hub's endpoint, each the
// real one, over mutual TLS on loopback.
func TestDeliveryOverHTTPS(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir := t.TempDir()
	at := func(p ...string) string { return filepath.Join(append([]string{dir}, p...)...) }
	if _, err := synth.Generate(ctx, synth.Options{Residents: 300, Seed: 2, Out: at("pop"), Progress: havre.NoProgress}); err != nil {
		t.Fatal(err)
	}
	if _, err := InitKeeper(ctx, at("keeper"), "keeper", "file:../safe/keeper.key"); err != nil {
		t.Fatal(err)
	}
	if _, err := InitHub(ctx, HubOptions{Dir: at("hub"), Name: "le-havre", Store: "file:../store", KeyBesideStore: true, Custodian: "file:../safe/hub.key",
		Buckets: warehouse.DefaultBuckets, Actor: "operator@hub.example"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"chu-nord", "chu-sud"} {
		if _, err := InitHolder(ctx, at(name), name, at("hub", "card.json"), at("keeper", "card.json")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Trust(ctx, at("hub"), at("keeper", "card.json"), at("chu-nord", "card.json")); err != nil {
		t.Fatal(err)
	}
	hub, err := OpenHub(ctx, at("hub"))
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	address, served := make(chan string, 1), make(chan error, 1)
	go func() { served <- hub.Serve(ctx, "127.0.0.1:0", func(a string) { address <- a }) }()
	url := "https://" + <-address

	send := func(holder string) (string, error) {
		r, err := Deliver(ctx, Delivery{Home: at(holder), CDM: at("pop", "holders", holder, "omop"), Identity: at("pop", "holders", holder, "identity.csv"),
			ToHub: url, ToKeeper: at("to-keeper"), Progress: havre.NoProgress})
		if err != nil {
			return "", err
		}
		if r.Receipt == nil || r.Receipt.Rows == 0 {
			t.Errorf("receipt %+v", r.Receipt)
		}
		return string(r.Manifest.Delivery), nil
	}
	id, err := send("chu-nord")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(at("chu-nord", "receipts", id+".receipt.json")); err != nil {
		t.Errorf("the receipt is not kept: %v", err)
	}
	if all, err := hub.Desk.Deliveries(ctx); err != nil || len(all) != 1 || string(all[0].ID) != id {
		t.Errorf("the hub has %+v, %v", all, err)
	}
	if _, err := OpenHub(ctx, at("hub")); havre.KindOf(err) != havre.Locked {
		t.Errorf("a second process opened the hub: %v", err)
	}
	// A holder that the hub never registered does not get past the handshake.
	if _, err := send("chu-sud"); err == nil {
		t.Error("a stranger delivered")
	}
	if all, err := hub.Desk.Deliveries(ctx); err != nil || len(all) != 1 {
		t.Errorf("after the stranger: %d deliveries, %v", len(all), err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("the endpoint ended with %v", err)
	}
}

// TestMissingPartsAreErrors: a key, log, database or store that is gone is told,
// and never begun afresh.
func TestMissingPartsAreErrors(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]struct {
		path string
		kind havre.Kind
	}{
		"the custodian's key": {"safe/hub.key", havre.KeyUnavailable},
		"a key":               {"hub/keys/ring.json", havre.KeyUnavailable},
		"the key ring":        {"hub/keys", havre.KeyUnavailable},
		"the log":             {"hub/log", havre.NotFound},
		"the database":        {"hub/control.db", havre.NotFound},
		"the card":            {"hub/card.json", havre.NotFound},
		"the configuration":   {"hub/havre.yaml", havre.NotFound},
		"the store":           {"store", havre.StoreUnavailable},
		"the warehouse":       {"store/snapshot", havre.NotFound},
	} {
		dir := t.TempDir()
		if _, err := InitHub(ctx, HubOptions{Dir: filepath.Join(dir, "hub"), Name: "h", Store: "file:../store", KeyBesideStore: true, Custodian: "file:../safe/hub.key",
			Buckets: 4, Actor: "operator@hub.example"}); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, tc.path)); err != nil {
			t.Fatal(err)
		}
		h, err := OpenHub(ctx, filepath.Join(dir, "hub"))
		if havre.KindOf(err) != tc.kind || havre.HintOf(err) == "" {
			t.Errorf("without %s: %v (%s), hint %q; want kind %s", name, err, havre.KindOf(err), havre.HintOf(err), tc.kind)
		}
		if err == nil {
			_ = h.Close()
		}
		if _, err := os.Stat(filepath.Join(dir, tc.path)); err == nil {
			t.Errorf("%s was begun afresh", name)
		}
	}
}
