// Package proportion computes what a table of persons says beside its counts:
// exact intervals of proportions and standardised differences. The analyses
// use it, and so do the disclosure rules, which compute these numbers of the
// counts that leave.
package proportion

import (
	"math"
	"strings"

	"gonum.org/v1/gonum/mathext"

	"github.com/havre-hub/havre/internal/hub/study"
)

// Confidence is the coverage of every interval.
const Confidence = 0.95

// Interval gives the exact interval of a probability after k successes in n
// trials, n > 0: quantiles of beta distributions.
//
// C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits
// illustrated in the case of the binomial", Biometrika 26 (1934) 404-413.
func Interval(k, n int64) (low, high float64) {
	const tail = (1 - Confidence) / 2
	low, high = 0, 1
	if k > 0 {
		low = mathext.InvRegIncBeta(float64(k), float64(n-k+1), tail)
	}
	if k < n {
		high = mathext.InvRegIncBeta(float64(k+1), float64(n-k), 1-tail)
	}
	return low, high
}

// Difference is the standardised difference of two proportions; ok is false
// where it has no finite value.
//
// P. C. Austin, "Using the standardized difference to compare the prevalence
// of a binary variable between two groups in observational research", Commun
// Stat Simul Comput 38 (2009) 1228-1234.
func Difference(p1, p2 float64) (d float64, ok bool) {
	return MeanDifference(p1, math.Sqrt(p1*(1-p1)), p2, math.Sqrt(p2*(1-p2)))
}

// MeanDifference is the standardised difference of two means, over the root of
// the mean of both variances.
//
// P. C. Austin, Stat Med 28 (2009) 3083-3107, section 3.
func MeanDifference(m1, sd1, m2, sd2 float64) (d float64, ok bool) {
	pooled := math.Sqrt((sd1*sd1 + sd2*sd2) / 2)
	switch {
	case m1 == m2:
		return 0, true
	case !(pooled > 0):
		return 0, false
	}
	return (m1 - m2) / pooled, true
}

// Fill gives the cells of With, in an output of kind Proportions, their share
// of the total and its interval, where both are shown, and takes all other
// values away. Whoever has the counts can compute it.
func Fill(cells []study.Cell) {
	totals := map[string]int64{}
	for _, c := range cells {
		if last := len(c.Key) - 1; c.Suppressed == "" && c.Key[last] == study.TotalKey {
			totals[strings.Join(c.Key[:last], "\x00")] = c.Count
		}
	}
	for i := range cells {
		c := &cells[i]
		c.Values = nil
		last := len(c.Key) - 1
		n := totals[strings.Join(c.Key[:last], "\x00")]
		if c.Suppressed != "" || c.Key[last] != study.With || n == 0 || c.Count > n {
			continue
		}
		low, high := Interval(c.Count, n)
		c.Values = map[string]float64{study.MeasureShare: float64(c.Count) / float64(n), study.MeasureShareLow: low, study.MeasureShareHigh: high}
	}
}
