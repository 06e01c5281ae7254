// Package omop knows the tables and fields of the OMOP Common Data Model 5.4,
// the names that version 5.3 gave them, which fields identify a person or a
// place, and what may be asked of a vocabulary. It holds no data and does no I/O.
package omop

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// Version is the CDM version whose names the whole of Havre uses.
const Version = "5.4"

// Type is the type of a field, as the CDM knows it.
type Type string

// The five types. Integer is 64 bits wide; Date is written 2006-01-02 and
// Datetime 2006-01-02 15:04:05, with fractions of a second if there are any.
const (
	Integer  Type = "integer"
	Float    Type = "float"
	Date     Type = "date"
	Datetime Type = "datetime"
	Text     Type = "text"
)

// Field is one column of a table.
type Field struct {
	Name        string
	Type        Type
	Required    bool // NOT NULL in the CDM; an Identifying field is never delivered, required or not
	Identifying bool // names a person or a place: it never leaves the holder
}

// Table is one table of the CDM. Fields are in the order of the standard.
type Table struct {
	Name        string
	Fields      []Field
	PersonLevel bool   // each row is about one person, named in column Person
	Person      string // "person_id", or "subject_id" in cohort; "" if not PersonLevel
	Vocabulary  bool   // part of the standardised vocabularies: no word about any person
	ID          string // primary key column, "" if the table has none
	Concept     string // main standard concept; in vocabulary tables the concept that look-ups go by; "" if none
	Start       string // date that places the row in time, "" if none
	End         string // date on which it ends, "" if the table has none; the value may be null
}

// Field gives the field of that (lower-case) name.
func (t Table) Field(name string) (Field, bool) {
	i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return t.Fields[i], true
}

// Names lists the names of the fields in order.
func (t Table) Names() []string {
	names := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
	}
	return names
}

//go:embed cdm54.txt
var facts string

var (
	tables = parse(facts)
	byName = func() map[string]Table {
		m := make(map[string]Table, len(tables))
		for _, t := range tables {
			m[t.Name] = t
		}
		return m
	}()
)

// Tables lists the tables in the order of the standard. The caller must not
// change what it is given.
func Tables() []Table { return tables }

// Lookup gives the table of that (lower-case) name.
func Lookup(name string) (Table, bool) {
	t, ok := byName[name]
	return t, ok
}

// renamed53 maps the columns that 5.4 renamed, by table.
var renamed53 = map[string]map[string]string{
	"visit_occurrence": {
		"admitting_source_concept_id": "admitted_from_concept_id",
		"admitting_source_value":      "admitted_from_source_value",
		"discharge_to_concept_id":     "discharged_to_concept_id",
		"discharge_to_source_value":   "discharged_to_source_value",
	},
	"visit_detail": {
		"admitting_source_concept_id": "admitted_from_concept_id",
		"admitting_source_value":      "admitted_from_source_value",
		"discharge_to_concept_id":     "discharged_to_concept_id",
		"discharge_to_source_value":   "discharged_to_source_value",
		"visit_detail_parent_id":      "parent_visit_detail_id",
	},
}

// Current gives the 5.4 name of a column of a table that may be written in
// 5.3; any other name is given back as it is.
func Current(table, column string) string {
	if now, ok := renamed53[table][column]; ok {
		return now
	}
	return column
}

// parse reads the embedded facts, whose form stands in their first lines. They
// are part of the program, so a fault in them stops it at once.
func parse(text string) []Table {
	types := map[string]Type{"i": Integer, "f": Float, "d": Date, "t": Datetime, "s": Text}
	var out []Table
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case !strings.HasPrefix(line, " "):
			out = append(out, parseHead(words))
		default:
			t := &out[len(out)-1]
			for _, w := range words {
				name, kind, _ := strings.Cut(w, ":")
				f := Field{Name: name, Type: types[kind[:1]], Required: strings.Contains(kind, "!"), Identifying: strings.Contains(kind, "-")}
				if f.Type == "" {
					panic(fmt.Sprintf("omop: field %s of %s has no type", name, t.Name))
				}
				t.Fields = append(t.Fields, f)
			}
		}
	}
	return out
}

func parseHead(words []string) Table {
	t := Table{Name: words[0]}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "id":
			t.ID = value
		case "person":
			t.Person, t.PersonLevel = value, true
		case "concept":
			t.Concept = value
		case "start":
			t.Start = value
		case "end":
			t.End = value
		case "vocabulary":
			t.Vocabulary = true
		default:
			panic(fmt.Sprintf("omop: unknown fact %s of %s", w, t.Name))
		}
	}
	return t
}
