package app_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/app/demo"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/runner/spark/sparktest"
)

// BenchmarkSpark runs the demo's study in this process on one and two cores,
// and on Spark with one, two and four executors of one core, over one
// population with its store on S3; $HAVRE_BENCH_RESIDENTS sets its size. It
// reports the time of the whole run, of Spark's start in it, of what workers
// spent on buckets, and how fast the run was against the pool on two cores, its
// start included and not.
func BenchmarkSpark(b *testing.B) {
	residents := 100_000
	if n, err := strconv.Atoi(os.Getenv("HAVRE_BENCH_RESIDENTS")); err == nil {
		residents = n
	}
	c := sparktest.Start(b, 4)
	c.Setenv(b)
	s3, err := serve.S3(b.Context(), b.TempDir())
	must(b, err)
	b.Cleanup(func() { s3.Stop() })
	g := newGrid(b, c, s3, "bench", demo.Options{Residents: residents, Seed: 7})
	var pool time.Duration
	want := ""
	for _, cores := range []int{1, 2} {
		b.Run(fmt.Sprintf("pool-%d", cores), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			for i := range b.N {
				began := time.Now()
				want, _, err = g.outputs(b, app.On{}, fmt.Sprintf("pool-%d-%d", cores, i), havre.NoProgress)
				must(b, err)
				pool = time.Since(began)
			}
			b.ReportMetric(pool.Seconds(), "s/run")
			b.ReportMetric(float64(residents)/pool.Seconds(), "persons/s")
		})
	}
	for _, executors := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("spark-%d", executors), func(b *testing.B) {
			on := g.on("worker")
			on.Spark.Conf["spark.cores.max"] = strconv.Itoa(executors)
			for i := range b.N {
				began := time.Now()
				got, where, err := g.outputs(b, on, fmt.Sprintf("spark-%d-%d", executors, i), havre.NoProgress)
				took := time.Since(began)
				must(b, err)
				if got != want {
					b.Fatal("Spark gives other bytes than the pool")
				}
				start, err := strconv.ParseFloat(where["start_seconds"], 64)
				must(b, err)
				worked, err := strconv.ParseFloat(where["worker_seconds"], 64)
				must(b, err)
				b.ReportMetric(took.Seconds(), "s/run")
				b.ReportMetric(start, "s/start")
				b.ReportMetric(worked, "s/buckets")
				b.ReportMetric(pool.Seconds()/took.Seconds(), "x-pool")
				b.ReportMetric(pool.Seconds()/(took.Seconds()-start), "x-pool-after-start")
			}
		})
	}
}
