package spark

import (
	"slices"
	"strconv"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/runner/worker"
)

// TestChunks: every bucket is in one chunk, in order, and chunks shrink.
func TestChunks(t *testing.T) {
	for _, c := range []struct{ buckets, parallel, first int }{{1, 1, 1}, {64, 2, 16}, {64, 100, 1}, {16384, 2, maxChunk}, {5, 1, 2}} {
		var buckets []int
		for b := range c.buckets {
			buckets = append(buckets, b)
		}
		out := chunks(slices.Clone(buckets), c.parallel, strconv.Itoa)
		var all []int
		last := maxChunk
		for _, chunk := range out {
			if len(chunk) > last || len(chunk) == 0 {
				t.Errorf("%d buckets on %d: a chunk of %d after one of %d", c.buckets, c.parallel, len(chunk), last)
			}
			last = len(chunk)
			for _, line := range chunk {
				b, _ := strconv.Atoi(line)
				all = append(all, b)
			}
		}
		if !slices.Equal(all, buckets) || len(out[0]) != c.first || c.buckets > c.parallel && len(out[len(out)-1]) != 1 {
			t.Errorf("%d buckets on %d: %d chunks, the first of %d, the last of %d", c.buckets, c.parallel, len(out), len(out[0]), len(out[len(out)-1]))
		}
	}
}

// TestFailed: what Spark tells of a failed job becomes the worker's own error,
// or at least that of its exit code.
func TestFailed(t *testing.T) {
	for text, kind := range map[string]havre.Kind{
		worker.ErrorLine(havre.E("x", havre.Refused, "another version")):            havre.Refused,
		"[PIPE_FUNCTION_EXITED] Pipe function `x` exited with error code 17.":       havre.StoreUnavailable,
		"[PIPE_FUNCTION_EXITED] Pipe function `x` exited with error code -9.":       havre.Internal,
		"Job aborted due to stage failure: ExecutorLostFailure (executor 1 exited)": havre.Internal,
		"": havre.Internal,
	} {
		err := failed(text)
		if havre.KindOf(err) != kind || havre.HintOf(err) == "" && kind != havre.Refused {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzWord: whatever comes over the socket is read or refused.
func FuzzWord(f *testing.F) {
	f.Add(`havre {"run":1,"end":true,"failed":"x"}`)
	f.Add("partial AAAA")
	f.Add("havre {")
	f.Fuzz(func(t *testing.T, line string) {
		if _, own, err := parseWord(line); err != nil && !own {
			t.Errorf("%q is not the job's and an error: %v", line, err)
		}
		_ = failed(line)
	})
}
