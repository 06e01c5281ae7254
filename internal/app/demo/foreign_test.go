package demo

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/havre"
)

// few is how many persons the CDMs of these tests have: enough for a release.
const few = 40

// cdm is a small CDM as text, in the plainest spelling: persons first, first+1,
// and so on, each with an observation period and two conditions.
func cdm(first int64) map[string]string {
	var p, o, c strings.Builder
	p.WriteString("person_id,gender_concept_id,year_of_birth,birth_datetime,race_concept_id,ethnicity_concept_id,person_source_value\n")
	o.WriteString("observation_period_id,person_id,observation_period_start_date,observation_period_end_date,period_type_concept_id\n")
	c.WriteString("condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_start_datetime,condition_end_date,condition_type_concept_id,condition_source_value\n")
	for i := range int64(few) {
		fmt.Fprintf(&p, "%d,%d,%d,%d-05-06 00:00:00,0,0,s%d\n", first+i, 8507+25*(i%2), 1950+i, 1950+i, i)
		fmt.Fprintf(&o, "%d,%d,2010-01-01,2020-12-31,32880\n", i, first+i)
		for k := range int64(2) {
			fmt.Fprintf(&c, "%d,%d,201826,2015-03-%02d,2015-03-%02d 10:00:00,,32817,E11.%d\n", 2*i+k, first+i, 1+i%28, 1+i%28, k)
		}
	}
	return map[string]string{"person.csv": p.String(), "observation_period.csv": o.String(), "condition_occurrence.csv": c.String()}
}

// spell writes every file of a CDM in another way.
func spell(files map[string]string, name func(string) string, text func(string) string) map[string]string {
	out := map[string]string{}
	for n, t := range files {
		out[name(n)] = text(t)
	}
	return out
}

func same(s string) string { return s }

func with(files map[string]string, more ...string) map[string]string {
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	return files
}

func without(files map[string]string, name string) map[string]string {
	delete(files, name)
	return files
}

var isoDay = regexp.MustCompile(`(\d{4})-(\d\d)-(\d\d)`)

func respelt(layout string) func(string) string {
	return func(s string) string { return isoDay.ReplaceAllString(s, layout) }
}

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func utf16le(s string) string {
	var b []byte
	for _, c := range utf16.Encode([]rune("\ufeff" + s)) {
		b = append(b, byte(c), byte(c>>8))
	}
	return string(b)
}

// TestDemoOnForeignCDMs: CDMs as other makers write them. Every row is stored or
// counted by the reason why not.
func TestDemoOnForeignCDMs(t *testing.T) {
	const rows = 4 * few
	type counts = map[string]int64
	for name, tc := range map[string]struct {
		files    map[string]string
		zipped   bool
		in       int64 // 0: rows
		rejected counts
		persons  int64 // 0: few
		warned   string
	}{
		"upper case, 5.3, gz, junk, deep in a zip": {files: with(spell(cdm(1), func(n string) string { return "My Data/OMOP CDM/" + strings.ToUpper(n) + ".gz" },
			func(s string) string { return gz(strings.ToUpper(s)) }),
			"__MACOSX/My Data/OMOP CDM/._PERSON.CSV", "junk", "My Data/.DS_Store", "junk",
			"My Data/OMOP CDM/VISIT_OCCURRENCE.CSV.gz", gz("VISIT_OCCURRENCE_ID,PERSON_ID,VISIT_CONCEPT_ID,VISIT_START_DATE,VISIT_END_DATE,VISIT_TYPE_CONCEPT_ID,ADMITTING_SOURCE_CONCEPT_ID,DISCHARGE_TO_CONCEPT_ID\n1,1,9201,2015-03-01,2015-03-02,32817,0,0\n")),
			zipped: true, in: rows + 1},
		"64-bit ids, the lowest":  {files: cdm(-1 << 63)},
		"64-bit ids, the highest": {files: cdm(1<<63 - few)},
		"UUIDs": {files: spell(cdm(1000), same, func(s string) string {
			return regexp.MustCompile(`\b10\d\d\b`).ReplaceAllString(s, "6fa459ea-ee8a-3ca4-894e-db77e160$0")
		})},
		"tabs, UTF-16, CRLF": {files: spell(cdm(1), func(n string) string { return strings.Replace(n, ".csv", ".tsv", 1) },
			func(s string) string { return utf16le(strings.NewReplacer(",", "\t", "\n", "\r\n").Replace(s)) })},
		"semicolons, Latin-1": {files: spell(cdm(1), same, func(s string) string {
			return strings.NewReplacer(",", ";", "E11.1", "Diab\xe8te").Replace(s)
		}), warned: "Windows-1252"},
		"all quoted, lines within, a byte order mark": {files: spell(cdm(1), same, func(s string) string {
			return "\ufeff" + regexp.MustCompile(`[^,\n]+`).ReplaceAllString(strings.ReplaceAll(s, "E11.1", "E11\x01.1"), `"$0"`)
		})},
		"words for null": {files: spell(cdm(1), same, func(s string) string { return strings.NewReplacer(",,", `,\N,`, ",0,0,", ",NULL,null,").Replace(s) }),
			warned: "concept_defaulted:race_concept_id"},
		"dates with slashes, in the 2100s": {files: spell(cdm(1), same, func(s string) string {
			return respelt("$1/$2/$3")(strings.NewReplacer("2015-", "2115-", "2020-", "2199-").Replace(s))
		})},
		"dates with times and zones": {files: spell(cdm(1), same, func(s string) string {
			return strings.ReplaceAll(respelt("$1-$2-${3}T00:00:00.000Z")(s), "Z 10:00:00", "+02:00")
		}), rejected: counts{"bad_datetime:birth_datetime": few}},
		"dates that have two meanings": {files: spell(cdm(1), same, func(s string) string { return strings.ReplaceAll(respelt("$3/$2/$1")(s), " 00:00:00", "") }),
			rejected: counts{"bad_datetime:birth_datetime": few, "bad_date:observation_period_start_date": few, "bad_date:condition_start_date": 2 * few}},
		"no gender, no optional column": {files: with(cdm(1), "person.csv", regexp.MustCompile(`(?m)^(\w+),\w*,(\w+),.*$`).ReplaceAllString(cdm(1)["person.csv"], "$1,$2")),
			warned: "concept_defaulted:gender_concept_id"},
		"unknown columns and tables, empty ones": {files: with(cdm(1), "person.csv", strings.ReplaceAll(strings.Replace(cdm(1)["person.csv"], "\n", ",xtn\n", 1), ",s", ",,s"),
			"xtn_pathology.csv", "a,b\n1,2\n", "death.csv", "", "drug_exposure.csv", "drug_exposure_id,person_id\n"), warned: "xtn_pathology.csv was not read"},
		"persons twice": {files: with(cdm(1), "person_2.csv", cdm(1)["person.csv"]), in: rows + few},
		"events of nobody, bad dates and numbers": {files: with(cdm(1), "measurement.csv", "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_type_concept_id,value_as_number\n"+
			"1,999,1,2015-01-01,0,1\n2,1,1,2015-02-31,0,1\n3,1,1,1600-01-01,0,1\n4,1,1,2015-01-01,0,>100\n5,1,1,2015-01-01,0\n6,1,99999999999999999999,2015-01-01,0,1\n7,1,1,2015-01-01,0,1e3\n"), in: rows + 7,
			rejected: counts{"unknown_person": 1, "bad_date:measurement_date": 1, "missing_date:measurement_date": 1, "bad_number:value_as_number": 1, "malformed:column_count": 1, "bad_integer:measurement_concept_id": 1}},
		"vocabulary as OHDSI ships it": {files: with(cdm(1), "CONCEPT.csv", "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n"+
			"201826\tType 2 \"diabetes\tCondition\tSNOMED\tDisorder\tS\t44054006\t19700101\t20991231\t\n"), in: rows + 1},
		"Parquet": {files: parquetCDM(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			from := place(t, dir, tc.files, tc.zipped)
			s, err := Run(context.Background(), Options{Out: filepath.Join(dir, "demo"), From: from, Progress: havre.NoProgress})
			if err != nil {
				t.Fatalf("%v (%s)", err, havre.HintOf(err))
			}
			if tc.in == 0 {
				tc.in = rows
			}
			if tc.rejected == nil {
				tc.rejected = counts{}
			}
			if err := s.Rows.balanced(); err != nil || s.Rows.In != tc.in || !maps.Equal(s.Rows.Rejected, tc.rejected) {
				t.Errorf("rows %+v, want %d in, rejected %v: %v", s.Rows, tc.in, tc.rejected, err)
			}
			if s.Persons.Delivered != few || s.Persons.Linked != few || len(s.Releases) != 1 || !s.Log.Verified {
				t.Errorf("persons %+v, releases %+v, log %+v", s.Persons, s.Releases, s.Log)
			}
			if !strings.Contains(strings.Join(s.Warnings, "\n"), tc.warned) {
				t.Errorf("nothing is said of %q: %q", tc.warned, s.Warnings)
			}
		})
	}
}

// TestDemoRefusesForeignCDMs: what cannot be right ends with an error that
// names the file and says what to do.
func TestDemoRefusesForeignCDMs(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		kind  havre.Kind
		named string
	}{
		"no person table":    {without(cdm(1), "person.csv"), havre.Invalid, "person"},
		"nobody in it":       {with(cdm(1), "person.csv", "person_id,gender_concept_id\n"), havre.Invalid, "person"},
		"an empty file":      {with(cdm(1), "person.csv", ""), havre.Invalid, "person"},
		"no header":          {with(cdm(1), "person.csv", "1,8507,1950,,0,0,s\n"), havre.Invalid, "person.csv"},
		"a table twice":      {with(cdm(1), "old/Person.CSV", cdm(1)["person.csv"]), havre.Invalid, "old/Person.CSV"},
		"cut gzip":           {with(without(cdm(1), "person.csv"), "person.csv.gz", gz(cdm(1)["person.csv"])[:200]), havre.Invalid, "person.csv.gz"},
		"cut Parquet":        {with(without(cdm(1), "person.csv"), "person.parquet", parquetCDM(t)["person.parquet"][:500]), havre.Invalid, "person.parquet"},
		"an archive in it":   {map[string]string{"in/cdm.zip": "PK"}, havre.NotFound, "in/cdm.zip"},
		"no table at all":    {map[string]string{"letter.txt": "words"}, havre.NotFound, "no table"},
		"an identity inside": {with(cdm(1), "observation.csv", "observation_id,person_id,observation_concept_id,observation_date,observation_type_concept_id,value_as_string\n7,1,1,2015-01-01,0,write to ada@example.org\n"), havre.Invalid, "observation.csv"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, err := Run(context.Background(), Options{Out: filepath.Join(dir, "demo"), From: place(t, dir, tc.files, false), Progress: havre.NoProgress})
			if havre.KindOf(err) != tc.kind || havre.HintOf(err) == "" || !strings.Contains(err.Error()+havre.HintOf(err), tc.named) {
				t.Errorf("%v (%s; hint: %s)", err, havre.KindOf(err), havre.HintOf(err))
			}
			if err != nil && strings.Contains(err.Error(), "ada@") {
				t.Errorf("the error tells the value: %v", err)
			}
		})
	}
}

// place writes the files to a folder or a zip and gives its path.
func place(t *testing.T, dir string, files map[string]string, zipped bool) string {
	t.Helper()
	if zipped {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for n, text := range files {
			f, err := w.Create(n)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.Write([]byte(text))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		files, dir = map[string]string{"cdm.zip": b.String()}, filepath.Join(dir, "zip")
	}
	for n, text := range files {
		path := filepath.Join(dir, "cdm", n)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if zipped {
		return filepath.Join(dir, "cdm", "cdm.zip")
	}
	return filepath.Join(dir, "cdm")
}

// parquetCDM is cdm(1) as Parquet: person ids as text in one table, decimals in
// another, floats in the third; dates as timestamps.
func parquetCDM(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	ids := map[string]arrow.DataType{"person.csv": arrow.BinaryTypes.LargeString, "observation_period.csv": &arrow.Decimal128Type{Precision: 20}, "condition_occurrence.csv": arrow.PrimitiveTypes.Float64}
	for name, text := range cdm(1) {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		var fields []arrow.Field
		var builders []array.Builder
		for _, h := range strings.Split(lines[0], ",") {
			var dt arrow.DataType = arrow.PrimitiveTypes.Int32
			switch {
			case h == "person_id":
				dt = ids[name]
			case strings.Contains(h, "date"):
				dt = &arrow.TimestampType{Unit: arrow.Microsecond}
			case strings.HasSuffix(h, "source_value"):
				dt = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
			}
			fields = append(fields, arrow.Field{Name: strings.ToUpper(h), Type: dt, Nullable: true})
			builders = append(builders, array.NewBuilder(memory.DefaultAllocator, dt))
		}
		for _, l := range lines[1:] {
			for i, v := range strings.Split(l, ",") {
				appendText(t, builders[i], v)
			}
		}
		arrays := make([]arrow.Array, len(builders))
		for i, b := range builders {
			arrays[i] = b.NewArray()
		}
		schema := arrow.NewSchema(fields, nil)
		var b bytes.Buffer
		w, err := pqarrow.NewFileWriter(schema, &b, nil, pqarrow.DefaultWriterProps())
		if err == nil {
			err = w.Write(array.NewRecordBatch(schema, arrays, int64(len(lines)-1)))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		out[strings.Replace(name, ".csv", ".parquet", 1)] = b.String()
	}
	return out
}

func appendText(t *testing.T, b array.Builder, v string) {
	t.Helper()
	n, _ := strconv.ParseInt(v, 10, 64)
	var err error
	switch b := b.(type) {
	case *array.Int32Builder:
		b.Append(int32(n))
	case *array.Float64Builder:
		b.Append(float64(n))
	case *array.Decimal128Builder:
		b.Append(decimal128.FromI64(n))
	case *array.BinaryDictionaryBuilder:
		err = b.AppendString(v)
	case *array.TimestampBuilder:
		if v == "" {
			b.AppendNull()
			return
		}
		var at arrow.Timestamp
		if at, err = arrow.TimestampFromString(v, arrow.Microsecond); err == nil {
			b.Append(at)
		}
	default:
		err = b.AppendValueFromString(v)
	}
	if err != nil {
		t.Fatal(err)
	}
}
