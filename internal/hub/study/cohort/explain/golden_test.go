package explain_test

import (
	"encoding/json"
	"flag"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/cohort/explain"
	"github.com/havre-hub/havre/internal/hub/study/cohort/short"
	"github.com/havre-hub/havre/internal/realinput"
)

var rewrite = flag.Bool("rewrite", false, "write the explanations of testdata anew, for a human to read")

// TestGolden compares the explanations of definitions of five usual shapes with
// those that people have read and found good.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) != 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		expanded, err := short.Expand(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		d, err := circe.Parse(expanded)
		if err != nil {
			t.Fatal(err)
		}
		for _, language := range explain.Languages {
			golden := strings.TrimSuffix(file, ".yaml") + "." + language + ".md"
			got, err := explain.Text(d, d.Title, language)
			if err != nil {
				t.Fatal(err)
			}
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(golden); err != nil || string(want) != got {
				t.Errorf("%s: %v, got\n%s", golden, err, got)
			}
		}
	}
}

// TestLanguages: another language is a usage error.
func TestLanguages(t *testing.T) {
	d, _ := circe.Read([]byte(`{}`))
	if _, err := explain.Text(d, "x", "de"); havre.KindOf(err) != havre.Usage || havre.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

// TestAgainstReference: every number, name and date that OHDSI's own rendering
// shows of its definitions stands in ours too.
func TestAgainstReference(t *testing.T) {
	folder := realinput.Path(t, "cohorts/circe-printfriendly")
	data, err := os.ReadFile(filepath.Join(folder, "expected-text.json"))
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`[0-9]+(\.[0-9]+)?|'[^']+'|"[^"]+"`)
	compared := 0
	for file, reference := range texts {
		data, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		d, problems := circe.Read(data)
		if len(problems) > 0 {
			continue // refused; package circe's tests say why
		}
		compared++
		ours, err := explain.Text(d, "", "en")
		if err != nil {
			t.Fatal(err)
		}
		ours = strings.ToLower(strings.ReplaceAll(ours, " one ", " 1 "))
		var missing []string
		for _, line := range strings.Split(reference, "\n") {
			line = regexp.MustCompile(`^\s*[0-9]+\.\s`).ReplaceAllString(line, "") // its numbering is not ours
			for _, w := range words.FindAllString(strings.ReplaceAll(html.UnescapeString(line), "person's", "person"), -1) {
				w = strings.ToLower(strings.Trim(w, `'"`))
				if w != "0" && !strings.Contains(ours, w) && !slices.Contains(missing, w) {
					missing = append(missing, w)
				}
			}
		}
		if len(missing) > 0 {
			t.Errorf("%s lacks %q", file, missing)
		}
	}
	if compared < 15 {
		t.Errorf("only %d compared", compared)
	}
}
