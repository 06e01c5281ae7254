package deliver

import (
	"path/filepath"

	"github.com/goccy/go-yaml"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// RenewHub takes a newer recipient of the hub, from a card that the key signed
// which the holder knows already. The same generation again changes nothing.
func (h *Home) RenewHub(name string, key sign.PublicKey, to seal.Recipient, generation int) error {
	p := h.Peers
	if err := renewable("hub", p.Hub.Name == name && p.Hub.PublicKey.String() == key.String(), generation, p.Hub.Generation); err != nil {
		return err
	}
	p.Hub.Recipient, p.Hub.Generation = to, generation
	return h.keepPeers(p)
}

// RenewKeeper is RenewHub for the keeper.
func (h *Home) RenewKeeper(key sign.PublicKey, to seal.Recipient, generation int) error {
	p := h.Peers
	known := p.Keeper.PublicKey
	if err := renewable("keeper", known != "" && known == key.String(), generation, p.Keeper.Generation); err != nil {
		return err
	}
	p.Keeper.Recipient, p.Keeper.Generation = to, generation
	return h.keepPeers(p)
}

func renewable(zone string, known bool, generation, have int) error {
	if !known {
		return havre.E("deliver.peers", havre.Refused, "this is not a card of the "+zone+" that the holder knows").
			WithHint("a holder deals with one hub and one keeper: make another holder's folder for another, after comparing fingerprints")
	}
	if generation < have {
		return havre.E("deliver.peers", havre.Refused, "this card of the "+zone+" is older than the one that the holder has").
			WithHint("ask the " + zone + " for the card.json that it has now")
	}
	return nil
}

func (h *Home) keepPeers(p Peers) error {
	text, err := yaml.Marshal(p)
	if err != nil {
		return havre.E("deliver.peers", havre.Internal, "the peers have no YAML form").Wrap(err)
	}
	if err := writeFile(filepath.Join(h.dir, peersFile), text); err != nil {
		return fileError("the file "+peersFile+" cannot be written", err)
	}
	h.Peers = p
	return nil
}
