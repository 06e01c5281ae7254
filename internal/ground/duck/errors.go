package duck

import (
	"errors"
	"regexp"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/havre-hub/havre/internal/havre"
)

// DuckDB's messages quote the data they stumble over (`Could not convert string
// 'DURAND' to INT64`). Only classes of error that speak of the SQL text itself
// are passed on whole; of the others, the class and a line number remain, and
// the cause is dropped, so that no value travels in an error chain.
var speaksOfText = map[duckdb.ErrorType]bool{
	duckdb.ErrorTypeParser: true, duckdb.ErrorTypeBinder: true, duckdb.ErrorTypeCatalog: true,
	duckdb.ErrorTypeSyntax: true, duckdb.ErrorTypePermission: true, duckdb.ErrorTypeOutOfMemory: true,
	duckdb.ErrorTypeNotImplemented: true, duckdb.ErrorTypeMissingExtension: true, duckdb.ErrorTypeAutoLoad: true,
	duckdb.ErrorTypeSettings: true,
}

var csvLine = regexp.MustCompile(`(?:CSV Error on Line|Line): (\d+)`)

func mapError(op, message string, err error) error {
	var de *duckdb.Error
	if !errors.As(err, &de) {
		return havre.E(op, havre.Internal, message)
	}
	kind, hint := havre.Internal, ""
	switch de.Type {
	case duckdb.ErrorTypeOutOfMemory:
		kind, hint = havre.NoSpace, "give the session more memory, or fewer buckets or parts at once; nothing is ever spilled to disk"
	case duckdb.ErrorTypePermission, duckdb.ErrorTypeMissingExtension, duckdb.ErrorTypeAutoLoad:
		kind, hint = havre.Refused, "a session reads only what was opened for it"
	case duckdb.ErrorTypeInterrupt:
		kind = havre.Cancelled
	case duckdb.ErrorTypeParser, duckdb.ErrorTypeSyntax, duckdb.ErrorTypeBinder, duckdb.ErrorTypeCatalog,
		duckdb.ErrorTypeConversion, duckdb.ErrorTypeInvalidInput, duckdb.ErrorTypeOutOfRange, duckdb.ErrorTypeMismatchType:
		kind = havre.Invalid
	}
	e := havre.E(op, kind, message+": "+describe(de)).WithHint(hint)
	return e
}

func describe(e *duckdb.Error) string {
	class, rest, _ := strings.Cut(e.Msg, ": ")
	if speaksOfText[e.Type] {
		first, _, _ := strings.Cut(rest, "\n")
		return class + ": " + first
	}
	if m := csvLine.FindStringSubmatch(e.Msg); m != nil {
		return "the CSV text is malformed on line " + m[1]
	}
	return class
}
