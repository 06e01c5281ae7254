package link

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

// people is a plain Known: it looks through everything.
type people struct {
	records map[int64][]Record
	sources map[Source][]int64
	waiting map[int64]bool
}

func (p people) where(match func(Record) bool) (out []int64) {
	for _, n := range slices.Sorted(maps.Keys(p.records)) {
		if slices.ContainsFunc(p.records[n], match) {
			out = append(out, n)
		}
	}
	return out
}
func (p people) BySource(s Source) []int64     { return p.sources[s] }
func (p people) ByNIR(n havre.NIR) []int64     { return p.where(func(r Record) bool { return r.NIR == n }) }
func (p people) Records(person int64) []Record { return p.records[person] }
func (p people) UnderReview(person int64) bool { return p.waiting[person] }
func (p people) ByStrict(k StrictKey) []int64 {
	return p.where(func(r Record) bool { own, ok := r.Strict(); return ok && own == k })
}

func nir(body string) string {
	key, ok := havre.NIRKey(body)
	if !ok {
		panic(body)
	}
	return body + key
}

var (
	marie   = Traits{"Dupont", "Marie Anne", "1984-05-07", "F", "75056", nir("2840575056123")}
	noNIR   = Traits{"DUPONT", "marie", "1984-05-07", "2", "75056", ""}
	homonym = Traits{"Dupont", "Marie", "1984-05-07", "F", "75056", nir("2840575056124")}
)

func with(t Traits, change func(*Traits)) Traits { change(&t); return t }

func TestExactRules(t *testing.T) {
	a := Source{"chu-nord", "1"}
	world := func() people {
		return people{
			records: map[int64][]Record{1: {NewRecord(marie)}},
			sources: map[Source][]int64{a: {1}},
			waiting: map[int64]bool{},
		}
	}
	for _, c := range []struct {
		name    string
		traits  Traits
		from    Source
		change  func(people)
		outcome Outcome
		rule    string
	}{
		{"nobody alike", Traits{BirthName: "Martin"}, Source{"x", "9"}, nil, New, ""},
		{"nothing at all", Traits{}, Source{}, nil, New, ""},
		{"same NIR, another name by marriage", with(marie, func(t *Traits) { t.BirthName = "Typo" }), Source{"x", ""}, nil, Link, RuleNIR},
		{"same NIR, no given name", with(marie, func(t *Traits) { t.BirthName, t.GivenNames = "Typo", "" }), Source{"x", ""}, nil, Link, RuleNIR},
		{"NIR of the twin", with(marie, func(t *Traits) { t.GivenNames = "Other" }), Source{"x", ""}, nil, Review, ReasonNIRConflict},
		{"same NIR, day of birth differs", with(marie, func(t *Traits) { t.BirthDate = "1984-05-08" }), Source{"x", ""}, nil, Review, ReasonNIRConflict},
		{"NIR of the parent", with(marie, func(t *Traits) { t.BirthDate = "2011-05-08" }), Source{"x", ""}, nil, Review, ReasonNIRContradicts},
		{"NIR of the other sex", with(marie, func(t *Traits) { t.Sex = "M" }), Source{"x", ""}, nil, Review, ReasonNIRContradicts},
		{"NIR with a wrong key is none", with(marie, func(t *Traits) { t.NIR = "284057505612300" }), Source{"x", ""}, nil, Link, RuleStrict},
		{"NIR known of several", marie, Source{"x", ""}, func(p people) { p.records[2] = p.records[1] }, Review, ReasonNIRSeveral},
		{"NIR known of one who fits and one who does not", marie, Source{"x", ""}, func(p people) {
			p.records[2] = []Record{NewRecord(with(marie, func(t *Traits) { t.BirthDate = "1984-05-30" }))}
		}, Link, RuleNIR},
		{"only match waits for review", marie, Source{"x", ""}, func(p people) { p.waiting[1] = true }, Review, ReasonUnderReview},
		{"five traits, no NIR", noNIR, Source{"x", ""}, nil, Link, RuleStrict},
		{"five traits, another NIR", homonym, Source{"x", ""}, nil, Review, ReasonStrictConflict},
		{"five traits of several", noNIR, Source{"x", ""}, func(p people) { p.records[2] = []Record{NewRecord(homonym)} }, Review, ReasonStrictSeveral},
		{"four traits only", with(noNIR, func(t *Traits) { t.BirthPlace = "" }), Source{"x", ""}, nil, New, ""},
		{"unknown date of birth is no trait", with(noNIR, func(t *Traits) { t.BirthDate = "1600-01-01" }), Source{"x", ""}, nil, New, ""},
		{"unknown country is no trait", with(noNIR, func(t *Traits) { t.BirthPlace = "99999" }), Source{"x", ""}, nil, New, ""},
		{"twin with a hyphenated name", with(noNIR, func(t *Traits) { t.GivenNames = "Marie-Claude" }), Source{"x", ""}, nil, New, ""},
		{"holder's own id", Traits{}, a, nil, Link, RuleSource},
		{"holder's own id, name corrected", with(noNIR, func(t *Traits) { t.BirthName = "Dupond" }), a, nil, Link, RuleSource},
		{"holder's own id, another person", with(noNIR, func(t *Traits) { t.BirthName, t.GivenNames = "Martin", "Louise" }), a, nil, Review, ReasonSourceConflict},
		{"holder's own id, another birth date", with(noNIR, func(t *Traits) { t.BirthDate = "1985-05-07" }), a, nil, Review, ReasonSourceConflict},
		{"same id at another holder", Traits{}, Source{"chu-sud", "1"}, nil, New, ""},
		{"fictive NIR", Traits{NIR: nir("2555555999042")}, Source{"x", ""}, func(p people) {
			p.records[1] = []Record{NewRecord(Traits{NIR: nir("2555555999042")})}
		}, New, ""},
		{"provisional NIR", Traits{NIR: nir("7840575056123")}, Source{"x", ""}, func(p people) {
			p.records[1] = []Record{NewRecord(Traits{NIR: nir("7840575056123")})}
		}, New, ""},
	} {
		p := world()
		if c.change != nil {
			c.change(p)
		}
		got := Exact{}.Decide(NewRecord(c.traits), c.from, p)
		if got.Outcome != c.outcome || got.Rule != c.rule || (c.outcome == Link) != (got.Person == 1) {
			t.Errorf("%s: %+v, want outcome %d by %q", c.name, got, c.outcome, c.rule)
		}
	}
}

func TestNormalisation(t *testing.T) {
	for _, same := range [][]string{
		{"D'Artagnan", "D ARTAGNAN", "d’artagnan", "D'ARTAGNAN "},
		{"Saint-Étienne", "SAINT ETIENNE", "Saint  Etienne", "saint–étienne"},
		{"Œuvrard", "OEUVRARD"}, {"Lætitia", "LAETITIA"}, {"Noël", "Noe\u0308l", "NOEL"}, {"Garçon", "GARCON"},
	} {
		for _, s := range same[1:] {
			if normalise(s) != normalise(same[0]) {
				t.Errorf("%q gives %q, %q gives %q", s, normalise(s), same[0], normalise(same[0]))
			}
		}
	}
	if normalise("Иванов") == normalise("Петров") || normalise("Иванов") == "" {
		t.Error("names in another script lost their difference")
	}
	for in, want := range map[string]string{"Marie Anne": "Marie", "Jean-Paul, Luc": "Jean-Paul", " Zoé;Eve": "Zoé", "": ""} {
		if got := first(in); got != want {
			t.Errorf("first of %q is %q", in, got)
		}
	}
}

func TestPersonalValuesDoNotPrint(t *testing.T) {
	if s := NewRecord(marie).NIR.String(); strings.Contains(s, "284") {
		t.Error(s)
	}
}

func FuzzNewRecord(f *testing.F) {
	f.Add("Dupont", "Marie", "1984-05-07", "F", "75056", "284057505612393")
	f.Add("\xff\xfe", "'’-", "1600-01-01", "?", "99999", "2A")
	f.Fuzz(func(t *testing.T, name, given, date, s, place, n string) {
		r := NewRecord(Traits{name, given, date, s, place, n})
		again := NewRecord(Traits{normalise(name), normalise(first(given)), date, s, place, n})
		if r.Name != again.Name {
			t.Errorf("normalising %q twice is not the same", name)
		}
		if c := Compare(&r, &r); c.Conflict() || c.Name == Different {
			t.Errorf("a record conflicts with itself: %+v", c)
		}
	})
}
