package analysis_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// tableOne adds to the study what describes its groups.
var tableOne = bleeding + `
  - {name: table1, kind: characterisation, target: drug-a, comparator: drug-b, tables: [condition_occurrence, drug_exposure, measurement]}
  - {name: alone, kind: characterisation, target: drug-b, window: {start: -30, end: 400}, min_prevalence: 0.05, age_bands: [0, 65], tables: [condition_occurrence, measurement]}
`

func float(b studytest.Builder, name string, v float64, null bool) {
	if b.Table[name] == nil {
		b.Table[name] = &studytest.Column{}
	}
	b.Table[name].Floats, b.Table[name].Null = append(b.Table[name].Floats, v), append(b.Table[name].Null, null)
}

// measuredWorld is the world of drugs with measurements, about the time of the
// first drug.
func measuredWorld(persons int) map[string]studytest.Table {
	tables := drugWorld(persons)
	r := rand.New(rand.NewPCG(4, 4))
	m := studytest.NewBuilder()
	for p := range int64(persons) {
		for range r.IntN(4) {
			m.Int("person_id", p)
			m.Int("measurement_concept_id", []int64{0, 13, 14, 99}[r.IntN(4)])
			m.Day("measurement_date", 14600+r.IntN(1500))
			float(m, "value_as_number", r.Float64(), r.IntN(3) == 0)
			if r.IntN(4) == 0 {
				m.NullInt("unit_concept_id")
			} else {
				m.Int("unit_concept_id", []int64{0, 1, 2}[r.IntN(3)])
			}
		}
	}
	tables["measurement"] = m.Table
	return tables
}

func TestCharacterisationByHand(t *testing.T) {
	person, period, drug, condition, m := studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder(), studytest.NewBuilder()
	for i, p := range []struct{ id, gender, born, drug int64 }{{1, 8532, 1950, 1}, {2, 8507, 1970, 1}, {3, 8532, 1990, 1}, {4, 8507, 1980, 2}, {5, 8532, 1960, 2}} {
		person.Int("person_id", p.id)
		person.Int("gender_concept_id", p.gender)
		person.Int("year_of_birth", p.born)
		period.Int("person_id", p.id)
		period.Int("observation_period_id", p.id)
		period.Day("observation_period_start_date", 14610) // 2010-01-01
		period.Day("observation_period_end_date", 15704)
		drug.Int("drug_exposure_id", int64(i))
		drug.Int("person_id", p.id)
		drug.Int("drug_concept_id", p.drug)
		drug.Day("drug_exposure_start_date", 15100) // 2011-05-06, day 0
	}
	for i, e := range []struct{ person, concept, day int64 }{{1, 11, 15100}, {1, 11, 14735}, {2, 11, 14734}, {3, 11, 15101}, {3, 0, 15000}, {4, 11, 15000}, {5, 12, 15000}, {2, 12, 15099}} {
		condition.Int("condition_occurrence_id", int64(i))
		condition.Int("person_id", e.person)
		condition.Int("condition_concept_id", e.concept)
		condition.Day("condition_start_date", int(e.day))
	}
	for _, e := range []struct {
		person int64
		value  float64
		unit   int64
	}{{1, 7, 2}, {1, 8, 2}, {1, 8, 0}, {2, math.NaN(), 2}, {4, 3, 2}} {
		m.Int("person_id", e.person)
		m.Int("measurement_concept_id", 14)
		m.Day("measurement_date", 15000)
		float(m, "value_as_number", e.value, math.IsNaN(e.value))
		m.Int("unit_concept_id", e.unit)
	}
	tables := drugWorld(1)
	tables["person"], tables["observation_period"], tables["drug_exposure"], tables["condition_occurrence"], tables["measurement"] = person.Table, period.Table, drug.Table, condition.Table, m.Table
	o := outputNamed(t, run(t, job(t, parse(t, tableOne), tables, 3)), "table1")
	if o.Kind != study.Characteristics || !slices.Equal(o.Dimensions[2].Categories, []string{"target", "comparator"}) {
		t.Fatalf("%+v", o)
	}
	for _, c := range []struct {
		key    string
		count  int64
		values map[string]float64
	}{
		{"persons,all,target", 3, map[string]float64{"proportion": 1, "smd": 0}},
		{"persons,all,comparator", 2, nil},
		{"sex,female,target", 2, map[string]float64{"proportion": 2. / 3, "smd": (2./3 - 0.5) / math.Sqrt((2./9+0.25)/2)}},
		{"sex,female,comparator", 1, map[string]float64{"proportion": 0.5}},
		{"age_band,60-69,target", 1, nil}, // 61
		{"age_band,40-49,target", 1, nil}, // 41
		{"age_band,20-29,comparator", 0, nil},
		{"age,mean,target", 3, map[string]float64{"mean": 41, "sd": 20, "smd": 0}},          // 61, 41, 21
		{"age,mean,comparator", 2, map[string]float64{"mean": 41, "sd": 10 * math.Sqrt(2)}}, // 31, 51
		{"year,2011,target", 3, nil},
		{"condition_occurrence 11 concept 11,present,target", 1, map[string]float64{"proportion": 1. / 3}}, // 366 days before and the day after are out
		{"condition_occurrence 11 concept 11,present,comparator", 1, nil},
		{"condition_occurrence 12 concept 12,present,target", 1, nil},
		{"drug_exposure 1 concept 1,present,target", 3, map[string]float64{"proportion": 1}}, // no difference: it is infinite
		{"drug_exposure 1 concept 1,present,comparator", 0, map[string]float64{"proportion": 0}},
		{"measurement 14 concept 14,present,target", 2, nil},
		{"measurement 14 concept 14,value in 2 concept 2,target", 1, map[string]float64{"proportion": 1. / 3}},
		{"measurement 14 concept 14,value in 2 concept 2,comparator", 1, nil},
		{"measurement 14 concept 14,value without unit,target", 1, nil},
		{"measurement 14 concept 14,value without unit,comparator", 0, nil},
	} {
		got := cellOf(t, o, strings.Split(c.key, ",")...)
		if got.Count != c.count {
			t.Errorf("%s: %d, want %d", c.key, got.Count, c.count)
		}
		for m, v := range c.values {
			if x, there := got.Values[m]; !there || math.Abs(x-v) > 1e-12 {
				t.Errorf("%s: %s is %v, want %v", c.key, m, got.Values[m], v)
			}
		}
	}
	if _, there := cellOf(t, o, "drug_exposure 1 concept 1", "present", "target").Values["smd"]; there {
		t.Error("an infinite difference")
	}
	for _, trait := range o.Dimensions[0].Categories {
		if strings.Contains(trait, " 0") || trait == "age_band 20-29" {
			t.Errorf("trait %q", trait)
		}
	}
}

// TestCharacterisationAsPersons counts again by going through the tables
// person by person.
func TestCharacterisationAsPersons(t *testing.T) {
	tables := measuredWorld(400)
	out := run(t, job(t, parse(t, tableOne), tables, 8))
	first := map[int64]int32{}
	for k, who := range tables["drug_exposure"]["person_id"].Ints {
		if day := tables["drug_exposure"]["drug_exposure_start_date"].Days[k]; first[who] == 0 || day < first[who] {
			first[who] = day
		}
	}
	for name, window := range map[string][2]int32{"table1": {-365, 0}, "alone": {-30, 400}} {
		o := outputNamed(t, out, name)
		has := map[string]map[int64]bool{} // by "group trait category"
		add := func(who int64, trait, category string) {
			group := []string{"target", "comparator"}[who%2] // the even take drug a
			if name == "alone" {
				if group == "target" {
					return
				}
				group = "target"
			}
			key := fmt.Sprint(trait, ",", category, ",", group)
			if has[key] == nil {
				has[key] = map[int64]bool{}
			}
			has[key][who] = true
		}
		concepts := func(table, prefix, day string) {
			for k, who := range tables[table]["person_id"].Ints {
				at := tables[table][day].Days[k] - first[who]
				id := tables[table][prefix+"_concept_id"].Ints[k]
				if at < window[0] || at > window[1] || id == 0 {
					continue
				}
				trait := fmt.Sprintf("%s %d concept %d", table, id, id)
				if id == 99 || id == 15 { // the vocabulary does not know them
					trait = fmt.Sprintf("%s %d", table, id)
				}
				add(who, trait, "present")
				if table == "measurement" && !tables[table]["value_as_number"].Null[k] {
					unit := tables[table]["unit_concept_id"].Ints[k]
					category := fmt.Sprintf("value in %d concept %d", unit, unit)
					if unit == 0 {
						category = "value without unit"
					}
					add(who, trait, category)
				}
			}
		}
		for i, who := range tables["person"]["person_id"].Ints {
			add(who, "persons", "all")
			add(who, "sex", map[int64]string{8507: "male", 8532: "female"}[tables["person"]["gender_concept_id"].Ints[i]])
		}
		concepts("condition_occurrence", "condition", "condition_start_date")
		concepts("measurement", "measurement", "measurement_date")
		if name == "table1" {
			concepts("drug_exposure", "drug", "drug_exposure_start_date")
		}
		checked := 0
		for _, c := range o.Cells {
			if slices.Contains([]string{"age", "age_band", "year"}, c.Key[0]) {
				continue
			}
			key := strings.Join(c.Key, ",")
			if c.Key[1] == "unknown" {
				key = fmt.Sprintf("sex,,%s", c.Key[2])
			}
			if int(c.Count) != len(has[key]) {
				t.Errorf("%s: %s: %d, want %d", name, key, c.Count, len(has[key]))
			}
			checked++
		}
		persons := len(has["persons,all,target"])
		for key, who := range has { // all that must be there is there
			k := strings.Split(key, ",")
			common := name == "table1" || len(who)*20 >= persons
			i := slices.IndexFunc(o.Cells, func(c study.Cell) bool { return slices.Equal(c.Key, k) })
			if strings.Contains(k[0], " ") && k[1] == "present" && (i >= 0) != common {
				t.Errorf("%s: %s is there: %v, of %d in %d", name, key, i >= 0, len(who), persons)
			}
		}
		if checked < 10 {
			t.Errorf("%s: only %d cells", name, checked)
		}
	}
}

func TestCharacterisationSameBytes(t *testing.T) {
	d, tables := parse(t, tableOne), measuredWorld(300)
	want := encode(t, run(t, job(t, d, tables, 1)))
	for _, seed := range []uint64{1, 2} {
		j := job(t, d, tables, 16)
		j.Runner = shuffled{seed}
		if got := encode(t, run(t, j)); got != want {
			t.Fatalf("seed %d:\n%s\nwant\n%s", seed, got, want)
		}
	}
}
