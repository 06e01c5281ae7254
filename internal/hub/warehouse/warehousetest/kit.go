// Package warehousetest makes small warehouses and deliveries for tests: real
// ones, in a folder that the test removes. No program imports it.
package warehousetest

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/audittest"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Actor acts in tests.
var Actor = havre.NewPersonal("operator@havre.example")

// Store makes an empty store in a folder that ends with the test.
func Store(t testing.TB) blob.Store {
	t.Helper()
	s, err := file.Create(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Config makes fresh keys for a store, with a Diary for a log.
func Config(t testing.TB, store blob.Store) warehouse.Config {
	t.Helper()
	k, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return warehouse.Config{Store: store, Log: &audittest.Diary{}, Now: havre.SystemNow, Keys: warehouse.Keys{
		Open: []*seal.Key{k}, To: []seal.Recipient{k.Recipient()}, Bucket: havre.NewSecret(bytes.Repeat([]byte{7}, 32))}}
}

// Create makes an empty warehouse.
func Create(t testing.TB, c warehouse.Config, buckets int) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Create(context.Background(), c, buckets, Actor)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// New makes an empty warehouse in a store of its own.
func New(t testing.TB, buckets int) *warehouse.Warehouse {
	t.Helper()
	return Create(t, Config(t, Store(t)), buckets)
}

// Delivery is one delivery made of CSV texts, with its linkage.
type Delivery struct {
	Manifest envelope.Manifest
	Links    map[havre.TransportID]havre.PersonID
	parts    map[string]func() []byte
}

// NewDelivery begins an empty delivery.
func NewDelivery(holder string) *Delivery {
	return &Delivery{
		Manifest: envelope.Manifest{Delivery: havre.NewDeliveryID(), Holder: havre.HolderID(holder), CDMVersion: "5.4"},
		Links:    map[havre.TransportID]havre.PersonID{}, parts: map[string]func() []byte{},
	}
}

// Link says whose the transport id is.
func (d *Delivery) Link(tid string, person int64) *Delivery {
	d.Links[havre.TransportID(tid)] = havre.PersonID(person)
	return d
}

// Part adds CSV text, whose first line is the header.
func (d *Delivery) Part(purpose envelope.Purpose, table, text string) *Delivery {
	rows := strings.Count(text, "\n") - 1
	if records, err := csv.NewReader(strings.NewReader(text)).ReadAll(); err == nil {
		rows = len(records) - 1
	}
	head, _, _ := strings.Cut(text, "\n")
	return d.Made(purpose, table, head, int64(rows), func() []byte { return []byte(text) })
}

// Made adds a part whose text is made each time it is opened.
func (d *Delivery) Made(purpose envelope.Purpose, table, head string, rows int64, text func() []byte) *Delivery {
	p := envelope.Part{Name: fmt.Sprintf("%s-%04d.age", purpose, len(d.parts)+1), Purpose: purpose, Table: table,
		Columns: strings.Split(head, ","), Rows: rows}
	d.Manifest.Parts = append(d.Manifest.Parts, p)
	d.parts[p.Name] = text
	return d
}

// Open gives the text of a part.
func (d *Delivery) Open(_ context.Context, p envelope.Part) ([]byte, error) {
	text, ok := d.parts[p.Name]
	if !ok {
		return nil, havre.E("test", havre.NotFound, "no such part")
	}
	return text(), nil
}

// Input is the delivery as ingest wants it.
func (d *Delivery) Input(b ingest.Batch, holder int) ingest.Input {
	return ingest.Input{Manifest: &d.Manifest, Links: d.Links, HolderID: holder, Batch: b, Open: d.Open,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }}
}

// TryTake ingests the delivery and commits.
func TryTake(w *warehouse.Warehouse, d *Delivery, holder int) (ingest.Report, *warehouse.Snapshot, error) {
	ctx := context.Background()
	b, err := w.Begin(ctx, Actor)
	if err != nil {
		return ingest.Report{}, nil, err
	}
	r, err := ingest.Run(ctx, d.Input(b, holder))
	if err != nil {
		return ingest.Report{}, nil, err
	}
	s, err := b.Commit(ctx)
	return r, s, err
}

// Take ingests the delivery and commits, or fails the test.
func Take(t testing.TB, w *warehouse.Warehouse, d *Delivery, holder int) (ingest.Report, *warehouse.Snapshot) {
	t.Helper()
	r, s, err := TryTake(w, d, holder)
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

// Rows reads rows as text, values joined by "|", \N for no value, in the order
// in which they stand. A person table is read over all buckets.
func Rows(t testing.TB, s *warehouse.Snapshot, bucket int, w warehouse.Want) (out []string) {
	t.Helper()
	batches, err := s.Read(context.Background(), bucket, w)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		for i := range int(b.NumRows()) {
			values := make([]string, b.NumCols())
			for c := range values {
				values[c] = `\N`
				if !b.Column(c).IsNull(i) {
					values[c] = b.Column(c).ValueStr(i)
				}
			}
			out = append(out, strings.Join(values, "|"))
		}
		b.Release()
	}
	return out
}

// AllRows is Rows over all buckets of a table about persons, sorted.
func AllRows(t testing.TB, s *warehouse.Snapshot, w warehouse.Want) (out []string) {
	t.Helper()
	for b := range s.Buckets() {
		out = append(out, Rows(t, s, b, w)...)
	}
	slices.Sort(out)
	return out
}
