package cohorts

import (
	"math"
	"math/bits"

	"gonum.org/v1/gonum/stat/distuv"
)

// Estimate is what the buckets finished so far say about the size of a cohort.
// Persons are spread over buckets by a hash, so the finished ones are a random
// sample of clusters (Cochran, Sampling Techniques, 3rd ed., ch. 9): the total is
// their mean times the number of buckets, with the finite population correction.
type Estimate struct {
	ID      int64   `json:"id"`
	Name    string  `json:"name"`
	Done    int     `json:"buckets_done"`
	Buckets int     `json:"buckets"`
	Persons float64 `json:"persons"`
	Low     float64 `json:"low"` // of the 95 % interval, not below those already found
	High    float64 `json:"high"`
}

type estimator struct {
	buckets, done int
	sum, squares  []float64
}

func newEstimator(definitions, buckets int) *estimator {
	return &estimator{buckets: buckets, sum: make([]float64, definitions), squares: make([]float64, definitions)}
}

// add takes the persons of one more bucket. It says whether an estimate is worth
// showing: after 4, 8, 16, ... buckets, and not when all are done.
func (e *estimator) add(persons []int64) bool {
	e.done++
	for d, n := range persons {
		e.sum[d] += float64(n)
		e.squares[d] += float64(n) * float64(n)
	}
	return e.done >= 4 && bits.OnesCount(uint(e.done)) == 1 && e.done < e.buckets
}

func (e *estimator) of(d int, def Definition) Estimate {
	n, all := float64(e.done), float64(e.buckets)
	mean := e.sum[d] / n
	variance := max(0, (e.squares[d]-n*mean*mean)/(n-1))
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(0.975) * all * math.Sqrt(variance/n*(1-n/all))
	return Estimate{ID: def.ID, Name: def.Name, Done: e.done, Buckets: e.buckets, Persons: mean * all,
		Low: max(e.sum[d], mean*all-half), High: mean*all + half}
}
