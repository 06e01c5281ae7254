package cohorts

import "github.com/havre-hub/havre/internal/hub/study"

// Estimate is what the buckets so far say about the size of a cohort.
type Estimate struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	study.Estimate
}
