package study

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Rows is all that a study can see of the persons of a hub: rows within a
// permit, one bucket of persons at a time. Every person is in one bucket.
// Batches have exactly the columns wanted and are released by the caller.
// Safe for concurrent use. An error of kind PermitDenied ends the run.
type Rows interface {
	Buckets() int
	Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error)
}

// Analysis is a computation in three steps: Map turns a bucket into a partial
// result, partial results merge in any order and grouping, Finish makes the
// output of what has merged. So it runs alike on one core, on many machines
// and over several hubs. Implementations are in package analysis; they keep no
// state and are safe for concurrent use.
type Analysis interface {
	// Name is the name of its output.
	Name() string
	// Map computes the partial result of one bucket. It depends on nothing but
	// the bucket.
	Map(ctx context.Context, b *Bucket) (Partial, error)
	// Decode reads what Partial.Encode wrote, on this machine or another. It
	// accepts exactly one spelling of each partial result; anything else is an
	// error of kind Invalid.
	Decode(data []byte) (Partial, error)
	// Finish makes the output of the merged partial result of all buckets.
	Finish(ctx context.Context, p Partial) (Output, error)
}

// Partial is an aggregate over some buckets. Merging is associative and
// commutative to the last bit: sums are of whole numbers.
type Partial interface {
	// Merge gives the aggregate over both; neither may be used afterwards.
	// other comes from the same analysis.
	Merge(other Partial) (Partial, error)
	// Encode writes the aggregate: equal aggregates give equal bytes, one JSON
	// value in the canonical form of RFC 8785.
	Encode() ([]byte, error)
}

// Build makes the analyses of a checked definition, in its order. It is
// analysis.Build; package app hands it in.
type Build func(d *Definition, v omop.Vocabulary) ([]Analysis, error)

// Bucket is what an analysis sees of one bucket: its persons, the study's
// cohorts among them, and rows within the permit.
type Bucket struct {
	Number int
	People *cohort.People // with demographics

	cohorts   map[string]*cohort.Members
	attrition map[string]*cohort.Attrition
	rows      Rows
}

// Cohort gives the periods of a cohort of the study in this bucket.
func (b *Bucket) Cohort(name string) *cohort.Members { return b.cohorts[name] }

// Attrition says which inclusion rules of a cohort are met in this bucket. It is
// there only in a study that has an analysis of kind attrition.
func (b *Bucket) Attrition(name string) *cohort.Attrition { return b.attrition[name] }

// Read gives rows of the bucket.
func (b *Bucket) Read(ctx context.Context, w warehouse.Want) ([]arrow.RecordBatch, error) {
	return b.rows.Read(ctx, b.Number, w)
}
