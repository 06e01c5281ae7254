package study_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/analysis"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/runner"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/realinput"
)

// libraryCounts counts every definition of the library by sex.
func libraryCounts(b *testing.B) *study.Definition {
	b.Helper()
	f, err := os.Open(realinput.Path(b, "cohorts/definitions.json.tar.zst"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	defer z.Close()
	files := map[string][]byte{}
	cohorts, analyses := "cohorts:\n", "analyses:\n"
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		name, ok := strings.CutSuffix(path.Base(h.Name), ".json")
		if !ok {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := cohort.Parse(data); err != nil {
			continue
		}
		files[name+".json"] = data
		cohorts += fmt.Sprintf("  c%s: {circe: %s.json}\n", name, name)
		analyses += fmt.Sprintf("  - {name: c%s, kind: counts, cohort: c%s, by: [sex]}\n", name, name)
	}
	d, err := study.Parse([]byte("name: library\n"+cohorts+analyses), func(name string) ([]byte, error) { return files[name], nil })
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// many are rows in a great number of buckets.
type many struct {
	*studytest.Population
	buckets int
}

func (m many) Buckets() int { return m.buckets }

// given is a runner that has all partial results already.
type given [][]byte

func (g given) Run(_ context.Context, t runner.Task) error {
	var all errgroup.Group
	all.SetLimit(4)
	for _, bucket := range t.Buckets {
		all.Go(func() error { return t.Done(bucket, g[bucket]) })
	}
	return all.Wait()
}

// BenchmarkMerge merges the partial results of 16,384 buckets of the whole
// library's counts, as they come from a runner: opened, checked, merged, finished.
func BenchmarkMerge(b *testing.B) {
	const buckets = 1 << 14
	d := libraryCounts(b)
	tables := studytest.ReadFolder(b, realinput.Path(b, "cohorts/dense-cdm"))
	j := study.Job{ID: "merge", Definition: d, Rows: many{studytest.New(4, tables), buckets}, Vocabulary: studytest.NewVocabulary(tables), Build: analysis.Build}
	m, err := study.NewMapper(b.Context(), j)
	if err != nil {
		b.Fatal(err)
	}
	var real [4][]byte
	for i := range real {
		if real[i], err = m.Map(b.Context(), i); err != nil {
			b.Fatal(err)
		}
	}
	all := make(given, buckets)
	size := 0
	for i := range all {
		all[i] = m.Stamped(real[i%len(real)], i)
		size += len(all[i])
	}
	j.Runner = all
	for b.Loop() {
		began := time.Now()
		out, err := study.Run(b.Context(), j)
		if err != nil || len(out) != len(d.Analyses) {
			b.Fatalf("%d outputs, %v", len(out), err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/merge")
		b.ReportMetric(float64(size)/buckets, "B/partial")
		b.ReportMetric(float64(len(d.Analyses)), "analyses")
	}
}

// BenchmarkMemory maps one bucket of 2 M rows with the whole library and tells
// how far the heap grows, for each row: what a bucket needs of memory.
func BenchmarkMemory(b *testing.B) {
	tables := studytest.ReadFolder(b, realinput.Path(b, "cohorts/dense-cdm"))
	rows := 0
	for name, t := range tables {
		if spec, ok := omop.Lookup(name); ok && spec.PersonLevel {
			rows += t.Len()
		}
	}
	j := study.Job{ID: "memory", Definition: libraryCounts(b), Rows: studytest.New(1, tables), Vocabulary: studytest.NewVocabulary(tables), Build: analysis.Build}
	m, err := study.NewMapper(b.Context(), j)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		debug.FreeOSMemory()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		before, most := stats.HeapAlloc, uint64(0)
		over, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				runtime.ReadMemStats(&stats)
				most = max(most, stats.HeapAlloc)
				select {
				case <-over:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		}()
		if _, err := m.Map(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		close(over)
		<-done
		b.ReportMetric(float64(most-before)/float64(rows), "heap-B/row")
		b.ReportMetric(float64(rows), "rows")
	}
}
