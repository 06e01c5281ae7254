// Package meta is the control database of a zone: one SQLite file that holds
// states, accounts and signed documents. It holds no health data and no
// identity of a patient. The tables come from migrations/NNNN_name.sql; each
// room of the hub owns its own files there (0100 receive, 0200 permit, ...).
//
// A missing or half-made database is an error, never a fresh start; Create is
// for init alone.
package meta

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/havre-hub/havre/internal/havre"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks the file as a whole control database: "HVRE". Create
// writes it last, so a file without it was never finished.
const applicationID = 0x48565245

// DB is an open control database, safe for concurrent use.
type DB struct {
	db   *sql.DB
	path string
}

// Create makes the database at path; it fails with Exists if a file is there.
func Create(ctx context.Context, path string) (*DB, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, havre.E("meta.create", havre.Exists, "there is a control database at "+path+" already; it is never overwritten")
	}
	if err != nil {
		return nil, havre.E("meta.create", havre.NoSpace, "the control database "+path+" cannot be made").Wrap(err)
	}
	if err := f.Close(); err != nil {
		return nil, havre.E("meta.create", havre.NoSpace, "the control database "+path+" cannot be made").Wrap(err)
	}
	d, err := connect(path)
	if err != nil {
		return nil, err
	}
	if err := d.create(ctx); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

func (d *DB) create(ctx context.Context) error {
	if err := d.migrate(ctx); err != nil {
		return err
	}
	if _, err := d.db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
		return Fail("meta.create", "the control database "+d.path+" cannot be finished", err)
	}
	dir, err := os.Open(filepath.Dir(d.path))
	if err != nil {
		return Fail("meta.create", "the folder of the control database cannot be read", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return Fail("meta.create", "the folder of the control database cannot be synced", err)
	}
	return nil
}

// Open opens the database at path and brings an older schema up to date. It
// refuses a missing file, a file that init never finished and a schema newer
// than this program.
func Open(ctx context.Context, path string) (*DB, error) {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return nil, havre.E("meta.open", havre.NotFound, "there is no control database at "+path).
			WithHint("restore the file from its backup; havre init is only for a new hub").Wrap(err)
	}
	d, err := connect(path)
	if err != nil {
		return nil, err
	}
	if err := d.check(ctx); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

func (d *DB) check(ctx context.Context) error {
	var id int64
	if err := d.db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return havre.E("meta.open", havre.Tampered, d.path+" is not a control database, or it is damaged").
			WithHint("restore the file from its backup").Wrap(err)
	}
	if id != applicationID {
		return havre.E("meta.open", havre.Tampered, d.path+" is not a whole control database: its making was never finished, or it belongs to another program").
			WithHint("if havre init was interrupted, remove what it left and run it again; else restore the file from its backup")
	}
	known, err := schemaVersion()
	if err != nil {
		return err
	}
	var found int64
	if err := d.db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&found); err != nil {
		return Fail("meta.open", "the schema version of "+d.path+" cannot be read", err)
	}
	if found > known {
		return havre.E("meta.open", havre.Refused, fmt.Sprintf("the control database has schema %04d, newer than the %04d that this program knows", found, known)).
			WithHint("use the version of havre that last opened it, or a later one")
	}
	return d.migrate(ctx)
}

func connect(path string) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, Fail("meta.open", "the path of the control database has no absolute form", err)
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "secure_delete(ON)", "trusted_schema(OFF)",
	}}
	// SQLite keeps temporary tables and sorts in memory, never in a file.
	q.Add("_pragma", "temp_store(MEMORY)")
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, Fail("meta.open", "the control database cannot be opened", err)
	}
	return &DB{db, path}, nil
}

func (d *DB) migrate(ctx context.Context) error {
	p, err := provider(d.db)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return Fail("meta.migrate", "the schema of "+d.path+" cannot be brought up to date", err)
	}
	return nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, Fail("meta.migrate", "the migrations are not in the program", err)
	}
	// Rooms number their files in ranges of their own, so a later file of an
	// early room may come after an earlier file of a late one.
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithAllowOutofOrder(true),
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, Fail("meta.migrate", "the migrations of the program do not fit together", err)
	}
	return p, nil
}

// schemaVersion is the highest migration this program knows.
func schemaVersion() (highest int64, err error) {
	dir, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return 0, Fail("meta.migrate", "the migrations are not in the program", err)
	}
	for _, e := range dir {
		v, err := goose.NumericComponent(e.Name())
		if err != nil {
			return 0, Fail("meta.migrate", "a migration has no number", err)
		}
		highest = max(highest, v)
	}
	return highest, nil
}

// DB gives the handle, for reading.
func (d *DB) DB() *sql.DB { return d.db }

// Tx runs fn in one write transaction: committed, durably, when fn returns
// nil; else rolled back and fn's error returned as it is.
func (d *DB) Tx(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return Fail("meta.tx", "the control database does not begin a transaction", err)
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return Fail("meta.tx", "the control database does not commit", err)
	}
	return nil
}

// Close releases the file.
func (d *DB) Close() error {
	if err := d.db.Close(); err != nil {
		return Fail("meta.close", "the control database cannot be closed", err)
	}
	return nil
}

// Fail tells a failure of the database with the kind that fits its cause.
// Kinds that callers set themselves are kept.
func Fail(op, message string, err error) error {
	if _, ok := errors.AsType[*havre.Error](err); ok {
		return err
	}
	kind := havre.Internal
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		kind = havre.Cancelled
	}
	hint := ""
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // the low byte is the primary result code
		case lib.SQLITE_FULL:
			kind, hint = havre.NoSpace, "free some space on the disk of the control database"
		case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
			kind, hint = havre.Locked, "another process writes to the control database; try again when it has ended"
		case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
			kind, hint = havre.Tampered, "restore the control database from its backup"
		case lib.SQLITE_CONSTRAINT:
			kind = havre.Exists
		}
	}
	return havre.E(op, kind, message).WithHint(hint).Wrap(err)
}
