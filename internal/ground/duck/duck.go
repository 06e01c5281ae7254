// Package duck is the one door to DuckDB: nothing else in Havre imports the
// driver. A Session is a private in-memory database that can touch nothing
// outside itself but the anonymous memory files (memfd_create) opened with it:
// no path, no network, no extension, no spill, and no way to unlock any of it.
//
// What it does not stop: SQL text can name the session's own memory files. SQL
// that people write must be parsed and restricted before it comes here.
package duck

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/havre-hub/havre/internal/havre"
)

// Options size a Session. Zero values take the defaults.
type Options struct {
	Memory  int64 // bytes DuckDB may use for its own buffers; 0 = 512 MiB
	Threads int   // worker threads; 0 = 1
	Files   int   // memory files that may be open at once; they count outside Memory
	// Attach is a DuckDB file of the caller's own that SQL reads as database "cdm";
	// nothing is written to it. "" for none, as everywhere in a hub.
	Attach string
}

// Session is one locked-down in-memory database. Its methods are safe for
// concurrent use: each statement runs on a connection of its own, and tables
// are shared between them (temporary tables and transactions are not).
type Session struct {
	db *sql.DB

	mu    sync.Mutex
	files []*File // all of them, for Close
	free  []*File
}

// Open makes a Session with its memory files reserved and its configuration
// locked. The allowed paths can not grow afterwards, which is why Files is asked
// for now.
func Open(o Options) (*Session, error) {
	if o.Memory <= 0 {
		o.Memory = 512 << 20
	}
	if o.Threads <= 0 {
		o.Threads = 1
	}
	s := &Session{}
	for range o.Files {
		f, err := newFile(s)
		if err != nil {
			_ = s.Close()
			return nil, err
		}
		s.files = append(s.files, f)
	}
	s.free = append(s.free, s.files...)
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		_ = s.Close()
		return nil, mapError("duck.open", "DuckDB did not start", err)
	}
	s.db = sql.OpenDB(connector)
	for _, statement := range s.lockdown(o) {
		if _, err := s.db.Exec(statement); err != nil {
			_ = s.Close()
			return nil, mapError("duck.open", "DuckDB did not take the setting `"+statement+"`", err)
		}
	}
	return s, nil
}

// lockdown is the list of settings, in an order that matters: the allowed
// paths are fixed once external access is off, and nothing can change after
// the last line. Each is attacked by a test (TestLockdown).
func (s *Session) lockdown(o Options) []string {
	paths := make([]string, len(s.files))
	for i, f := range s.files {
		paths[i] = Quote(f.Path())
	}
	settings := []string{
		fmt.Sprintf("SET memory_limit='%dB'", o.Memory),
		fmt.Sprintf("SET threads=%d", o.Threads),
		"SET temp_directory=''",
		"SET max_temp_directory_size='0B'",
		"SET enable_external_file_cache=false", // caches by path, and memory files reuse theirs
		"SET autoinstall_known_extensions=false",
		"SET autoload_known_extensions=false",
		"SET allow_community_extensions=false",
		"SET allow_persistent_secrets=false",
		"SET preserve_insertion_order=true",
	}
	if o.Attach != "" {
		settings = append(settings, "ATTACH "+Quote(o.Attach)+" AS cdm (TYPE duckdb, READ_ONLY)")
	}
	return append(settings,
		"SET allowed_paths=["+strings.Join(paths, ", ")+"]",
		"SET enable_external_access=false",
		"SET lock_configuration=true",
	)
}

// Close ends the session and frees its memory files; their contents are gone.
func (s *Session) Close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		_ = f.mem.Close() // memory: nothing to flush
	}
	s.files, s.free = nil, nil
	if err != nil {
		return mapError("duck.close", "DuckDB did not close cleanly", err)
	}
	return nil
}

// Exec runs statements that give no rows and says how many rows they changed.
func (s *Session) Exec(ctx context.Context, statement string, args ...any) (int64, error) {
	if err := refuse(statement); err != nil {
		return 0, err
	}
	r, err := s.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, s.failed(ctx, err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, s.failed(ctx, err)
	}
	return n, nil
}

// Query runs a statement and calls each once for every row; scan copies the
// row's values as (*sql.Rows).Scan does. It stops at the first error.
func (s *Session) Query(ctx context.Context, each func(scan func(...any) error) error, statement string, args ...any) error {
	if err := refuse(statement); err != nil {
		return err
	}
	rows, err := s.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return s.failed(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

// CopyOut runs COPY (query) TO a memory file and gives the bytes written.
// options is the text inside COPY's parentheses, e.g. "FORMAT parquet".
func (s *Session) CopyOut(ctx context.Context, query, options string) ([]byte, error) {
	f, err := s.take()
	if err != nil {
		return nil, err
	}
	defer f.Release()
	// USE_TMP_FILE would write beside the file and rename: there is no beside.
	_, err = s.Exec(ctx, "COPY ("+query+") TO "+Quote(f.Path())+" ("+options+", USE_TMP_FILE false)")
	if err != nil {
		return nil, err
	}
	return f.bytes()
}

// refused are words of SQL that no statement may hold. enable_logging names a
// log file despite lock_configuration; nothing is written, since access is off,
// but DuckDB 1.5.6 then throws where it cannot be caught, when the connection
// closes, and the whole process ends. The other two run SQL that is put
// together from strings, where that word cannot be seen.
var refused = regexp.MustCompile(`(?i)enable_logging|json_execute_serialized_sql|\bquery\b`)

func refuse(statement string) error {
	if word := refused.FindString(statement); word != "" {
		return havre.E("duck", havre.Refused, "a statement names "+strings.ToLower(word)+", which could change the locked configuration").
			WithHint("a session reads only what was opened for it; name a column or table otherwise")
	}
	return nil
}

// failed maps an error of a running statement, telling a stopped context apart.
func (s *Session) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return mapError("duck", "DuckDB could not run a statement", err)
}

// Quote gives s as a SQL string literal.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Name gives s as a quoted SQL identifier.
func Name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// errNoFile says that more memory files are wanted than were reserved.
var errNoFile = havre.E("duck.file", havre.Internal, "the session has no free memory file; it was opened with too few")
