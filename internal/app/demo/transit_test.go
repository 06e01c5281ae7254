package demo

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// TestTransportIDsAreDestroyed: once a delivery is validated, somebody who has
// every key of hub and keeper, and every file of the host, finds no transport
// id anywhere: identity and health data of a delivery can never be joined again.
func TestTransportIDsAreDestroyed(t *testing.T) {
	ctx := context.Background()
	j := &journey{Options: Options{Out: t.TempDir(), Residents: 800, Seed: 5, Progress: havre.NoProgress},
		s: &Summary{Rows: Rows{Rejected: map[string]int64{}}}}
	j.Out = filepath.Join(j.Out, "demo")
	for _, step := range []func(context.Context) error{j.population, j.zones, j.deliver, j.link} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	keys := everyKey(t, j)
	tids := map[string]bool{}
	for _, h := range j.s.Holders {
		folder := filepath.Join(j.toKeeper(), string(h.delivery))
		raw, err := os.ReadFile(filepath.Join(folder, envelope.ManifestName))
		if err != nil {
			t.Fatal(err)
		}
		m := manifestOf(t, j, h.Name, raw)
		for _, p := range m.For(envelope.Identity) {
			sealed, err := os.ReadFile(filepath.Join(folder, p.Name))
			if err != nil {
				t.Fatal(err)
			}
			text, err := envelope.OpenPart(p, sealed, keys...)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range bytes.Split(text, []byte("\n"))[1:] {
				if len(line) > 32 {
					tids[string(line[:32])] = true
				}
			}
		}
	}
	if len(tids) < 1000 {
		t.Fatalf("only %d transport ids to look for", len(tids))
	}
	if before, _ := search(t, j.Out, keys, tids); before == 0 {
		t.Fatal("the search finds none even while they are there: it proves nothing")
	}
	if err := j.ingest(ctx); err != nil {
		t.Fatal(err)
	}
	found, opened := search(t, j.Out, everyKey(t, j), tids) // by now there is a key for each delivery
	if found > 0 {
		t.Errorf("%d transport ids are left", found)
	}
	if opened < 100 {
		t.Errorf("only %d sealed objects were opened", opened)
	}
}

// everyKey gives all sealing keys of hub and keeper.
func everyKey(t *testing.T, j *journey) (keys []*seal.Key) {
	t.Helper()
	for _, zone := range []string{"hub", "keeper"} {
		c, err := seal.OpenFileCustodian(seal.FileOptions{Path: j.at("custodian", zone+".key")})
		if err != nil {
			t.Fatal(err)
		}
		ring, err := seal.OpenRing(j.at(zone, "keys"), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range ring.Info().Keys {
			if e.ID == "" {
				continue // no sealing key
			}
			k, err := ring.Key(e.Name)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k)
		}
	}
	return keys
}

// search opens everything that the keys open and counts files that hold a
// transport id, and sealed objects that were opened.
func search(t *testing.T, dir string, keys []*seal.Key, tids map[string]bool) (found, opened int) {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		hit := holds(b, tids)
		if plain, err := seal.Open(b, keys...); err == nil {
			opened++
			if inner, err := seal.Open(plain, keys...); err == nil {
				plain = inner // as it came, locked once more by the hub
			}
			hit = hit || holds(plain, tids)
			if unpacked, err := d.DecodeAll(plain, nil); err == nil {
				hit = hit || holds(unpacked, tids)
			}
			if bytes.HasPrefix(plain, []byte("PAR1")) {
				hit = hit || holds(texts(t, plain), tids)
			}
		}
		if hit {
			found++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, opened
}

// holds looks for any transport id in the bytes: 32 hex digits in a row.
func holds(b []byte, tids map[string]bool) bool {
	run := 0
	for i, c := range b {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'f' {
			run++
		} else {
			run = 0
		}
		if run >= 32 && tids[string(b[i-31:i+1])] {
			return true
		}
	}
	return false
}

// texts gives all texts of a Parquet file, one a line.
func texts(t *testing.T, plain []byte) []byte {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(plain), file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
	if err != nil {
		t.Fatal(err)
	}
	a, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := a.ReadTable(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	var all []byte
	for i := range int(table.NumCols()) {
		for _, chunk := range table.Column(i).Data().Chunks() {
			if column, ok := chunk.(*array.String); ok {
				for k := range column.Len() {
					all = append(append(all, column.Value(k)...), '\n')
				}
			}
		}
	}
	return all
}

func manifestOf(t *testing.T, j *journey, holder string, raw []byte) *envelope.Manifest {
	t.Helper()
	card, _, err := app.ReadCard(filepath.Join(j.home(holder), "card.json"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := envelope.VerifyManifest(raw, card.Key)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
