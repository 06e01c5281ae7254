package synth

// Background care at hospitals: contacts in 100,000 person-years by age,
// before scaling to the rows asked for.
var contactRate = byAge{{2, 33_000}, {18, 16_000}, {40, 24_000}, {65, 30_000}, {80, 52_000}, {200, 62_000}}

// recorded is how many of 10,000 bleeds lead to a hospital stay; the others
// leave no trace in any file, in both arms alike.
const recorded = 9000

// atHospitals writes the person's files at the two hospitals: one for each
// that the person was ever at.
func (g *generator) atHospitals(b *block, p *person, l *life) {
	var s stream
	s.start(g.seed, forHospital, p.number)
	var at [2]scribe
	var first, last [2]day
	for h := range at {
		at[h] = scribe{g: g, out: b, h: h, p: p, l: l, id: g.idAt(h, p.number), s: &s, last: l.exit}
	}
	contact := func(d day, bled bool) {
		h := l.mainHospital
		if l.twoHospitals && s.chance(3500) {
			h = 1 - h
		}
		end := at[h].contact(d, bled)
		if last[h] == 0 {
			first[h], last[h] = d, end
		}
		first[h], last[h] = min(first[h], d), max(last[h], end)
	}

	for d := l.entry; ; {
		d += day(s.wait(contactRate.at(age(p.born, d)) * g.density / 80))
		if d > l.exit {
			break
		}
		if at[0].inSeason(d) {
			contact(d, false)
		}
	}
	for _, d := range l.bleeds {
		if s.chance(recorded) {
			contact(d, true)
			l.known = append(l.known, d)
		}
	}
	for h := range at {
		if last[h] != 0 {
			w := &at[h]
			l.hospitals++
			w.last = last[h]
			w.person()
			w.observed(first[h], last[h])
			w.identify(last[h])
		}
	}
}

// contact writes one visit with its diagnoses, procedures and laboratory
// values, and gives its last day.
func (w *scribe) contact(d day, bled bool) day {
	kind, source, end := int64(conceptOutpatient), "EXT", d
	switch n := w.s.below(100); {
	case bled || n < 25:
		kind, source, end = conceptInpatient, "HOSP", min(w.l.exit, d+day(w.s.below(4)+w.s.below(6)))
	case n < 37:
		kind, source = conceptEmergency, "URG"
	}
	w.visit(kind, d, end, source)
	years := age(w.p.born, d)

	if bled {
		concept := int64(conceptBleedFirst + w.s.below(3))
		w.condition(concept, concept+sourceConcepts, w.g.vocab.concept(concept).code, w.spell(d))
		if w.s.chance(8000) {
			w.procedure(w.g.vocab.concept(conceptEndoscopy), d)
		}
		w.measure(0, 92, d) // haemoglobin, low
	}
	for n := diagnoses[w.s.below(len(diagnoses))]; n > 0; n-- {
		c := w.g.vocab.conditions.draw(w.s, w.p.sex, years)
		id, code := c.id, c.code
		if k := len(w.l.chronic); k > 0 && w.s.chance(4000) {
			id = w.g.vocab.chronic[w.l.chronic[w.s.below(k)]]
			code = w.g.vocab.concept(id).code
		}
		date, concept := w.spoil(d, id)
		w.condition(concept, id+sourceConcepts, code, date)
	}
	procedures, tests := w.s.below(3), w.s.below(7)
	switch kind {
	case conceptInpatient:
		procedures, tests = 1+w.s.below(3), 6+w.s.below(9)
	case conceptEmergency:
		procedures, tests = w.s.below(2), 2+w.s.below(6)
	}
	for range procedures {
		w.procedure(w.g.vocab.procedures.draw(w.s, w.p.sex, years), d+day(w.s.below(int(end-d)+1)))
	}
	for range tests {
		test := w.g.vocab.tests.draw(w.s)
		w.measure(test, laboratory[test].mean, d+day(w.s.below(int(end-d)+1)))
	}
	return end
}

// diagnoses is how many a contact has: one of these, each as likely.
var diagnoses = [...]int{1, 1, 1, 1, 1, 2, 2, 2, 3, 3}
