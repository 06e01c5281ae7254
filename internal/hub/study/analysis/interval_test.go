package analysis

import (
	"math"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/proportion"
)

func near(a, b, relative float64) bool {
	return math.Abs(a-b) <= relative*math.Max(math.Abs(b), 1e-300)
}

// Figures of others: R 4 prints them for poisson.test (the examples on its
// help page) and binom.test.
func TestIntervalsKnown(t *testing.T) {
	low, high := poissonInterval(137)
	if !near(low/24.19893, 4.753125, 1e-6) || !near(high/24.19893, 6.692709, 1e-6) {
		t.Errorf("poisson.test(137, 24.19893): %v to %v", low/24.19893, high/24.19893)
	}
	low, high = rateRatioInterval(11, 800, 6+8+7, 1083+1050+878)
	if !near(low, 0.8584264, 1e-6) || !near(high, 4.2772659, 1e-6) {
		t.Errorf("poisson.test(c(11, 21), c(800, 3011)): %v to %v", low, high)
	}
	low, high = proportion.Interval(682, 682+243)
	if !near(low, 0.7076683, 1e-6) || !near(high, 0.7654066, 1e-6) {
		t.Errorf("binom.test(682, 925): %v to %v", low, high)
	}
}

// The limits by what they mean: the tail that they leave is 2.5 %, summed term
// by term.
func TestIntervalsByDefinition(t *testing.T) {
	for _, n := range []int64{0, 1, 2, 3, 10, 57, 400, 3000} {
		low, high := poissonInterval(n)
		if n == 0 && low != 0 || n > 0 && !near(1-poissonUpTo(n-1, low), 0.025, 1e-7) || !near(poissonUpTo(n, high), 0.025, 1e-7) {
			t.Errorf("%d events: %v to %v", n, low, high)
		}
	}
	for _, c := range [][2]int64{{0, 1}, {1, 1}, {0, 10}, {3, 20}, {10, 20}, {19, 20}, {20, 20}, {7, 1000}, {600, 1000}} {
		low, high := proportion.Interval(c[0], c[1])
		lowOK := c[0] == 0 && low == 0 || c[0] > 0 && near(1-binomialUpTo(c[0]-1, c[1], low), 0.025, 1e-7)
		highOK := c[0] == c[1] && high == 1 || c[0] < c[1] && near(binomialUpTo(c[0], c[1], high), 0.025, 1e-7)
		if !lowOK || !highOK {
			t.Errorf("%d of %d: %v to %v", c[0], c[1], low, high)
		}
	}
	if low, high := rateRatioInterval(0, 10, 0, 20); low != 0 || !math.IsInf(high, 1) {
		t.Errorf("no event: %v to %v", low, high)
	}
	if low, high := rateRatioInterval(5, 10, 0, 20); !(low > 0) || !math.IsInf(high, 1) {
		t.Errorf("no event in the comparator: %v to %v", low, high)
	}
}

func poissonUpTo(n int64, mean float64) (sum float64) {
	for k := range n + 1 {
		g, _ := math.Lgamma(float64(k) + 1)
		sum += math.Exp(float64(k)*math.Log(mean) - mean - g)
	}
	return sum
}

func binomialUpTo(k, n int64, p float64) (sum float64) {
	gn, _ := math.Lgamma(float64(n) + 1)
	for i := range k + 1 {
		gi, _ := math.Lgamma(float64(i) + 1)
		gj, _ := math.Lgamma(float64(n-i) + 1)
		sum += math.Exp(gn - gi - gj + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return sum
}
