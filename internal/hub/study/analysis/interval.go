package analysis

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/havre-hub/havre/internal/hub/study/proportion"
)

// poissonInterval gives the exact interval of a Poisson mean of which n events
// were seen: half the quantiles of chi-square distributions with 2n and 2n+2
// degrees of freedom.
//
// F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28
// (1936) 437-442.
func poissonInterval(n int64) (low, high float64) {
	const tail = (1 - proportion.Confidence) / 2
	if n > 0 {
		low = distuv.ChiSquared{K: 2 * float64(n)}.Quantile(tail) / 2
	}
	high = distuv.ChiSquared{K: 2*float64(n) + 2}.Quantile(1-tail) / 2
	return low, high
}

// rateRatioInterval gives the exact conditional interval of the ratio of two
// Poisson rates. Given all a+b events, the number in the first group is
// binomial with probability p = RR*ta / (RR*ta + tb), so the limits of p give
// those of the ratio. high is +Inf if b is 0; with no event at all nothing is
// known and the interval is [0, +Inf].
//
// J. Przyborowski and H. Wilenski, "Homogeneity of results in testing samples
// from Poisson series", Biometrika 31 (1940) 313-323.
func rateRatioInterval(a int64, ta float64, b int64, tb float64) (low, high float64) {
	if a+b == 0 {
		return 0, math.Inf(1)
	}
	pLow, pHigh := proportion.Interval(a, a+b)
	return pLow / (1 - pLow) * tb / ta, pHigh / (1 - pHigh) * tb / ta
}
