package study

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/realinput"
)

// TestReferencePage: the reference pages name every kind of analysis with its
// keys, every dimension, and every criterion with its attributes.
func TestReferencePage(t *testing.T) {
	var b []byte
	for _, page := range []string{"study.md", "cohort.md"} {
		text, err := os.ReadFile(filepath.Join(realinput.Root(t), "docs", "reference", page))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, text...)
	}
	lines := strings.Split(string(b), "\n")
	demand := func(first string, words []string) {
		t.Helper()
		for _, line := range lines {
			if !strings.HasPrefix(line, "| `"+first+"` |") {
				continue
			}
			for _, w := range words {
				if !strings.Contains(line, "`"+w+"`") {
					t.Errorf("the line of %s lacks %s", first, w)
				}
			}
			return
		}
		t.Errorf("no line for %s", first)
	}
	for _, k := range Kinds() {
		demand(string(k), kinds[k].keys)
	}
	for criterion, attributes := range cohort.Supported() {
		demand(criterion, attributes)
	}
	for _, d := range Dimensions() {
		if !strings.Contains(string(b), "`"+d+"`") {
			t.Errorf("the page lacks %s", d)
		}
	}
}
