package study

import (
	"math"
	"math/bits"

	"gonum.org/v1/gonum/stat/distuv"
)

// Estimate is what the buckets so far say about the number of persons of a
// cohort. Persons are spread over buckets by a hash, so the finished ones are a
// random sample of clusters (Cochran, Sampling Techniques, 3rd ed., ch. 9): the
// total is their mean times the number of buckets, with the finite population
// correction.
type Estimate struct {
	Done    int     `json:"buckets_done"`
	Buckets int     `json:"buckets"`
	Persons float64 `json:"persons"`
	Low     float64 `json:"low"` // of the 95 % interval, not below those already found
	High    float64 `json:"high"`
}

// Estimator estimates the sizes of some cohorts at once.
type Estimator struct {
	buckets, done int
	sum, squares  []float64
}

// NewEstimator starts with no bucket.
func NewEstimator(cohorts, buckets int) *Estimator {
	return &Estimator{buckets: buckets, sum: make([]float64, cohorts), squares: make([]float64, cohorts)}
}

// Add takes the persons of one more bucket, by cohort. It says whether an
// estimate is worth showing: after 4, 8, 16, ... buckets, and not when all are
// done.
func (e *Estimator) Add(persons []int64) bool {
	e.done++
	for c, n := range persons {
		e.sum[c] += float64(n)
		e.squares[c] += float64(n) * float64(n)
	}
	return e.done >= 4 && bits.OnesCount(uint(e.done)) == 1 && e.done < e.buckets
}

// Of gives the estimate of a cohort.
func (e *Estimator) Of(c int) Estimate {
	n, all := float64(e.done), float64(e.buckets)
	mean := e.sum[c] / n
	variance := max(0, (e.squares[c]-n*mean*mean)/(n-1))
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(0.975) * all * math.Sqrt(variance/n*(1-n/all))
	return Estimate{Done: e.done, Buckets: e.buckets, Persons: mean * all, Low: max(e.sum[c], mean*all-half), High: mean*all + half}
}

// Sizer is an Analysis whose partial results hold the number of persons of its
// cohort.
type Sizer interface {
	Analysis
	Size(p Partial) (persons int64)
}

// Size is an estimate of the cohort of one analysis.
type Size struct {
	Name  string `json:"name"` // of the analysis
	Title string `json:"title,omitempty"`
	Estimate
}

// watched estimates the sizes of the cohorts of a run while it goes.
type watched struct {
	show      func(Size)
	analyses  []int // those of the study that are sizers
	estimator *Estimator
}

func newWatched(j Job, analyses []Analysis) *watched {
	if j.Watch == nil {
		return nil
	}
	w := &watched{show: j.Watch}
	for i, a := range analyses {
		if _, ok := a.(Sizer); ok {
			w.analyses = append(w.analyses, i)
		}
	}
	w.estimator = NewEstimator(len(w.analyses), j.Rows.Buckets())
	return w
}

// add takes the partial results of one more bucket.
func (w *watched) add(m *Mapper, specs []Spec, partial []Partial) {
	if w == nil {
		return
	}
	persons := make([]int64, len(w.analyses))
	for k, i := range w.analyses {
		persons[k] = m.analyses[i].(Sizer).Size(partial[i])
	}
	if !w.estimator.Add(persons) {
		return
	}
	for k, i := range w.analyses {
		w.show(Size{specs[i].Name, specs[i].Title, w.estimator.Of(k)})
	}
}
