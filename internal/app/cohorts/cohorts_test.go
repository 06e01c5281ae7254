package cohorts

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/duck/ducktest"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/realinput"
)

// library puts the published definitions into a folder.
func library(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for id, data := range studytest.Published(t, realinput.Path(t, "cohorts/definitions.json.tar.zst"), ".json") {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.json", id)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// rows reads a cohort table, each row as one text, sorted.
func rows(t *testing.T, path string) (out []string) {
	t.Helper()
	columns := map[string][]int64{}
	studytest.ReadParquet(t, path, func(name string, values arrow.Array) {
		for i := range values.Len() {
			if strings.HasSuffix(name, "_date") {
				columns[name] = append(columns[name], int64(studytest.Day(t, values, i)))
			} else {
				columns[name] = append(columns[name], studytest.Int(t, values, i))
			}
		}
	})
	for i, id := range columns["cohort_definition_id"] {
		out = append(out, fmt.Sprint(id, columns["subject_id"][i], columns["cohort_start_date"][i], columns["cohort_end_date"][i]))
	}
	sort.Strings(out)
	return out
}

// duckFile makes a DuckDB file of a folder of Parquet files, the vocabulary in a
// schema of its own.
func duckFile(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cdm.duckdb")
	statements := []string{"CREATE SCHEMA cdm_53", "CREATE SCHEMA vocabulary"}
	files, err := filepath.Glob(filepath.Join(folder, "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no files")
	}
	for _, f := range files {
		table := strings.TrimSuffix(filepath.Base(f), ".parquet")
		schema := "cdm_53"
		if strings.HasPrefix(table, "concept") || table == "vocabulary" || table == "domain" {
			schema = "vocabulary"
		}
		statements = append(statements, "CREATE TABLE "+schema+"."+duck.Name(strings.ToUpper(table))+" AS SELECT * FROM read_parquet("+duck.Quote(f)+")")
	}
	ducktest.Write(t, path, statements...)
	return path
}

// TestRunEqualsTheReference demands the rows and the statistics of the reference
// SQL for the whole library, from each kind of place.
func TestRunEqualsTheReference(t *testing.T) {
	definitions, err := Read([]string{library(t)})
	if err != nil {
		t.Fatal(err)
	}
	gibleed := realinput.Path(t, "omop/gibleed")
	for name, c := range map[string]struct{ place, expected string }{
		"parquet": {gibleed, "cohorts/expected-gibleed.parquet"},
		"csv":     {realinput.Path(t, "omop/gibleed-csv"), "cohorts/expected-gibleed.parquet"},
		"duckdb":  {duckFile(t, gibleed), "cohorts/expected-gibleed.parquet"},
		"dense":   {realinput.Path(t, "cohorts/dense-cdm"), "cohorts/expected-dense.parquet"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{CDM: c.place, Definitions: definitions, Out: filepath.Join(t.TempDir(), "cohort.parquet"), Progress: havre.NoProgress}
			if name == "duckdb" {
				o.Stats = filepath.Join(t.TempDir(), "stats")
			}
			run, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			got, want := rows(t, o.Out), rows(t, realinput.Path(t, c.expected))
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%d rows, %d expected", len(got), len(want))
			}
			if run.Rows != int64(len(got)) {
				t.Errorf("the summary says %d rows", run.Rows)
			}
			if o.Stats != "" {
				sameStats(t, o.Stats)
			}
		})
	}
}

func sameStats(t *testing.T, folder string) {
	t.Helper()
	for ours, theirs := range map[string]string{"cohort_inclusion_stats": "inclusion-stats", "cohort_inclusion_result": "inclusion-result", "cohort_summary_stats": "summary-stats"} {
		got, want := lines(t, filepath.Join(folder, ours+".csv")), lines(t, realinput.Path(t, "cohorts/expected-"+theirs+"-gibleed.csv"))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d lines, %d expected", ours, len(got), len(want))
		}
	}
	pictures, _ := filepath.Glob(filepath.Join(folder, "attrition-*.svg"))
	if len(pictures) != 134 {
		t.Errorf("%d pictures of attrition, the library has 134 definitions with rules", len(pictures))
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(b), "\r", "")), "\n")
	sort.Strings(out[1:])
	return out
}

const everybody = `{"ConceptSets": [], "PrimaryCriteria": {"CriteriaList": [{"ObservationPeriod": {}}], "ObservationWindow": {"PriorDays": 0, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "All"}}, "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0}}`

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestNumbers says where the number of a definition comes from.
func TestNumbers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1071.json", everybody)
	write(t, dir+"/0007-new users.json", everybody)
	write(t, dir+"/asthma.json", everybody)
	write(t, dir+"/export.json", `{"id": 33, "name": "From ATLAS", "description": null, "expression": `+everybody+`}`)
	write(t, dir+"/webapi.json", `{"id": 34, "name": "From WebAPI", "expressionType": "SIMPLE_EXPRESSION", "expression": `+fmt.Sprintf("%q", everybody)+`}`)
	write(t, dir+"/notes.txt", "not read")
	got, err := Read([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range got {
		names = append(names, fmt.Sprint(d.ID, " ", d.Name))
	}
	if want := []string{"1 asthma", "7 0007-new users", "33 From ATLAS", "34 From WebAPI", "1071 1071"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	write(t, dir+"/1071b.json", everybody)
	write(t, dir+"/broken.json", `{"PrimaryCriteri": 1}`)
	if _, err := Read([]string{dir}); havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), "same number 1071") || !strings.Contains(err.Error(), "broken.json") {
		t.Errorf("got %v", err)
	}
}

// TestLibraryRoundTrip: every published definition is read without a mistake, as
// it is, after a byte order mark, and in both forms of WebAPI, and comes out
// byte for byte as it went in.
func TestLibraryRoundTrip(t *testing.T) {
	dir := t.TempDir()
	all := studytest.Published(t, realinput.Path(t, "cohorts/definitions.json.tar.zst"), ".json")
	if len(all) < 547 {
		t.Fatalf("%d definitions", len(all))
	}
	for id, data := range all {
		asText, err := json.Marshal(string(data))
		if err != nil {
			t.Fatal(err)
		}
		var sets []*cohort.Definition
		for form, text := range map[string][]byte{"export": data, "bom": append([]byte("\xef\xbb\xbf"), data...),
			"object": fmt.Appendf(nil, `{"id": 7, "name": "n", "expression": %s}`, bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))),
			"text":   fmt.Appendf(nil, "\xef\xbb\xbf"+`{"id": 7, "name": "n", "expressionType": "SIMPLE_EXPRESSION", "expression": %s}`, asText)} {
			d, err := ReadOne(write(t, filepath.Join(dir, form+".json"), string(text)))
			if err != nil {
				t.Fatalf("%d, %s: %v", id, form, err)
			}
			if !bytes.Equal(d.Export(), text) {
				t.Fatalf("%d, %s: comes out otherwise", id, form)
			}
			if wrapped := form == "object" || form == "text"; wrapped && (d.ID != 7 || d.Name != "n") {
				t.Fatalf("%d, %s: is %d %s", id, form, d.ID, d.Name)
			}
			sets = append(sets, d.Definition)
		}
		for _, d := range sets[1:] {
			if !reflect.DeepEqual(d, sets[0]) {
				t.Fatalf("%d: the forms are read differently", id)
			}
		}
	}
}

// TestCheck: all that is to be said of several files, one of them short.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/d/1.json", everybody)
	write(t, dir+"/d/2.json", `{"PrimaryCriteri": 1, "ConceptSets": [{"id": 0, "name": "Sleep", "expression": {"items": []}}]}`)
	write(t, dir+"/d/3.yaml", "entry: {condition: any, aeg: 7, starts: soon}")
	write(t, dir+"/d/4.yaml", "concepts: {gone: [9, {id: 10, descendants: false}, 11, 12], none: 13}\nentry: {condition: gone, ends: from 2010-01-01}\nexit: 0 days after the start\ncensor: {death: any, source: none}")
	write(t, dir+"/d/5.json", strings.Replace(everybody, `{"ObservationPeriod": {}}`, `{"DrugExposure": {"EffectiveDrugDose": {"Value": 1.23456, "Op": "gt"}}}`, 1))
	write(t, dir+"/d/study.yaml", "name: no-definition")
	write(t, dir+"/cdm/concept.csv", "concept_id,concept_name,standard_concept,invalid_reason\n9,Old,,D\n10,Local,,\n11,Class,C,\n")
	write(t, dir+"/cdm/concept_ancestor.csv", "ancestor_concept_id,descendant_concept_id\n9,9\n")
	checked, err := Check(t.Context(), []string{dir + "/d"}, dir+"/cdm")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range checked {
		for _, p := range c.Errors {
			lines = append(lines, fmt.Sprint(c.ID, " error ", p))
		}
		for _, p := range c.Notes {
			lines = append(lines, fmt.Sprint(c.ID, " note ", p))
		}
		for _, w := range c.Warnings {
			lines = append(lines, fmt.Sprint(c.ID, " ", w.Severity, " ", w.Message))
		}
		for _, n := range c.Concepts {
			lines = append(lines, fmt.Sprint(c.ID, " ", n.Set, " ", n.Concept, " ", n.Text))
		}
	}
	got := strings.Join(lines, "\n")
	for _, want := range []string{
		`2 error $.PrimaryCriteri: Circe has no such field here; did you mean "PrimaryCriteria"?`, `2 error $.PrimaryCriteria: a definition must say`,
		`2 CRITICAL Concept set Sleep contains no concepts`, `2 WARNING Concept Set "Sleep" is not used`,
		`3 error line 1, column 25: the entry of kind condition has no key "aeg"`, `3 error line 1, column 41: "soon" is no comparison of dates`,
		"4 WARNING Cohort Exit criteria: Days offset from start date should be greater than 0",
		"4 gone 9 Old is no longer valid (D)", "4 gone 10 Local is not a standard concept", "4 gone 12 the vocabulary does not have this concept",
		"4 none 0 the vocabulary has no concept of this set", "4 none 13 the vocabulary does not have",
		"5 error $.PrimaryCriteria.CriteriaList[0].DrugExposure.EffectiveDrugDose: this needs the column", "5 note $.PrimaryCriteria.CriteriaList[0].DrugExposure.EffectiveDrugDose.Value: Circe takes four decimals here",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not said: %s", want)
		}
	}
	if strings.Contains(got, "gone 11") || len(checked) != 5 {
		t.Errorf("%d definitions", len(checked))
	}
	if t.Failed() {
		t.Log(got)
	}
}

// TestSmallCDM runs over data with everything that is legal and odd: negative
// and 64-bit ids, dates before 1970 and after 2100, rows that cannot be read.
func TestSmallCDM(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/cdm/OBSERVATION_PERIOD.csv", "observation_period_id,person_id,observation_period_start_date,observation_period_end_date,period_type_concept_id\n"+
		"1,-5,1950-02-28,1960-02-29,0\n2,9223372036854775807,2099-12-31,2150-01-01,0\n3,6,31/02/2020,2021-01-01,0\n4,,2020-01-01,2021-01-01,0\n")
	definition := write(t, dir+"/everybody.json", everybody)
	definitions, err := Read([]string{definition})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{CDM: dir + "/cdm", Definitions: definitions, Out: dir + "/out.csv", Stats: dir + "/stats", Progress: havre.NoProgress}
	run, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(o.Out)
	if want := "cohort_definition_id,subject_id,cohort_start_date,cohort_end_date\n1,-5,1950-02-28,1960-02-29\n1,9223372036854775807,2099-12-31,2150-01-01\n"; string(b) != want {
		t.Errorf("got %s", b)
	}
	if len(run.Warnings) != 2 {
		t.Errorf("warnings %q", run.Warnings)
	}
	f, err := os.Open(dir + "/stats/cohort_censor_stats.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if all, err := csv.NewReader(f).ReadAll(); err != nil || len(all) != 1 {
		t.Errorf("censor statistics %v, %v", all, err)
	}
}

// TestRefused: a clear error, and no file.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/cdm/person.csv", "person_id,gender_concept_id\n1,8507\n")
	write(t, dir+"/fake.duckdb", "12345678DUCK and then nothing of use")
	one := write(t, dir+"/1.json", everybody)
	for name, c := range map[string]struct {
		place, out, definition string
		kind                   havre.Kind
	}{
		"no such place":         {dir + "/nowhere", "x.csv", one, havre.NotFound},
		"no observation period": {dir + "/cdm", "x.csv", one, havre.Invalid},
		"no known form":         {dir + "/cdm", "x.xlsx", one, havre.Usage},
		"no DuckDB file":        {dir + "/fake.duckdb", "x.csv", one, havre.Invalid},
		"no definition":         {dir + "/cdm", "x.csv", dir + "/2.json", havre.NotFound},
		"nothing in the folder": {dir + "/cdm", "x.csv", dir + "/cdm", havre.NotFound},
	} {
		definitions, err := Read([]string{c.definition})
		if err == nil {
			_, err = Run(t.Context(), Options{CDM: c.place, Definitions: definitions, Out: filepath.Join(dir, c.out), Progress: havre.NoProgress})
		}
		if havre.KindOf(err) != c.kind || havre.HintOf(err) == "" && c.kind != havre.NotFound {
			t.Errorf("%s: %q of %v", name, havre.KindOf(err), err)
		}
		if _, err := os.Stat(filepath.Join(dir, c.out)); err == nil {
			t.Errorf("%s: a file was written", name)
		}
	}
}
