package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/havre"
)

func TestReadPart(t *testing.T) {
	for _, c := range []struct {
		what   string
		off, n int64
		length int64
		rng    string
		body   string
		kind   havre.Kind
	}{
		{"whole", 0, -1, 5, "", "01234", ""},
		{"whole, empty", 0, -1, 0, "", "", ""},
		{"whole, as a part of the same size", 0, 5, 5, "", "01234", ""},
		{"part", 1, 3, 3, "bytes 1-3/5", "123", ""},
		{"to the end", 2, -1, 3, "bytes 2-4/5", "234", ""},
		{"beyond the end", 2, 9, 3, "bytes 2-4/5", "234", havre.Invalid},
		{"beyond the end, from 0, as whole", 0, 9, 5, "", "01234", havre.Invalid},
		{"other start", 1, 3, 3, "bytes 0-2/5", "012", havre.StoreUnavailable},
		{"other end", 1, 3, 2, "bytes 1-2/5", "12", havre.StoreUnavailable},
		{"range and length differ", 1, 3, 2, "bytes 1-3/5", "12", havre.StoreUnavailable},
		{"to the end, and it is not", 2, -1, 2, "bytes 2-3/5", "23", havre.StoreUnavailable},
		{"whole in place of a part", 1, 3, 5, "", "01234", havre.StoreUnavailable},
		{"whole in place of the first part", 0, 3, 5, "", "01234", havre.StoreUnavailable},
		{"cut", 0, -1, 5, "", "0123", havre.StoreUnavailable},
		{"longer", 0, -1, 5, "", "012345", havre.StoreUnavailable},
		{"no length", 0, -1, -1, "", "01234", havre.StoreUnavailable},
		{"absurd length", 0, -1, blob.MaxSize + 1, "", "01234", havre.StoreUnavailable},
		{"range unreadable", 1, 3, 3, "bytes */5", "123", havre.StoreUnavailable},
		{"size unknown", 1, 3, 3, "bytes 1-3/*", "123", havre.StoreUnavailable},
	} {
		data, err := ReadPart(Part{Name: "a", Off: c.off, N: c.n, Length: c.length, ContentRange: c.rng, Body: io.NopCloser(strings.NewReader(c.body))})
		if havre.KindOf(err) != c.kind {
			t.Errorf("%s: error %v, want kind %q", c.what, err, c.kind)
		}
		if err == nil && string(data) != c.body || err != nil && data != nil {
			t.Errorf("%s: %q and error %v", c.what, data, err)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for raw, want := range map[string]havre.Kind{
		"https://s3.example.eu": "", "https://s3.example.eu:8443": "", "https://10.1.2.3/account": "",
		"http://127.0.0.1:9000": "", "http://[::1]:9000": "", "http://localhost:9000/account": "",
		"http://s3.example.eu": havre.Refused, "http://10.1.2.3": havre.Refused, "http://127.0.0.1.example.eu": havre.Refused,
		"": havre.Invalid, "s3.example.eu": havre.Invalid, "ftp://s3.example.eu": havre.Invalid, "https://": havre.Invalid,
		"https://u:p@h": havre.Invalid, "https://h?x=y": havre.Invalid, "https://h#x": havre.Invalid, "https://h:port": havre.Invalid,
	} {
		if _, err := Endpoint(raw); havre.KindOf(err) != want {
			t.Errorf("%q: error %v, want kind %q", raw, err, want)
		}
	}
}

func TestCredentials(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := func(name string) string { return map[string]string{"ID": "env-id", "KEY": "env-key"}[name] }
	for _, c := range []struct {
		what    string
		file    string
		getenv  func(string) string
		id, key string
		kind    havre.Kind
	}{
		{"environment", "", env, "env-id", "env-key", ""},
		{"file", write("# comment\n\n ID = file-id\nKEY=a=b==\r\n"), env, "file-id", "a=b==", ""},
		{"file without one: the environment does not fill in", write("ID=x\n"), env, "", "", havre.KeyUnavailable},
		{"file empty", write(""), env, "", "", havre.KeyUnavailable},
		{"file absent", filepath.Join(t.TempDir(), "absent"), env, "", "", havre.KeyUnavailable},
		{"file of another form", write("ID=x\nMARKER\n"), env, "", "", havre.Invalid},
		{"nowhere", "", func(string) string { return "" }, "", "", havre.KeyUnavailable},
		{"no environment", "", nil, "", "", havre.KeyUnavailable},
	} {
		keys, err := Credentials(c.getenv, c.file, "ID", "KEY", "SESSION?")
		if havre.KindOf(err) != c.kind || string(keys["ID"].Reveal()) != c.id || string(keys["KEY"].Reveal()) != c.key {
			t.Errorf("%s: %q, %q, error %v", c.what, keys["ID"].Reveal(), keys["KEY"].Reveal(), err)
		}
		if err != nil && (havre.HintOf(err) == "" && c.kind == havre.KeyUnavailable && c.what == "nowhere" || strings.Contains(err.Error(), "MARKER")) {
			t.Errorf("%s: error %v, hint %q", c.what, err, havre.HintOf(err))
		}
	}
}

func TestTry(t *testing.T) {
	down := havre.E("op", havre.StoreUnavailable, "down").WithHint("wait")
	for _, c := range []struct {
		what     string
		errs     []error // of the attempts; the last one repeats
		kind     havre.Kind
		attempts int // 0: several
	}{
		{"at once", []error{nil}, "", 1},
		{"third time", []error{down, down, nil}, "", 3},
		{"final", []error{down, Final(down)}, havre.StoreUnavailable, 2},
		{"not temporary", []error{havre.E("op", havre.NotFound, "no")}, havre.NotFound, 1},
		{"never", []error{down}, havre.StoreUnavailable, 0},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		n := 0
		value, err := Try(ctx, func() (int, error) {
			n++
			return n, c.errs[min(n, len(c.errs))-1]
		})
		cancel()
		if havre.KindOf(err) != c.kind || err == nil && value != c.attempts || err != nil && value != 0 {
			t.Errorf("%s: %d, %v", c.what, value, err)
		}
		if c.attempts > 0 && n != c.attempts || n == 0 || c.attempts == 0 && n < 2 {
			t.Errorf("%s: %d attempts", c.what, n)
		}
		if c.what == "never" && (!errors.Is(err, context.DeadlineExceeded) || havre.HintOf(err) != "wait") {
			t.Errorf("%s: error %v, hint %q", c.what, err, havre.HintOf(err))
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	_, err := Try(ctx, func() (int, error) { cancel(); return 0, down })
	if havre.KindOf(err) != havre.Cancelled {
		t.Errorf("cancelled: %v", err)
	}
}

// A transfer that moves, however slowly, goes on; one that stands still ends.
func TestStall(t *testing.T) {
	const limit = 300 * time.Millisecond
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	c := stallConn{Conn: here, read: limit, write: limit}
	go func() {
		for range 8 {
			time.Sleep(limit / 6)
			_, _ = there.Write([]byte("x"))
		}
	}()
	buf := make([]byte, 1)
	for i := range 8 {
		if _, err := c.Read(buf); err != nil {
			t.Fatalf("byte %d of a slow transfer: %v", i, err)
		}
	}
	if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read that stands still: %v", err)
	}
	if _, err := c.Write(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write that stands still: %v", err)
	}
}

func TestListed(t *testing.T) {
	var l Listed
	for _, c := range []struct {
		name string
		ok   bool
	}{{"a", true}, {"a-b", true}, {"a/b", true}, {"a/b", false}, {"a", false}, {"b", true}} {
		if err := l.Next(c.name); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// FuzzReadPart: whatever a server says, either the bytes asked for come out or
// an error.
func FuzzReadPart(f *testing.F) {
	f.Add(int64(1), int64(3), int64(3), "bytes 1-3/5", []byte("123"))
	f.Add(int64(0), int64(-1), int64(5), "", []byte("01234"))
	f.Fuzz(func(t *testing.T, off, n, length int64, rng string, body []byte) {
		if off < 0 || n == 0 || n > 0 && off+n < 0 || length > 1<<20 {
			return
		}
		data, err := ReadPart(Part{Name: "a", Off: off, N: n, Length: length, ContentRange: rng, Body: io.NopCloser(strings.NewReader(string(body)))})
		if err != nil {
			return
		}
		if int64(len(data)) != length || n > 0 && int64(len(data)) != n || string(data) != string(body) {
			t.Errorf("asked for %d from %d, got %d bytes of %d", n, off, len(data), len(body))
		}
	})
}
