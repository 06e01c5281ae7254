package synth

// scribe writes the rows of one person at one holder: it knows the holder's
// person id and numbers the person's rows table by table.
type scribe struct {
	g    *generator
	out  *block
	h    int
	p    *person
	l    *life
	id   int64 // the holder's person id
	seq  [tableCount]int
	s    *stream
	last day // end of observation
}

// perPerson is how many event ids a person has in each table of each holder:
// id = person's turn x perPerson + row, so ids need no counter and no order.
const perPerson = 4096

func (w *scribe) rows(t table) *rows { return &w.out.out[w.h][t] }

// next numbers a row and begins it.
func (w *scribe) next(t table) *rows {
	id := int64(w.p.number+1)*perPerson + int64(w.seq[t]%perPerson)
	w.seq[t]++
	return w.rows(t).int(id).int(w.id)
}

// visitID is the id of the visit written last.
func (w *scribe) visitID() int64 {
	return int64(w.p.number+1)*perPerson + int64((w.seq[visitOccurrence]-1)%perPerson)
}

func (w *scribe) spell(d day) string { return w.g.cal.spell(d) }

// typeConcept says where the holder's rows come from.
func (w *scribe) typeConcept() int64 {
	if w.h == payer {
		return conceptFromClaim
	}
	return conceptFromHealthFile
}

// spoil draws what is wrong with a row of the background: its date and concept
// as written. code stays the source's own.
func (w *scribe) spoil(d day, concept int64) (date string, conceptID int64) {
	dirt, tally := &holders[w.h].dirt, &w.out.tally.holders[w.h].Dirt
	n := w.s.below(10_000)
	if n -= dirt.Placeholder; n < 0 {
		tally.Placeholder++
		return placeholder, concept
	}
	if n -= dirt.Late; n < 0 {
		tally.Late++
		return w.spell(w.last + 1 + day(w.s.below(200))), concept
	}
	if n -= dirt.Unknown; n < 0 {
		tally.Unknown++
		concept = 0
	}
	return w.spell(d), concept
}

// orphan says, now and then, to add a row to t of a person that the holder
// does not know, and begins it: the id is beyond the holder's own.
func (w *scribe) orphan(t table) (*rows, bool) {
	if !w.s.chance(holders[w.h].dirt.Orphan) {
		return nil, false
	}
	w.out.tally.holders[w.h].Dirt.Orphan++
	known := w.id
	w.id = holders[w.h].firstID + int64(len(w.g.born)) + int64(w.s.below(1_000_000))
	r := w.next(t)
	w.id = known
	return r, true
}

func (w *scribe) person() {
	commune := w.l.homeOn(w.last)
	sex := int64(conceptMale)
	if w.p.sex == female {
		sex = conceptFemale
	}
	w.rows(personTable).int(w.id).int(sex).int(int64(w.p.year)).int(int64(w.g.cal.month(w.p.born))).none(2).int(0).int(0).
		int(w.g.locationOf(commune)).none(1).int(int64(1 + w.p.number%careSites)).int(w.id).raw(sexCodes[w.p.sex]).int(0).none(1).int(0).none(1).int(0).end()
}

func (w *scribe) observed(from, to day) {
	w.next(observationPeriod).raw(w.spell(from)).raw(w.spell(to)).int(w.typeConcept()).end()
}

func (w *scribe) visit(concept int64, from, to day, source string) {
	r := w.next(visitOccurrence).int(concept).raw(w.spell(from))
	if concept == conceptEmergency {
		r.b = append(r.b, w.spell(from)...)
		r.b = append(r.b, ' ')
		r.b = appendClock(r.b, w.s.below(24*60))
		r.b = append(r.b, ',')
	} else {
		r.none(1)
	}
	r.raw(w.spell(to)).none(1).int(w.typeConcept()).int(int64(1 + w.s.below(providers))).int(int64(1 + w.s.below(careSites))).raw(source).int(0).none(5).end()
}

// appendClock spells minutes of the day as 10:20:00.
func appendClock(b []byte, minutes int) []byte {
	h, m := byte(minutes/60), byte(minutes%60)
	return append(b, '0'+h/10, '0'+h%10, ':', '0'+m/10, '0'+m%10, ':', '0', '0')
}

// condition writes a diagnosis; the visit written last is its visit.
func (w *scribe) condition(concept, source int64, code, date string) {
	w.next(conditionOccurrence).int(concept).raw(date).none(3).int(w.typeConcept()).int(0).none(1).int(int64(1 + w.s.below(providers))).
		int(w.visitID()).none(1).raw(code).int(source).none(1).end()
}

func (w *scribe) procedure(c *concept, d day) {
	date, concept := w.spoil(d, c.id)
	w.next(procedureOccurrence).int(concept).raw(date).none(3).int(w.typeConcept()).int(0).int(1).int(int64(1 + w.s.below(providers))).
		int(w.visitID()).none(1).raw(c.code).int(c.id + sourceConcepts).none(1).end()
}

// measure writes the laboratory value test on a day, about mean.
func (w *scribe) measure(test, mean int, d day) {
	lab := &laboratory[test]
	c := &w.g.vocab.labs[test]
	date, concept := w.spoil(d, c.id)
	value := max(1, w.s.bell(mean, lab.sd))
	w.measureRest(w.next(measurement), concept, date, test, value)
	if r, ok := w.orphan(measurement); ok {
		w.measureRest(r, c.id, w.spell(d), test, value)
	}
}

func (w *scribe) measureRest(r *rows, concept int64, date string, test, value int) {
	lab := &laboratory[test]
	number := func(n int) {
		if lab.whole {
			r.int(int64(n))
			return
		}
		r.b = append(tenths(r.b, n), ',')
	}
	r.int(concept).raw(date).none(2).int(w.typeConcept()).none(1)
	number(value)
	r.none(1).int(w.g.vocab.unitOf[test])
	number(lab.low)
	number(lab.high)
	c := &w.g.vocab.labs[test]
	r.int(int64(1 + w.s.below(providers))).int(w.visitID()).none(1).raw(c.code).int(c.id + sourceConcepts).raw(lab.unit).int(0)
	number(value)
	r.none(2).end()
}

// dispense writes a dispensing; concept and date may be spoilt already.
func (w *scribe) dispense(r *rows, concept int64, date, end string, days int64, code string, source int64, visit bool) {
	r.int(concept).raw(date).none(1).raw(end).none(2).int(w.typeConcept()).none(1).int(0).int(days).int(days).none(1).int(0).none(1).int(int64(1 + w.s.below(providers)))
	if visit {
		r.int(w.visitID())
	} else {
		r.none(1)
	}
	r.none(1).raw(code).int(source).none(2).end()
}
