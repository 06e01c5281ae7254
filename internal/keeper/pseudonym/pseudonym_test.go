package pseudonym

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/realinput"
)

// secretOf is the vectors' secret of a version: 32 bytes, each the version.
func secretOf(version int) havre.Secret {
	b := make([]byte, SecretSize)
	for i := range b {
		b[i] = byte(version)
	}
	return havre.NewSecret(b)
}

// TestPublishedVectors reads the lines "level-1 | version | number | pseudonym"
// of the format page.
func TestPublishedVectors(t *testing.T) {
	f, err := os.Open(filepath.Join(realinput.Root(t), "docs", "formats", "pseudonym.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		cells := strings.Split(s.Text(), "|")
		if len(cells) != 6 || strings.TrimSpace(cells[1]) != "1" {
			continue
		}
		version, _ := strconv.Atoi(strings.TrimSpace(cells[2]))
		number, _ := strconv.ParseInt(strings.TrimSpace(cells[3]), 10, 64)
		l, err := NewLevel1(version, secretOf(version))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := l.Of(number), strings.Trim(cells[4], " `"); got != want {
			t.Errorf("version %d, number %d: %s, the page says %s", version, number, got, want)
		}
		n++
	}
	if n < 4 {
		t.Errorf("the page has %d vectors of level 1", n)
	}
}

func TestWeakSecretsAreRefused(t *testing.T) {
	for _, c := range []struct {
		version int
		size    int
	}{{0, 32}, {-1, 32}, {1, 31}, {1, 0}} {
		if _, err := NewLevel1(c.version, havre.NewSecret(make([]byte, c.size))); havre.KindOf(err) != havre.KeyUnavailable {
			t.Errorf("version %d, %d bytes: %v", c.version, c.size, err)
		}
	}
}
