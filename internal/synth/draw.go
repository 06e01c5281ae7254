package synth

import (
	"math/bits"
	"math/rand/v2"
	"sort"
)

// purpose keeps the random streams of one person apart, so that a change to
// one part of the generator leaves the others as they were.
type purpose uint64

const (
	forBirth purpose = iota + 1
	forPair
	forTraits
	forLife
	forEffect
	forPayer
	forHospital
	forIdentity // + holder number
)

// New purposes are added at the end only: a renumbering would change every
// population.
const (
	forSites purpose = forIdentity + holderCount + iota
	forHousehold
	forPairHousehold
	forParent
	forPairParent
)

// stream is a deterministic source of draws. Its own methods, not those of
// rand.Rand, turn bits into values: they are part of the format of the output.
type stream struct{ pcg rand.PCG }

// start makes s the stream of person (or pair) n for one purpose.
func (s *stream) start(seed uint64, p purpose, n int) {
	s.pcg.Seed(mix(seed+uint64(p)*0x9e3779b97f4a7c15), mix(uint64(n)+uint64(p)<<48))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below draws from 0 to n-1.
func (s *stream) below(n int) int {
	hi, _ := bits.Mul64(s.pcg.Uint64(), uint64(n))
	return int(hi)
}

// between draws from lo to hi, both included.
func (s *stream) between(lo, hi int) int { return lo + s.below(hi-lo+1) }

// chance is true n times in 10,000.
func (s *stream) chance(n int) bool { return s.below(10_000) < n }

// expBits is the number of fractional bits of exponential.
const expBits = 24

// exponential draws from the exponential distribution of mean 1, in units of
// 2^-24, by von Neumann's comparison method (1951): no logarithm is taken, so
// every machine gets the same value.
func (s *stream) exponential() uint64 {
	for whole := uint64(0); ; whole++ {
		first := s.pcg.Uint64() >> (64 - expBits)
		last, even := first, false
		for {
			next := s.pcg.Uint64() >> (64 - expBits)
			even = !even
			if next > last {
				break
			}
			last = next
		}
		if even {
			return whole<<expBits + first
		}
	}
}

// Rates are events in 100,000 person-years; a year is 365.25 days.
const daysPerRate = 36_525_000

// wait draws the days until the next event at a constant rate; far away when
// the rate is 0.
func (s *stream) wait(rate int) int {
	if rate <= 0 {
		return 1 << 30
	}
	return int(s.exponential() * daysPerRate / (uint64(rate) << expBits))
}

// bell draws about a normal value: mean and standard deviation in any unit
// (the sum of twelve uniform draws, so never beyond six deviations).
func (s *stream) bell(mean, sd int) int {
	sum := 0
	for range 4 {
		x := s.pcg.Uint64()
		sum += int(x&0xffff) + int(x>>16&0xffff) + int(x>>32&0xffff)
	}
	return mean + (sum-6*0xffff)*sd/0x10000
}

// weighted draws an index in proportion to integer weights.
type weighted struct{ upTo []uint64 }

func newWeighted(n int, weight func(i int) int) weighted {
	w := weighted{make([]uint64, n)}
	total := uint64(0)
	for i := range n {
		total += uint64(weight(i))
		w.upTo[i] = total
	}
	return w
}

func (w weighted) draw(s *stream) int {
	hi, _ := bits.Mul64(s.pcg.Uint64(), w.upTo[len(w.upTo)-1])
	return sort.Search(len(w.upTo), func(i int) bool { return w.upTo[i] > hi })
}
