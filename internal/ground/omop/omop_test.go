package omop

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/realinput"
)

func TestFactsEqualTheStandard(t *testing.T) {
	f, err := os.Open(filepath.Join(realinput.Path(t, "omop/ddl"), "OMOP_CDMv5.4_Field_Level.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, h := range rows[0] {
		column[strings.TrimPrefix(h, "\ufeff")] = i
	}
	kinds := map[string]Type{"integer": Integer, "float": Float, "date": Date, "datetime": Datetime}
	var want []Table
	for _, r := range rows[1:] {
		name := strings.ToLower(r[column["cdmTableName"]])
		if len(want) == 0 || want[len(want)-1].Name != name {
			want = append(want, Table{Name: name})
		}
		w := &want[len(want)-1]
		kind, ok := kinds[strings.ToLower(r[column["cdmDatatype"]])]
		if !ok {
			kind = Text
		}
		field := Field{Name: strings.Trim(r[column["cdmFieldName"]], `"`), Type: kind, Required: r[column["isRequired"]] == "Yes"}
		w.Fields = append(w.Fields, field)
		if r[column["isPrimaryKey"]] == "Yes" {
			w.ID = field.Name
		}
	}
	if len(want) != len(Tables()) || len(want) != 39 {
		t.Fatalf("%d tables here, %d in the standard", len(Tables()), len(want))
	}
	for i, w := range want {
		got := Tables()[i]
		if got.Name != w.Name || got.ID != w.ID || len(got.Fields) != len(w.Fields) {
			t.Errorf("%s: have %s, id %q, %d fields; want id %q, %d fields", w.Name, got.Name, got.ID, len(got.Fields), w.ID, len(w.Fields))
			continue
		}
		for j, f := range w.Fields {
			g := got.Fields[j]
			g.Identifying = false
			if g != f {
				t.Errorf("%s: field %d is %+v, want %+v", w.Name, j, g, f)
			}
		}
	}
}

func TestTableFactsNameRealFields(t *testing.T) {
	for _, tb := range Tables() {
		for what, name := range map[string]string{"id": tb.ID, "person": tb.Person, "concept": tb.Concept, "start": tb.Start, "end": tb.End} {
			if _, ok := tb.Field(name); name != "" && !ok {
				t.Errorf("%s: %s column %s is no field", tb.Name, what, name)
			}
		}
		if slices.Contains(tb.Names(), "person_id") != (tb.Person == "person_id") || tb.PersonLevel != (tb.Person != "") {
			t.Errorf("%s: person level %v by %q", tb.Name, tb.PersonLevel, tb.Person)
		}
		if got, ok := Lookup(tb.Name); !ok || got.Name != tb.Name {
			t.Errorf("Lookup(%s) = %s, %v", tb.Name, got.Name, ok)
		}
		if tb.Vocabulary && tb.PersonLevel {
			t.Errorf("%s cannot be both", tb.Name)
		}
		if tb.End != "" && tb.Start == "" {
			t.Errorf("%s ends without a start", tb.Name)
		}
	}
}

func TestIdentifyingFields(t *testing.T) {
	var got []string
	for _, tb := range Tables() {
		for _, f := range tb.Fields {
			if f.Identifying {
				got = append(got, tb.Name+"."+f.Name)
			}
		}
	}
	want := []string{"person.person_source_value", "note.note_title", "note.note_text", "note_nlp.snippet", "note_nlp.lexical_variant",
		"location.address_1", "location.address_2", "location.location_source_value", "location.latitude", "location.longitude",
		"provider.provider_name", "provider.npi", "provider.dea", "provider.provider_source_value"}
	if !slices.Equal(got, want) {
		t.Errorf("identifying fields:\n%v\nwant\n%v", got, want)
	}
}

func TestEveryOldNameHasANewOne(t *testing.T) {
	for table, names := range renamed53 {
		tb, ok := Lookup(table)
		for old, now := range names {
			if _, is := tb.Field(now); !ok || !is {
				t.Errorf("%s.%s is mapped to %s, which is no field", table, old, now)
			}
			if Current(table, old) != now || Current(table, now) != now || Current("person", old) != old {
				t.Errorf("Current(%s, %s) is wrong", table, old)
			}
		}
	}
}

func TestCanonical(t *testing.T) {
	for name, want := range map[string]string{
		"person": "person", "PERSON.csv": "person", "a/b/Person.CSV.GZ": "person", `C:\cdm\DEATH.parquet`: "death",
		"2b_concept.csv": "concept", "omop_cdm.visit_detail.csv": "visit_detail", "CDM54-measurement.tsv": "measurement",
		"demo_cdm.condition_occurrence.csv.gz": "condition_occurrence", "my_schema.\"NOTE\"": "note",
		"condition_occurrence_1.csv": "condition_occurrence", "drug_exposure-000012.csv.gz": "drug_exposure",
		"note_nlp.part-0003.csv": "note_nlp", "drug_era_0_1_0.snappy.parquet": "drug_era", "person (2).csv": "person",
		"x/MEASUREMENT/part-00000-1f2e3d4c-aaaa-bbbb-cccc-0123456789ab-c000.snappy.parquet": "measurement",
		"person.parquet/part.0.parquet": "person", "omop/death/000000000003.csv": "death", "death/data_0_0_0.csv": "death",
		"concept_relationship.csv": "concept_relationship", "domain.txt": "domain", "cohort_definition.csv": "cohort_definition",
		"README.md": "", "cohort_attribute.csv": "", "drug_concept.csv": "", "vocabulary/readme.csv": "", "patients.csv": "",
		"vocabulary/other.csv": "", "": "", ".csv": "", "raw/observations.csv": "", "attribute_definition.csv": "",
	} {
		if got, ok := Canonical(name); got != want || ok != (want != "") {
			t.Errorf("Canonical(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, tb := range Tables() {
		if got, _ := Canonical("OMOP/" + strings.ToUpper(tb.Name) + ".CSV"); got != tb.Name {
			t.Errorf("Canonical of %s is %q", tb.Name, got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add("omop_cdm.person_0001.csv.gz")
	f.Add("death/part-0")
	f.Fuzz(func(t *testing.T, name string) {
		got, ok := Canonical(name)
		if _, is := Lookup(got); ok != is {
			t.Errorf("Canonical(%q) = %q, %v, which is no table", name, got, ok)
		}
	})
}
