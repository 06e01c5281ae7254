package keeper

import (
	"context"
	"strconv"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper/link"
	"github.com/havre-hub/havre/internal/keeper/register"
)

// Who names a person to the keeper: by a holder's own id, or by traits.
type Who struct {
	Holder havre.HolderID // with Source
	Source string
	Traits link.Traits
}

// OptOut makes the message that tells a hub that a person opts out of all
// secondary use (out), or takes that back. Give the bytes to the hub as they
// are: signed, and sealed to it. Records that may be the same person's and wait
// for review are opted out with it. A person whom no holder has delivered yet
// is entered in the register, so that what comes later is found to be theirs.
func (k *Keeper) OptOut(ctx context.Context, hub string, who Who, out bool) ([]byte, error) {
	to, ok := k.Hubs[hub]
	if !ok {
		return nil, havre.E("keeper.optout", havre.NotFound, "this keeper makes no pseudonyms for a hub of that name").
			WithHint("register the hub's recipient with havre trust")
	}
	persons, err := k.who(ctx, who, out)
	if err != nil {
		return nil, err
	}
	message := &envelope.OptOut{ID: string(havre.NewTransportID()), Hub: hub, Keeper: k.Name,
		At: k.Now().Truncate(time.Second), Out: out, KeyVersion: k.Level1.Version()}
	for _, p := range k.register.WithReviews(persons) {
		message.Pseudonyms = append(message.Pseudonyms, k.Level1.Of(p))
	}
	signed, err := envelope.SignOptOut(message, k.Signer)
	if err != nil {
		return nil, err
	}
	// The keeper keeps what it told whom, sealed to itself.
	own, err := seal.Seal(signed, k.Key.Recipient())
	if err != nil {
		return nil, err
	}
	sealed, err := seal.Seal(signed, to)
	if err != nil {
		return nil, err
	}
	_, err = k.Log.Record(ctx, audit.Event{Action: "optout.told", Actor: havre.NewPersonal(k.Name), Subject: message.ID,
		Facts: map[string]string{"hub": hub, "out": strconv.FormatBool(out)}})
	if err != nil {
		return nil, err
	}
	return sealed, k.Store.Put(ctx, "opt-out/"+message.ID, own)
}

// who finds the person, or, for an opt-out by traits, enters a new one.
func (k *Keeper) who(ctx context.Context, who Who, out bool) ([]int64, error) {
	if who.Source != "" {
		if persons := k.register.BySource(who.Holder, who.Source); len(persons) > 0 {
			return persons, nil
		}
		return nil, havre.E("keeper.optout", havre.NotFound, "the holder "+string(who.Holder)+" has delivered nobody under that id").
			WithHint("check the id, or name the person by identity traits")
	}
	row := register.Row{Traits: who.Traits}
	switch d := k.register.Find(row, ""); d.Outcome {
	case link.Link:
		return []int64{d.Person}, nil
	case link.Review:
		return nil, havre.E("keeper.optout", havre.Refused, "these traits do not point to one person ("+d.Rule+")").
			WithHint("check them against an identity document, or name the person by a holder's own id")
	}
	record := link.NewRecord(who.Traits)
	if _, whole := record.Strict(); !out || !whole && !record.HasNIR() {
		return nil, havre.E("keeper.optout", havre.NotFound, "nobody in the register has these traits").
			WithHint("give the certified NIR, or all five of birth name, given names, birth date, sex and birth place")
	}
	entry, err := k.register.Begin("", "")
	if err != nil {
		return nil, err
	}
	defer entry.Close()
	n, err := entry.Add(ctx, row)
	if err != nil {
		return nil, err
	}
	_, err = entry.Commit(ctx)
	return []int64{n}, err
}
