package identity

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

func file(t testing.TB, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "identity.csv")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func people(t testing.TB, path string) (columns, ignored, lines []string, err error) {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		return nil, nil, nil, err
	}
	for p, err := range f.People(context.Background()) {
		if err != nil {
			return nil, nil, nil, err
		}
		lines = append(lines, fmt.Sprintf("%d %s %q", p.Line, p.ID, p.Values))
	}
	return f.Columns, f.Ignored, lines, nil
}

func TestPeople(t *testing.T) {
	want := []string{`2 7 ["DUPOND" "Zoé" "F"]`, `3 -8 ["O'NEIL" "" ""]`}
	for name, text := range map[string]string{
		"commas":       "PERSON_ID,sex,birth_name,email, Given_Names \n7,F,DUPOND,a@example.org,Zoé\n-8,,O'NEIL,,\n",
		"semicolons":   "birth_name;given_names;sex;person_id;email\r\n\" DUPOND \";Zoé;F;7.0;x\r\nO'NEIL;;;-8;\r\n",
		"Windows-1252": "person_id\tbirth_name\tgiven_names\tsex\temail\n7\tDUPOND\tZo\xe9\tF\tx\n-8\tO'NEIL\t\t\t\n",
	} {
		columns, ignored, lines, err := people(t, file(t, text))
		if err != nil || !slices.Equal(columns, []string{"birth_name", "given_names", "sex"}) || !slices.Equal(ignored, []string{"email"}) || !slices.Equal(lines, want) {
			t.Errorf("%s: columns %q, ignored %q, lines %q, error %v", name, columns, ignored, lines, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct{ text, say string }{
		"no id":     {"birth_name,sex\nDUPOND,F\n", "person_id"},
		"no traits": {"person_id,colour\n7,red\n", "identity traits"},
		"empty":     {"", "person_id"},
		"short":     {"person_id,birth_name\n7,DUPOND\n8\n", "line 3"},
		"quote":     {"person_id,birth_name\n7,\"DUPOND\n", "line 2"},
		"encoding":  {"person_id,birth_name\n7,DUP\x81OND\n", "line 2"},
	} {
		_, _, _, err := people(t, file(t, tc.text))
		if havre.KindOf(err) != havre.Invalid || havre.HintOf(err) == "" || !strings.Contains(err.Error(), tc.say) || strings.Contains(err.Error(), "DUPOND") {
			t.Errorf("%s: %v (hint %q)", name, err, havre.HintOf(err))
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "gone.csv")); havre.KindOf(err) != havre.NotFound {
		t.Errorf("an absent file gives %v", err)
	}
}

func FuzzPeople(f *testing.F) {
	f.Add("person_id,birth_name\n7,DUPOND\n")
	f.Add("person_id;nir\n\"7\n\";1\n")
	f.Fuzz(func(t *testing.T, text string) {
		columns, _, lines, err := people(t, file(t, text))
		if err != nil && havre.KindOf(err) != havre.Invalid {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && len(lines) > 0 && len(columns) == 0 {
			t.Errorf("%q: people without traits", text)
		}
	})
}
