package cohort

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// where is the WHERE clause of a criterion's query, joins and all.
func (w *slowWorld) where(kind string, body obj, e *slowEvent) bool {
	for name, v := range body {
		if !w.attribute(kind, body, name, v, e) {
			return false
		}
	}
	return true
}

func (w *slowWorld) personRow(id int64) int {
	return slices.Index(w.tables["person"]["person_id"].Ints, id)
}

// age gives the year of a day less the year of birth, nil if unknown.
func (w *slowWorld) age(person int, day cell) cell {
	born := w.at("person", "year_of_birth", person)
	if born == nil || day == nil {
		return nil
	}
	return int64(time.Unix(day.(int64)*24*60*60, 0).UTC().Year()) - born.(int64)
}

// among is an IN clause: of a list of concepts or, with a name that ends in CS,
// of a concept set. not turns a list around.
func (w *slowWorld) among(name string, v any, not bool, value cell) bool {
	in := map[int64]bool{}
	if strings.HasSuffix(name, "CS") {
		in, not = w.concepts(num(v.(obj), "CodesetId")), yes(v.(obj), "IsExclusion")
		if not && len(in) == 0 {
			return true // nothing is in an empty table, null included
		}
	} else {
		for _, c := range v.([]any) {
			in[num(c.(obj), "CONCEPT_ID")] = true
		}
		if len(in) == 0 {
			return true
		}
	}
	if value == nil {
		return false
	}
	return in[value.(int64)] != not
}

// slowLists are the columns of lists of concepts, by kind and attribute.
var slowLists = map[string]string{
	"ConditionStatus": "condition_status_concept_id", "RouteConcept": "route_concept_id", "Modifier": "modifier_concept_id",
	"Operator": "operator_concept_id", "ValueAsConcept": "value_as_concept_id", "Unit": "unit_concept_id", "Qualifier": "qualifier_concept_id",
	"AnatomicSite": "anatomic_site_concept_id", "DiseaseStatus": "disease_status_concept_id", "PeriodType": "period_type_concept_id",
	"ConditionType": "condition_type_concept_id", "DrugType": "drug_type_concept_id", "ProcedureType": "procedure_type_concept_id",
	"MeasurementType": "measurement_type_concept_id", "ObservationType": "observation_type_concept_id", "DeviceType": "device_type_concept_id",
	"DeathType": "death_type_concept_id", "SpecimenType": "specimen_type_concept_id", "VisitDetailType": "visit_detail_type_concept_id",
	"EpisodeObjectConcept": "episode_object_concept_id", "EpisodeType": "episode_type_concept_id",
}

var slowTexts = map[string]string{"StopReason": "stop_reason", "LotNumber": "lot_number", "ValueAsString": "value_as_string",
	"UniqueDeviceId": "unique_device_id", "SourceId": "specimen_source_id"}

var slowNumbers = map[string]string{"Refills": "refills", "Quantity": "quantity", "DaysSupply": "days_supply", "ValueAsNumber": "value_as_number",
	"RangeLow": "range_low", "RangeHigh": "range_high", "DoseValue": "dose_value", "EpisodeNumber": "episode_number"}

var slowSets = map[string]string{"PayerConcept": "payer_concept_id", "PlanConcept": "plan_concept_id", "SponsorConcept": "sponsor_concept_id",
	"StopReasonConcept": "stop_reason_concept_id", "PayerSourceConcept": "payer_source_concept_id", "PlanSourceConcept": "plan_source_concept_id",
	"SponsorSourceConcept": "sponsor_source_concept_id", "StopReasonSourceConcept": "stop_reason_source_concept_id"}

func (w *slowWorld) attribute(kind string, body obj, name string, v any, e *slowEvent) bool {
	at := func(column string) cell { return w.at(e.table, column, e.row) }
	base := strings.TrimSuffix(name, "CS")
	if l, ok := v.([]any); ok && len(l) == 0 {
		return true // an empty list is passed over
	}
	if column, ok := slowNumbers[name]; ok {
		return between(v, at(column))
	}
	if column, ok := slowTexts[name]; ok {
		return like(v.(obj), at(column))
	}
	if column, ok := slowSets[name]; ok && kind == "PayerPlanPeriod" {
		id, ok := at(column).(int64)
		return ok && w.concepts(int64(v.(float64)))[id]
	}
	if column, ok := slowLists[base]; ok {
		return w.among(name, v, yes(body, base+"Exclude"), at(column))
	}
	switch base {
	case "OccurrenceStartDate", "EraStartDate", "PeriodStartDate", "VisitDetailStartDate", "EpisodeStartDate":
		return between(v, e.start)
	case "OccurrenceEndDate":
		switch kind {
		case "DrugExposure":
			return between(v, e.start)
		case "ProcedureOccurrence", "Measurement", "Observation":
			return true
		}
		return between(v, e.end)
	case "EraEndDate", "PeriodEndDate", "VisitDetailEndDate", "EpisodeEndDate":
		return between(v, e.end)
	case "EraLength", "PeriodLength", "VisitLength", "VisitDetailLength":
		if e.end == nil {
			return false
		}
		return between(v, e.end.(int64)-e.start)
	case "OccurrenceCount":
		if kind == "DrugEra" {
			return between(v, at("drug_exposure_count"))
		}
		return between(v, at("condition_occurrence_count"))
	case "GapDays":
		if length, ok := body["EraLength"]; ok {
			v = length
		}
		return between(v, at("gap_days"))
	case "Age", "AgeAtStart", "AgeAtEnd", "Gender":
		person := w.personRow(e.person)
		if base == "Gender" {
			return person >= 0 && w.among(name, v, false, w.at("person", "gender_concept_id", person))
		}
		day := cell(e.start)
		if base == "AgeAtEnd" || base == "Age" && kind == "VisitDetail" {
			day = e.end
		}
		return person >= 0 && between(v, w.age(person, day))
	case "VisitType":
		if kind == "VisitOccurrence" {
			return w.among(name, v, yes(body, "VisitTypeExclude"), at("visit_type_concept_id"))
		}
		for i := range w.tables["visit_occurrence"].Len() {
			if w.at("visit_occurrence", "visit_occurrence_id", i) == e.visit && w.at("visit_occurrence", "person_id", i) == cell(e.person) {
				return w.among(name, v, false, w.at("visit_occurrence", "visit_concept_id", i))
			}
		}
		return false
	case "ProviderSpecialty":
		var specialty cell
		for i := range w.tables["provider"].Len() {
			if id := at("provider_id"); id != nil && w.at("provider", "provider_id", i) == id {
				specialty = w.at("provider", "specialty_concept_id", i)
			}
		}
		return w.among(name, v, false, specialty)
	case "PlaceOfService":
		for i := range w.tables["care_site"].Len() {
			if id := at("care_site_id"); id != nil && w.at("care_site", "care_site_id", i) == id {
				return w.among(name, v, false, w.at("care_site", "place_of_service_concept_id", i))
			}
		}
		return false
	case "RangeLowRatio", "RangeHighRatio":
		value, ok := at("value_as_number").(float64)
		by, also := at(map[string]string{"RangeLowRatio": "range_low", "RangeHighRatio": "range_high"}[base]).(float64)
		return ok && also && by != 0 && between(v, value/by)
	case "Abnormal":
		value, ok := at("value_as_number").(float64)
		low, hasLow := at("range_low").(float64)
		high, hasHigh := at("range_high").(float64)
		coded := at("value_as_concept_id")
		return v == false || ok && hasLow && value < low || ok && hasHigh && value > high || coded == cell(int64(4155142)) || coded == cell(int64(4155143))
	}
	return true
}

// like is SQL's LIKE, by way of a regular expression.
func like(f obj, value cell) bool {
	text, ok := value.(string)
	if !ok {
		return false
	}
	op := word(f, "Op")
	p := word(f, "Text")
	if strings.HasSuffix(op, "endsWith") || strings.HasSuffix(op, "contains") {
		p = "%" + p
	}
	if strings.HasSuffix(op, "startsWith") || strings.HasSuffix(op, "contains") {
		p += "%"
	}
	p = regexp.QuoteMeta(p)
	p = strings.NewReplacer("%", "(?s:.*)", "_", "(?s:.)").Replace(p)
	return regexp.MustCompile("^"+p+"$").MatchString(text) != strings.HasPrefix(op, "!")
}
