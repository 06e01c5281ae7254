package app

import (
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/hub/study"
)

func TestDrawPaths(t *testing.T) {
	dims := []study.Dimension{{Name: study.PathDim, Categories: []string{"none", "a", "a > a+b", "a > other"}, Total: true}}
	for name, tc := range map[string]struct {
		cells     []study.Cell
		want, not string
	}{
		"a tree": {[]study.Cell{{Key: []string{"none"}, Count: 20}, {Key: []string{"a"}, Count: 40}, {Key: []string{"a > a+b"}, Count: 30}, {Key: []string{"a > other"}, Count: 11}, {Key: []string{"total"}, Count: 101}},
			">81 a<", ">suppressed<"},
		"nothing small": {[]study.Cell{{Key: []string{"a"}, Count: 40}, {Key: []string{"total"}, Count: 40}}, ">40 a<", "suppressed"},
		"only all":      {[]study.Cell{{Key: []string{"total"}, Count: 77}}, ">77<", "step 1"},
		"all hidden":    {[]study.Cell{{Key: []string{"total"}, Suppressed: "suppressed"}}, ">suppressed<", "step 1"},
		"nobody":        {[]study.Cell{{Key: []string{"none"}}, {Key: []string{"total"}}}, ">0<", "step 1"},
	} {
		b, err := (Drawer{}).Draw(study.Output{Title: "Ways", Kind: study.Pathways, Dimensions: dims, Cells: tc.cells}, record.DefaultRules())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := string(b); !strings.Contains(s, tc.want) || strings.Contains(s, tc.not) {
			t.Errorf("%s: wants %q and not %q:\n%s", name, tc.want, tc.not, s)
		}
	}
}
