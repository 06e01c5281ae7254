package synth

import "strconv"

// Truth is the content of truth/truth.json: what is true of the population,
// which no holder knows.
type Truth struct {
	Format        string        `json:"format"`
	Residents     int           `json:"residents"`
	Seed          uint64        `json:"seed,string"`
	RowsPerPerson int           `json:"rows_per_person"` // asked for
	First         string        `json:"first"`           // the ten years
	Last          string        `json:"last"`
	Deaths        int64         `json:"deaths"`
	Effect        Effect        `json:"effect"`
	Linkage       Linkage       `json:"linkage"`
	Traps         Traps         `json:"traps"`
	Holders       []HolderTruth `json:"holders"`
}

// Effect is the built-in effect and what came of it in this population.
type Effect struct {
	HazardRatio int    `json:"hazard_ratio"`
	WindowDays  int    `json:"window_days"`
	Exposure    Named  `json:"exposure"`
	Comparator  Named  `json:"comparator"`
	Outcome     Named  `json:"outcome"`
	Definition  string `json:"definition"`
	Arms        [2]Arm `json:"arms"` // drug A, drug B
}

// Named is a concept of the vocabulary.
type Named struct {
	ConceptID int64  `json:"concept_id,string"`
	Name      string `json:"name"`
}

// Arm counts the persons who start one drug. True counts are those of all
// bleeds; recorded ones are what the files can show, were every person linked.
type Arm struct {
	Drug               string `json:"drug"`
	Starters           int64  `json:"starters"`
	Bleeds             int64  `json:"bleeds"`      // persons who bled in the window
	PersonDays         int64  `json:"person_days"` // observed in the window up to the first bleed
	RecordedBleeds     int64  `json:"recorded_bleeds"`
	RecordedPersonDays int64  `json:"recorded_person_days"` // up to the first recorded bleed
}

// Linkage counts residents by how many holders know them, and pairs of records
// at different holders that are one person.
type Linkage struct {
	AtOne   int64 `json:"at_one_holder"`
	AtTwo   int64 `json:"at_two_holders"`
	AtThree int64 `json:"at_three_holders"`
	Pairs   int64 `json:"pairs"`
}

// Traps counts the residents who are hard to tell apart or to number.
type Traps struct {
	SameSexTwins  int64 `json:"twins_of_the_same_sex"` // persons, not pairs
	OtherTwins    int64 `json:"other_twins"`
	BornAbroad    int64 `json:"born_abroad"`
	BornCorsica   int64 `json:"born_in_corsica"`
	BornOverseas  int64 `json:"born_overseas"`
	MarriedNames  int64 `json:"name_by_marriage"`
	ParentInsures int64 `json:"insured_parent_known"`
	Moved         int64 `json:"moved"`
}

// HolderTruth says what a holder's files hold and what is wrong in them.
type HolderTruth struct {
	Name    string      `json:"name"`
	Persons int64       `json:"persons"`
	Tables  []TableRows `json:"tables"` // OMOP files written person by person
	Rates   ErrorRates  `json:"identity_error_rates_per_10000"`
	Errors  ErrorCounts `json:"identity_errors"`
	Dirt    DirtRates   `json:"row_error_rates_per_10000"`
	Dirty   DirtRates   `json:"row_errors"`
}

// TableRows counts the rows of one file.
type TableRows struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

const effectDefinition = "Persons start drug A or drug B by the flip of a coin. From the day after the first dispensing on, for window_days days, " +
	"the hazard of gastrointestinal bleeding of those on drug A is hazard_ratio times their own hazard without it, whether or not they go on with the drug; " +
	"drug B changes nothing. The hazard depends on age only. Nobody who starts has bled since observation began, and nobody bleeds on the day of the first dispensing. " +
	"Nine bleeds in ten are recorded by a hospital, in both arms alike."

// tally is what is counted while the rows are made.
type tally struct {
	holders [holderCount]struct {
		Persons int64
		Errors  ErrorCounts
		Dirt    DirtRates
	}
	deaths  int64
	arms    [2]Arm
	linkage Linkage
	traps   Traps
}

// count counts one finished person.
func (t *tally) count(g *generator, p *person, l *life) {
	if l.died {
		t.deaths++
	}
	if l.arm != noDrug {
		a := &t.arms[l.arm-drugA]
		a.Starters++
		bled, days := l.firstInRisk(l.bleeds)
		a.PersonDays += int64(days)
		a.Bleeds += one(bled)
		bled, days = l.firstInRisk(l.known)
		a.RecordedPersonDays += int64(days)
		a.RecordedBleeds += one(bled)
	}
	switch l.hospitals {
	case 0:
		t.linkage.AtOne++
	case 1:
		t.linkage.AtTwo++
		t.linkage.Pairs++
	default:
		t.linkage.AtThree++
		t.linkage.Pairs += 3
	}
	sameSex := p.twin && g.sex[p.number] == g.sex[p.number^1]
	department := p.birthPlace[:2]
	t.traps.SameSexTwins += one(sameSex)
	t.traps.OtherTwins += one(p.twin && !sameSex)
	t.traps.BornAbroad += one(p.abroad)
	t.traps.BornCorsica += one(department == "2A" || department == "2B" || department == "20")
	t.traps.BornOverseas += one(department == "97")
	t.traps.MarriedNames += one(p.usedName != "")
	t.traps.ParentInsures += one(p.parentNIR != "")
	t.traps.Moved += one(len(l.homes) > 1)
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// add adds the counts of o to t.
func (t *tally) add(o *tally) {
	for h := range t.holders {
		a, b := &t.holders[h], &o.holders[h]
		a.Persons += b.Persons
		addInts(a.Errors.fields(), b.Errors.fields())
		addInts(a.Dirt.fields(), b.Dirt.fields())
	}
	t.deaths += o.deaths
	for i := range t.arms {
		addInts(t.arms[i].fields(), o.arms[i].fields())
	}
	addInts(t.linkage.fields(), o.linkage.fields())
	addInts(t.traps.fields(), o.traps.fields())
}

func addInts[T int | int64](to, from []*T) {
	for i := range to {
		*to[i] += *from[i]
	}
}

func (c *ErrorCounts) fields() []*int {
	return []*int{&c.NameLetters, &c.GivenLetters, &c.GivenMissing, &c.DayMonthSwapped, &c.BirthDateForced, &c.MarriedName,
		&c.NIRMissing, &c.NIRMistyped, &c.NIRParent, &c.NIRTwin, &c.NIRFictive, &c.NIRProvisional, &c.Residence}
}

func (d *DirtRates) fields() []*int { return []*int{&d.Placeholder, &d.Late, &d.Orphan, &d.Unknown} }

func (a *Arm) fields() []*int64 {
	return []*int64{&a.Starters, &a.Bleeds, &a.PersonDays, &a.RecordedBleeds, &a.RecordedPersonDays}
}

func (l *Linkage) fields() []*int64 { return []*int64{&l.AtOne, &l.AtTwo, &l.AtThree, &l.Pairs} }

func (t *Traps) fields() []*int64 {
	return []*int64{&t.SameSexTwins, &t.OtherTwins, &t.BornAbroad, &t.BornCorsica, &t.BornOverseas, &t.MarriedNames, &t.ParentInsures, &t.Moved}
}

// newTruth states what the generator counted and what f holds.
func newTruth(opts Options, t *tally, f *folder) *Truth {
	vocab, cal := theVocabulary(), newCalendar()
	named := func(id int64) Named { return Named{id, vocab.concept(id).name} }
	t.arms[0].Drug, t.arms[1].Drug = "A", "B"
	truth := &Truth{
		Format: "havre-synth-truth-1", Residents: opts.Residents, Seed: opts.Seed, RowsPerPerson: opts.RowsPerPerson,
		First: cal.spell(coverFirst), Last: cal.spell(coverLast), Deaths: t.deaths,
		Effect: Effect{HazardRatio: hazardRatio, WindowDays: riskDays, Exposure: named(ConceptDrugA), Comparator: named(ConceptDrugB),
			Outcome: named(ConceptGIBleeding), Definition: effectDefinition, Arms: t.arms},
		Linkage: t.linkage, Traps: t.traps,
	}
	for h, counted := range t.holders {
		ht := HolderTruth{Name: holders[h].name, Persons: counted.Persons, Rates: holders[h].rates, Errors: counted.Errors,
			Dirt: holders[h].dirt, Dirty: counted.Dirt}
		for _, table := range keeps[h] {
			if table != identity {
				ht.Tables = append(ht.Tables, TableRows{tables[table].name, f.files[h][table].lines})
			}
		}
		truth.Holders = append(truth.Holders, ht)
	}
	return truth
}

func appendInt(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }
