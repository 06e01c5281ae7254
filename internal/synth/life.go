package synth

// The built-in effect. Persons start drug A or drug B by the flip of a coin, so
// nothing confounds the comparison; for riskDays after the day of the first
// dispensing drug A multiplies the hazard of gastrointestinal bleeding.
const (
	hazardRatio = 2
	riskDays    = 730
)

// life is what happens to one person between coverFirst and coverLast: what is
// true, before any holder writes it down.
type life struct {
	entry, exit day   // first and last day under observation
	died        bool  // on exit
	cause       int64 // concept of the cause of death

	homes   []home
	chronic []int // indexes into chronicIllnesses, with their first days
	since   []day

	arm    arm // drug A, drug B or neither
	start  day // first dispensing
	stop   day // end of treatment
	bleeds []day
	known  []day // those of bleeds that a hospital recorded

	mainHospital int
	twoHospitals bool // also goes to the other one
	hospitals    int  // how many of the two know the person; set by atHospitals
}

type home struct {
	from    day
	commune int
}

type arm uint8

const (
	noDrug arm = iota
	drugA
	drugB
)

// byAge is a table of rates: rate holds up to, not including, age under.
type byAge []struct{ under, rate int }

func (t byAge) at(age int) int {
	for _, r := range t {
		if age < r.under {
			return r.rate
		}
	}
	return t[len(t)-1].rate
}

// Events in 100,000 person-years, by age.
var (
	mortality = byAge{{1, 350}, {15, 15}, {40, 60}, {50, 200}, {60, 500}, {70, 1000}, {80, 2200}, {90, 7000}, {200, 20000}}
	bleeding  = byAge{{30, 300}, {50, 1300}, {65, 2500}, {80, 3700}, {200, 5000}}
	moving    = byAge{{18, 5000}, {30, 14000}, {50, 7000}, {200, 2500}}
	// starting is not a rate: chances in 10,000 to start drug A or B in the ten years.
	starting = byAge{{30, 0}, {50, 2600}, {65, 4600}, {200, 5600}}
)

// at most maxBleeds bleeds are kept a person; more than a few is very rare.
const maxBleeds = 8

// live draws the life of p into l, reusing its slices.
func (g *generator) live(p *person, l *life) {
	*l = life{homes: l.homes[:0], chronic: l.chronic[:0], since: l.since[:0], bleeds: l.bleeds[:0], known: l.known[:0]}
	var s stream
	s.start(g.seed, forLife, p.number)
	l.entry, l.exit = max(coverFirst, p.born), coverLast
	if death, ok := firstEvent(&s, p.born, l.entry, l.exit, mortality); ok {
		l.exit, l.died = death, true
		l.cause = g.vocab.deaths[s.below(len(g.vocab.deaths))]
	}
	l.homes = append(l.homes, home{l.entry, p.home})
	for from := l.entry; ; {
		moved, ok := firstEvent(&s, p.born, from, l.exit, moving)
		if !ok {
			break
		}
		l.homes = append(l.homes, home{moved, g.places.drawCommune(&s)})
		from = moved + 1
	}
	for i, c := range chronicIllnesses {
		years := age(p.born, l.exit) - c.fromAge
		if years > 0 && s.chance(c.chance+min(years, 40)*c.more) {
			l.chronic = append(l.chronic, i)
			l.since = append(l.since, l.exit-day(s.below(years*365+1)))
		}
	}
	l.mainHospital = hospitalNorth
	if s.chance(4800) {
		l.mainHospital = hospitalSouth
	}
	l.twoHospitals = s.chance(1200)

	s.start(g.seed, forEffect, p.number)
	g.treatAndBleed(&s, p, l)
}

// treatAndBleed draws the start of drug A or B, and the bleeds under the hazard
// that follows from it. Who bled before the planned start does not start.
func (g *generator) treatAndBleed(s *stream, p *person, l *life) {
	// A year of observation comes before the start, and some time after.
	from, to := l.entry+366, l.exit-60
	if planned := from + day(s.below(max(1, int(to-from)))); to > from && s.chance(starting.at(age(p.born, planned))) {
		l.start, l.arm = planned, drugA
		if s.below(2) == 1 {
			l.arm = drugB
		}
	}
	for at := l.entry; len(l.bleeds) < maxBleeds; {
		bled, ok := firstBleed(s, p.born, at, l)
		if !ok {
			break
		}
		l.bleeds = append(l.bleeds, bled)
		if l.arm != noDrug && bled <= l.start {
			l.arm = noDrug
		}
		at = bled + 30 // one bleed is one episode
	}
	if l.arm != noDrug {
		l.stop = min(l.exit, l.start+60+day(s.wait(110_000)))
	}
}

// firstBleed draws the first bleed on or after from, or false when there is
// none up to the end of observation. The window of risk is the riskDays days
// after the day of the first dispensing; on that day itself nobody bleeds.
func firstBleed(s *stream, born, from day, l *life) (day, bool) {
	if l.arm == noDrug {
		return firstEvent(s, born, from, l.exit, bleeding)
	}
	factor := 1
	if l.arm == drugA {
		factor = hazardRatio
	}
	left := s.exponential()
	if d, ok := spend(&left, born, from, min(l.start-1, l.exit), bleeding, 1); ok {
		return d, true
	}
	if d, ok := spend(&left, born, max(from, l.start+1), min(l.start+riskDays, l.exit), bleeding, factor); ok {
		return d, true
	}
	return spend(&left, born, max(from, l.start+riskDays+1), l.exit, bleeding, 1)
}

// firstEvent draws the first event from day from to day last under a rate that
// depends on age.
func firstEvent(s *stream, born, from, last day, rates byAge) (day, bool) {
	left := s.exponential()
	return spend(&left, born, from, last, rates, 1)
}

// spend walks from day from to day last, taking rate x factor x time off left,
// an exponential draw (so the event comes when nothing is left). It works year
// by year of age, on whole days of constant hazard.
func spend(left *uint64, born, from, last day, rates byAge, factor int) (day, bool) {
	for from <= last {
		years := age(born, from)
		birthday := born + day(((years+1)*36525+99)/100)
		end := min(last+1, birthday) // the first day of the next year of age
		rate := uint64(rates.at(years) * factor)
		if rate > 0 {
			need := uint64(end-from) * (rate << expBits) / daysPerRate
			if *left < need {
				return from + day(*left*daysPerRate/(rate<<expBits)), true
			}
			*left -= need
		}
		from = end
	}
	return 0, false
}

// homeOn is the commune where the person lives on a day.
func (l *life) homeOn(d day) int {
	commune := l.homes[0].commune
	for _, h := range l.homes {
		if h.from <= d {
			commune = h.commune
		}
	}
	return commune
}

// firstInRisk finds the first of bleeds, which are in order, in the window of
// risk, and counts the days observed in it, the day of that bleed included.
func (l *life) firstInRisk(bleeds []day) (bled bool, days int) {
	end := min(l.start+riskDays, l.exit)
	for _, b := range bleeds {
		if b > l.start && b <= end {
			return true, int(b - l.start)
		}
	}
	return false, int(end - l.start)
}
