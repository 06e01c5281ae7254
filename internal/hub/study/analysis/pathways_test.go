package analysis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/hub/study"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
)

func pathSpec() study.Spec {
	return study.Spec{Name: "p", Kind: study.KindPathways, Target: "t", Events: []string{"b", "a", "c"}, Depth: 3, Collapse: 10, CombinationWindow: 30, Filter: study.FilterFirst}
}

func TestPathsByHand(t *testing.T) {
	const a, b, c = 1, 2, 4
	for _, x := range []struct {
		name   string
		change func(*study.Spec)
		eras   []era // the last day included here
		want   string
	}{
		{"nothing", nil, nil, "none"},
		{"one after the other", nil, []era{{0, 99, a}, {100, 120, b}}, "a > b"},
		{"30 days together", nil, []era{{0, 99, a}, {70, 200, b}}, "a > a+b > b"},
		{"29 days together", nil, []era{{0, 98, a}, {70, 200, b}}, "a > b"},
		{"within", nil, []era{{0, 200, a}, {50, 100, b}}, "a > a+b"},
		{"within, and back", func(s *study.Spec) { s.Filter = study.FilterChanges }, []era{{0, 200, a}, {50, 100, b}}, "a > a+b > a"},
		{"shortly within, and back", func(s *study.Spec) { s.Filter = study.FilterChanges }, []era{{0, 200, a}, {50, 60, b}}, "a > b > a"},
		{"the same days", nil, []era{{0, 5, b}, {0, 5, a}}, "a+b"},
		{"the same first day, shortly", nil, []era{{0, 100, a}, {0, 5, b}}, "b > a"},
		{"the same first day", nil, []era{{0, 100, a}, {0, 50, b}}, "a+b > a"},
		{"three at once", nil, []era{{0, 100, a}, {0, 100, b}, {0, 100, c}}, "a+b+c"},
		{"three in stairs", func(s *study.Spec) { s.Depth = 9 }, []era{{0, 100, a}, {40, 150, b}, {60, 200, c}}, "a > a+b > a+b+c > b+c > c"},
		{"again", nil, []era{{0, 10, a}, {20, 30, b}, {40, 50, a}, {60, 70, c}}, "a > b > c"},
		{"again, as changes", func(s *study.Spec) { s.Filter = study.FilterChanges }, []era{{0, 10, a}, {20, 30, b}, {40, 50, a}, {60, 70, c}}, "a > b > a"},
		{"no deeper", func(s *study.Spec) { s.Depth = 1 }, []era{{0, 10, a}, {20, 30, b}}, "a"},
		{"a piece too short", func(s *study.Spec) { s.MinEra = 20 }, []era{{0, 99, a}, {10, 200, b}}, "a+b > b"},
	} {
		s := pathSpec()
		if x.change != nil {
			x.change(&s)
		}
		for i := range x.eras {
			x.eras[i].end++
		}
		p := pathways{s}
		if got := p.path(p.combine(x.eras)); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
	if got := collapse([]cohort.Period{{Start: 30, End: 40}, {Start: 0, End: 20}, {Start: 51, End: 60}, {Start: 52, End: 55}}, 10); !slices.Equal(got, []cohort.Period{{Start: 0, End: 40}, {Start: 51, End: 60}}) {
		t.Errorf("collapse: %v", got)
	}
}

// byDays is the path of a person, day by day: of eras that overlap for as long
// as the window, or not at all, in an order that leaves nothing open.
func byDays(p *pathways, eras []era) string {
	var out []era
	for day := int64(0); day < 2000; day++ {
		var on uint64
		for _, e := range eras {
			if e.start <= day && day < e.end {
				on |= e.events
			}
		}
		if n := len(out); on != 0 && n > 0 && out[n-1].events == on && out[n-1].end == day {
			out[n-1].end++
		} else if on != 0 {
			out = append(out, era{day, day + 1, on})
		}
	}
	return p.path(out)
}

// TestPathsByDays: with a window of one day every overlap is a combination, so
// a step is a set of events that go on.
func TestPathsByDays(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for range 3000 {
		s := pathSpec()
		s.CombinationWindow, s.Depth = 1, 10
		if r.IntN(2) == 0 {
			s.Filter = study.FilterChanges
		}
		p := pathways{s}
		var eras []era
		for e := range 3 {
			for day := r.Int64N(100); day < 300; day += 20 + r.Int64N(200) {
				length := 1 + r.Int64N(80)
				eras = append(eras, era{day, day + length, 1 << e})
				day += length
			}
		}
		want := byDays(&p, eras)
		if got := p.path(p.combine(slices.Clone(eras))); got != want {
			t.Fatalf("%v: %q, want %q", eras, got, want)
		}
	}
}

// TestPathsFollow: whatever the window, eras follow one another, cover no day
// that was not covered, and a combination is of eras that overlap.
func TestPathsFollow(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 3000 {
		s := pathSpec()
		s.CombinationWindow, s.MinEra = 1+r.IntN(40), r.IntN(10)
		p := pathways{s}
		var eras []era
		for range r.IntN(7) {
			day := r.Int64N(200)
			eras = append(eras, era{day, day + 1 + r.Int64N(90), 1 << r.IntN(3)})
		}
		on := func(day int64) (events uint64) {
			for _, e := range eras {
				if e.start <= day && day < e.end {
					events |= e.events
				}
			}
			return events
		}
		out := p.combine(slices.Clone(eras))
		for i, e := range out {
			if e.start >= e.end || i > 0 && e.start < out[i-1].end || e.end-e.start < int64(s.MinEra) {
				t.Fatalf("%v: %v", eras, out)
			}
			for day := e.start; day < e.end; day++ {
				if on(day)&e.events != e.events {
					t.Fatalf("%v: on day %d of %v", eras, day, out)
				}
			}
		}
	}
}

func FuzzDecodePathways(f *testing.F) {
	for _, path := range []string{"none", "a", "a > b", "a > a+b > c", "b+a", "a > a", "a > b > a", "d", "a > b > c > a+b", "a > none", "other", ""} {
		f.Add([]byte(fmt.Sprintf(`[{"key":["%s"],"max":[],"sum":[3]}]`, path)))
	}
	a := &pathways{pathSpec()}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := decoded(t, a, data)
		if p == nil {
			return
		}
		for path := range p.(*tally).cells {
			if strings.Contains(path, "other") || strings.Contains(path, " > none") {
				t.Errorf("path %q", path)
			}
		}
		if _, err := a.Finish(t.Context(), p); err != nil {
			t.Error(err)
		}
	})
}
