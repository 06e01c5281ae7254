package pool_test

import (
	"strconv"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study/runner"
	"github.com/havre-hub/havre/internal/hub/study/runner/pool"
	"github.com/havre-hub/havre/internal/hub/study/runner/runnertest"
)

func TestPool(t *testing.T) {
	for _, workers := range []int{0, 1, 2, 7} {
		t.Run(strconv.Itoa(workers), func(t *testing.T) {
			runnertest.Run(t, func() runner.Runner { return pool.Pool{Workers: workers} })
		})
	}
}
