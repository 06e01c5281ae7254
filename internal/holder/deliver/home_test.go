package deliver

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/havre"
)

func TestHome(t *testing.T) {
	w := newWorld(t)
	again, err := OpenHome(w.home.dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Signer.Public().String() != w.home.Signer.Public().String() || again.Peers.Hub.Recipient.String() != w.hub.Recipient().String() ||
		again.Peers.Hub.PublicKey.String() != w.hubSigner.Public().String() || again.Peers.Keeper.Recipient.String() != w.keeper.Recipient().String() || again.Peers.Holder != "chu-nord" {
		t.Errorf("read back: %+v", again.Peers)
	}
	if _, err := CreateHome(w.home.dir, w.home.Peers); havre.KindOf(err) != havre.Exists {
		t.Errorf("a second home in one folder: %v", err)
	}
	if _, err := CreateHome(t.TempDir(), Peers{Holder: "x"}); havre.KindOf(err) != havre.Invalid {
		t.Errorf("half the peers: %v", err)
	}
	key, peers := filepath.Join(w.home.dir, keyFile), filepath.Join(w.home.dir, peersFile)
	spoil := func(name, path string, mode os.FileMode, text string, want havre.Kind) {
		t.Helper()
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.WriteFile(path, old, 0o600); _ = os.Chmod(path, 0o600) }()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(path, mode)
		_, err = OpenHome(w.home.dir)
		if havre.KindOf(err) != want {
			t.Errorf("%s: %v (%s)", name, err, havre.KindOf(err))
		}
		if err != nil && path == key && strings.TrimSpace(text) != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the key is in the message", name)
		}
	}
	b, _ := os.ReadFile(key)
	spoil("loose key", key, 0o644, string(b), havre.KeyUnavailable)
	spoil("broken key", key, 0o600, "c2VjcmV0", havre.KeyUnavailable)
	spoil("no key", key, 0o600, "secret!", havre.KeyUnavailable)
	p, _ := os.ReadFile(peers)
	spoil("misspelt", peers, 0o600, strings.Replace(string(p), "keeper:", "keper:", 1), havre.Invalid)
	spoil("broken recipient", peers, 0o600, strings.Replace(string(p), "age1pq1", "age1pq2", 1), havre.Invalid)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenHome(w.home.dir); havre.KindOf(err) != havre.KeyUnavailable {
		t.Errorf("a missing key: %v", err)
	}
}

func TestOneDeliveryAtATime(t *testing.T) {
	w := newWorld(t)
	o := w.options(t, write(t, health()))
	if err := os.MkdirAll(o.Outbox, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := meta.Lock(o.Outbox)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), o); havre.KindOf(err) != havre.Locked {
		t.Errorf("two deliveries in one outbox: %v", err)
	}
	_ = lock.Unlock()
}

func TestOutboxThatWasTamperedWith(t *testing.T) {
	w := newWorld(t)
	o := w.options(t, write(t, health()))
	o.Delivery = havre.NewDeliveryID()
	good := o.To
	o.To = NewFolder("/proc/nowhere")
	r, err := Run(context.Background(), o)
	if havre.KindOf(err) != havre.StoreUnavailable {
		t.Fatalf("a folder that cannot be written gives %v", err)
	}
	part := filepath.Join(o.Outbox, string(o.Delivery), r.Manifest.Parts[0].Name)
	b, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(part, b, 0o600); err != nil {
		t.Fatal(err)
	}
	o.To = good
	if _, err := Run(context.Background(), o); havre.KindOf(err) != havre.Tampered || !strings.Contains(err.Error(), r.Manifest.Parts[0].Name) {
		t.Errorf("an altered part gives %v", err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(part, b, 0o600); err != nil {
		t.Fatal(err)
	}
	other := o
	other.Hub = "elsewhere"
	if _, err := Run(context.Background(), other); havre.KindOf(err) != havre.Refused {
		t.Errorf("a delivery for another hub gives %v", err)
	}
	if _, err := Run(context.Background(), o); err != nil {
		t.Error(err)
	}
}
