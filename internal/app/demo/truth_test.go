package demo

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

func TestScore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "persons.csv")
	// Two true persons: one with three records, one with two. True pairs: 3 + 1.
	text := "person,holder,person_id\n1,a,1\n1,b,1\n1,c,1\n2,a,2\n2,b,2\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		filed     map[string]int64
		precision float64
		recall    float64
	}{
		"perfect":            {map[string]int64{"a1": 1, "b1": 1, "c1": 1, "a2": 2, "b2": 2}, 1, 1},
		"one record astray":  {map[string]int64{"a1": 1, "b1": 1, "c1": 3, "a2": 2, "b2": 2}, 1, 0.5},
		"two persons as one": {map[string]int64{"a1": 1, "b1": 1, "c1": 1, "a2": 1, "b2": 1}, 0.4, 1},
	} {
		got, err := score(path, func(h havre.HolderID, s string) (int64, bool) { n, ok := tc.filed[string(h)+s]; return n, ok })
		if err != nil || got.Precision != tc.precision || got.Recall != tc.recall {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := score(path, func(havre.HolderID, string) (int64, bool) { return 0, false }); err == nil {
		t.Error("a record that nobody filed was not noticed")
	}
}
