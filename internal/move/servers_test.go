package move

import (
	"context"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
	"github.com/havre-hub/havre/internal/havre"
)

// Real servers, one of each kind for all tests; they end with this process.
var servers sync.Map // of func() (*serve.Server, error), by kind

func server(t testing.TB, kind string) *serve.Server {
	t.Helper()
	start, _ := servers.LoadOrStore(kind, sync.OnceValues(func() (*serve.Server, error) {
		ctx := context.WithoutCancel(t.Context())
		if kind == "azblob" {
			return serve.Azure(ctx, tempFor(t))
		}
		return serve.S3(ctx, tempFor(t))
	}))
	s, err := start.(func() (*serve.Server, error))()
	must(t, err)
	return s
}

// both servers' credentials.
func credentials(all ...*serve.Server) func(*hub) {
	return func(h *hub) {
		h.lines = true
		h.getenv = func(name string) string {
			for _, s := range all {
				if v := s.Getenv(name); v != "" {
					return v
				}
			}
			return ""
		}
	}
}

// TestBetweenAllKinds: every kind of store to every other, and drills.
func TestBetweenAllKinds(t *testing.T) {
	s3, az := server(t, "s3"), server(t, "azblob")
	place := map[string]func(name string) string{
		"file":   func(string) string { return folder(t) },
		"s3":     s3.URL,
		"azblob": az.URL,
	}
	for from := range place {
		for to := range place {
			t.Run(from+" to "+to, func(t *testing.T) {
				a, b, c := place[from](fresh()), place[to](fresh()), place[to](fresh())
				h := newHub(t, a, 40, credentials(s3, az))
				want := objects(t, h, a)
				_, err := h.Mover.Drill(t.Context(), PlanOptions{To: c, Actor: "op@hub.example"}, Pace{})
				must(t, err)
				dead(t, h, c)
				whole(t, h, b)
				same(t, h, b, want)
				dead(t, h, a)
				if r := report(t, h); r.From.Kind != from || r.To.Kind != to || r.Root != r.RootBack {
					t.Errorf("report %+v", r)
				}
			})
		}
	}
}

// TestNetwork: connections that break, answers that are lost, throttling, short
// answers, on either side, while a hub moves from Azure to S3.
func TestNetwork(t *testing.T) {
	s3, az := server(t, "s3"), server(t, "azblob")
	for name, trouble := range map[string][]blobtest.Fault{
		"throttling":  {blobtest.Status(503), blobtest.Status(429), blobtest.Status(500)},
		"broken":      {blobtest.CutDownload(10), blobtest.CutUpload(10), blobtest.CutUploadAtServer(10)},
		"lost answer": {blobtest.LoseAnswer},
		"short":       {blobtest.CutDownload(0), blobtest.Status(504)},
	} {
		for _, side := range []string{"old", "new"} {
			t.Run(name+" on the "+side+" side", func(t *testing.T) {
				t.Parallel()
				id := fresh()
				az0, s0 := az.URL(id), s3.URL(id)
				var proxy *blobtest.Proxy
				from, to := az0, s0
				if side == "old" {
					proxy = blobtest.StartProxy(t, az.Endpoint)
					from = az.URLThrough(proxy.URL, id)
				} else {
					proxy = blobtest.StartProxy(t, s3.Endpoint)
					to = s3.URLThrough(proxy.URL, id)
				}
				h := newHub(t, from, 24, credentials(s3, az))
				want := objects(t, h, from)
				_, err := advance(t.Context(), h, to)
				must(t, err)
				var faults []blobtest.Fault // every fifth request
				for i := range 60 {
					faults = append(faults, blobtest.Pass, blobtest.Pass, blobtest.Pass, blobtest.Pass, trouble[i%len(trouble)])
				}
				proxy.Next(faults...)
				whole(t, h, to)
				same(t, h, s0, want)
				dead(t, h, az0)
			})
		}
	}
}

// TestServerKilled: the server of either side is killed in the middle of the
// copy and comes back; nothing is lost.
func TestServerKilled(t *testing.T) {
	for _, side := range []string{"old", "new"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			one, err := serve.S3(t.Context(), dir)
			must(t, err)
			t.Cleanup(one.Stop)
			a, b := one.URL("hub"), folder(t)
			if side == "new" {
				a, b = b, a
			}
			h := newHub(t, a, 120, credentials(one))
			want := objects(t, h, a)
			_, err = advance(t.Context(), h, b)
			must(t, err)
			h.Mover.c.Progress = onStep{"copy", func() {
				go func() {
					time.Sleep(20 * time.Millisecond)
					one.Stop() // kill -9
					time.Sleep(300 * time.Millisecond)
					if err := one.Restart(context.Background()); err != nil {
						t.Error(err)
					}
				}()
			}}
			for over := false; !over; {
				if over, err = advance(t.Context(), h, b); havre.KindOf(err) == havre.StoreUnavailable && strings.Contains(err.Error(), "neither gives it nor deletes it") {
					// versitygw keeps its notes beside the objects, and a kill between
					// the two leaves notes of nothing: its operator clears them away.
					mend(t, dir)
					err = nil
				}
				must(t, err)
			}
			same(t, h, b, want)
			dead(t, h, a)
		})
	}
}

// mend removes versitygw's notes of objects that are not there.
func mend(t *testing.T, dir string) {
	notes := filepath.Join(dir, "notes")
	err := filepath.WalkDir(notes, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "meta" {
			return err
		}
		rel, err := filepath.Rel(notes, filepath.Dir(path))
		if err != nil {
			return err
		}
		if _, serr := os.Stat(filepath.Join(dir, "buckets", rel)); serr == nil {
			return fs.SkipDir
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		return fs.SkipDir
	})
	must(t, err)
}

// TestBandwidth: a limit is kept.
func TestBandwidth(t *testing.T) {
	from, to := folder(t), folder(t)
	h := newHub(t, from, 40, func(h *hub) { h.lines = true })
	_, err := advance(t.Context(), h, to)
	must(t, err)
	var bytes int64
	for _, b := range objects(t, h, from) {
		bytes += int64(len(b))
	}
	began := time.Now()
	// What is read, written and read back is some three times the bytes; a
	// second of it goes at once.
	_, err = h.Mover.Run(t.Context(), Pace{Bandwidth: bytes})
	must(t, err)
	if took := time.Since(began); took < 1500*time.Millisecond || took > 20*time.Second {
		t.Errorf("%d bytes at %d bytes/s took %v", 3*bytes, bytes, took)
	}
}

// fresh is a prefix that no other test uses.
func fresh() string { return strings.ToLower(rand.Text()) }

// tempFor makes a folder that outlives the test.
func tempFor(t testing.TB) string {
	dir, err := os.MkdirTemp("", "havre-move-")
	must(t, err)
	folders = append(folders, dir)
	return dir
}

var folders []string

func TestMain(m *testing.M) {
	code := m.Run()
	servers.Range(func(_, start any) bool {
		if s, err := start.(func() (*serve.Server, error))(); err == nil {
			s.Stop()
		}
		return true
	})
	for _, dir := range folders {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}
