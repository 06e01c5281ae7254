// Package custodian opens custodians by their references, as they stand in the
// configuration and in the key ring:
//
//	file:PATH                  a key file, in clear
//	passphrase:PATH            a key file under a passphrase
//	pkcs11:token=...;object=...?module-path=...   a key in a token or HSM
//	plugin:PATH                the identity file of an age plugin
//	shares:PLACE[,PLACE...]    shares of people: files, or folders of *.share
//	REFERENCE + REFERENCE      both together are needed
//
// Relative paths count from the folder of the key ring's zone.
package custodian

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/seal/custodian/pkcs11"
	"github.com/havre-hub/havre/internal/ground/seal/custodian/plugin"
	"github.com/havre-hub/havre/internal/ground/seal/custodian/shares"
	"github.com/havre-hub/havre/internal/havre"
)

// Place is what references count from and ask.
type Place struct {
	Dir  string   // of the zone
	Ring string   // id of the ring, for custodians that are made
	Ask  seal.Ask // for passphrases and PINs
}

const joint = " + "

// Path gives the file of a "file:", "passphrase:" or "plugin:" reference, and
// the first place of a "shares:" one; "" for others. Of a joint reference it is
// that of the first part that has one.
func Path(ref, dir string) string {
	for _, part := range strings.Split(ref, joint) {
		kind, rest, _ := strings.Cut(part, ":")
		switch kind {
		case "file", "passphrase", plugin.Kind, shares.Kind:
			p, _, _ := strings.Cut(rest, ",")
			return absolute(p, dir)
		}
	}
	return ""
}

// KindOf is the word before the colon, or "both".
func KindOf(ref string) string {
	if strings.Contains(ref, joint) {
		return kindBoth
	}
	kind, _, _ := strings.Cut(ref, ":")
	return kind
}

func absolute(p, dir string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(dir, p)
}

// Check says whether a reference is well formed, without looking at anything.
func Check(ref string) error {
	for _, part := range strings.Split(ref, joint) {
		kind, rest, _ := strings.Cut(part, ":")
		switch kind {
		case "file", "passphrase", plugin.Kind, shares.Kind:
			if rest == "" {
				return badRef(ref)
			}
		case pkcs11.Kind:
			if _, err := pkcs11.ParseURI(part); err != nil {
				return err
			}
		default:
			return badRef(ref)
		}
	}
	return nil
}

func badRef(ref string) error {
	return havre.E("custodian", havre.Invalid, "\""+ref+"\" names no custodian").
		WithHint("write file:PATH, passphrase:PATH, pkcs11:..., plugin:PATH, shares:FOLDER, or two of them joined by \" + \"; keep files on another medium than the data, e.g. file:/media/key/hub.key")
}

// Open finds the custodian; its means must be here.
func Open(ref string, p Place) (seal.Custodian, error) {
	if err := Check(ref); err != nil {
		return nil, err
	}
	if parts := strings.Split(ref, joint); len(parts) > 1 {
		return openBoth(parts, p, Open)
	}
	kind, rest, _ := strings.Cut(ref, ":")
	switch kind {
	case "file":
		return seal.OpenFileCustodian(fileOptions(ref, rest, p, nil))
	case "passphrase":
		return seal.OpenFileCustodian(fileOptions(ref, rest, p, p.Ask))
	case pkcs11.Kind:
		return pkcs11.Open(ref, p.Dir, p.Ask)
	case plugin.Kind:
		return plugin.Open(ref, absolute(rest, p.Dir), p.Ask)
	default:
		var places []string
		for _, s := range strings.Split(rest, ",") {
			places = append(places, absolute(s, p.Dir))
		}
		return shares.Open(ref, places)
	}
}

// Create makes the custodian's key, unless it is there and is this ring's own.
// Shares are made by shares.New, and a plugin's identity by the plugin's tool.
func Create(ref string, p Place) (seal.Custodian, error) {
	if err := Check(ref); err != nil {
		return nil, err
	}
	if parts := strings.Split(ref, joint); len(parts) > 1 {
		return openBoth(parts, p, Create)
	}
	kind, rest, _ := strings.Cut(ref, ":")
	switch kind {
	case "file", "passphrase":
		var ask seal.Ask
		if kind == "passphrase" {
			ask = p.Ask
		}
		o := fileOptions(ref, rest, p, ask)
		if _, err := os.Stat(o.Path); err == nil {
			return ownFile(o)
		}
		return seal.CreateFileCustodian(o)
	case pkcs11.Kind:
		c, err := pkcs11.Create(ref, p.Dir, p.Ask)
		if havre.KindOf(err) == havre.Exists {
			return pkcs11.Open(ref, p.Dir, p.Ask)
		}
		return c, err
	case shares.Kind:
		return nil, havre.E("custodian", havre.Usage, "people with shares are not the first custodians of a key ring").
			WithHint("begin with another custodian, then: havre key share")
	}
	return Open(ref, p)
}

func fileOptions(ref, path string, p Place, ask seal.Ask) seal.FileOptions {
	return seal.FileOptions{Path: absolute(path, p.Dir), Ref: ref, Ring: p.Ring, Ask: ask}
}

// ownFile opens a file that is there, if it is of this ring.
func ownFile(o seal.FileOptions) (seal.Custodian, error) {
	c, err := seal.OpenFileCustodian(o)
	if err != nil {
		return nil, err
	}
	if c.Who().Ring != o.Ring {
		return nil, havre.E("custodian", havre.Exists, o.Path+" is the custodian of another key ring").
			WithHint("name a new file: every key ring has a custodian of its own; if an init was cut off and nothing uses the file, remove it")
	}
	return c, nil
}
