package cohort

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/realinput"
)

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestReferenceCases runs the reference implementation's own test cases: small
// populations with the rows they must give.
func TestReferenceCases(t *testing.T) {
	root := realinput.Path(t, "cohorts/circe-cohortgeneration")
	var list struct {
		Cases []struct {
			Case    string
			Load    []string
			Verify  string
			Cohorts []struct {
				ID         int64 `json:"cohort_definition_id"`
				Expression string
			}
		}
	}
	readJSON(t, filepath.Join(root, "cases.json"), &list)
	done := 0
	for _, c := range list.Cases {
		tables := loadCase(t, root, c.Load)
		want := map[int64][]row{}
		var verify map[string][]map[string]any
		readJSON(t, filepath.Join(root, c.Verify), &verify)
		for name, rows := range verify {
			if !strings.HasSuffix(name, ".cohort") {
				continue
			}
			for _, r := range rows {
				id := int64(r["cohort_definition_id"].(float64))
				want[id] = append(want[id], row{int64(r["subject_id"].(float64)),
					int32(dayOf(r["cohort_start_date"].(string))), int32(dayOf(r["cohort_end_date"].(string)))})
			}
		}
		for _, x := range c.Cohorts {
			b, err := os.ReadFile(filepath.Join(root, x.Expression))
			if err != nil {
				t.Fatal(err)
			}
			d, err := Parse(b)
			if err != nil {
				t.Errorf("%s: %v", x.Expression, err)
				continue
			}
			done++
			plan, err := Compile(context.Background(), studytest.NewVocabulary(tables), []*Definition{d}, false)
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(want[x.ID], compareRows)
			if got := rowsOf(t, plan, studytest.New(2, tables))[0]; !slices.Equal(got, want[x.ID]) {
				t.Errorf("%s: %v, want %v", x.Expression, got, want[x.ID])
			}
		}
	}
	if done < 38 {
		t.Errorf("only %d definitions of the cases were run", done)
	}
}

func loadCase(t testing.TB, root string, names []string) map[string]studytest.Table {
	t.Helper()
	tables := map[string]studytest.Table{}
	for _, name := range names {
		var sets map[string][]map[string]any
		readJSON(t, filepath.Join(root, name), &sets)
		for name, rows := range sets {
			_, table, _ := strings.Cut(strings.ToLower(name), ".")
			spec, ok := omop.Lookup(table)
			if !ok {
				t.Fatalf("no table %s", table)
			}
			b := newBuilder()
			for _, r := range rows {
				for _, f := range spec.Fields {
					v := r[f.Name]
					switch f.Type {
					case omop.Integer:
						n, ok := v.(float64)
						b.int(f.Name, int64(n), ok)
					case omop.Date:
						s, ok := v.(string)
						if !ok {
							s = "2000-01-01"
						}
						b.day(f.Name, dayOf(s), ok)
					case omop.Text:
						s, ok := v.(string)
						b.text(f.Name, s, ok)
					}
				}
			}
			tables[table] = b.Table
		}
	}
	return tables
}
