package s3

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
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
