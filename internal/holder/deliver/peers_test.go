package deliver

import (
	"testing"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// TestRenewPeers: a newer recipient is taken from who signed the first one, and
// it survives; an older one, or one of somebody else, is not.
func TestRenewPeers(t *testing.T) {
	hub, keeper, stranger := sign.NewSigner().Public(), sign.NewSigner().Public(), sign.NewSigner().Public()
	recipient := func() seal.Recipient {
		k, err := seal.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		return k.Recipient()
	}
	dir := t.TempDir()
	h, err := CreateHome(dir, Peers{Holder: "chu-nord", Hub: HubPeer{Name: "demo", PublicKey: hub, Recipient: recipient(), Generation: 2},
		Keeper: KeeperPeer{Recipient: recipient(), PublicKey: keeper.String(), Generation: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"an older hub":      h.RenewHub("demo", hub, recipient(), 1),
		"another hub":       h.RenewHub("other", hub, recipient(), 3),
		"a stranger's hub":  h.RenewHub("demo", stranger, recipient(), 3),
		"a stranger keeper": h.RenewKeeper(stranger, recipient(), 3),
	} {
		if havre.KindOf(err) != havre.Refused || havre.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	toHub, toKeeper := recipient(), recipient()
	for range 2 {
		if err := h.RenewHub("demo", hub, toHub, 3); err != nil {
			t.Fatal(err)
		}
		if err := h.RenewKeeper(keeper, toKeeper, 2); err != nil {
			t.Fatal(err)
		}
	}
	again, err := OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := again.Options()
	if o.HubRecipient.String() != toHub.String() || o.KeeperRecipient.String() != toKeeper.String() || again.Peers.Hub.Generation != 3 {
		t.Errorf("%+v", again.Peers)
	}
	// A folder of before does not know the keeper's key.
	again.Peers.Keeper.PublicKey = ""
	if err := again.RenewKeeper(sign.PublicKey{}, toKeeper, 9); havre.KindOf(err) != havre.Refused {
		t.Errorf("a keeper whose key is not known: %v", err)
	}
}
