package omop

import (
	"path"
	"regexp"
	"strings"
)

// extensions that a data file may carry, outermost last.
var extensions = []string{".gz", ".zst", ".zstd", ".snappy", ".csv", ".tsv", ".psv", ".txt", ".parquet", ".parq", ".pq"}

var (
	// Words that exporters put before a table's name: "omop_cdm.person",
	// "CDM54-death", "2b_concept", "demo_cdm.visit_detail".
	prefixRE = regexp.MustCompile(`^(?:(?:omop|ohdsi|cdm|omopcdm|cdmv|vocab|demo|export|full|dbo|public|main|v?[0-9]+[a-z]?|cdmv?[0-9]+)[-_. ]+)+$`)
	// Numbers of a split table: "_1", "-0003", ".part-00001", " (2)", "_0_1_0".
	numberRE = regexp.MustCompile(`(?:[-_. ]*(?:part|chunk|split|data)?[-_. ]*\(?[0-9]+\)?)+$`)
	// A piece of a table that lies in a folder named after it:
	// "part-00000-1f2e...-c000", "data_0_1_0", "000000000003".
	pieceRE = regexp.MustCompile(`^(?:part|data|chunk|split|file|shard|block)?[-_. ]*(?:[0-9a-f]+[-_. c]*)*$`)
)

// Canonical gives the CDM table that a table name, file name or path stands
// for: any case, any of the usual extensions, schema or exporter prefixes, and
// the numbers of a split table. A piece such as part-0001.csv is known by the
// nearest folder above it. ok is false if no table is meant.
func Canonical(name string) (table string, ok bool) {
	name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), `\`, "/")
	stem := trimExtensions(path.Base(name))
	if table, ok = known(stem); ok || !pieceRE.MatchString(stem) {
		return table, ok
	}
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if table, ok = known(trimExtensions(path.Base(dir))); ok {
			return table, true
		}
	}
	return "", false
}

func known(stem string) (string, bool) {
	stem = strings.Trim(stem, `"'`+"`[] ")
	for _, s := range []string{stem, numberRE.ReplaceAllString(stem, "")} {
		if _, ok := byName[s]; ok {
			return s, true
		}
		// The longest table name that ends s, after a prefix that says nothing.
		for i := range len(s) {
			if _, ok := byName[s[i:]]; ok && prefixRE.MatchString(s[:i]) {
				return s[i:], true
			}
		}
		if i := strings.LastIndexByte(s, '.'); i >= 0 { // schema.table
			if t := strings.Trim(s[i+1:], `"'`+"`[] "); byName[t].Name != "" {
				return t, true
			}
		}
	}
	return "", false
}

func trimExtensions(base string) string {
	for again := true; again; {
		again = false
		for _, e := range extensions {
			if s, ok := strings.CutSuffix(base, e); ok && s != "" {
				base, again = s, true
			}
		}
	}
	return base
}
