package synth

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

// TestPersons looks at the true traits of 100,000 residents.
func TestPersons(t *testing.T) {
	const residents = 100_000
	r := newRegister(residents, 11)
	numbers := make(map[string]int, residents)
	families := make(map[string]int)
	long, twins, corsica := 0, 0, map[string]int{}
	var before person
	for i := range residents {
		p := r.person(i)
		n, ok := havre.ParseNIR(p.nir)
		year, month := n.YearMonth()
		if !ok || !n.Certified() || n.Sex() != sexCodes[p.sex] || year != p.year%100 || month != r.cal.month(p.born) || n.BirthPlace() != p.birthPlace {
			t.Fatalf("the number of person %d does not fit the traits", i)
		}
		if other, taken := numbers[p.nir]; taken {
			t.Fatalf("persons %d and %d have one number", i, other)
		}
		numbers[p.nir] = i
		families[p.birthName]++
		if len(p.birthName) >= 7 {
			long++
		}
		if p.birthName != strings.ToUpper(p.birthName) || len(p.birthName) < 3 || strings.Trim(p.birthName, "ABCDEFGHIJKLMNOPQRSTUVWXYZ '-") != "" {
			t.Fatalf("the birth name %q is not written as the INS does", p.birthName)
		}
		switch p.birthPlace[:2] {
		case "20", "2A", "2B":
			corsica[p.birthPlace[:2]]++
			if (p.birthPlace[:2] == "20") != (p.year < 1976) {
				t.Fatalf("person %d was born in %d at %s", i, p.year, p.birthPlace)
			}
		}
		if p.twin && i%2 == 1 && p.sex == before.sex {
			twins++
			a, b := order(n), order(parse(t, before.nir))
			if p.birthName != before.birthName || p.born != before.born || p.birthPlace != before.birthPlace || p.home != before.home ||
				a-b != 1 && b-a != 1 && a-b != 998 && b-a != 998 {
				t.Fatalf("persons %d and %d are no twins: orders %d, %d", i-1, i, b, a)
			}
			for _, g := range p.givenNames {
				if slices.Contains(before.givenNames, g) {
					t.Fatalf("the twins %d and %d share a given name", i-1, i)
				}
			}
		}
		before = p
	}
	if len(families) < 20_000 || long < residents/2 || twins < 300 {
		t.Errorf("%d family names, %d persons with one of 7 letters or more, %d pairs of twins of one sex", len(families), long, twins)
	}
	for _, d := range []string{"20", "2A", "2B"} {
		if corsica[d] < 50 {
			t.Errorf("%d persons were born in department %s", corsica[d], d)
		}
	}
	most := 0
	for _, n := range families {
		most = max(most, n)
	}
	if most > residents/50 || most < residents/1000 {
		t.Errorf("the most frequent name has %d of %d persons", most, residents)
	}
}

func parse(t *testing.T, s string) havre.NIR {
	t.Helper()
	n, ok := havre.ParseNIR(s)
	if !ok {
		t.Fatal("a number does not parse")
	}
	return n
}

func order(n havre.NIR) int {
	s := n.Reveal()[10:13]
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}

// TestNamesAreNotWords makes sure that whoever searches output for birth names
// does not find words of the programs: no name of 7 letters or more is a word
// that stands in upper case in this repository's source.
func TestNamesAreNotWords(t *testing.T) {
	words := make(map[string]string)
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || path == filepath.Join(root, "internal", "synth")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".sql") {
			return nil
		}
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		for word := range strings.FieldsFuncSeq(string(b), func(c rune) bool { return c < 'A' || c > 'Z' }) {
			if len(word) >= 7 {
				words[word] = path
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n := newNames()
	for _, list := range [][]string{n.french, n.other, n.rare} {
		for _, name := range list {
			if path, ok := words[name]; ok {
				t.Errorf("%s is a family name here and a word in %s", name, path)
			}
		}
	}
}

// TestNamesAreNotValues makes sure that no birth name is a whole value of the
// health files, which a holder's guard would take for a person's name.
func TestNamesAreNotValues(t *testing.T) {
	dir, _ := population(t)
	values := make(map[string]string)
	files, _ := filepath.Glob(filepath.Join(dir, "holders", "*", "omop", "*.csv"))
	for _, path := range files {
		eachRow(t, path, func(columns, row []string) {
			for i, v := range row {
				if len(v) >= 3 && (v[0] > '9') && columns[i] != "provider_name" {
					values[strings.ToUpper(v)] = columns[i]
				}
			}
		})
	}
	n := newNames()
	for _, list := range [][]string{n.french, n.other, n.rare} {
		for _, name := range list {
			if column, ok := values[name]; ok {
				t.Errorf("%s is a family name and a value of %s", name, column)
			}
		}
	}
	if len(values) < 100 {
		t.Errorf("only %d texts were found", len(values))
	}
}

// TestExponential holds the sampler against the exponential distribution: its
// mean, and the shares below 1/4, 1, 2 and 4.
func TestExponential(t *testing.T) {
	var s stream
	s.start(1, forLife, 1)
	const draws = 400_000
	limits := [4]uint64{1 << (expBits - 2), 1 << expBits, 2 << expBits, 4 << expBits}
	want := [4]int{88480, 252848, 345866, 392674} // draws x (1 - exp(-x))
	var got [4]int
	var sum uint64
	for range draws {
		e := s.exponential()
		sum += e
		for i, limit := range limits {
			if e < limit {
				got[i]++
			}
		}
	}
	if mean := sum / draws; mean < 995<<expBits/1000 || mean > 1005<<expBits/1000 {
		t.Errorf("the mean is %d/2^24", mean)
	}
	for i := range got {
		if d := got[i] - want[i]; d < -1300 || d > 1300 { // four standard deviations
			t.Errorf("%d draws are below %d/2^24, %d were expected", got[i], limits[i], want[i])
		}
	}
}
