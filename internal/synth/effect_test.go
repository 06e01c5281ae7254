package synth

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// rateRatio is the ratio of two rates with its 95 % interval (log-normal).
func rateRatio(a, b Arm) (estimate, low, high float64) {
	estimate = float64(a.RecordedBleeds) / float64(a.RecordedPersonDays) / (float64(b.RecordedBleeds) / float64(b.RecordedPersonDays))
	spread := math.Exp(1.959964 * math.Sqrt(1/float64(a.RecordedBleeds)+1/float64(b.RecordedBleeds)))
	return estimate, estimate / spread, estimate * spread
}

// TestEffect makes the demo's population (20,000 residents) for several seeds.
// That of seed 1, the demo's, must show the effect; of 95 % intervals nearly
// all must hold it; and all seeds together must come close. Seeds 1 to 200 gave
// 186 intervals that hold the truth and a ratio of 1.990 (1.958 to 2.023)
// together: one seed in about twenty misses, as 95 % says, and seed 1 does not.
func TestEffect(t *testing.T) {
	var all [2]Arm
	const seeds = 8
	covered := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		opts := Options{Residents: 20_000, Seed: seed, Out: filepath.Join(t.TempDir(), "out"), RowsPerPerson: minRowsPerPerson}
		if seed == 1 {
			opts.RowsPerPerson = DefaultRowsPerPerson
		}
		sum, err := Generate(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		arms := sum.Truth.Effect.Arms
		estimate, low, high := rateRatio(arms[0], arms[1])
		t.Logf("seed %d: %d and %d bleeds, rate ratio %.2f (%.2f to %.2f)", seed, arms[0].RecordedBleeds, arms[1].RecordedBleeds, estimate, low, high)
		if low <= hazardRatio && hazardRatio <= high {
			covered++
		}
		if seed == 1 {
			if low <= 1.1 || low > hazardRatio || high < hazardRatio || arms[0].RecordedBleeds < 120 {
				t.Errorf("seed 1: rate ratio %.2f (%.2f to %.2f) from %d and %d bleeds", estimate, low, high, arms[0].RecordedBleeds, arms[1].RecordedBleeds)
			}
			if got := armsFromFiles(t, opts.Out); got != [2]Arm{filesOnly(arms[0]), filesOnly(arms[1])} {
				t.Errorf("the files say %+v, the truth %+v", got, arms)
			}
		}
		for i := range all {
			all[i].RecordedBleeds += arms[i].RecordedBleeds
			all[i].RecordedPersonDays += arms[i].RecordedPersonDays
		}
		os.RemoveAll(opts.Out)
	}
	estimate, low, high := rateRatio(all[0], all[1])
	t.Logf("together: %.3f (%.3f to %.3f), %d of %d intervals hold the truth", estimate, low, high, covered, seeds)
	if covered < seeds-2 || low > hazardRatio || high < hazardRatio {
		t.Errorf("%d of %d intervals hold the truth; together %.3f (%.3f to %.3f)", covered, seeds, estimate, low, high)
	}
}

// filesOnly keeps of an arm what files can show.
func filesOnly(a Arm) Arm {
	return Arm{Drug: a.Drug, Starters: a.Starters, RecordedBleeds: a.RecordedBleeds, RecordedPersonDays: a.RecordedPersonDays}
}

// armsFromFiles counts starters, bleeds and days from the OMOP files alone,
// with the truth's persons for linkage: a second way to the same numbers.
func armsFromFiles(t *testing.T, dir string) [2]Arm {
	t.Helper()
	person := make(map[string]string)
	each(t, []string{dir, "truth", "persons.csv"}, []string{"holder", "person_id", "person"}, func(v []string) {
		person[v[0]+"/"+v[1]] = v[2]
	})
	last := make(map[string]string)
	payerFile := func(name string) []string {
		return []string{dir, "holders", holders[payer].name, "omop", name + ".csv"}
	}
	each(t, payerFile("observation_period"), []string{"person_id", "observation_period_end_date"}, func(v []string) { last[person["assurance/"+v[0]]] = v[1] })

	first := [2]map[string]string{{}, {}}
	each(t, payerFile("drug_exposure"), []string{"person_id", "drug_concept_id", "drug_exposure_start_date"}, func(v []string) {
		concept, _ := strconv.Atoi(v[1])
		i := slices.IndexFunc([]int{ConceptDrugA, ConceptDrugB}, func(c int) bool { return concept == c+1 || concept == c+2 })
		if i < 0 {
			return
		}
		if p := person["assurance/"+v[0]]; first[i][p] == "" || v[2] < first[i][p] {
			first[i][p] = v[2]
		}
	})
	bleeds := make(map[string][]string)
	for _, h := range holders[:payer] {
		each(t, []string{dir, "holders", h.name, "omop", "condition_occurrence.csv"}, []string{"person_id", "condition_concept_id", "condition_start_date"}, func(v []string) {
			if concept, _ := strconv.Atoi(v[1]); concept >= conceptBleedFirst && concept < conceptBleedFirst+3 {
				p := person[h.name+"/"+v[0]]
				bleeds[p] = append(bleeds[p], v[2])
			}
		})
	}
	arms := [2]Arm{{Drug: "A"}, {Drug: "B"}}
	for i := range first {
		for p, start := range first[i] {
			if _, both := first[1-i][p]; both {
				t.Fatal("a person takes both drugs")
			}
			from := dayOf(t, start)
			end := min(from+riskDays, dayOf(t, last[p]))
			stop, bled := end, false
			for _, b := range bleeds[p] {
				if d := dayOf(t, b); d <= from {
					t.Fatal("a person bled before the first dispensing")
				} else if d <= stop {
					stop, bled = d, true
				}
			}
			arms[i].Starters++
			arms[i].RecordedBleeds += one(bled)
			arms[i].RecordedPersonDays += int64(stop - from)
		}
	}
	return arms
}

// each calls f with the named columns of every row of a file.
func each(t *testing.T, path, names []string, f func(values []string)) {
	t.Helper()
	var at []int
	values := make([]string, len(names))
	eachRow(t, filepath.Join(path...), func(columns, row []string) {
		if at == nil {
			for _, c := range names {
				at = append(at, slices.Index(columns, c))
			}
		}
		for i, k := range at {
			values[i] = row[k]
		}
		f(values)
	})
}

func dayOf(t *testing.T, text string) day {
	t.Helper()
	var y, m, d int
	if _, err := fmt.Sscanf(text, "%d-%d-%d", &y, &m, &d); err != nil {
		t.Fatal(err)
	}
	return date(y, m, d)
}
