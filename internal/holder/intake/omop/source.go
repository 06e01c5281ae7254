// Package omop reads somebody's OMOP CDM, 5.3 or 5.4: a folder or a zip of
// CSV, compressed CSV or Parquet files, in any case of names, in sub-folders,
// split into pieces or not, with the junk that archives carry; or a DuckDB file.
// Files are streamed: memory does not grow with their size (a Parquet file's row
// groups, a Parquet file compressed inside a zip and a DuckDB table excepted).
//
// Nothing is lost unseen: files that hold no CDM table are listed (Skipped),
// columns that the CDM does not know are listed (intake.File.Ignored), and
// lines that are no row are given out with their fault.
package omop

import (
	"context"
	"fmt"
	"iter"
	"path"
	"slices"
	"sort"
	"strings"

	cdm "github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/holder/intake"
	"github.com/havre-hub/havre/internal/holder/intake/delimited"
)

// Junk is the reason of files that archivers, file managers and version control
// leave, or that tell people about the data.
const Junk = "junk"

// Source is an open OMOP CDM. Its methods are safe for concurrent use.
type Source struct {
	tree    tree
	files   []intake.File
	how     map[string]reading // by file name
	skipped []intake.Skipped
	version string
}

// reading is what Open learnt of a file.
type reading struct {
	entry  entry
	layout layout
	text   delimited.Dialect // text files only
}

// layout says where the values of a row come from.
type layout struct {
	fields  []cdm.Field // of intake.File.Columns
	from    []int       // source column of each
	others  []int       // source columns of intake.File.Ignored
	columns int         // how many columns the file has
}

// only leaves the columns that a file lists.
func (l layout) only(f intake.File) layout {
	out := layout{columns: l.columns}
	for i, field := range l.fields {
		if slices.Contains(f.Columns, field.Name) {
			out.fields, out.from = append(out.fields, field), append(out.from, l.from[i])
		}
	}
	if len(f.Ignored) > 0 {
		out.others = l.others
	}
	return out
}

// Open looks at a folder, zip or DuckDB file: names, headers and schemas, no rows.
// Errors are of kind NotFound (no such place, no table in it) or Invalid.
func Open(ctx context.Context, place string) (*Source, error) {
	t, err := openTree(ctx, place)
	if err != nil {
		return nil, err
	}
	s := &Source{tree: t, how: map[string]reading{}, version: cdm.Version}
	if err := s.look(ctx); err != nil {
		_ = t.Close()
		return nil, err
	}
	return s, nil
}

// Close frees the zip file, if it is one.
func (s *Source) Close() error { return s.tree.Close() }

// Files lists the files with rows of CDM tables, those of one table together,
// in the order of the standard and then by name.
func (s *Source) Files() []intake.File { return s.files }

// Skipped lists what was not read, with the reason.
func (s *Source) Skipped() []intake.Skipped { return s.skipped }

// CDMVersion is "5.3" or "5.4": what cdm_source declares, else what the
// columns show.
func (s *Source) CDMVersion() string { return s.version }

// Rows reads one of Files, or some Columns and Ignored of it if f lists fewer:
// what is not listed is not read. It ends after the first error; errors name the
// file and where in it.
func (s *Source) Rows(ctx context.Context, f intake.File) iter.Seq2[*intake.Row, error] {
	return func(yield func(*intake.Row, error) bool) {
		r, ok := s.how[f.Name]
		if !ok {
			yield(nil, havre.E("intake", havre.NotFound, "there is no file "+f.Name+" in this source"))
			return
		}
		var err error
		r.layout = r.layout.only(f)
		if r.entry.parquet() {
			err = r.parquetRows(ctx, yield)
		} else {
			err = r.textRows(ctx, yield)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func (s *Source) look(ctx context.Context) error {
	byTable := map[string][]entry{}
	for _, e := range s.tree.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		table, reason := tableOf(e)
		if reason == "" && e.size == 0 {
			reason = "empty file"
		}
		if reason != "" {
			s.skipped = append(s.skipped, intake.Skipped{Name: e.name, Reason: reason})
			continue
		}
		byTable[table] = append(byTable[table], e)
	}
	if err := onceEach(byTable); err != nil {
		return err
	}
	for _, t := range cdm.Tables() {
		for _, e := range byTable[t.Name] {
			if err := s.add(ctx, t, e); err != nil {
				return err
			}
		}
	}
	if len(s.files) == 0 {
		for _, e := range s.tree.entries {
			if e.archive() && !e.junk() {
				return havre.E("intake", havre.NotFound, "there is no table of the OMOP CDM in "+s.tree.place+", but another archive: "+e.name).
					WithHint("unpack " + e.name + " and name the folder it gives")
			}
		}
		return havre.E("intake", havre.NotFound, "there is no table of the OMOP CDM in "+s.tree.place).
			WithHint("files are known by the names of the tables, e.g. person.csv, CONDITION_OCCURRENCE.csv.gz, measurement.parquet or measurement/part-0001.parquet")
	}
	return s.findVersion(ctx)
}

// tableOf gives the table that a file holds, or the reason why it is not read.
func tableOf(e entry) (table, reason string) {
	switch {
	case e.junk():
		return "", Junk
	case !e.data():
		return "", "neither CSV nor Parquet"
	}
	table, ok := cdm.Canonical(e.name)
	if !ok {
		return "", "no CDM table"
	}
	return table, ""
}

// onceEach refuses a table that comes twice: in two formats, or in two files
// of one name that are not pieces of it.
func onceEach(byTable map[string][]entry) error {
	for _, table := range sortedKeys(byTable) {
		whole := map[string]entry{}
		for i, e := range byTable[table] {
			first := byTable[table][0]
			if i > 0 && e.format() != first.format() {
				return twice(table, first, e)
			}
			stem := e.stem()
			if _, named := cdm.Canonical(stem); !named {
				continue // a piece, known by its folder: part-0001
			}
			if other, dup := whole[stem]; dup {
				return twice(table, other, e)
			}
			whole[stem] = e
		}
	}
	return nil
}

func twice(table string, a, b entry) error {
	return havre.E("intake", havre.Invalid, fmt.Sprintf("the table %s comes twice: %s and %s", table, a.name, b.name)).
		WithHint("leave only one of them in the source; pieces of one table are numbered (" + table + "_1, " + table + "_2) or lie in a folder " + table)
}

// add opens a file far enough to know its columns.
func (s *Source) add(ctx context.Context, t cdm.Table, e entry) error {
	r := reading{entry: e}
	var header []string
	var err error
	if e.parquet() {
		header, err = r.parquetHeader(ctx)
	} else {
		header, err = r.textHeader(t)
	}
	if err != nil {
		return err
	}
	if len(header) == 0 {
		s.skipped = append(s.skipped, intake.Skipped{Name: e.name, Reason: "empty file"})
		return nil
	}
	f := intake.File{Name: e.name, Table: t.Name, Counted: "line"}
	if e.parquet() {
		f.Counted = "row"
	}
	var old bool
	r.layout, f.Columns, f.Ignored, old = arrange(t, header)
	if len(f.Columns) == 0 {
		return havre.E("intake", havre.Invalid, "the header of "+e.name+" names no column of the table "+t.Name).
			WithHint("the first line of a CSV file must hold the names of the columns; " + t.Name + " has " + strings.Join(t.Names(), ", "))
	}
	if t.PersonLevel && !slices.Contains(f.Columns, t.Person) {
		return havre.E("intake", havre.Invalid, "the header of "+e.name+" has no column "+t.Person+", so its rows are about nobody").
			WithHint("name the column " + t.Person + " in the header, or leave the file out")
	}
	if old {
		s.version = "5.3"
	}
	s.files = append(s.files, f)
	s.how[e.name] = r
	return ctx.Err()
}

// findVersion reads cdm_source, if it is there; it says more than the columns.
func (s *Source) findVersion(ctx context.Context) error {
	for _, f := range s.files {
		at := slices.Index(f.Columns, "cdm_version")
		if f.Table != "cdm_source" || at < 0 {
			continue
		}
		for row, err := range s.Rows(ctx, f) {
			if err != nil {
				return err
			}
			if row.Fault != intake.NoFault {
				continue
			}
			if v := string(row.Values[at]); strings.Contains(v, "5.3") {
				s.version = "5.3"
			} else if strings.Contains(v, "5.4") {
				s.version = "5.4"
			}
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// baseLower is the last element of a path, in lower case.
func baseLower(name string) string { return strings.ToLower(path.Base(name)) }
