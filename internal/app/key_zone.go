package app

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/audit/tlog"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/seal/custodian"
	"github.com/havre-hub/havre/internal/ground/seal/custodian/shares"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive"
)

// Actions of the log around what is done to keys. The intents have no subject:
// the act is named by the position of its intent.
const (
	rotateIntent  = "key.rotate.intent"
	rotatedAction = "key.rotated"
	shareIntent   = "key.share.intent"
	sharedAction  = "key.shared"
	destroyIntent = "key.destroy.intent"
)

// The acts that a ring may have pending.
const (
	actRotate  = "rotate"
	actDestroy = "destroy"
)

// keyZone is a zone as far as its keys go.
type keyZone struct {
	zone    string // "hub", "keeper"
	home    *home
	log     *audit.Log
	main    string                     // the key whose recipient stands on the card
	renew   []string                   // sealing keys that get a new generation at a rotation
	recheck func(who []seal.Who) error // may these be custodians where they lie?
}

func (h *Hub) keyZone(ctx context.Context) (keyZone, error) {
	z := keyZone{zone: ZoneHub, home: h.home, log: h.Log, main: keyHub, renew: []string{keyHub, keyStore},
		recheck: func(who []seal.Who) error { return checkPlace(who, h.home.dir, h.Config) }}
	// Of the keys that the hub made as it went, those get a new generation to
	// which something may still be sealed.
	open := map[string]bool{}
	all, err := h.Desk.Deliveries(ctx)
	if err != nil {
		return z, err
	}
	for _, d := range all {
		open[datasetPrefix+string(d.ID)] = d.State == receive.Received || d.State == receive.Linked
	}
	for _, e := range h.home.ring.Info().Keys {
		settled, known := open[e.Name]
		living := strings.HasPrefix(e.Name, permitPrefix) || strings.HasPrefix(e.Name, datasetPrefix) && (!known || settled)
		if living && !slices.Contains(z.renew, e.Name) {
			z.renew = append(z.renew, e.Name)
		}
	}
	return z, nil
}

func (k *Keeper) keyZone() keyZone {
	return keyZone{zone: ZoneKeeper, home: k.home, log: k.log, main: "keeper", renew: []string{"keeper"},
		recheck: func([]seal.Who) error { return nil }}
}

// bring gets the custodians of the next generation ready: those of the ring
// that stay, renewed where they can be, and new ones, which are made. Nobody
// loses anything by it: no old key is destroyed yet.
func (z keyZone) bring(refs []string) (to []seal.Custodian, err error) {
	info := z.home.ring.Info()
	if len(refs) == 0 {
		for _, w := range info.Wraps {
			refs = append(refs, w.Ref)
		}
	}
	place := custodian.Place{Dir: z.home.dir, Ring: info.Ring, Ask: ask()}
	for _, ref := range refs {
		c, err := z.one(ref, info.Wraps, place)
		if err != nil {
			return nil, err
		}
		to = append(to, c)
	}
	// Who can open goes first: the configuration will name it.
	slices.SortStableFunc(to, func(a, b seal.Custodian) int { return rank(a) - rank(b) })
	return to, nil
}

func rank(c seal.Custodian) int {
	if w, ok := c.(seal.WrapOnly); ok && w.WrapOnly() {
		return 1
	}
	return 0
}

func (z keyZone) one(ref string, wraps []seal.Wrap, place custodian.Place) (seal.Custodian, error) {
	i := slices.IndexFunc(wraps, func(w seal.Wrap) bool { return w.Ref == ref })
	if i < 0 {
		if custodian.KindOf(ref) == shares.Kind {
			return nil, havre.E("key.rotate", havre.Usage, "there are no shares at this key ring yet").WithHint("first: havre key share")
		}
		return custodian.Create(ref, place)
	}
	if wraps[i].Kind == shares.Kind {
		return shares.Keep(ref, wraps[i].Sealed)
	}
	c := z.home.ring.Custodian()
	if c.Who().Ref != ref {
		var err error
		if c, err = custodian.Open(ref, place); err != nil {
			return nil, havre.E("key.rotate", havre.KindOf(err), "the custodian "+ref+" is not here, and its wrap must be renewed too").
				WithHint("bring it, or leave it out: havre key rotate --to ... for each that is to stay").Wrap(err)
		}
	}
	r, ok := c.(seal.Renewable)
	if !ok {
		return c, nil
	}
	// What an earlier renewal left, that was cut before the ring changed, goes first.
	if err := r.Settle(wraps[i].ID); err != nil {
		return nil, err
	}
	return r.Renew()
}

// settle has every custodian destroy the key that it had before the ring's
// generation, so that older copies of the ring open by it no more.
func (z keyZone) settle() error {
	info := z.home.ring.Info()
	place := custodian.Place{Dir: z.home.dir, Ring: info.Ring, Ask: ask()}
	for _, w := range info.Wraps {
		if w.Kind == shares.Kind {
			continue
		}
		c, err := custodian.Open(w.Ref, place)
		if err != nil {
			return err
		}
		if r, ok := c.(seal.Renewable); ok {
			if err := r.Settle(w.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// setCustodian has the configuration name who opens the ring first.
func (z keyZone) setCustodian(ref string) error {
	switch z.zone {
	case ZoneHub:
		conf := config.DefaultHub()
		if err := config.Read(z.home.dir, &conf); err != nil || conf.Custodian == ref {
			return err
		}
		conf.Custodian = ref
		return config.Replace(z.home.dir, conf)
	default:
		var conf config.Keeper
		if err := config.Read(z.home.dir, &conf); err != nil || conf.Custodian == ref {
			return err
		}
		conf.Custodian = ref
		return config.Replace(z.home.dir, conf)
	}
}

// result finds the entry that an act left after its intent, or logs it.
func (z keyZone) result(ctx context.Context, intent int64, e audit.Event) (int64, error) {
	c, err := z.log.Checkpoint()
	if err != nil {
		return 0, err
	}
	for r, err := range z.log.Entries(ctx, intent+1, c.Size, tlog.Filter{Action: e.Action, Subject: e.Subject}) {
		if err != nil {
			return 0, err
		}
		return r.Index, nil
	}
	pos, err := z.log.Record(ctx, e)
	return pos.Index, err
}

// failed puts on record that an act did not happen, and gives its error.
func (z keyZone) failed(ctx context.Context, action string, cause error) error {
	_, err := z.log.Record(context.WithoutCancel(ctx), audit.Event{Action: action + ".failed", Facts: map[string]string{"kind": string(havre.KindOf(cause))}})
	return errors.Join(cause, err)
}

// names lists custodians for the log: kind and key, no path and no person.
func names(who []seal.Who) string {
	words := make([]string, len(who))
	for i, w := range who {
		words[i] = w.Kind + ":" + w.ID
	}
	return strings.Join(words, " ")
}
