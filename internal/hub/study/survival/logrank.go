package survival

import (
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Test is the result of a log-rank test. Freedom is 0 when there is nothing to
// compare: fewer than two groups at risk together, or no event while they are.
type Test struct {
	ChiSquared float64
	Freedom    int
	P          float64
}

// LogRank tests whether groups have one hazard: N. Mantel, Cancer Chemotherapy
// Reports 50 (1966) 163-170, with the hypergeometric variance for ties.
// strata[s][g] are the rows of group g in stratum s; groups are compared within
// strata, and all strata list the same groups.
func LogRank(strata [][][]Row) Test {
	if len(strata) == 0 {
		return Test{}
	}
	k := len(strata[0])
	excess, variance := make([]float64, k), make([]float64, k*k)
	for _, groups := range strata {
		addLogRank(groups, excess, variance)
	}
	// The excesses sum to 0: each group is told by the others. Groups that are
	// never compared have no variance and leave the test.
	var in []int
	for g := range k {
		if variance[g*k+g] > 1e-12 {
			in = append(in, g)
		}
	}
	if len(in) < 2 {
		return Test{}
	}
	in = in[:len(in)-1]
	v, u := mat.NewSymDense(len(in), nil), mat.NewVecDense(len(in), nil)
	for a, g := range in {
		u.SetVec(a, excess[g])
		for b, h := range in {
			v.SetSym(a, b, variance[g*k+h])
		}
	}
	var factor mat.Cholesky
	if !factor.Factorize(v) {
		return Test{} // groups that never meet: no one comparison covers them all
	}
	var solved mat.VecDense
	if err := factor.SolveVecTo(&solved, u); err != nil {
		return Test{}
	}
	t := Test{ChiSquared: mat.Dot(u, &solved), Freedom: len(in)}
	t.P = distuv.ChiSquared{K: float64(t.Freedom)}.Survival(t.ChiSquared)
	return t
}

// addLogRank adds observed minus expected events of each group of one stratum,
// and their covariances.
func addLogRank(groups [][]Row, excess, variance []float64) {
	k := len(groups)
	at, left := make([]int, k), make([]float64, k)
	var times []int
	merged := make([][]Row, k)
	for g, rows := range groups {
		merged[g] = Merge(rows)
		left[g] = float64(Persons(rows))
		for _, r := range rows {
			if r.Events > 0 {
				times = append(times, r.Time)
			}
		}
	}
	slices.Sort(times)
	for _, t := range slices.Compact(times) {
		n, d := 0.0, 0.0
		events := make([]float64, k)
		for g := range k {
			for at[g] < len(merged[g]) && merged[g][at[g]].Time < t {
				left[g] -= float64(merged[g][at[g]].Events + merged[g][at[g]].Censored)
				at[g]++
			}
			if at[g] < len(merged[g]) && merged[g][at[g]].Time == t {
				events[g] = float64(merged[g][at[g]].Events)
			}
			n, d = n+left[g], d+events[g]
		}
		for g := range k {
			excess[g] += events[g] - d*left[g]/n
			if n <= 1 {
				continue
			}
			for h := range k {
				share := -left[h] / n
				if g == h {
					share++
				}
				variance[g*k+h] += d * (left[g] / n) * share * (n - d) / (n - 1)
			}
		}
	}
}
