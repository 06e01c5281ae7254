// Package cohort finds who belongs to cohort definitions as ATLAS writes them
// (package circe reads these), person by person, without SQL. What it gives
// equals, row for row, what the reference SQL of OHDSI circe-be gives.
//
// The way of a definition: Parse reads it strictly; Compile resolves the
// concept sets of all requested definitions against the vocabulary and makes
// one Plan, in which equal concept sets and equal criteria stand once;
// Plan.Evaluate answers all definitions over one bucket of persons, reading
// only the tables, columns and concepts that some definition names.
//
// Within a bucket: the rows of each table go into flat columns and are put in
// the order of persons and dates (load.go); every row is handed to the criteria
// that want its concept, which list the events they keep (hits.go); each
// definition then visits the persons who have an event that lets them enter,
// and nobody else (evaluate.go, group.go, exit.go). Persons are taken
// 64 at a time, so that what they need stays in the processor's cache and sets of
// them fit in a word.
package cohort
