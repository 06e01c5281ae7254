package study_test

import (
	"math"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
)

// TestEstimate: 16 of 64 buckets of a known population; the interval is that of
// the formula, and the truth lies in it.
func TestEstimate(t *testing.T) {
	e := study.NewEstimator(1, 64)
	var shown int
	for b := range 16 {
		if e.Add([]int64{int64(10 + b%3)}) {
			shown++
		}
	}
	x := e.Of(0)
	// mean 175/16, variance (1925-16*mean^2)/15, t(15) 0.975 = 2.13145
	mean := 175.0 / 16
	half := 2.131449546 * 64 * math.Sqrt((1925-16*mean*mean)/15/16*(1-16.0/64))
	if shown != 3 || math.Abs(x.Persons-64*mean) > 1e-9 || math.Abs(x.High-64*mean-half) > 1e-4 || x.Low < 175 {
		t.Errorf("shown %d times; %+v, want %v +- %v", shown, x, 64*mean, half)
	}
}
