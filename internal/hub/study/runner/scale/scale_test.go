package scale

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse/warehousetest"
)

func nation() Case {
	return Case{Persons: 67_000_000, Rows: 100_000_000_000, Definitions: 1, Tables: 10, Deliveries: 1, Machines: 10, Cores: 16,
		Memory: 64 << 30, Bandwidth: 1e9, CoreHour: 0.05, StoreMonth: 0.02}
}

// TestNation works the example of docs/performance.md out by hand.
func TestNation(t *testing.T) {
	a, err := nation().Answer(Measured)
	if err != nil {
		t.Fatal(err)
	}
	// 10^11 rows at 8.4 M a bucket are 16,384 buckets of 6.1 M; 10^11 x 122 ns are 3.4 core-hours.
	if a.Buckets != 16384 || math.Abs(a.RowsBucket-6.1e6) > 1e4 || math.Abs(a.CoreHours-3.4) > 0.2 || a.Processes != 16 {
		t.Errorf("%+v", a)
	}
	if a.Skew < 1.05 || a.Skew > 1.15 {
		t.Errorf("4,089 persons a bucket: largest to median %.2f", a.Skew)
	}
	if ideal := time.Duration(a.CoreHours / 160 * float64(time.Hour)); a.Map < ideal || a.Map > 2*ideal {
		t.Errorf("the map takes %s on 160 cores, %s if nothing were lost", a.Map, ideal)
	}
}

// TestAnswers: more machines are faster, more rows dearer, and what cannot be
// is refused.
func TestAnswers(t *testing.T) {
	base, err := nation().Answer(Measured)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Case){
		"more machines":    func(c *Case) { c.Machines *= 4 },
		"fewer rows":       func(c *Case) { c.Rows /= 10 },
		"fewer deliveries": func(c *Case) { c.Deliveries = 1; c.Tables = 2 },
	} {
		c := nation()
		change(&c)
		if a, err := c.Answer(Measured); err != nil || a.Total >= base.Total {
			t.Errorf("%s: %s, before %s; %v", name, a.Total, base.Total, err)
		}
	}
	library := nation()
	library.Definitions = 500
	if a, err := library.Answer(Measured); err != nil || a.CoreHours < 5*base.CoreHours || a.CoreHours > 500*base.CoreHours/10 {
		t.Errorf("500 definitions take %.1f core-hours, one takes %.1f: they share the pass; %v", a.CoreHours, base.CoreHours, err)
	}
	for name, change := range map[string]func(*Case){
		"no persons":       func(c *Case) { c.Persons = 0 },
		"rows of nobody":   func(c *Case) { c.Rows = 5 },
		"no machine":       func(c *Case) { c.Machines = 0 },
		"too small memory": func(c *Case) { c.Memory = 1 << 30; c.Buckets = 64 },
	} {
		c := nation()
		change(&c)
		if _, err := c.Answer(Measured); havre.KindOf(err) != havre.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkSkew spreads a million persons over buckets with the warehouse's own
// hash, each with a number of rows that varies as much as its mean (103), and
// compares the largest bucket with the median one.
func BenchmarkSkew(b *testing.B) {
	const persons = 1_000_000
	for _, buckets := range []int{64, 1024, 16384} {
		b.Run(fmt.Sprint(buckets), func(b *testing.B) {
			w := warehousetest.New(b, buckets)
			snap, err := w.Current(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				r := rand.New(rand.NewPCG(1, 2))
				rows := make([]float64, buckets)
				for range persons {
					rows[snap.BucketOf(havre.PersonID(r.Int64()))] += 1 + 102*r.ExpFloat64()
				}
				slices.Sort(rows)
				measured := rows[buckets-1] / rows[buckets/2]
				predicted := Skew(persons/float64(buckets), float64(buckets))
				b.ReportMetric(measured, "largest/median")
				b.ReportMetric(predicted, "predicted")
				if math.Abs(measured-predicted) > 0.25*predicted {
					b.Errorf("measured %.3f, predicted %.3f", measured, predicted)
				}
			}
		})
	}
}
