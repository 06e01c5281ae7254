// Package realinput finds real inputs made by others for tests that want them.
// They live beside the project and are never copied into it.
package realinput

import (
	"os"
	"path/filepath"
	"testing"
)

// Path gives the folder or file at path within the real inputs. Where they
// are absent the test is skipped, unless HAVRE_REQUIRE_SHARED=1 says that they
// must be there (as in CI): then it fails.
func Path(t testing.TB, path string) string {
	t.Helper()
	p := filepath.Join(Root(t), "..", "shared", "data", filepath.FromSlash(path))
	if _, err := os.Stat(p); err == nil {
		return p
	}
	if os.Getenv("HAVRE_REQUIRE_SHARED") == "1" {
		t.Fatalf("real input %s is required and absent", path)
	}
	t.Skipf("real input %s is not beside the project", path)
	return ""
}

// Root is the root folder of the project's checkout.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}
