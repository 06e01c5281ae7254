package omop

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/havre"
)

// duckMemory is how much DuckDB may use to read one table out.
const duckMemory = 1 << 30

// duckTable is one table of a DuckDB file; it is read as the Parquet file that
// DuckDB makes of it in memory.
type duckTable struct {
	session *duck.Session
	name    string // quoted: "cdm"."main"."person"
	columns []string
}

// isDuckDB says whether a file begins as DuckDB's do: a checksum of eight bytes,
// then "DUCK" (DuckDB's storage format).
func isDuckDB(place string) bool {
	f, err := os.Open(place)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 12)
	_, err = io.ReadFull(f, head)
	return err == nil && string(head[8:]) == "DUCK"
}

// attach lists the tables and views of a DuckDB file. The schemas may differ,
// as where the vocabulary has one of its own.
func (t *tree) attach(ctx context.Context, place string) error {
	s, err := duck.Open(duck.Options{Memory: duckMemory, Threads: 2, Files: 4, Attach: place})
	if err != nil {
		return havre.E("intake", havre.Invalid, "the DuckDB file "+place+" cannot be opened").
			WithHint("close the program that has it open; a file of a newer DuckDB must be exported to Parquet").Wrap(err)
	}
	t.duck = s
	tables := map[string]*duckTable{}
	var order []string
	err = s.Query(ctx, func(scan func(...any) error) error {
		var schema, table, column string
		if err := scan(&schema, &table, &column); err != nil {
			return err
		}
		name := schema + "/" + table
		if tables[name] == nil {
			tables[name] = &duckTable{session: s, name: strings.Join([]string{duck.Name("cdm"), duck.Name(schema), duck.Name(table)}, ".")}
			order = append(order, name)
		}
		tables[name].columns = append(tables[name].columns, column)
		return nil
	}, "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE database_name = 'cdm' AND NOT internal ORDER BY schema_name, table_name, column_index")
	if err != nil {
		_ = s.Close()
		return err
	}
	for _, name := range order {
		t.entries = append(t.entries, entry{name: name, size: 1, duck: tables[name]})
	}
	return nil
}

// parquet gives the table as a Parquet file; values of nested types as text,
// which no field of the CDM takes.
func (d *duckTable) parquet(ctx context.Context) ([]byte, error) {
	b, err := d.session.CopyOut(ctx, "SELECT * FROM "+d.name, "FORMAT parquet, COMPRESSION lz4_raw")
	if err != nil {
		return nil, havre.E("intake", havre.Invalid, fmt.Sprintf("the table %s cannot be read from the DuckDB file", d.name)).Wrap(err)
	}
	return b, nil
}
