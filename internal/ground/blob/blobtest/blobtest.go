// Package blobtest is the conformance suite of blob.Store. Each implementation
// passes Run, and those behind HTTP also RunFaults, on a real server.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
	"github.com/havre-hub/havre/internal/havre"
)

// StartS3 starts versitygw for the test; it never skips.
func StartS3(t testing.TB) *serve.Server { return start(t, serve.S3) }

// StartAzure starts Azurite for the test; it never skips.
func StartAzure(t testing.TB) *serve.Server { return start(t, serve.Azure) }

func start(t testing.TB, server func(context.Context, string) (*serve.Server, error)) *serve.Server {
	t.Helper()
	s, err := server(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Run tests a store. open gives a new handle on the same place at each call,
// which is empty at first. page is how many objects the store lists at once;
// 0 if it has no pages.
func Run(t *testing.T, page int, open func(t testing.TB) blob.Store) {
	t.Run("probe", func(t *testing.T) {
		want(t, blob.Probe(t.Context(), open(t)), "")
		if n := len(list(t, open(t), "")); n != 0 {
			t.Errorf("the probe left %d objects", n)
		}
	})
	t.Run("write once", func(t *testing.T) { testWriteOnce(t, open(t)) })
	t.Run("racing writers", func(t *testing.T) { testRace(t, open) })
	t.Run("ranges", func(t *testing.T) { testRanges(t, open(t)) })
	t.Run("large object", func(t *testing.T) { testLarge(t, open(t)) })
	t.Run("names", func(t *testing.T) { testNames(t, open(t)) })
	t.Run("bad arguments", func(t *testing.T) { testBadArguments(t, open(t)) })
	t.Run("absent", func(t *testing.T) { testAbsent(t, open(t)) })
	t.Run("delete", func(t *testing.T) { testDelete(t, open(t)) })
	t.Run("cancelled", func(t *testing.T) { testCancelled(t, open(t)) })
	t.Run("concurrent", func(t *testing.T) { testConcurrent(t, open(t)) })
	t.Run("many names", func(t *testing.T) { testMany(t, open(t), page+10) })
}

// want fails the test if err is of another kind; "" is success.
func want(t testing.TB, err error, kind havre.Kind) {
	t.Helper()
	if got := havre.KindOf(err); got != kind {
		t.Fatalf("error %v of kind %q, want %q", err, got, kind)
	}
}

func put(t testing.TB, s blob.Store, name string, data []byte) {
	t.Helper()
	want(t, s.Put(t.Context(), name, data), "")
}

func holds(t testing.TB, s blob.Store, name string, data []byte) {
	t.Helper()
	got, err := blob.GetAll(t.Context(), s, name)
	want(t, err, "")
	if !bytes.Equal(got, data) {
		t.Fatalf("%s has %d bytes, not the %d that were written", name, len(got), len(data))
	}
}

func list(t testing.TB, s blob.Store, prefix string) []blob.Info {
	t.Helper()
	var infos []blob.Info
	for info, err := range s.List(t.Context(), prefix) {
		want(t, err, "")
		infos = append(infos, info)
	}
	return infos
}

func testWriteOnce(t *testing.T, s blob.Store) {
	ctx := t.Context()
	first, second := []byte("first"), []byte("other")
	before := time.Now().Add(-time.Minute)
	put(t, s, "once/a", first)
	want(t, s.Put(ctx, "once/a", second), havre.Exists)
	want(t, s.Put(ctx, "once/a", first), havre.Exists)
	holds(t, s, "once/a", first)
	want(t, blob.PutSame(ctx, s, "once/a", first), "")
	want(t, blob.PutSame(ctx, s, "once/a", second), havre.Exists)
	want(t, blob.PutSame(ctx, s, "once/a", nil), havre.Exists)
	want(t, blob.PutSame(ctx, s, "once/b", second), "")
	holds(t, s, "once/b", second)

	info, err := s.Stat(ctx, "once/a")
	want(t, err, "")
	if info.Name != "once/a" || info.Size != 5 {
		t.Errorf("Stat gives %+v", info)
	}
	if !info.Modified.IsZero() && (info.Modified.Before(before) || info.Modified.After(time.Now().Add(time.Minute))) {
		t.Errorf("written now, but Stat says %v", info.Modified)
	}
}

// testRace lets many writers, each with its own bytes and several with one
// handle, write one name: exactly one may win, and its bytes stay.
func testRace(t *testing.T, open func(t testing.TB) blob.Store) {
	handles := []blob.Store{open(t), open(t), open(t)}
	for round := range 8 {
		name := fmt.Sprintf("race/%d", round)
		var winner atomic.Int64
		var winners atomic.Int64
		start := make(chan struct{})
		var g errgroup.Group
		for w := range 12 {
			g.Go(func() error {
				<-start
				err := handles[w%len(handles)].Put(t.Context(), name, content(w))
				switch havre.KindOf(err) {
				case "":
					winner.Store(int64(w))
					winners.Add(1)
				case havre.Exists:
				default:
					return err
				}
				return nil
			})
		}
		close(start)
		want(t, g.Wait(), "")
		if winners.Load() != 1 {
			t.Fatalf("%d writers of %s won", winners.Load(), name)
		}
		holds(t, handles[0], name, content(int(winner.Load())))
	}
}

// content is some kilobytes that differ from those of every other seed.
func content(seed int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%08d", seed), 1000+seed)
}

func testRanges(t *testing.T, s blob.Store) {
	ctx := t.Context()
	data := content(1)
	size := int64(len(data))
	put(t, s, "range/data", data)
	put(t, s, "range/empty", nil)
	for _, c := range []struct {
		name   string
		off, n int64
		kind   havre.Kind
	}{
		{"range/data", 0, -1, ""},
		{"range/data", 0, size, ""},
		{"range/data", 0, 1, ""},
		{"range/data", 0, 0, ""},
		{"range/data", 1, 7, ""},
		{"range/data", 1, -1, ""},
		{"range/data", size - 1, 1, ""},
		{"range/data", size - 1, -1, ""},
		{"range/data", size / 2, 0, ""},
		{"range/data", size, 0, ""},
		{"range/data", size, -1, ""},
		{"range/data", size, 1, havre.Invalid},
		{"range/data", size - 1, 2, havre.Invalid},
		{"range/data", 0, size + 1, havre.Invalid},
		{"range/data", size + 1, 0, havre.Invalid},
		{"range/data", size + 1, -1, havre.Invalid},
		{"range/data", -1, 1, havre.Invalid},
		{"range/data", 1 << 62, 1, havre.Invalid},
		{"range/data", 1<<63 - 1, 1<<63 - 1, havre.Invalid},
		{"range/empty", 0, -1, ""},
		{"range/empty", 0, 0, ""},
		{"range/empty", 0, 1, havre.Invalid},
		{"range/empty", 1, 0, havre.Invalid},
		{"range/empty", 1, -1, havre.Invalid},
	} {
		got, err := s.Get(ctx, c.name, c.off, c.n)
		if havre.KindOf(err) != c.kind {
			t.Errorf("%s from %d, %d bytes: error %v, want kind %q", c.name, c.off, c.n, err, c.kind)
			continue
		}
		if err != nil {
			continue
		}
		whole := data
		if c.name == "range/empty" {
			whole = nil
		}
		end := c.off + c.n
		if c.n < 0 {
			end = int64(len(whole))
		}
		if !bytes.Equal(got, whole[c.off:end]) {
			t.Errorf("%s from %d, %d bytes: other bytes than were written", c.name, c.off, c.n)
		}
	}
}

func testLarge(t *testing.T, s blob.Store) {
	const size = 64 << 20
	data := make([]byte, size)
	_, _ = rand.Read(data) // never fails
	put(t, s, "large", data)
	got, err := blob.GetAll(t.Context(), s, "large")
	want(t, err, "")
	if sha256.Sum256(got) != sha256.Sum256(data) {
		t.Error("a large object came back changed")
	}
	for _, off := range []int64{0, size/2 - 1, size - 100} {
		got, err := s.Get(t.Context(), "large", off, 100)
		want(t, err, "")
		if !bytes.Equal(got, data[off:off+100]) {
			t.Errorf("other bytes at %d", off)
		}
	}
	want(t, s.Delete(t.Context(), "large"), "")
}

func testNames(t *testing.T, s blob.Store) {
	const all = "abcdefghijklmnopqrstuvwxyz0123456789_-."
	names := []string{
		"names/" + all + "z",
		"names/_", "names/0", "names/_-.-_", "names/-dash"[:6] + "d-",
		// In the order of bytes "-" and "." come before "/".
		"names/t-u", "names/t.u", "names/t/u", "names/t0",
		"names/" + strings.Repeat("n", blob.MaxSegment),
		"names/" + strings.Repeat("d/", (blob.MaxName-len("names/"))/2-1) + "xx",
	}
	for _, name := range names {
		if !blob.ValidName(name) {
			t.Fatalf("the suite's own name %q is not valid", name)
		}
		put(t, s, name, []byte(name))
	}
	for _, name := range names {
		holds(t, s, name, []byte(name))
	}
	slices.Sort(names)
	for _, prefix := range []string{"names/", "names/t", "names/t-", "names/t/", "names/t.", "names/d/d/d", "names/nope", "names/t/u/v", names[0]} {
		var expected, got []string
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				expected = append(expected, name)
			}
		}
		for _, info := range list(t, s, prefix) {
			got = append(got, info.Name)
			if info.Size != int64(len(info.Name)) {
				t.Errorf("%s is listed with %d bytes", info.Name, info.Size)
			}
		}
		if !slices.Equal(got, expected) {
			t.Errorf("prefix %q lists %q, want %q", prefix, got, expected)
		}
	}
}

func testBadArguments(t *testing.T, s blob.Store) {
	ctx := t.Context()
	for _, name := range []string{"", "/", "a/", "/a", "a//b", "..", "../a", "a/../b", "a..b", ".", ".hidden", "a/.b", "a.", "a./b",
		"-a", "A", "a b", "a\x00b", "é", "a\\b", "a?b", "a%2fb", strings.Repeat("a", blob.MaxSegment+1), strings.Repeat("a/", blob.MaxName/2) + "a"} {
		_, getErr := s.Get(ctx, name, 0, -1)
		_, statErr := s.Stat(ctx, name)
		for _, err := range []error{s.Put(ctx, name, nil), getErr, statErr, s.Delete(ctx, name)} {
			if havre.KindOf(err) != havre.Invalid {
				t.Errorf("name %q: error %v, want kind %s", name, err, havre.Invalid)
			}
		}
	}
	for _, prefix := range []string{"/", "A", "a//", "../", ".havre-tmp/", "a/."} {
		for _, err := range s.List(ctx, prefix) {
			if havre.KindOf(err) != havre.Invalid {
				t.Errorf("prefix %q: error %v, want kind %s", prefix, err, havre.Invalid)
			}
		}
	}
	want(t, s.Put(ctx, "toolarge", make([]byte, blob.MaxSize+1)), havre.Invalid)
}

func testAbsent(t *testing.T, s blob.Store) {
	ctx := t.Context()
	put(t, s, "absent/there/object", []byte("x"))
	for _, name := range []string{"absent/not", "absent/not/there", "absent/there", "absent/there/object/below"} {
		for _, n := range []int64{-1, 0, 1} {
			_, err := s.Get(ctx, name, 0, n)
			want(t, err, havre.NotFound)
		}
		_, err := s.Stat(ctx, name)
		want(t, err, havre.NotFound)
		want(t, s.Delete(ctx, name), "")
	}
	holds(t, s, "absent/there/object", []byte("x"))
	if n := len(list(t, s, "absent/not")); n != 0 {
		t.Errorf("%d objects are listed that do not exist", n)
	}
}

func testDelete(t *testing.T, s blob.Store) {
	ctx := t.Context()
	put(t, s, "delete/a", []byte("old"))
	put(t, s, "delete/ab", []byte("stays"))
	want(t, s.Delete(ctx, "delete/a"), "")
	want(t, s.Delete(ctx, "delete/a"), "")
	_, err := s.Get(ctx, "delete/a", 0, -1)
	want(t, err, havre.NotFound)
	if infos := list(t, s, "delete/"); len(infos) != 1 || infos[0].Name != "delete/ab" {
		t.Errorf("after a deletion %v is listed", infos)
	}
	put(t, s, "delete/a", []byte("new"))
	holds(t, s, "delete/a", []byte("new"))
}

func testCancelled(t *testing.T, s blob.Store) {
	put(t, s, "cancelled/there", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := s.Get(ctx, "cancelled/there", 0, -1)
	_, statErr := s.Stat(ctx, "cancelled/there")
	var listErr error
	for _, err := range s.List(ctx, "") {
		listErr = errors.Join(listErr, err)
	}
	for i, err := range []error{s.Put(ctx, "cancelled/new", []byte("x")), getErr, statErr, s.Delete(ctx, "cancelled/there"), listErr} {
		if !errors.Is(err, context.Canceled) || havre.KindOf(err) != havre.Cancelled {
			t.Errorf("operation %d with a cancelled context: %v", i, err)
		}
	}
	holds(t, s, "cancelled/there", []byte("x"))
}

// testConcurrent mixes all operations; every reader sees whole objects.
func testConcurrent(t *testing.T, s blob.Store) {
	ctx := t.Context()
	var g errgroup.Group
	for w := range 8 {
		g.Go(func() error {
			for i := range 20 {
				mine, shared := fmt.Sprintf("concurrent/mine-%d-%d", w, i), fmt.Sprintf("concurrent/shared-%d", i)
				if err := errors.Join(s.Put(ctx, mine, content(w)), blob.PutSame(ctx, s, shared, content(i))); err != nil {
					return err
				}
				got, err := blob.GetAll(ctx, s, shared)
				if err != nil || !bytes.Equal(got, content(i)) {
					return fmt.Errorf("%s has %d bytes: %w", shared, len(got), err)
				}
				if i%2 == 0 {
					if err := s.Delete(ctx, mine); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	for range 5 {
		for info, err := range s.List(ctx, "concurrent/") {
			want(t, err, "")
			if info.Size < 8000 {
				t.Errorf("%s is listed with %d bytes while it is written", info.Name, info.Size)
			}
		}
	}
	want(t, g.Wait(), "")
	if n := len(list(t, s, "concurrent/")); n != 8*10+20 {
		t.Errorf("%d objects are left, want %d", n, 8*10+20)
	}
}

// testMany lists more objects than fit in one page, whole and from a prefix,
// and stops early.
func testMany(t *testing.T, s blob.Store, n int) {
	var g errgroup.Group
	g.SetLimit(8 * runtime.GOMAXPROCS(0))
	for i := range n {
		g.Go(func() error { return s.Put(t.Context(), fmt.Sprintf("many/%02x/%06d", i%7, i), []byte{byte(i)}) })
	}
	want(t, g.Wait(), "")
	infos := list(t, s, "many/")
	if len(infos) != n {
		t.Errorf("%d objects are listed, want %d", len(infos), n)
	}
	if !slices.IsSortedFunc(infos, func(a, b blob.Info) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the list is not sorted")
	}
	if got := len(list(t, s, "many/03/")); got != (n+3)/7 {
		t.Errorf("%d objects are listed under a prefix, want %d", got, (n+3)/7)
	}
	for _, err := range s.List(t.Context(), "many/") {
		want(t, err, "")
		break
	}
}
