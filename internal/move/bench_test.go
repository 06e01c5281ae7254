package move

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
)

// load fills a store with n objects of about that size, named by their hash.
func load(tb testing.TB, s blob.Store, n, size int) (bytesWritten int64) {
	tb.Helper()
	var total atomic.Int64
	g, ctx := errgroup.WithContext(tb.Context())
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			b := make([]byte, size/2+r.IntN(size))
			for j := 0; j < len(b); j += 8 {
				for k, v := 0, r.Uint64(); k < 8 && j+k < len(b); k, v = k+1, v>>8 {
					b[j+k] = byte(v)
				}
			}
			sum := sha256.Sum256(b)
			x := hex.EncodeToString(sum[:])
			total.Add(int64(len(b)))
			return s.Put(ctx, "segment/"+x[:2]+"/"+x, b)
		})
	}
	must(tb, g.Wait())
	must(tb, blob.PutSame(tb.Context(), s, "snapshot/000000000000", []byte("snapshot 0")))
	return total.Load()
}

// twoServers starts two S3 servers and makes a hub at the first, with n objects.
func twoServers(b *testing.B, n, size int) (h *hub, one, two *serve.Server, bytes int64) {
	b.Helper()
	var err error
	one, err = serve.S3(b.Context(), b.TempDir())
	must(b, err)
	b.Cleanup(one.Stop)
	two, err = serve.S3(b.Context(), b.TempDir())
	must(b, err)
	b.Cleanup(two.Stop)
	// Each server has credentials of its own: a file each, as users would.
	url := func(s *serve.Server, prefix string) string {
		path := b.TempDir() + "/credentials"
		text := fmt.Sprintf("AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", s.Getenv("AWS_ACCESS_KEY_ID"), s.Getenv("AWS_SECRET_ACCESS_KEY"))
		must(b, os.WriteFile(path, []byte(text), 0o600))
		return s.URL(prefix) + "&credentials=" + path
	}
	h = newHub(b, url(one, "hub"), 0, func(h *hub) { h.lines = true })
	bytes = load(b, h.Live.Current(), n, size)
	must(b, os.WriteFile(h.dir+"/to", []byte(url(two, "hub")), 0o600))
	return h, one, two, bytes
}

func (h *hub) to(b testing.TB) string {
	url, err := os.ReadFile(h.dir + "/to")
	must(b, err)
	return string(url)
}

// rclone runs the Debian package on the same objects.
func rclone(b *testing.B, one, two *serve.Server, args ...string) time.Duration {
	b.Helper()
	cmd := exec.Command("rclone", append(args, "--transfers", "8", "--checkers", "8", "--config", os.DevNull)...)
	// A bundle of certificates in the environment is more than this rclone understands.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	for name, s := range map[string]*serve.Server{"ONE": one, "TWO": two} {
		for k, v := range map[string]string{"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": s.Endpoint, "REGION": "us-east-1", "FORCE_PATH_STYLE": "true",
			"ACCESS_KEY_ID": s.Getenv("AWS_ACCESS_KEY_ID"), "SECRET_ACCESS_KEY": s.Getenv("AWS_SECRET_ACCESS_KEY")} {
			cmd.Env = append(cmd.Env, "RCLONE_CONFIG_"+name+"_"+k+"="+v)
		}
	}
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("rclone %v: %v\n%s", args, err, tail(out))
	}
	return time.Since(began)
}

func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }

// BenchmarkMove: copying to a second S3 server and reading everything back,
// against rclone copy and rclone check --download on the same objects, between
// the same servers. ratio is rclone's time over ours: more than 1 is faster.
// One size is that of the demo's segments; the other is many small objects.
func BenchmarkMove(b *testing.B) {
	for _, c := range []struct{ objects, size int }{{2_000, 500 << 10}, {100_000, 4 << 10}} {
		b.Run(fmt.Sprintf("%dx%dKiB", c.objects, c.size>>10), func(b *testing.B) {
			h, one, two, size := twoServers(b, c.objects, c.size)
			for b.Loop() {
				b.StopTimer()
				_, err := h.Mover.Plan(b.Context(), PlanOptions{To: h.to(b), Actor: "op"})
				must(b, err)
				began := time.Now()
				b.StartTimer()
				_, err = h.Mover.Run(b.Context(), Pace{})
				must(b, err)
				ours := time.Since(began)
				b.StopTimer()
				st, err := h.Mover.Status(b.Context())
				must(b, err)
				theirs := rclone(b, one, two, "copy", "ONE:havre/hub", "TWO:havre/rclone") +
					rclone(b, one, two, "check", "--download", "ONE:havre/hub", "TWO:havre/rclone")
				b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
				b.ReportMetric(ours.Seconds(), "move-s")
				b.ReportMetric(theirs.Seconds(), "rclone-s")
				b.ReportMetric(float64(c.objects)/ours.Seconds(), "objects/s")
				b.ReportMetric(float64(size)/1e6/ours.Seconds(), "MB/s")
				b.ReportMetric(float64(st.FreezeMS), "freeze-ms")
				b.StartTimer()
			}
		})
	}
}

// BenchmarkReadsDuringMove: how many objects a hub reads in a second, alone and
// while a move runs at full speed. share is the second over the first.
func BenchmarkReadsDuringMove(b *testing.B) {
	h, _, _, _ := twoServers(b, 3_000, 200<<10)
	var names []string
	for info, err := range h.Live.List(b.Context(), "segment/") {
		must(b, err)
		names = append(names, info.Name)
	}
	read := func(ctx context.Context) float64 { // objects a second, by two readers
		var n atomic.Int64
		began := time.Now()
		g, gctx := errgroup.WithContext(ctx)
		for r := range 2 {
			g.Go(func() error {
				for i := r; gctx.Err() == nil; i += 2 {
					if _, err := blob.GetAll(context.WithoutCancel(gctx), h.Live, names[i*7919%len(names)]); err != nil {
						return err
					}
					n.Add(1)
				}
				return nil
			})
		}
		must(b, g.Wait())
		return float64(n.Load()) / time.Since(began).Seconds()
	}
	for b.Loop() {
		quiet := func() float64 {
			ctx, stop := context.WithTimeout(b.Context(), 4*time.Second)
			defer stop()
			return read(ctx)
		}
		alone := quiet()
		_, err := h.Mover.Plan(b.Context(), PlanOptions{To: h.to(b), Actor: "op"})
		must(b, err)
		ctx, stop := context.WithCancel(b.Context())
		began := time.Now()
		done := make(chan error, 1)
		go func() {
			_, err := h.Mover.Run(b.Context(), Pace{})
			done <- err
			stop()
		}()
		during := read(ctx)
		must(b, <-done)
		took := time.Since(began)
		alone = (alone + quiet()) / 2 // before and after: the machine is not always the same
		b.ReportMetric(during/alone, "share")
		b.ReportMetric(alone, "alone-reads/s")
		b.ReportMetric(during, "during-reads/s")
		b.ReportMetric(took.Seconds(), "move-s")
	}
}

// BenchmarkFreeze: how long writes wait when a hub writes all through a move of
// 20,000 objects, as fast as four deliveries at once can.
func BenchmarkFreeze(b *testing.B) {
	h, _, _, _ := twoServers(b, 20_000, 4<<10)
	for b.Loop() {
		_, err := h.Mover.Plan(b.Context(), PlanOptions{To: h.to(b), Actor: "op"})
		must(b, err)
		ctx, stop := context.WithCancel(b.Context())
		var longest, wrote atomic.Int64
		g, _ := errgroup.WithContext(ctx)
		for w := range 4 {
			g.Go(func() error {
				for i := 0; ctx.Err() == nil; i++ {
					began := time.Now()
					if err := h.Live.Put(context.WithoutCancel(ctx), fmt.Sprintf("delivery/%d/%06d", w, i), bytes.Repeat([]byte{byte(i)}, 64<<10)); err != nil {
						return err
					}
					wrote.Add(1)
					for took := time.Since(began).Milliseconds(); ; {
						old := longest.Load()
						if took <= old || longest.CompareAndSwap(old, took) {
							break
						}
					}
				}
				return nil
			})
		}
		st, err := h.Mover.Run(b.Context(), Pace{})
		must(b, err)
		stop()
		must(b, g.Wait())
		b.ReportMetric(float64(st.FreezeMS), "freeze-ms")
		b.ReportMetric(float64(longest.Load()), "longest-write-ms")
		b.ReportMetric(float64(wrote.Load()), "writes-meanwhile")
	}
}
