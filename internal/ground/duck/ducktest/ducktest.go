// Package ducktest makes DuckDB files for tests, as other programs make them.
package ducktest

import (
	"database/sql"
	"testing"

	"github.com/duckdb/duckdb-go/v2"
)

// Write makes a DuckDB file at path by running SQL statements in it.
func Write(t testing.TB, path string, statements ...string) {
	t.Helper()
	connector, err := duckdb.NewConnector(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
