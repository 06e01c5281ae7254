// Package circe reads cohort definitions in the JSON of ATLAS (OHDSI circe-be
// 1.11 and later) into a tree of Go values: every kind of criterion, every
// attribute, strictly. What the tree means is package cohort's.
//
// Facts about the format and its meaning come from circe-be's Java classes and
// SQL templates; no text of it is copied.
package circe
