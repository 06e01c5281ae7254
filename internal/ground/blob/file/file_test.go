package file

import (
	"testing"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
)

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	blobtest.Run(t, 0, func(t testing.TB) blob.Store {
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
