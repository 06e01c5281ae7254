package move

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
)

// PlaceOf names the store at a URL for reports and the log: scheme, bucket and
// path, and the host that serves it; no settings besides.
func PlaceOf(raw string) (record.Place, error) {
	u, err := blob.ParseURL(raw)
	if err != nil {
		return record.Place{}, err
	}
	if u.Scheme == "file" {
		return record.Place{Kind: "file", Where: "file:" + filePath(u)}, nil
	}
	p := record.Place{Kind: u.Scheme, Where: u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/")}
	switch q := u.Query(); {
	case q.Get("endpoint") != "":
		if e, err := url.Parse(q.Get("endpoint")); err == nil {
			p.Where += " at " + e.Host
		}
	case q.Get("account") != "":
		p.Where += " at " + q.Get("account") + ".blob.core.windows.net"
	}
	return p, nil
}

func filePath(u *url.URL) string {
	p := u.Path
	if u.Opaque != "" {
		if plain, err := url.PathUnescape(u.Opaque); err == nil {
			p = plain
		}
	}
	return filepath.Clean(p)
}

// overlap says whether one of the two URLs is the other's place or lies in it,
// as far as the URLs tell. planClaim finds what they hide.
func overlap(a, b string) bool {
	x, errX := address(a)
	y, errY := address(b)
	return errX == nil && errY == nil && (strings.HasPrefix(x, y) || strings.HasPrefix(y, x))
}

// address is one spelling of a place, ending with "/".
func address(raw string) (string, error) {
	u, err := blob.ParseURL(raw)
	if err != nil {
		return "", err
	}
	if u.Scheme == "file" {
		p := filePath(u)
		for dir, rest := p, ""; ; dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest) {
			if real, err := filepath.EvalSymlinks(dir); err == nil {
				return "file:" + strings.TrimSuffix(filepath.Join(real, rest), "/") + "/", nil
			}
			if dir == filepath.Dir(dir) {
				return "file:" + strings.TrimSuffix(p, "/") + "/", nil
			}
		}
	}
	q := u.Query()
	server := strings.ToLower(strings.TrimSuffix(q.Get("endpoint"), "/"))
	if e, err := url.Parse(server); err == nil && e.Host != "" {
		port := e.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[e.Scheme]
		}
		server = e.Hostname() + ":" + port + e.Path
	}
	return u.Scheme + "://" + server + "|" + q.Get("account") + "|" + u.Host + "/" + strings.Trim(u.Path, "/") + strings.Repeat("/", min(1, len(strings.Trim(u.Path, "/")))), nil
}

// Objects of a move at the new store. They are no part of the hub's data.
const (
	movePrefix = "move/"
	claimName  = movePrefix + "claim"
	probes     = "probe/" // of blob.Probe and of the plan's sample; a crash may leave them
)

// own says whether the name is a move's own object, not the hub's.
func own(name string) bool {
	return strings.HasPrefix(name, movePrefix) || strings.HasPrefix(name, probes)
}

// claim says at a store which move writes there.
type claim struct {
	Hub    string `json:"hub"`
	Origin string `json:"origin"` // of the hub's log
	Move   string `json:"move"`
	Nonce  string `json:"nonce"` // two hubs may have one name
}

// lay puts the move's claim on the new store, or finds it there. A claim of
// another hub or move is kind Refused: write-once lets one of two win.
func (m *Mover) lay(ctx context.Context, e *entry, s blob.Store) error {
	mine, err := m.claim(e)
	if err != nil {
		return err
	}
	err = s.Put(ctx, claimName, mine)
	if havre.KindOf(err) != havre.Exists {
		return err
	}
	there, err := blob.GetAll(ctx, s, claimName)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, mine) {
		return taken(there)
	}
	return nil
}

func (m *Mover) claim(e *entry) ([]byte, error) {
	b, err := json.Marshal(claim{m.c.Hub, m.c.Origin, e.id(), e.Nonce})
	if err != nil {
		return nil, havre.E(op, havre.Internal, "the claim has no JSON form").Wrap(err)
	}
	return b, nil
}

func taken(b []byte) error {
	var c claim
	_ = json.Unmarshal(b, &c) // of a stranger: it may be anything
	return havre.E(op, havre.Refused, "another move is writing to the new store: "+quoted(c.Move)+" of the hub "+quoted(c.Hub)).
		WithHint("choose another place, or end that move with: havre move back")
}

func quoted(s string) string {
	b, _ := json.Marshal(s[:min(len(s), 80)])
	return string(b)
}

// vacant demands that the new store holds nothing of anybody; claimed says that
// the claim there is this move's.
func (m *Mover) vacant(ctx context.Context, s blob.Store, where string, claimed bool) error {
	for info, err := range s.List(ctx, "") {
		if err != nil {
			return err
		}
		switch {
		case info.Name == claimName && !claimed:
			b, err := blob.GetAll(ctx, s, claimName)
			if err != nil {
				return err
			}
			return taken(b)
		case own(info.Name):
			continue
		}
		// A hub's store has snapshots; tell that apart from other things.
		for _, err := range s.List(ctx, "snapshot/") {
			if err != nil {
				return err
			}
			return havre.E(op, havre.Exists, "the store "+where+" holds another hub; it is never overwritten").
				WithHint("choose an empty place: another bucket, container, prefix or folder")
		}
		return havre.E(op, havre.Exists, "the store "+where+" is not empty: it holds "+quoted(info.Name)).
			WithHint("choose an empty place: another bucket, container, prefix or folder")
	}
	return nil
}

// sweep removes what plans that were cut left at the new store.
func sweep(ctx context.Context, s blob.Store) error {
	for info, err := range s.List(ctx, probes) {
		if err != nil {
			return err
		}
		if err := s.Delete(ctx, info.Name); err != nil {
			return err
		}
	}
	return nil
}

// apart shows that the new store is not the old one under another name, nor
// inside it: an object put there must not appear here.
func (m *Mover) apart(ctx context.Context, from, to blob.Store) (err error) {
	name := probes + strings.ToLower(rand.Text())
	if err := to.Put(ctx, name, []byte(name)); err != nil {
		return err
	}
	defer func() {
		if derr := to.Delete(context.WithoutCancel(ctx), name); err == nil {
			err = derr
		}
	}()
	_, err = from.Stat(ctx, name)
	if err == nil {
		return samePlace()
	}
	if havre.KindOf(err) != havre.NotFound {
		return err
	}
	return nil
}

func samePlace() error {
	return havre.E(op, havre.Refused, "the new store is the place where the hub is already, or lies inside it").
		WithHint("name another store; nothing was changed")
}
