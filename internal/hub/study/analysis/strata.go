package analysis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

// Categories that stand for what is not known, or for nobody at all.
const (
	unknown = "unknown"
	nobody  = "none"
)

// Categories of sex.
const (
	sexFemale = "female"
	sexMale   = "male"
)

// The concepts of sex in OMOP.
const (
	conceptMale   = 8507
	conceptFemale = 8532
)

// strata sorts persons by the dimensions of an analysis. A person is in one
// stratum: that of the first day in the cohort. So the parts of a table add up
// to its totals.
type strata struct {
	by     []string
	bands  []int // lower bounds of the age bands
	totals bool
}

func newStrata(s *study.Spec) strata {
	bands := s.AgeBands
	if len(bands) == 0 {
		for a := 0; a <= 90; a += 10 {
			bands = append(bands, a)
		}
	}
	return strata{by: s.By, bands: bands, totals: !s.NoTotals}
}

// key gives the stratum of a person who enters on a day. Without dimensions
// there is one stratum.
func (s *strata) key(p *cohort.People, person int, day int32) string {
	parts := make([]string, len(s.by))
	for i, by := range s.by {
		switch by {
		case study.BySex:
			parts[i] = sexOf(p.Gender[person])
		case study.ByAgeBand:
			parts[i] = s.ageBand(p.BirthYear[person], day)
		case study.ByAge:
			parts[i] = unknown
			if age, ok := ageOn(p.BirthYear[person], day); ok {
				parts[i] = strconv.Itoa(age)
			}
		case study.ByYear:
			parts[i] = strconv.Itoa(cohort.Year(day))
		case study.ByBirthDecade:
			parts[i] = unknown
			if born := int(p.BirthYear[person]); born != cohort.NoYear {
				parts[i] = decade(floorDiv(born, 10) * 10)
			}
		}
	}
	return strings.Join(parts, keySeparator)
}

func sexOf(concept int64) string {
	switch concept {
	case conceptFemale:
		return sexFemale
	case conceptMale:
		return sexMale
	}
	return unknown
}

// ageOn takes age as Circe does: the year of the day less the year of birth.
func ageOn(born, day int32) (age int, known bool) {
	age = cohort.Year(day) - int(born)
	return age, born != cohort.NoYear && age >= 0
}

func (s *strata) ageBand(born, day int32) string {
	age, known := ageOn(born, day)
	if !known {
		return unknown
	}
	i, exact := slices.BinarySearch(s.bands, age)
	if !exact {
		i--
	}
	return s.bandName(i)
}

func (s *strata) bandName(i int) string {
	if i == len(s.bands)-1 {
		return fmt.Sprintf("%d+", s.bands[i])
	}
	return fmt.Sprintf("%d-%d", s.bands[i], s.bands[i+1]-1)
}

func (s *strata) bandNames() (out []string) {
	for b := range s.bands {
		out = append(out, s.bandName(b))
	}
	return out
}

func decade(year int) string { return fmt.Sprintf("%ds", year) }

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// dimensions lists each dimension with its categories. Those of sex and age
// are fixed; years and decades run from the first to the last that occurs.
func (s *strata) dimensions(t *tally) []study.Dimension {
	out := make([]study.Dimension, len(s.by))
	for i, by := range s.by {
		out[i] = study.Dimension{Name: by, Total: s.totals}
		switch by {
		case study.BySex:
			out[i].Categories = []string{sexFemale, sexMale, unknown}
		case study.ByAgeBand:
			out[i].Categories = append(s.bandNames(), unknown)
		case study.ByYear:
			out[i].Categories = span(t, i, 1, strconv.Itoa)
		case study.ByBirthDecade:
			out[i].Categories = append(span(t, i, 10, decade), unknown)
		}
	}
	return out
}

// span lists every step from the least to the largest number that stands in
// part i of the tally's keys, "none" if there is none.
func span(t *tally, i, step int, name func(int) string) []string {
	first, last, found := 0, 0, false
	for key := range t.cells {
		year, err := strconv.Atoi(strings.TrimSuffix(strings.Split(key, keySeparator)[i], "s"))
		if err != nil {
			continue // unknown
		}
		if !found || year < first {
			first = year
		}
		if !found || year > last {
			last = year
		}
		found = true
	}
	if !found {
		return []string{nobody}
	}
	var out []string
	for year := first; year <= last; year += step {
		out = append(out, name(year))
	}
	return out
}

// cells lists every combination of categories, and with totals every margin,
// in the order of the dimensions, each with the numbers of its strata.
func cells(dims []study.Dimension, t *tally, make func(key []string, n *numbers) study.Cell) []study.Cell {
	margins := newTally(t.sums, t.maxima)
	for key, n := range t.cells {
		parts := strings.Split(key, keySeparator)
		if len(dims) == 0 {
			parts = nil
		}
		spread(dims, parts, nil, func(parts []string) {
			margins.at(strings.Join(parts, keySeparator)).add(n)
		})
	}
	var out []study.Cell
	grid(dims, nil, func(parts []string) {
		out = append(out, make(slices.Clone(parts), margins.at(strings.Join(parts, keySeparator))))
	})
	return out
}

// spread visits every cell that a stratum counts in: itself and its margins.
func spread(dims []study.Dimension, parts, done []string, visit func([]string)) {
	if len(dims) == 0 {
		visit(done)
		return
	}
	spread(dims[1:], parts[1:], append(done, parts[0]), visit)
	if dims[0].Total {
		spread(dims[1:], parts[1:], append(done, study.TotalKey), visit)
	}
}

func grid(dims []study.Dimension, done []string, visit func([]string)) {
	if len(dims) == 0 {
		visit(done)
		return
	}
	for _, c := range dims[0].Categories {
		grid(dims[1:], append(done, c), visit)
	}
	if dims[0].Total {
		grid(dims[1:], append(done, study.TotalKey), visit)
	}
}
