package app

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strconv"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper"
	"github.com/havre-hub/havre/internal/keeper/link"
	"github.com/havre-hub/havre/internal/keeper/pseudonym"
)

// Keeper is an open keeper with its home; Close it.
type Keeper struct {
	*keeper.Keeper
	home *home
	log  *audit.Log
	lock *meta.FolderLock
}

// InitKeeper makes a keeper's home at dir.
func InitKeeper(ctx context.Context, dir, name, custodian string) (Card, error) {
	if !havre.ValidName(name) {
		return Card{}, badName("keeper", name)
	}
	h, err := newHome(dir, custodian, config.Keeper{Name: name, Custodian: custodian})
	if err != nil {
		return Card{}, err
	}
	key, err := h.ring.NewKey("keeper")
	if err != nil {
		return Card{}, err
	}
	if err := newSecret(h.ring, level1Secret(1), pseudonym.SecretSize); err != nil {
		return Card{}, err
	}
	if err := newLogKey(h.ring); err != nil {
		return Card{}, err
	}
	store, err := file.Create(filepath.Join(dir, "register"))
	if err != nil {
		return Card{}, err
	}
	if err := keeper.Create(ctx, store, key); err != nil {
		return Card{}, err
	}
	logKey, err := h.signerOf("log")
	if err != nil {
		return Card{}, err
	}
	if err := audit.Create(ctx, filepath.Join(dir, "log"), keeperLog(name, logKey)); err != nil {
		return Card{}, err
	}
	// The card comes last: a home without one was not finished.
	card := Card{Zone: ZoneKeeper, Name: name, Key: h.signer.Public(), Recipient: key.Recipient().String()}
	return card, writeCard(dir, card, h.signer)
}

// OpenKeeper opens the keeper at dir for this process alone.
func OpenKeeper(ctx context.Context, dir string) (_ *Keeper, err error) {
	var conf config.Keeper
	h, err := openHome(dir, ZoneKeeper, &conf, func() string { return conf.Custodian })
	if err != nil {
		return nil, err
	}
	k := &Keeper{home: h}
	defer func() {
		if err != nil {
			_ = k.Close()
		}
	}()
	if k.lock, err = meta.Lock(dir); err != nil {
		return nil, err
	}
	key, err := h.ring.Key("keeper")
	if err != nil {
		return nil, err
	}
	secret, err := h.ring.Get(level1Secret(1))
	if err != nil {
		return nil, err
	}
	level1, err := pseudonym.NewLevel1(1, secret)
	if err != nil {
		return nil, err
	}
	logKey, err := h.signerOf("log")
	if err != nil {
		return nil, err
	}
	store, err := file.Open(filepath.Join(dir, "register"))
	if err != nil {
		return nil, err
	}
	if k.log, err = audit.Open(ctx, filepath.Join(dir, "log"), keeperLog(conf.Name, logKey)); err != nil {
		return nil, err
	}
	cards, err := trusted(dir, "")
	if err != nil {
		return nil, err
	}
	holders, hubs := map[havre.HolderID]sign.PublicKey{}, map[string]seal.Recipient{}
	for _, c := range cards {
		switch c.Zone {
		case ZoneHolder:
			holders[havre.HolderID(c.Name)] = c.Key
		case ZoneHub:
			if hubs[c.Name], err = c.recipient(); err != nil {
				return nil, err
			}
		}
	}
	k.Keeper, err = keeper.Open(ctx, keeper.Config{Name: conf.Name, Store: store, Key: key, Signer: h.signer, Level1: level1,
		Linker: link.Exact{}, Log: k.log, Now: havre.SystemNow, Holders: holders, Hubs: hubs})
	if err != nil {
		return nil, err
	}
	if err = k.finishKeys(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// Close lets go of the keeper's log and folder.
func (k *Keeper) Close() (err error) {
	if k.log != nil {
		err = k.log.Close()
	}
	if k.lock != nil {
		if uerr := k.lock.Unlock(); err == nil {
			err = uerr
		}
	}
	return err
}

// level1Secret names a version of the level-1 pseudonym secret in the ring.
func level1Secret(version int) string { return "level-1-v" + strconv.Itoa(version) }

func keeperLog(name string, signer *sign.Signer) audit.Options {
	return audit.Options{Origin: "havre.keeper/" + name, Signer: signer, Openings: audit.NoOpenings}
}

func badName(zone, name string) error {
	return havre.E("init", havre.Invalid, "a "+zone+" may not be named \""+name+"\"").
		WithHint("1 to 63 lower-case letters, digits and hyphens, beginning with a letter or digit")
}

// newSecret draws n random bytes under a name of the ring.
func newSecret(r *seal.Ring, name string, n int) error {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand never fails
	return r.Put(name, havre.NewSecret(b))
}

// newLogKey makes the key that signs checkpoints. It is not the zone's signing
// key, so that a log can be handed on without the power to sign documents.
func newLogKey(r *seal.Ring) error { return r.Put("log", sign.NewSigner().Secret()) }

func (h *home) signerOf(name string) (*sign.Signer, error) {
	secret, err := h.ring.Get(name)
	if err != nil {
		return nil, err
	}
	return sign.ParseSigner(secret)
}
