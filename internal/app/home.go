package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/azure"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/blob/s3"
	"github.com/havre-hub/havre/internal/ground/seal"
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

// custodianPath gives the file of a "file:PATH" custodian; relative paths count from dir.
func custodianPath(dir, ref string) (string, error) {
	p, ok := strings.CutPrefix(ref, "file:")
	if !ok || p == "" {
		return "", havre.E("custodian", havre.Invalid, "a custodian is named by file:PATH").
			WithHint("keep that file on another medium than the data, e.g. --custodian file:/media/key/hub.key")
	}
	if !filepath.IsAbs(p) {
		p = filepath.Join(dir, p)
	}
	return p, nil
}

// home is what every zone's folder has.
type home struct {
	dir    string
	ring   *seal.Ring
	signer *sign.Signer
}

// newHome makes a zone's folder: configuration, custodian (made if its file is
// absent), key ring with a signing key. It fails with Exists if the folder holds
// anything already.
func newHome(dir, custodian string, conf any) (*home, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, havre.E("init", havre.Exists, "the folder "+dir+" is not empty; nothing there is ever overwritten").
			WithHint("name a new folder")
	}
	path, err := custodianPath(dir, custodian)
	if err != nil {
		return nil, err
	}
	var c *seal.FileCustodian
	if _, serr := os.Stat(path); serr == nil {
		c, err = seal.OpenFileCustodian(path)
	} else {
		c, err = seal.CreateFileCustodian(path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, havre.E("init", havre.NoSpace, "the folder "+dir+" cannot be made").Wrap(err)
	}
	ring, err := seal.CreateRing(filepath.Join(dir, "keys"), c)
	if err != nil {
		return nil, err
	}
	s := sign.NewSigner()
	if err := ring.Put("sign", s.Secret()); err != nil {
		return nil, err
	}
	return &home{dir, ring, s}, config.Write(dir, conf)
}

// openHome opens a zone's folder; conf is a pointer to the zone's configuration
// struct, custodian gives the reference once it is read.
func openHome(dir, zone string, conf any, custodian func() string) (*home, error) {
	if dir == "" {
		return nil, havre.E("open", havre.Usage, "no folder of a "+zone+" was named").
			WithHint("give --" + zone + " FOLDER, or set $HAVRE_" + strings.ToUpper(zone))
	}
	if err := config.Read(dir, conf); err != nil {
		return nil, err
	}
	path, err := custodianPath(dir, custodian())
	if err != nil {
		return nil, err
	}
	c, err := seal.OpenFileCustodian(path)
	if err != nil {
		return nil, err
	}
	ring, err := seal.OpenRing(filepath.Join(dir, "keys"), c)
	if err != nil {
		return nil, err
	}
	secret, err := ring.Get("sign")
	if err != nil {
		return nil, err
	}
	s, err := sign.ParseSigner(secret)
	if err != nil {
		return nil, err
	}
	return &home{dir, ring, s}, nil
}
