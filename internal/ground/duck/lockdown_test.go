package duck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

func open(t testing.TB, o Options) *Session {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// run executes a statement and reads all its rows as an attacker would.
func run(s *Session, statement string) error {
	return s.Query(context.Background(), func(func(...any) error) error { return nil }, statement)
}

// TestLockdown tries what somebody with full freedom of SQL would try. Every
// statement must fail, and none may leave a file behind.
func TestLockdown(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	secret := filepath.Join(dir, "other.csv")
	if err := os.WriteFile(secret, []byte("a,b\n1,SECRET-MARKER\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.Open(secret) // an open descriptor of this process that is not the session's
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	foreignFD := (&File{mem: foreign}).Path()

	s := open(t, Options{Files: 2})
	mine, err := s.Load([]byte("a\n1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Exec(context.Background(), "CREATE TABLE t AS SELECT * FROM range(10) r(i)"); err != nil {
		t.Fatal(err)
	}
	attacks := map[string][]string{
		"read a file": {
			"SELECT * FROM read_text('/etc/passwd')",
			"SELECT * FROM read_blob('/etc/passwd')",
			"SELECT * FROM read_csv('/etc/passwd')",
			"SELECT * FROM read_csv_auto(" + Quote(secret) + ")",
			"SELECT * FROM " + Quote(secret),
			"SELECT * FROM 'other.csv'",
			"SELECT * FROM sniff_csv('/etc/passwd')",
			"SELECT * FROM read_parquet('/etc/passwd')",
			"SELECT * FROM parquet_metadata('/etc/passwd')",
			"SELECT * FROM read_json('/etc/passwd')",
			"SELECT * FROM read_text('/proc/self/environ')",
			"SELECT * FROM read_text('file:///etc/passwd')",
			"SELECT * FROM read_text(" + Quote(foreignFD) + ")",
			"SELECT * FROM read_text(" + Quote(mine.Path()+"/../../../../etc/passwd") + ")",
			"SELECT * FROM read_text(" + Quote("/proc/self/fd/../environ") + ")",
			"SELECT * FROM read_text(['/etc/passwd', " + Quote(mine.Path()) + "])",
			"COPY t FROM " + Quote(secret),
			"IMPORT DATABASE " + Quote(dir),
		},
		"list folders": {
			"SELECT CASE WHEN count(*) > 0 THEN 1 ELSE error('nothing') END FROM glob('/etc/*')",
			"SELECT CASE WHEN count(*) > 0 THEN 1 ELSE error('nothing') END FROM glob('/proc/self/fd/*')",
			"SELECT * FROM read_text('/etc/host*')",
		},
		"write a file": {
			"COPY t TO " + Quote(filepath.Join(dir, "out.csv")),
			"COPY t TO 'out.parquet' (FORMAT parquet)",
			"COPY t TO " + Quote(dir) + " (FORMAT csv, PARTITION_BY (i))",
			"COPY t TO '/dev/stdout'",
			"EXPORT DATABASE " + Quote(filepath.Join(dir, "dump")),
			"CALL enable_logging(storage='file', storage_path=" + Quote(filepath.Join(dir, "log")) + ")",
			"SELECT * FROM \"Enable_Logging\"(storage='file', storage_path=" + Quote(filepath.Join(dir, "log")) + ")",
			"CALL enable_logging(storage_config={'path': " + Quote(filepath.Join(dir, "log.csv")) + "}, storage='file')",
			"FROM query('FROM enable_log' || 'ging(storage=''file'', storage_path=''" + filepath.Join(dir, "log") + "'')')",
			"SELECT * FROM \"QUERY\" /* x */ ('CALL enable_' || 'logging()')",
			"PRAGMA json_execute_serialized_sql('{}')",
			"SELECT * FROM json_execute_serialized_sql(replace('{\"x\":\"enable-logging\"}', '-', '_'))",
			"PRAGMA profiling_output=" + Quote(filepath.Join(dir, "profile.json")),
			"SET profiling_output=" + Quote(filepath.Join(dir, "profile.json")),
			"PRAGMA enable_profiling='json'",
			"PRAGMA log_query_path=" + Quote(filepath.Join(dir, "q.log")),
		},
		"open another database": {
			"ATTACH " + Quote(filepath.Join(dir, "x.db")),
			"ATTACH " + Quote(filepath.Join(dir, "x.db")) + " AS y (ENCRYPTION_KEY 'k')",
			"ATTACH 'https://example.org/x.db'",
			"ATTACH " + Quote(secret) + " (READ_ONLY)",
		},
		"extensions and network": {
			"INSTALL httpfs",
			"INSTALL h3 FROM community",
			"FORCE INSTALL json",
			"LOAD httpfs",
			"LOAD '/tmp/evil.duckdb_extension'",
			"LOAD " + Quote(secret),
			"UPDATE EXTENSIONS",
			"SELECT * FROM read_csv('https://example.org/a.csv')",
			"SELECT * FROM read_parquet('s3://bucket/a.parquet')",
			"CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
		},
		"unlock": {
			"SET enable_external_access=true",
			"SET GLOBAL enable_external_access=true",
			"RESET enable_external_access",
			"SET lock_configuration=false",
			"RESET lock_configuration",
			"PRAGMA lock_configuration=false",
			"SET allowed_paths=['/etc/passwd']",
			"SET allowed_directories=['/etc']",
			"SET memory_limit='100GB'",
			"PRAGMA memory_limit='100GB'",
			"SET threads=64",
			"PRAGMA threads=64",
			"SET temp_directory='/tmp'",
			"PRAGMA temp_directory='/tmp'",
			"SET max_temp_directory_size='10GB'",
			"SET enable_external_file_cache=true",
			"SET autoinstall_known_extensions=true",
			"SET autoload_known_extensions=true",
			"SET allow_community_extensions=true",
			"SET allow_unsigned_extensions=true",
			"SET allow_persistent_secrets=true",
			"SET secret_directory='/tmp'",
			"SET extension_directory='/tmp'",
			"SET custom_extension_repository='http://example.org'",
			"SET home_directory='/tmp'",
		},
	}
	for what, statements := range attacks {
		for _, statement := range statements {
			err := run(s, statement)
			if err == nil {
				t.Errorf("%s: allowed: %s", what, statement)
				continue
			}
			if strings.Contains(err.Error(), "SECRET-MARKER") {
				t.Errorf("%s: the error quotes data: %v", what, err)
			}
			var he *havre.Error
			if !errors.As(err, &he) {
				t.Errorf("%s: not a havre.Error: %v", statement, err)
			}
		}
	}
	var left []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if !d.IsDir() && path != secret {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		t.Errorf("attacks left files: %v", left)
	}
	// What was opened for the session still works, so the refusals above are no accident.
	var n int
	err = s.Query(context.Background(), func(scan func(...any) error) error { return scan(&n) },
		"SELECT count(*) FROM read_csv("+Quote(mine.Path())+")")
	if err != nil || n != 1 {
		t.Errorf("own file: %d rows, %v", n, err)
	}
}

// TestSettings reads back each setting that has no attack of its own.
func TestSettings(t *testing.T) {
	s := open(t, Options{Memory: 64 << 20, Threads: 2, Files: 1})
	for name, want := range map[string]string{
		"memory_limit": "64.0 MiB", "threads": "2", "temp_directory": "", "max_temp_directory_size": "0 bytes",
		"enable_external_access": "false", "enable_external_file_cache": "false", "lock_configuration": "true",
		"autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
		"allow_community_extensions": "false", "allow_unsigned_extensions": "false", "allow_persistent_secrets": "false",
	} {
		var got string
		err := s.Query(context.Background(), func(scan func(...any) error) error { return scan(&got) },
			"SELECT coalesce(current_setting("+Quote(name)+")::VARCHAR, '')")
		if err != nil || got != want {
			t.Errorf("%s = %q, want %q (%v)", name, got, want, err)
		}
	}
}

// TestNoSpill: a query beyond the memory limit fails; it never goes to disk.
func TestNoSpill(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("TMPDIR", dir)
	s := open(t, Options{Memory: 32 << 20, Threads: 1})
	err := run(s, "SELECT md5(i::VARCHAR) AS h FROM range(20000000) r(i) ORDER BY h")
	if havre.KindOf(err) != havre.NoSpace || havre.HintOf(err) == "" {
		t.Errorf("want no_space and a hint, got %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("spilled to %v", entries)
	}
}

// TestNoCacheAcrossFiles: what DuckDB read from a descriptor is not what it
// says of the next memory file there, though name, size and time are the same;
// within a session, and in one that is opened after another was closed.
func TestNoCacheAcrossFiles(t *testing.T) {
	ctx := context.Background()
	paths := map[string]int{}
	for session := range 3 {
		s, err := Open(Options{Files: 2})
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for i := range 4 {
			want := int64(1000 + 10*session + i)
			data, err := s.CopyOut(ctx, fmt.Sprintf("SELECT %d AS i FROM range(100)", want), "FORMAT parquet")
			if err != nil {
				t.Fatal(err)
			}
			if size == 0 {
				size = len(data)
			}
			if len(data) != size {
				t.Fatalf("the files differ in size: %d and %d", len(data), size)
			}
			f, err := s.Load(data)
			if err != nil {
				t.Fatal(err)
			}
			paths[f.Path()]++
			same := time.Unix(1_000_000, 0)
			if err := os.Chtimes(f.Path(), same, same); err != nil {
				t.Fatal(err)
			}
			if got := count(t, s, "SELECT max(i) FROM read_parquet("+Quote(f.Path())+")"); got != want {
				t.Errorf("session %d: the file of %d reads %d", session, want, got)
			}
			f.Release()
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(paths) > 6 {
		t.Errorf("descriptors were not used again, so nothing is shown: %v", paths)
	}
}

// TestOtherSessionsFiles: a session cannot read the memory files of another in
// this process.
func TestOtherSessionsFiles(t *testing.T) {
	a, b := open(t, Options{Files: 1}), open(t, Options{Files: 1})
	f, err := a.Load([]byte("x\n1\n"))
	if err != nil {
		t.Fatal(err)
	}
	statement := "SELECT * FROM read_csv(" + Quote(f.Path()) + ")"
	if err := run(a, statement); err != nil {
		t.Error(err)
	}
	if err := run(b, statement); havre.KindOf(err) != havre.Refused {
		t.Errorf("another session reads it: %v", err)
	}
}
