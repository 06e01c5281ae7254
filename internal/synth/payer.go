package synth

// Background care at the payer: visits to general practitioners in 100,000
// person-years by age, before scaling to the rows asked for.
var practiceRate = byAge{{5, 275_000}, {18, 145_000}, {40, 175_000}, {65, 245_000}, {80, 370_000}, {200, 430_000}}

// season is how much of the care of the busiest month a month sees, in percent.
var season = [13]int{0, 100, 96, 90, 82, 76, 72, 62, 55, 74, 86, 92, 98}

// inSeason thins events drawn at the rate of the busiest month.
func (w *scribe) inSeason(d day) bool { return w.s.below(100) < season[w.g.cal.month(d)] }

// atPayer writes the person's file at the national payer: everybody has one.
func (g *generator) atPayer(b *block, p *person, l *life) {
	var s stream
	s.start(g.seed, forPayer, p.number)
	w := scribe{g: g, out: b, h: payer, p: p, l: l, id: g.idAt(payer, p.number), s: &s, last: l.exit}
	w.person()
	w.observed(l.entry, l.exit)
	w.practice()
	w.longIllnesses()
	w.studyDrug()
	if l.died {
		w.rows(death).int(w.id).raw(w.spell(l.exit)).none(1).int(conceptFromClaim).int(l.cause).none(1).int(l.cause + sourceConcepts).end()
	}
	w.identify(l.exit)
}

// practice writes visits to a general practitioner and what was dispensed
// after them.
func (w *scribe) practice() {
	for d := w.l.entry; ; {
		rate := practiceRate.at(age(w.p.born, d))
		d += day(w.s.wait(rate * w.g.density / 80)) // 80: the mean of season
		if d > w.l.exit {
			return
		}
		if !w.inSeason(d) {
			continue
		}
		w.visit(conceptOutpatient, d, d, "C")
		years := age(w.p.born, d)
		for n := dispensings[w.s.below(len(dispensings))]; n > 0; n-- {
			w.background(w.g.vocab.drugs.draw(w.s, w.p.sex, years), min(d+day(w.s.below(3)), w.l.exit))
		}
	}
}

// dispensings is how many medicines follow a visit: one of these, each as likely.
var dispensings = [...]int{0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5}

// background writes a dispensing that has nothing to do with the built-in effect.
func (w *scribe) background(c *concept, d day) {
	days := int64(7)
	if w.s.chance(5500) {
		days = 30
	}
	date, concept := w.spoil(d, c.id)
	end := date
	if date == w.spell(d) {
		end = w.spell(d + day(days) - 1)
	}
	w.dispense(w.next(drugExposure), concept, date, end, days, c.code, c.id+sourceConcepts, true)
	if r, ok := w.orphan(drugExposure); ok {
		w.dispense(r, c.id, w.spell(d), w.spell(d), days, c.code, c.id+sourceConcepts, true)
	}
}

// longIllnesses writes the chronic illnesses that the payer covers in full, on
// the day it registered them.
func (w *scribe) longIllnesses() {
	for i, illness := range w.l.chronic {
		concept := w.g.vocab.chronic[illness]
		r := w.next(conditionOccurrence)
		r.int(concept).raw(w.spell(max(w.l.since[i], w.l.entry))).none(3).int(conceptFromClaim).int(0).none(4).raw("LTI").int(concept + sourceConcepts).none(1).end()
	}
}

// studyDrug writes the dispensings of drug A or B, about every 30 days from
// start to stop, always of one strength.
func (w *scribe) studyDrug() {
	first := int64(conceptDrugAFirst)
	switch w.l.arm {
	case noDrug:
		return
	case drugB:
		first = conceptDrugBFirst
	}
	c := w.g.vocab.concept(first + int64(w.s.below(2)))
	for d := w.l.start; d <= w.l.stop; d += day(w.s.between(27, 33)) {
		w.dispense(w.next(drugExposure), c.id, w.spell(d), w.spell(d+29), 30, c.code, c.id+sourceConcepts, false)
	}
}
