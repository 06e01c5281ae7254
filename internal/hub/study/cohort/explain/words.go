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
	colon, comma, and, or                    string
	headEntry, headRules, headExit, headSets string
	enters, remaining                        map[circe.Limit]string
	countsOnlyIf, unnamed, everybody         string
	endOfObservation, censoredBy             string
	andBelow, andMapped, nothing, except     string
	person, sameVisit, unobserved, suchThat  string
	ofAnyKind, firstTime, otherThan          string
	starting, ending, years, days            string
	female, male                             string
	entryAnchor, eventAnchor                 anchor
	nouns                                    map[string]noun // by kind of criterion
	attributes                               map[string]string
	dates, numbers                           map[circe.Op]string
	contains                                 map[bool]string // by whether it is denied
	months                                   [12]string
	decimal                                  string
	quote                                    func(string) string
	article                                  func(noun) string
	observed                                 func(prior, post int32) string
	ofThese                                  func(circe.GroupKind, int) string
	howMany                                  func(circe.Comparison, int, bool) string
	distinctBy, sourceCode                   func(string) string
	endAtOffset                              func(days int32, fromEnd bool) string
	endOfExposure                            func(set string, gap, after, supply int32) string
	eras                                     func(int32) string
	censorWindow, fixedDates                 func(from, to string) string
	adjusted                                 func(*circe.Adjustment) string
	span                                     func(from, to circe.Endpoint, a anchor) string
	ordinalDay                               func(day int) string
}

// noun is an event's name. of leads to the concept set: "diagnosis of X".
type noun struct {
	one, many, of string
	feminine      bool
}

// anchor is what a window is counted from.
type anchor struct {
	name  string // "entry", "l'entrée"
	ended string // its end
}

func (a anchor) end() anchor { return anchor{a.ended, a.ended} }

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
