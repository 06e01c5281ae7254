package synth

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/realinput"
)

// The population that most tests look at: 5,000 residents, seed 1.
var (
	sharedOnce sync.Once
	sharedDir  string
	sharedSum  Summary
	sharedErr  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(sharedDir)
	os.Exit(code)
}

func population(t *testing.T) (string, Summary) {
	t.Helper()
	sharedOnce.Do(func() {
		if sharedDir, sharedErr = os.MkdirTemp("", "havre-synth-test-"); sharedErr == nil {
			sharedSum, sharedErr = Generate(context.Background(), Options{Residents: 5000, Seed: 1, Out: sharedDir})
		}
	})
	if sharedErr != nil {
		t.Fatal(sharedErr)
	}
	return sharedDir, sharedSum
}

// eachRow reads a file with the standard library's strict reader, which also
// checks that every line has as many fields as the header, and counts the rows.
func eachRow(t *testing.T, path string, f func(columns, row []string)) (n int64) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	columns, err := r.Read()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	r.ReuseRecord = true
	for ; ; n++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		f(columns, row)
	}
}

// readCSV reads a small file whole.
func readCSV(t *testing.T, path ...string) (rows []map[string]string) {
	t.Helper()
	eachRow(t, filepath.Join(path...), func(columns, row []string) {
		m := make(map[string]string, len(row))
		for i, column := range columns {
			m[column] = row[i]
		}
		rows = append(rows, m)
	})
	return rows
}

// digest hashes every file under dir with its name.
func digest(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		sum := sha256.Sum256(b)
		name, _ := filepath.Rel(dir, path)
		sums[name] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// TestSameSeedSameBytes also fixes the bytes themselves: a change to them is a
// change of the format of populations, made on purpose.
func TestSameSeedSameBytes(t *testing.T) {
	generate := func(seed uint64, processors int) map[string]string {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		dir := filepath.Join(t.TempDir(), "out")
		if _, err := Generate(t.Context(), Options{Residents: 1500, Seed: seed, Out: dir}); err != nil {
			t.Fatal(err)
		}
		return digest(t, dir)
	}
	one, many, other := generate(5, 1), generate(5, 7), generate(6, 2)
	for name := range one {
		if one[name] != many[name] {
			t.Errorf("%s depends on the number of processors", name)
		}
	}
	for _, name := range []string{"holders/assurance/identity.csv", "holders/chu-nord/omop/measurement.csv", "truth/truth.json"} {
		if one[name] == other[name] {
			t.Errorf("%s is the same for two seeds", name)
		}
	}
	names := make([]string, 0, len(one))
	for name := range one {
		names = append(names, name)
	}
	slices.Sort(names)
	all := sha256.New()
	for _, name := range names {
		all.Write([]byte(name + " " + one[name] + "\n"))
	}
	const want = "f211864593bc3198c52ecb203b88bcd006a3337d09888af6352bcdf7239d0e6c"
	if got := hex.EncodeToString(all.Sum(nil)); got != want {
		t.Errorf("1,500 residents of seed 5 have the digest %s, not %s", got, want)
	}
}

// TestFiles reads every file strictly and checks columns, counts, ids and dates.
func TestFiles(t *testing.T) {
	dir, sum := population(t)
	cdm := fieldsOfCDM(t)
	var total int64
	for h, holder := range holders {
		omop := filepath.Join(dir, "holders", holder.name, "omop")
		known := make(map[string]bool)
		for _, row := range readCSV(t, omop, "person.csv") {
			known[row["person_id"]] = true
		}
		identities := readCSV(t, dir, "holders", holder.name, "identity.csv")
		if len(identities) != len(known) {
			t.Errorf("%s: %d identities, %d persons", holder.name, len(identities), len(known))
		}
		for _, row := range identities {
			if !known[row["person_id"]] {
				t.Fatalf("%s: an identity has no person", holder.name)
			}
		}
		visits := make(map[string]string)
		eachRow(t, filepath.Join(omop, "visit_occurrence.csv"), func(_, row []string) { visits[row[0]] = row[1] })
		orphans, zero, forced := 0, 0, 0
		files, _ := filepath.Glob(filepath.Join(omop, "*.csv"))
		for _, path := range files {
			name := strings.TrimSuffix(filepath.Base(path), ".csv")
			ids := make(map[string]bool)
			main := strings.TrimSuffix(strings.TrimSuffix(name, "_occurrence"), "_exposure") + "_concept_id"
			total += eachRow(t, path, func(columns, row []string) {
				if want, ok := cdm[name]; ok && !slices.Equal(columns, want) {
					t.Fatalf("%s/%s: columns %v, the CDM has %v", holder.name, name, columns, want)
				}
				person, visit, personal := "", "", false
				for i, column := range columns {
					value := row[i]
					switch {
					case column == "person_id":
						person, personal = value, true
					case column == "visit_occurrence_id":
						visit = value
					case column == main && (name == "condition_occurrence" || name == "procedure_occurrence" || name == "measurement" || name == "drug_exposure"):
						zero += int(one(value == "0"))
					case value == placeholder:
						forced += int(one(strings.HasSuffix(column, "start_date") || column == "measurement_date" || column == "procedure_date"))
					case strings.HasSuffix(column, "_date") && value != "" && !strings.HasPrefix(column, "valid_"):
						if value < "2014-01-01" || value > "2024-09-01" {
							t.Fatalf("%s/%s: %s is %s", holder.name, name, column, value)
						}
					}
				}
				if columns[0] == name+"_id" {
					if ids[row[0]] {
						t.Fatalf("%s/%s: %s is given twice", holder.name, name, row[0])
					}
					ids[row[0]] = true
				}
				switch {
				case personal && !known[person]:
					orphans++
				case personal && visit != "" && visits[visit] != person:
					t.Fatalf("%s/%s: a row points at a visit of nobody or of another person", holder.name, name)
				}
			})
		}
		dirty := sum.Truth.Holders[h].Dirty
		if orphans != dirty.Orphan || zero != dirty.Unknown || forced != dirty.Placeholder {
			t.Errorf("%s: %d orphans, %d rows without concept, %d placeholder dates; the truth says %+v", holder.name, orphans, zero, forced, dirty)
		}
	}
	if total != sum.Rows {
		t.Errorf("%d rows are in the files, the summary says %d", total, sum.Rows)
	}
	if perPerson := int(sum.Rows) / sum.Residents; perPerson < 90 || perPerson > 110 {
		t.Errorf("%d rows a person where about %d were asked for", perPerson, DefaultRowsPerPerson)
	}
}

// fieldsOfCDM reads the columns of the CDM 5.4 from its published field list.
func fieldsOfCDM(t *testing.T) map[string][]string {
	t.Helper()
	fields := make(map[string][]string)
	for _, row := range readCSV(t, realinput.Path(t, "omop/ddl"), "OMOP_CDMv5.4_Field_Level.csv") {
		table := strings.ToLower(row["cdmTableName"])
		fields[table] = append(fields[table], strings.ToLower(row["cdmFieldName"]))
	}
	return fields
}

// TestConcepts checks that every concept that a row names is in the vocabulary,
// and that the exported ones are what their names say.
func TestConcepts(t *testing.T) {
	dir, _ := population(t)
	names := make(map[string]string)
	for _, row := range readCSV(t, dir, "holders", "assurance", "omop", "concept.csv") {
		if names[row["concept_id"]] != "" {
			t.Errorf("concept %s is there twice", row["concept_id"])
		}
		names[row["concept_id"]] = row["concept_name"]
	}
	for id, want := range map[int64]string{ConceptDrugA: "Drug A", ConceptDrugB: "Drug B", ConceptGIBleeding: "Gastrointestinal bleeding",
		conceptBleedFirst: "Bleeding gastric ulcer", conceptBleedFirst + 2: "Bleeding of the colon", conceptDrugAFirst: "Drug A 10 mg oral tablet",
		conceptDrugBFirst + 1: "Drug B 100 mg oral tablet", conceptEndoscopy: "Endoscopy of the stomach", conceptHaemoglobin: "Haemoglobin"} {
		if got := names[strconv.FormatInt(id, 10)]; got != want {
			t.Errorf("concept %d is %q, not %q", id, got, want)
		}
	}
	for _, id := range append(slices.Clone(theVocabulary().chronic), theVocabulary().deaths...) {
		if id == 0 {
			t.Error("a chronic illness or cause of death has no concept")
		}
	}
	below := make(map[string]map[string]bool)
	for _, row := range readCSV(t, dir, "holders", "assurance", "omop", "concept_ancestor.csv") {
		if below[row["ancestor_concept_id"]] == nil {
			below[row["ancestor_concept_id"]] = make(map[string]bool)
		}
		below[row["ancestor_concept_id"]][row["descendant_concept_id"]] = true
	}
	for id, want := range map[int64]int{ConceptGIBleeding: 4, ConceptDrugA: 3, ConceptDrugB: 3} {
		if got := len(below[strconv.FormatInt(id, 10)]); got != want {
			t.Errorf("concept %d has %d descendants with itself, not %d", id, got, want)
		}
	}
	for _, h := range holders {
		files, _ := filepath.Glob(filepath.Join(dir, "holders", h.name, "omop", "*.csv"))
		for _, path := range files {
			eachRow(t, path, func(columns, row []string) {
				for i, column := range columns {
					if (strings.HasSuffix(column, "concept_id") || strings.HasPrefix(column, "concept_id_")) && row[i] != "" && names[row[i]] == "" {
						t.Fatalf("%s: %s %s is not in the vocabulary", filepath.Base(path), column, row[i])
					}
				}
			})
		}
	}
}

func TestTruthFile(t *testing.T) {
	dir, sum := population(t)
	var read Truth
	d := json.NewDecoder(strings.NewReader(string(readFile(t, dir, "truth", "truth.json"))))
	d.DisallowUnknownFields()
	if err := d.Decode(&read); err != nil {
		t.Fatal(err)
	}
	if read.Seed != 1 || read.Residents != 5000 || read.Effect.Arms != sum.Truth.Effect.Arms || read.Linkage != sum.Truth.Linkage {
		t.Errorf("truth.json says %+v", read)
	}
	var persons int64
	for _, h := range read.Holders {
		persons += h.Persons
	}
	if l := read.Linkage; l.AtOne+l.AtTwo+l.AtThree != 5000 || l.AtOne+2*l.AtTwo+3*l.AtThree != persons || l.AtTwo+3*l.AtThree != l.Pairs {
		t.Errorf("the counts of linkage do not add up: %+v, %d records", l, persons)
	}
}

func TestRefusals(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine.txt"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		opts Options
		want havre.Kind
	}{
		"folder not empty": {t.Context(), Options{Residents: 10, Out: full}, havre.Exists},
		"folder is a file": {t.Context(), Options{Residents: 10, Out: filepath.Join(full, "mine.txt")}, havre.Invalid},
		"nobody":           {t.Context(), Options{Out: filepath.Join(full, "a")}, havre.Usage},
		"too many":         {t.Context(), Options{Residents: MaxResidents + 1, Out: filepath.Join(full, "b")}, havre.Usage},
		"too many rows":    {t.Context(), Options{Residents: 10, RowsPerPerson: 5000, Out: filepath.Join(full, "c")}, havre.Usage},
		"no folder":        {t.Context(), Options{Residents: 10}, havre.Usage},
		"cancelled":        {cancelled, Options{Residents: 3000, Out: filepath.Join(full, "d")}, havre.Cancelled},
	} {
		if _, err := Generate(c.ctx, c.opts); havre.KindOf(err) != c.want {
			t.Errorf("%s: %v is of kind %q, not %q", name, err, havre.KindOf(err), c.want)
		}
	}
	left, err := os.ReadDir(full)
	if err != nil || len(left) != 1 {
		t.Errorf("refused runs left %v behind (%v)", left, err)
	}
	if err := os.Mkdir(filepath.Join(full, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Generate(t.Context(), Options{Residents: 1, Out: filepath.Join(full, "empty")}); err != nil {
		t.Errorf("one resident in an empty folder: %v", err)
	}
}

// TestMemoryDoesNotGrow makes 30,000 residents under a memory limit far below
// the size of their files, and looks at the memory in use all along.
func TestMemoryDoesNotGrow(t *testing.T) {
	before := debug.SetMemoryLimit(48 << 20)
	defer debug.SetMemoryLimit(before)
	p := &peak{}
	sum, err := Generate(t.Context(), Options{Residents: 30_000, Seed: 3, Out: filepath.Join(t.TempDir(), "out"), Progress: p})
	if err != nil {
		t.Fatal(err)
	}
	if p.heap > 64<<20 || sum.Bytes < 4*64<<20 {
		t.Errorf("%d MiB of heap for %d MiB of files", p.heap>>20, sum.Bytes>>20)
	}
	if p.n != 30_000 || !p.done {
		t.Errorf("progress counted %d residents, done: %v", p.n, p.done)
	}
}

// peak is a Progress that watches the heap.
type peak struct {
	heap uint64
	n    int64
	done bool
}

func (p *peak) Step(string, int64, string) havre.Counter { return p }
func (p *peak) Done()                                    { p.done = true }
func (p *peak) Add(n int64) {
	if p.n += n; p.n%2000 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		p.heap = max(p.heap, m.HeapAlloc)
	}
}

// TestFullDisk lets one file of a population run into a full disk.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	f, err := newFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0) // Linux: every write fails with ENOSPC
	if err != nil {
		t.Fatal(err)
	}
	o := f.files[payer][drugExposure]
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	o.f, o.w = full, bufio.NewWriter(full)
	g := newGenerator(Options{Residents: 300, RowsPerPerson: DefaultRowsPerPerson})
	_, err = g.run(t.Context(), f, 300, havre.NoProgress.Step("", 0, ""))
	if havre.KindOf(err) != havre.NoSpace || havre.HintOf(err) == "" {
		t.Errorf("a full disk gives %v", err)
	}
	f.discard()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
