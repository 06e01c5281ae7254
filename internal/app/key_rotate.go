package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/seal/custodian"
	"github.com/havre-hub/havre/internal/havre"
)

// Rotation asks for the next generation of a zone's keys.
type Rotation struct {
	To     []string // references of the custodians from then on; none = those of now, renewed
	By     string   // account that asks
	Reason string
}

// Rotated is what a rotation did and what it could not undo.
type Rotated struct {
	Zone        string        `json:"zone"`
	Generation  int           `json:"generation"` // of the key ring
	Before      []seal.Who    `json:"before"`     // custodians
	After       []seal.Who    `json:"after"`
	Renewed     []string      `json:"renewed"`   // keys with a new generation: all that is sealed from then on is sealed to it
	Rewrapped   int           `json:"rewrapped"` // keys and generations in the ring, none of whose data were touched
	Proofs      []Proof       `json:"proofs"`
	MayHaveKept []string      `json:"may_have_kept"` // by the old custodians; nothing can take it from them
	ToDo        []string      `json:"to_do"`
	LogIndex    int64         `json:"log_index"`
	Took        time.Duration `json:"took_ns"`
}

// Proof is one thing that was tried with the old means, and failed as it must.
type Proof struct {
	Tried  string `json:"tried"`
	Failed bool   `json:"failed"`
}

// RotateKeys rotates the hub's keys. Who holds keys of the hub in memory has to
// open it again. Only an operator may.
func (h *Hub) RotateKeys(ctx context.Context, r Rotation) (Rotated, error) {
	if err := h.mayTouchKeys(ctx, r.By); err != nil {
		return Rotated{}, err
	}
	z, err := h.keyZone(ctx)
	if err != nil {
		return Rotated{}, err
	}
	defer h.keys.Clear()
	return z.rotate(ctx, r)
}

// RotateKeys rotates the keeper's keys.
func (k *Keeper) RotateKeys(ctx context.Context, r Rotation) (Rotated, error) {
	return k.keyZone().rotate(ctx, r)
}

func (z keyZone) rotate(ctx context.Context, r Rotation) (Rotated, error) {
	began := time.Now()
	for _, ref := range r.To {
		if err := custodian.Check(ref); err != nil {
			return Rotated{}, err
		}
	}
	ring := z.home.ring
	out := Rotated{Zone: z.zone, Before: custodians(ring), Renewed: z.renew}
	old, opener, err := z.oldMeans()
	if err != nil {
		return Rotated{}, err
	}
	pos, err := z.log.Record(ctx, audit.Event{Action: rotateIntent, Actor: havre.NewPersonal(r.By),
		Facts: map[string]string{"generation": strconv.Itoa(ring.Info().Generation), "custodians": names(out.Before)}, Private: reason(r.Reason)})
	if err != nil {
		return Rotated{}, err
	}
	to, err := z.bring(r.To)
	if err != nil {
		return Rotated{}, z.failed(ctx, rotatedAction, err)
	}
	who := make([]seal.Who, len(to))
	for i, c := range to {
		who[i] = c.Who()
	}
	if err := z.recheck(who); err != nil {
		return Rotated{}, z.failed(ctx, rotatedAction, err)
	}
	err = ring.Change(seal.Change{To: to, Renew: z.renew, Pending: &seal.Pending{Act: actRotate, Intent: pos.Index, At: havre.SystemNow().Truncate(time.Second),
		By: r.By, Reason: r.Reason, Names: z.renew, Former: out.Before, Subject: []string{}}})
	if err != nil {
		return Rotated{}, z.failed(ctx, rotatedAction, err)
	}
	if out.LogIndex, err = z.finishRotation(ctx); err != nil {
		return Rotated{}, err
	}
	info := ring.Info()
	out.Generation, out.After, out.Rewrapped = info.Generation, custodians(ring), len(info.Keys)
	if out.Proofs, err = z.prove(opener, out, old); err != nil {
		return out, err
	}
	out.explain()
	out.Took = time.Since(began)
	return out, nil
}

// oldMeans gives all that the custodians of now can open with.
func (z keyZone) oldMeans() (map[string]*seal.Key, seal.Custodian, error) {
	old := map[string]*seal.Key{}
	for _, name := range z.renew {
		k, err := z.home.ring.Key(name)
		if err != nil {
			return nil, nil, err
		}
		old[name] = k
	}
	return old, z.home.ring.Custodian(), nil
}

// prove tries with the old means what must fail from now on: to open the ring
// as it is on disk, and to open what is sealed to each renewed key.
func (z keyZone) prove(opener seal.Custodian, r Rotated, old map[string]*seal.Key) (proofs []Proof, err error) {
	stays := slices.ContainsFunc(r.After, func(w seal.Who) bool { return w.Ref == opener.Who().Ref })
	if !stays {
		_, err := seal.OpenRing(filepath.Join(z.home.dir, keysDir), opener)
		proofs = append(proofs, Proof{"the custodian " + opener.Who().Ref + " opens the key ring", err != nil})
	}
	for _, name := range z.renew {
		k, err := z.home.ring.Key(name)
		if err != nil {
			return nil, err
		}
		probe, err := seal.Seal([]byte("probe"), k.Recipient())
		if err != nil {
			return nil, err
		}
		if _, err := seal.Open(probe, k); err != nil {
			return nil, err
		}
		_, err = seal.Open(probe, old[name])
		proofs = append(proofs, Proof{"the key " + name + " of before opens what is sealed to it now", havre.KindOf(err) == havre.KeyUnavailable})
	}
	for _, p := range proofs {
		if !p.Failed {
			return proofs, havre.E("key.rotate", havre.Internal, "after the rotation this was tried, and must have failed: "+p.Tried)
		}
	}
	return proofs, nil
}

// explain says what a rotation cannot undo, and what people do next.
func (r *Rotated) explain() {
	r.MayHaveKept = []string{
		"the sealing keys as they were until now: they open copies of all that was sealed before, wherever such copies are, moved ones too; nothing that is sealed from now on",
		"the signing keys and the secrets of pseudonyms and buckets, which a rotation does not change: with them it could sign in this zone's name and recompute pseudonyms",
		"copies of the key ring from before, which open by the keys that the old custodians had",
	}
	for _, w := range r.Before {
		gone := !slices.ContainsFunc(r.After, func(a seal.Who) bool { return a.Ref == w.Ref && a.Kind == w.Kind })
		if gone {
			r.ToDo = append(r.ToDo, "have the key of the former custodian "+w.Ref+" destroyed by who holds it")
		}
		if !gone && slices.ContainsFunc(r.After, func(a seal.Who) bool { return a.ID == w.ID }) && w.Kind != "shares" {
			r.MayHaveKept = append(r.MayHaveKept, "the custodian "+w.Ref+" keeps its key: it still opens copies of the key ring from before")
		}
	}
	r.ToDo = append(r.ToDo, "back up the key ring: older copies do not open what is sealed from now on",
		"hand out the new card.json (havre trust): what is sealed to the old one is still opened")
}

// finishRotation does what follows the ring's change. It is repeated without harm.
func (z keyZone) finishRotation(ctx context.Context) (int64, error) {
	info := z.home.ring.Info()
	p := info.Pending
	if err := z.settle(); err != nil {
		return 0, err
	}
	if err := z.home.renewCard(z.main); err != nil {
		return 0, err
	}
	if err := z.setCustodian(info.Wraps[0].Ref); err != nil {
		return 0, err
	}
	at, err := z.result(ctx, p.Intent, audit.Event{Action: rotatedAction, Actor: havre.NewPersonal(p.By), Subject: "generation-" + strconv.Itoa(info.Generation),
		Facts: map[string]string{"intent": strconv.FormatInt(p.Intent, 10), "custodians": names(custodians(z.home.ring)),
			"former": names(p.Former), "renewed": strconv.Itoa(len(p.Names)), "keys": strconv.Itoa(len(info.Keys))}})
	if err != nil {
		return 0, err
	}
	return at, z.home.ring.Finish()
}

// finishKeys goes on with what a crash left pending at the hub's keys.
func (h *Hub) finishKeys(ctx context.Context) error {
	p := h.home.ring.Info().Pending
	if p == nil {
		return nil
	}
	z, err := h.keyZone(ctx)
	if err != nil {
		return err
	}
	switch p.Act {
	case actRotate:
		_, err = z.finishRotation(ctx)
	case actDestroy:
		_, err = h.finishDestruction(ctx, z)
	default:
		err = errors.New("the key ring has an act pending that is not known: " + p.Act)
	}
	if err != nil {
		return havre.E("key.finish", havre.KindOf(err), fmt.Sprintf("the act %q on the keys, begun on %s, cannot be finished", p.Act, p.At.Format(time.DateTime))).
			WithHint(havre.HintOf(err)).Wrap(err)
	}
	return nil
}

// finishKeys goes on with what a crash left pending at the keeper's keys.
func (k *Keeper) finishKeys(ctx context.Context) error {
	if k.home.ring.Info().Pending == nil {
		return nil
	}
	_, err := k.keyZone().finishRotation(ctx)
	return err
}

// mayTouchKeys demands an operator.
func (h *Hub) mayTouchKeys(ctx context.Context, account string) error {
	roles, err := h.Permits.Roles(ctx, account)
	if err != nil {
		return err
	}
	if !slices.Contains(roles, havre.RoleOperator) {
		return havre.E("key", havre.Refused, "only an account with the role "+string(havre.RoleOperator)+" changes or destroys keys").
			WithHint("havre account add makes one")
	}
	return nil
}

func reason(text string) map[string]havre.Personal[string] {
	if text == "" {
		return nil
	}
	return map[string]havre.Personal[string]{"reason": havre.NewPersonal(text)}
}
