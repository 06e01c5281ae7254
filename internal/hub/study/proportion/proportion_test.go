package proportion

import (
	"math"
	"testing"
)

// Figures by hand, from the formulas of the sources.
func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		p, q, want float64
		ok         bool
	}{
		{0.3, 0.2, 0.1 / math.Sqrt(0.185), true}, // variances 0.21 and 0.16
		{0.2, 0.3, -0.1 / math.Sqrt(0.185), true},
		{0.5, 0, 0.5 / math.Sqrt(0.125), true},
		{1, 1, 0, true},
		{0, 0, 0, true},
		{1, 0, 0, false},
	} {
		if d, ok := Difference(c.p, c.q); ok != c.ok || math.Abs(d-c.want) > 1e-12 {
			t.Errorf("%g and %g: %g, %v", c.p, c.q, d, ok)
		}
	}
	if d, ok := MeanDifference(60, 6, 55, 8); !ok || math.Abs(d-5/math.Sqrt(50)) > 1e-12 {
		t.Errorf("means: %g, %v", d, ok)
	}
	if _, ok := MeanDifference(1, 0, 2, 0); ok {
		t.Error("two single values have a difference")
	}
}

// R 4: binom.test(682, 925)$conf.int.
func TestIntervalKnown(t *testing.T) {
	low, high := Interval(682, 925)
	if math.Abs(low-0.7076683) > 1e-7 || math.Abs(high-0.7654066) > 1e-7 {
		t.Errorf("%v to %v", low, high)
	}
	if low, high := Interval(0, 10); low != 0 || math.Abs(high-(1-math.Pow(0.025, 0.1))) > 1e-9 {
		t.Errorf("0 of 10: %v to %v", low, high)
	}
}
