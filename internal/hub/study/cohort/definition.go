package cohort

import "slices"

// Definition is one parsed cohort definition, wholly within what Havre
// evaluates. Make one with Parse; it is not changed afterwards and may be
// used by several goroutines.
type Definition struct {
	Title       string
	ConceptSets []ConceptSet

	criteria        []criterion // primary criteria; a person enters by any of them
	priorDays       int32       // days observed before the event, at least
	postDays        int32       // and after it
	primaryLimit    limit
	expressionLimit limit
	end             endStrategy
	eraPad          int32 // periods at most so many days apart are one
	censorStart     date  // noDate where there is none
	censorEnd       date
}

// ConceptSet is a named list of concepts as the author wrote it, before the
// vocabulary has had its say.
type ConceptSet struct {
	ID    int64
	Name  string
	Items []ConceptItem
}

// ConceptItem is one line of a concept set.
type ConceptItem struct {
	Concept     int64
	Excluded    bool
	Descendants bool // also all below it in the hierarchy
	Mapped      bool // also the source concepts that map to it
}

type limit int

const (
	limitAll limit = iota
	limitFirst
	limitLast
)

// endStrategy says when a person leaves. The zero value: at the end of the
// observation period.
type endStrategy struct {
	offset  bool // the field's date plus days, but not after the observation period
	fromEnd bool // the field is the event's end, else its start
	days    int32
}

// criterion asks for events of one domain.
type criterion struct {
	domain  *domain
	set     int // index in ConceptSets of the standard concepts wanted, -1 for any
	source  int // the same for source concepts
	first   bool
	filters []filter
}

// filter keeps the events whose value lies in a range or list. As in SQL, an
// event without the value is never kept, negated or not.
type filter struct {
	subject subject
	column  string // of the domain's table, for subjectColumn only
	op      operator
	lo, hi  float64 // whole numbers and days since 1970 are exact as float64
	list    []int64 // for opIn and opNotIn, ascending
}

type subject int

const (
	subjectStart      subject = iota // day the event starts
	subjectEnd                       // day it ends
	subjectLength                    // days from start to end
	subjectAgeAtStart                // year of that day less year of birth
	subjectAgeAtEnd
	subjectGender
	subjectColumn
)

// needsPerson says whether the filter looks into PERSON: events of somebody
// without a row there are never kept.
func (s subject) needsPerson() bool {
	return s == subjectAgeAtStart || s == subjectAgeAtEnd || s == subjectGender
}

type operator int

const (
	opLess operator = iota
	opLessEqual
	opEqual
	opNotEqual
	opGreater
	opGreaterEqual
	opBetween
	opNotBetween
	opIn
	opNotIn
)

// keeps says whether a value that is there passes.
func (f *filter) keeps(v float64) bool {
	switch f.op {
	case opLess:
		return v < f.lo
	case opLessEqual:
		return v <= f.lo
	case opEqual:
		return v == f.lo
	case opNotEqual:
		return v != f.lo
	case opGreater:
		return v > f.lo
	case opGreaterEqual:
		return v >= f.lo
	case opBetween:
		return v >= f.lo && v <= f.hi
	default: // opNotBetween
		return v < f.lo || v > f.hi
	}
}

// keepsConcept is keeps for lists of concepts.
func (f *filter) keepsConcept(id int64) bool {
	_, in := slices.BinarySearch(f.list, id)
	return in == (f.op == opIn)
}
