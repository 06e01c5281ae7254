// Package dense makes CDM populations of any size in which most cohort
// definitions of a library find somebody: every person has some three hundred
// rows, over the concepts that the definitions name. The rows have no clinical
// meaning; they are for measuring and comparing evaluators. The same seed gives
// the same rows, whatever order they are asked for in.
package dense

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// Options say what is made.
type Options struct {
	Persons int
	Seed    uint64
	// Sets are the lists of concepts that events are drawn from, by table: first
	// a list, then one of its concepts, or one below it. Every table without
	// lists has concept 0.
	Sets map[string][][]int64
	// Units and Values are what measurements and observations are drawn from.
	Units, Values []int64
}

// Below is how many concepts the vocabulary has below each named one.
const Below = 4

// below gives the n-th concept below the i-th named one.
func below(i, n int) int64 { return 2_000_000_000 + int64(i)*Below + int64(n) }

// Generator makes the rows of a population.
type Generator struct {
	o       Options
	named   []int64 // all concepts of the lists, ascending
	indexOf map[int64]int
}

// rate is how many rows a person has of a table.
type rate struct {
	table string
	rows  int     // for each person
	share float64 // of persons, where it is less than one row
}

var rates = []rate{
	{"condition_occurrence", 40, 1}, {"drug_exposure", 50, 1}, {"measurement", 60, 1}, {"observation", 20, 1},
	{"procedure_occurrence", 25, 1}, {"visit_occurrence", 20, 1}, {"visit_detail", 5, 1}, {"device_exposure", 1, 1},
	{"specimen", 1, 1}, {"condition_era", 40, 1}, {"drug_era", 50, 1}, {"dose_era", 5, 1}, {"payer_plan_period", 1, 1},
	{"death", 1, 0.08}, {"person", 1, 1}, {"observation_period", 1, 1},
}

// PersonTables are the tables about persons.
func PersonTables() (names []string) {
	for _, r := range rates {
		names = append(names, r.table)
	}
	return names
}

// New makes a generator.
func New(o Options) *Generator {
	g := &Generator{o: o, indexOf: map[int64]int{}}
	for _, lists := range o.Sets {
		for _, l := range lists {
			g.named = append(g.named, l...)
		}
	}
	slices.Sort(g.named)
	g.named = slices.Compact(g.named)
	for i, id := range g.named {
		g.indexOf[id] = i
	}
	return g
}

// Rows gives the rows of the persons [from, to) of one table, with all columns
// of the CDM; ids of persons begin at 1. The caller releases them.
func (g *Generator) Rows(table string, from, to int) (arrow.RecordBatch, error) {
	spec, ok := omop.Lookup(table)
	at := slices.IndexFunc(rates, func(r rate) bool { return r.table == table })
	if !ok || at < 0 {
		return nil, fmt.Errorf("the dense population has no table %q about persons", table)
	}
	w := newWriter(spec)
	defer w.release()
	for p := from; p < to; p++ {
		g.person(w, rates[at], uint64(at), p)
	}
	return w.batch(), nil
}

// life is what all tables of a person share.
type life struct {
	id, born   int64
	from, to   int // observation
	visitFirst int64
}

// The days that events lie between.
const (
	firstDay = 12784 // 2005-01-01
	lastDay  = 19283 // 2022-10-18
)

func (g *Generator) life(p int) (life, *rand.Rand) {
	r := rand.New(rand.NewPCG(g.o.Seed, uint64(p)<<8|0xff))
	l := life{id: int64(p) + 1, born: int64(1930 + r.IntN(85)), visitFirst: int64(p)*20 + 1}
	l.from = firstDay + r.IntN(4*365)
	l.to = l.from + 2*365 + r.IntN(lastDay-l.from-2*365)
	return l, r
}

func (g *Generator) person(w *writer, rt rate, table uint64, p int) {
	l, own := g.life(p)
	r := rand.New(rand.NewPCG(g.o.Seed, uint64(p)<<8|table))
	if rt.share < 1 && r.Float64() >= rt.share {
		return
	}
	w.int("person_id", l.id)
	switch rt.table {
	case "person":
		w.int("gender_concept_id", []int64{8507, 8532}[own.IntN(2)])
		w.int("year_of_birth", l.born)
		w.int("race_concept_id", 8527)
		w.int("ethnicity_concept_id", 38003564)
		w.next()
	case "observation_period", "payer_plan_period":
		w.int(w.spec.ID, l.id)
		w.int(w.spec.Start, int64(l.from))
		w.int(w.spec.End, int64(l.to))
		w.int("period_type_concept_id", 44814724)
		w.next()
	default:
		for i := range rt.rows {
			g.event(w, rt, l, r, i)
		}
	}
}

// mayBeOpen are ends that half of the rows do not have.
var mayBeOpen = []string{"condition_end_date", "device_exposure_end_date"}

// event makes one row. Most lie within the observation, some before or after.
func (g *Generator) event(w *writer, rt rate, l life, r *rand.Rand, i int) {
	day := l.from + r.IntN(l.to-l.from+1)
	if r.IntN(20) == 0 {
		day = firstDay + r.IntN(lastDay-firstDay)
	}
	end := day + r.IntN(4)
	if r.IntN(3) == 0 {
		end = day + r.IntN(30)
	}
	concept := g.concept(rt.table, r)
	w.int("person_id", l.id)
	if w.spec.ID != "" {
		w.int(w.spec.ID, (l.id-1)*int64(rt.rows)+int64(i)+1)
	}
	w.int(w.spec.Concept, concept)
	w.int(w.spec.Start, int64(day))
	if w.spec.End != "" && (!slices.Contains(mayBeOpen, w.spec.End) || r.IntN(2) == 0) {
		w.int(w.spec.End, int64(end))
	}
	if rt.table != "visit_occurrence" {
		w.int("visit_occurrence_id", l.visitFirst+r.Int64N(20))
	}
	w.int("provider_id", 1)
	w.int("care_site_id", 1)
	if w.source != "" {
		w.int(w.source, concept)
	}
	w.int("unit_concept_id", pick(g.o.Units, r))
	w.int("value_as_concept_id", pick(g.o.Values, r))
	w.float("value_as_number", 200*r.Float64()*r.Float64())
	w.float("dose_value", 10)
	w.float("range_low", 10)
	w.float("range_high", 100)
	w.float("quantity", 30)
	w.int("quantity", 1)
	w.int("days_supply", int64(1+r.IntN(90)))
	w.int("condition_occurrence_count", int64(1+r.IntN(3)))
	w.int("drug_exposure_count", int64(1+r.IntN(3)))
	w.int("gap_days", 0)
	if w.kind != "" {
		w.int(w.kind, 32817)
	}
	w.next()
}

func pick(list []int64, r *rand.Rand) int64 {
	if len(list) == 0 {
		return 0
	}
	return list[r.IntN(len(list))]
}

// concept draws a list, one of its concepts, and that one or one below it.
func (g *Generator) concept(table string, r *rand.Rand) int64 {
	lists := g.o.Sets[table]
	if len(lists) == 0 {
		return 0
	}
	id := pick(lists[r.IntN(len(lists))], r)
	if n := r.IntN(Below + 1); n > 0 {
		if at, ok := g.indexOf[id]; ok {
			return below(at, n-1)
		}
	}
	return id
}
