package app

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/seal/custodian"
	"github.com/havre-hub/havre/internal/havre"
)

// KeyFacts is what can be told of a zone's keys without any custodian, for the
// posture and for `havre key list`.
type KeyFacts struct {
	Zone string `json:"zone"`
	Name string `json:"name"`
	Ring string `json:"ring"` // path of the key ring
	seal.Info
	Custodians  []CustodianFacts `json:"custodians"`
	BesideStore bool             `json:"beside_store"` // a custodian's key lies on the store's host: the host could open the hub
	Accepted    bool             `json:"accepted"`     // and the configuration accepts it
}

// CustodianFacts is one custodian and where its key lies.
type CustodianFacts struct {
	seal.Who
	Place       string `json:"place"`         // of its key, in words
	BesideStore bool   `json:"beside_store"`  // on the store's host
	Why         string `json:"why,omitempty"` // how that is known
}

// ReadKeyFacts looks at the zone at dir.
func ReadKeyFacts(dir string) (KeyFacts, error) {
	card, _, err := ReadCard(filepath.Join(dir, "card.json"))
	if err != nil {
		return KeyFacts{}, err
	}
	f := KeyFacts{Zone: card.Zone, Name: card.Name, Ring: filepath.Join(dir, keysDir)}
	if card.Zone == ZoneHolder {
		return f, havre.E("key.list", havre.NotFound, "a holder has one signing key, in the file holder.key, and no key ring")
	}
	if f.Info, err = seal.ReadInfo(f.Ring); err != nil {
		return f, err
	}
	store := ""
	if card.Zone == ZoneHub {
		conf := config.DefaultHub()
		if err := config.Read(dir, &conf); err != nil {
			return f, err
		}
		store, f.Accepted = conf.Store, conf.KeyBesideStore
	}
	for _, w := range f.Wraps {
		c := place(w.Who, dir, store)
		f.Custodians = append(f.Custodians, c)
		f.BesideStore = f.BesideStore || c.BesideStore
	}
	return f, nil
}

// place tells where a custodian's key lies, and whether the store's host has it.
func place(w seal.Who, dir, store string) CustodianFacts {
	f := CustodianFacts{Who: w}
	path := custodian.Path(w.Ref, dir)
	beside, why := besideStore(path, dir, store)
	switch w.Kind {
	case "file":
		f.Place = "the file " + path
	case "passphrase":
		f.Place = "the file " + path + ", under a passphrase"
	case "pkcs11":
		f.Place = "a token"
		if !w.Hardware {
			f.Place = "a token that does not say that it is a device"
		}
		return f
	case "shares":
		f.Place = "with its people; nobody's share alone opens"
		return f
	case "plugin":
		f.Place = "behind the age plugin of " + path
		return f
	case "both":
		f.Place = "in two places, both needed"
		if strings.Contains(w.Ref, "pkcs11:") || strings.Contains(w.Ref, "plugin:") {
			return f // the file alone opens nothing
		}
	}
	f.BesideStore, f.Why = beside, why
	return f
}

// besideStore says whether a file lies where the store's host can read it: on
// the disk of a store that is a folder, or on this machine if a server on this
// machine is the store. Whether two machines are one operator's is for the
// host descriptors to tell.
func besideStore(path, dir, store string) (bool, string) {
	if path == "" || store == "" {
		return false, ""
	}
	u, err := url.Parse(store)
	if err != nil {
		return false, ""
	}
	if u.Scheme == "file" {
		folder := strings.TrimPrefix(store, "file:")
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		a, aok := device(path)
		b, bok := device(folder)
		if aok && bok && a != b {
			return false, ""
		}
		return true, "the store " + store + " is on the same file system"
	}
	endpoint, err := url.Parse(u.Query().Get("endpoint"))
	if err != nil || !local(endpoint.Hostname()) {
		return false, ""
	}
	return true, "the store's server " + endpoint.Host + " is this machine"
}

// device is the file system of a path, or of the nearest folder above that is there.
func device(path string) (uint64, bool) {
	for {
		if st, err := os.Stat(path); err == nil {
			s, ok := st.Sys().(*syscall.Stat_t)
			if !ok {
				return 0, false
			}
			return uint64(s.Dev), true
		}
		up := filepath.Dir(path)
		if up == path {
			return 0, false
		}
		path = up
	}
}

// local says whether a host name or address is this machine's own; names are
// not looked up.
func local(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		name, err := os.Hostname()
		return err == nil && host != "" && strings.EqualFold(host, name)
	}
	if ip.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}

// checkPlace refuses to start while a custodian's key lies on the store's host,
// unless the configuration accepts it; the posture then shows it in red.
func checkPlace(who []seal.Who, dir string, conf config.Hub) error {
	if conf.KeyBesideStore {
		return nil
	}
	for _, w := range who {
		if f := place(w, dir, conf.Store); f.BesideStore {
			return havre.E("key.place", havre.Refused, "the hub does not start: its key ("+w.Ref+") lies where the store's host can read it, for "+f.Why).
				WithHint("keep the key on another medium or in a token (--custodian); for a trial on one machine accept it: key_beside_store: true in " +
					filepath.Join(dir, config.FileName) + ", or havre init --key-beside-store; the posture then shows it in red")
		}
	}
	return nil
}

// checkNewPlace is checkPlace for a custodian that is not made yet.
func checkNewPlace(ref, dir string, conf config.Hub) error {
	if err := custodian.Check(ref); err != nil {
		return err
	}
	return checkPlace([]seal.Who{{Kind: custodian.KindOf(ref), Ref: ref}}, dir, conf)
}
