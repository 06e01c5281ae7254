package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// CardType is the DSSE payload type of a card.
const CardType = "application/vnd.havre.card.v1+json"

// The zones that have a home and a card.
const (
	ZoneHub    = "hub"
	ZoneKeeper = "keeper"
	ZoneHolder = "holder"
	ZoneWorker = "worker" // a machine that maps buckets for a hub
)

// Card is the public half of a zone, signed with its own key so that a damaged
// one is noticed. Whether it is really theirs, people settle by comparing the
// fingerprint out of band.
type Card struct {
	Zone      string         `json:"zone"`
	Name      string         `json:"name"`
	Key       sign.PublicKey `json:"key"`                 // checks what the zone signs, and its TLS certificate
	Recipient string         `json:"recipient,omitempty"` // to seal to; holders receive nothing and have none

	Generation int `json:"generation,omitempty"` // of the recipient: rises when the zone's keys are rotated
}

// Fingerprint is what people read to each other.
func (c Card) Fingerprint() string {
	id := c.Key.ID()
	return id[:4] + "-" + id[4:8] + "-" + id[8:12] + "-" + id[12:]
}

// recipient parses the card's recipient.
func (c Card) recipient() (seal.Recipient, error) { return seal.ParseRecipient(c.Recipient) }

func writeCard(dir string, c Card, s *sign.Signer) error {
	b, err := sign.Sign(CardType, c, s)
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, "card.json"), b)
}

// ReadCard reads a card file and checks that it is whole.
func ReadCard(path string) (Card, []byte, error) {
	bad := func(err error) (Card, []byte, error) {
		return Card{}, nil, havre.E("card", havre.Invalid, path+" is not a card of a hub, keeper or holder").
			WithHint("a card is the file card.json in the folder that `havre init`, `havre keeper init` or `havre holder init` made").Wrap(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return bad(err)
	}
	var env struct {
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(b, &env); err != nil {
		return bad(err)
	}
	payload, err := base64.StdEncoding.DecodeString(env.Payload)
	if err != nil {
		return bad(err)
	}
	var claimed, c Card
	if err := json.Unmarshal(payload, &claimed); err != nil {
		return bad(err)
	}
	if _, err := sign.Verify(b, CardType, &c, claimed.Key); err != nil {
		return bad(err)
	}
	if !havre.ValidName(c.Name) || (c.Zone != ZoneHub && c.Zone != ZoneKeeper && c.Zone != ZoneHolder && c.Zone != ZoneWorker) {
		return bad(nil)
	}
	return c, b, nil
}

// trusted lists the cards in a home's trust folder, of one zone or of all ("").
func trusted(dir, zone string) ([]Card, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "trust"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, havre.E("trust", havre.NotFound, "the trusted cards in "+dir+" cannot be listed").Wrap(err)
	}
	var cards []Card
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		c, _, err := ReadCard(filepath.Join(dir, "trust", e.Name()))
		if err != nil {
			return nil, err
		}
		if zone == "" || c.Zone == zone {
			cards = append(cards, c)
		}
	}
	return cards, nil
}

// keepCard writes a card into the trust folder. The same card again is no
// error; another card under the same name is refused.
func keepCard(dir string, c Card, raw []byte) error {
	if c.Zone == ZoneHub || c.Zone == ZoneKeeper {
		others, err := trusted(dir, c.Zone)
		if err != nil {
			return err
		}
		for _, o := range others {
			if o.Name != c.Name {
				return havre.E("trust", havre.Refused, "the zone at "+dir+" trusts the "+c.Zone+" "+o.Name+" already, and works with one at a time")
			}
		}
	}
	path := filepath.Join(dir, "trust", c.Zone+"-"+c.Name+".json")
	if before, old, err := ReadCard(path); err == nil {
		if bytes.Equal(old, raw) {
			return nil
		}
		// The same zone, by its own signature, with a newer recipient.
		if before.Key.String() == c.Key.String() && c.Generation > before.Generation {
			return replaceFile(path, raw)
		}
		if before.Key.String() == c.Key.String() {
			return havre.E("trust", havre.Refused, "this card of the "+c.Zone+" "+c.Name+" is older than the one that is trusted").
				WithHint("take the card.json that the " + c.Zone + " has now")
		}
		return havre.E("trust", havre.Exists, "another card of the "+c.Zone+" "+c.Name+" is trusted already").
			WithHint("if its keys really changed, have it confirmed by another channel, then remove " + path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return havre.E("trust", havre.NoSpace, "the folder of trusted cards cannot be made").Wrap(err)
	}
	return writeNew(path, raw)
}

// writeNew makes a durable file that must not exist yet.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return havre.E("write", havre.Exists, path+" cannot be made").Wrap(err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return havre.E("write", havre.NoSpace, path+" cannot be written").Wrap(err)
	}
	return nil
}
