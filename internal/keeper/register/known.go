package register

import (
	"crypto/sha256"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/keeper/link"
)

// sighting is a normalised record and who delivered it.
type sighting struct {
	link.Record
	source [16]byte // sourceKey
}

// sourceKey stands for a holder and its own id in memory.
func sourceKey(holder, id string) (k [16]byte) {
	if id != "" {
		h := sha256.Sum256([]byte(holder + "\x00" + id)) // a holder's name has no NUL
		copy(k[:], h[:])
	}
	return k
}

type person struct {
	sightings []link.Record
	sources   [][16]byte // of each sighting
	review    bool
}

// known holds every person in memory, with the indexes that a linker asks for.
type known struct {
	persons  []person // number 1 is at 0
	bySource index[[16]byte]
	byNIR    index[havre.NIR]
	byStrict index[link.StrictKey]
	words    map[string]string // names and places, each kept once
}

var _ link.Known = (*known)(nil)

func newKnown() *known {
	return &known{bySource: newIndex[[16]byte](), byNIR: newIndex[havre.NIR](), byStrict: newIndex[link.StrictKey](), words: map[string]string{}}
}

func (k *known) last() int64 { return int64(len(k.persons)) }

// add gives a person one more sighting; the number after the last makes a new person.
func (k *known) add(number int64, s sighting, from link.Source) error {
	switch {
	case number == k.last()+1:
		k.persons = append(k.persons, person{})
	case number < 1 || number > k.last():
		return havre.E("register", havre.Tampered, "a record names a person that does not exist")
	}
	for _, w := range []*string{&s.Name, &s.Given, &s.Place} {
		*w = k.word(*w)
	}
	p := &k.persons[number-1]
	p.sightings, p.sources = append(p.sightings, s.Record), append(p.sources, s.source)
	if from.ID != "" {
		k.bySource.add(s.source, number)
	}
	// A number that contradicts its own record is not this person's: nobody is
	// ever compared with it.
	if s.HasNIR() && s.NIRFits() {
		k.byNIR.add(s.NIR, number)
	} else {
		p.sightings[len(p.sightings)-1].NIR = havre.NIR{}
	}
	if key, whole := s.Strict(); whole {
		k.byStrict.add(key, number)
	}
	return nil
}

// word gives the one copy of a name or place that is kept.
func (k *known) word(s string) string {
	one, ok := k.words[s]
	if !ok {
		one = s
		k.words[s] = s
	}
	return one
}

// seen finds the person of whom this very record was delivered before.
func (k *known) seen(s sighting, from link.Source) (int64, bool) {
	kept := s.Record
	if !kept.NIRFits() {
		kept.NIR = havre.NIR{}
	}
	var candidates []int64
	if from.ID != "" {
		candidates = k.bySource.get(s.source)
	} else if kept.HasNIR() {
		candidates = k.byNIR.get(kept.NIR)
	} else if key, whole := kept.Strict(); whole {
		candidates = k.byStrict.get(key)
	}
	for _, n := range candidates {
		p := &k.persons[n-1]
		for i := range p.sightings {
			if p.sightings[i] == kept && p.sources[i] == s.source {
				return n, true
			}
		}
	}
	return 0, false
}

func (k *known) BySource(s link.Source) []int64 {
	if s.ID == "" {
		return nil
	}
	return k.bySource.get(sourceKey(s.Holder, s.ID))
}
func (k *known) ByNIR(n havre.NIR) []int64           { return k.byNIR.get(n) }
func (k *known) ByStrict(key link.StrictKey) []int64 { return k.byStrict.get(key) }
func (k *known) Records(person int64) []link.Record  { return k.persons[person-1].sightings }
func (k *known) UnderReview(person int64) bool       { return k.persons[person-1].review }

// index maps a key to one person nearly always, to several now and then.
type index[K comparable] struct {
	one  map[K]int64
	more map[K][]int64 // all persons of a key that has several, ascending
}

func newIndex[K comparable]() index[K] { return index[K]{map[K]int64{}, map[K][]int64{}} }

func (x index[K]) add(k K, person int64) {
	first, ok := x.one[k]
	switch {
	case !ok:
		x.one[k] = person
	case first == person:
	default:
		all := x.more[k]
		if all == nil {
			all = []int64{first}
		}
		x.more[k] = insert(all, person)
	}
}

func (x index[K]) get(k K) []int64 {
	if all := x.more[k]; all != nil {
		return all
	}
	if p, ok := x.one[k]; ok {
		return []int64{p}
	}
	return nil
}
