package chart

import (
	"math"
	"strconv"
	"strings"
)

// scale maps numbers to a stretch of the picture.
type scale struct {
	low, high float64 // of the numbers
	from, to  float64 // of the picture
	log       bool
	ticks     []float64
}

// linear covers 0 and every number, up to a round one.
func linear(values []float64, from, to float64) scale {
	low, high := 0.0, 0.0
	for _, v := range values {
		v = tame(v)
		low, high = math.Min(low, v), math.Max(high, v)
	}
	if low == high {
		high = 1
	}
	step := roundStep((high - low) / 5)
	s := scale{low: math.Floor(low/step) * step, high: math.Ceil(high/step-1e-9) * step, from: from, to: to}
	for k := math.Round(s.low / step); k*step <= s.high+step/2; k++ {
		s.ticks = append(s.ticks, k*step)
	}
	return s
}

// logarithmic covers every number, all above 0, from a round one to a round one.
func logarithmic(values []float64, from, to float64) scale {
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		low, high = math.Min(low, v), math.Max(high, v)
	}
	var around []float64 // 1, 2, 5 in each decade
	for e := math.Floor(math.Log10(low)); e <= math.Floor(math.Log10(high))+1; e++ {
		for _, m := range []float64{1, 2, 5} {
			around = append(around, m*math.Pow(10, e))
		}
	}
	first, last := 0, len(around)-1
	for first+1 < len(around) && around[first+1] <= low {
		first++
	}
	for last > first+1 && around[last-1] >= high {
		last--
	}
	return scale{low: around[first], high: around[last], from: from, to: to, log: true, ticks: around[first : last+1]}
}

func roundStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*p >= v*(1-1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// at is the place of v; beyond the ends it is the end.
func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log(math.Max(v, math.SmallestNonzeroFloat64)), math.Log(low), math.Log(high)
	}
	f := math.Min(1, math.Max(0, (v-low)/(high-low)))
	return s.from + f*(s.to-s.from)
}

// label writes a number for people: four significant digits, thin spaces
// between thousands.
func label(v float64) string {
	if v == 0 {
		return "0"
	}
	if a := math.Abs(v); a < 1e-4 || a >= 1e12 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	digits := max(0, 3-int(math.Floor(math.Log10(math.Abs(v)))))
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	whole, rest, _ := strings.Cut(s, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "−", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "\u202f" + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return sign + whole
}
