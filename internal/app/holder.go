package app

import (
	"context"
	"crypto/tls"
	"os"
	"strings"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/deliver"
	"github.com/havre-hub/havre/internal/holder/intake"
	"github.com/havre-hub/havre/internal/holder/intake/omop"
)

// InitHolder makes a holder's home at dir, which knows one hub and one keeper
// by their cards.
func InitHolder(_ context.Context, dir, name, hubCard, keeperCard string) (Card, error) {
	if !havre.ValidName(name) {
		return Card{}, badName("holder", name)
	}
	hub, hubTo, err := peer(hubCard, ZoneHub)
	if err != nil {
		return Card{}, err
	}
	keeper, keeperTo, err := peer(keeperCard, ZoneKeeper)
	if err != nil {
		return Card{}, err
	}
	h, err := deliver.CreateHome(dir, deliver.Peers{Holder: havre.HolderID(name),
		Hub:    deliver.HubPeer{Name: hub.Name, PublicKey: hub.Key, Recipient: hubTo, Generation: hub.Generation},
		Keeper: deliver.KeeperPeer{Recipient: keeperTo, PublicKey: keeper.Key.String(), Generation: keeper.Generation}})
	if err != nil {
		return Card{}, err
	}
	card := Card{Zone: ZoneHolder, Name: name, Key: h.Signer.Public()}
	return card, writeCard(dir, card, h.Signer)
}

func peer(path, zone string) (Card, seal.Recipient, error) {
	c, _, err := ReadCard(path)
	if err != nil {
		return Card{}, seal.Recipient{}, err
	}
	if c.Zone != zone {
		return Card{}, seal.Recipient{}, havre.E("init", havre.Invalid, path+" is the card of a "+c.Zone+", not of a "+zone)
	}
	to, err := c.recipient()
	return c, to, err
}

// Delivery says what a holder delivers and whereto.
type Delivery struct {
	Home     string // the holder's folder
	CDM      string // folder or zip of an OMOP CDM
	Identity string // identity file, "" where persons are known by their source ids only
	ToHub    string // folder, or https:// address of the hub
	ToKeeper string // folder
	Accept   []string
	Resume   havre.DeliveryID // "" for a new delivery
	Progress havre.Progress
}

// Delivered is what became of a delivery.
type Delivered struct {
	deliver.Result
	Skipped []intake.Skipped // files that were not read, but for what archivers and file managers leave
}

// Deliver makes and sends one delivery.
func Deliver(ctx context.Context, d Delivery) (r Delivered, err error) {
	h, err := deliver.OpenHome(d.Home)
	if err != nil {
		return r, err
	}
	source, err := omop.Open(ctx, d.CDM)
	if err != nil {
		return r, err
	}
	defer source.Close()
	for _, s := range source.Skipped() {
		if s.Reason != omop.Junk {
			r.Skipped = append(r.Skipped, s)
		}
	}
	o := h.Options()
	o.Source, o.Identity, o.Accept, o.Delivery, o.Progress = source, d.Identity, d.Accept, d.Resume, d.Progress
	if o.Keeper, err = transport(h, d.ToKeeper); err != nil {
		return r, err
	}
	if o.To, err = transport(h, d.ToHub); err != nil {
		return r, err
	}
	if r.Result, err = deliver.Run(ctx, o); err != nil {
		return r, err
	}
	return r, h.Keep(r.Envelope, r.Signed)
}

// KeepReceipt checks a receipt that came by another way and keeps it.
func KeepReceipt(home, path string) error {
	h, err := deliver.OpenHome(home)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return havre.E("receipt", havre.NotFound, "the receipt "+path+" cannot be read").Wrap(err)
	}
	return h.KeepReceipt(b)
}

// transport chooses the way to a place: a folder, or HTTPS with mutual TLS.
func transport(h *deliver.Home, to string) (deliver.Transport, error) {
	if strings.HasPrefix(to, "http://") {
		return nil, havre.E("deliver", havre.Refused, "a delivery does not travel over plain HTTP").WithHint("use the hub's https:// address")
	}
	if !strings.HasPrefix(to, "https://") {
		return deliver.NewFolder(to), nil
	}
	conf, err := clientTLS(h)
	if err != nil {
		return nil, err
	}
	return deliver.NewHTTPS(to, conf)
}

// clientTLS shows the holder's own key and accepts only the hub's.
func clientTLS(h *deliver.Home) (*tls.Config, error) {
	own, err := sign.Certificate(h.Signer)
	if err != nil {
		return nil, err
	}
	return sign.ClientTLS(own, h.Peers.Hub.PublicKey), nil
}
