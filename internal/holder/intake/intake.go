// Package intake is what every reader of a holder's data gives: files of rows
// of CDM tables, and lines that are no row at all, kept and counted. The
// readers stand one level below: omop reads somebody's OMOP CDM.
package intake

// File is one source file, which holds rows of one CDM table.
type File struct {
	Name    string   // path within the source, with slashes
	Table   string   // CDM table
	Columns []string // CDM 5.4 columns that the file has, in the order of the standard
	Ignored []string // columns that the CDM does not know, as the file spells them
	Counted string   // what Row.Number counts: "line" of a text file or "row" of a columnar one
}

// Fault says why something in a file is no row.
type Fault string

// The faults.
const (
	NoFault     Fault = ""
	ColumnCount Fault = "column_count" // more or fewer values than the header has names
	Quote       Fault = "quote"        // a quoted value does not end, or goes on after its end
	Encoding    Fault = "encoding"     // bytes that are text in no encoding that is known here
)

// Row is one row, or a line that is none (Fault, Raw). It and its bytes are
// valid until the next one is read.
type Row struct {
	Number  int64    // where it begins, from 1; see File.Counted
	Values  [][]byte // by File.Columns, in UTF-8; empty is null
	Others  [][]byte // by File.Ignored: looked at by the guard, never sent
	Recoded int      // values that were Windows-1252
	Fault   Fault
	Raw     []byte // the line as it stands in the file, without its end, if Fault
}

// Skipped is a file or folder that was not read, and why.
type Skipped struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}
