package cohort

import (
	"cmp"
	"slices"
	"strings"
)

// slowResult is what the slow evaluator gives.
type slowResult struct {
	rows            []row
	events, persons map[uint64]int64
	lost            int64
}

// evaluate follows generateCohort.sql.
func (w *slowWorld) evaluate() slowResult {
	res := slowResult{events: map[uint64]int64{}, persons: map[uint64]int64{}}
	primary := sub(w.d, "PrimaryCriteria")
	window := sub(primary, "ObservationWindow")
	type candidate struct {
		slowIndex
		place int
	}
	byPerson := map[int64][]candidate{}
	for place, c := range list(primary, "CriteriaList") {
		for _, e := range w.criterion(c.(obj)) {
			w.eachPeriod(e.person, func(from, to int64) {
				if from <= e.start && e.start <= to && from+num(window, "PriorDays") <= e.start && e.start+num(window, "PostDays") <= to {
					byPerson[e.person] = append(byPerson[e.person], candidate{slowIndex{slowEvent: e, opStart: from, opEnd: to}, place})
				}
			})
		}
	}
	var qualified []slowIndex
	for _, events := range byPerson {
		last := strings.EqualFold(word(sub(primary, "PrimaryCriteriaLimit"), "Type"), "last")
		slices.SortStableFunc(events, func(a, b candidate) int {
			c := cmp.Compare(a.sort, b.sort)
			if last {
				c = -c
			}
			if c != 0 {
				return c
			}
			end := func(x cell) int64 {
				if x == nil {
					return -1 << 62
				}
				return x.(int64)
			}
			return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.place, b.place), cmp.Compare(end(a.end), end(b.end)), cmp.Compare(a.opEnd, b.opEnd))
		})
		if !strings.EqualFold(word(sub(primary, "PrimaryCriteriaLimit"), "Type"), "all") {
			events = events[:1]
		}
		for i, e := range events {
			e.key = slowKey{e.person, int64(i)}
			qualified = append(qualified, e.slowIndex)
		}
	}
	if g, ok := w.d["AdditionalCriteria"].(obj); ok {
		holds := w.group(g, qualified)
		qualified = slices.DeleteFunc(qualified, func(e slowIndex) bool { return !holds[e.key] })
		qualified = limited(qualified, word(sub(w.d, "QualifiedLimit"), "Type"))
	}
	met := map[slowKey]uint64{}
	rules := list(w.d, "InclusionRules")
	for r, rule := range rules {
		holds := w.group(sub(rule.(obj), "expression"), qualified)
		for _, e := range qualified {
			if holds[e.key] {
				met[e.key] |= 1 << r
			}
		}
	}
	best := map[int64]slowIndex{}
	for _, e := range qualified {
		res.events[met[e.key]]++
		if b, ok := best[e.person]; !ok || slowBetter(met[e.key], met[b.key], e, b) {
			best[e.person] = e
		}
	}
	for _, e := range best {
		res.persons[met[e.key]]++
	}
	included := slices.Clone(qualified)
	included = slices.DeleteFunc(included, func(e slowIndex) bool { return met[e.key] != 1<<len(rules)-1 })
	included = limited(included, word(sub(w.d, "ExpressionLimit"), "Type"))
	perPerson := map[int64][][2]int64{}
	for _, e := range included {
		if end, ok := w.exit(e); ok {
			perPerson[e.person] = append(perPerson[e.person], [2]int64{e.start, end})
		}
	}
	for person, spans := range perPerson {
		rows := w.eras(person, spans)
		res.rows = append(res.rows, rows...)
		if len(rows) == 0 {
			res.lost++
		}
	}
	slices.SortFunc(res.rows, compareRows)
	return res
}

func slowBetter(a, b uint64, x, y slowIndex) bool {
	count := func(m uint64) (n, first int) {
		first = -1
		for i := range 64 {
			if m&(1<<i) != 0 {
				n++
				if first < 0 {
					first = i
				}
			}
		}
		return n, max(first, 0)
	}
	na, fa := count(a)
	nb, fb := count(b)
	return cmp.Or(cmp.Compare(nb, na), cmp.Compare(fa, fb), cmp.Compare(x.start, y.start), cmp.Compare(x.key.id, y.key.id)) < 0
}

// limited keeps all events, or each person's first or last.
func limited(events []slowIndex, limit string) []slowIndex {
	if strings.EqualFold(limit, "all") {
		return events
	}
	sign := int64(1)
	if strings.EqualFold(limit, "last") {
		sign = -1
	}
	chosen := map[int64]slowIndex{}
	for _, e := range events {
		b, ok := chosen[e.person]
		if !ok || sign*e.start < sign*b.start || e.start == b.start && e.key.id < b.key.id {
			chosen[e.person] = e
		}
	}
	return slices.DeleteFunc(slices.Clone(events), func(e slowIndex) bool { return chosen[e.person].key != e.key })
}

// exit gives the day on which an event's period ends, if there is one.
func (w *slowWorld) exit(e slowIndex) (int64, bool) {
	var ends []int64
	strategy := sub(w.d, "EndStrategy")
	offset, fixed := strategy["DateOffset"].(obj)
	if !fixed {
		ends = append(ends, e.opEnd)
	} else {
		from := cell(e.start)
		if word(offset, "DateField") == "EndDate" {
			from = e.end
		}
		if from != nil {
			ends = append(ends, min(from.(int64)+num(offset, "Offset"), e.opEnd))
		}
	}
	if era, ok := strategy["CustomEra"].(obj); ok {
		ends = append(ends, w.customEra(era, e)...)
	}
	for _, c := range list(w.d, "CensoringCriteria") {
		for _, a := range w.criterion(c.(obj)) {
			if a.person == e.person && a.start >= e.start && a.start <= e.opEnd {
				ends = append(ends, a.start)
			}
		}
	}
	ends = slices.DeleteFunc(ends, func(end int64) bool { return end < e.start })
	if len(ends) == 0 {
		return 0, false
	}
	return slices.Min(ends), true
}

// customEra gives the ends of the exposures in which an event lies: marks every
// day that an exposure, or the gap after it, covers.
func (w *slowWorld) customEra(c obj, e slowIndex) (ends []int64) {
	set := w.concepts(num(c, "DrugCodesetId"))
	type span struct{ start, end int64 }
	var spans []span
	for row := range w.tables["drug_exposure"].Len() {
		if w.at("drug_exposure", "person_id", row) != cell(e.person) {
			continue
		}
		for _, column := range []string{"drug_concept_id", "drug_source_concept_id"} {
			id, ok := w.at("drug_exposure", column, row).(int64)
			if !ok || !set[id] {
				continue
			}
			start := w.at("drug_exposure", "drug_exposure_start_date", row).(int64)
			end := w.endOf("DrugExposure", slowKinds["DrugExposure"], row, start).(int64)
			if days, ok := c["DaysSupplyOverride"].(float64); ok {
				end = start + int64(days)
			}
			spans = append(spans, span{start, end})
		}
	}
	pad := num(c, "GapDays") + num(c, "Offset")
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	for i := 0; i < len(spans); {
		start, last, most := spans[i].start, spans[i].end, spans[i].end
		for _, earlier := range spans[:i] {
			most = max(most, earlier.end)
		}
		for i++; i < len(spans) && spans[i].start <= most+pad; i++ {
			last, most = max(last, spans[i].end), max(most, spans[i].end)
		}
		if end := last + num(c, "Offset"); start <= e.start && e.start <= end {
			ends = append(ends, end)
		}
	}
	return ends
}

// eras marks every half day that a period, or the pad after it, covers (so that
// periods which only touch stay apart), and cuts what holds together to the
// censor window.
func (w *slowWorld) eras(person int64, spans [][2]int64) (out []row) {
	pad := num(sub(w.d, "CollapseSettings"), "EraPad")
	censor := sub(w.d, "CensorWindow")
	covered := map[int64]bool{}
	lo, hi := spans[0][0], spans[0][1]
	for _, s := range spans {
		lo, hi = min(lo, s[0]), max(hi, s[1])
		for d := 2 * s[0]; d <= 2*(s[1]+pad); d++ {
			covered[d] = true
		}
	}
	for d := 2 * lo; d <= 2*hi; d++ {
		if !covered[d] {
			continue
		}
		start := d / 2
		for covered[d+1] {
			d++
		}
		end := d/2 - pad
		if s := word(censor, "StartDate"); s != "" {
			start = max(start, slowDay(s))
		}
		if s := word(censor, "EndDate"); s != "" {
			end = min(end, slowDay(s))
		}
		if start <= end {
			out = append(out, row{person, int32(start), int32(end)})
		}
	}
	return out
}
