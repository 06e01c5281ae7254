// Package walls holds the import rules of the house by test: the folders are
// the zones of trust, and who may see what is who may import whom
// (docs/adr/0002-folders-are-zones.md).
package walls

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/realinput"
)

const module = "github.com/havre-hub/havre/"

// rooms lists, for each zone, its rooms in the order of the journey: a room may
// know those before it, never those after.
var rooms = map[string][]string{
	"holder": {"intake", "deliver"},
	"keeper": {"link", "register", "pseudonym"},
	"hub":    {"receive", "warehouse", "permit", "study", "disclose", "release"},
}

// mayImport lists the zones that a zone may import besides itself.
var mayImport = map[string][]string{
	"havre":     {},
	"ground":    {"havre"},
	"holder":    {"havre", "ground"},
	"keeper":    {"havre", "ground"},
	"hub":       {"havre", "ground"},
	"synth":     {"havre", "ground"},
	"host":      {"havre", "ground"},
	"move":      {"havre", "ground"},
	"chart":     {"havre"},
	"config":    {"havre", "ground"},
	"realinput": {},
}

// free zones wire the others together and may import all of them.
var free = []string{"app", "cli", "web"}

// onlyTests are packages that no program may contain.
var onlyTests = []string{"internal/realinput"}

type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = realinput.Root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// place splits an import path of this module into zone and room.
func place(path string) (zone, room string, ok bool) {
	rest, ok := strings.CutPrefix(path, module+"internal/")
	if !ok {
		return "", "", false
	}
	parts := strings.Split(rest, "/")
	if len(parts) > 1 {
		room = parts[1]
	}
	return parts[0], room, true
}

// wall gives the reason why from may not import to, or "".
func wall(from, to string) string {
	fz, fr, ok := place(from)
	if !ok || slices.Contains(free, fz) {
		return ""
	}
	tz, tr, ok := place(to)
	if !ok {
		if strings.HasPrefix(to, "github.com/duckdb/") && !strings.HasPrefix(from, module+"internal/ground/duck") {
			return "only ground/duck opens DuckDB: it is where the database is locked down"
		}
		return ""
	}
	if fz != tz {
		if !slices.Contains(mayImport[fz], tz) {
			return "the zone " + fz + " may import only itself and " + strings.Join(mayImport[fz], ", ") + ": zones never know each other, and only app wires them"
		}
		return ""
	}
	if order, ordered := rooms[fz]; ordered && fr != tr && fr != "" {
		i, j := slices.Index(order, fr), slices.Index(order, tr)
		if i < 0 || j < 0 {
			return "the zone " + fz + " has the rooms " + strings.Join(order, ", ") + " only; add a room to the list on purpose"
		}
		if j > i {
			return "within the zone " + fz + " a room knows the rooms before it on the journey (" + strings.Join(order, ", ") + "), never those after"
		}
	}
	return ""
}

func TestWalls(t *testing.T) {
	for _, p := range packages(t) {
		zone, _, ok := place(p.ImportPath)
		if _, known := mayImport[zone]; ok && !known && !slices.Contains(free, zone) && zone != "walls" {
			t.Errorf("%s stands in the zone %q, which has no rule here", p.ImportPath, zone)
		}
		for _, to := range p.Imports {
			if why := wall(p.ImportPath, to); why != "" {
				t.Errorf("%s imports %s, but %s", p.ImportPath, to, why)
			}
			if rest, ok := strings.CutPrefix(to, module); ok && slices.Contains(onlyTests, rest) &&
				!strings.HasPrefix(p.ImportPath, module+"internal/ground/blob/blobtest") {
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, to)
			}
		}
	}
}

// TestWallsStand shows that the rules can fail at all.
func TestWallsStand(t *testing.T) {
	in := module + "internal/"
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{in + "hub/study", in + "hub/permit", true},
		{in + "hub/permit", in + "hub/study", false},
		{in + "hub/study/cohort", in + "hub/study", true},
		{in + "keeper/register", in + "hub/warehouse", false},
		{in + "hub/receive", in + "keeper/link", false},
		{in + "ground/audit", in + "hub/permit", false},
		{in + "ground/omop", in + "ground/duck", true},
		{in + "hub/warehouse", "github.com/duckdb/duckdb-go/v2", false},
		{in + "ground/duck", "github.com/duckdb/duckdb-go/v2", true},
		{in + "app", in + "keeper/link", true},
		{in + "havre", in + "ground/seal", false},
	} {
		if got := wall(c.from, c.to) == ""; got != c.allowed {
			t.Errorf("%s -> %s: allowed %v, want %v", c.from, c.to, got, c.allowed)
		}
	}
}

// TestVerifierIsSmall: outsiders build havre-verify without a C compiler and
// without the hub's database, warehouse or network clients.
func TestVerifierIsSmall(t *testing.T) {
	root := realinput.Root(t)
	cmd := exec.Command("go", "list", "-deps", "./cmd/havre-verify")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"duckdb", "modernc.org/sqlite", "minio", "azure", "apache/arrow", module + "internal/hub", module + "internal/keeper", module + "internal/holder"} {
		if bytes.Contains(out, []byte(bad)) {
			t.Errorf("havre-verify depends on %s", bad)
		}
	}
	build := exec.Command("go", "build", "-o", filepath.Join(t.TempDir(), "havre-verify"), "./cmd/havre-verify")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("without cgo: %v\n%s", err, out)
	}
}

// TestFilesStaySmall: a file that outgrows this does more than one thing.
func TestFilesStaySmall(t *testing.T) {
	const most = 600
	root := realinput.Root(t)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		n := 0
		for s := bufio.NewScanner(f); s.Scan(); {
			n++
		}
		if n > most {
			t.Errorf("%s has %d lines (at most %d)", path, n, most)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
