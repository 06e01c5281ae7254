package cli

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/realinput"
)

// TestPagesAreTrue: every command that README.md and docs/ name exists, and so
// does every file that they link to. (That the README's commands run is for
// .ci/readme to show.)
func TestPagesAreTrue(t *testing.T) {
	root := realinput.Root(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages = append(append(pages, more...), filepath.Join(root, "README.md"), filepath.Join(root, "LIMITATIONS.md"), filepath.Join(root, "GLOSSARY.md"))
	var (
		links    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
		commands = regexp.MustCompile("(?:`|bin/)havre ([a-z][a-z -]*)")
		seen     = 0
	)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(page, root+"/")
		for _, m := range links.FindAllStringSubmatch(string(text), -1) {
			to, err := url.Parse(m[1])
			if err != nil || to.Scheme != "" || to.Path == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), to.Path)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
		if strings.HasPrefix(name, "docs/formats/") {
			continue // they have texts that look like commands and are none
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			for _, m := range commands.FindAllStringSubmatch(line, -1) {
				seen++
				if !exists(strings.Fields(m[1])) {
					t.Errorf("%s names the command havre %s, which does not exist", name, m[1])
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d commands were found in the pages", seen)
	}
}

// exists says whether the words begin with a command; what follows it are its
// arguments.
func exists(words []string) bool {
	root := newRoot(&env{IO: IO{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}})
	cmd, rest, err := root.Find(words)
	return err == nil && cmd != root && !(cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-"))
}
