package deliver

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Home is the folder of a holder:
//
//	holder.key    the signing key, for its owner's eyes only
//	peers.yaml    the holder's name, the hub and the keeper
//	outbox/       sealed deliveries that are not sent to the end
//	receipts/     DELIVERY.manifest.json and DELIVERY.receipt.json
type Home struct {
	dir    string
	Peers  Peers
	Signer *sign.Signer
}

// Peers are those a holder deals with, as peers.yaml names them.
type Peers struct {
	Holder havre.HolderID `yaml:"holder"`
	Hub    HubPeer        `yaml:"hub"`
	Keeper KeeperPeer     `yaml:"keeper"`
}

// HubPeer is the hub: the key that signs its receipts, and the recipient that
// health parts are sealed to.
type HubPeer struct {
	Name      string         `yaml:"name"`
	PublicKey sign.PublicKey `yaml:"public_key"`
	Recipient seal.Recipient `yaml:"recipient"`

	Generation int `yaml:"generation,omitempty"` // of the recipient
}

// KeeperPeer is the keeper: the recipient that identity parts are sealed to,
// and the key that signs its cards.
type KeeperPeer struct {
	Recipient seal.Recipient `yaml:"recipient"`
	PublicKey string         `yaml:"public_key,omitempty"` // absent in folders of before keys could rotate

	Generation int `yaml:"generation,omitempty"` // of the recipient
}

const (
	keyFile   = "holder.key"
	peersFile = "peers.yaml"
)

// CreateHome makes the folder with a fresh signing key; it fails with Exists
// if there is a key already.
func CreateHome(dir string, peers Peers) (*Home, error) {
	if err := peers.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fileError("the holder's folder "+dir+" cannot be made", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, keyFile)); err == nil {
		return nil, havre.E("deliver.home", havre.Exists, "there is a holder's key in "+dir+" already").
			WithHint("open that folder, or make another one")
	}
	text, err := yaml.Marshal(peers)
	if err != nil {
		return nil, havre.E("deliver.home", havre.Internal, "the peers have no YAML form").Wrap(err)
	}
	if err := writeFile(filepath.Join(dir, peersFile), text); err != nil {
		return nil, fileError("the file "+peersFile+" cannot be written", err)
	}
	h := &Home{dir: dir, Peers: peers, Signer: sign.NewSigner()}
	seed := base64.StdEncoding.EncodeToString(h.Signer.Secret().Reveal()) + "\n"
	if err := writeFile(filepath.Join(dir, keyFile), []byte(seed)); err != nil { // mode 0600, as CreateTemp makes it
		return nil, fileError("the holder's key cannot be written", err)
	}
	return h, nil
}

// OpenHome reads the folder. A missing key is an error, never a fresh start.
func OpenHome(dir string) (*Home, error) {
	key := filepath.Join(dir, keyFile)
	st, err := os.Stat(key)
	if err != nil {
		return nil, havre.E("deliver.home", havre.KeyUnavailable, "there is no holder's key at "+key).
			WithHint("name the holder's folder, or restore the key from its backup: the hub knows the holder by it").Wrap(err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, havre.E("deliver.home", havre.KeyUnavailable, "other users of this machine can read "+key).WithHint("chmod 600 " + key)
	}
	text, err := os.ReadFile(key)
	if err != nil {
		return nil, havre.E("deliver.home", havre.KeyUnavailable, key+" cannot be read").Wrap(err)
	}
	seed, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(string(text)))
	if err != nil { // the cause could quote the key
		return nil, havre.E("deliver.home", havre.KeyUnavailable, key+" does not hold a holder's key")
	}
	h := &Home{dir: dir}
	if h.Signer, err = sign.ParseSigner(havre.NewSecret(seed)); err != nil {
		return nil, err
	}
	peers, err := os.ReadFile(filepath.Join(dir, peersFile))
	if err != nil {
		return nil, havre.E("deliver.home", havre.NotFound, "the holder's folder "+dir+" has no "+peersFile).Wrap(err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(peers), yaml.Strict()).Decode(&h.Peers); err != nil {
		return nil, havre.E("deliver.home", havre.Invalid, filepath.Join(dir, peersFile)+" is not valid").
			WithHint("its keys are holder, hub (name, public_key, recipient) and keeper (recipient)").Wrap(err)
	}
	return h, h.Peers.check()
}

func (p Peers) check() error {
	if !havre.ValidName(string(p.Holder)) || !havre.ValidName(p.Hub.Name) || p.Hub.PublicKey.String() == "" ||
		p.Hub.Recipient.String() == "" || p.Keeper.Recipient.String() == "" {
		return havre.E("deliver.home", havre.Invalid, "the holder's peers are not complete").
			WithHint("it takes the holder's name, the hub's name, public key and recipient, and the keeper's recipient")
	}
	return nil
}

// Options are those of a delivery from this holder to its hub; the source and
// the transports are the caller's to add.
func (h *Home) Options() Options {
	return Options{
		Holder: h.Peers.Holder, Signer: h.Signer,
		Hub: h.Peers.Hub.Name, HubRecipient: h.Peers.Hub.Recipient, HubKey: h.Peers.Hub.PublicKey,
		KeeperRecipient: h.Peers.Keeper.Recipient, Outbox: filepath.Join(h.dir, "outbox"),
	}
}

// Keep stores the signed manifest of a delivery and, if it has come, the
// receipt, after checking both. Keeping the same twice is no error.
func (h *Home) Keep(manifest, receipt []byte) error {
	m, err := envelope.VerifyManifest(manifest, h.Signer.Public())
	if err != nil {
		return err
	}
	if err := h.keep(string(m.Delivery)+".manifest.json", manifest); err != nil || receipt == nil {
		return err
	}
	if _, err := CheckReceipt(receipt, m, manifest, h.Peers.Hub.PublicKey); err != nil {
		return err
	}
	return h.keep(string(m.Delivery)+".receipt.json", receipt)
}

// KeepReceipt stores a receipt that came later than its delivery, whose
// manifest Keep has stored.
func (h *Home) KeepReceipt(receipt []byte) error {
	r, err := envelope.VerifyReceipt(receipt, h.Peers.Hub.PublicKey)
	if err != nil {
		return err
	}
	if !envelope.IsDeliveryID(string(r.Delivery)) {
		return havre.E("deliver.receipt", havre.Tampered, "the receipt names no delivery")
	}
	manifest, err := os.ReadFile(filepath.Join(h.dir, "receipts", string(r.Delivery)+".manifest.json"))
	if err != nil {
		return havre.E("deliver.receipt", havre.NotFound, "this holder has no manifest of the delivery "+string(r.Delivery)).
			WithHint("the receipt belongs to another holder's delivery, or the folder receipts was not restored").Wrap(err)
	}
	return h.Keep(manifest, receipt)
}

func (h *Home) keep(name string, data []byte) error {
	dir := filepath.Join(h.dir, "receipts")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fileError("the folder "+dir+" cannot be made", err)
	}
	path := filepath.Join(dir, name)
	old, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(old, data) {
		return havre.E("deliver.home", havre.Exists, "another "+name+" is kept in "+dir+" already")
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fileError(path+" cannot be read", err)
	}
	if err := writeFile(path, data); err != nil {
		return fileError(path+" cannot be written", err)
	}
	return nil
}
