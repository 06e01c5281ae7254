package app

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/azure"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/blob/s3"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/seal/custodian"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Stores knows every kind of object store.
func Stores() blob.Registry { return blob.NewRegistry(file.Driver{}, s3.Driver{}, azure.Driver{}) }

// openStore opens a store by URL; a relative file: URL counts from dir.
func openStore(ctx context.Context, dir, raw string, create bool) (blob.Store, error) {
	if p, ok := strings.CutPrefix(raw, "file:"); ok && !filepath.IsAbs(p) {
		raw = "file:" + filepath.Join(dir, p)
	}
	return Stores().Open(ctx, raw, blob.Options{Getenv: os.Getenv, Create: create})
}

// home is what every zone's folder has.
type home struct {
	dir    string
	ring   *seal.Ring
	signer *sign.Signer
}

// newHome makes a zone's folder: configuration, custodian, key ring with a
// signing key. It fails with Exists if the folder holds anything already.
func newHome(dir, ref string, conf any) (*home, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, havre.E("init", havre.Exists, "the folder "+dir+" is not empty; nothing there is ever overwritten").
			WithHint("name a new folder")
	}
	id := seal.NewRingID()
	c, err := custodian.Create(ref, custodian.Place{Dir: dir, Ring: id, Ask: ask()})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, havre.E("init", havre.NoSpace, "the folder "+dir+" cannot be made").Wrap(err)
	}
	ring, err := seal.CreateRing(filepath.Join(dir, keysDir), id, c)
	if err != nil {
		return nil, err
	}
	s := sign.NewSigner()
	if err := ring.Put(keySign, s.Secret()); err != nil {
		return nil, err
	}
	return &home{dir, ring, s}, config.Write(dir, conf)
}

// openHome opens a zone's folder; conf is a pointer to the zone's configuration
// struct, ref gives its custodian once it is read.
func openHome(dir, zone string, conf any, ref func() string) (*home, error) {
	if dir == "" {
		return nil, havre.E("open", havre.Usage, "no folder of a "+zone+" was named").
			WithHint("give --" + zone + " FOLDER, or set $HAVRE_" + strings.ToUpper(zone))
	}
	if err := config.Read(dir, conf); err != nil {
		return nil, err
	}
	ring, err := openRing(dir, ref())
	if err != nil {
		return nil, err
	}
	secret, err := ring.Get(keySign)
	if err != nil {
		return nil, err
	}
	s, err := sign.ParseSigner(secret)
	if err != nil {
		return nil, err
	}
	return &home{dir, ring, s}, nil
}

// keysDir is the folder of the key ring in a zone's folder.
const keysDir = "keys"

// keySign is the zone's signing key in its ring.
const keySign = "sign"

// custodianVariable names a custodian to try first, for one command: a spare
// one, or people with their shares.
const custodianVariable = "HAVRE_CUSTODIAN"

// openRing opens the key ring at dir by the custodian of the configuration, or
// by the first other one of the ring that is here: the ring itself says who its
// custodians are, and the configuration may be a step behind after a crash.
func openRing(dir, ref string) (*seal.Ring, error) {
	info, err := seal.ReadInfo(filepath.Join(dir, keysDir))
	if err != nil {
		return nil, err
	}
	refs := []string{ref}
	if v := os.Getenv(custodianVariable); v != "" {
		refs = []string{v, ref}
	}
	for _, w := range info.Wraps {
		if !slices.Contains(refs, w.Ref) {
			refs = append(refs, w.Ref)
		}
	}
	place := custodian.Place{Dir: dir, Ring: info.Ring, Ask: ask()}
	var first error
	for _, ref := range refs {
		c, err := custodian.Open(ref, place)
		if err == nil {
			var ring *seal.Ring
			if ring, err = seal.OpenRing(filepath.Join(dir, keysDir), c); err == nil {
				return ring, nil
			}
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}
