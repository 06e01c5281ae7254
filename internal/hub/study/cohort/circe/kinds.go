package circe

import (
	"maps"
	"slices"
)

// Kind says where the events of one kind of criteria stand in the CDM, and
// which attributes the kind has.
type Kind struct {
	Name    string // as in Circe
	Table   string
	ID      string // "": an event's id is its person's
	Concept string // "" if the kind has no concepts
	Source  string // source concept column, "" if none
	Start   string
	End     string // "" if events have no end of their own
	Supply  string // days that stand in for a missing end, "" if none
	NextDay bool   // a missing end is the day after the start; else it stays missing
	Visit   string // column of the visit that the event belongs to, "" if none

	Codeset     string // field that asks for standard concepts, "" if none
	SourceField string // field that asks for source concepts, "" if none
	First       bool   // knows the field First
	Attributes  map[string]*Attribute
	Counts      map[string]string // what can be counted distinct: column by Circe's name, "" if it is no column
}

// Attribute is one filter of a kind of criteria.
type Attribute struct {
	Name    string
	Form    Form
	Subject Subject
	Column  string // of the kind's table; SubjectColumn and SubjectText
	Exclude string // Concepts: name of the flag that turns the list around, "" if none
}

// Form says how an attribute is written.
type Form int

// The forms.
const (
	Dates         Form = iota
	Integers           // Circe writes the bounds as whole numbers, cutting decimals off
	Decimals           // and these with four decimals
	Concepts           // a list of concepts
	Selection          // a concept set, or all but its concepts
	Codeset            // the number of a concept set
	Texts              // a comparison of text
	Flag               // counts when true
	UserPeriods        // fixed dates in place of the event's own
	WithoutEffect      // Circe reads a range and does nothing with it
)

// Subject is what a filter looks at.
type Subject int

// The subjects. Ages are calendar years: that of the day less that of birth.
const (
	SubjectColumn Subject = iota
	SubjectText           // a column of text
	SubjectStart          // day the event starts
	SubjectEnd            // day it ends
	SubjectLength         // days from start to end
	SubjectAgeAtStart
	SubjectAgeAtEnd
	SubjectGender
	SubjectRace
	SubjectEthnicity
	SubjectVisit      // kind of the visit that the event belongs to
	SubjectSpecialty  // specialty of the provider
	SubjectPlace      // kind of the care site
	SubjectRegion     // region of the care site
	SubjectLowRatio   // value over the lower end of the normal range
	SubjectHighRatio  // value over the upper end
	SubjectAbnormal   // value outside the normal range, or said to be
	SubjectUserPeriod // not a filter, but fixed dates
)

func date(name string, s Subject) Attribute { return Attribute{Name: name, Form: Dates, Subject: s} }
func integer(name string, s Subject) Attribute {
	return Attribute{Name: name, Form: Integers, Subject: s}
}
func idle(name string) Attribute { return Attribute{Name: name, Form: WithoutEffect} }
func concepts(name string, s Subject) Attribute {
	return Attribute{Name: name, Form: Concepts, Subject: s}
}
func selection(name string, s Subject) Attribute {
	return Attribute{Name: name, Form: Selection, Subject: s}
}
func column(name string, f Form, c string) Attribute {
	return Attribute{Name: name, Form: f, Column: c}
}
func text(name, c string) Attribute {
	return Attribute{Name: name, Form: Texts, Subject: SubjectText, Column: c}
}

// kindOf is a list of concepts that a flag of the same name turns around.
func kindOf(name, c string) Attribute {
	return Attribute{Name: name, Form: Concepts, Column: c, Exclude: name + "Exclude"}
}

// usual are the attributes that most kinds of clinical events share.
var usual = []Attribute{
	date("OccurrenceStartDate", SubjectStart), integer("Age", SubjectAgeAtStart), concepts("Gender", SubjectGender),
	concepts("ProviderSpecialty", SubjectSpecialty), concepts("VisitType", SubjectVisit),
}

// eras are the attributes that all kinds of eras share.
var eras = []Attribute{
	date("EraStartDate", SubjectStart), date("EraEndDate", SubjectEnd), integer("EraLength", SubjectLength),
	integer("AgeAtStart", SubjectAgeAtStart), integer("AgeAtEnd", SubjectAgeAtEnd), concepts("Gender", SubjectGender),
}

// periods are the attributes that all kinds of periods share.
var periods = []Attribute{
	date("PeriodStartDate", SubjectStart), date("PeriodEndDate", SubjectEnd), integer("PeriodLength", SubjectLength),
	integer("AgeAtStart", SubjectAgeAtStart), integer("AgeAtEnd", SubjectAgeAtEnd),
	{Name: "UserDefinedPeriod", Form: UserPeriods, Subject: SubjectUserPeriod},
}

// Kinds are the kinds of criteria, by Circe's name. Nobody changes it.
var Kinds = func() map[string]*Kind {
	m := map[string]*Kind{}
	for _, k := range []struct {
		Kind
		attributes [][]Attribute
		counts     map[string]string
	}{
		{Kind{
			Name: "ConditionOccurrence", Table: "condition_occurrence", ID: "condition_occurrence_id",
			Concept: "condition_concept_id", Source: "condition_source_concept_id", SourceField: "ConditionSourceConcept",
			Start: "condition_start_date", End: "condition_end_date", NextDay: true, Visit: "visit_occurrence_id",
		}, [][]Attribute{usual, {
			date("OccurrenceEndDate", SubjectEnd), kindOf("ConditionType", "condition_type_concept_id"),
			column("ConditionStatus", Concepts, "condition_status_concept_id"), text("StopReason", "stop_reason"),
		}}, nil},
		{Kind{
			Name: "DrugExposure", Table: "drug_exposure", ID: "drug_exposure_id",
			Concept: "drug_concept_id", Source: "drug_source_concept_id", SourceField: "DrugSourceConcept",
			Start: "drug_exposure_start_date", End: "drug_exposure_end_date", Supply: "days_supply", NextDay: true,
			Visit: "visit_occurrence_id",
		}, [][]Attribute{usual, {
			date("OccurrenceEndDate", SubjectStart), // so does Circe
			kindOf("DrugType", "drug_type_concept_id"), text("StopReason", "stop_reason"),
			column("RouteConcept", Concepts, "route_concept_id"), column("Refills", Integers, "refills"),
			column("Quantity", Decimals, "quantity"), column("DaysSupply", Integers, "days_supply"),
			column("EffectiveDrugDose", Decimals, "effective_drug_dose"), column("DoseUnit", Concepts, "dose_unit_concept_id"),
			text("LotNumber", "lot_number"),
		}}, map[string]string{"DAYS_SUPPLY": "days_supply", "QUANTITY": "quantity", "REFILLS": "refills"}},
		{Kind{
			Name: "ProcedureOccurrence", Table: "procedure_occurrence", ID: "procedure_occurrence_id",
			Concept: "procedure_concept_id", Source: "procedure_source_concept_id", SourceField: "ProcedureSourceConcept",
			Start: "procedure_date", NextDay: true, Visit: "visit_occurrence_id",
		}, [][]Attribute{usual, {
			idle("OccurrenceEndDate"), kindOf("ProcedureType", "procedure_type_concept_id"),
			column("Modifier", Concepts, "modifier_concept_id"), column("Quantity", Integers, "quantity"),
		}}, map[string]string{"QUANTITY": "quantity"}},
		{Kind{
			Name: "Measurement", Table: "measurement", ID: "measurement_id",
			Concept: "measurement_concept_id", Source: "measurement_source_concept_id", SourceField: "MeasurementSourceConcept",
			Start: "measurement_date", NextDay: true, Visit: "visit_occurrence_id",
		}, [][]Attribute{usual, {
			idle("OccurrenceEndDate"), kindOf("MeasurementType", "measurement_type_concept_id"),
			column("Operator", Concepts, "operator_concept_id"), column("ValueAsNumber", Decimals, "value_as_number"),
			column("ValueAsConcept", Concepts, "value_as_concept_id"), column("Unit", Concepts, "unit_concept_id"),
			column("RangeLow", Decimals, "range_low"), column("RangeHigh", Decimals, "range_high"),
			{Name: "RangeLowRatio", Form: Decimals, Subject: SubjectLowRatio},
			{Name: "RangeHighRatio", Form: Decimals, Subject: SubjectHighRatio},
			{Name: "Abnormal", Form: Flag, Subject: SubjectAbnormal},
		}}, map[string]string{"VALUE_AS_NUMBER": "value_as_number", "RANGE_LOW": "range_low", "RANGE_HIGH": "range_high"}},
		{Kind{
			Name: "Observation", Table: "observation", ID: "observation_id",
			Concept: "observation_concept_id", Source: "observation_source_concept_id", SourceField: "ObservationSourceConcept",
			Start: "observation_date", NextDay: true, Visit: "visit_occurrence_id",
		}, [][]Attribute{usual, {
			idle("OccurrenceEndDate"), kindOf("ObservationType", "observation_type_concept_id"),
			column("ValueAsNumber", Decimals, "value_as_number"), text("ValueAsString", "value_as_string"),
			column("ValueAsConcept", Concepts, "value_as_concept_id"), column("Qualifier", Concepts, "qualifier_concept_id"),
			column("Unit", Concepts, "unit_concept_id"),
		}}, map[string]string{"VALUE_AS_NUMBER": "value_as_number"}},
		{Kind{
			Name: "DeviceExposure", Table: "device_exposure", ID: "device_exposure_id",
			Concept: "device_concept_id", Source: "device_source_concept_id", SourceField: "DeviceSourceConcept",
			Start: "device_exposure_start_date", End: "device_exposure_end_date", NextDay: true, Visit: "visit_occurrence_id",
		}, [][]Attribute{usual, {
			date("OccurrenceEndDate", SubjectEnd), kindOf("DeviceType", "device_type_concept_id"),
			text("UniqueDeviceId", "unique_device_id"), column("Quantity", Integers, "quantity"),
		}}, map[string]string{"QUANTITY": "quantity"}},
		{Kind{
			Name: "VisitOccurrence", Table: "visit_occurrence", ID: "visit_occurrence_id",
			Concept: "visit_concept_id", Source: "visit_source_concept_id", SourceField: "VisitSourceConcept",
			Start: "visit_start_date", End: "visit_end_date", Visit: "visit_occurrence_id",
		}, [][]Attribute{{
			date("OccurrenceStartDate", SubjectStart), date("OccurrenceEndDate", SubjectEnd), integer("VisitLength", SubjectLength),
			integer("Age", SubjectAgeAtStart), concepts("Gender", SubjectGender), kindOf("VisitType", "visit_type_concept_id"),
			concepts("ProviderSpecialty", SubjectSpecialty), concepts("PlaceOfService", SubjectPlace),
			{Name: "PlaceOfServiceLocation", Form: Codeset, Subject: SubjectRegion},
		}}, nil},
		{Kind{
			Name: "VisitDetail", Table: "visit_detail", ID: "visit_detail_id",
			Concept: "visit_detail_concept_id", Source: "visit_detail_source_concept_id", SourceField: "VisitDetailSourceConcept",
			Start: "visit_detail_start_date", End: "visit_detail_end_date", Visit: "visit_occurrence_id",
		}, [][]Attribute{{
			date("VisitDetailStartDate", SubjectStart), date("VisitDetailEndDate", SubjectEnd), integer("VisitDetailLength", SubjectLength),
			integer("Age", SubjectAgeAtEnd), // so does Circe
			selection("GenderCS", SubjectGender), selection("ProviderSpecialtyCS", SubjectSpecialty),
			selection("PlaceOfServiceCS", SubjectPlace), column("VisitDetailTypeCS", Selection, "visit_detail_type_concept_id"),
			{Name: "PlaceOfServiceLocation", Form: Codeset, Subject: SubjectRegion},
		}}, nil},
		{Kind{
			Name: "Death", Table: "death", Concept: "cause_concept_id", Source: "cause_source_concept_id",
			SourceField: "DeathSourceConcept", Start: "death_date", NextDay: true,
		}, [][]Attribute{{
			date("OccurrenceStartDate", SubjectStart), kindOf("DeathType", "death_type_concept_id"),
			integer("Age", SubjectAgeAtStart), concepts("Gender", SubjectGender),
		}}, nil},
		{Kind{
			Name: "Specimen", Table: "specimen", ID: "specimen_id", Concept: "specimen_concept_id",
			Start: "specimen_date", NextDay: true,
		}, [][]Attribute{{
			date("OccurrenceStartDate", SubjectStart), kindOf("SpecimenType", "specimen_type_concept_id"),
			column("Quantity", Decimals, "quantity"), column("Unit", Concepts, "unit_concept_id"),
			column("AnatomicSite", Concepts, "anatomic_site_concept_id"), column("DiseaseStatus", Concepts, "disease_status_concept_id"),
			text("SourceId", "specimen_source_id"), idle("SpecimenSourceConcept"),
			integer("Age", SubjectAgeAtStart), concepts("Gender", SubjectGender),
		}}, nil},
		{Kind{
			Name: "ConditionEra", Table: "condition_era", ID: "condition_era_id", Concept: "condition_concept_id",
			Start: "condition_era_start_date", End: "condition_era_end_date",
		}, [][]Attribute{eras, {column("OccurrenceCount", Integers, "condition_occurrence_count")}},
			map[string]string{"ERA_OCCURRENCES": "condition_occurrence_count"}},
		{Kind{
			Name: "DrugEra", Table: "drug_era", ID: "drug_era_id", Concept: "drug_concept_id",
			Start: "drug_era_start_date", End: "drug_era_end_date",
		}, [][]Attribute{eras, {column("OccurrenceCount", Integers, "drug_exposure_count"), column("GapDays", Integers, "gap_days")}},
			map[string]string{"ERA_OCCURRENCES": "drug_exposure_count", "GAP_DAYS": "gap_days"}},
		{Kind{
			Name: "DoseEra", Table: "dose_era", ID: "dose_era_id", Concept: "drug_concept_id",
			Start: "dose_era_start_date", End: "dose_era_end_date",
		}, [][]Attribute{eras, {column("Unit", Concepts, "unit_concept_id"), column("DoseValue", Decimals, "dose_value")}},
			map[string]string{"UNIT": "unit_concept_id", "VALUE_AS_NUMBER": "dose_value"}},
		{Kind{
			Name: "ObservationPeriod", Table: "observation_period", ID: "observation_period_id",
			Start: "observation_period_start_date", End: "observation_period_end_date",
		}, [][]Attribute{periods, {column("PeriodType", Concepts, "period_type_concept_id")}},
			map[string]string{"DOMAIN_CONCEPT": "period_type_concept_id"}},
		{Kind{
			Name: "PayerPlanPeriod", Table: "payer_plan_period", ID: "payer_plan_period_id",
			Start: "payer_plan_period_start_date", End: "payer_plan_period_end_date",
		}, [][]Attribute{periods, {
			concepts("Gender", SubjectGender),
			column("PayerConcept", Codeset, "payer_concept_id"), column("PlanConcept", Codeset, "plan_concept_id"),
			column("SponsorConcept", Codeset, "sponsor_concept_id"), column("StopReasonConcept", Codeset, "stop_reason_concept_id"),
			column("PayerSourceConcept", Codeset, "payer_source_concept_id"), column("PlanSourceConcept", Codeset, "plan_source_concept_id"),
			column("SponsorSourceConcept", Codeset, "sponsor_source_concept_id"),
			column("StopReasonSourceConcept", Codeset, "stop_reason_source_concept_id"),
		}}, map[string]string{"DOMAIN_CONCEPT": "payer_concept_id"}},
		{Kind{
			Name: "LocationRegion", Table: "location_history", ID: "location_history_id", Concept: "region_concept_id",
			Start: "start_date", End: "end_date",
		}, [][]Attribute{{idle("StartDate"), idle("EndDate")}}, nil},
		{Kind{
			Name: "Episode", Table: "episode", ID: "episode_id", Concept: "episode_concept_id",
			Start: "episode_start_date", End: "episode_end_date",
		}, [][]Attribute{{
			date("EpisodeStartDate", SubjectStart), date("EpisodeEndDate", SubjectEnd), column("EpisodeNumber", Integers, "episode_number"),
			integer("Age", SubjectAgeAtStart), selection("GenderCS", SubjectGender),
			column("EpisodeObjectConceptCS", Selection, "episode_object_concept_id"), column("EpisodeTypeCS", Selection, "episode_type_concept_id"),
		}}, nil},
	} {
		k.finish(k.attributes, k.counts)
		m[k.Name] = &k.Kind
	}
	return m
}()

// finish settles what follows from the rest: the fields every kind of a sort
// has, and for each list of concepts its twin that names a concept set.
func (k *Kind) finish(attributes [][]Attribute, counts map[string]string) {
	k.Attributes = map[string]*Attribute{}
	for _, a := range slices.Concat(attributes...) {
		k.Attributes[a.Name] = &a
		if a.Form == Concepts {
			twin := a
			twin.Name, twin.Form, twin.Exclude = a.Name+"CS", Selection, ""
			k.Attributes[twin.Name] = &twin
		}
	}
	if k.Concept != "" {
		k.Codeset = "CodesetId"
	}
	k.First = k.Name != "Death" && k.Name != "LocationRegion"
	k.Counts = map[string]string{"START_DATE": "", "END_DATE": "", "DURATION": ""}
	if k.Concept != "" {
		k.Counts["DOMAIN_CONCEPT"] = k.Concept
	}
	maps.Copy(k.Counts, counts)
	switch k.Name { // as circe-be's builders have it
	case "PayerPlanPeriod", "LocationRegion":
		delete(k.Counts, "DURATION")
		k.Counts["VISIT_ID"] = ""
	case "ConditionEra", "VisitDetail", "Episode":
	default:
		k.Counts["VISIT_ID"] = ""
	}
}

// Demographics are the attributes of a demographic criterion. Nobody changes it.
var Demographics = func() map[string]*Attribute {
	var k Kind
	k.finish([][]Attribute{{
		integer("Age", SubjectAgeAtStart), concepts("Gender", SubjectGender), concepts("Race", SubjectRace),
		concepts("Ethnicity", SubjectEthnicity), date("OccurrenceStartDate", SubjectStart), date("OccurrenceEndDate", SubjectEnd),
	}}, nil)
	return k.Attributes
}()
