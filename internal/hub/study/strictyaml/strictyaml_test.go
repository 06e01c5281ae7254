package strictyaml

import (
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

// TestTooDeep: what would exhaust the parser's memory is refused before it is
// parsed, and what people write is not.
func TestTooDeep(t *testing.T) {
	var staircase strings.Builder
	for i := range 500 {
		staircase.WriteString(strings.Repeat(" ", i) + "- a:\n")
	}
	for name, text := range map[string]string{"lists": "a: " + strings.Repeat("[", 1<<20), "mappings": "a: " + strings.Repeat("{a: ", 1<<18),
		"dashes": strings.Repeat("- ", 1<<18), "dashes after a key": "a: " + strings.Repeat("- ", 1<<18), "staircase": staircase.String(), "colons": strings.Repeat("? ", 1<<18)} {
		if _, err := Parse([]byte(text), "test", "document"); havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), "nested too deeply") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"wide": strings.Repeat("a: [1, {b: 2}]\n", 1) + "c: [" + strings.Repeat("{x: [y]}, ", 1000) + "1]", "text": "a: " + strings.Repeat(" ", 1000) + "b"} {
		if _, err := Parse([]byte(text), "test", "document"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
