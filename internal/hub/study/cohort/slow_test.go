package cohort

import (
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/studytest"
)

// The slow evaluator reads a definition with encoding/json and follows the
// reference SQL step by step, with nested loops over whole tables: each query of
// the SQL is a function that gives its rows. It shares no code with the
// evaluator that it judges.

// obj is a JSON object.
type obj = map[string]any

func list(o obj, name string) []any { l, _ := o[name].([]any); return l }

func sub(o obj, name string) obj { s, _ := o[name].(obj); return s }

func num(o obj, name string) int64 { f, _ := o[name].(float64); return int64(f) }

func word(o obj, name string) string { s, _ := o[name].(string); return s }

func yes(o obj, name string) bool { b, _ := o[name].(bool); return b }

// cell is a value of a table: int64, float64 or string, nil for null.
type cell any

type slowWorld struct {
	tables map[string]studytest.Table
	d      obj
}

func (w *slowWorld) at(table, column string, row int) cell {
	c := w.tables[table][column]
	switch {
	case c == nil || c.Null != nil && c.Null[row]:
		return nil
	case c.Days != nil:
		return int64(c.Days[row])
	case c.Floats != nil:
		return c.Floats[row]
	case c.Texts != nil:
		return c.Texts[row]
	}
	return c.Ints[row]
}

// slowEvent is a row of a criterion's query.
type slowEvent struct {
	person, id  int64
	start, sort int64
	end, visit  cell
	table       string
	row         int
	first       bool
}

// slowKind is where a kind's rows are.
type slowKind struct{ table, prefix, start, end, source string }

var slowKinds = map[string]slowKind{
	"ConditionOccurrence": {"condition_occurrence", "condition_concept_id", "condition_start_date", "condition_end_date", "Condition"},
	"DrugExposure":        {"drug_exposure", "drug_concept_id", "drug_exposure_start_date", "drug_exposure_end_date", "Drug"},
	"ProcedureOccurrence": {"procedure_occurrence", "procedure_concept_id", "procedure_date", "", "Procedure"},
	"Measurement":         {"measurement", "measurement_concept_id", "measurement_date", "", "Measurement"},
	"Observation":         {"observation", "observation_concept_id", "observation_date", "", "Observation"},
	"DeviceExposure":      {"device_exposure", "device_concept_id", "device_exposure_start_date", "device_exposure_end_date", "Device"},
	"VisitOccurrence":     {"visit_occurrence", "visit_concept_id", "visit_start_date", "visit_end_date", "Visit"},
	"VisitDetail":         {"visit_detail", "visit_detail_concept_id", "visit_detail_start_date", "visit_detail_end_date", "VisitDetail"},
	"Death":               {"death", "cause_concept_id", "death_date", "", "Death"},
	"Specimen":            {"specimen", "specimen_concept_id", "specimen_date", "", ""},
	"ConditionEra":        {"condition_era", "condition_concept_id", "condition_era_start_date", "condition_era_end_date", ""},
	"DrugEra":             {"drug_era", "drug_concept_id", "drug_era_start_date", "drug_era_end_date", ""},
	"DoseEra":             {"dose_era", "drug_concept_id", "dose_era_start_date", "dose_era_end_date", ""},
	"ObservationPeriod":   {"observation_period", "", "observation_period_start_date", "observation_period_end_date", ""},
	"PayerPlanPeriod":     {"payer_plan_period", "", "payer_plan_period_start_date", "payer_plan_period_end_date", ""},
	"Episode":             {"episode", "episode_concept_id", "episode_start_date", "episode_end_date", ""},
}

// criterion gives the rows of {"Kind": {...}}.
func (w *slowWorld) criterion(c obj) (out []slowEvent) {
	var kind string
	var body obj
	for k, v := range c {
		kind, body = k, v.(obj)
	}
	k := slowKinds[kind]
	var all []slowEvent
	for row := range w.tables[k.table].Len() {
		if !w.coded(body, "CodesetId", k.table, k.prefix, row) {
			continue
		}
		source := strings.TrimSuffix(k.prefix, "concept_id") + "source_concept_id"
		if kind == "Death" {
			source = "cause_source_concept_id"
		}
		if k.source != "" && !w.coded(body, k.source+"SourceConcept", k.table, source, row) {
			continue
		}
		e := slowEvent{table: k.table, row: row}
		e.person = w.at(k.table, "person_id", row).(int64)
		e.id = e.person
		if id := w.at(k.table, k.table+"_id", row); id != nil && kind != "Death" {
			e.id = id.(int64)
		}
		e.start = w.at(k.table, k.start, row).(int64)
		e.end = w.endOf(kind, k, row, e.start)
		if slices.Contains([]string{"condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement", "observation",
			"device_exposure", "visit_occurrence", "visit_detail"}, k.table) {
			e.visit = w.at(k.table, "visit_occurrence_id", row)
		}
		all = append(all, e)
	}
	for i := range all {
		all[i].first = true
		for _, o := range all {
			if o.person == all[i].person && (o.start < all[i].start || o.start == all[i].start && o.id < all[i].id) {
				all[i].first = false
			}
		}
	}
	for _, e := range all {
		if yes(body, "First") && !e.first {
			continue
		}
		if a, ok := body["DateAdjustment"].(obj); ok {
			from, to := cell(e.start), e.end
			if word(a, "StartWith") == "END_DATE" && kind != "Death" {
				from = e.end
			}
			if word(a, "EndWith") == "START_DATE" && kind != "Death" {
				to = e.start
			}
			if from == nil || to == nil || to.(int64)+num(a, "EndOffset") < from.(int64)+num(a, "StartOffset") {
				continue
			}
			e.start, e.end = from.(int64)+num(a, "StartOffset"), to.(int64)+num(a, "EndOffset")
		}
		e.sort = e.start
		if !w.where(kind, body, &e) {
			continue
		}
		if p, ok := body["UserDefinedPeriod"].(obj); ok {
			inside := true
			for _, name := range []string{"StartDate", "EndDate"} {
				if s := word(p, name); s != "" {
					inside = inside && e.start <= slowDay(s) && e.end != nil && e.end.(int64) >= slowDay(s)
				}
			}
			if !inside {
				continue
			}
			if s := word(p, "StartDate"); s != "" {
				e.start = slowDay(s)
			}
			if s := word(p, "EndDate"); s != "" {
				e.end = slowDay(s)
			}
		}
		out = append(out, e)
	}
	if g, ok := body["CorrelatedCriteria"].(obj); ok && len(list(g, "CriteriaList"))+len(list(g, "DemographicCriteriaList"))+len(list(g, "Groups")) > 0 {
		var p []slowIndex
		for _, e := range out {
			w.eachPeriod(e.person, func(from, to int64) {
				if from <= e.start && to >= e.start {
					p = append(p, slowIndex{slowEvent: e, key: slowKey{e.person, e.id}, opStart: from, opEnd: to})
				}
			})
		}
		holds := w.group(g, p)
		out = slices.DeleteFunc(out, func(e slowEvent) bool { return !holds[slowKey{e.person, e.id}] })
	}
	return out
}

func (w *slowWorld) endOf(kind string, k slowKind, row int, start int64) cell {
	if k.end != "" {
		if end := w.at(k.table, k.end, row); end != nil {
			return end
		}
	}
	switch kind {
	case "DrugExposure":
		if supply := w.at(k.table, "days_supply", row); supply != nil {
			return start + supply.(int64)
		}
		return start + 1
	case "ConditionOccurrence", "DeviceExposure", "ProcedureOccurrence", "Measurement", "Observation", "Death", "Specimen":
		return start + 1
	}
	return nil
}

func (w *slowWorld) eachPeriod(person int64, visit func(from, to int64)) {
	op := w.tables["observation_period"]
	for i, p := range op["person_id"].Ints {
		if p == person {
			visit(int64(op["observation_period_start_date"].Days[i]), int64(op["observation_period_end_date"].Days[i]))
		}
	}
}

// coded says whether a column's concept is in the set that a field names.
func (w *slowWorld) coded(body obj, field, table, column string, row int) bool {
	set, ok := body[field].(float64)
	if !ok {
		return true
	}
	v, ok := w.at(table, column, row).(int64)
	return ok && w.concepts(int64(set))[v]
}

// concepts gives the concepts of a set.
func (w *slowWorld) concepts(id int64) map[int64]bool {
	concept, ancestor, relation := w.tables["concept"], w.tables["concept_ancestor"], w.tables["concept_relationship"]
	one := func(excluded bool) map[int64]bool {
		all, mapped := map[int64]bool{}, map[int64]bool{}
		for _, s := range list(w.d, "ConceptSets") {
			if num(s.(obj), "id") != id {
				continue
			}
			for _, i := range list(sub(s.(obj), "expression"), "items") {
				item := i.(obj)
				if yes(item, "isExcluded") != excluded {
					continue
				}
				for c, cid := range concept["concept_id"].Ints {
					named := cid == num(sub(item, "concept"), "CONCEPT_ID")
					below := false
					for a, anc := range ancestor["ancestor_concept_id"].Ints {
						below = below || anc == num(sub(item, "concept"), "CONCEPT_ID") && ancestor["descendant_concept_id"].Ints[a] == cid
					}
					if named || yes(item, "includeDescendants") && below && concept["invalid_reason"].Null[c] {
						all[cid] = true
						mapped[cid] = mapped[cid] || yes(item, "includeMapped")
					}
				}
			}
		}
		for r, target := range relation["concept_id_2"].Ints {
			if mapped[target] && relation["relationship_id"].Texts[r] == "Maps to" && relation["invalid_reason"].Null[r] {
				all[relation["concept_id_1"].Ints[r]] = true
			}
		}
		return all
	}
	in, out := one(false), one(true)
	for c := range out {
		delete(in, c)
	}
	return in
}

// slowKey is what the reference knows an event by.
type slowKey struct{ person, id int64 }

// slowIndex is a row of an event table.
type slowIndex struct {
	slowEvent
	key            slowKey
	opStart, opEnd int64
}

// group gives the events for which a group holds.
func (w *slowWorld) group(g obj, p []slowIndex) map[slowKey]bool {
	var parts []map[slowKey]bool
	for _, c := range list(g, "CriteriaList") {
		parts = append(parts, w.correlated(c.(obj), p))
	}
	for _, d := range list(g, "DemographicCriteriaList") {
		parts = append(parts, w.demographic(d.(obj), p))
	}
	for _, s := range list(g, "Groups") {
		parts = append(parts, w.group(s.(obj), p))
	}
	out := map[slowKey]bool{}
	if len(parts) == 0 {
		for _, e := range p {
			out[e.key] = true
		}
		return out
	}
	kind, count := strings.ToUpper(word(g, "Type")), num(g, "Count")
	left := kind == "AT_MOST" || strings.HasPrefix(kind, "AT_") && count == 0
	for _, e := range p {
		n := int64(0)
		for _, again := range p { // each row of the event is joined to each part
			for _, part := range parts {
				if again.key == e.key && part[e.key] {
					n++
				}
			}
		}
		if n == 0 && !left {
			continue
		}
		switch kind {
		case "ALL":
			out[e.key] = n == int64(len(parts))
		case "ANY":
			out[e.key] = n > 0
		case "AT_LEAST":
			out[e.key] = n >= count
		case "AT_MOST":
			out[e.key] = n <= count
		}
	}
	return out
}

func (w *slowWorld) demographic(d obj, p []slowIndex) map[slowKey]bool {
	out := map[slowKey]bool{}
	for _, e := range p {
		person := w.personRow(e.person)
		if person < 0 {
			continue
		}
		ok := true
		for name, v := range d {
			switch strings.TrimSuffix(name, "CS") {
			case "Age":
				ok = ok && between(v, w.age(person, e.start))
			case "Gender", "Race", "Ethnicity":
				ok = ok && w.among(name, v, false, w.at("person", strings.ToLower(strings.TrimSuffix(name, "CS"))+"_concept_id", person))
			case "OccurrenceStartDate":
				ok = ok && between(v, e.start)
			case "OccurrenceEndDate":
				ok = ok && between(v, e.end)
			}
		}
		out[e.key] = out[e.key] || ok
	}
	return out
}

// correlated gives the events around which there are as many others as wanted.
func (w *slowWorld) correlated(c obj, p []slowIndex) map[slowKey]bool {
	o := sub(c, "Occurrence")
	rows := map[slowKey][]slowEvent{}
	events := w.criterion(sub(c, "Criteria"))
	for _, e := range p {
		for _, a := range events {
			if a.person == e.person && w.within(c, e, a) {
				rows[e.key] = append(rows[e.key], a)
			}
		}
	}
	exclude := num(o, "Type") == 1 || num(o, "Count") == 0
	out := map[slowKey]bool{}
	for _, e := range p {
		matched := rows[e.key]
		if len(matched) == 0 && !exclude {
			continue
		}
		times := int64(0)
		for _, again := range p {
			if again.key == e.key {
				times++
			}
		}
		n := int64(len(matched))
		if exclude {
			n *= times
		}
		if yes(o, "IsDistinct") {
			distinct := map[cell]bool{}
			for _, a := range matched {
				if v := w.counted(o, c, a); v != nil {
					distinct[v] = true
				}
			}
			n = int64(len(distinct))
		}
		switch num(o, "Type") {
		case 0:
			out[e.key] = n == num(o, "Count")
		case 1:
			out[e.key] = n <= num(o, "Count")
		default:
			out[e.key] = n >= num(o, "Count")
		}
	}
	return out
}

// within is the ON clause of a windowed criterion.
func (w *slowWorld) within(c obj, p slowIndex, a slowEvent) bool {
	check := !yes(c, "IgnoreObservationPeriod")
	if check && (a.start < p.opStart || a.start > p.opEnd) {
		return false
	}
	for _, name := range []string{"StartWindow", "EndWindow"} {
		win, ok := c[name].(obj)
		if !ok {
			continue
		}
		event, index := cell(a.start), cell(p.start)
		if useEnd, said := win["UseEventEnd"].(bool); useEnd || !said && name == "EndWindow" {
			event = a.end
		}
		if yes(win, "UseIndexEnd") {
			index = p.end
		}
		for side, sign := range map[string]int64{"Start": 1, "End": -1} {
			bound := sub(win, side)
			var limit cell
			if days, ok := bound["Days"].(float64); ok {
				if index == nil {
					return false
				}
				limit = index.(int64) + num(bound, "Coeff")*int64(days)
			} else if !check {
				continue
			} else if num(bound, "Coeff") == -1 {
				limit = p.opStart
			} else {
				limit = p.opEnd
			}
			if event == nil || sign*event.(int64) < sign*limit.(int64) {
				return false
			}
		}
	}
	if yes(c, "RestrictVisit") && (a.visit == nil || p.visit == nil || a.visit != p.visit) {
		return false
	}
	return true
}

// counted gives what is counted distinct of an event.
func (w *slowWorld) counted(o, c obj, a slowEvent) cell {
	column := word(o, "CountColumn")
	if column == "" {
		column = "DOMAIN_CONCEPT"
	}
	var kind string
	for k := range sub(c, "Criteria") {
		kind = k
	}
	switch column {
	case "START_DATE":
		return a.start
	case "END_DATE":
		return a.end
	case "VISIT_ID":
		return a.visit
	case "DURATION":
		if slowKinds[kind].end == "" {
			return int64(1)
		}
		if a.end == nil {
			return nil
		}
		return a.end.(int64) - a.start
	case "DOMAIN_CONCEPT":
		switch kind {
		case "Death":
			if v := w.at(a.table, "cause_concept_id", a.row); v != nil {
				return v
			}
			return int64(0)
		case "ObservationPeriod":
			return w.at(a.table, "period_type_concept_id", a.row)
		case "PayerPlanPeriod":
			return w.at(a.table, "payer_concept_id", a.row)
		}
		return w.at(a.table, slowKinds[kind].prefix, a.row)
	case "ERA_OCCURRENCES":
		return w.at(a.table, map[string]string{"ConditionEra": "condition_occurrence_count", "DrugEra": "drug_exposure_count"}[kind], a.row)
	case "UNIT":
		return w.at(a.table, "unit_concept_id", a.row)
	case "VALUE_AS_NUMBER":
		if kind == "DoseEra" {
			return w.at(a.table, "dose_value", a.row)
		}
	}
	return w.at(a.table, strings.ToLower(column), a.row)
}
