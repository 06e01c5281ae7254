package demo

import (
	"bytes"
	"context"
	"encoding/csv"
	"flag"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/realinput"
)

// TestMain lets the test binary be the demo itself, to be killed.
func TestMain(m *testing.M) {
	if out := os.Getenv("HAVRE_TEST_DEMO"); out != "" {
		if _, err := Run(context.Background(), Options{Out: out, Residents: 1500, Seed: 7, Progress: havre.NoProgress}); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Demos of few rows mostly wait for the log's checkpoints, not for a core.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// health are words that stand in every plaintext of health data: its columns.
// (The magic of Parquet is too short to look for anywhere but at the ends: four
// bytes turn up in ciphertext by chance.)
var health = []string{"condition_concept_id", "drug_exposure_start_date", "person_source_value", "visit_occurrence_id"}

func TestDemoSynthetic(t *testing.T) {
	out := filepath.Join(t.TempDir(), "demo")
	s, err := Run(context.Background(), Options{Out: out, Residents: 4000, Seed: 1, Stores: Servers, Progress: havre.NoProgress})
	if err != nil {
		t.Fatal(err)
	}
	if m := s.Move; m == nil || !m.Drilled || !m.RootsEqual || m.OldCopyReadable || !m.ReportVerified || m.Objects < 1000 ||
		!strings.HasPrefix(m.From, "azblob:") || !strings.HasPrefix(m.To, "s3:") {
		t.Errorf("move %+v", m)
	}
	if err := s.Rows.balanced(); err != nil || s.Rows.Stored == 0 || len(s.Rows.Rejected) == 0 {
		t.Errorf("rows %+v: %v", s.Rows, err)
	}
	if s.Quality.Of("drug_exposure", "outside_observation") == 0 || s.Quality.Of("drug_exposure", "no_person") != 0 || !s.Quality.Vocabulary {
		t.Errorf("quality %+v", s.Quality)
	}
	if s.Linkage == nil || s.Linkage.Precision < 0.999 || s.Linkage.Recall < 0.85 {
		t.Errorf("linkage %+v", s.Linkage)
	}
	if s.Effect == nil || s.Effect.Low >= s.Effect.High || s.Effect.True != 2 {
		t.Errorf("effect %+v", s.Effect)
	}
	if !s.Log.Verified || !s.SuspendedRunRefused || !s.TamperFound || len(s.Releases) != 1 || s.Releases[0].Suppressed == 0 {
		t.Errorf("log %+v, suspended run refused %v, tamper found %v, releases %+v", s.Log, s.SuspendedRunRefused, s.TamperFound, s.Releases)
	}
	if _, err := os.Stat(filepath.Join(out, "transit")); err == nil {
		t.Error("what was on the way, with its transport ids, is still there")
	}
	scan(t, out, names(t, out))
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "src=\"http", "href=\"http", "@import"} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("the report holds %q", bad)
		}
	}
	for name, want := range map[string][2]string{ // what the pages of before and after say, and what they do not
		"posture-before.en.html": {"there by derogation dg-0001", "every layer of A sovereign host"},
		"posture-before.fr.html": {"présent par dérogation dg-0001", "every layer"},
		"posture-after.en.html":  {"every layer of A sovereign host", "Probe no-telemetry"}, // nothing holds on to the place that was left
		"posture-after.fr.html":  {"chaque couche de A sovereign host", "Sonde no-telemetry"},
	} {
		page, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(page, []byte(want[0])) || bytes.Contains(page, []byte(want[1])) {
			t.Errorf("%s does not say %q, or says %q", name, want[0], want[1])
		}
	}
	if _, err := Run(context.Background(), Options{Out: out, Residents: 10, Seed: 1, Progress: havre.NoProgress}); havre.KindOf(err) != havre.Exists {
		t.Errorf("the folder was used twice: %v", err)
	}
}

// TestDemoOnRealInput: CDMs made by others go the same way, and every row is
// stored or counted.
func TestDemoOnRealInput(t *testing.T) {
	for path, least := range map[string]int64{"omop/gibleed": 270_000, "omop/gibleed-csv": 270_000, "cohorts/dense-cdm": 300_000} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "demo")
			s, err := Run(context.Background(), Options{Out: out, From: realinput.Path(t, path), Progress: havre.NoProgress})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Rows.balanced(); err != nil || s.Rows.In < least {
				t.Errorf("rows %+v: %v", s.Rows, err)
			}
			if lost := s.Quality.Of("condition_occurrence", "no_such_visit"); strings.Contains(path, "gibleed") && lost != 64_717 {
				t.Errorf("%d conditions point at absent visits, its makers say 64,717", lost)
			}
			if s.Effect != nil || s.Linkage != nil {
				t.Error("there is no truth to compare with")
			}
			if !s.Log.Verified || !s.SuspendedRunRefused || !s.TamperFound || len(s.Releases) != 1 {
				t.Errorf("%+v", s)
			}
			scan(t, out, nil)
		})
	}
}

// TestDemoOnFewPersons: nothing about a handful of people may leave, and the
// rest of the journey goes on.
func TestDemoOnFewPersons(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"PERSON.csv":                 "PERSON_ID,GENDER_CONCEPT_ID,YEAR_OF_BIRTH,RACE_CONCEPT_ID,ETHNICITY_CONCEPT_ID\n-7,8507,1950,0,0\n9223372036854775807,8532,1980,0,0\n",
		"sub/Observation_Period.csv": "observation_period_id,person_id,observation_period_start_date,observation_period_end_date,period_type_concept_id\n1,-7,2010-01-01,2120-12-31,0\n2,9223372036854775807,2011-02-28,2012-02-29,0\n",
		"condition_occurrence.csv":   "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_type_concept_id\n1,-7,201826,2011-02-31,0\n2,-7,201826,1600-01-01,0\n-3,-7,201826,2011-03-01,0\n4,-7,201826\n",
		"__MACOSX/._PERSON.csv":      "junk",
		"README.txt":                 "not a table",
	} {
		path := filepath.Join(dir, "cdm", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Run(context.Background(), Options{Out: filepath.Join(dir, "demo"), From: filepath.Join(dir, "cdm"), Progress: havre.NoProgress})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"bad_date:condition_start_date": 1, "missing_date:condition_start_date": 1, "malformed:column_count": 1}
	if err := s.Rows.balanced(); err != nil || s.Rows.In != 8 || s.Rows.Stored != 5 || !maps.Equal(s.Rows.Rejected, want) {
		t.Errorf("rows %+v: %v", s.Rows, err)
	}
	if len(s.Releases) != 0 || len(s.Warnings) == 0 || !s.Log.Verified || !s.SuspendedRunRefused {
		t.Errorf("%+v", s)
	}
}

// TestKilledAnywhere kills the demo at random instants and looks into every
// file it wrote, temporary folders included: no plaintext of health or
// identity, and what was committed is whole.
func TestKilledAnywhere(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		dir := t.TempDir()
		out, tmp := filepath.Join(dir, "demo"), filepath.Join(dir, "tmp")
		if err := os.Mkdir(tmp, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe)
		cmd.Dir = tmp
		cmd.Env = append(os.Environ(), "HAVRE_TEST_DEMO="+out, "TMPDIR="+tmp)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(out, "keeper")); err == nil {
				break // before it there is the holders' own data alone
			}
			if time.Now().After(deadline) {
				t.Fatal("the demo does not get on")
			}
		}
		time.Sleep(time.Duration(rand.IntN(4500)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		scan(t, dir, names(t, out))
		if _, err := os.Stat(filepath.Join(out, "hub", "card.json")); err != nil {
			continue // killed before the hub was made
		}
		hub, err := app.OpenHub(context.Background(), filepath.Join(out, "hub"))
		if err != nil {
			t.Fatalf("round %d: the hub does not open again: %v", round, err)
		}
		r, err := hub.Warehouse.Fsck(context.Background(), warehouse.FsckOptions{}, havre.NoProgress)
		if err != nil || len(r.Faults) > 0 {
			t.Errorf("round %d: fsck: %v, %+v", round, err, r.Faults)
		}
		if rep, err := hub.Log.Verify(context.Background(), havre.NoProgress); err != nil || !rep.OK() {
			t.Errorf("round %d: the log does not verify: %v", round, err)
		}
		if err := hub.Close(); err != nil {
			t.Error(err)
		}
	}
}

// names gives birth names of the synthetic population, long enough not to turn
// up by chance.
func names(t *testing.T, out string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(out, "holders", "assurance", "identity.csv"))
	if err != nil {
		return nil
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	rows, _ := r.ReadAll() // a killed process may leave half a line
	seen := map[string]bool{}
	var all []string
	for _, row := range rows {
		if len(row) > 1 && len(row[1]) >= 7 && row[1] != "birth_name" && !seen[row[1]] && len(all) < 500 {
			seen[row[1]] = true
			all = append(all, row[1])
		}
	}
	return all
}

// scan looks for plaintext in every file below dir, but for what is in clear on
// purpose: the holders' own files, the truth, the study. What left may hold
// names of columns, and so may the permits that list them.
func scan(t *testing.T, dir string, names []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, dir))
		if d.IsDir() {
			if base := d.Name(); base == "truth" || base == "study" || base == "omop" {
				return fs.SkipDir
			}
			return nil
		}
		if d.Name() == "identity.csv" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if bytes.HasPrefix(b, []byte("PAR1")) || bytes.HasSuffix(b, []byte("PAR1")) {
			t.Errorf("%s is Parquet in clear", rel)
		}
		words := names
		if strings.Contains(rel, "/store/") || strings.Contains(rel, "/tmp/") || strings.Contains(rel, "/transit/") || strings.Contains(rel, "/keeper/") {
			words = append(append([]string(nil), names...), health...)
		}
		for _, w := range words {
			if bytes.Contains(b, []byte(w)) && !(filepath.Base(path) == "manifest.json" && !contains(names, w)) {
				t.Errorf("%s holds %q in clear", rel, w)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Error("there was nothing to scan")
	}
}

func contains(all []string, w string) bool {
	for _, a := range all {
		if a == w {
			return true
		}
	}
	return false
}
