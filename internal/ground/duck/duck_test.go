package duck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

func count(t *testing.T, s *Session, query string) (n int64) {
	t.Helper()
	if err := s.Query(context.Background(), func(scan func(...any) error) error { return scan(&n) }, query); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLoadAndCopyOut(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{Files: 2})
	f, err := s.Load([]byte("id,name\n-9223372036854775808,é\n2,\"a,b\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	pq, err := s.CopyOut(ctx, "SELECT * FROM read_csv("+Quote(f.Path())+", header=true)", "FORMAT parquet, COMPRESSION zstd")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(pq, []byte("PAR1")) || !bytes.HasSuffix(pq, []byte("PAR1")) {
		t.Fatalf("not Parquet: %d bytes", len(pq))
	}
	g, err := s.Load(pq)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, "SELECT count(*) FROM read_parquet("+Quote(g.Path())+") WHERE id = -9223372036854775808 AND name = 'é'"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// TestFilesAreReused: a descriptor that held one thing holds another after
// Release, and no cache by path may answer for it.
func TestFilesAreReused(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{Files: 2})
	for i := range 50 {
		pq, err := s.CopyOut(ctx, fmt.Sprintf("SELECT %d AS i FROM range(%d)", i, i+1), "FORMAT parquet")
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Load(pq)
		if err != nil {
			t.Fatal(err)
		}
		if got := count(t, s, "SELECT sum(i) FROM read_parquet("+Quote(f.Path())+")"); got != int64(i*(i+1)) {
			t.Fatalf("round %d reads %d", i, got)
		}
		f.Release()
		if err := run(s, "SELECT * FROM read_parquet("+Quote(f.Path())+")"); err == nil {
			t.Fatal("a released file still reads")
		}
	}
}

func TestTooFewFiles(t *testing.T) {
	s := open(t, Options{Files: 1})
	if _, err := s.Load([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load([]byte("y")); !errors.Is(err, &havre.Error{Kind: havre.Internal}) {
		t.Errorf("got %v", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{Threads: 2, Files: 4})
	if _, err := s.Exec(ctx, "CREATE TABLE t (a BIGINT, b VARCHAR)"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			if _, err := s.Exec(ctx, fmt.Sprintf("INSERT INTO t SELECT i + %d, 'x' FROM range(5000) r(i)", w*5000)); err != nil {
				t.Error(err)
			}
			if _, err := s.CopyOut(ctx, "SELECT * FROM t", "FORMAT parquet"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, s, "SELECT count(DISTINCT a) FROM t"); n != 20000 {
		t.Errorf("%d rows", n)
	}
}

// TestErrorsDoNotQuoteData plants a marker in values that DuckDB stumbles over.
func TestErrorsDoNotQuoteData(t *testing.T) {
	const marker = "DURAND-MARKER"
	s := open(t, Options{Files: 3})
	bad, err := s.Load([]byte("a,b\n1,2\n1," + marker + ",3\n" + marker + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for statement, kind := range map[string]havre.Kind{
		"SELECT CAST(x AS BIGINT) FROM (VALUES ('" + marker + "')) v(x)":                                                         havre.Invalid,
		"SELECT strptime(x, '%Y') FROM (VALUES ('" + marker + "')) v(x)":                                                         havre.Invalid,
		"SELECT error('" + marker + "') FROM range(1)":                                                                           havre.Invalid,
		"SELECT * FROM read_csv(" + Quote(bad.Path()) + ", auto_detect=false, header=true, columns={'a':'BIGINT','b':'BIGINT'})": havre.Invalid,
	} {
		err := run(s, statement)
		if err == nil || strings.Contains(fmt.Sprintf("%+v %v", err, errors.Unwrap(err)), marker) || havre.KindOf(err) != kind {
			t.Errorf("%s\n gives %v (%s)", statement, err, havre.KindOf(err))
		}
	}
	if err := run(s, "SELECT nothing FROM nowhere"); havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("an error in the SQL text names it: %v", err)
	}
}

func TestCancel(t *testing.T) {
	s := open(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Exec(ctx, "CREATE TABLE t AS SELECT 1"); havre.KindOf(err) != havre.Cancelled {
		t.Errorf("got %v", err)
	}
}

// TestMemoryFilesHaveNoPath: the plaintext is in no file system.
func TestMemoryFilesHaveNoPath(t *testing.T) {
	s := open(t, Options{Files: 1})
	f, err := s.Load([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	link, err := os.Readlink(f.Path())
	if err != nil || !strings.HasPrefix(link, "/memfd:") {
		t.Errorf("%s -> %s (%v)", f.Path(), link, err)
	}
}
