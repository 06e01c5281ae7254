package explain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

var english = &words{
	colon: ":", comma: ", ", and: " and ", or: " or ", decimal: ".",
	headEntry: "Who enters, and when", headRules: "Who stays", headExit: "When a person leaves", headSets: "Concept sets",
	enters: map[circe.Limit]string{
		circe.LimitAll:   "A person enters at each of these events",
		circe.LimitFirst: "A person enters at the earliest of these events",
		circe.LimitLast:  "A person enters at the latest of these events",
	},
	remaining: map[circe.Limit]string{
		circe.LimitAll:   "All events that remain count.",
		circe.LimitFirst: "Of the events that remain, the earliest of each person counts.",
		circe.LimitLast:  "Of the events that remain, the latest of each person counts.",
	},
	countsOnlyIf: "The event counts only with", unnamed: "a rule without a name", everybody: "nothing is asked: everybody stays",
	endOfObservation: "At the end of the observation period.", censoredBy: "Or earlier, at the first of these events",
	andBelow: ", with all below it", andMapped: ", with the source codes mapped to it", nothing: "no concept", except: "Without",
	person: "a person", sameVisit: "during the same visit", unobserved: "also outside of observation", suchThat: "such that the event has",
	ofAnyKind: " of any kind", firstTime: "the first in the person's history", otherThan: "other than",
	starting: "starting", ending: "ending", years: " years", days: " days", female: "women", male: "men",
	entryAnchor: anchor{"entry", "the end of the entry event"}, eventAnchor: anchor{"that event", "the end of that event"},
	nouns: map[string]noun{
		"ConditionOccurrence": {"diagnosis", "diagnoses", " of ", false}, "ConditionEra": {"spell", "spells", " of ", false},
		"DrugExposure": {"exposure", "exposures", " to ", true}, "DrugEra": {"course of treatment", "courses of treatment", " with ", false},
		"DoseEra":             {"course of treatment at a constant dose", "courses of treatment at a constant dose", " with ", false},
		"ProcedureOccurrence": {"procedure", "procedures", " ", false}, "Measurement": {"measurement", "measurements", " of ", false},
		"Observation": {"observation", "observations", " of ", true}, "DeviceExposure": {"device used", "devices used", ": ", false},
		"VisitOccurrence": {"visit", "visits", " of kind ", false}, "VisitDetail": {"part of a visit", "parts of visits", " of kind ", false},
		"Death": {"death", "deaths", " from ", false}, "Specimen": {"specimen", "specimens", " of ", false},
		"ObservationPeriod": {"observation period", "observation periods", " ", true}, "PayerPlanPeriod": {"insurance period", "insurance periods", " ", true},
		"LocationRegion": {"residence", "residences", " in ", false}, "Episode": {"episode of care", "episodes of care", " of ", true},
	},
	attributes: map[string]string{
		"Age": "age", "AgeAtStart": "age at its start", "AgeAtEnd": "age at its end", "Gender": "sex", "Race": "race", "Ethnicity": "ethnicity",
		"OccurrenceStartDate": "start", "OccurrenceEndDate": "end", "EraStartDate": "start", "EraEndDate": "end",
		"PeriodStartDate": "start", "PeriodEndDate": "end", "VisitDetailStartDate": "start", "VisitDetailEndDate": "end",
		"EpisodeStartDate": "start", "EpisodeEndDate": "end", "EraLength": "length", "VisitLength": "length", "PeriodLength": "length",
		"VisitDetailLength": "length", "VisitType": "kind of visit", "ProviderSpecialty": "specialty of the provider",
		"PlaceOfService": "place of care", "ValueAsNumber": "value", "ValueAsConcept": "result", "ValueAsString": "text",
		"RangeLow": "lower end of the normal range", "RangeHigh": "upper end of the normal range",
		"RangeLowRatio": "value over the lower end of the normal range", "RangeHighRatio": "value over the upper end of the normal range",
		"Abnormal": "abnormal", "OccurrenceCount": "number of occurrences", "UserDefinedPeriod": "fixed dates",
	},
	dates: map[circe.Op]string{
		circe.OpLess: "before $1", circe.OpLessEqual: "until $1", circe.OpEqual: "on $1", circe.OpNotEqual: "not on $1",
		circe.OpGreater: "after $1", circe.OpGreaterEqual: "from $1", circe.OpBetween: "from $1 to $2", circe.OpNotBetween: "not from $1 to $2",
	},
	numbers: map[circe.Op]string{
		circe.OpLess: "less than $1", circe.OpLessEqual: "at most $1", circe.OpEqual: "$1", circe.OpNotEqual: "not $1",
		circe.OpGreater: "more than $1", circe.OpGreaterEqual: "at least $1", circe.OpBetween: "$1 to $2", circe.OpNotBetween: "outside of $1 to $2",
	},
	contains: map[bool]string{false: "contains", true: "does not contain"},
	months:   [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	quote:    func(s string) string { return "“" + s + "”" },
	article: func(n noun) string {
		if n.feminine { // in English: begins with a vowel
			return "an "
		}
		return "a "
	},
	observed: func(prior, post int32) string {
		switch {
		case prior > 0 && post > 0:
			return fmt.Sprintf(", if observed without a break from %s before to %s after it", enDays(prior), enDays(post))
		case prior > 0:
			return fmt.Sprintf(", if observed for at least %s before it", enDays(prior))
		case post > 0:
			return fmt.Sprintf(", if observed for at least %s after it", enDays(post))
		}
		return ""
	},
	ofThese: func(k circe.GroupKind, n int) string {
		switch k {
		case circe.Any:
			return "at least one of these"
		case circe.AtLeast:
			return fmt.Sprintf("at least %d of these", n)
		case circe.AtMost:
			return fmt.Sprintf("at most %d of these", n)
		}
		return "all of these"
	},
	howMany: func(c circe.Comparison, n int, _ bool) string {
		switch {
		case n == 0 && c != circe.NoFewerThan:
			return "no"
		case c == circe.NoMoreThan:
			return fmt.Sprintf("at most %d", n)
		case c == circe.NoFewerThan && n == 1:
			return "at least one"
		case c == circe.NoFewerThan:
			return fmt.Sprintf("at least %d", n)
		}
		return fmt.Sprintf("exactly %d", n)
	},
	distinctBy: func(column string) string {
		return ", counted once for each " + map[string]string{"DOMAIN_CONCEPT": "concept", "DOMAIN_SOURCE_CONCEPT": "source code", "START_DATE": "start date",
			"END_DATE": "end date", "VISIT_ID": "visit", "": "concept"}[column] + otherColumn(column)
	},
	sourceCode:  func(set string) string { return ", recorded as " + set },
	endAtOffset: func(n int32, fromEnd bool) string { return enOffset(n, fromEnd) },
	endOfExposure: func(set string, gap, after, supply int32) string {
		text := fmt.Sprintf("At the end of continuous exposure to %s; exposures at most %s apart are one", set, enDays(gap))
		if after > 0 {
			text += fmt.Sprintf(", and %s are added at the end", enDays(after))
		}
		if supply >= 0 {
			text += fmt.Sprintf("; every exposure is taken to last %s", enDays(supply))
		}
		return text + "."
	},
	eras: func(pad int32) string {
		if pad == 0 {
			return "Periods of one person that overlap or touch are one."
		}
		return fmt.Sprintf("Periods of one person at most %s apart are one.", enDays(pad))
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
		case to == "":
			return "taken to start on " + from
		case from == "":
			return "taken to end on " + to
		}
		return "taken to last from " + from + " to " + to
	},
	adjusted: func(a *circe.Adjustment) string {
		point := func(end bool, days int32) string {
			return enOffsetWords(days, map[bool]string{false: "its start", true: "its end"}[end])
		}
		return "taken to last from " + point(a.StartFromEnd, a.StartDays) + " to " + point(a.EndFromEnd, a.EndDays)
	},
	span:       enSpan,
	ordinalDay: strconv.Itoa,
}

func enDays(n int32) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

func enOffset(n int32, fromEnd bool) string {
	of := "start"
	if fromEnd {
		of = "end"
	}
	switch {
	case n == 0:
		return "At the " + of + " of the event."
	case n < 0:
		return strings.ToUpper(enDays(-n)[:1]) + enDays(-n)[1:] + " before the " + of + " of the event."
	}
	return enDays(n) + " after the " + of + " of the event, or at the end of observation if that comes first."
}

// enOffsetWords is a day so many days from another.
func enOffsetWords(n int32, of string) string {
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
	switch {
	case from.Open && from.Before && to.Open && !to.Before:
		return "at any time in the observation period"
	case from.Open && from.Before && !to.Open:
		switch {
		case to.Days == 0:
			return "at any time before " + x + " or on that day"
		case to.Days == -1:
			return "at any time before " + x
		}
		return "at any time until " + enOffsetWords(to.Days, x)
	case to.Open && !to.Before && !from.Open:
		switch {
		case from.Days == 0:
			return "on the day of " + x + " or at any time after"
		case from.Days == 1:
			return "at any time after " + x
		}
		return "at any time from " + enOffsetWords(from.Days, x) + " on"
	case from.Open || to.Open:
		return "at no time"
	case from.Days == 0 && to.Days == 0:
		return "on the day of " + x
	case to.Days == 0:
		return "in the " + enDays(-from.Days) + " before " + x + " or on that day"
	case from.Days == 0:
		return "on the day of " + x + " or in the " + enDays(to.Days) + " after"
	case to.Days < 0:
		return fmt.Sprintf("%d to %s before %s", -from.Days, enDays(-to.Days), x)
	case from.Days > 0:
		return fmt.Sprintf("%d to %s after %s", from.Days, enDays(to.Days), x)
	}
	return "from " + enDays(-from.Days) + " before to " + enDays(to.Days) + " after " + x
}

// otherColumn spells a column out that has no words of its own.
func otherColumn(column string) string {
	switch column {
	case "DOMAIN_CONCEPT", "DOMAIN_SOURCE_CONCEPT", "START_DATE", "END_DATE", "VISIT_ID", "":
		return ""
	}
	return strings.ToLower(strings.ReplaceAll(column, "_", " "))
}
