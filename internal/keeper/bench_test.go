package keeper

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
)

// BenchmarkLinkMillion delivers a million persons by a payer (with NIR), then
// 300,000 of them by a hospital (half of them without), and links both.
func BenchmarkLinkMillion(b *testing.B) {
	const persons, perPart = 1_000_000, 100_000
	for b.Loop() {
		b.StopTimer()
		h := newHouse(b)
		part := func(from, to int, hospital bool) string {
			var s strings.Builder
			s.WriteString(header)
			for i := from; i < to; i++ {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				year, month, day := 1930+r.IntN(80), 1+r.IntN(12), 1+r.IntN(28)
				sex, dep, com := r.IntN(2), 1+r.IntN(19), 1+r.IntN(900)
				n := nir(fmt.Sprintf("%d%02d%02d%02d%03d%03d", sex+1, year%100, month, dep, com, i%999+1))
				source, tidNumber := "P"+fmt.Sprint(i), i
				if hospital {
					source, tidNumber = "H"+fmt.Sprint(i), i+persons
					if i%2 == 0 {
						n = ""
					}
				}
				s.WriteString(line(tidNumber, source, fmt.Sprintf("NOM%c%c%d", 'A'+i%26, 'A'+i/26%26, r.IntN(30000)), fmt.Sprintf("Prénom%d", r.IntN(800)),
					fmt.Sprintf("%d-%02d-%02d", year, month, day), string("MF"[sex]), fmt.Sprintf("%02d%03d", dep, com), n))
			}
			return s.String()
		}
		parcel := func(count int, hospital bool) envelope.Folder {
			var parts []string
			for from := 0; from < count; from += perPart {
				parts = append(parts, part(from, min(from+perPart, count), hospital))
			}
			if hospital {
				return h.deliver("chu-nord", nil, parts...)
			}
			return h.deliver("payer", nil, parts...)
		}
		payer, hospital := parcel(persons, false), parcel(persons*3/10, true)
		k := h.open()
		var l *envelope.Linkage
		b.StartTimer()
		for _, p := range []envelope.Folder{payer, hospital} {
			m, err := k.Accept(b.Context(), p)
			must(b, err)
			l, _, err = k.Link(b.Context(), m.Delivery, havre.NoProgress)
			must(b, err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
		b.ReportMetric(float64(l.Counts.New)/float64(l.Rows), "new/row")
		b.StopTimer()
		began := time.Now()
		h.open()
		b.ReportMetric(time.Since(began).Seconds(), "reopen-s")
		b.Logf("hospital: %+v", l.Counts)
		b.StartTimer()
	}
}
