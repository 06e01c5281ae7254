package app

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/seal/custodian"
	"github.com/havre-hub/havre/internal/ground/seal/custodian/shares"
	"github.com/havre-hub/havre/internal/havre"
)

// Sharing asks that people become a custodian of a key ring together.
type Sharing struct {
	People []string
	Needed int    // how many of them open
	Out    string // folder for the shares, one file a person; made if absent, never overwritten
	Place  string // where the shares will be brought to open: files or folders, joined by commas
	By     string // account
}

// Shared is what came of it.
type Shared struct {
	Set      string   `json:"set"`
	Needed   int      `json:"needed"`
	Files    []string `json:"files"` // in the order of the people
	Rotation *Rotated `json:"rotation,omitempty"`
	LogIndex int64    `json:"log_index"`
}

// ShareKeys makes shares of the hub's key ring. Only an operator may.
func (h *Hub) ShareKeys(ctx context.Context, s Sharing) (Shared, error) {
	if err := h.mayTouchKeys(ctx, s.By); err != nil {
		return Shared{}, err
	}
	z, err := h.keyZone(ctx)
	if err != nil {
		return Shared{}, err
	}
	return z.share(ctx, s)
}

// ShareKeys makes shares of the keeper's key ring.
func (k *Keeper) ShareKeys(ctx context.Context, s Sharing) (Shared, error) {
	return k.keyZone().share(ctx, s)
}

// share adds a set of people to the custodians. Their shares are on disk before
// the ring knows them: a crash leaves shares that open nothing, never a set
// whose shares are lost.
func (z keyZone) share(ctx context.Context, s Sharing) (Shared, error) {
	info := z.home.ring.Info()
	if slices.ContainsFunc(info.Wraps, func(w seal.Wrap) bool { return w.Kind == shares.Kind }) {
		return Shared{}, havre.E("key.share", havre.Exists, "people hold shares of this key ring already").
			WithHint("end their set first, with: havre key rotate --to REFERENCE for each other custodian; then share again")
	}
	ref := shares.Kind + ":" + s.Place
	if err := custodian.Check(ref); err != nil {
		return Shared{}, err
	}
	c, parts, err := shares.New(ref, info.Ring, s.Needed, s.People)
	if err != nil {
		return Shared{}, err
	}
	out := Shared{Set: c.Who().ID, Needed: s.Needed, Files: []string{}}
	pos, err := z.log.Record(ctx, audit.Event{Action: shareIntent, Actor: havre.NewPersonal(s.By),
		Facts: map[string]string{"needed": strconv.Itoa(s.Needed), "people": strconv.Itoa(len(s.People))}})
	if err != nil {
		return Shared{}, err
	}
	if err := os.MkdirAll(s.Out, 0o700); err != nil {
		return Shared{}, z.failed(ctx, sharedAction, havre.E("key.share", havre.NoSpace, "the folder "+s.Out+" cannot be made").Wrap(err))
	}
	for _, p := range parts {
		file := filepath.Join(s.Out, strconv.Itoa(p.Number)+"-of-"+strconv.Itoa(p.People)+".share")
		if err := writeSecret(file, p.Text()); err != nil {
			return Shared{}, z.failed(ctx, sharedAction, err)
		}
		out.Files = append(out.Files, file)
	}
	if err := z.home.ring.Add(c); err != nil {
		return Shared{}, z.failed(ctx, sharedAction, err)
	}
	out.LogIndex, err = z.result(ctx, pos.Index, audit.Event{Action: sharedAction, Actor: havre.NewPersonal(s.By), Subject: "set-" + out.Set,
		Facts: map[string]string{"needed": strconv.Itoa(s.Needed), "people": strconv.Itoa(len(s.People)), "intent": strconv.FormatInt(pos.Index, 10)}})
	return out, err
}

// writeSecret makes a durable file that only its owner reads.
func writeSecret(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
