package azure

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
	server := blobtest.StartAzure(t)
	open := func(t testing.TB, endpoint, prefix string) blob.Store {
		t.Helper()
		s, err := blob.NewRegistry(Driver{}).Open(t.Context(), server.URLThrough(endpoint, prefix), blob.Options{Getenv: server.Getenv})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("conformance", func(t *testing.T) {
		blobtest.Run(t, 5000, func(t testing.TB) blob.Store { return open(t, server.Endpoint, "hub/a") })
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
	server := blobtest.StartAzure(t)
	wrong := map[string]string{"AZURE_STORAGE_KEY": "d3Jvbmc="}
	for what, c := range map[string]struct {
		url    string
		getenv func(string) string
	}{
		"no such container": {strings.Replace(server.URL("p"), "azblob://havre/", "azblob://absent/", 1), server.Getenv},
		"wrong key":         {server.URL("p"), func(name string) string { return wrong[name] }},
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
	server := blobtest.StartAzure(t)
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
		"azblob://container": "",
		"azblob://container/a/b?account=abc&ca=/f&credentials=/f":    "",
		"azblob://c-1/a?account=abc&endpoint=http://127.0.0.1:1/abc": "",
		"azblob://container?endpoint=https://h":                      "",
		"azblob://":                                                  havre.Invalid,
		"azblob:container":                                           havre.Invalid,
		"azblob://c":                                                 havre.Invalid,
		"azblob://Container":                                         havre.Invalid,
		"azblob://a--b":                                              havre.Invalid,
		"azblob://a-":                                                havre.Invalid,
		"azblob://container/A":                                       havre.Invalid,
		"azblob://container?account=A":                               havre.Invalid,
		"azblob://container?account=evil.host/":                      havre.Invalid,
		"azblob://container?region=x":                                havre.Invalid,
		"azblob://container?endpoint=h":                              havre.Invalid,
		"azblob://container?endpoint=http://h":                       havre.Refused,
		"azblob://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": havre.Invalid,
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
		"azblob://container",
		"azblob://container/a/b?account=abc&ca=/f&credentials=/f",
		"azblob://c-1/a?account=abc&endpoint=http://127.0.0.1:1/abc",
		"azblob://container?endpoint=https://h",
		"azblob://",
		"azblob:container",
		"azblob://c",
		"azblob://Container",
		"azblob://a--b",
		"azblob://a-",
		"azblob://container/A",
		"azblob://container?account=A",
		"azblob://container?account=evil.host/",
		"azblob://container?region=x",
		"azblob://container?endpoint=h",
		"azblob://container?endpoint=http://h",
		"azblob://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := blob.ParseURL(raw)
		if err != nil || u.Scheme != "azblob" {
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
	server := blobtest.StartAzure(b)
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
