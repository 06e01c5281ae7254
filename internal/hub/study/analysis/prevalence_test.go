package analysis_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// howMany adds to the study what looks at prevalence. The cohort bleeding lasts
// from the first condition to the day after it.
var howMany = bleeding + `
  - {name: any, kind: prevalence, target: drug-a, outcome: bleeding}
  - {name: whole, kind: prevalence, target: drug-a, outcome: bleeding, observed: whole, by: [sex]}
  - {name: july, kind: prevalence, target: drug-a, outcome: bleeding, type: point, day: 07-01}
  - {name: by-all, kind: prevalence, target: drug-b, outcome: bleeding, by: [age_band, sex], age_bands: [0, 40]}
`

func TestPrevalenceByHand(t *testing.T) {
	person, period, drug, condition := studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder()
	for _, p := range []struct {
		id, gender, born int64
		drug, until      int
	}{
		{1, 8532, 1950, 14610, 15704}, // from 2010-01-01 to 2012-12-30
		{2, 8507, 1985, 14700, 15339}, // from 2010-04-01 to 2011-12-31
		{3, 8532, 1990, 14800, 14974}, // from 2010-07-10 to 2010-12-31
	} {
		person.Int("person_id", p.id)
		person.Int("gender_concept_id", p.gender)
		person.Int("year_of_birth", p.born)
		period.Int("person_id", p.id)
		period.Int("observation_period_id", p.id)
		period.Day("observation_period_start_date", 14610)
		period.Day("observation_period_end_date", p.until)
		drug.Int("drug_exposure_id", p.id)
		drug.Int("person_id", p.id)
		drug.Int("drug_concept_id", 1)
		drug.Day("drug_exposure_start_date", p.drug)
	}
	for i, e := range []struct {
		person int64
		day    int
	}{{1, 14974}, {2, 15156}, {3, 14700}} { // 2010-12-31 and the day after; 2011-07-01; before the drug
		condition.Int("condition_occurrence_id", int64(i))
		condition.Int("person_id", e.person)
		condition.Int("condition_concept_id", 11)
		condition.Day("condition_start_date", e.day)
	}
	tables := drugWorld(1)
	tables["person"], tables["observation_period"], tables["drug_exposure"], tables["condition_occurrence"] = person.Table, period.Table, drug.Table, condition.Table
	out := run(t, job(t, parse(t, howMany), tables, 2))
	for _, c := range []struct {
		output, key string
		with, all   int64
	}{
		{"any", "2010", 1, 3},
		{"any", "2011", 2, 2}, // woman 1 on New Year's Day
		{"any", "2012", 0, 1},
		{"whole", "2010,total", 1, 1}, // the others take the drug later
		{"whole", "2011,male", 1, 1},
		{"whole", "2011,female", 1, 1},
		{"july", "2010-07-01", 0, 2},
		{"july", "2011-07-01", 1, 2},
		{"july", "2012-07-01", 0, 1},
	} {
		o := outputNamed(t, out, c.output)
		key := strings.Split(c.key, ",")
		with, all := cellOf(t, o, append(slices.Clone(key), study.With)...), cellOf(t, o, append(slices.Clone(key), study.TotalKey)...)
		if with.Count != c.with || all.Count != c.all || with.Values["proportion"] != float64(c.with)/float64(c.all) {
			t.Errorf("%s %s: %+v of %+v", c.output, c.key, with, all)
		}
	}
	if whole := outputNamed(t, out, "whole"); slices.Contains(whole.Dimensions[0].Categories, "2012") || whole.Kind != study.Proportions {
		t.Errorf("2012-12-31 is not observed: %+v", whole.Dimensions)
	}
}

// TestPrevalenceAsPersons goes through every day of every person.
func TestPrevalenceAsPersons(t *testing.T) {
	tables := drugWorld(150)
	out := run(t, job(t, parse(t, howMany), tables, 5))
	firstOf := map[int]int32{} // by year
	year := map[int32]int{}
	for y, day := 2010, int32(14610); y < 2020; y++ {
		firstOf[y] = day
		n := int32(365)
		if y%4 == 0 {
			n++
		}
		for range n {
			year[day] = y
			day++
		}
	}
	firstOf[2020] = 18262
	count := map[string]int64{}
	for i, who := range tables["person"]["person_id"].Ints {
		sex := map[int64]string{8507: "male", 8532: "female", 0: "unknown"}[tables["person"]["gender_concept_id"].Ints[i]]
		end := tables["observation_period"]["observation_period_end_date"].Days[i]
		start := end
		for k, p := range tables["drug_exposure"]["person_id"].Ints {
			if p == who {
				start = min(start, tables["drug_exposure"]["drug_exposure_start_date"].Days[k])
			}
		}
		ill, first := map[int32]bool{}, int32(math.MaxInt32-1) // the cohort has the first bleeding
		for k, p := range tables["condition_occurrence"]["person_id"].Ints {
			if c := tables["condition_occurrence"]["condition_concept_id"].Ints[k]; p == who && c <= 12 {
				first = min(first, tables["condition_occurrence"]["condition_start_date"].Days[k])
			}
		}
		ill[first], ill[first+1] = true, true
		for y := 2010; y < 2020; y++ {
			days, sick := int32(0), false
			for day := firstOf[y]; day < firstOf[y+1]; day++ {
				if day >= start && day <= end {
					days++
					sick = sick || ill[day]
				}
			}
			band := "0-39"
			if y-int(tables["person"]["year_of_birth"].Ints[i]) >= 40 {
				band = "40+"
			}
			if y < int(tables["person"]["year_of_birth"].Ints[i]) {
				band = "unknown"
			}
			july := firstOf[y] + 181
			if y%4 == 0 {
				july++
			}
			add := func(key string, in, with bool) {
				if in {
					count[key+",total"]++
					count[key+","+map[bool]string{true: "with", false: "without"}[with]]++
				}
			}
			if who%2 == 0 {
				add(fmt.Sprintf("any,%d", y), days > 0, sick)
				for _, s := range []string{sex, "total"} {
					add(fmt.Sprintf("whole,%d,%s", y, s), days == firstOf[y+1]-firstOf[y], sick)
				}
				add(fmt.Sprintf("july,%d-07-01", y), july >= start && july <= end, ill[july])
				continue
			}
			for _, b := range []string{band, "total"} {
				for _, s := range []string{sex, "total"} {
					add(fmt.Sprintf("by-all,%d,%s,%s", y, b, s), days > 0, sick)
				}
			}
		}
	}
	cells := 0
	for _, name := range []string{"any", "whole", "july", "by-all"} {
		for _, c := range outputNamed(t, out, name).Cells {
			key := name + "," + strings.Join(c.Key, ",")
			if c.Count != count[key] {
				t.Errorf("%s: %d, want %d", key, c.Count, count[key])
			}
			if c.Count > 0 {
				cells++
				delete(count, key)
			}
		}
	}
	for key, n := range count {
		if n > 0 {
			t.Errorf("no cell %s, of %d", key, n)
		}
	}
	if cells < 50 {
		t.Errorf("only %d cells", cells)
	}
	want := encode(t, out)
	j := job(t, parse(t, howMany), tables, 16)
	j.Runner = shuffled{3}
	if got := encode(t, run(t, j)); got != want {
		t.Errorf("in another order:\n%s\nwant\n%s", got, want)
	}
}

// TestIncidenceByAll: an incidence by sex, age and year of entry together counts
// each person in one stratum.
func TestIncidenceByAll(t *testing.T) {
	text := bleeding + `
  - {name: cut, kind: incidence, target: drug-a, outcome: bleeding, time_at_risk: {start: 1, end: 730}, by: [sex, age_band, year], age_bands: [0, 40]}
`
	tables := drugWorld(200)
	o := outputNamed(t, run(t, job(t, parse(t, text), tables, 4)), "cut")
	persons, days, events := map[string]int64{}, map[string]int64{}, map[string]float64{}
	for _, p := range patients(tables) {
		if !p.target {
			continue
		}
		key := map[int64]string{8507: "male", 8532: "female", 0: "unknown"}[p.gender]
		switch {
		case p.age < 0:
			key += ",unknown"
		case p.age < 40:
			key += ",0-39"
		default:
			key += ",40+"
		}
		key += fmt.Sprintf(",%d", p.entered)
		persons[key]++
		days[key] += int64(p.days)
		if p.event {
			events[key]++
		}
	}
	cells := 0
	for _, c := range o.Cells {
		key := strings.Join(c.Key, ",")
		if slices.Contains(c.Key, study.TotalKey) {
			continue
		}
		if c.Count != persons[key] || c.Values["events"] != events[key] || math.Abs(c.Values["person_years"]-float64(days[key])/365.25) > 1e-9 {
			t.Errorf("%s: %+v, want %d persons, %g events, %d days", key, c, persons[key], events[key], days[key])
		}
		if c.Count > 0 {
			cells++
		}
	}
	if cells != len(persons) || cells < 15 {
		t.Errorf("%d cells, want %d", cells, len(persons))
	}
}
