package explain

import (
	"strconv"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// words is a language: fixed phrases, and functions where word order or grammar
// decides.
type words struct {
	colon, comma, semicolon, and, or, decimal string
	headEntry, headRules, headExit, headSets  string
	enters                                    func(l circe.Limit, observed string) string
	remaining, lasting                        map[circe.Limit]string
	countsOnlyIf, unnamed, everybody          string
	thereIs, suchThat                         string
	endOfObservation, censoredBy              string
	andBelow, andMapped, nothing, except      string
	person, sameVisit                         string
	unobserved, inObservation                 string
	firstTime, otherThan, sourceCode          string
	starting, ending                          string
	eventStarting, eventEnding                string
	lastingFor, withValue, withDose, abnormal string
	inSex, ofSex, sexNames                    map[int64]string
	entryAnchor, eventAnchor                  anchor
	nouns                                     map[string]noun // by kind of criterion
	attributes                                map[string]string
	ages, aged, years, lengths                map[circe.Op]string
	dates, numbers, values                    map[circe.Op]string
	likes                                     map[string]string
	oneOnly                                   *strings.Replacer // makes the plural of 1 singular
	isOne                                     func(float64) bool
	months                                    [12]string
	quote                                     func(string) string
	elide                                     func(leading, name string) string // "de " and a name
	article                                   func(n noun, first bool) string
	people                                    func(event, observed string, l circe.Limit, once bool) string
	peopleWith                                func(event string) string
	entersWhen                                func(observed string, l circe.Limit, once bool) string
	observed                                  func(prior, post int32) string
	ofThese                                   func(circe.GroupKind, int) string
	howMany                                   func(circe.Comparison, int, bool) string
	distinctBy                                func(string) string
	endAtOffset                               func(days int32, fromEnd bool) string
	endOfExposure                             func(set string, gap, after int32, supply *int32) string
	eras                                      func(int32) string
	censorWindow, fixedDates                  func(from, to string) string
	adjusted                                  func(*circe.Adjustment) string
	span                                      func(from, to circe.Endpoint, a anchor) string
	ordinalDay                                func(day int) string
}

// noun is an event's name.
type noun struct {
	one, many string
	of        string // leads to the concept set: "diagnosis of X"
	any       string // follows where every concept counts
	feminine  bool   // in English: begins with a vowel
	lasts     bool   // so that it matters whether its start or its end is meant
}

// anchor is what a window is counted from.
type anchor struct {
	name  string // "entry", "l'entrée"
	ended string // its end
}

// day writes a date out; "" for none.
func (w *words) day(d circe.Date) string {
	if d == circe.NoDate {
		return ""
	}
	t := time.Unix(int64(d)*86400, 0).UTC()
	return w.ordinalDay(t.Day()) + " " + w.months[t.Month()-1] + " " + strconv.Itoa(t.Year())
}

func (w *words) number(v float64) string {
	return strings.Replace(strconv.FormatFloat(v, 'f', -1, 64), ".", w.decimal, 1)
}
