package studytest

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/realinput"
)

// Library reads the published cohort definitions, by their number.
func Library(t testing.TB) map[int][]byte {
	t.Helper()
	f, err := os.Open(realinput.Path(t, "cohorts/definitions.json.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	found := map[int][]byte{}
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		name, isJSON := strings.CutSuffix(path.Base(h.Name), ".json")
		if !isJSON {
			continue
		}
		id, err := strconv.Atoi(name)
		if err != nil {
			t.Fatal(err)
		}
		if found[id], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
