package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/app"
	"github.com/havre-hub/havre/internal/app/demo"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest/serve"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/runner/spark/sparktest"
)

// several asks of the demo's cohorts what people ask of theirs: more than the
// demo's own study does, and of more tables.
const several = `name: several
title: Several analyses of each cohort
cohorts:
  drug-a: {circe: drug-a.json}
  drug-b: {circe: drug-b.json}
  bleeding: {circe: bleeding.json}
  first-bleeding: {circe: first-bleeding.json}
analyses:
  - {name: drugs, kind: characterisation, target: drug-a, comparator: drug-b}
  - {name: bleedings, kind: characterisation, target: bleeding, comparator: first-bleeding, window: {start: -730, end: 30}}
  - {name: in-a-year, kind: prevalence, target: drug-a, outcome: bleeding, by: [sex, age_band]}
  - {name: on-a-day, kind: prevalence, target: drug-b, outcome: first-bleeding, type: point, by: [sex, age_band]}
  - {name: paths-a, kind: pathways, target: drug-a, events: [drug-b, bleeding]}
  - {name: paths-b, kind: pathways, target: drug-b, events: [drug-a, bleeding]}
  - {name: survival, kind: survival, target: drug-a, comparator: drug-b, outcome: bleeding, by: [sex], time_at_risk: {start: 1, end: 730}}
  - {name: hazard, kind: hazard_ratio, target: drug-a, comparator: drug-b, outcome: bleeding, adjust: [sex, age], time_at_risk: {start: 1, end: 730}}
`

// BenchmarkSpark runs the demo's study, and one of several analyses, in this
// process on one and two cores, and on Spark with one, two and four executors
// of one core, over one population with its store on S3; $HAVRE_BENCH_RESIDENTS
// sets its size. Each run begins with nothing in the hub's memory. It reports
// the time of the whole run, of Spark's start in it, of what workers spent on
// buckets, and how fast the run was against the pool on two cores, its start
// included and not.
func BenchmarkSpark(b *testing.B) {
	residents := 100_000
	if n, err := strconv.Atoi(os.Getenv("HAVRE_BENCH_RESIDENTS")); err == nil {
		residents = n
	}
	folder := b.TempDir()
	must(b, os.CopyFS(folder, os.DirFS(filepath.Join("demo", "study"))))
	file := filepath.Join(folder, "several.yaml")
	must(b, os.WriteFile(file, []byte(several), 0o600))
	own, err := app.ReadStudy(filepath.Join(folder, "study.yaml"))
	must(b, err)
	c := sparktest.Start(b, 4)
	c.Setenv(b)
	s3, err := serve.S3(b.Context(), b.TempDir())
	must(b, err)
	b.Cleanup(func() { s3.Stop() })
	g := newGrid(b, c, s3, "bench", demo.Options{Residents: residents, Seed: 7, Study: file}) // its permit covers both
	for _, d := range []*study.Definition{own, g.study} {
		b.Run(d.Name, func(b *testing.B) {
			g.study = d
			benchmarkSpark(b, g, residents)
		})
	}
}

func benchmarkSpark(b *testing.B, g *grid, residents int) {
	run := func(b *testing.B, on app.On, id string) (string, map[string]string, time.Duration) {
		must(b, g.hub.Close())
		g.open()
		began := time.Now()
		out, where, err := g.outputs(b, on, g.study.Name+"-"+id, havre.NoProgress)
		must(b, err)
		return out, where, time.Since(began)
	}
	var pool time.Duration
	want := ""
	for _, cores := range []int{1, 2} {
		b.Run(fmt.Sprintf("pool-%d", cores), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			for i := range b.N {
				want, _, pool = run(b, app.On{}, fmt.Sprintf("pool-%d-%d", cores, i))
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
				got, where, took := run(b, on, fmt.Sprintf("spark-%d-%d", executors, i))
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
