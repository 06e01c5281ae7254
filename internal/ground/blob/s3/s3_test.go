package s3

import (
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
	"github.com/havre-hub/havre/internal/havre"
)

func TestStore(t *testing.T) {
	server := blobtest.StartS3(t)
	open := func(t testing.TB, endpoint, prefix string) blob.Store {
		t.Helper()
		s, err := blob.NewRegistry(Driver{}).Open(t.Context(), server.URLThrough(endpoint, prefix), blob.Options{Getenv: server.Getenv})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("conformance", func(t *testing.T) {
		blobtest.Run(t, 1000, func(t testing.TB) blob.Store { return open(t, server.Endpoint, "hub/a") })
	})
	t.Run("faults", func(t *testing.T) {
		var places atomic.Int64
		blobtest.RunFaults(t, server, func(t testing.TB, endpoint string) blob.Store {
			return open(t, endpoint, fmt.Sprintf("faults/%d", places.Add(1)))
		})
	})
}

// TestRefused opens the store in ways that the server must turn down, and expects
// every operation to fail at once, and never as if the object were absent.
func TestRefused(t *testing.T) {
	server := blobtest.StartS3(t)
	wrong := map[string]string{"AWS_ACCESS_KEY_ID": server.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY": "wrong"}
	for what, c := range map[string]struct {
		url    string
		getenv func(string) string
	}{
		"no such bucket": {strings.Replace(server.URL("p"), "s3://havre/", "s3://absent/", 1), server.Getenv},
		"wrong key":      {server.URL("p"), func(name string) string { return wrong[name] }},
	} {
		t.Run(what, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			s, err := blob.NewRegistry(Driver{}).Open(ctx, c.url, blob.Options{Getenv: c.getenv})
			if err != nil {
				t.Fatal(err)
			}
			_, getErr := s.Get(ctx, "a", 0, -1)
			_, emptyErr := s.Get(ctx, "a", 0, 0)
			_, statErr := s.Stat(ctx, "a")
			var listErr error
			for _, err := range s.List(ctx, "") {
				listErr = err
			}
			for i, err := range []error{getErr, emptyErr, statErr, listErr, s.Put(ctx, "a", nil), s.Delete(ctx, "a")} {
				if havre.KindOf(err) != havre.StoreUnavailable || havre.HintOf(err) == "" {
					t.Errorf("operation %d: error %v of kind %q, hint %q", i, err, havre.KindOf(err), havre.HintOf(err))
				}
			}
			if ctx.Err() != nil {
				t.Error("a refusal was repeated")
			}
		})
	}
}

func TestTLS(t *testing.T) {
	server := blobtest.StartS3(t)
	proxy, tls := blobtest.StartTLSProxy(t, server.Endpoint)
	open := func(settings string) blob.Store {
		t.Helper()
		s, err := blob.NewRegistry(Driver{}).Open(t.Context(), server.URLThrough(proxy.URL, "tls")+settings, blob.Options{Getenv: server.Getenv})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	err := open("").Put(t.Context(), "a", []byte("x"))
	if havre.KindOf(err) != havre.StoreUnavailable || !strings.Contains(havre.HintOf(err), "ca=FILE") {
		t.Errorf("unknown authority: %v, hint %q", err, havre.HintOf(err))
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := blob.Probe(t.Context(), open("&ca="+url.QueryEscape(ca))); err != nil {
		t.Error(err)
	}
	for _, file := range []string{filepath.Join(t.TempDir(), "absent"), os.Args[0]} {
		_, err := blob.NewRegistry(Driver{}).Open(t.Context(), server.URL("tls")+"&ca="+url.QueryEscape(file), blob.Options{Getenv: server.Getenv})
		if havre.KindOf(err) != havre.Invalid {
			t.Errorf("ca=%s: %v", file, err)
		}
	}
}

func TestParse(t *testing.T) {
	for raw, want := range map[string]havre.Kind{
		"s3://bucket?endpoint=https://h":                                  "",
		"s3://bucket/?endpoint=https://h/":                                "",
		"s3://bucket/a/b?endpoint=https://h:1&region=eu&lookup=dns&ca=/f": "",
		"s3://my.bucket-1/a?endpoint=http://127.0.0.1:1&credentials=/f":   "",
		"s3://bucket":                                 havre.Invalid,
		"s3://?endpoint=https://h":                    havre.Invalid,
		"s3:bucket?endpoint=https://h":                havre.Invalid,
		"s3://b?endpoint=https://h":                   havre.Invalid,
		"s3://Bucket?endpoint=https://h":              havre.Invalid,
		"s3://127.0.0.1?endpoint=https://h":           havre.Invalid,
		"s3://bucket/A?endpoint=https://h":            havre.Invalid,
		"s3://bucket/../a?endpoint=https://h":         havre.Invalid,
		"s3://bucket/a?endpoint=https://h/path":       havre.Invalid,
		"s3://bucket/a?endpoint=https://h&lookup=x":   havre.Invalid,
		"s3://bucket/a?endpoint=https://h&regoin=x":   havre.Invalid,
		"s3://bucket/a?endpoint=http://s3.example.eu": havre.Refused,
	} {
		u, err := blob.ParseURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(u); havre.KindOf(err) != want {
			t.Errorf("%q: error %v, want kind %q", raw, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, raw := range []string{
		"s3://bucket?endpoint=https://h",
		"s3://bucket/?endpoint=https://h/",
		"s3://bucket/a/b?endpoint=https://h:1&region=eu&lookup=dns&ca=/f",
		"s3://my.bucket-1/a?endpoint=http://127.0.0.1:1&credentials=/f",
		"s3://bucket",
		"s3://?endpoint=https://h",
		"s3:bucket?endpoint=https://h",
		"s3://b?endpoint=https://h",
		"s3://Bucket?endpoint=https://h",
		"s3://127.0.0.1?endpoint=https://h",
		"s3://bucket/A?endpoint=https://h",
		"s3://bucket/../a?endpoint=https://h",
		"s3://bucket/a?endpoint=https://h/path",
		"s3://bucket/a?endpoint=https://h&lookup=x",
		"s3://bucket/a?endpoint=https://h&regoin=x",
		"s3://bucket/a?endpoint=http://s3.example.eu",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := blob.ParseURL(raw)
		if err != nil || u.Scheme != "s3" {
			return
		}
		c, err := parse(u)
		if err != nil {
			if k := havre.KindOf(err); k != havre.Invalid && k != havre.Refused {
				t.Errorf("%q: error %v of kind %q", raw, err, k)
			}
			return
		}
		if c.prefix != "" && !blob.ValidName(c.prefix+"a") {
			t.Errorf("%q has the prefix %q", raw, c.prefix)
		}
		if c.endpoint != nil && c.endpoint.Scheme == "http" {
			host := c.endpoint.Hostname()
			if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				t.Errorf("%q goes to %s in clear", raw, host)
			}
		}
	})
}

func BenchmarkPutGet1MiB(b *testing.B) {
	server := blobtest.StartS3(b)
	s, err := blob.NewRegistry(Driver{}).Open(b.Context(), server.URL("bench"), blob.Options{Getenv: server.Getenv})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 1<<20)
	b.SetBytes(2 * int64(len(data)))
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprintf("bench/%d", i)
		if err := s.Put(b.Context(), name, data); err != nil {
			b.Fatal(err)
		}
		if _, err := blob.GetAll(b.Context(), s, name); err != nil {
			b.Fatal(err)
		}
	}
}
