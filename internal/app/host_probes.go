package app

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host/catalogue"
	"github.com/havre-hub/havre/internal/host/posture"
	"github.com/havre-hub/havre/internal/host/words"
)

// Ids of the probes that catalogues name.
const (
	probeSealed    = "sealed-at-rest"
	probePQ        = "post-quantum"
	probeLog       = "log-verified"
	probeKeys      = "keys-apart"
	probeTelemetry = "no-telemetry"
	probeCheckers  = "two-checkers"
)

// probes tries what can be tried on the hub as it runs.
func (b *Beside) probes(ctx context.Context, f posture.Facts, heads map[string][]byte) ([]posture.Probe, error) {
	checkers, err := b.probeCheckers(ctx)
	if err != nil {
		return nil, err
	}
	return append(f.Probes, probeHeads(heads), probeRecipients(heads, f.Custodians), probeOfLog(f.Log), probeOfKeys(f), probeConnections(ctx, b.Config.Store), checkers), nil
}

const (
	ageHead = "age-encryption.org/v1\n"
	pqHead  = ageHead + "-> mlkem768x25519 "
)

// probeHeads: objects begin as sealed ones do. The signed manifest of a
// delivery that waits to be ingested is in clear and holds no row.
func probeHeads(heads map[string][]byte) posture.Probe {
	sealed, manifests, clear := 0, 0, 0
	for name, h := range heads {
		switch {
		case bytes.HasPrefix(h, []byte(ageHead)):
			sealed++
		case strings.HasSuffix(name, "/"+envelope.ManifestName) && bytes.HasPrefix(h, []byte("{")):
			manifests++
		default:
			clear++
		}
	}
	return posture.Probe{ID: probeSealed, OK: clear == 0, Found: words.Say("of %d objects read, %d are sealed, %d are signed manifests of deliveries, %d are neither",
		"sur %d objets lus, %d sont scellés, %d sont des manifestes signés de livraisons, %d ni l'un ni l'autre", len(heads), sealed, manifests, clear)}
}

// probeRecipients: what is sealed is sealed to a hybrid post-quantum
// recipient, and so are the wraps of the key ring.
func probeRecipients(heads map[string][]byte, custodians []posture.Custodian) posture.Probe {
	sealed, hybrid, wraps := 0, 0, 0
	for _, h := range heads {
		if !bytes.HasPrefix(h, []byte(ageHead)) {
			continue
		}
		if sealed++; bytes.HasPrefix(h, []byte(pqHead)) {
			hybrid++
		}
	}
	for _, c := range custodians {
		if c.PostQuantum {
			wraps++
		}
	}
	return posture.Probe{ID: probePQ, OK: hybrid == sealed && wraps == len(custodians),
		Found: words.Say("%d of %d sealed objects read, and the wraps of %d of %d custodians, are sealed to a hybrid post-quantum recipient",
			"%d objets scellés lus sur %d, et les enveloppes de %d gardiens sur %d, le sont pour un destinataire hybride post-quantique", hybrid, sealed, wraps, len(custodians))}
}

func probeOfLog(l posture.Log) posture.Probe {
	p := posture.Probe{ID: probeLog, OK: l.Sound, Found: words.Say("%d entries, each hashed again", "%d entrées, toutes recalculées", l.Entries)}
	switch {
	case !l.Sound:
		p.Found = words.Phrase{EN: l.Problem, FR: l.Problem}
	case !l.Checked:
		p.Found = words.Say("%d entries under a signed checkpoint; not each hashed again in the time of a quick report", "%d entrées sous un point de contrôle signé ; non recalculées dans le temps d'un rapport rapide", l.Entries)
	}
	return p
}

func probeOfKeys(f posture.Facts) posture.Probe {
	apart := 0
	for _, c := range f.Custodians {
		if c.Where == posture.Apart {
			apart++
		}
	}
	return posture.Probe{ID: probeKeys, OK: apart == len(f.Custodians) && apart > 0,
		Found: words.Say("the keys of %d of %d custodians are apart from the store", "les clés de %d gardiens sur %d sont à part du stockage", apart, len(f.Custodians))}
}

// probeCheckers: no permit in force lets a result leave on nobody's word.
func (b *Beside) probeCheckers(ctx context.Context) (posture.Probe, error) {
	rows, err := b.Meta.DB().QueryContext(ctx, `SELECT v.signed FROM permit p JOIN permit_version v ON v.permit = p.id
		WHERE p.state = 'granted' AND v.version = (SELECT max(version) FROM permit_version WHERE permit = p.id)`)
	if err != nil {
		return posture.Probe{}, meta.Fail("posture", "the permits cannot be read", err)
	}
	least, n, err := leastCheckers(rows, b)
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return posture.Probe{}, meta.Fail("posture", "the permits cannot be read", err)
	}
	p := posture.Probe{ID: probeCheckers, OK: n == 0 || least >= 1, Found: words.Say("each of %d permits asks for %d people or more, none of them its own, before a result leaves", "chacun des %d permis exige %d personnes au moins, étrangères au projet, avant toute sortie", n, least)}
	if n == 0 {
		p.Found = words.Say("no permit is in force: no result can leave", "aucun permis en vigueur : aucun résultat ne peut sortir")
	}
	return p, nil
}

func leastCheckers(rows *sql.Rows, b *Beside) (least, n int, err error) {
	for rows.Next() {
		var signed []byte
		if err := rows.Scan(&signed); err != nil {
			return 0, 0, err
		}
		p, err := record.VerifyPermit(signed, b.home.signer.Public())
		if err != nil {
			return 0, 0, err
		}
		if n++; n == 1 || p.Checkers < least {
			least = p.Checkers
		}
	}
	return least, n, nil
}

// probeConnections looks at every socket that this process has open at this
// moment: none but to the store. Linux tells them under /proc/self; elsewhere
// the probe cannot tell and says so. That nothing else is ever called is shown
// by a test in a network namespace, not by this glance.
func probeConnections(ctx context.Context, store string) posture.Probe {
	p := posture.Probe{ID: probeTelemetry}
	open, err := connections()
	if err != nil {
		p.Found = words.Say("the sockets of this process cannot be read here", "les connexions de ce processus ne peuvent être lues ici")
		return p
	}
	own, port := storeAddresses(ctx, store)
	var elsewhere, others []string // same port at another address; anything else
	for _, a := range open {
		_, to, _ := net.SplitHostPort(a)
		switch {
		case slices.Contains(own, a):
		case port != "" && to == port: // a name may stand for more addresses than it gives at once
			elsewhere = append(elsewhere, a)
		default:
			others = append(others, a)
		}
	}
	p.OK = len(others) == 0
	switch {
	case !p.OK:
		p.Found = words.Say("open connections to others than the store: %s", "connexions ouvertes vers d'autres que le stockage : %s", strings.Join(distinct(others), ", "))
	case len(elsewhere) > 0:
		p.Found = words.Say("open connections: %d; of these, to addresses that the store's name does not give at this moment: %s", "connexions ouvertes : %d ; dont vers des adresses que le nom du stockage ne donne pas en ce moment : %s",
			len(open), strings.Join(distinct(elsewhere), ", "))
	default:
		p.Found = words.Say("open connections: %d, all to the store", "connexions ouvertes : %d, toutes vers le stockage", len(open))
	}
	return p
}

func distinct(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}

// connections lists the remote ends (address:port) of this process's sockets.
func connections() ([]string, error) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	mine := map[string]bool{}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				mine[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	all := []string{}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			f := strings.Fields(line) // sl local remote state ... inode is the tenth
			if len(f) < 10 || !mine[f[9]] {
				continue
			}
			if a, ok := remoteEnd(f[2]); ok {
				all = append(all, a)
			}
		}
	}
	return all, nil
}

// remoteEnd reads "0100007F:1F90": the address in words of four bytes of the
// machine's order (little endian), then the port. A listening socket has none.
func remoteEnd(s string) (string, bool) {
	address, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || n == 0 || len(address)%8 != 0 {
		return "", false
	}
	ip := make(net.IP, 0, 16)
	for i := 0; i < len(address); i += 8 {
		w, err := strconv.ParseUint(address[i:i+8], 16, 32)
		if err != nil {
			return "", false
		}
		ip = append(ip, byte(w), byte(w>>8), byte(w>>16), byte(w>>24))
	}
	return net.JoinHostPort(ip.String(), strconv.FormatUint(n, 10)), true
}

// storeAddresses gives the addresses that the store may be at, and its port;
// nothing for a folder.
func storeAddresses(ctx context.Context, store string) (all []string, port string) {
	u, err := url.Parse(store)
	if err != nil {
		return nil, ""
	}
	endpoint := u.Query().Get("endpoint")
	if u.Scheme == "azblob" && endpoint == "" {
		endpoint = "https://" + u.Query().Get("account") + ".blob.core.windows.net"
	}
	e, err := url.Parse(endpoint)
	if err != nil || e.Hostname() == "" {
		return nil, ""
	}
	if port = e.Port(); port == "" {
		port = map[string]string{"http": "80", "https": "443"}[e.Scheme]
	}
	ctx, stop := context.WithTimeout(ctx, resolve)
	defer stop()
	hosts, err := net.DefaultResolver.LookupHost(ctx, e.Hostname())
	if err != nil {
		hosts = []string{e.Hostname()}
	}
	for _, h := range hosts {
		all = append(all, net.JoinHostPort(h, port))
	}
	return all, port
}

// ProbeCatalogue answers, for the provider "havre", what the probes can tell of
// the newest version of a catalogue, for today. It gives nil if no item of it
// names a probe.
func (h *Hub) ProbeCatalogue(ctx context.Context, name string, by havre.Personal[string]) (*catalogue.Answers, error) {
	frozen, err := h.Host.FrozenCatalogue(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	f, err := h.beside().facts(ctx, true)
	if err != nil {
		return nil, err
	}
	found := map[string]posture.Probe{}
	for _, p := range f.Probes {
		found[p.ID] = p
	}
	a := &catalogue.Answers{Catalogue: name, Version: frozen.Version, Provider: "havre"}
	for _, i := range frozen.Catalogue.Items() {
		if i.Probe == "" || !slices.Contains(frozen.Catalogue.LayersOf(i), catalogue.Hub) {
			continue
		}
		p, ok := found[i.Probe]
		if !ok {
			return nil, havre.E("catalogue.probe", havre.Invalid, fmt.Sprintf("%s %s names the probe %.40q, which this program has not%s", name, i.ID, i.Probe, havre.Nearest(i.Probe, []string{probeSealed, probePQ, probeLog, probeKeys, probeTelemetry, probeCheckers})))
		}
		word := catalogue.NotMet
		if p.OK {
			word = catalogue.Met
		}
		a.Answers = append(a.Answers, catalogue.Answer{ID: i.ID, Layer: catalogue.Hub, Today: word, Evidence: "probe " + p.ID + ": " + p.Found.EN})
	}
	if len(a.Answers) == 0 {
		return nil, nil
	}
	_, err = h.Host.Answer(ctx, a, by)
	return a, err
}
