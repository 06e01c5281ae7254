// Package cohort reads cohort definitions in the JSON of ATLAS (OHDSI
// circe-be 1.11 and later) and finds who belongs to them, person by person,
// without SQL. What it gives equals, row for row, what the reference SQL of
// circe-be gives.
//
// The way of a definition: Parse reads it strictly; Compile resolves the
// concept sets of all requested definitions against the vocabulary and makes
// one Plan, in which equal concept sets and equal criteria stand once;
// Plan.Evaluate answers all definitions over one bucket of persons in one
// pass, reading only the tables, columns and concepts that some definition
// names.
//
// A definition that uses a feature which Havre does not evaluate is refused
// with the name and place of that feature; nothing is ever ignored.
package cohort
