package synth

// The holders, as indexes.
const (
	hospitalNorth = iota
	hospitalSouth
	payer
	holderCount
)

// holder is one of the three that keep files on the residents.
type holder struct {
	name, title string
	firstID     int64 // its person ids start here
	stride      int   // and are shuffled by this stride
	rates       ErrorRates
	dirt        DirtRates
}

// ErrorRates says how often a holder gets a trait wrong, as chances in 10,000
// of the records that the error can befall.
type ErrorRates struct {
	NameLetters     int `json:"name_letters"`              // birth name: letters swapped, missing or added
	GivenLetters    int `json:"given_name_letters"`        // first given name: the same
	GivenMissing    int `json:"given_name_missing"`        // of two or more given names one is missing, half of the time the first
	DayMonthSwapped int `json:"day_and_month_swapped"`     // day of birth up to 12 only
	BirthDateForced int `json:"birth_date_placeholder"`    // 1600-01-01 in place of the date of birth
	MarriedName     int `json:"married_name_as_birth"`     // of persons with a name by marriage
	NIRMissing      int `json:"nir_missing"`               //
	NIRMistyped     int `json:"nir_mistyped"`              // the key shows it
	NIRParent       int `json:"nir_of_insured_parent"`     // of persons under 26 with an insured parent
	NIRTwin         int `json:"nir_of_twin"`               // of twins of the same sex
	NIRFictive      int `json:"nir_fictive"`               // a code shared by many, for care under secrecy
	NIRProvisional  int `json:"nir_provisional"`           // of persons born abroad
	Residence       int `json:"residence_of_another_time"` // an earlier home, of those who moved
}

// DirtRates says how often a health row is spoilt, as chances in 10,000. The
// rows of the built-in effect (drugs A and B, bleeding) are never touched.
type DirtRates struct {
	Placeholder int `json:"placeholder_dates"` // dated 1600-01-01
	Late        int `json:"late_rows"`         // dated after the end of observation
	Orphan      int `json:"orphan_rows"`       // an extra row of a person that the holder does not know
	Unknown     int `json:"unknown_codes"`     // concept 0, the source's code kept
}

var holders = [holderCount]holder{
	hospitalNorth: {
		name: "chu-nord", title: "University hospital of the North (synthetic)", firstID: 100_000_001, stride: 7_368_787,
		rates: ErrorRates{NameLetters: 120, GivenLetters: 80, GivenMissing: 60, DayMonthSwapped: 60, BirthDateForced: 5, MarriedName: 200,
			NIRMissing: 600, NIRMistyped: 100, NIRParent: 900, NIRTwin: 200, NIRFictive: 30, NIRProvisional: 250, Residence: 3000},
		dirt: DirtRates{Placeholder: 3, Late: 4, Orphan: 2, Unknown: 25},
	},
	hospitalSouth: {
		name: "chu-sud", title: "University hospital of the South (synthetic)", firstID: 9_000_000_001, stride: 5_915_587,
		rates: ErrorRates{NameLetters: 220, GivenLetters: 150, GivenMissing: 120, DayMonthSwapped: 90, BirthDateForced: 15, MarriedName: 350,
			NIRMissing: 1500, NIRMistyped: 200, NIRParent: 1600, NIRTwin: 300, NIRFictive: 40, NIRProvisional: 400, Residence: 4000},
		dirt: DirtRates{Placeholder: 8, Late: 6, Orphan: 4, Unknown: 60},
	},
	payer: {
		name: "assurance", title: "National health insurance (synthetic)", firstID: 700_000_000_000_000_001, stride: 6_700_417,
		rates: ErrorRates{NameLetters: 30, GivenLetters: 30, GivenMissing: 20, DayMonthSwapped: 15, BirthDateForced: 2, MarriedName: 60,
			NIRMissing: 10, NIRMistyped: 5, NIRParent: 150, NIRProvisional: 150, Residence: 500},
		dirt: DirtRates{Placeholder: 5, Late: 5, Orphan: 2, Unknown: 30},
	},
}

// table is a file that is written person by person.
type table int

const (
	identity table = iota
	personTable
	observationPeriod
	visitOccurrence
	conditionOccurrence
	procedureOccurrence
	measurement
	drugExposure
	death
	tableCount
)

// tables gives names and columns; all but identity have every column of the
// OMOP CDM 5.4 in its order.
var tables = [tableCount]struct{ name, columns string }{
	identity:          {"identity", "person_id,birth_name,given_names,used_name,birth_date,sex,birth_place,nir,residence,email,phone"},
	personTable:       {"person", "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,birth_datetime,race_concept_id,ethnicity_concept_id,location_id,provider_id,care_site_id,person_source_value,gender_source_value,gender_source_concept_id,race_source_value,race_source_concept_id,ethnicity_source_value,ethnicity_source_concept_id"},
	observationPeriod: {"observation_period", "observation_period_id,person_id,observation_period_start_date,observation_period_end_date,period_type_concept_id"},
	visitOccurrence: {"visit_occurrence", "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_start_datetime,visit_end_date,visit_end_datetime,visit_type_concept_id,provider_id,care_site_id,visit_source_value,visit_source_concept_id," +
		"admitted_from_concept_id,admitted_from_source_value,discharged_to_concept_id,discharged_to_source_value,preceding_visit_occurrence_id"},
	conditionOccurrence: {"condition_occurrence", "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_start_datetime,condition_end_date,condition_end_datetime,condition_type_concept_id,condition_status_concept_id,stop_reason,provider_id,visit_occurrence_id,visit_detail_id,condition_source_value,condition_source_concept_id,condition_status_source_value"},
	procedureOccurrence: {"procedure_occurrence", "procedure_occurrence_id,person_id,procedure_concept_id,procedure_date,procedure_datetime,procedure_end_date,procedure_end_datetime,procedure_type_concept_id,modifier_concept_id,quantity,provider_id,visit_occurrence_id,visit_detail_id,procedure_source_value,procedure_source_concept_id,modifier_source_value"},
	measurement: {"measurement", "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_datetime,measurement_time,measurement_type_concept_id,operator_concept_id,value_as_number,value_as_concept_id,unit_concept_id,range_low,range_high,provider_id,visit_occurrence_id,visit_detail_id,measurement_source_value,measurement_source_concept_id," +
		"unit_source_value,unit_source_concept_id,value_source_value,measurement_event_id,meas_event_field_concept_id"},
	drugExposure: {"drug_exposure", "drug_exposure_id,person_id,drug_concept_id,drug_exposure_start_date,drug_exposure_start_datetime,drug_exposure_end_date,drug_exposure_end_datetime,verbatim_end_date,drug_type_concept_id,stop_reason,refills,quantity,days_supply,sig,route_concept_id,lot_number,provider_id,visit_occurrence_id,visit_detail_id,drug_source_value,drug_source_concept_id,route_source_value,dose_unit_source_value"},
	death:        {"death", "person_id,death_date,death_datetime,death_type_concept_id,cause_concept_id,cause_source_value,cause_source_concept_id"},
}

// keeps lists the tables of each holder.
var keeps = [holderCount][]table{
	hospitalNorth: {identity, personTable, observationPeriod, visitOccurrence, conditionOccurrence, procedureOccurrence, measurement},
	hospitalSouth: {identity, personTable, observationPeriod, visitOccurrence, conditionOccurrence, procedureOccurrence, measurement},
	payer:         {identity, personTable, observationPeriod, visitOccurrence, conditionOccurrence, drugExposure, death},
}

// Every holder has this many care sites and providers, numbered from 1.
const (
	careSites = 8
	providers = 160
)
