package survival

import (
	"math"
	"math/rand/v2"
	"testing"
)

// BenchmarkFit fits four covariates over 100,000 persons in 2,000 patterns and
// 730 days, some 10,000 of them with the event.
func BenchmarkFit(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	persons := make([]Alike, 2000)
	for i := range persons {
		persons[i].X = []float64{float64(i % 2), float64(i / 2 % 2), float64(i/4%100)/10 - 5, float64(i / 400)}
	}
	for range 100_000 {
		a := &persons[r.IntN(len(persons))]
		day := int(r.ExpFloat64() * 7000 / math.Exp(0.3*a.X[0]+0.1*a.X[2]))
		row := Row{Time: 1 + day, Events: 1}
		if day >= 730 {
			row = Row{Time: 730, Censored: 1}
		}
		a.Rows = append(a.Rows, row)
	}
	for i := range persons {
		persons[i].Rows = Merge(persons[i].Rows)
	}
	for b.Loop() {
		if e := fit(b, persons, 4, Efron); !e.Found {
			b.Fatal("no maximum")
		}
	}
}
