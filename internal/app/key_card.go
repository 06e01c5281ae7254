package app

import (
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/deliver"
)

// renewCard writes the zone's card anew after its keys were rotated.
func (h *home) renewCard(mainKey string) error {
	path := filepath.Join(h.dir, "card.json")
	c, _, err := ReadCard(path)
	if err != nil {
		return err
	}
	key, err := h.ring.Key(mainKey)
	if err != nil {
		return err
	}
	if c.Recipient == key.Recipient().String() {
		return nil
	}
	c.Recipient = key.Recipient().String()
	for _, e := range h.ring.Info().Keys {
		if e.Name == mainKey {
			c.Generation = e.Generation // ascending: the last is the newest
		}
	}
	b, err := sign.Sign(CardType, c, h.signer)
	if err != nil {
		return err
	}
	return replaceFile(path, b)
}

// replaceFile writes a file in one step.
func replaceFile(path string, b []byte) error {
	if err := renameio.WriteFile(path, b, 0o644); err != nil {
		return havre.E("write", havre.NoSpace, path+" cannot be written").Wrap(err)
	}
	return nil
}

// renewPeer lets a holder take the card that its hub or keeper has since a rotation.
func renewPeer(dir string, c Card) error {
	h, err := deliver.OpenHome(dir)
	if err != nil {
		return err
	}
	to, err := c.recipient()
	if err != nil {
		return err
	}
	switch c.Zone {
	case ZoneHub:
		return h.RenewHub(c.Name, c.Key, to, c.Generation)
	case ZoneKeeper:
		return h.RenewKeeper(c.Key, to, c.Generation)
	}
	return havre.E("trust", havre.Refused, "a holder has nothing to do with the card of a "+c.Zone)
}
