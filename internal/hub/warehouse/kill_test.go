package warehouse_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/audit/audittest"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

// canary stands in source values, concept names and rejected rows.
const canary = "CANARY-DURAND"

const childVariable = "HAVRE_TEST_INGEST_CHILD" // folder of the store, then the key's text

// TestMain lets the test binary be the child that TestKill kills. Tests read
// into memory that is never zero; benchmarks do not.
func TestMain(m *testing.M) {
	if spec := os.Getenv(childVariable); spec != "" {
		fmt.Fprintln(os.Stderr, ingestForever(spec))
		os.Exit(1)
	}
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		warehouse.Scribble()
	}
	os.Exit(m.Run())
}

func childConfig(spec string) (warehouse.Config, error) {
	dir, text, _ := strings.Cut(spec, "\n")
	k, err := seal.ParseKey(havre.NewSecret([]byte(text)))
	if err != nil {
		return warehouse.Config{}, err
	}
	store, err := file.Open(dir)
	return warehouse.Config{Store: store, Log: &audittest.Diary{}, Now: havre.SystemNow, Keys: warehouse.Keys{
		Open: []*seal.Key{k}, To: []seal.Recipient{k.Recipient()}, Bucket: havre.NewSecret(bytes.Repeat([]byte{7}, 32))}}, err
}

func ingestForever(spec string) error {
	c, err := childConfig(spec)
	if err != nil {
		return err
	}
	w, err := warehouse.Open(context.Background(), c)
	if err != nil {
		return err
	}
	for {
		if _, _, err := warehousetest.TryTake(w, withCanaries(), 1); err != nil {
			return err
		}
	}
}

func withCanaries() *warehousetest.Delivery {
	d := warehousetest.NewDelivery("h")
	var text strings.Builder
	text.WriteString("tid,condition_occurrence_id,condition_concept_id,condition_start_date,condition_source_value\n")
	for i := range 3000 {
		p := i % 50
		d.Link(warehousetest.TID(p), int64(p))
		day := "2020-01-01"
		if i%100 == 0 {
			day = canary
		}
		fmt.Fprintf(&text, "%s,%d,%d,%s,%s-%d\n", warehousetest.TID(p), i, i%7, day, canary, i)
	}
	return d.Part(envelope.Health, "condition_occurrence", text.String()).
		Part(envelope.Health, "concept", "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,concept_code,valid_start_date,valid_end_date\n1,"+canary+",D,V,C,c,1970-01-01,2099-12-31\n")
}

// TestKill kills a process that ingests, at random moments, and looks at what
// it left: the last snapshot reads, nothing is damaged, and no file that it
// wrote anywhere holds plaintext.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	if _, err := file.Create(store); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"tmp", "cwd"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	k, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	spec := store + "\n" + string(k.Secret().Reveal())
	c, err := childConfig(spec)
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Create(t, c, 4)
	ctx := context.Background()
	last, commit := int64(0), time.Duration(0)
	for round := range 12 {
		child := exec.Command(os.Args[0])
		child.Dir = filepath.Join(dir, "cwd")
		child.Env = append(os.Environ(), childVariable+"="+spec, "TMPDIR="+filepath.Join(dir, "tmp"), "HOME="+child.Dir)
		var stderr bytes.Buffer
		child.Stderr = &stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if round == 0 { // as long as a commit takes here, however busy the machine
			for committed(t, w) == 0 {
				if time.Sleep(5 * time.Millisecond); time.Since(started) > 5*time.Minute {
					t.Fatal("the child does not commit")
				}
			}
			commit = time.Since(started)
		} else {
			time.Sleep(commit/4 + rand.N(2*commit))
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := child.Wait(); err == nil || stderr.Len() > 0 {
			t.Fatalf("the child ended by itself: %v %s", err, stderr.String())
		}
		s, err := w.Current(ctx)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if s.Number() < last {
			t.Fatalf("round %d: snapshot %d after %d", round, s.Number(), last)
		}
		last = s.Number()
		rows := warehousetest.AllRows(t, s, warehouse.Want{Table: "condition_occurrence", Columns: []string{"condition_source_value"}})
		if int64(len(rows)) != last*2970 {
			t.Fatalf("round %d: snapshot %d has %d rows", round, last, len(rows))
		}
		noPlaintext(t, dir)
	}
	report, err := w.Fsck(ctx, warehouse.FsckOptions{Collect: true, Age: -1}, nil)
	if err != nil || len(report.Faults) > 0 {
		t.Fatalf("%+v, %v", report.Faults, err)
	}
	t.Logf("%d snapshots, %d orphans collected", last, report.Collected)
}

// committed is the number of the last snapshot.
func committed(t *testing.T, w *warehouse.Warehouse) int64 {
	t.Helper()
	s, err := w.Current(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s.Number()
}

// noPlaintext looks for marks of plaintext in every file: the canary as it is
// and in hex, the magic words of Parquet, DuckDB and zstd, a CSV header.
func noPlaintext(t *testing.T, dir string) {
	t.Helper()
	files := 0
	marks := [][]byte{[]byte(canary), []byte(hex.EncodeToString([]byte(canary))), []byte("PAR1"), []byte("DUCK"), []byte("condition_"), []byte(`"segments"`)}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		for _, m := range marks {
			// Four bytes happen by chance in large ciphertext; where they mean a file, they stand first.
			if i := bytes.Index(data, m); i == 0 || i > 0 && len(m) > 4 {
				t.Errorf("%s holds %q", path, m)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}
