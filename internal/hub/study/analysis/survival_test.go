package analysis_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// timeToBleeding adds to the study what looks at times.
var timeToBleeding = bleeding + `
  - {name: curve, kind: survival, target: drug-a, comparator: drug-b, outcome: bleeding, time_at_risk: {start: 1, end: 730}}
  - {name: curve-by, kind: survival, target: drug-a, outcome: bleeding, time_at_risk: {start: 1, end: 730}, by: [sex], step: 7}
  - {name: curve-strata, kind: survival, target: drug-a, comparator: drug-b, outcome: bleeding, time_at_risk: {start: 0, end: cohort_end}, by: [sex, age_band], age_bands: [0, 40, 60]}
  - {name: hazard, kind: hazard_ratio, target: drug-a, comparator: drug-b, outcome: bleeding, time_at_risk: {start: 1, end: 730}}
  - {name: hazard-breslow, kind: hazard_ratio, target: drug-a, comparator: drug-b, outcome: bleeding, time_at_risk: {start: 1, end: 730}, ties: breslow}
  - {name: hazard-adjusted, kind: hazard_ratio, target: drug-a, comparator: drug-b, outcome: bleeding, time_at_risk: {start: 1, end: 730}, adjust: [sex, age]}
  - {name: hazard-bands, kind: hazard_ratio, target: drug-a, comparator: drug-b, outcome: bleeding, time_at_risk: {start: 1, end: 730}, adjust: [year, age_band], age_bands: [0, 40, 60]}
`

// patient is one person of the world of drugs as a researcher would list them.
type patient struct {
	days    int
	event   bool
	target  bool
	gender  int64
	age     int
	entered int // year
}

// patients follows everybody by the obvious rule, straight from the tables:
// from the day after the first drug to day 730 or the end of observation.
func patients(tables map[string]studytest.Table) (out []patient) {
	person, period, drug, condition := tables["person"], tables["observation_period"], tables["drug_exposure"], tables["condition_occurrence"]
	for i, id := range person["person_id"].Ints {
		entry, end := int32(math.MaxInt32), period["observation_period_end_date"].Days[i]
		var what int64
		for k, who := range drug["person_id"].Ints {
			if day := drug["drug_exposure_start_date"].Days[k]; who == id && day < entry {
				entry, what = day, drug["drug_concept_id"].Ints[k]
			}
		}
		first := int32(math.MaxInt32)
		for k, who := range condition["person_id"].Ints {
			if c := condition["condition_concept_id"].Ints[k]; who == id && c >= 10 && c <= 12 {
				first = min(first, condition["condition_start_date"].Days[k])
			}
		}
		if first <= entry {
			continue
		}
		last := min(entry+730, end)
		p := patient{event: first <= last, target: what == 1, gender: person["gender_concept_id"].Ints[i]}
		p.days = int(min(last, first) - entry)
		for y, start := 2010, int32(14610); start <= entry; y++ { // 2010-01-01
			p.entered = y
			start += 365
			if y%4 == 0 {
				start++
			}
		}
		p.age = p.entered - int(person["year_of_birth"].Ints[i])
		out = append(out, p)
	}
	return out
}

// coxByPersons fits Cox's model with Efron's or Breslow's ties as a textbook
// writes it: over all persons at each event, by Newton's method. It shares no
// code with the package.
func coxByPersons(people []patient, x func(patient) ([]float64, string), efron bool) []float64 {
	p := 0
	xs, in := make([][]float64, len(people)), make([]string, len(people))
	for i, one := range people {
		xs[i], in[i] = x(one)
		p = len(xs[i])
	}
	beta := make([]float64, p)
	for range 12 {
		u, h := make([]float64, p), make([][]float64, p)
		for j := range h {
			h[j] = make([]float64, p+1)
		}
		w := make([]float64, len(people))
		for i := range people {
			for j, b := range beta {
				w[i] += b * xs[i][j]
			}
			w[i] = math.Exp(w[i])
		}
		seen := map[string]map[int]int{} // how many of the events of the day are done
		for i, one := range people {
			if !one.event {
				continue
			}
			if seen[in[i]] == nil {
				seen[in[i]] = map[int]int{}
			}
			done, ties := seen[in[i]][one.days], 0
			seen[in[i]][one.days]++
			for k, o := range people {
				if o.event && o.days == one.days && in[k] == in[i] {
					ties++
				}
			}
			s0, s1, s2 := 0.0, make([]float64, p), make([]float64, p*p)
			for k, o := range people {
				if o.days < one.days || in[k] != in[i] {
					continue
				}
				r := w[k]
				if efron && o.event && o.days == one.days {
					r *= 1 - float64(done)/float64(ties)
				}
				s0 += r
				for a := range p {
					s1[a] += r * xs[k][a]
					for b := range p {
						s2[a*p+b] += r * xs[k][a] * xs[k][b]
					}
				}
			}
			for a := range p {
				u[a] += xs[i][a] - s1[a]/s0
				for b := range p {
					h[a][b] += s2[a*p+b]/s0 - s1[a]*s1[b]/(s0*s0)
				}
			}
		}
		for a := range p { // Gauss and Jordan
			h[a][p] = u[a]
		}
		for a := range p {
			pivot := h[a][a]
			for b := range h[a] {
				h[a][b] /= pivot
			}
			for c := range p {
				if f := h[c][a]; c != a {
					for b := range h[c] {
						h[c][b] -= f * h[a][b]
					}
				}
			}
		}
		for a := range p {
			beta[a] += h[a][p]
		}
	}
	return beta
}

func TestHazardRatioAsPooled(t *testing.T) {
	tables := drugWorld(500)
	people := patients(tables)
	out := run(t, job(t, parse(t, timeToBleeding), tables, 8))
	side := func(p patient) float64 {
		if p.target {
			return 1
		}
		return 0
	}
	alone := func(p patient) ([]float64, string) { return []float64{side(p)}, "" }
	for name, want := range map[string][]float64{
		"hazard":         coxByPersons(people, alone, true),
		"hazard-breslow": coxByPersons(people, alone, false),
		"hazard-adjusted": coxByPersons(people, func(p patient) ([]float64, string) {
			x := []float64{side(p), 0, float64(p.age)/10 - 5}
			switch p.gender {
			case 8507:
				x[1] = 1
			case 8532:
			default:
				return x, "not known"
			}
			return x, ""
		}, true),
		"hazard-bands": coxByPersons(people, func(p patient) ([]float64, string) {
			x := []float64{side(p), 0, 0, 0, 0, 0}
			for i, y := range []int{2012, 2013, 2014} {
				if p.entered == y {
					x[1+i] = 1
				}
			}
			if p.age >= 40 {
				x[4] = 1
			}
			if p.age >= 60 {
				x[4], x[5] = 0, 1
			}
			return x, ""
		}, true),
	} {
		c := cellOf(t, outputNamed(t, out, name))
		got, low, high := c.Values["hazard_ratio"], c.Values["hazard_ratio_low"], c.Values["hazard_ratio_high"]
		if math.Abs(math.Log(got)-want[0]) > 1e-6 {
			t.Errorf("%s: log %.9f, pooled %.9f", name, math.Log(got), want[0])
		}
		if !(low < got && got < high) || math.Abs(math.Log(low)+math.Log(high)-2*math.Log(got)) > 1e-9 {
			t.Errorf("%s: %v to %v about %v", name, low, high, got)
		}
		targets, events := int64(0), int64(0)
		for _, p := range people {
			if p.target {
				targets++
				if p.event {
					events++
				}
			}
		}
		if c.Count != int64(len(people)) || c.Contributors["target_persons"] != targets || c.Contributors["target_events"] != events {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestSurvivalAsPersons(t *testing.T) {
	tables := drugWorld(500)
	people := patients(tables)
	out := run(t, job(t, parse(t, timeToBleeding), tables, 8))
	check := func(o study.Output, step int, keep func(patient) bool, key ...string) {
		t.Helper()
		persons, events, s := 0, 0, 1.0
		for _, p := range people {
			if keep(p) {
				persons++
				if p.event {
					events++
				}
			}
		}
		total := cellOf(t, o, append(slices.Clone(key), study.TotalKey)...)
		if total.Count != int64(persons) || total.Contributors["events"] != int64(events) || total.Contributors["event_free"] != int64(persons-events) {
			t.Errorf("%s %v: %+v, want %d persons and %d events", o.Name, key, total, persons, events)
		}
		median := 0
		for day := 1; day <= 730; day++ {
			risk, now := 0, 0
			for _, p := range people {
				if keep(p) && p.days >= day {
					risk++
					if p.event && p.days == day {
						now++
					}
				}
			}
			if risk > 0 {
				s *= 1 - float64(now)/float64(risk)
			}
			if median == 0 && s <= 0.5 {
				median = day
			}
			if day%step != 0 && day != 730 {
				continue
			}
			c := cellOf(t, o, append(slices.Clone(key), study.StepName((day-1)/step*step+1, day))...)
			if math.Abs(c.Values["survival"]-s) > 1e-12 || c.Values["day"] != float64(day) {
				t.Fatalf("%s %v at %d: %+v, want %v", o.Name, key, day, c, s)
			}
		}
		if got := total.Values["median"]; got != float64(median) {
			t.Errorf("%s %v: median %v, want %d", o.Name, key, got, median)
		}
	}
	curve, by := outputNamed(t, out, "curve"), outputNamed(t, out, "curve-by")
	check(curve, 30, func(p patient) bool { return p.target }, "target")
	check(curve, 30, func(p patient) bool { return !p.target }, "comparator")
	check(by, 7, func(p patient) bool { return p.target && p.gender == 8532 }, "female")
	check(by, 7, func(p patient) bool { return p.target && p.gender == 8507 }, "male")
	if test := cellOf(t, curve, study.TotalKey, study.TotalKey); test.Count != int64(len(people)) || test.Values["degrees_of_freedom"] != 1 ||
		!(test.Values["p_value"] > 0 && test.Values["p_value"] <= 1) {
		t.Errorf("test: %+v", test)
	}
	if test := cellOf(t, by, study.TotalKey, study.TotalKey); test.Values["degrees_of_freedom"] != 1 { // sex that is not known is no group
		t.Errorf("test by sex: %+v", test)
	}
	// Within strata; a person is in one cell of each table.
	strata := outputNamed(t, out, "curve-strata")
	var persons int64
	for _, c := range strata.Cells {
		if c.Key[3] == study.TotalKey && c.Key[0] != study.TotalKey {
			persons += c.Count
		}
	}
	if test := cellOf(t, strata, "total", "total", "total", "total"); test.Count != persons || test.Values["degrees_of_freedom"] != 1 {
		t.Errorf("stratified test: %+v, %d persons", test, persons)
	}
}

// TestTimesSameBytes: nothing hangs on the buckets and their order.
func TestTimesSameBytes(t *testing.T) {
	d, tables := parse(t, timeToBleeding), drugWorld(400)
	want := encode(t, run(t, job(t, d, tables, 1)))
	for _, buckets := range []int{2, 16} {
		j := job(t, d, tables, buckets)
		j.Runner = shuffled{3}
		if got := encode(t, run(t, j)); got != want {
			t.Errorf("over %d buckets:\n%s\nwant\n%s", buckets, got, want)
		}
	}
}

// TestNoHazardRatio: without an event in a group, or with too few for the
// covariates, there is no number, and the notes say when that is so without
// saying that it is.
func TestNoHazardRatio(t *testing.T) {
	few := drugWorld(24)
	none := drugWorld(300)
	condition := none["condition_occurrence"]["person_id"]
	for i := range condition.Ints {
		condition.Ints[i] = condition.Ints[i] / 2 * 2 // only those of drug-a
	}
	text := strings.Replace(timeToBleeding, "adjust: [sex, age]", "adjust: [sex, age, year]", 1)
	for name, tables := range map[string]map[string]studytest.Table{"hazard-adjusted": few, "hazard": none} {
		for i, p := range tables["drug_exposure"]["person_id"].Ints {
			tables["drug_exposure"]["drug_concept_id"].Ints[i] = 1 + p%2
		}
		out, err := study.Run(context.Background(), job(t, parse(t, text), tables, 2))
		if err != nil {
			t.Fatal(err)
		}
		o := outputNamed(t, out, name)
		if c := cellOf(t, o); len(c.Values) > 0 || c.Count == 0 {
			t.Errorf("%s: %+v", name, c)
		}
		if !slices.ContainsFunc(o.Notes, func(n string) bool { return strings.Contains(n, "No ratio is given where a group has no event") }) {
			t.Errorf("%s: %v", name, o.Notes)
		}
	}
}
