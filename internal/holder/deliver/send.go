package deliver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// Transport carries sealed parts to the hub or the keeper. Implementations
// retry what is temporary, within ctx, and are safe for concurrent use.
type Transport interface {
	// Put sends a part; when it returns nil the other side keeps it. Sending
	// the same part again is no error.
	Put(ctx context.Context, d havre.DeliveryID, name string, data []byte) error
	// Has says whether the other side has the part already, with that size.
	Has(ctx context.Context, d havre.DeliveryID, name string, size int64) (bool, error)
	// Complete says that every part and the manifest were sent, and gives the
	// signed receipt, or nil if none is given this way.
	Complete(ctx context.Context, d havre.DeliveryID) ([]byte, error)
}

// atATime is how many parts are on their way at once.
const atATime = 3

// send takes a staged delivery to the keeper, then to the hub. Parts that the
// other side has are not sent again.
func send(ctx context.Context, o Options, box outbox, s *staged) (*envelope.Receipt, []byte, error) {
	var toKeeper, toHub []envelope.Part
	for _, p := range s.manifest.Parts {
		if p.Purpose == envelope.Identity {
			toKeeper = append(toKeeper, p)
		} else {
			toHub = append(toHub, p)
		}
	}
	step := o.Progress.Step("send", int64(len(s.manifest.Parts)), "parts")
	defer step.Done()
	if _, err := sendTo(ctx, o.Keeper, box, s, toKeeper, step); err != nil {
		return nil, nil, err
	}
	signed, err := sendTo(ctx, o.To, box, s, toHub, step)
	if err != nil || signed == nil {
		return nil, nil, err
	}
	receipt, err := CheckReceipt(signed, s.manifest, s.envelope, o.HubKey)
	return receipt, signed, err
}

func sendTo(ctx context.Context, t Transport, box outbox, s *staged, parts []envelope.Part, step havre.Counter) ([]byte, error) {
	d := s.manifest.Delivery
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(atATime)
	for _, p := range parts {
		group.Go(func() error {
			defer step.Add(1)
			if has, err := t.Has(gctx, d, p.Name, p.Size); err != nil || has {
				return err
			}
			data, err := box.get(d, p.Name)
			if err != nil {
				return err
			}
			if err := p.CheckSealed(data); err != nil {
				return havre.E("deliver.send", havre.Tampered, "the part "+p.Name+" in the outbox is not the one that was made").
					WithHint("deliver anew: a new delivery makes all parts again").Wrap(err)
			}
			return t.Put(gctx, d, p.Name, data)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := t.Put(ctx, d, envelope.ManifestName, s.envelope); err != nil {
		return nil, err
	}
	return t.Complete(ctx, d)
}

// CheckReceipt verifies a signed receipt: the hub signed it, and it speaks of
// the delivery m, whose manifest.json is given. Failures are of kind Tampered.
func CheckReceipt(signed []byte, m *envelope.Manifest, manifest []byte, hub sign.PublicKey) (*envelope.Receipt, error) {
	r, err := envelope.VerifyReceipt(signed, hub)
	if err != nil {
		return nil, havre.E("deliver.receipt", havre.Tampered, "the receipt is not signed by the hub").
			WithHint("keep the delivery and ask the hub's operator which key signs its receipts").Wrap(err)
	}
	sum := sha256.Sum256(manifest)
	if r.Manifest != hex.EncodeToString(sum[:]) || r.Delivery != m.Delivery || r.Holder != m.Holder || r.Hub != m.Hub || r.LogIndex < 0 {
		return nil, havre.E("deliver.receipt", havre.Tampered, "the hub's receipt is not about the delivery "+string(m.Delivery)).
			WithHint("keep both and ask the hub's operator")
	}
	return r, nil
}
