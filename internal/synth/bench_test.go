package synth

import (
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkGenerate reports residents and bytes a second; -bench 'Generate/100000$'.
func BenchmarkGenerate(b *testing.B) {
	for _, n := range []int{2_000, 20_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for i := range b.N {
				sum, err := Generate(b.Context(), Options{Residents: n, Seed: 1, Out: filepath.Join(b.TempDir(), fmt.Sprint(i))})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(sum.Bytes)
				b.ReportMetric(float64(sum.Rows)/float64(n), "rows/resident")
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "residents/s")
		})
	}
}
