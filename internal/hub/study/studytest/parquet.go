package studytest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// ReadFolder reads every CDM table that lies as table.parquet in a folder,
// giving each column the type that the CDM says (numbers may come as floats).
func ReadFolder(t testing.TB, folder string) map[string]Table {
	t.Helper()
	tables := map[string]Table{}
	for _, spec := range omop.Tables() {
		path := filepath.Join(folder, spec.Name+".parquet")
		if _, err := os.Stat(path); err == nil {
			tables[spec.Name] = readTable(t, path, spec)
		}
	}
	if len(tables) == 0 {
		t.Fatalf("no CDM table in %s", folder)
	}
	return tables
}

func readTable(t testing.TB, path string, spec omop.Table) Table {
	out := Table{}
	ReadParquet(t, path, func(name string, values arrow.Array) {
		field, ok := spec.Field(omop.Current(spec.Name, strings.ToLower(name)))
		if !ok || field.Type == omop.Datetime {
			return
		}
		if out[field.Name] == nil {
			out[field.Name] = &Column{}
		}
		out[field.Name].add(t, field, values)
	})
	return out
}

// ReadParquet calls visit for each column of each chunk of a Parquet file.
func ReadParquet(t testing.TB, path string, visit func(name string, values arrow.Array)) {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := reader.ReadTable(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	for i := range int(table.NumCols()) {
		for _, chunk := range table.Column(i).Data().Chunks() {
			visit(table.Column(i).Name(), chunk)
		}
	}
}

func (c *Column) add(t testing.TB, field omop.Field, values arrow.Array) {
	for i := range values.Len() {
		null := values.IsNull(i)
		c.Null = append(c.Null, null)
		switch field.Type {
		case omop.Integer:
			var v int64
			if !null {
				v = Int(t, values, i)
			}
			c.Ints = append(c.Ints, v)
		case omop.Float:
			var v float64
			if !null {
				v = float(t, values, i)
			}
			c.Floats = append(c.Floats, v)
		case omop.Date:
			var v int32
			if !null {
				v = Day(t, values, i)
			}
			c.Days = append(c.Days, v)
		default:
			c.Texts = append(c.Texts, values.ValueStr(i))
		}
	}
}

// Int gives a whole number, which may lie in a column of any number type.
func Int(t testing.TB, values arrow.Array, i int) int64 {
	switch a := values.(type) {
	case *array.Int64:
		return a.Value(i)
	case *array.Int32:
		return int64(a.Value(i))
	}
	return int64(float(t, values, i))
}

func float(t testing.TB, values arrow.Array, i int) float64 {
	switch a := values.(type) {
	case *array.Float64:
		return a.Value(i)
	case *array.Float32:
		return float64(a.Value(i))
	case *array.Decimal128:
		return a.Value(i).ToFloat64(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Int64:
		return float64(a.Value(i))
	case *array.Int32:
		return float64(a.Value(i))
	}
	t.Fatalf("a number came as %s", values.DataType())
	return 0
}

// Day gives a date in days since 1970-01-01.
func Day(t testing.TB, values arrow.Array, i int) int32 {
	switch a := values.(type) {
	case *array.Date32:
		return int32(a.Value(i))
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return int32(a.Value(i).ToTime(unit).Unix() / (24 * 60 * 60))
	}
	t.Fatalf("a date came as %s", values.DataType())
	return 0
}
