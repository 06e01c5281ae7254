package synth

import (
	"slices"

	"github.com/havre-hub/havre/internal/havre"
)

// Sexes, as an index and as the INS codes them.
const (
	male   = 0
	female = 1
)

var sexCodes = [2]string{"M", "F"}

// register is what must be known of everybody at once: birth and order number,
// 10 bytes a person. All other traits are drawn again whenever they are needed.
type register struct {
	seed   uint64
	places *places
	names  *names
	cal    calendar

	born  []day
	place []uint16
	sex   []uint8
	order []uint16 // order number in the NIR: births of one sex, month and place
}

// Two persons 2k and 2k+1 are twins with twinPairs chances in 10,000; of them,
// sameSexTwins in 10,000 have the same sex.
const (
	twinPairs    = 170
	sameSexTwins = 6500
)

// Persons born from childFrom on carry the family name and live at the place
// of a parent, who is older than that.
var childFrom = date(1998, 1, 1)

// bornByYear is the age pyramid: how many of 10,000 residents of the ten years
// were born in each year of a decade.
var bornByYear = []struct{ from, weight int }{
	{1916, 20}, {1924, 60}, {1934, 88}, {1944, 120}, {1954, 127}, {1964, 129}, {1974, 124}, {1984, 117}, {1994, 118}, {2004, 120}, {2014, 106},
}

func newRegister(residents int, seed uint64) *register {
	r := &register{
		seed: seed, places: newPlaces(), names: newNames(), cal: newCalendar(),
		born: make([]day, residents), place: make([]uint16, residents), sex: make([]uint8, residents), order: make([]uint16, residents),
	}
	first := bornByYear[0].from
	years := newWeighted(2024-first, func(i int) int {
		for d := len(bornByYear) - 1; ; d-- {
			if first+i >= bornByYear[d].from {
				return bornByYear[d].weight
			}
		}
	})
	var s stream
	for i := range residents {
		s.start(seed, forBirth, i)
		twin := i%2 == 1 && r.twins(i)
		if twin {
			r.born[i], r.place[i] = r.born[i-1], r.place[i-1]
		} else {
			year := first + years.draw(&s)
			start, next := date(year, 1, 1), date(year+1, 1, 1)
			r.born[i] = start + day(s.below(int(next-start)))
			r.place[i] = uint16(r.places.drawBirth(&s, year))
		}
		// 105 boys for 100 girls; fewer men among the old, who died before.
		men := 5120
		if r.born[i] < date(1944, 1, 1) {
			men = 4000
		}
		switch {
		case twin && s.chance(sameSexTwins):
			r.sex[i] = r.sex[i-1]
		case twin:
			r.sex[i] = 1 - r.sex[i-1]
		case !s.chance(men):
			r.sex[i] = female
		}
	}
	r.giveOrders()
	return r
}

// giveOrders numbers the births of one sex, month and place one after the
// other (twins get neighbouring numbers) from a start that differs by group.
// Corsica's two departments count apart even where the civil record says 20:
// their communes have different numbers.
func (r *register) giveOrders() {
	const indexBits = 24
	keys := make([]uint64, len(r.born))
	for i := range keys {
		year, month := r.cal.year(r.born[i]), r.cal.month(r.born[i])
		group := uint64(r.sex[i])<<27 | uint64(year%100)<<20 | uint64(month)<<16 | uint64(r.place[i])
		keys[i] = group<<indexBits | uint64(i)
	}
	slices.Sort(keys)
	for from := 0; from < len(keys); {
		to := from
		for to < len(keys) && keys[to]>>indexBits == keys[from]>>indexBits {
			to++
		}
		free := max(1, 999-(to-from))
		start := int(mix(r.seed^keys[from]>>indexBits) % uint64(free))
		for k := from; k < to; k++ {
			r.order[keys[k]&(1<<indexBits-1)] = uint16((start+k-from)%999 + 1)
		}
		from = to
	}
}

// twins says whether the pair that i belongs to are twins.
func (r *register) twins(i int) bool {
	var s stream
	s.start(r.seed, forPair, i/2)
	return i|1 < len(r.born) && s.chance(twinPairs)
}

// person is one resident with true traits.
type person struct {
	number     int // 0-based; the truth file counts from 1
	born       day
	year       int // of birth
	sex        int
	abroad     bool // born abroad
	twin       bool
	birthName  string
	givenNames []string
	usedName   string // by marriage; "" when it is the birth name
	birthPlace string // INSEE code on the day of birth, or 99 and the country
	nir        string // certified, with key
	parentNIR  string // of the insured parent, for those born since childFrom
	home       int    // commune where the person lives on coverFirst or at birth
}

func (r *register) person(i int) person {
	p := person{number: i, born: r.born[i], year: r.cal.year(r.born[i]), sex: int(r.sex[i]), twin: r.twins(i)}
	p.abroad = r.places.isAbroad(int(r.place[i]))
	p.birthPlace = r.places.bornIn(int(r.place[i]), p.year)
	p.nir = r.nir(i)
	if parent := r.parent(i); parent >= 0 {
		p.birthName, p.home = r.household(parent)
		p.parentNIR = r.nir(parent)
	} else {
		p.birthName, p.home = r.household(i)
	}

	var s stream
	s.start(r.seed, forTraits, i)
	var siblings []string // twins share no given name at all
	if p.twin && i%2 == 1 {
		siblings = r.person(i - 1).givenNames
	}
	p.givenNames = r.names.givens(&s, p.sex, p.year, siblings)
	married := 300
	if p.sex == female {
		married = 5500
	}
	if age(p.born, coverLast) >= 28 && s.chance(married) {
		p.usedName = r.names.family(&s, p.abroad)
		if p.sex == female && s.chance(800) {
			p.usedName = p.birthName + " " + p.usedName
		}
	}
	return p
}

// household draws the family name and home of a grown-up; twins share both.
func (r *register) household(i int) (name string, home int) {
	var s stream
	s.start(r.seed, forHousehold, i)
	if r.twins(i) {
		s.start(r.seed, forPairHousehold, i/2)
	}
	name = r.names.family(&s, r.places.isAbroad(int(r.place[i])))
	if place := int(r.place[i]); place < r.places.communes && s.chance(4500) {
		return name, place
	}
	return name, r.places.drawCommune(&s)
}

// parent finds a person 20 to 45 years older for somebody born since
// childFrom, or -1. Twins have the same parent.
func (r *register) parent(i int) int {
	if r.born[i] < childFrom {
		return -1
	}
	var s stream
	s.start(r.seed, forParent, i)
	if r.twins(i) {
		s.start(r.seed, forPairParent, i/2)
	}
	for range 24 {
		j := s.below(len(r.born))
		if gap := int(r.born[i]-r.born[j]) / 365; gap >= 20 && gap <= 45 && r.born[j] < childFrom {
			return j
		}
	}
	return -1
}

// nir is the certified number of person i.
func (r *register) nir(i int) string {
	return r.nirWith(i, '1'+r.sex[i])
}

// nirWith is the number of person i with another first digit: 7 or 8 make it
// provisional.
func (r *register) nirWith(i int, first byte) string {
	b := make([]byte, 0, 15)
	d := r.cal.spell(r.born[i])
	b = append(b, first, d[2], d[3], d[5], d[6])
	b = append(b, r.places.bornIn(int(r.place[i]), r.cal.year(r.born[i]))...)
	return sealNIR(appendPadded(b, int(r.order[i])))
}

// sealNIR adds the key to the 13 first characters.
func sealNIR(b []byte) string {
	key, ok := havre.NIRKey(string(b))
	if !ok {
		panic("synth: a number of 13 characters has no key") // the codes in place.go are wrong
	}
	return string(b) + key
}

// appendPadded appends n in three digits.
func appendPadded(b []byte, n int) []byte {
	return append(b, '0'+byte(n/100%10), '0'+byte(n/10%10), '0'+byte(n%10))
}
