package omop

import (
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/havre"
)

// tree is the files of a folder or zip.
type tree struct {
	place   string
	entries []entry // by name
	zip     *zip.ReadCloser
	duck    *duck.Session
}

func (t tree) Close() error {
	switch {
	case t.duck != nil:
		return t.duck.Close()
	case t.zip != nil:
		return t.zip.Close()
	}
	return nil
}

// entry is one file of the tree.
type entry struct {
	name string // within the tree, with slashes
	size int64
	path string    // on disk; "" elsewhere
	zip  *zip.File // nil outside of a zip
	duck *duckTable
}

func openTree(ctx context.Context, place string) (tree, error) {
	st, err := os.Stat(place)
	if err != nil {
		return tree{}, havre.E("intake", havre.NotFound, "there is nothing at "+place).
			WithHint("name a folder, a zip file or a DuckDB file that holds the tables of an OMOP CDM").Wrap(err)
	}
	t := tree{place: place}
	if st.IsDir() {
		err = t.walk(place)
	} else if isDuckDB(place) {
		err = t.attach(ctx, place)
	} else {
		err = t.unzip(place)
	}
	if err != nil {
		return tree{}, err
	}
	sort.Slice(t.entries, func(i, j int) bool { return t.entries[i].name < t.entries[j].name })
	return t, nil
}

func (t *tree) walk(root string) error {
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := os.Stat(p) // follows links to files
		if err != nil {
			return err
		}
		if !st.Mode().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		t.entries = append(t.entries, entry{name: filepath.ToSlash(rel), size: st.Size(), path: p})
		return nil
	})
	if err != nil {
		return havre.E("intake", havre.Invalid, "the folder "+root+" cannot be read").
			WithHint("check that this user may read every file in it").Wrap(err)
	}
	return nil
}

func (t *tree) unzip(place string) error {
	z, err := zip.OpenReader(place)
	if err != nil {
		return havre.E("intake", havre.Invalid, place+" is neither a folder nor a zip or DuckDB file that can be read").
			WithHint("unpack the archive and name the folder").Wrap(err)
	}
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return flate.NewReader(r) })
	t.zip = z
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		name := strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(f.Name, `\`, "/")), "/")
		t.entries = append(t.entries, entry{name: name, size: int64(f.UncompressedSize64), zip: f})
	}
	return nil
}

var (
	textRE    = regexp.MustCompile(`\.(?:csv|tsv|psv|txt)(\.(?:gz|zst|zstd|bz2))?$`)
	parquetRE = regexp.MustCompile(`\.(?:parquet|parq|pq)$`)
	archiveRE = regexp.MustCompile(`\.(?:zip|7z|rar|tar|tgz|tar\.(?:gz|bz2|xz|zst))$`)
)

func (e entry) parquet() bool { return e.duck != nil || parquetRE.MatchString(baseLower(e.name)) }
func (e entry) archive() bool { return archiveRE.MatchString(baseLower(e.name)) }
func (e entry) data() bool    { return e.parquet() || textRE.MatchString(baseLower(e.name)) }

// format is the kind of file, by which two files of one table are compared.
func (e entry) format() string {
	if e.parquet() {
		return "parquet"
	}
	if m := textRE.FindStringSubmatch(baseLower(e.name)); m != nil {
		return "text" + m[1]
	}
	return ""
}

// stem is the file's own name in lower case without its extensions.
func (e entry) stem() string {
	b := baseLower(e.name)
	b = textRE.ReplaceAllString(b, "")
	return parquetRE.ReplaceAllString(b, "")
}

// junk says whether the file belongs to an archiver, a file manager or a
// version control system, or is hidden, or tells people about the data.
func (e entry) junk() bool {
	for part := range strings.SplitSeq(strings.ToLower(e.name), "/") {
		if strings.HasPrefix(part, ".") || strings.HasPrefix(part, "~$") || part == "__macosx" || strings.HasPrefix(part, "_success") ||
			part == "thumbs.db" || part == "desktop.ini" || strings.HasPrefix(part, "readme") || strings.HasPrefix(part, "license") {
			return true
		}
	}
	return false
}

// open streams the file's text, decompressed.
func (e entry) open() (io.ReadCloser, error) {
	raw, err := e.raw()
	if err != nil {
		return nil, err
	}
	var plain io.Reader
	switch path.Ext(baseLower(e.name)) {
	case ".gz":
		plain, err = gzip.NewReader(raw)
	case ".zst", ".zstd":
		var d *zstd.Decoder
		d, err = zstd.NewReader(raw, zstd.WithDecoderConcurrency(1))
		if err == nil {
			plain = d.IOReadCloser()
		}
	case ".bz2":
		plain = bzip2.NewReader(raw)
	default:
		plain = raw
	}
	if err != nil {
		_ = raw.Close()
		return nil, e.broken("it cannot be decompressed", err)
	}
	return stream{plain, raw}, nil
}

func (e entry) raw() (io.ReadCloser, error) {
	if e.zip == nil {
		f, err := os.Open(e.path)
		if err != nil {
			return nil, e.broken("it cannot be opened", err)
		}
		return f, nil
	}
	if e.zip.Flags&1 != 0 {
		return nil, e.broken("it is encrypted", nil).WithHint("unpack the archive with its password and name the folder")
	}
	r, err := e.zip.Open()
	if err != nil {
		return nil, e.broken("it cannot be unpacked", err)
	}
	return r, nil
}

// openAt gives random access. A file compressed inside a zip is unpacked into
// memory, for nothing may be written to a disk.
func (e entry) openAt(ctx context.Context) (readAtSeeker, io.Closer, error) {
	if e.duck != nil {
		b, err := e.duck.parquet(ctx)
		return bytes.NewReader(b), io.NopCloser(nil), err
	}
	if e.zip == nil {
		f, err := os.Open(e.path)
		if err != nil {
			return nil, nil, e.broken("it cannot be opened", err)
		}
		return f, f, nil
	}
	r, err := e.raw()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, e.broken("it cannot be unpacked", err)
	}
	return bytes.NewReader(b), io.NopCloser(nil), nil
}

type readAtSeeker interface {
	io.ReaderAt
	io.ReadSeeker
}

// stream closes the file below a decompressor, and the decompressor.
type stream struct {
	io.Reader
	below io.Closer
}

func (s stream) Close() error {
	if c, ok := s.Reader.(io.Closer); ok && any(c) != any(s.below) {
		_ = c.Close()
	}
	return s.below.Close()
}

func (e entry) broken(what string, err error) *havre.Error {
	return havre.E("intake", havre.Invalid, fmt.Sprintf("%s: %s", e.name, what)).
		WithHint("check that the file was copied whole, and export it again if not").Wrap(err)
}
