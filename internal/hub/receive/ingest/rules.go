package ingest

import (
	"fmt"
	"strings"

	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// Columns that ingest adds to the stage tables.
const (
	personColumn = "person_" // stands, with bucket_, for the transport id that the CSV had
	bucketColumn = "bucket_"
	reasonColumn = "reason_" // 0 for a good row, else an index into layout.reasons, from 1
)

// placeholder is the date that some systems write for "not known".
const placeholder = "1600-01-01"

var sqlType = map[omop.Type]string{
	omop.Integer: "BIGINT", omop.Float: "DOUBLE", omop.Date: "DATE", omop.Datetime: "TIMESTAMP", omop.Text: "VARCHAR",
}

// layout is what one part looks like and by which rules its rows are judged.
type layout struct {
	table   omop.Table
	columns []string       // of the CSV, in order
	types   []omop.Type    // of the CSV columns; tid is Text
	at      map[string]int // CDM field -> CSV column
	used    []bool
	ignored []string // CSV columns that the CDM does not know
	plain   bool
	reasons []string
}

// newLayout reads the columns of a part of a known table. It refuses a part
// that has an identifying column, or names a column twice, or is about persons
// and has no tid.
func newLayout(t omop.Table, p envelope.Part) (*layout, error) {
	l := &layout{table: t, columns: p.Columns, at: map[string]int{}}
	refuse := func(kind havre.Kind, what string) (*layout, error) {
		return nil, havre.E("ingest", kind, "part "+p.Name+" of "+t.Name+": "+what).
			WithHint("nothing of this delivery was taken in; the holder must correct its extract and deliver anew")
	}
	for i, name := range p.Columns {
		l.types = append(l.types, omop.Text)
		if i == 0 && t.PersonLevel {
			if name != "tid" {
				return refuse(havre.Invalid, "its first column is not tid")
			}
			continue
		}
		f, known := t.Field(omop.Current(t.Name, name))
		switch {
		case !known:
			l.ignored = append(l.ignored, name)
			continue
		case f.Identifying || f.Name == t.Person:
			return refuse(havre.Refused, "the column "+f.Name+" identifies persons or places and may not leave a holder")
		}
		if _, twice := l.at[f.Name]; twice {
			return refuse(havre.Invalid, "the column "+f.Name+" is there twice")
		}
		l.at[f.Name], l.types[i] = i, f.Type
	}
	if t.PersonLevel && len(p.Columns) == 0 {
		return refuse(havre.Invalid, "it has no columns")
	}
	return l, nil
}

// has says whether any row of the part has a value for the field.
func (l *layout) has(f omop.Field) bool {
	i, ok := l.at[f.Name]
	return ok && l.used[i]
}

// stored lists the fields of a table that segments hold: all but those that
// never leave a holder.
func stored(t omop.Table) (fields []omop.Field) {
	for _, f := range t.Fields {
		if !f.Identifying {
			fields = append(fields, f)
		}
	}
	return fields
}

// defaults says whether a missing value of the field becomes concept 0 ("no
// matching concept"), which the CDM asks for in required concept columns.
func defaults(f omop.Field) bool {
	return f.Required && f.Type == omop.Integer && strings.HasSuffix(f.Name, "_concept_id")
}

func dated(f omop.Field) bool { return f.Type == omop.Date || f.Type == omop.Datetime }

// isPlaceholder is the SQL condition that a date or datetime column holds no date.
func isPlaceholder(f omop.Field, expr string) string {
	if f.Type == omop.Date {
		return expr + " = DATE '" + placeholder + "'"
	}
	return expr + " >= TIMESTAMP '" + placeholder + "' AND " + expr + " < TIMESTAMP '1600-01-02'"
}

// How the values of a part are read.
type reading int

const (
	typed reading = iota // DuckDB's CSV reader casts: plain parts only
	plain                // text, cast without checks: plain parts only
	exact                // text, each value judged
)

func csvColumn(i int) string { return fmt.Sprintf("c%d", i) }

// source is the read_csv call on a memory file. One buffer takes the whole file,
// so that no row lies across two, and is no larger than it must be.
func (l *layout) source(csv *duck.File, how reading) string {
	var cols []string
	for i, t := range l.types {
		if i == 0 && l.table.PersonLevel {
			cols = append(cols, "'"+personColumn+"': 'BIGINT'", "'"+bucketColumn+"': 'SMALLINT'")
			continue
		}
		if how != typed || !l.used[i] {
			t = omop.Text
		}
		cols = append(cols, "'"+csvColumn(i)+"': '"+sqlType[t]+"'")
	}
	size := max(csv.Size(), 64<<10)
	return "read_csv(" + duck.Quote(csv.Path()) + `, auto_detect=false, header=false, delim=',', quote='"', escape='"', new_line='\n', ` +
		fmt.Sprintf("strict_mode=true, null_padding=false, max_line_size=%d, buffer_size=%d, columns={%s})", min(size, 16<<20), size, strings.Join(cols, ", "))
}

// value is the SQL expression of the typed value of a field the part has.
func (l *layout) value(f omop.Field, how reading) string {
	c := csvColumn(l.at[f.Name])
	if how == typed || f.Type == omop.Text {
		return c
	}
	if how == plain {
		return "TRY_CAST(" + c + " AS " + sqlType[f.Type] + ")"
	}
	x := "trim(" + c + ")"
	switch f.Type {
	case omop.Integer:
		return "CASE WHEN regexp_full_match(" + x + `, '[+-]?[0-9]+(\.0*)?') THEN TRY_CAST(split_part(` + x + ", '.', 1) AS BIGINT) END"
	case omop.Float:
		return "CASE WHEN regexp_full_match(" + x + `, '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?') AND isfinite(TRY_CAST(` + x + " AS DOUBLE)) THEN TRY_CAST(" + x + " AS DOUBLE) END"
	}
	const year = `(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})` // there is no year 0
	const date = year + `-[0-9]{2}-[0-9]{2}`
	const clock = `([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?`
	// The clock is kept as written: the CDM holds local time, so a zone is dropped.
	const zone = `(Z|[+-][0-9]{2}(:?[0-9]{2})?)?`
	iso := "regexp_full_match(" + x + ", '" + date + "([ T]" + clock + zone + ")?')"
	compact := "regexp_full_match(" + x + ", '" + year + "[0-9]{4}')"
	if f.Type == omop.Date {
		return "CASE WHEN " + compact + " THEN CAST(try_strptime(" + x + ", '%Y%m%d') AS DATE) WHEN " + iso + " THEN TRY_CAST(left(" + x + ", 10) AS DATE) END"
	}
	return "CASE WHEN " + compact + " THEN try_strptime(" + x + ", '%Y%m%d') WHEN " + iso +
		" THEN TRY_CAST(left(" + x + ", 10) || ' ' || coalesce(nullif(regexp_extract(" + x + ", '[ T](" + clock + ")', 1), ''), '00:00:00') AS TIMESTAMP) END"
}

// present is the SQL condition that the CSV has any text for the field.
func (l *layout) present(f omop.Field) string {
	return "trim(" + csvColumn(l.at[f.Name]) + ") <> ''"
}

var badName = map[omop.Type]string{omop.Integer: "bad_integer", omop.Float: "bad_number", omop.Date: "bad_date", omop.Datetime: "bad_datetime"}

// judged gives a SELECT of the part: the CSV columns as they are if raw, the
// typed value of every field the part has, the person and bucket, and the
// number of the first rule that a row breaks. It sets l.reasons.
func (l *layout) judged(csv *duck.File, how reading, raw bool) string {
	inner, outer := []string{}, []string{}
	if raw {
		inner = append(inner, "row_number() OVER () AS row_")
		outer = append(outer, "row_")
	}
	for i := range l.columns {
		if raw && (i > 0 || !l.table.PersonLevel) {
			inner = append(inner, csvColumn(i))
			outer = append(outer, csvColumn(i))
		}
	}
	l.reasons = nil
	var rules []string
	rule := func(when, reason string) {
		l.reasons = append(l.reasons, reason)
		rules = append(rules, fmt.Sprintf("WHEN %s THEN %d", when, len(l.reasons)))
	}
	if l.table.PersonLevel {
		rule(personColumn+" IS NULL", "unknown_person")
		inner = append(inner, personColumn, bucketColumn)
		outer = append(outer, personColumn+" AS "+duck.Name(l.table.Person), bucketColumn)
	} else {
		outer = append(outer, fmt.Sprintf("%d::SMALLINT AS %s", Unbucketed, bucketColumn))
	}
	for _, f := range stored(l.table) {
		if f.Name == l.table.Person && l.table.PersonLevel {
			continue
		}
		name := duck.Name(f.Name)
		if !l.has(f) {
			if f.Required && !defaults(f) {
				rule("TRUE", "missing:"+f.Name)
			}
			continue
		}
		inner = append(inner, l.value(f, how)+" AS "+name)
		outer = append(outer, name)
		if how == exact && f.Type != omop.Text {
			bad := duck.Name("bad_" + f.Name)
			inner = append(inner, l.present(f)+" AS "+bad)
			rule(bad+" AND "+name+" IS NULL", badName[f.Type]+":"+f.Name)
		}
		if !f.Required {
			continue
		}
		if !defaults(f) {
			rule(name+" IS NULL", "missing:"+f.Name)
		}
		if dated(f) {
			rule(isPlaceholder(f, name), "missing_date:"+f.Name)
		}
	}
	reason := "0::SMALLINT"
	if len(rules) > 0 {
		reason = "CAST(CASE " + strings.Join(rules, " ") + " ELSE 0 END AS SMALLINT)"
	}
	if len(inner) == 0 { // a part without a single known value
		inner = append(inner, "1 AS nothing_")
	}
	outer = append(outer, reason+" AS "+reasonColumn)
	return "SELECT " + strings.Join(outer, ", ") + " FROM (SELECT " + strings.Join(inner, ", ") + " FROM " + l.source(csv, how) + ")"
}

// warnings lists, for good rows, the conditions that are counted and their
// names; a NULL comparison counts as false.
func (l *layout) warnings() (names, conditions []string) {
	for _, f := range stored(l.table) {
		switch {
		case defaults(f) && !l.has(f):
			names, conditions = append(names, "concept_defaulted:"+f.Name), append(conditions, "TRUE")
		case defaults(f):
			names, conditions = append(names, "concept_defaulted:"+f.Name), append(conditions, duck.Name(f.Name)+" IS NULL")
		case dated(f) && !f.Required && l.has(f):
			names, conditions = append(names, "placeholder_date:"+f.Name), append(conditions, isPlaceholder(f, duck.Name(f.Name)))
		}
	}
	for _, c := range l.ignored {
		names, conditions = append(names, "ignored_column:"+c), append(conditions, "TRUE")
	}
	return names, conditions
}
