package s3

import (
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
)

func TestConformance(t *testing.T) {
	server := blobtest.StartS3(t)
	blobtest.Run(t, 1000, func(t testing.TB) blob.Store {
		s, err := blob.NewRegistry(Driver{}).Open(t.Context(), server.URL("hub"), blob.Options{Getenv: server.Getenv})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
