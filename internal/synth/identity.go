package synth

import "strings"

// ErrorCounts says how many records of a holder have each error.
type ErrorCounts ErrorRates

// traits are a person's traits as a holder typed them.
type traits struct {
	birthName, usedName, birthDate, sex, birthPlace, nir, residence, email, phone string
	givenNames                                                                    []string
}

// identify writes the person's line in the holder's identity file, as typed at
// the last contact, with the holder's errors.
func (w *scribe) identify(last day) {
	var s stream
	s.start(w.g.seed, forIdentity+purpose(w.h), w.p.number)
	p := w.p
	t := traits{
		birthName: p.birthName, usedName: p.usedName, givenNames: p.givenNames, birthDate: w.spell(p.born), sex: sexCodes[p.sex],
		birthPlace: p.birthPlace, nir: p.nir, residence: w.g.places.codes[w.l.homeOn(last)],
	}
	w.contactTraits(&s, &t)
	w.mistype(&s, &t)
	w.mistakeNIR(&s, &t)

	r := w.rows(identity).int(w.id).text(t.birthName).text(strings.Join(t.givenNames, " ")).text(t.usedName).raw(t.birthDate)
	r.raw(t.sex).raw(t.birthPlace).raw(t.nir).raw(t.residence).raw(t.email).raw(t.phone).end()

	b := append(w.out.truth.b, appendInt(nil, int64(p.number+1))...)
	b = append(append(append(b, ','), holders[w.h].name...), ',')
	w.out.truth.b = append(appendInt(b, w.id), '\n')
	w.out.truth.lines++
	w.out.tally.holders[w.h].Persons++
}

// contactTraits makes up an e-mail address (under the reserved name .example)
// and a telephone number (of the block that the French regulator keeps free for
// fiction).
func (w *scribe) contactTraits(s *stream, t *traits) {
	if age(w.p.born, w.l.exit) >= 18 && s.chance(4000) {
		b := []byte(strings.ToLower(t.givenNames[0] + "." + strings.NewReplacer(" ", "", "'", "").Replace(t.birthName)))
		t.email = string(appendInt(b, int64(s.below(1000)))) + "@courriel.example"
	}
	if s.chance(6000) {
		t.phone = "06 39 98 " + string([]byte{'0' + byte(s.below(10)), '0' + byte(s.below(10)), ' ', '0' + byte(s.below(10)), '0' + byte(s.below(10))})
	}
}

// mistype puts the holder's errors into names, date and residence.
func (w *scribe) mistype(s *stream, t *traits) {
	p, rates, made := w.p, &holders[w.h].rates, &w.out.tally.holders[w.h].Errors
	if p.usedName != "" && s.chance(rates.MarriedName) {
		t.birthName = p.usedName
		made.MarriedName++
	}
	if s.chance(rates.NameLetters) {
		t.birthName = mistyped(s, t.birthName)
		made.NameLetters++
	}
	if len(t.givenNames) > 1 && s.chance(rates.GivenMissing) {
		drop := 0
		if s.chance(5000) {
			drop = s.between(1, len(t.givenNames)-1)
		}
		kept := append([]string(nil), t.givenNames[:drop]...)
		t.givenNames = append(kept, t.givenNames[drop+1:]...)
		made.GivenMissing++
	}
	if s.chance(rates.GivenLetters) {
		t.givenNames = append([]string{mistyped(s, t.givenNames[0])}, t.givenNames[1:]...)
		made.GivenLetters++
	}
	switch d := t.birthDate; {
	case s.chance(rates.BirthDateForced):
		t.birthDate = placeholder
		made.BirthDateForced++
	case d[8:] <= "12" && d[8:] != d[5:7] && s.chance(rates.DayMonthSwapped):
		t.birthDate = d[:5] + d[8:] + "-" + d[5:7]
		made.DayMonthSwapped++
	}
	if len(w.l.homes) > 1 && s.chance(rates.Residence) {
		if home := w.g.places.codes[w.l.homes[s.below(len(w.l.homes)-1)].commune]; home != t.residence {
			t.residence = home
			made.Residence++
		}
	}
}

// mistakeNIR puts at most one of the holder's errors into the NIR.
func (w *scribe) mistakeNIR(s *stream, t *traits) {
	p, rates, made := w.p, &holders[w.h].rates, &w.out.tally.holders[w.h].Errors
	twin := p.number ^ 1
	switch {
	case s.chance(rates.NIRMissing):
		t.nir = ""
		made.NIRMissing++
	case s.chance(rates.NIRMistyped):
		t.nir = mistypedNIR(s, t.nir)
		made.NIRMistyped++
	case s.chance(rates.NIRFictive):
		t.nir = fictiveNIR(s, p.sex)
		made.NIRFictive++
	case p.parentNIR != "" && age(p.born, w.l.exit) < 26 && s.chance(rates.NIRParent):
		t.nir = p.parentNIR
		made.NIRParent++
	case p.twin && w.g.sex[twin] == w.g.sex[p.number] && s.chance(rates.NIRTwin):
		t.nir = w.g.nir(twin)
		made.NIRTwin++
	case p.abroad && s.chance(rates.NIRProvisional):
		t.nir = w.g.nirWith(p.number, '7'+byte(p.sex))
		made.NIRProvisional++
	}
}

// mistyped changes one thing in a name of at least three letters: two
// neighbours swapped, a letter missing, a letter typed twice, or another one.
func mistyped(s *stream, name string) string {
	at := s.between(0, len(name)-2)
	switch s.below(4) {
	case 0:
		for i := range len(name) - 1 {
			k := (at + i) % (len(name) - 1)
			if name[k] != name[k+1] {
				return name[:k] + name[k+1:k+2] + name[k:k+1] + name[k+2:]
			}
		}
	case 1:
		return name[:at+1] + name[at+2:]
	case 2:
		return name[:at+1] + name[at:]
	}
	letter := byte('A' + s.below(26))
	if letter == name[at] {
		letter = 'A' + (letter-'A'+1)%26
	}
	return name[:at] + string(letter) + name[at+1:]
}

// mistypedNIR changes one of the 13 digits to another, so that the key no
// longer holds.
func mistypedNIR(s *stream, nir string) string {
	at := s.below(13)
	for nir[at] > '9' {
		at = s.below(13)
	}
	b := []byte(nir)
	b[at] = '0' + (b[at]-'0'+byte(s.between(1, 9)))%10
	return string(b)
}

// fictiveNIR is a billing code for care under secrecy: 55 for year, month and
// department, the code of one of few funds, and the kind of care.
func fictiveNIR(s *stream, sex int) string {
	funds := [...]string{"751", "594", "133", "691", "311"}
	kinds := [...]string{"030", "042"}
	b := append([]byte{'1' + byte(sex)}, "555555"...)
	b = append(append(b, funds[s.below(len(funds))]...), kinds[s.below(len(kinds))]...)
	return sealNIR(b)
}
