package omop

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/havre"
)

// column is a Parquet column made in a test: three rows, the last one null.
type column struct {
	name  string
	typ   arrow.DataType
	build func(array.Builder)
}

func col[B array.Builder](name string, typ arrow.DataType, build func(B)) column {
	return column{name, typ, func(b array.Builder) { build(b.(B)); b.AppendNull() }}
}

func parquetFileOf(t testing.TB, columns []column, props ...pqarrow.WriterOption) []byte {
	t.Helper()
	fields := make([]arrow.Field, len(columns))
	arrays := make([]arrow.Array, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.name, Type: c.typ, Nullable: true}
		b := array.NewBuilder(memory.DefaultAllocator, c.typ)
		c.build(b)
		arrays[i] = b.NewArray()
	}
	schema := arrow.NewSchema(fields, nil)
	rec := array.NewRecordBatch(schema, arrays, int64(arrays[0].Len()))
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(2)),
		pqarrow.NewArrowWriterProperties(props...))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(rec); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var noon = time.Date(2150, 2, 3, 12, 30, 15, 250_000_000, time.UTC)

func TestParquetTypes(t *testing.T) {
	stamp := func(name string, u arrow.TimeUnit, zone string) column {
		return col(name, &arrow.TimestampType{Unit: u, TimeZone: zone}, func(b *array.TimestampBuilder) {
			for range 2 {
				v, err := arrow.TimestampFromTime(noon, u)
				if err != nil {
					t.Fatal(err)
				}
				b.Append(v)
			}
		})
	}
	measurement := []column{
		col("MEASUREMENT_ID", arrow.PrimitiveTypes.Int64, func(b *array.Int64Builder) { b.AppendValues([]int64{-1 << 63, 1<<63 - 1}, nil) }),
		col("person_id", arrow.PrimitiveTypes.Float64, func(b *array.Float64Builder) { b.AppendValues([]float64{1e7, 2}, nil) }),
		col("measurement_concept_id", arrow.PrimitiveTypes.Float32, func(b *array.Float32Builder) { b.AppendValues([]float32{16777216, 0.5}, nil) }),
		col("measurement_date", arrow.FixedWidthTypes.Date32, func(b *array.Date32Builder) { b.AppendValues([]arrow.Date32{arrow.Date32FromTime(noon), -135140}, nil) }),
		stamp("measurement_datetime", arrow.Microsecond, "UTC"),
		col("measurement_time", arrow.FixedWidthTypes.Time64us, func(b *array.Time64Builder) { b.AppendValues([]arrow.Time64{3_600_000_000, 1}, nil) }),
		col("measurement_type_concept_id", arrow.PrimitiveTypes.Uint32, func(b *array.Uint32Builder) { b.AppendValues([]uint32{1<<32 - 1, 0}, nil) }),
		col("operator_concept_id", arrow.PrimitiveTypes.Int8, func(b *array.Int8Builder) { b.AppendValues([]int8{-128, 127}, nil) }),
		col("value_as_number", &arrow.Decimal128Type{Precision: 20, Scale: 3}, func(b *array.Decimal128Builder) {
			b.AppendValues([]decimal128.Num{decimal128.FromI64(-1500), decimal128.FromI64(1)}, nil)
		}),
		col("value_as_concept_id", &arrow.Decimal128Type{Precision: 20, Scale: 2}, func(b *array.Decimal128Builder) {
			b.AppendValues([]decimal128.Num{decimal128.FromI64(4200), decimal128.FromI64(4250)}, nil)
		}),
		col("range_low", arrow.PrimitiveTypes.Float32, func(b *array.Float32Builder) { b.AppendValues([]float32{0.1, 1e-9}, nil) }),
		col("range_high", arrow.PrimitiveTypes.Float64, func(b *array.Float64Builder) { b.AppendValues([]float64{1234567.5, 1e300}, nil) }),
		col("provider_id", arrow.PrimitiveTypes.Uint64, func(b *array.Uint64Builder) { b.AppendValues([]uint64{1<<64 - 1, 3}, nil) }),
		col("visit_detail_id", arrow.BinaryTypes.String, func(b *array.StringBuilder) { b.AppendValues([]string{"12.0", "x"}, nil) }),
		col("measurement_source_value", arrow.BinaryTypes.Binary, func(b *array.BinaryBuilder) {
			b.AppendValues([][]byte{[]byte("caf\xe9"), []byte("a\nb")}, nil)
		}),
		col("unit_source_value", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, func(b *array.BinaryDictionaryBuilder) {
			_ = b.AppendString("mg")
			_ = b.AppendString("g")
		}),
		col("value_source_value", arrow.FixedWidthTypes.Boolean, func(b *array.BooleanBuilder) { b.AppendValues([]bool{true, false}, nil) }),
		col("lists", arrow.ListOf(arrow.PrimitiveTypes.Int32), func(b *array.ListBuilder) { b.Append(true); b.Append(true) }),
		col("extra", arrow.BinaryTypes.LargeString, func(b *array.LargeStringBuilder) { b.AppendValues([]string{"p", "q"}, nil) }),
	}
	dir := t.TempDir()
	visit := []column{
		col("visit_occurrence_id", arrow.PrimitiveTypes.Int32, func(b *array.Int32Builder) { b.AppendValues([]int32{-7, 7}, nil) }),
		col("person_id", arrow.PrimitiveTypes.Int64, func(b *array.Int64Builder) { b.AppendValues([]int64{1, 2}, nil) }),
		stamp("visit_start_date", arrow.Millisecond, ""), stamp("visit_start_datetime", arrow.Nanosecond, ""), stamp("visit_end_datetime", arrow.Second, "Europe/Paris"),
		col("visit_end_date", arrow.FixedWidthTypes.Date64, func(b *array.Date64Builder) {
			b.AppendValues([]arrow.Date64{arrow.Date64FromTime(noon), arrow.Date64FromTime(noon)}, nil)
		}),
		stamp("admitting_source_value", arrow.Nanosecond, ""),
	}
	for name, b := range map[string][]byte{"Measurement.parquet": parquetFileOf(t, measurement), "visit_occurrence/part-0.snappy.parquet": parquetFileOf(t, visit, pqarrow.WithDeprecatedInt96Timestamps(true))} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	expect(t, dump(t, s, "measurement"), []string{
		"1: measurement_id=-9223372036854775808 person_id=10000000 measurement_concept_id=16777216 measurement_date=2150-02-03 measurement_datetime=2150-02-03 12:30:15.25 " +
			"measurement_time=01:00:00 measurement_type_concept_id=4294967295 operator_concept_id=-128 value_as_number=-1.500 value_as_concept_id=42 range_low=0.1 range_high=1234567.5 " +
			"provider_id=18446744073709551615 visit_detail_id=12 measurement_source_value=café unit_source_value=mg value_source_value=1",
		"2: measurement_id=9223372036854775807 person_id=2 measurement_concept_id=0.5 measurement_date=1600-01-01 measurement_datetime=2150-02-03 12:30:15.25 " +
			"measurement_time=00:00:00.000001 measurement_type_concept_id=0 operator_concept_id=127 value_as_number=0.001 value_as_concept_id=42.50 range_low=1e-09 range_high=1e+300 " +
			"provider_id=3 visit_detail_id=x measurement_source_value=a\nb unit_source_value=g value_source_value=0",
		"3:",
	})
	expect(t, dump(t, s, "visit_occurrence"), []string{
		"1: visit_occurrence_id=-7 person_id=1 visit_start_date=2150-02-03 visit_start_datetime=2150-02-03 12:30:15.25 visit_end_date=2150-02-03 visit_end_datetime=2150-02-03 12:30:15 admitted_from_source_value=2150-02-03 12:30:15.25",
		"2: visit_occurrence_id=7 person_id=2 visit_start_date=2150-02-03 visit_start_datetime=2150-02-03 12:30:15.25 visit_end_date=2150-02-03 visit_end_datetime=2150-02-03 12:30:15 admitted_from_source_value=2150-02-03 12:30:15.25",
		"3:",
	})
	for _, f := range s.Files() {
		if f.Table != "measurement" {
			continue
		}
		if !slices.Equal(f.Ignored, []string{"lists", "extra"}) {
			t.Errorf("ignored columns are %v", f.Ignored)
		}
		for row, err := range s.Rows(context.Background(), f) {
			if err != nil {
				t.Fatal(err)
			}
			if row.Number == 1 && (row.Recoded != 1 || string(row.Others[1]) != "p" || len(row.Others[0]) != 0) {
				t.Errorf("recoded %d, others %q", row.Recoded, row.Others)
			}
		}
	}
}

// TestDamagedParquet flips and cuts a file everywhere: every outcome is rows
// or an error that names the file, never a crash.
func TestDamagedParquet(t *testing.T) {
	whole := parquetFileOf(t, []column{
		col("person_id", arrow.PrimitiveTypes.Int64, func(b *array.Int64Builder) { b.AppendValues([]int64{1, 2}, nil) }),
		col("cause_source_value", arrow.BinaryTypes.String, func(b *array.StringBuilder) { b.AppendValues([]string{"abc", "def"}, nil) }),
	})
	path := filepath.Join(t.TempDir(), "death.parquet")
	try := func(b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(context.Background(), filepath.Dir(path))
		if err == nil {
			for _, f := range s.Files() {
				for _, err = range s.Rows(context.Background(), f) {
				}
			}
			_ = s.Close()
		}
		if err != nil && (havre.KindOf(err) != havre.Invalid && havre.KindOf(err) != havre.NotFound || !strings.Contains(err.Error(), "death.parquet") && havre.KindOf(err) == havre.Invalid) {
			t.Fatalf("%v (%s)", err, havre.KindOf(err))
		}
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x55
		try(b)
		if i%7 == 0 {
			try(whole[:i])
		}
	}
}
