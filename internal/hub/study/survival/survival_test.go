package survival

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// The figures here that are called R's are those of R's package survival 3.5-3
// (T. M. Therneau), printed by survfit(conf.type = "log-log"), survdiff and
// coxph. The data are public: remission of leukaemia under 6-mercaptopurine or
// placebo (E. J. Freireich et al., Blood 21 (1963) 699-716); maintenance of
// acute myelogenous leukaemia (R. G. Miller, Survival Analysis (1981), R's
// "aml"); the lung cancer trial of the NCCTG (C. L. Loprinzi et al., Journal of
// Clinical Oncology 12 (1994) 601-607, R's "lung").

// subject is one person, as a textbook lists them.
type subject struct {
	time  int
	event bool
	x     []float64
	in    string // stratum
}

func subjects(x float64, times ...int) (out []subject) {
	for _, t := range times { // censored times are negative
		s := subject{time: t, event: t > 0, x: []float64{x}}
		if t < 0 {
			s.time = -t
		}
		out = append(out, s)
	}
	return out
}

var (
	mercaptopurine = subjects(1, 6, 6, 6, -6, 7, -9, 10, -10, -11, 13, 16, -17, -19, -20, 22, 23, -25, -32, -32, -34, -35)
	placebo        = subjects(0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)
	maintained     = subjects(0, 9, 13, -13, 18, 23, -28, 31, 34, -45, 48, -161)
	nonmaintained  = subjects(1, 5, 5, 8, 8, 12, -16, 23, 27, 30, 33, 43, 45)
)

// lung has sex (1 male, 2 female), age, and the ECOG score in the stratum.
func lung(t testing.TB) (out []subject) {
	t.Helper()
	f, err := os.Open("testdata/lung.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records[1:] {
		n := make([]int, 4)
		for i := range n {
			if n[i], err = strconv.Atoi(r[i]); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, subject{time: n[0], event: n[1] == 1, x: []float64{float64(n[2]), float64(n[3])}, in: r[4]})
	}
	return out
}

func rowsOf(s []subject, keep func(subject) bool) (rows []Row) {
	for _, p := range s {
		if keep == nil || keep(p) {
			r := Row{Time: p.time, Censored: 1}
			if p.event {
				r.Events, r.Censored = 1, 0
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// alike gathers the first p covariates of subjects into patterns.
func alike(s []subject, p int, strata bool) []Alike {
	type pattern struct {
		in   string
		a, b float64
	}
	at := map[pattern]int{}
	var out []Alike
	for _, one := range s {
		k := pattern{a: one.x[0]}
		if p > 1 {
			k.b = one.x[1]
		}
		if strata {
			k.in = one.in
		}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, Alike{Stratum: k.in, X: one.x[:p]})
		}
		out[i].Rows = append(out[i].Rows, rowsOf([]subject{one}, nil)...)
	}
	for i := range out {
		out[i].Rows = Merge(out[i].Rows)
	}
	return out
}

func fit(t testing.TB, persons []Alike, p int, ties Ties) Estimate {
	t.Helper()
	times := EventTimes(persons)
	e, err := Fit(p, ties, func(beta []float64) ([]RiskSum, error) { return RiskSums(beta, persons, times), nil })
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %.10g, want %.10g", what, got, want)
	}
}

func TestKaplanMeierAsR(t *testing.T) {
	at := func(points []Point, time int) Point {
		for _, p := range points {
			if p.Time == time {
				return p
			}
		}
		t.Fatalf("no point at %d", time)
		return Point{}
	}
	drug, none := KaplanMeier(rowsOf(mercaptopurine, nil)), KaplanMeier(rowsOf(placebo, nil))
	for _, want := range []struct {
		points              []Point
		time                int
		atRisk              int64
		survival, low, high float64
	}{
		{none, 1, 21, 0.90476190, 0.670045882, 0.9752941},
		{none, 8, 12, 0.38095238, 0.183066549, 0.5777887},
		{none, 22, 2, 0.04761905, 0.003324463, 0.1970449},
		{drug, 6, 21, 0.85714286, 0.619717955, 0.9515517},
		{drug, 10, 15, 0.75294118, 0.503199511, 0.8893618},
		{drug, 16, 11, 0.62745098, 0.367510856, 0.8049122},
		{drug, 23, 6, 0.44817927, 0.188052006, 0.6801426},
	} {
		p := at(want.points, want.time)
		if p.AtRisk != want.atRisk {
			t.Errorf("at %d: %d at risk, want %d", want.time, p.AtRisk, want.atRisk)
		}
		near(t, "survival", p.Survival, want.survival, 5e-9)
		near(t, "low", p.Low, want.low, 5e-8)
		near(t, "high", p.High, want.high, 5e-8)
	}
	if last := at(none, 23); last.Survival != 0 || !math.IsNaN(last.Low) {
		t.Errorf("nobody is left: %+v", last)
	}
	men, women := KaplanMeier(rowsOf(lung(t), func(s subject) bool { return s.x[0] == 1 })), KaplanMeier(rowsOf(lung(t), func(s subject) bool { return s.x[0] == 2 }))
	for _, want := range []struct {
		name      string
		points    []Point
		m, lo, hi int
	}{
		{"6-MP", drug, 23, 13, 0}, {"placebo", none, 8, 4, 11}, {"men", men, 270, 210, 306}, {"women", women, 426, 345, 524},
		{"maintained", KaplanMeier(rowsOf(maintained, nil)), 31, 13, 0}, {"not maintained", KaplanMeier(rowsOf(nonmaintained, nil)), 23, 5, 33},
	} {
		if m, lo, hi := Median(want.points); m != want.m || lo != want.lo || hi != want.hi {
			t.Errorf("median of %s: %d (%d to %d), want %d (%d to %d)", want.name, m, lo, hi, want.m, want.lo, want.hi)
		}
	}
}

func TestLogRankAsR(t *testing.T) {
	all := lung(t)
	group := func(in string, sex float64) []Row {
		return rowsOf(all, func(s subject) bool { return (in == "" || s.in == in) && (sex == 0 || s.x[0] == sex) })
	}
	var bySex [][][]Row
	for _, in := range []string{"0", "1", "2", "3"} {
		bySex = append(bySex, [][]Row{group(in, 1), group(in, 2)})
	}
	for _, c := range []struct {
		name    string
		strata  [][][]Row
		chi     float64
		freedom int
		p       float64
	}{
		{"Freireich", [][][]Row{{rowsOf(placebo, nil), rowsOf(mercaptopurine, nil)}}, 16.79294099, 1, 4.168809e-05},
		{"aml", [][][]Row{{rowsOf(maintained, nil), rowsOf(nonmaintained, nil)}}, 3.396388699, 1, 0.06533932},
		{"lung by sex", [][][]Row{{group("", 1), group("", 2)}}, 10.3267419549, 1, 0.001311165},
		{"lung by sex within ECOG", bySex, 10.7950596335, 1, 0.001017713},
		{"lung by ECOG", [][][]Row{{group("0", 0), group("1", 0), group("2", 0), group("3", 0)}}, 21.9621316825, 3, 6.642535e-05},
		{"one group", [][][]Row{{rowsOf(placebo, nil), nil}}, 0, 0, 0},
		{"no event", [][][]Row{{{{Time: 3, Censored: 4}}, {{Time: 2, Censored: 4}}}}, 0, 0, 0},
		{"nothing", nil, 0, 0, 0},
	} {
		got := LogRank(c.strata)
		near(t, c.name, got.ChiSquared, c.chi, 2e-9)
		near(t, c.name+" p", got.P, c.p, 1e-6)
		if got.Freedom != c.freedom {
			t.Errorf("%s: %d degrees of freedom, want %d", c.name, got.Freedom, c.freedom)
		}
	}
}

func TestCoxAsR(t *testing.T) {
	leukaemia := append(append([]subject{}, placebo...), mercaptopurine...)
	marrow := append(append([]subject{}, maintained...), nonmaintained...)
	byActivity := lung(t) // R: strata(is.na(ph.ecog) | ph.ecog > 1)
	for i, s := range byActivity {
		byActivity[i].in = map[bool]string{true: "ill", false: "well"}[s.in == "-1" || s.in == "2" || s.in == "3"]
	}
	for _, c := range []struct {
		name       string
		persons    []Alike
		ties       Ties
		beta, errs []float64
	}{
		{"Freireich", alike(leukaemia, 1, false), Efron, []float64{-1.572125149}, []float64{0.4123967177}},
		{"Freireich", alike(leukaemia, 1, false), Breslow, []float64{-1.509191413}, []float64{0.4095644064}},
		{"aml", alike(marrow, 1, false), Efron, []float64{0.915532575015}, []float64{0.5119342752}},
		{"lung", alike(lung(t), 1, false), Efron, []float64{-0.53102353762}, []float64{0.1671785832}},
		{"lung, sex and age", alike(lung(t), 2, false), Efron, []float64{-0.5132185171084, 0.0170453318454}, []float64{0.167457962356, 0.009223273477}},
		{"lung, sex and age", alike(lung(t), 2, false), Breslow, []float64{-0.5125647915187, 0.0170128891984}, []float64{0.167462063142, 0.009221953685}},
		{"lung within activity", alike(byActivity, 2, true), Efron, []float64{-0.5437118810741, 0.0118546784773}, nil},
	} {
		e := fit(t, c.persons, len(c.beta), c.ties)
		if !e.Found {
			t.Errorf("%s: no maximum", c.name)
			continue
		}
		for j, want := range c.beta {
			near(t, c.name+" "+string(c.ties), e.Beta[j], want, 1e-8)
		}
		for j, want := range c.errs {
			near(t, c.name+" error "+string(c.ties), e.Error[j], want, 1e-7)
		}
	}
}

// pooled maximises the partial likelihood as the textbook writes it, person by
// person, by the slopes of the log likelihood in small steps: it shares nothing
// with the package.
func pooled(s []subject, p int, efron bool) []float64 {
	score := func(beta []float64) []float64 {
		u := make([]float64, p)
		done := map[[2]any]bool{}
		for _, one := range s {
			if !one.event || done[[2]any{one.in, one.time}] {
				continue
			}
			done[[2]any{one.in, one.time}] = true
			var tied []subject
			for _, o := range s {
				if o.event && o.time == one.time && o.in == one.in {
					tied = append(tied, o)
				}
			}
			for k := range tied {
				var w float64
				wx := make([]float64, p)
				for _, o := range s {
					if o.time < one.time || o.in != one.in {
						continue
					}
					r := 0.0
					for j := range p {
						r += o.x[j] * beta[j]
					}
					r = math.Exp(r)
					if efron && o.event && o.time == one.time {
						r *= 1 - float64(k)/float64(len(tied))
					}
					w += r
					for j := range p {
						wx[j] += r * o.x[j]
					}
				}
				for j := range p {
					u[j] += tied[k].x[j] - wx[j]/w
				}
			}
		}
		return u
	}
	beta := make([]float64, p)
	for range 100 { // Newton with slopes by differences, one or two covariates
		u := score(beta)
		const h = 1e-6
		slope := make([][]float64, p)
		for j := range p {
			up, down := append([]float64{}, beta...), append([]float64{}, beta...)
			up[j] += h
			down[j] -= h
			a, b := score(up), score(down)
			slope[j] = make([]float64, p)
			for i := range p {
				slope[j][i] = (a[i] - b[i]) / (2 * h)
			}
		}
		if p == 1 {
			beta[0] -= u[0] / slope[0][0]
			continue
		}
		det := slope[0][0]*slope[1][1] - slope[0][1]*slope[1][0]
		beta[0] -= (u[0]*slope[1][1] - u[1]*slope[1][0]) / det
		beta[1] -= (u[1]*slope[0][0] - u[0]*slope[0][1]) / det
	}
	return beta
}

func random(r *rand.Rand, n, p int) []subject {
	out := make([]subject, n)
	for i := range out {
		x := []float64{float64(r.IntN(2)), float64(r.IntN(5)) / 4}
		s := subject{x: x[:p], in: []string{"a", "b"}[r.IntN(2)]}
		hazard := math.Exp(0.7*x[0] - 0.5*x[1])
		t, end := r.ExpFloat64()/hazard*20, r.Float64()*40
		s.time, s.event = 1+int(math.Min(t, end)), t <= end
		out[i] = s
	}
	return out
}

// TestCoxAsPooled: sums by pattern and time, of one hub and of three, find the
// same maximum as the rows of all persons together.
func TestCoxAsPooled(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 12 {
		p := 1 + r.IntN(2)
		s := random(r, 40+r.IntN(80), p)
		for _, ties := range []Ties{Efron, Breslow} {
			want := pooled(s, p, ties == Efron)
			got := fit(t, alike(s, p, true), p, ties)
			if !got.Found {
				t.Fatal("no maximum")
			}
			for j := range p {
				near(t, "pooled "+string(ties), got.Beta[j], want[j], 1e-6)
			}
			hubs := [][]Alike{alike(s[:10], p, true), alike(s[10:25], p, true), alike(s[25:], p, true)}
			times := EventTimes(append(append(append([]Alike{}, hubs[0]...), hubs[1]...), hubs[2]...))
			several, err := Fit(p, ties, func(beta []float64) ([]RiskSum, error) {
				sum := RiskSums(beta, hubs[0], times)
				for _, h := range hubs[1:] {
					if err := Add(sum, RiskSums(beta, h, times)); err != nil {
						return nil, err
					}
				}
				return sum, nil
			})
			if err != nil || !several.Found {
				t.Fatalf("several hubs: %v", err)
			}
			for j := range p {
				near(t, "several hubs", several.Beta[j], got.Beta[j], 1e-9)
				near(t, "several hubs, error", several.Error[j], got.Error[j], 1e-9)
			}
		}
	}
	if Add(make([]RiskSum, 1), nil) == nil {
		t.Error("sums of other times were added")
	}
	if Add([]RiskSum{{X: []float64{1}}}, []RiskSum{{}}) == nil {
		t.Error("sums of other covariates were added")
	}
}

// TestNoMaximum: where every event is in one group the likelihood rises for
// ever, and without an event it is flat.
func TestNoMaximum(t *testing.T) {
	for name, s := range map[string][]subject{
		"all events in one group": append(subjects(1, 3, 4, 7, -9), subjects(0, -2, -5, -8, -9)...),
		"no event":                append(subjects(1, -3, -4), subjects(0, -2, -5)...),
		"one group":               subjects(1, 2, 4, -5),
	} {
		for _, ties := range []Ties{Efron, Breslow} {
			if e := fit(t, alike(s, 1, false), 1, ties); e.Found {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
}

// TestLifeTable: without censoring it is the product-limit estimate; with it,
// the figures are worked out by hand.
func TestLifeTable(t *testing.T) {
	steps := []Row{{Time: 5, Events: 9}, {Time: 12, Events: 8}, {Time: 23, Events: 4}}
	km := KaplanMeier(rowsOf(placebo, nil))
	for _, p := range LifeTable(21, steps) {
		for _, q := range km {
			if q.Time == p.Time {
				near(t, "survival", p.Survival, q.Survival, 1e-12)
			}
		}
	}
	p := LifeTable(100, []Row{{Time: 30, Events: 10, Censored: 20}, {Time: 60, Events: 6, Censored: 8}})
	near(t, "first step", p[0].Survival, 1-10.0/90, 1e-12)
	near(t, "second step", p[1].Survival, (1-10.0/90)*(1-6.0/66), 1e-12)
	if p[1].AtRisk != 70 {
		t.Errorf("%d at risk, want 70", p[1].AtRisk)
	}
}
