package cohort

import (
	"slices"
	"strings"
)

// domain says where the events of one kind of criteria stand in the CDM, and
// which attributes of the kind are evaluated. Attributes that Circe knows and
// Havre does not evaluate yet are in refused: they are refused by name, while
// any other name is a mistake.
type domain struct {
	name    string // as in Circe
	table   string
	id      string
	concept string // "" if the kind has no concepts
	source  string // source concept column, "" if none
	start   string
	end     string // "" if events have no end of their own
	supply  string // days that stand in for a missing end, "" if none
	nextDay bool   // a missing end is the day after the start; else it stays missing

	attributes map[string]attribute
	refused    []string
}

// attribute is one filter of a kind of criteria.
type attribute struct {
	form    form
	subject subject
	column  string
	exclude string // name of the flag that turns a list of concepts around
}

type form int

const (
	dates    form = iota
	integers      // Circe writes the bounds as whole numbers, cutting decimals off
	decimals      // and these with four decimals
	concepts
)

func on(column string, f form) attribute {
	return attribute{form: f, subject: subjectColumn, column: column}
}

func typeOf(column, exclude string) attribute {
	return attribute{form: concepts, subject: subjectColumn, column: column, exclude: exclude}
}

var (
	ageAtStart = attribute{form: integers, subject: subjectAgeAtStart}
	ageAtEnd   = attribute{form: integers, subject: subjectAgeAtEnd}
	gender     = attribute{form: concepts, subject: subjectGender}
	startDate  = attribute{form: dates, subject: subjectStart}
	endDate    = attribute{form: dates, subject: subjectEnd}
	length     = attribute{form: integers, subject: subjectLength}
)

// always are attributes of every kind that Havre does not evaluate yet.
var always = []string{"CorrelatedCriteria", "DateAdjustment"}

// domains are the kinds of criteria that are evaluated, by Circe's name.
var domains = func() map[string]*domain {
	m := map[string]*domain{}
	for _, d := range []domain{
		{
			name: "ConditionOccurrence", table: "condition_occurrence", id: "condition_occurrence_id",
			concept: "condition_concept_id", source: "condition_source_concept_id",
			start: "condition_start_date", end: "condition_end_date", nextDay: true,
			attributes: map[string]attribute{
				"OccurrenceStartDate": startDate, "Age": ageAtStart, "Gender": gender,
				"ConditionType":   typeOf("condition_type_concept_id", "ConditionTypeExclude"),
				"ConditionStatus": on("condition_status_concept_id", concepts),
			},
			refused: []string{"OccurrenceEndDate", "StopReason", "ProviderSpecialty", "VisitType", "GenderCS",
				"ConditionTypeCS", "ProviderSpecialtyCS", "VisitTypeCS", "ConditionStatusCS"},
		}, {
			name: "DrugExposure", table: "drug_exposure", id: "drug_exposure_id",
			concept: "drug_concept_id", source: "drug_source_concept_id",
			start: "drug_exposure_start_date", end: "drug_exposure_end_date", supply: "days_supply", nextDay: true,
			attributes: map[string]attribute{
				"OccurrenceStartDate": startDate, "Age": ageAtStart, "Gender": gender,
				"DrugType":     typeOf("drug_type_concept_id", "DrugTypeExclude"),
				"RouteConcept": on("route_concept_id", concepts),
				"Refills":      on("refills", integers),
				"Quantity":     on("quantity", decimals),
				"DaysSupply":   on("days_supply", integers),
			},
			refused: []string{"OccurrenceEndDate", "StopReason", "EffectiveDrugDose", "DoseUnit", "LotNumber",
				"ProviderSpecialty", "VisitType", "GenderCS", "DrugTypeCS", "RouteConceptCS", "DoseUnitCS",
				"ProviderSpecialtyCS", "VisitTypeCS"},
		}, {
			name: "ProcedureOccurrence", table: "procedure_occurrence", id: "procedure_occurrence_id",
			concept: "procedure_concept_id", source: "procedure_source_concept_id",
			start: "procedure_date", nextDay: true,
			attributes: map[string]attribute{
				"OccurrenceStartDate": startDate, "Age": ageAtStart, "Gender": gender,
				"ProcedureType": typeOf("procedure_type_concept_id", "ProcedureTypeExclude"),
				"Modifier":      on("modifier_concept_id", concepts),
				"Quantity":      on("quantity", integers),
			},
			refused: []string{"OccurrenceEndDate", "ProviderSpecialty", "VisitType", "GenderCS", "ProcedureTypeCS",
				"ModifierCS", "ProviderSpecialtyCS", "VisitTypeCS"},
		}, {
			name: "Measurement", table: "measurement", id: "measurement_id",
			concept: "measurement_concept_id", source: "measurement_source_concept_id",
			start: "measurement_date", nextDay: true,
			attributes: map[string]attribute{
				"OccurrenceStartDate": startDate, "Age": ageAtStart, "Gender": gender,
				"MeasurementType": typeOf("measurement_type_concept_id", "MeasurementTypeExclude"),
				"Operator":        on("operator_concept_id", concepts),
				"ValueAsNumber":   on("value_as_number", decimals),
				"ValueAsConcept":  on("value_as_concept_id", concepts),
				"Unit":            on("unit_concept_id", concepts),
				"RangeLow":        on("range_low", decimals),
				"RangeHigh":       on("range_high", decimals),
			},
			refused: []string{"RangeLowRatio", "RangeHighRatio", "Abnormal", "ProviderSpecialty", "VisitType",
				"GenderCS", "MeasurementTypeCS", "OperatorCS", "ValueAsConceptCS", "UnitCS", "ProviderSpecialtyCS",
				"VisitTypeCS"},
		}, {
			name: "Observation", table: "observation", id: "observation_id",
			concept: "observation_concept_id", source: "observation_source_concept_id",
			start: "observation_date", nextDay: true,
			attributes: map[string]attribute{
				"OccurrenceStartDate": startDate, "Age": ageAtStart, "Gender": gender,
				"ObservationType": typeOf("observation_type_concept_id", "ObservationTypeExclude"),
				"ValueAsNumber":   on("value_as_number", decimals),
				"ValueAsConcept":  on("value_as_concept_id", concepts),
				"Qualifier":       on("qualifier_concept_id", concepts),
				"Unit":            on("unit_concept_id", concepts),
			},
			refused: []string{"ValueAsString", "ProviderSpecialty", "VisitType", "GenderCS", "ObservationTypeCS",
				"ValueAsConceptCS", "QualifierCS", "UnitCS", "ProviderSpecialtyCS", "VisitTypeCS"},
		}, {
			name: "DeviceExposure", table: "device_exposure", id: "device_exposure_id",
			concept: "device_concept_id", source: "device_source_concept_id",
			start: "device_exposure_start_date", end: "device_exposure_end_date", nextDay: true,
			attributes: map[string]attribute{
				"OccurrenceStartDate": startDate, "Age": ageAtStart, "Gender": gender,
				"DeviceType": typeOf("device_type_concept_id", "DeviceTypeExclude"),
				"Quantity":   on("quantity", integers),
			},
			refused: []string{"OccurrenceEndDate", "UniqueDeviceId", "ProviderSpecialty", "VisitType", "GenderCS",
				"DeviceTypeCS", "ProviderSpecialtyCS", "VisitTypeCS"},
		}, {
			name: "VisitOccurrence", table: "visit_occurrence", id: "visit_occurrence_id",
			concept: "visit_concept_id", source: "visit_source_concept_id",
			start: "visit_start_date", end: "visit_end_date",
			attributes: map[string]attribute{
				"OccurrenceStartDate": startDate, "Age": ageAtStart, "Gender": gender,
				"VisitType":   typeOf("visit_type_concept_id", "VisitTypeExclude"),
				"VisitLength": length,
			},
			refused: []string{"OccurrenceEndDate", "ProviderSpecialty", "PlaceOfService", "PlaceOfServiceLocation",
				"GenderCS", "VisitTypeCS", "ProviderSpecialtyCS", "PlaceOfServiceCS"},
		}, {
			name: "ConditionEra", table: "condition_era", id: "condition_era_id", concept: "condition_concept_id",
			start: "condition_era_start_date", end: "condition_era_end_date",
			attributes: map[string]attribute{
				"EraStartDate": startDate, "EraEndDate": endDate, "EraLength": length,
				"OccurrenceCount": on("condition_occurrence_count", integers),
				"AgeAtStart":      ageAtStart, "AgeAtEnd": ageAtEnd, "Gender": gender,
			},
			refused: []string{"GenderCS"},
		}, {
			name: "DrugEra", table: "drug_era", id: "drug_era_id", concept: "drug_concept_id",
			start: "drug_era_start_date", end: "drug_era_end_date",
			attributes: map[string]attribute{
				"EraStartDate": startDate, "EraEndDate": endDate, "EraLength": length,
				"OccurrenceCount": on("drug_exposure_count", integers),
				"AgeAtStart":      ageAtStart, "AgeAtEnd": ageAtEnd, "Gender": gender,
			},
			refused: []string{"GapDays", "GenderCS"},
		}, {
			name: "ObservationPeriod", table: "observation_period", id: "observation_period_id",
			start: "observation_period_start_date", end: "observation_period_end_date",
			attributes: map[string]attribute{
				"PeriodStartDate": startDate, "PeriodEndDate": endDate, "PeriodLength": length,
				"AgeAtStart": ageAtStart, "AgeAtEnd": ageAtEnd,
			},
			refused: []string{"UserDefinedPeriod", "PeriodType", "PeriodTypeCS"},
		},
	} {
		m[d.name] = &d
	}
	return m
}()

// refusedDomains are the kinds that Circe knows and Havre does not evaluate yet.
var refusedDomains = []string{"Death", "DoseEra", "Episode", "LocationRegion", "PayerPlanPeriod", "Specimen", "VisitDetail"}

// sourceField is the name of the field that asks for source concepts.
func (d *domain) sourceField() string {
	return strings.TrimSuffix(strings.TrimSuffix(d.name, "Occurrence"), "Exposure") + "SourceConcept"
}

// Supported lists the criteria that are evaluated, each with its attributes
// beside CodesetId and First, sorted.
func Supported() map[string][]string {
	out := map[string][]string{}
	for name, d := range domains {
		var fields []string
		for field, a := range d.attributes {
			fields = append(fields, field)
			if a.exclude != "" {
				fields = append(fields, a.exclude)
			}
		}
		if d.source != "" {
			fields = append(fields, d.sourceField())
		}
		slices.Sort(fields)
		out[name] = fields
	}
	return out
}
