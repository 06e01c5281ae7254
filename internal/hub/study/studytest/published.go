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
)

// Published reads the files of one ending in an archive (.tar.zst) of published
// cohort definitions, or of their SQL, by their number.
func Published(t testing.TB, archive, ending string) map[int][]byte {
	t.Helper()
	f, err := os.Open(archive)
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
	for files := tar.NewReader(z); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutSuffix(path.Base(h.Name), ending)
		if !ok {
			continue
		}
		id, err := strconv.Atoi(name)
		if err != nil {
			t.Fatal(err)
		}
		if found[id], err = io.ReadAll(files); err != nil {
			t.Fatal(err)
		}
	}
}
