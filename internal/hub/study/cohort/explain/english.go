package explain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

var english = &words{
	colon: ":", comma: ", ", semicolon: "; ", and: " and ", or: " or ", decimal: ".",
	headEntry: "Who enters, and when", headRules: "Who stays", headExit: "When a person leaves", headSets: "Concept sets",
	enters: func(l circe.Limit, observed string) string {
		return "People enter at " + map[circe.Limit]string{circe.LimitAll: "each", circe.LimitFirst: "the earliest", circe.LimitLast: "the latest"}[l] +
			" of these events" + strings.Replace(observed, ", ", ", if ", 1)
	},
	remaining: map[circe.Limit]string{
		circe.LimitAll:   "All such events are kept.",
		circe.LimitFirst: "Of these, only the earliest event of each person is kept.",
		circe.LimitLast:  "Of these, only the latest event of each person is kept.",
	},
	lasting: map[circe.Limit]string{
		circe.LimitAll:   "In the end, every event that remains counts.",
		circe.LimitFirst: "In the end, only the earliest event that remains of each person counts.",
		circe.LimitLast:  "In the end, only the latest event that remains of each person counts.",
	},
	countsOnlyIf: "The event counts only if ", unnamed: "a rule without a name", everybody: "nothing is asked",
	thereIs: "there is", suchThat: "where around that event ",
	endOfObservation: "A person leaves at the end of the observation period.", censoredBy: "A person leaves earlier at the first of these events",
	andBelow: ", with all below it", andMapped: ", with the source codes mapped to it", nothing: "no concept", except: "without ",
	person: "a person", sameVisit: "during the same visit", unobserved: "even outside the observation period", inObservation: " in the observation period",
	firstTime: "the first in the person's history", otherThan: "other than ", sourceCode: " with a source code of ",
	starting: "starting", ending: "ending", eventStarting: "with the event ", eventEnding: "with the event ending ",
	lastingFor: "lasting ", withValue: "with a value ", withDose: "at a dose ", abnormal: "with an abnormal result",
	inSex:       map[int64]string{8532: "in women", 8507: "in men"},
	ofSex:       map[int64]string{8532: "who is a woman", 8507: "who is a man"},
	sexNames:    map[int64]string{8532: "women", 8507: "men"},
	entryAnchor: anchor{"entry", "the end of the entry event"}, eventAnchor: anchor{"that event", "the end of that event"},
	nouns: map[string]noun{
		"ConditionOccurrence": {"diagnosis", "diagnoses", " of ", " of any kind", false, false},
		"ConditionEra":        {"spell", "spells", " of ", " of any condition", false, true},
		"DrugExposure":        {"exposure", "exposures", " to ", " to any drug", true, true},
		"DrugEra":             {"course of treatment", "courses of treatment", " with ", " with any drug", false, true},
		"DoseEra":             {"course of treatment at a constant dose", "courses of treatment at a constant dose", " with ", " with any drug", false, true},
		"ProcedureOccurrence": {"procedure", "procedures", " of ", " of any kind", false, false},
		"Measurement":         {"measurement", "measurements", " of ", " of any kind", false, false},
		"Observation":         {"observation", "observations", " of ", " of any kind", true, false},
		"DeviceExposure":      {"use of a device", "uses of a device", " of ", " of any kind", false, true},
		"VisitOccurrence":     {"visit", "visits", " of kind ", " of any kind", false, true},
		"VisitDetail":         {"part of a visit", "parts of visits", " of kind ", " of any kind", false, true},
		"Death":               {"death", "deaths", " from ", " from any cause", false, false},
		"Specimen":            {"specimen", "specimens", " of ", " of any kind", false, false},
		"ObservationPeriod":   {"observation period", "observation periods", " ", "", true, true},
		"PayerPlanPeriod":     {"insurance period", "insurance periods", " ", "", true, true},
		"LocationRegion":      {"residence", "residences", " in ", " in any region", false, true},
		"Episode":             {"episode of care", "episodes of care", " of ", " of any kind", true, true},
	},
	attributes: map[string]string{
		"AgeAtEnd": "age at its end", "Gender": "sex", "UserDefinedPeriod": "fixed dates",
		"VisitType": "kind of visit", "ProviderSpecialty": "specialty of the provider", "PlaceOfService": "place of care",
		"PlaceOfServiceLocation": "region of the place of care", "ValueAsConcept": "result", "ValueAsString": "text",
		"RangeLow": "lower end of the normal range", "RangeHigh": "upper end of the normal range",
		"RangeLowRatio": "value over the lower end of the normal range", "RangeHighRatio": "value over the upper end of the normal range",
		"OccurrenceCount": "number of occurrences", "DaysSupply": "days of supply", "EffectiveDrugDose": "effective dose",
		"GapDays": "days without treatment", "RouteConcept": "route", "ConditionStatus": "status of the diagnosis",
		"ConditionType": "type of record", "DrugType": "type of record", "ProcedureType": "type of record", "MeasurementType": "type of record",
		"ObservationType": "type of record", "DeviceType": "type of record", "DeathType": "type of record", "SpecimenType": "type of record",
		"VisitDetailType": "type of record", "EpisodeType": "type of record", "PeriodType": "type of record", "SourceId": "source identifier",
		"UniqueDeviceId": "device identifier", "PayerConcept": "payer", "PlanConcept": "plan", "SponsorConcept": "sponsor",
		"StopReasonConcept": "reason for stopping", "StopReason": "reason for stopping", "PayerSourceConcept": "source code of the payer",
		"PlanSourceConcept": "source code of the plan", "SponsorSourceConcept": "source code of the sponsor",
		"StopReasonSourceConcept": "source code of the reason for stopping", "EpisodeObjectConcept": "object of the episode",
	},
	ages: map[circe.Op]string{
		circe.OpLess: "at an age under $1", circe.OpLessEqual: "at age $1 or under", circe.OpEqual: "at age $1", circe.OpNotEqual: "at any age but $1",
		circe.OpGreater: "at an age over $1", circe.OpGreaterEqual: "at age $1 or over", circe.OpBetween: "at age $1 to $2", circe.OpNotBetween: "at any age but $1 to $2",
	},
	aged: map[circe.Op]string{
		circe.OpLess: "aged under $1", circe.OpLessEqual: "aged $1 or under", circe.OpEqual: "aged $1", circe.OpNotEqual: "of any age but $1",
		circe.OpGreater: "aged over $1", circe.OpGreaterEqual: "aged $1 or over", circe.OpBetween: "aged $1 to $2", circe.OpNotBetween: "of any age but $1 to $2",
	},
	years: map[circe.Op]string{
		circe.OpLess: "under $1", circe.OpLessEqual: "$1 or under", circe.OpEqual: "$1", circe.OpNotEqual: "any but $1",
		circe.OpGreater: "over $1", circe.OpGreaterEqual: "$1 or over", circe.OpBetween: "$1 to $2", circe.OpNotBetween: "any but $1 to $2",
	},
	lengths: map[circe.Op]string{
		circe.OpLess: "less than $1 days", circe.OpLessEqual: "at most $1 days", circe.OpEqual: "$1 days", circe.OpNotEqual: "other than $1 days",
		circe.OpGreater: "more than $1 days", circe.OpGreaterEqual: "at least $1 days", circe.OpBetween: "$1 to $2 days", circe.OpNotBetween: "other than $1 to $2 days",
	},
	dates: map[circe.Op]string{
		circe.OpLess: "before $1", circe.OpLessEqual: "on or before $1", circe.OpEqual: "on $1", circe.OpNotEqual: "on any day but $1",
		circe.OpGreater: "after $1", circe.OpGreaterEqual: "on or after $1", circe.OpBetween: "from $1 to $2", circe.OpNotBetween: "outside $1 to $2",
	},
	numbers: map[circe.Op]string{
		circe.OpLess: "less than $1", circe.OpLessEqual: "at most $1", circe.OpEqual: "$1", circe.OpNotEqual: "other than $1",
		circe.OpGreater: "more than $1", circe.OpGreaterEqual: "at least $1", circe.OpBetween: "$1 to $2", circe.OpNotBetween: "outside $1 to $2",
	},
	values: map[circe.Op]string{
		circe.OpLess: "of less than $1", circe.OpLessEqual: "of at most $1", circe.OpEqual: "of $1", circe.OpNotEqual: "other than $1",
		circe.OpGreater: "of more than $1", circe.OpGreaterEqual: "of at least $1", circe.OpBetween: "of $1 to $2", circe.OpNotBetween: "outside $1 to $2",
	},
	likes: map[string]string{"is": "is", "starts": "starts with", "ends": "ends with", "contains": "contains",
		"not is": "is not", "not starts": "does not start with", "not ends": "does not end with", "not contains": "does not contain"},
	oneOnly: strings.NewReplacer("days", "day"), isOne: func(v float64) bool { return v == 1 },
	months: [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	quote:  func(s string) string { return "“" + s + "”" },
	elide:  func(leading, name string) string { return leading + name },
	article: func(n noun, first bool) string {
		switch {
		case first:
			return "a first "
		case n.feminine: // in English: begins with a vowel
			return "an "
		}
		return "a "
	},
	people: func(event, observed string, l circe.Limit, once bool) string {
		return "People with " + event + observed + "." + map[bool]string{false: " " + enEach(l)}[once]
	},
	peopleWith: func(event string) string { return "People with " + event },
	entersWhen: func(observed string, l circe.Limit, once bool) string {
		if observed != "" {
			observed = "They must be" + strings.TrimSuffix(strings.TrimPrefix(observed, ","), "it") + "that event. "
		}
		return observed + map[bool]string{false: enEach(l), true: "They enter at that event."}[once]
	},
	observed: func(prior, post int32) string {
		switch {
		case prior > 0 && post > 0:
			return fmt.Sprintf(", observed without a break from %s before to %s after it", enDays(prior), enDays(post))
		case prior > 0:
			return fmt.Sprintf(", observed for at least %s before it", enDays(prior))
		case post > 0:
			return fmt.Sprintf(", observed for at least %s after it", enDays(post))
		}
		return ""
	},
	ofThese: func(k circe.GroupKind, n int) string {
		switch {
		case k == circe.Any || k == circe.AtLeast && n == 1:
			return "at least one of these holds"
		case k == circe.AtLeast && n == 0:
			return "any number of these holds"
		case k == circe.AtLeast:
			return fmt.Sprintf("at least %d of these hold", n)
		case k == circe.AtMost && n == 0:
			return "none of these holds"
		case k == circe.AtMost && n == 1:
			return "at most one of these holds"
		case k == circe.AtMost:
			return fmt.Sprintf("at most %d of these hold", n)
		}
		return "all of these hold"
	},
	howMany: func(c circe.Comparison, n int, _ bool) string {
		number := strconv.Itoa(n)
		if n == 1 {
			number = "one"
		}
		switch {
		case n == 0 && c == circe.NoFewerThan:
			return "any number of"
		case n == 0:
			return "no"
		case c == circe.NoMoreThan:
			return "at most " + number
		case c == circe.NoFewerThan:
			return "at least " + number
		}
		return "exactly " + number
	},
	distinctBy: func(column string) string {
		return "counting each " + enColumn(column) + " once"
	},
	endAtOffset: func(n int32, fromEnd bool) string {
		of := map[bool]string{false: "the start", true: "the end"}[fromEnd] + " of the entry event"
		switch {
		case n == 0:
			return "A person leaves at " + of + "."
		case n < 0:
			return "A person leaves " + enDays(-n) + " before " + of + "."
		}
		return "A person leaves " + enDays(n) + " after " + of + ", or at the end of observation if that comes first."
	},
	endOfExposure: func(set string, gap, after int32, supply *int32) string {
		text := "A person leaves at the end of continuous exposure to " + set
		if after > 0 {
			text = "A person leaves " + enDays(after) + " after the end of continuous exposure to " + set
		} else if after < 0 {
			text = "A person leaves " + enDays(-after) + " before the end of continuous exposure to " + set
		}
		text += fmt.Sprintf("; gaps of up to %s do not interrupt it", enDays(gap))
		if supply != nil {
			text += fmt.Sprintf("; every exposure is taken to last %s, whatever is recorded", enDays(*supply))
		}
		return text + "."
	},
	eras: func(pad int32) string {
		if pad == 0 {
			return "Periods of the same person that overlap or touch are joined into one."
		}
		return fmt.Sprintf("Periods of the same person that lie at most %s apart are joined into one.", enDays(pad))
	},
	censorWindow: func(from, to string) string {
		switch {
		case to == "":
			return "Nothing before " + from + " counts."
		case from == "":
			return "Nothing after " + to + " counts."
		}
		return "Only the time from " + from + " to " + to + " counts."
	},
	fixedDates: func(from, to string) string {
		switch {
		case to == "" && from == "":
			return "taken as it is"
		case to == "":
			return "that covers " + from + " and is taken to start then"
		case from == "":
			return "that covers " + to + " and is taken to end then"
		}
		return "that covers " + from + " to " + to + " and is taken to last so long"
	},
	adjusted: func(a *circe.Adjustment) string {
		point := func(end bool, days int32) string {
			return enPoint(days, map[bool]string{false: "its start", true: "its end"}[end])
		}
		return "taken to last from " + point(a.StartFromEnd, a.StartDays) + " to " + point(a.EndFromEnd, a.EndDays)
	},
	span:       enSpan,
	ordinalDay: strconv.Itoa,
}

func enEach(l circe.Limit) string {
	return map[circe.Limit]string{circe.LimitAll: "They enter at each such event.", circe.LimitFirst: "They enter at the earliest such event.",
		circe.LimitLast: "They enter at the latest such event."}[l]
}

func enDays(n int32) string {
	if n == 1 || n == -1 {
		return fmt.Sprintf("%d day", n)
	}
	return fmt.Sprintf("%d days", n)
}

// enPoint is a day so many days from another.
func enPoint(n int32, of string) string {
	switch {
	case n == 0:
		return of
	case n < 0:
		return enDays(-n) + " before " + of
	}
	return enDays(n) + " after " + of
}

func enSpan(from, to circe.Endpoint, a anchor) string {
	x := a.name
	usual := (!from.Open || from.Before) && (!to.Open || !to.Before) // an open start is the first day of observation, an open end the last
	switch {
	case !usual || !from.Open && !to.Open && from.Days > to.Days:
		return "from " + enBound(from, x) + " to " + enBound(to, x)
	case from.Open && to.Open:
		return "at any time in the observation period"
	case from.Open && to.Days == 0:
		return "at any time before " + x + " or on that day"
	case from.Open && to.Days == -1:
		return "at any time before " + x
	case from.Open:
		return "at any time up to " + enPoint(to.Days, x)
	case to.Open && from.Days == 0:
		return "on the day of " + x + " or at any time after"
	case to.Open && from.Days == 1:
		return "at any time after " + x
	case to.Open:
		return "at any time from " + enPoint(from.Days, x) + " on"
	case from.Days == 0 && to.Days == 0:
		return "on the day of " + x
	case from.Days == to.Days && from.Days == -1:
		return "on the day before " + x
	case from.Days == to.Days && from.Days == 1:
		return "on the day after " + x
	case from.Days == to.Days:
		return "exactly " + enPoint(from.Days, x)
	case from.Days == -1 && to.Days == 0:
		return "on the day before " + x + " or on that day"
	case to.Days == 0:
		return "in the " + enDays(-from.Days) + " before " + x + " or on that day"
	case from.Days == 0 && to.Days == 1:
		return "on the day of " + x + " or on the day after"
	case from.Days == 0:
		return "on the day of " + x + " or in the " + enDays(to.Days) + " after"
	case to.Days == -1:
		return "in the " + enDays(-from.Days) + " before " + x
	case from.Days == 1:
		return "in the " + enDays(to.Days) + " after " + x
	case to.Days < 0:
		return fmt.Sprintf("%d to %s before %s", -from.Days, enDays(-to.Days), x)
	case from.Days > 0:
		return fmt.Sprintf("%d to %s after %s", from.Days, enDays(to.Days), x)
	}
	return "from " + enDays(-from.Days) + " before to " + enDays(to.Days) + " after " + x
}

func enBound(e circe.Endpoint, x string) string {
	switch {
	case e.Open && e.Before:
		return "the first day of observation"
	case e.Open:
		return "the last day of observation"
	case e.Days == 0:
		return "the day of " + x
	}
	return enPoint(e.Days, x)
}

func enColumn(column string) string {
	switch column {
	case "DOMAIN_CONCEPT":
		return "concept"
	case "VISIT_ID":
		return "visit"
	case "VALUE_AS_NUMBER":
		return "value"
	case "ERA_OCCURRENCES":
		return "number of occurrences"
	}
	return strings.ToLower(strings.ReplaceAll(column, "_", " "))
}
