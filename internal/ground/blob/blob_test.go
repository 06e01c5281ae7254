package blob_test

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/file"
	"github.com/havre-hub/havre/internal/havre"
)

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "0": true, "_": true, "a/b": true, "segment/0f/0fab": true, "snapshot/000000000001": true,
		"tile/0/x001/067.p/12": true, "a.b.c": true, "a-": true, "_-.z": true,
		strings.Repeat("a", blob.MaxSegment): true, strings.Repeat("a/", blob.MaxName/2-1) + "aa": true,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, ".a": false, "a.": false,
		"a/.b": false, "a./b": false, "a..b": false, "-a": false, "A": false, "é": false, "a b": false, "a\\b": false,
		"a\n": false, "a\x00": false, "a:b": false, "a%": false, "a?b": false, "a*": false,
		strings.Repeat("a", blob.MaxSegment+1): false, strings.Repeat("a/", blob.MaxName/2) + "a": false,
	} {
		if got := blob.ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %t", name, got)
		}
	}
	for prefix, want := range map[string]bool{
		"": true, "a": true, "a/": true, "a.": true, "a/b/": true, strings.Repeat("a/", blob.MaxName/2-1) + "aa": true,
		"/": false, ".": false, "a/.": false, "a..": false, "A": false, "a//": false, "-": false,
	} {
		if got := blob.ValidPrefix(prefix); got != want {
			t.Errorf("ValidPrefix(%q) = %t", prefix, got)
		}
	}
}

// FuzzValidName holds ValidName to what stores rely on.
func FuzzValidName(f *testing.F) {
	for _, name := range []string{"a", "segment/0f/0fab", "../a", "a/./b", "a//b", ".a", "a.", "A", "\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !blob.ValidName(name) {
			if blob.CheckName("x", name) == nil {
				t.Fatalf("%q passes CheckName and is not valid", name)
			}
			return
		}
		if (&url.URL{Path: name}).EscapedPath() != name {
			t.Errorf("%q changes in a URL", name)
		}
		if strings.ToLower(name) != name || len(name) > blob.MaxName {
			t.Errorf("%q is valid", name)
		}
		for i := range len(name) {
			if !blob.ValidPrefix(name[:i]) {
				t.Errorf("%q is a name and %q no prefix", name, name[:i])
			}
		}
		for segment := range strings.SplitSeq(name, "/") {
			if segment == "" || segment == "." || segment == ".." || len(segment) > blob.MaxSegment {
				t.Errorf("%q has the segment %q", name, segment)
			}
		}
	})
}

const marker = "s3cr3tmarker"

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]havre.Kind{
		"file:/srv/store":                     "",
		"file:store":                          "",
		"s3://bucket/a/b?endpoint=https://h":  "",
		"azblob://c?account=x&credentials=/f": "",
		"":                                    havre.Invalid,
		"/srv/store":                          havre.Invalid,
		"file:/a#b":                           havre.Invalid,
		"s3://b?endpoint=a&endpoint=b":        havre.Invalid,
		"s3://" + marker + "%zz":              havre.Invalid,
		"s3://b?x=%zz" + marker:               havre.Invalid,
		"s3://b:" + marker:                    havre.Invalid,
		"s3://id:" + marker + "@b/p":          havre.Invalid,
		"s3://b?endpoint=https://a:" + marker + "@h": havre.Invalid,
		"s3://b?AWS_SECRET_ACCESS_KEY=" + marker:     havre.Invalid,
		"s3://b?secretKey=" + marker:                 havre.Invalid,
		"s3://b?X-Amz-Signature=" + marker:           havre.Invalid,
		"s3://b?X-Amz-Security-Token=" + marker:      havre.Invalid,
		"azblob://c?sig=" + marker:                   havre.Invalid,
		"azblob://c?AccountKey=" + marker:            havre.Invalid,
		"azblob://c?connection_string=" + marker:     havre.Invalid,
		"azblob://c?password=" + marker:              havre.Invalid,
	} {
		_, err := blob.ParseURL(raw)
		if havre.KindOf(err) != want {
			t.Errorf("%q: error %v, want kind %q", raw, err, want)
		}
		if err != nil && strings.Contains(err.Error()+havre.HintOf(err), marker) {
			t.Errorf("%q: the error repeats what may be a secret: %v", raw, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, raw := range []string{"file:/a", "file:a%20b", "s3://b/p?endpoint=https://h:1&region=r", "azblob://c/p?account=a", "s3://u:p@b", "x:?sig=1", ":", "%"} {
		f.Add(raw)
	}
	registry := blob.NewRegistry()
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := blob.ParseURL(raw)
		if _, openErr := registry.Open(t.Context(), raw, blob.Options{}); openErr == nil {
			t.Fatal("a registry without drivers opens a store")
		}
		if err != nil {
			if havre.KindOf(err) != havre.Invalid {
				t.Errorf("%q: error %v of kind %s", raw, err, havre.KindOf(err))
			}
			return
		}
		if u.User != nil || u.Scheme == "" {
			t.Errorf("%q is accepted as %#v", raw, u)
		}
		again, err := blob.ParseURL(u.String())
		if err != nil || again.String() != u.String() {
			t.Errorf("%q is read as %q, which is read as %v, %v", raw, u, again, err)
		}
	})
}

func TestRegistry(t *testing.T) {
	r := blob.NewRegistry(file.Driver{})
	dir := t.TempDir()
	s, err := r.Open(t.Context(), "file:"+dir, blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	_, err = r.Open(t.Context(), "s3://b", blob.Options{})
	if havre.KindOf(err) != havre.Invalid || !strings.Contains(havre.HintOf(err), "file:") {
		t.Errorf("unknown scheme: %v, hint %q", err, havre.HintOf(err))
	}
	_, err = r.Open(t.Context(), "file:"+dir+"?colour=red", blob.Options{})
	if havre.KindOf(err) != havre.Invalid || !strings.Contains(err.Error(), "colour") {
		t.Errorf("unknown setting: %v", err)
	}
}

// liar gives other bytes than were written.
type liar struct{ blob.Store }

func (l liar) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	data, err := l.Store.Get(ctx, name, off, n)
	return bytes.Repeat([]byte("?"), len(data)), err
}

func TestProbeFindsALiar(t *testing.T) {
	s, err := file.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := blob.Probe(t.Context(), s); err != nil {
		t.Error(err)
	}
	if err := blob.Probe(t.Context(), liar{s}); havre.KindOf(err) != havre.Tampered {
		t.Errorf("a store that changes bytes passes: %v", err)
	}
}

// unsettled says that an object exists before it gives it, as a store does that
// notes an object before it has it.
type unsettled struct {
	blob.Store
	left int // answers until then
}

func (s *unsettled) Stat(ctx context.Context, name string) (blob.Info, error) {
	if s.left--; s.left >= 0 {
		return blob.Info{}, havre.E("blob.stat", havre.NotFound, "object "+name+" does not exist")
	}
	return s.Store.Stat(ctx, name)
}

// TestPutSameWaits: an object that another is still writing is waited for.
func TestPutSameWaits(t *testing.T) {
	s, err := file.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := blob.PutSame(t.Context(), &unsettled{s, 4}, "a", []byte("x")); err != nil {
		t.Error(err)
	}
	if err := blob.PutSame(t.Context(), &unsettled{s, 4}, "a", []byte("y")); havre.KindOf(err) != havre.Exists {
		t.Errorf("other bytes: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := blob.PutSame(ctx, &unsettled{s, 4}, "a", []byte("x")); havre.KindOf(err) != havre.Cancelled {
		t.Errorf("cancelled: %v", err)
	}
}
