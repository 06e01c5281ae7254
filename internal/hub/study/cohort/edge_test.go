package cohort

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
	"github.com/havre-hub/havre/internal/hub/study/studytest"
	"github.com/havre-hub/havre/internal/hub/warehouse"

	"github.com/apache/arrow-go/v18/arrow"
)

const secondsPerDay = 24 * 60 * 60

func dayOf(s string) int {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return int(t.Unix() / secondsPerDay)
}

// edgeCase is a population in short hand: "person from to" and
// "id person start end", with "-" for a date that is not there.
type edgeCase struct {
	name    string
	periods []string
	events  []string
	rest    string // members of the definition beside the criteria
	limit   string
	first   bool
	prior   string
	want    []string
}

var edgeCases = []edgeCase{
	{name: "events on the first and last day are in, a day outside is not",
		periods: []string{"1 2010-01-01 2010-12-31"},
		events:  []string{"1 1 2010-01-01 -", "2 1 2010-12-31 -", "3 1 2009-12-31 -", "4 1 2011-01-01 -"},
		rest:    `"EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 0}}`,
		want:    []string{"1 2010-01-01 2010-01-01", "1 2010-12-31 2010-12-31"}},
	{name: "touching observation periods stay two",
		periods: []string{"1 2010-01-01 2010-06-30", "1 2010-07-01 2010-12-31"},
		events:  []string{"1 1 2010-06-30 -", "2 1 2010-07-01 -"},
		want:    []string{"1 2010-06-30 2010-06-30", "1 2010-07-01 2010-12-31"}},
	{name: "prior days are counted in the event's own period",
		periods: []string{"1 2010-01-01 2010-06-30", "1 2010-07-01 2010-12-31"},
		events:  []string{"1 1 2010-07-20 -", "2 1 2010-10-01 -"}, prior: "30",
		want: []string{"1 2010-10-01 2010-12-31"}},
	{name: "a missing end is the next day, cut at the end of observation",
		periods: []string{"1 2010-01-01 2010-12-31"},
		events:  []string{"1 1 2010-05-01 -", "2 1 2010-12-31 -"},
		rest:    `"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 0}}`,
		want:    []string{"1 2010-05-01 2010-05-02", "1 2010-12-31 2010-12-31"}},
	{name: "an end before the start lets nobody in",
		periods: []string{"1 2010-01-01 2010-12-31"}, events: []string{"1 1 2010-05-01 2010-04-01"},
		rest: `"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 0}}`},
	{name: "equal days are told apart by the event id, also below zero",
		periods: []string{"1 2010-01-01 2010-12-31"},
		events:  []string{"5 1 2010-05-01 2010-05-09", "-7 1 2010-05-01 2010-05-03", "0 1 2010-05-01 2010-05-05"},
		rest:    `"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 0}}`, limit: "First",
		want: []string{"1 2010-05-01 2010-05-03"}},
	{name: "first is the first of all, even outside observation",
		periods: []string{"1 2010-01-01 2010-12-31"},
		events:  []string{"1 1 2009-05-01 -", "2 1 2010-05-01 -"}, first: true},
	{name: "the last event",
		periods: []string{"1 2010-01-01 2010-12-31"},
		events:  []string{"1 1 2010-05-01 -", "2 1 2010-06-01 -", "3 1 2010-06-01 -"}, limit: "Last",
		want: []string{"1 2010-06-01 2010-12-31"}},
	{name: "ids of 64 bits, and persons without observation",
		periods: []string{"-9223372036854775808 2010-01-01 2010-12-31", "9223372036854775807 2010-01-01 2010-12-31"},
		events: []string{"9223372036854775807 9223372036854775807 2010-05-01 -", "-9223372036854775808 9223372036854775807 2010-06-01 -",
			"-1 -9223372036854775808 2010-02-28 -", "3 4 2010-05-01 -"},
		want: []string{"-9223372036854775808 2010-02-28 2010-12-31", "9223372036854775807 2010-05-01 2010-12-31"}},
	{name: "leap day, and periods that touch but for the pad",
		periods: []string{"1 2012-01-01 2012-12-31"},
		events:  []string{"1 1 2012-02-28 -", "2 1 2012-03-01 -", "3 1 2012-03-05 -"},
		rest:    `"EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 1}}, "CollapseSettings": {"CollapseType": "ERA", "EraPad": 1}`,
		want:    []string{"1 2012-02-28 2012-03-02", "1 2012-03-05 2012-03-06"}},
	{name: "the censor window cuts at both ends",
		periods: []string{"1 2010-01-01 2010-12-31", "2 2010-01-01 2010-02-01"},
		events:  []string{"1 1 2010-02-01 -", "2 2 2010-01-05 -"},
		rest:    `"CensorWindow": {"StartDate": "2010-03-01", "EndDate": "2010-04-01"}`,
		want:    []string{"1 2010-03-01 2010-04-01"}},
	{name: "an observation that ends before it starts holds nothing",
		periods: []string{"1 2010-12-31 2010-01-01"}, events: []string{"1 1 2010-05-01 -"}},
	{name: "dates far away",
		periods: []string{"1 1600-01-01 2199-12-31"}, events: []string{"1 1 1600-01-01 -", "2 1 2199-12-31 -"},
		rest: `"EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 1000000}}`,
		want: []string{"1 1600-01-01 2199-12-31"}},
}

func TestEdges(t *testing.T) {
	for _, c := range edgeCases {
		t.Run(c.name, func(t *testing.T) {
			limit, prior, rest := c.limit, c.prior, c.rest
			if limit == "" {
				limit = "All"
			}
			if prior == "" {
				prior = "0"
			}
			if rest != "" {
				rest = ", " + rest
			}
			rest += `, "ExpressionLimit": {"Type": "All"}`
			first := map[bool]string{true: `"First": true`}[c.first]
			d, err := Parse([]byte(`{"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {` + first + `}}],
				"ObservationWindow": {"PriorDays": ` + prior + `, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "` + limit + `"}}` + rest + `}`))
			if err != nil {
				t.Fatal(err)
			}
			got := rowsOf(t, compile(t, d), studytest.New(3, c.tables()))[0]
			var want []row
			for _, w := range c.want {
				f := strings.Fields(w)
				want = append(want, row{mustInt(f[0]), int32(dayOf(f[1])), int32(dayOf(f[2]))})
			}
			slices.SortFunc(want, compareRows)
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func compile(t testing.TB, d ...*Definition) *Plan {
	t.Helper()
	plan, err := Compile(context.Background(), studytest.NewVocabulary(nil), d, false)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (c edgeCase) tables() map[string]studytest.Table {
	period, event := newBuilder(), newBuilder()
	for _, p := range c.periods {
		f := strings.Fields(p)
		period.int("person_id", mustInt(f[0]), true)
		period.day("observation_period_start_date", dayOf(f[1]), true)
		period.day("observation_period_end_date", dayOf(f[2]), true)
	}
	for _, e := range c.events {
		f := strings.Fields(e)
		event.int("condition_occurrence_id", mustInt(f[0]), true)
		event.int("person_id", mustInt(f[1]), true)
		event.day("condition_start_date", dayOf(f[2]), true)
		if f[3] == "-" {
			event.day("condition_end_date", 0, false)
		} else {
			event.day("condition_end_date", dayOf(f[3]), true)
		}
	}
	return map[string]studytest.Table{"observation_period": period.Table, "condition_occurrence": event.Table}
}

func mustInt(s string) int64 {
	v, negative := int64(0), strings.HasPrefix(s, "-")
	for _, c := range strings.TrimPrefix(s, "-") {
		v = v*10 + int64(c-'0') // -2^63 overflows onto itself
	}
	if negative {
		v = -v
	}
	return v
}

// TestOrderOfRows: how rows lie in the store never changes a result, even when
// two holders use the same event id on the same day.
func TestOrderOfRows(t *testing.T) {
	c := edgeCase{periods: []string{"1 2010-01-01 2010-12-31"}, events: []string{
		"4 1 2010-05-01 2010-05-20", "4 1 2010-05-01 2010-05-03", "4 1 2010-05-01 -", "9 1 2010-05-01 2010-05-01"}}
	d, err := Parse([]byte(`{"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"First": true}}],
		"ObservationWindow": {"PriorDays": 0, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "All"}},
		"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 0}}}`))
	if err != nil {
		t.Fatal(err)
	}
	var seen []row
	for range len(c.events) {
		got := rowsOf(t, compile(t, d), studytest.New(1, c.tables()))[0]
		if seen == nil {
			seen = got
		}
		if !slices.Equal(got, seen) || len(got) != 1 {
			t.Errorf("%v in one order, %v in another", seen, got)
		}
		c.events = append(c.events[1:], c.events[0])
	}
}

func TestYear(t *testing.T) {
	for day := dayOf("1399-12-25"); day < dayOf("2401-01-10"); day++ {
		if got, want := Year(int32(day)), time.Unix(int64(day)*secondsPerDay, 0).UTC().Year(); got != want {
			t.Fatalf("day %d is of year %d, want %d", day, got, want)
		}
	}
	if addDays(math.MaxInt32-1, 5) != math.MaxInt32 || addDays(math.MinInt32+2, -5) == noDate {
		t.Error("dates overflow")
	}
}

func TestIndex(t *testing.T) {
	var ids []int64
	for i := range int64(1000) {
		ids = append(ids, i*i*i-500)
	}
	x := newIndex(ids)
	for i, id := range ids {
		if x.place(id) != i || x.place(id+1) != -1 && i > 1 {
			t.Fatalf("id %d is at %d, the next at %d", id, x.place(id), x.place(id+1))
		}
	}
	if newIndex(nil).place(7) != -1 {
		t.Error("an empty index found something")
	}
}

// wrongRows gives batches that are not what was wanted.
type wrongRows struct {
	*studytest.Population
	swap map[string]string
	drop bool
}

func (w wrongRows) Read(ctx context.Context, bucket int, want warehouse.Want) ([]arrow.RecordBatch, error) {
	want.Columns = slices.Clone(want.Columns)
	for i, c := range want.Columns {
		if other := w.swap[c]; other != "" {
			want.Columns[i] = other
		}
	}
	if w.drop {
		want.Columns = want.Columns[1:]
	}
	return w.Population.Read(ctx, bucket, want)
}

// TestWrongRows: rows of another shape are an error, never misread.
func TestWrongRows(t *testing.T) {
	c := edgeCase{periods: []string{"1 2010-01-01 2010-12-31"}, events: []string{"4 1 2010-05-01 2010-05-20"}}
	d, err := Parse([]byte(minimalWith("", "")))
	if err != nil {
		t.Fatal(err)
	}
	d.Primary.Criteria[0].Set = -1
	for _, w := range []wrongRows{
		{swap: map[string]string{"observation_period_start_date": "person_id"}},
		{swap: map[string]string{"condition_start_date": "condition_concept_id"}},
		{swap: map[string]string{"condition_occurrence_id": "condition_start_date"}},
		{drop: true},
	} {
		w.Population = studytest.New(1, c.tables())
		if _, err := compile(t, d).Evaluate(context.Background(), w, 0); havre.KindOf(err) != havre.Internal {
			t.Errorf("%v: %v", w.swap, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := compile(t, d).Evaluate(ctx, studytest.New(1, c.tables()), 0); havre.KindOf(err) != havre.Cancelled {
		t.Errorf("after cancelling: %v", err)
	}
}

func TestFilterKeeps(t *testing.T) {
	for op, want := range map[circe.Op]string{
		circe.OpLess: "+-----", circe.OpLessEqual: "++----", circe.OpEqual: "-+----", circe.OpNotEqual: "+-++++",
		circe.OpGreater: "--++++", circe.OpGreaterEqual: "-+++++", circe.OpBetween: "-++++-", circe.OpNotBetween: "+----+",
	} {
		f := plannedFilter{op: op, lo: 2, hi: 5}
		got := ""
		for v := 1.0; v <= 6; v++ {
			got += map[bool]string{true: "+", false: "-"}[f.keeps(v)]
		}
		if got != want {
			t.Errorf("operator %d keeps %s of 1 to 6, want %s", op, got, want)
		}
	}
}

func TestLike(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"abc", "abc", true}, {"abc", "abcd", false}, {"abc", "ABC", false}, {"a%", "a", true}, {"%", "", true}, {"", "", true}, {"", "x", false},
		{"%b%", "abc", true}, {"%b%", "ac", false}, {"%ab", "aab", true}, {"%ab%ab", "abab", true}, {"%ab%ab", "abaab", true}, {"%aab", "aaab", true},
		{"a_c", "aéc", true}, {"a_c", "ac", false}, {"a%_", "a", false}, {"a%_", "ab", true}, {"50%%", "50% of it", true}, {"%é", "café", true},
	} {
		if got := newPattern(c.pattern, false).keeps(c.text); got != c.want {
			t.Errorf("%q like %q: %v", c.text, c.pattern, got)
		}
		if got := newPattern(c.pattern, true).keeps(c.text); got == c.want {
			t.Errorf("%q not like %q: %v", c.text, c.pattern, got)
		}
	}
}
