package survival

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Ties says how events of one time share the likelihood.
type Ties string

// The two ways: B. Efron, Journal of the American Statistical Association 72
// (1977) 557-565; N. E. Breslow, Biometrics 30 (1974) 89-99.
const (
	Efron   Ties = "efron"
	Breslow Ties = "breslow"
)

// Alike are persons of one stratum and one covariate pattern, by time. Who is
// at risk is compared within the stratum only.
type Alike struct {
	Stratum string
	X       []float64
	Rows    []Row // rising times
}

// EventTime is a time at which somebody has the event, in one stratum.
type EventTime struct {
	Stratum string
	Time    int
}

// RiskSum is all that Cox's partial likelihood needs to know of one event
// time, at given coefficients. Sums of several hubs add up with Add to that of
// their persons pooled, so hubs can fit one model and show each other nothing
// but these (C.-L. Lu et al., "WebDISCO", Journal of the American Medical
// Informatics Association 22 (2015) 1212-1219). With w = exp(x·beta):
type RiskSum struct {
	Events float64
	X      []float64 // sum of x over the events
	Risk   Moments   // over everybody at risk
	Tied   Moments   // over those with the event
}

// Moments are sums of w, w·x and w·x·x', the last as a full square by rows.
type Moments struct {
	W      float64
	X, XXt []float64
}

// EventTimes lists the event times of the persons by stratum and time. Several
// hubs need the union of theirs: a list each, joined, sorted, without doubles.
func EventTimes(persons []Alike) []EventTime {
	var out []EventTime
	for _, a := range persons {
		for _, r := range a.Rows {
			if r.Events > 0 {
				out = append(out, EventTime{a.Stratum, r.Time})
			}
		}
	}
	slices.SortFunc(out, compareTimes)
	return slices.Compact(out)
}

func compareTimes(a, b EventTime) int {
	if a.Stratum != b.Stratum {
		if a.Stratum < b.Stratum {
			return -1
		}
		return 1
	}
	return a.Time - b.Time
}

// RiskSums gives one hub's sums at each of the event times, which may be
// others' too and are sorted as EventTimes does. The same persons in the same
// order give the same bits.
func RiskSums(beta []float64, persons []Alike, times []EventTime) []RiskSum {
	p := len(beta)
	out := make([]RiskSum, len(times))
	// Risk is first what leaves at a time or before the next; summed from the
	// end it is the risk set.
	for i := range out {
		out[i] = RiskSum{X: make([]float64, p), Risk: newMoments(p), Tied: newMoments(p)}
	}
	for _, a := range persons {
		w := math.Exp(dot(a.X, beta))
		for _, r := range a.Rows {
			i, found := slices.BinarySearchFunc(times, EventTime{a.Stratum, r.Time}, compareTimes)
			if found && r.Events > 0 {
				n := float64(r.Events)
				out[i].Events += n
				for j, x := range a.X {
					out[i].X[j] += n * x
				}
				out[i].Tied.add(a.X, w*n)
			}
			if !found {
				i-- // at risk up to the event time before
			}
			if i >= 0 && times[i].Stratum == a.Stratum {
				out[i].Risk.add(a.X, w*float64(r.Events+r.Censored))
			}
		}
	}
	for i := len(out) - 2; i >= 0; i-- {
		if times[i].Stratum == times[i+1].Stratum {
			out[i].Risk.sum(out[i+1].Risk, 1)
		}
	}
	return out
}

// Add sums the risk sums of two hubs over the same event times and at the same
// coefficients into the first.
func Add(a, b []RiskSum) error {
	if len(a) != len(b) {
		return fmt.Errorf("risk sums of %d and of %d event times cannot be added", len(a), len(b))
	}
	for i := range a {
		if len(a[i].X) != len(b[i].X) {
			return fmt.Errorf("risk sums of %d and of %d covariates cannot be added", len(a[i].X), len(b[i].X))
		}
		a[i].Events += b[i].Events
		for j, x := range b[i].X {
			a[i].X[j] += x
		}
		a[i].Risk.sum(b[i].Risk, 1)
		a[i].Tied.sum(b[i].Tied, 1)
	}
	return nil
}

func newMoments(p int) Moments {
	return Moments{X: make([]float64, p), XXt: make([]float64, p*p)}
}

func (m *Moments) add(x []float64, w float64) {
	m.W += w
	for i, xi := range x {
		if xi == 0 {
			continue
		}
		m.X[i] += w * xi
		row := m.XXt[i*len(x):]
		for j, xj := range x {
			row[j] += w * xi * xj
		}
	}
}

func (m *Moments) sum(o Moments, factor float64) {
	m.W += factor * o.W
	for i, v := range o.X {
		m.X[i] += factor * v
	}
	for i, v := range o.XXt {
		m.XXt[i] += factor * v
	}
}

func dot(a, b []float64) (s float64) {
	for i, x := range a {
		s += x * b[i]
	}
	return s
}

// derivatives sums log likelihood, score and information over event times.
func derivatives(beta []float64, sums []RiskSum, ties Ties) (likelihood float64, score []float64, information []float64) {
	p := len(beta)
	score, information = make([]float64, p), make([]float64, p*p)
	mean, m := make([]float64, p), newMoments(p)
	for _, s := range sums {
		if s.Events == 0 {
			continue
		}
		likelihood += dot(s.X, beta)
		for j, x := range s.X {
			score[j] += x
		}
		draws, weight := 1, s.Events
		if ties == Efron {
			draws, weight = int(s.Events), 1
		}
		for k := range draws {
			m.W = 0
			clear(m.X)
			clear(m.XXt)
			m.sum(s.Risk, 1)
			if k > 0 {
				m.sum(s.Tied, -float64(k)/s.Events)
			}
			likelihood -= weight * math.Log(m.W)
			for i := range mean {
				mean[i] = m.X[i] / m.W
				score[i] -= weight * mean[i]
			}
			for i := range mean {
				for j := range mean {
					information[i*p+j] += weight * (m.XXt[i*p+j]/m.W - mean[i]*mean[j])
				}
			}
		}
	}
	return likelihood, score, information
}

// Estimate is a fitted model: the logarithms of the hazard ratios and their
// standard errors, by covariate. Without Found there is no finite maximum, and
// the numbers mean nothing.
type Estimate struct {
	Beta, Error []float64
	Found       bool
	Steps       int
}

const (
	maxSteps = 50
	// A coefficient beyond it is a hazard ratio of millions: the likelihood
	// rises without end.
	maxBeta = 15
)

// Fit maximises Cox's partial likelihood (D. R. Cox, Journal of the Royal
// Statistical Society B 34 (1972) 187-220) by Newton's method from 0, halving
// steps that do not rise, until no coefficient moves by more than 1e-10. sums
// gives the risk sums at coefficients, of one hub or added up over several.
// Covariates should be near 0 and of the size of 1.
func Fit(covariates int, ties Ties, sums func(beta []float64) ([]RiskSum, error)) (Estimate, error) {
	beta := make([]float64, covariates)
	s, err := sums(beta)
	if err != nil {
		return Estimate{}, err
	}
	likelihood, score, information := derivatives(beta, s, ties)
	e := Estimate{}
	for e.Steps = 1; e.Steps <= maxSteps; e.Steps++ {
		move, _, ok := solve(information, score)
		if !ok {
			return e, nil
		}
		next := make([]float64, covariates)
		for size := 1.0; ; size /= 2 {
			if size < 1e-9 {
				return e, nil
			}
			largest := 0.0
			for j := range next {
				next[j] = beta[j] + size*move[j]
				largest = math.Max(largest, math.Abs(next[j]))
			}
			if largest > maxBeta {
				if size < 1.0/16 {
					return e, nil
				}
				continue
			}
			if s, err = sums(next); err != nil {
				return e, err
			}
			l, sc, in := derivatives(next, s, ties)
			if l >= likelihood-1e-9*math.Abs(likelihood) { // equal up to rounding near the top
				likelihood, score, information = l, sc, in
				break
			}
		}
		moved := 0.0
		for j := range next {
			moved = math.Max(moved, math.Abs(next[j]-beta[j]))
		}
		beta = next
		if moved <= 1e-10 {
			_, variance, ok := solve(information, score)
			e.Beta, e.Found = beta, ok
			for _, v := range variance {
				e.Error = append(e.Error, math.Sqrt(v))
			}
			return e, nil
		}
	}
	return e, nil
}

// solve gives information^-1 · score and the diagonal of information^-1; not ok
// if the information is singular.
func solve(information, score []float64) (move, variance []float64, ok bool) {
	p := len(score)
	var factor mat.Cholesky
	if p == 0 || !factor.Factorize(mat.NewSymDense(p, information)) || factor.Cond() > 1e12 {
		return nil, nil, false
	}
	var x mat.VecDense
	var inverse mat.SymDense
	if factor.SolveVecTo(&x, mat.NewVecDense(p, score)) != nil || factor.InverseTo(&inverse) != nil {
		return nil, nil, false
	}
	for j := range p {
		move, variance = append(move, x.AtVec(j)), append(variance, inverse.At(j, j))
	}
	return move, variance, true
}

// Interval is the hazard ratio of a coefficient and its 95 % interval (Wald's).
func Interval(beta, standardError float64) (ratio, low, high float64) {
	return math.Exp(beta), math.Exp(beta - z*standardError), math.Exp(beta + z*standardError)
}
