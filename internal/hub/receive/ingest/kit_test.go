package ingest_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// diary is a log that only remembers.
type diary struct {
	mu     sync.Mutex
	events []audit.Event
}

func (d *diary) Record(_ context.Context, e audit.Event) (audit.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
	return audit.Position{Index: int64(len(d.events) - 1)}, nil
}

var me = havre.NewPersonal("operator@havre.example")

func newStore(t testing.TB) blob.Store {
	t.Helper()
	s, err := file.Create(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newConfig(t testing.TB, store blob.Store) warehouse.Config {
	t.Helper()
	k, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return warehouse.Config{Store: store, Log: &diary{}, Now: havre.SystemNow, Keys: warehouse.Keys{
		Open: []*seal.Key{k}, To: []seal.Recipient{k.Recipient()}, Bucket: havre.NewSecret(bytes.Repeat([]byte{7}, 32))}}
}

func newWarehouse(t testing.TB, buckets int) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Create(context.Background(), newConfig(t, newStore(t)), buckets, me)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// delivery builds an Input out of CSV texts.
type delivery struct {
	m     envelope.Manifest
	parts map[string][]byte
	links map[havre.TransportID]havre.PersonID
}

func newDelivery(holder string) *delivery {
	return &delivery{m: envelope.Manifest{Delivery: havre.NewDeliveryID(), Holder: havre.HolderID(holder), CDMVersion: "5.4"},
		parts: map[string][]byte{}, links: map[havre.TransportID]havre.PersonID{}}
}

// part adds CSV text; its first line is the header.
func (d *delivery) part(purpose envelope.Purpose, table, text string) *delivery {
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	rows := int64(strings.Count(text, "\n") - 1)
	if err == nil {
		rows = int64(len(records) - 1)
	}
	head, _, _ := strings.Cut(text, "\n")
	p := envelope.Part{Name: fmt.Sprintf("%s-%04d.age", purpose, len(d.parts)+1), Purpose: purpose, Table: table,
		Columns: strings.Split(head, ","), Rows: rows, PlainSize: int64(len(text))}
	d.m.Parts = append(d.m.Parts, p)
	d.parts[p.Name] = []byte(text)
	return d
}

func (d *delivery) link(tid string, person int64) *delivery {
	d.links[havre.TransportID(tid)] = havre.PersonID(person)
	return d
}

func (d *delivery) input(b ingest.Batch, holder int) ingest.Input {
	return ingest.Input{Manifest: &d.m, Links: d.links, HolderID: holder, Batch: b,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		Open: func(_ context.Context, p envelope.Part) ([]byte, error) {
			b, ok := d.parts[p.Name]
			if !ok {
				return nil, havre.E("test", havre.NotFound, "no such part")
			}
			return b, nil
		}}
}

// take ingests and commits.
func take(t testing.TB, w *warehouse.Warehouse, d *delivery, holder int) (ingest.Report, *warehouse.Snapshot) {
	t.Helper()
	ctx := context.Background()
	b, err := w.Begin(ctx, me)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ingest.Run(ctx, d.input(b, holder))
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

// rows reads a whole table as text, "\N" for no value.
func rows(t testing.TB, s *warehouse.Snapshot, bucket int, table string, columns ...string) (out []string) {
	t.Helper()
	batches, err := s.Read(context.Background(), bucket, warehouse.Want{Table: table, Columns: columns})
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

func allRows(t testing.TB, s *warehouse.Snapshot, table string, columns ...string) (out []string) {
	t.Helper()
	for b := range s.Buckets() {
		out = append(out, rows(t, s, b, table, columns...)...)
	}
	return out
}
