// Package survival estimates from times to an event: the curve of Kaplan and
// Meier, the life table, the log-rank test and Cox's proportional hazards. It
// knows nothing of persons or cohorts: all input is counts by time, so the
// order of persons never matters, and all that a hub needs of another are sums.
package survival

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// confidence is the coverage of every interval.
const confidence = 0.95

// z is the quantile of the normal distribution that every interval uses.
var z = distuv.UnitNormal.Quantile(1 - (1-confidence)/2)

// Row is how many persons leave at a time, by the event or without it. Who is
// censored at a time is at risk of the events of that time. Times are above 0,
// in any unit.
type Row struct {
	Time             int
	Events, Censored int64
}

// Point is a curve at one time. Low and High bound Survival pointwise, 95 %;
// they are NaN before the first event and where nobody is left.
type Point struct {
	Row
	AtRisk              int64 // just before Time
	Survival, Low, High float64
}

// KaplanMeier gives the product-limit estimate at each of the times, which it
// sorts and joins: E. L. Kaplan and P. Meier, Journal of the American
// Statistical Association 53 (1958) 457-481.
func KaplanMeier(rows []Row) []Point {
	rows = Merge(rows)
	left := Persons(rows)
	var c curve
	c.survival = 1
	out := make([]Point, 0, len(rows))
	for _, r := range rows {
		p := Point{Row: r, AtRisk: left}
		c.step(float64(r.Events), float64(left))
		p.Survival, p.Low, p.High = c.survival, c.bound(1), c.bound(-1)
		out = append(out, p)
		left -= r.Events + r.Censored
	}
	return out
}

// LifeTable estimates the curve at the end of each step when nothing is known
// but the events and the censored of the step: these count as at risk for half
// of it. Where nobody is censored it equals the product-limit estimate.
// persons are at risk at the start. S. J. Cutler and F. Ederer, Journal of
// Chronic Diseases 8 (1958) 699-712.
func LifeTable(persons int64, steps []Row) []Point {
	var c curve
	c.survival = 1
	out := make([]Point, 0, len(steps))
	for _, r := range steps {
		p := Point{Row: r, AtRisk: persons}
		c.step(float64(r.Events), float64(persons)-float64(r.Censored)/2)
		p.Survival, p.Low, p.High = c.survival, c.bound(1), c.bound(-1)
		out = append(out, p)
		persons -= r.Events + r.Censored
	}
	return out
}

// curve multiplies up an estimate and Greenwood's sum: M. Greenwood, Reports
// on Public Health and Medical Subjects 33 (1926) 1-26.
type curve struct {
	survival, greenwood float64
}

func (c *curve) step(events, atRisk float64) {
	if events == 0 || atRisk <= 0 {
		return
	}
	if events >= atRisk {
		c.survival, c.greenwood = 0, math.Inf(1)
		return
	}
	c.survival *= 1 - events/atRisk
	c.greenwood += events / (atRisk * (atRisk - events))
}

// bound is a limit on the scale of log(-log S), which keeps it between 0 and
// 1: J. D. Kalbfleisch and R. L. Prentice, The Statistical Analysis of Failure
// Time Data (1980). sign 1 gives the lower limit.
func (c *curve) bound(sign float64) float64 {
	if c.survival <= 0 || c.survival >= 1 {
		return math.NaN()
	}
	log := math.Log(c.survival)
	return math.Exp(log * math.Exp(-sign*z*math.Sqrt(c.greenwood)/log))
}

// Median is the first time at which half or fewer survive, and the first times
// at which the lower and the upper limit of the curve are at half or below: R.
// Brookmeyer and J. Crowley, Biometrics 38 (1982) 29-41. A time that the curve
// never reaches is 0.
func Median(points []Point) (median, low, high int) {
	const half = 0.5 + 1e-12 // products of fractions that make one half may come out above it
	for _, p := range points {
		if median == 0 && p.Survival <= half {
			median = p.Time
		}
		if low == 0 && p.Low <= half {
			low = p.Time
		}
		if high == 0 && p.High <= half {
			high = p.Time
		}
	}
	return median, low, high
}

// Merge sorts rows by time and joins those of one time.
func Merge(rows []Row) []Row {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b Row) int { return a.Time - b.Time })
	out := rows[:0]
	for _, r := range rows {
		if n := len(out); n > 0 && out[n-1].Time == r.Time {
			out[n-1].Events += r.Events
			out[n-1].Censored += r.Censored
			continue
		}
		out = append(out, r)
	}
	return out
}

// Persons counts everybody in rows.
func Persons(rows []Row) (n int64) {
	for _, r := range rows {
		n += r.Events + r.Censored
	}
	return n
}

// Events counts the events in rows.
func Events(rows []Row) (n int64) {
	for _, r := range rows {
		n += r.Events
	}
	return n
}
