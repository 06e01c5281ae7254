package omop

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"unicode/utf16"

	cdm "github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake"
	"github.com/havre-hub/havre/internal/realinput"
)

// write makes a folder of files.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, place string) *Source {
	t.Helper()
	s, err := Open(context.Background(), place)
	if err != nil {
		t.Fatalf("%v (hint: %s)", err, havre.HintOf(err))
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dump gives every row of a table as "number: column=value ..." without nulls,
// and every line that is none as "number: fault raw".
func dump(t testing.TB, s *Source, table string) []string {
	t.Helper()
	var out []string
	for _, f := range s.Files() {
		if f.Table != table {
			continue
		}
		for row, err := range s.Rows(context.Background(), f) {
			if err != nil {
				t.Fatal(err)
			}
			if row.Fault != intake.NoFault {
				out = append(out, fmt.Sprintf("%d: %s %q", row.Number, row.Fault, row.Raw))
				continue
			}
			line := fmt.Sprintf("%d:", row.Number)
			for i, c := range f.Columns {
				if len(row.Values[i]) > 0 {
					line += fmt.Sprintf(" %s=%s", c, row.Values[i])
				}
			}
			out = append(out, line)
		}
	}
	return out
}

func expect(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func wide(s string, mark bool) string {
	u := utf16.Encode([]rune(s))
	if mark {
		u = append([]uint16{0xfeff}, u...)
	}
	var b []byte
	for _, c := range u {
		b = append(b, byte(c), byte(c>>8))
	}
	return string(b)
}

func TestDialects(t *testing.T) {
	const plain = "person_id,death_date,cause_source_value\n1,2020-01-02,\"a, b\"\n-9223372036854775808,2099-12-31,\n"
	want := []string{"2: person_id=1 death_date=2020-01-02 cause_source_value=a, b", "3: person_id=-9223372036854775808 death_date=2099-12-31"}
	semicolon := strings.NewReplacer(",\"", ";\"", ",2", ";2", "_id,", "_id;", "date,", "date;", "31,", "31;").Replace(plain)
	for name, files := range map[string]map[string]string{
		"plain":           {"death.csv": plain},
		"upper case":      {"X/DEATH.CSV": strings.ToUpper(plain[:40]) + plain[40:]},
		"gzip":            {"death.csv.gz": gz(plain)},
		"crlf":            {"death.csv": strings.ReplaceAll(plain, "\n", "\r\n")},
		"old Mac":         {"death.csv": strings.ReplaceAll(plain, "\n", "\r")},
		"no last newline": {"death.csv": strings.TrimSuffix(plain, "\n")},
		"mark":            {"death.csv": "\ufeff" + plain},
		"utf-16 mark":     {"death.csv": wide(plain, true)},
		"utf-16":          {"death.csv": wide(plain, false)},
		"semicolons":      {"death.csv": semicolon},
		"quoted names":    {"death.csv": `"Person ID" ,"death.death_date",[cause-source-value]` + plain[39:]},
		"all quoted":      {"death.csv": "\"person_id\",\"death_date\",\"cause_source_value\"\n\"1\",\"2020-01-02\",\"a, b\"\n\"-9223372036854775808\",\"2099-12-31\",\"\"\n"},
		"pieces":          {"death_1.csv": strings.Join(strings.SplitAfter(plain, "\n")[:2], ""), "death_2.csv": "person_id,death_date,cause_source_value\n\n-9223372036854775808,2099-12-31,\n"},
	} {
		s := open(t, write(t, files))
		got := dump(t, s, "death")
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s", name, strings.Join(got, "\n"))
		}
	}
}

func TestTabFilesHaveNoQuoting(t *testing.T) {
	s := open(t, write(t, map[string]string{"CONCEPT.csv": "concept_id\tconcept_name\tconcept_code\n" +
		"1\t\"Product\" of 5\"\tA\n2\t\"whole \"\"one\"\"\"\tB\n3\t\"open\tC\n4\ta\n5\tb\tD\n"}))
	expect(t, dump(t, s, "concept"), []string{
		`2: concept_id=1 concept_name="Product" of 5" concept_code=A`, `3: concept_id=2 concept_name=whole "one" concept_code=B`,
		`4: concept_id=3 concept_name="open concept_code=C`, `5: column_count "4\ta"`, `6: concept_id=5 concept_name=b concept_code=D`})
}

func TestLinesThatAreNoRows(t *testing.T) {
	s := open(t, write(t, map[string]string{"note.csv": strings.Join([]string{
		"note_id,person_id,note_source_value",
		"1,1,fine",
		"2,1,too,many",
		"3,1",
		`4,1,"never closed`,
		"5,1,fine again",
		`6,1,"closed" and on`,
		`7,1,"two`,
		`lines, and ""quotes"""`,
		`8,1,in "the" middle`,
		"9,1,caf\xe9 au lait \x80",
		"10,1,\x81\x8d",
		"11,1,nul\x00",
		"12,1,déjà",
		"",
		`13,"1","last"`,
	}, "\n")}))
	expect(t, dump(t, s, "note"), []string{
		"2: note_id=1 person_id=1 note_source_value=fine",
		`3: column_count "2,1,too,many"`,
		`4: column_count "3,1"`,
		`5: quote "4,1,\"never closed"`,
		"6: note_id=5 person_id=1 note_source_value=fine again",
		`7: quote "6,1,\"closed\" and on"`,
		"8: note_id=7 person_id=1 note_source_value=two\nlines, and \"quotes\"",
		`10: note_id=8 person_id=1 note_source_value=in "the" middle`,
		"11: note_id=9 person_id=1 note_source_value=café au lait €",
		"12: encoding \"10,1,\\x81\\x8d\"",
		"13: encoding \"11,1,nul\\x00\"",
		"14: note_id=12 person_id=1 note_source_value=déjà",
		"16: note_id=13 person_id=1 note_source_value=last",
	})
}

func TestHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		file, header     string
		columns, ignored []string
	}{
		"sql text":           {"observation_period.csv", `person_id,"date(observation_period_start_date,'unixepoch')",x y`, []string{"person_id", "observation_period_start_date"}, []string{"x y"}},
		"two fields in text": {"vocabulary.csv", "vocabulary_id,case vocabulary_reference when null then '' else vocabulary_id end", []string{"vocabulary_id"}, []string{"case vocabulary_reference when null then '' else vocabulary_id end"}},
		"text and name":      {"person.csv", "trim(person_id),person_id", []string{"person_id"}, []string{"trim(person_id)"}},
		"5.3 names":          {"visit_detail.csv", "visit_detail_parent_id,person_id,admitting_source_value,discharge_to_concept_id", []string{"person_id", "admitted_from_source_value", "discharged_to_concept_id", "parent_visit_detail_id"}, nil},
		"both names":         {"visit_occurrence.csv", "person_id,admitting_source_value,admitted_from_source_value", []string{"person_id", "admitted_from_source_value"}, []string{"admitting_source_value"}},
		"twice":              {"death.csv", "person_id,death_date,DEATH_DATE", []string{"person_id", "death_date"}, []string{"DEATH_DATE"}},
		"order of the CDM":   {"death.csv", "death_date,person_id,extra", []string{"person_id", "death_date"}, []string{"extra"}},
	} {
		s := open(t, write(t, map[string]string{tc.file: tc.header + "\n"}))
		if f := s.Files()[0]; !slices.Equal(f.Columns, tc.columns) || !slices.Equal(f.Ignored, tc.ignored) {
			t.Errorf("%s: columns %q, ignored %q", name, f.Columns, f.Ignored)
		}
		if want := strings.Contains(name, "names"); (s.CDMVersion() == "5.3") != want {
			t.Errorf("%s: version %s", name, s.CDMVersion())
		}
	}
}

func TestJunkIsListed(t *testing.T) {
	files := map[string]string{
		"data/person.csv": "person_id\n1\n", "__MACOSX/data/._person.csv": "junk", "data/.DS_Store": "junk", "data/._person.csv": "junk",
		"Thumbs.db": "junk", "README.md": "words", "readme_person.csv": "words", ".hidden/death.csv": "person_id\n1\n",
		"data/death.csv": "", "data/note.csv": "\n\n", "data/patients.csv": "id\n1\n", "data/person.sql": "words", "data/_SUCCESS": "", "cohort_attribute.csv.gz": gz("x\n"),
		"data/drug_era.csv": "drug_era_id,person_id\n",
	}
	dir := write(t, files)
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		f, err := w.Create("top/" + n)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(files[n]))
	}
	_, _ = w.Create("top/empty/")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "cdm.ZIP")
	if err := os.WriteFile(packed, z.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{dir, packed} {
		s := open(t, place)
		var got []string
		for _, f := range s.Files() {
			got = append(got, f.Table)
		}
		expect(t, got, []string{"person", "drug_era"})
		expect(t, dump(t, s, "person"), []string{"2: person_id=1"})
		if rows := dump(t, s, "drug_era"); len(rows) != 0 {
			t.Errorf("a header alone gives rows: %v", rows)
		}
		reasons := map[string]int{}
		for _, k := range s.Skipped() {
			reasons[k.Reason]++
		}
		if fmt.Sprint(reasons) != "map[empty file:2 junk:8 neither CSV nor Parquet:1 no CDM table:2]" {
			t.Errorf("%s: skipped %v", place, s.Skipped())
		}
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		words []string
		kind  havre.Kind
	}{
		"nothing":          {map[string]string{"a.txt": "x"}, []string{"no table"}, havre.NotFound},
		"only an archive":  {map[string]string{"deep/cdm.tar.gz": "x", "a.txt": "x"}, []string{"deep/cdm.tar.gz"}, havre.NotFound},
		"two formats":      {map[string]string{"person.csv": "person_id\n", "PERSON.csv.gz": gz("person_id\n")}, []string{"person.csv", "PERSON.csv.gz"}, havre.Invalid},
		"two places":       {map[string]string{"a/person.csv": "person_id\n", "b/Person.CSV": "person_id\n"}, []string{"a/person.csv", "b/Person.CSV"}, havre.Invalid},
		"csv and parquet":  {map[string]string{"person.csv": "person_id\n", "x/PERSON.parquet": "x"}, []string{"person.csv", "x/PERSON.parquet"}, havre.Invalid},
		"no header":        {map[string]string{"death.csv": "1,2020-01-01\n2,2020-01-01\n"}, []string{"death.csv", "header"}, havre.Invalid},
		"no person column": {map[string]string{"death.csv": "death_date\n2020-01-01\n"}, []string{"death.csv", "person_id"}, havre.Invalid},
		"no Parquet":       {map[string]string{"death.parquet": "PAR1 rubbish PAR1"}, []string{"death.parquet"}, havre.Invalid},
		"no gzip":          {map[string]string{"death.csv.gz": "rubbish"}, []string{"death.csv.gz"}, havre.Invalid},
	} {
		_, err := Open(context.Background(), write(t, tc.files))
		if havre.KindOf(err) != tc.kind || havre.HintOf(err) == "" {
			t.Errorf("%s: %v (%s)", name, err, havre.KindOf(err))
		}
		for _, w := range tc.words {
			if err != nil && !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not name %s", name, err, w)
			}
		}
	}
	if _, err := Open(context.Background(), filepath.Join(t.TempDir(), "gone")); havre.KindOf(err) != havre.NotFound {
		t.Errorf("an absent folder gives %v", err)
	}
	cut := gz("person_id\n" + strings.Repeat("12345\n54321\n", 50000))
	s := open(t, write(t, map[string]string{"person.csv.gz": cut[:len(cut)-20]}))
	var last error
	for _, last = range s.Rows(context.Background(), s.Files()[0]) {
	}
	if havre.KindOf(last) != havre.Invalid || !strings.Contains(last.Error(), "person.csv.gz") {
		t.Errorf("a truncated gzip file gives %v", last)
	}
}

func TestRealInputs(t *testing.T) {
	ctx := context.Background()
	count := func(place string) map[string]int {
		s := open(t, realinput.Path(t, place))
		n := map[string]int{}
		for _, f := range s.Files() {
			for row, err := range s.Rows(ctx, f) {
				if err != nil {
					t.Fatal(err)
				}
				if row.Fault != intake.NoFault {
					t.Fatalf("%s: row %d of %s: %s", place, row.Number, f.Name, row.Fault)
				}
				n[f.Table]++
			}
		}
		return n
	}
	for place, want := range map[string]map[string]int{
		"omop/gibleed":      {"person": 2694, "condition_occurrence": 65332, "drug_exposure": 67707, "procedure_occurrence": 37409, "measurement": 44053, "observation": 1477, "visit_occurrence": 1037, "observation_period": 5343, "condition_era": 65719, "drug_era": 52508, "concept": 444, "concept_ancestor": 65690},
		"omop/gibleed-csv":  {"person": 2694, "condition_occurrence": 65332, "drug_exposure": 67707, "procedure_occurrence": 37409, "measurement": 44053, "observation": 1477, "visit_occurrence": 1037, "observation_period": 5343, "concept": 444, "concept_ancestor": 65690},
		"cohorts/dense-cdm": {"person": 5000},
		"omop/lauren/cdm":   {"person": 1, "observation": 0},
	} {
		got := count(place)
		for table, n := range want {
			if got[table] != n {
				t.Errorf("%s: %d rows of %s, want %d", place, got[table], table, n)
			}
		}
	}
}

// TestParquetEqualsCSV compares GiBleed as its makers give it in two formats.
func TestParquetEqualsCSV(t *testing.T) {
	seed := maphash.MakeSeed()
	a, b := open(t, realinput.Path(t, "omop/gibleed")), open(t, realinput.Path(t, "omop/gibleed-csv"))
	for _, table := range []string{"person", "observation_period", "visit_occurrence", "condition_occurrence", "drug_exposure", "procedure_occurrence",
		"measurement", "observation", "condition_era", "drug_era", "concept", "concept_ancestor", "concept_relationship", "cdm_source"} {
		// Each maker numbered the events anew, and only one filled cdm_version_concept_id.
		n, x := digest(t, a, table, seed)
		m, y := digest(t, b, table, seed)
		if n != m || x != y || n == 0 && table != "concept_relationship" {
			t.Errorf("%s: %d rows in Parquet, %d in CSV, equal %v", table, n, m, x == y)
		}
	}
}

// digest counts the rows of a table and adds up their hashes.
func digest(t *testing.T, s *Source, table string, seed maphash.Seed) (count int, sum uint64) {
	tb, _ := cdm.Lookup(table)
	var line []byte
	for _, f := range s.Files() {
		if f.Table != table {
			continue
		}
		for row, err := range s.Rows(context.Background(), f) {
			if err != nil {
				t.Fatal(err)
			}
			line = line[:0]
			for i, c := range f.Columns {
				if len(row.Values[i]) == 0 || c == "cdm_version_concept_id" || c == tb.ID && table != "person" && !tb.Vocabulary {
					continue
				}
				line = append(append(append(append(line, c...), '='), row.Values[i]...), ' ')
			}
			count++
			sum += maphash.Bytes(seed, line)
		}
	}
	return count, sum
}
