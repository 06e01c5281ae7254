package keeper

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper/register"
)

// tableRows is how many rows a part of the linkage table has at most: some
// 22 MiB of CSV.
const tableRows = 250_000

// Link enters an accepted delivery into the register and makes the table for
// the hub. It gives the table's signed head and the parcel to hand over:
// linkage.json and sealed parts. Linking again gives the very same parcel.
func (k *Keeper) Link(ctx context.Context, d havre.DeliveryID, progress havre.Progress) (*envelope.Linkage, envelope.Parcel, error) {
	if !envelope.IsDeliveryID(string(d)) {
		return nil, nil, havre.E("keeper.link", havre.Invalid, "this is not a delivery id")
	}
	signed, err := blob.GetAll(ctx, k.Store, prefix(d)+envelope.ManifestName)
	switch {
	case havre.KindOf(err) == havre.NotFound && k.register.Entered(d):
		return nil, nil, forgotten(d)
	case havre.KindOf(err) == havre.NotFound:
		return nil, nil, havre.E("keeper.link", havre.NotFound, "the delivery "+string(d)+" was not accepted here").
			WithHint("accept it first").Wrap(err)
	case err != nil:
		return nil, nil, err
	}
	m, err := k.verify(signed)
	if err != nil {
		return nil, nil, err
	}
	parcel := linkageParcel{envelope.Stored{Store: k.Store, Prefix: prefix(d)}}
	if done, err := blob.GetAll(ctx, k.Store, prefix(d)+envelope.LinkageName); err == nil {
		l, err := envelope.VerifyLinkage(done, k.Signer.Public())
		return l, parcel, err
	} else if havre.KindOf(err) != havre.NotFound {
		return nil, nil, err
	}
	if err := k.record(ctx, "delivery.linking", d, nil); err != nil {
		return nil, nil, err
	}
	l, err := k.link(ctx, m, signed, progress)
	if err != nil {
		return nil, nil, err
	}
	return l, parcel, k.record(ctx, "delivery.linked", d, map[string]string{
		"rows": strconv.FormatInt(l.Rows, 10), "persons": strconv.FormatInt(l.Persons, 10),
		"new": strconv.FormatInt(l.Counts.New, 10), "key_version": strconv.Itoa(l.KeyVersion)})
}

func (k *Keeper) link(ctx context.Context, m *envelope.Manifest, signed []byte, progress havre.Progress) (*envelope.Linkage, error) {
	parts := m.For(envelope.Identity)
	rows := int64(0)
	for _, p := range parts {
		rows += p.Rows
	}
	step := progress.Step("link persons", rows, "rows")
	defer step.Done()

	entry, err := k.register.Begin(m.Delivery, m.Holder)
	if err != nil {
		return nil, err
	}
	defer entry.Close()
	table := tableWriter{keeper: k, delivery: m.Delivery, hub: k.Hubs[m.Hub]}
	reader := newIdentityReader()
	var persons []int64
	for _, p := range parts {
		sealed, err := blob.GetAll(ctx, k.Store, prefix(m.Delivery)+p.Name)
		if err != nil {
			return nil, err
		}
		plain, err := envelope.OpenPart(p, sealed, k.Key)
		if err != nil {
			return nil, err
		}
		err = reader.read(p.Name, plain, func(t tid, row register.Row) error {
			n, err := entry.Add(ctx, row)
			if err != nil {
				return err
			}
			persons = append(persons, n)
			return table.add(ctx, t, n)
		})
		if err != nil {
			return nil, err
		}
		step.Add(p.Rows)
	}
	counts, err := entry.Commit(ctx)
	if err != nil {
		return nil, err
	}
	if err := table.flush(ctx); err != nil {
		return nil, err
	}
	slices.Sort(persons)
	sum := sha256.Sum256(signed)
	l := &envelope.Linkage{
		Delivery: m.Delivery, Holder: m.Holder, Hub: m.Hub, Keeper: k.Name, Created: k.Now().Truncate(time.Second),
		Manifest: hex.EncodeToString(sum[:]), KeyVersion: k.Level1.Version(),
		Rows: int64(len(persons)), Persons: int64(len(slices.Compact(persons))),
		Counts: envelope.LinkageCounts{Linked: counts.Linked, New: counts.New, Review: counts.Review},
		Parts:  table.parts,
	}
	head, err := envelope.SignLinkage(l, k.Signer)
	if err != nil {
		return nil, err
	}
	// The head makes the table: parts without it are left from a crash.
	return l, k.Store.Put(ctx, prefix(m.Delivery)+envelope.LinkageName, head)
}

// tableWriter cuts the linkage table into sealed parts.
type tableWriter struct {
	keeper   *Keeper
	delivery havre.DeliveryID
	hub      seal.Recipient
	buf      bytes.Buffer
	rows     int64
	parts    []envelope.Part
}

func (t *tableWriter) add(ctx context.Context, id tid, person int64) error {
	if t.rows == 0 {
		t.buf.WriteString(strings.Join(envelope.LinkageColumns(), ",") + "\n")
	}
	t.buf.Write(hex.AppendEncode(t.buf.AvailableBuffer(), id[:]))
	t.buf.WriteByte(',')
	t.buf.WriteString(t.keeper.Level1.Of(person))
	t.buf.WriteByte('\n')
	if t.rows++; t.rows < tableRows {
		return nil
	}
	return t.flush(ctx)
}

func (t *tableWriter) flush(ctx context.Context) error {
	if t.rows == 0 {
		return nil
	}
	sealed, err := seal.Seal(envelope.Pack(t.buf.Bytes()), t.hub)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(sealed)
	p := envelope.Part{Name: envelope.LinkagePartName(len(t.parts) + 1), Purpose: envelope.LinkagePurpose, Table: "linkage",
		Columns: envelope.LinkageColumns(), Rows: t.rows, Size: int64(len(sealed)), SHA256: hex.EncodeToString(sum[:]), PlainSize: int64(t.buf.Len())}
	name := prefix(t.delivery) + p.Name
	err = t.keeper.Store.Put(ctx, name, sealed)
	if havre.KindOf(err) == havre.Exists { // left by a run that did not come to its head
		if err = t.keeper.Store.Delete(ctx, name); err == nil {
			err = t.keeper.Store.Put(ctx, name, sealed)
		}
	}
	if err != nil {
		return err
	}
	t.parts, t.rows = append(t.parts, p), 0
	t.buf.Reset()
	return nil
}

// linkageParcel shows, of a delivery's objects, those that go to the hub.
type linkageParcel struct{ all envelope.Stored }

func (p linkageParcel) Names(ctx context.Context) ([]string, error) {
	names, err := p.all.Names(ctx)
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "linkage") }), err
}

func (p linkageParcel) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	if !strings.HasPrefix(name, "linkage") {
		return nil, havre.E("keeper.link", havre.NotFound, "the linkage of a delivery holds no such object")
	}
	return p.all.Read(ctx, name, limit)
}
