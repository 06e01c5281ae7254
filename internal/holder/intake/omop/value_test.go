package omop

import (
	"math/big"
	"strings"
	"testing"
	"time"

	cdm "github.com/havre-hub/havre/internal/ground/omop"
)

func TestValues(t *testing.T) {
	for _, tc := range []struct {
		typ      cdm.Type
		in, want string
	}{
		{cdm.Integer, "12", "12"}, {cdm.Integer, " -12 ", "-12"}, {cdm.Integer, "+5", "5"}, {cdm.Integer, "1234.0", "1234"}, {cdm.Integer, "1.0E7", "10000000"},
		{cdm.Integer, "1e+03", "1000"}, {cdm.Integer, "12.50e1", "125"}, {cdm.Integer, "1200e-2", "12"}, {cdm.Integer, "-0.0", "0"}, {cdm.Integer, ".0", "0"}, {cdm.Integer, "0012.0", "12"},
		{cdm.Integer, "9223372036854775807.0", "9223372036854775807"}, {cdm.Integer, "-9.223372036854775808E18", "-9223372036854775808"},
		{cdm.Integer, "1.5", "1.5"}, {cdm.Integer, "1e-3", "1e-3"}, {cdm.Integer, "1e999", "1e999"}, {cdm.Integer, ".", "."}, {cdm.Integer, "e5", "e5"}, {cdm.Integer, "1.2.0", "1.2.0"},
		{cdm.Integer, "abc", "abc"}, {cdm.Integer, "-", "-"}, {cdm.Integer, "007", "007"}, {cdm.Integer, "NULL", ""}, {cdm.Integer, `\N`, ""}, {cdm.Integer, "NaN", ""}, {cdm.Integer, "", ""},
		{cdm.Float, "1,5", "1.5"}, {cdm.Float, "-1,5", "-1.5"}, {cdm.Float, "1,5,0", "1,5,0"}, {cdm.Float, "1.5e3", "1.5e3"}, {cdm.Float, "nan", ""}, {cdm.Float, "<5", "<5"},
		{cdm.Date, "2020-01-02", "2020-01-02"}, {cdm.Date, "2020-01-02 10:00:00", "2020-01-02"}, {cdm.Date, "2020-01-02T10:00:00Z", "2020-01-02"}, {cdm.Date, "20200102", "2020-01-02"},
		{cdm.Date, "31/02/2020", "31/02/2020"}, {cdm.Date, "2020-02-31", "2020-02-31"}, {cdm.Date, "2020-1-2", "2020-1-2"}, {cdm.Date, "2020-01-023", "2020-01-023"}, {cdm.Date, "NaT", ""},
		{cdm.Date, "2020/01/02", "2020-01-02"}, {cdm.Date, "2020/01/02 10:00", "2020-01-02"}, {cdm.Date, "2020/01-02", "2020/01-02"}, {cdm.Date, "02/01/2020", "02/01/2020"},
		{cdm.Date, "02-JAN-2020", "2020-01-02"}, {cdm.Date, "02-dec-2020 10:00:00", "2020-12-02"}, {cdm.Date, "02JAN2020", "2020-01-02"}, {cdm.Date, "02-JAN-20", "02-JAN-20"},
		{cdm.Date, "02-XXX-2020", "02-XXX-2020"}, {cdm.Date, "02-ANF-2020", "02-ANF-2020"}, {cdm.Date, "02-JAN/2020", "02-JAN/2020"}, {cdm.Date, "2JAN2020", "2JAN2020"}, {cdm.Date, "202001023", "202001023"},
		{cdm.Datetime, "2020/01/02 10:00", "2020-01-02 10:00"}, {cdm.Datetime, "20200102 10:00:00", "2020-01-02 10:00:00"}, {cdm.Datetime, "02JAN2020:10:00:00", "2020-01-02 10:00:00"},
		{cdm.Datetime, "02-JAN-2020", "2020-01-02 00:00:00"}, {cdm.Datetime, "20200102101112", "20200102101112"},
		{cdm.Datetime, "2020-01-02", "2020-01-02 00:00:00"}, {cdm.Datetime, "20200102", "2020-01-02 00:00:00"}, {cdm.Datetime, "2020-01-02 10:00:00.123", "2020-01-02 10:00:00.123"},
		{cdm.Datetime, "2020-01-02T10:00:00Z", "2020-01-02 10:00:00"}, {cdm.Datetime, "2020-01-02T10:00:00+01:00", "2020-01-02 10:00:00+01:00"}, {cdm.Datetime, "x", "x"},
		{cdm.Text, " NULL ", " NULL "}, {cdm.Text, "1.0", "1.0"}, {cdm.Text, `\N`, ""}, {cdm.Text, `\Na`, `\Na`},
	} {
		n := normaliser{comma: true}
		if got := string(n.value(tc.typ, []byte(tc.in))); got != tc.want {
			t.Errorf("%s %q gives %q, want %q", tc.typ, tc.in, got, tc.want)
		}
	}
	if got := (&normaliser{}).value(cdm.Float, []byte("1,5")); string(got) != "1,5" {
		t.Errorf("a comma in a file that is not delimited by semicolons gives %q", got)
	}
}

// FuzzInteger compares with exact rational arithmetic.
func FuzzInteger(f *testing.F) {
	for _, s := range []string{"1.0E7", "-12.500e1", "0.1", "1e-40", ".5e1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := string((&normaliser{}).value(cdm.Integer, []byte(s)))
		if got == strings.TrimSpace(s) || got == "" {
			return
		}
		before, ok := new(big.Rat).SetString(strings.TrimSpace(s))
		after, whole := new(big.Int).SetString(got, 10)
		if !ok || !whole || before.Cmp(new(big.Rat).SetInt(after)) != 0 {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// FuzzHeader demands that every source column is either used once or listed.
func FuzzHeader(f *testing.F) {
	f.Add("person_id\x00date(birth_datetime,'unixepoch')\x00x")
	f.Add("PERSON_ID\x00person.person_id\x00\"person_id\"")
	f.Fuzz(func(t *testing.T, text string) {
		header := strings.Split(text, "\x00")
		for _, name := range []string{"person", "visit_detail", "vocabulary"} {
			tb, _ := cdm.Lookup(name)
			l, columns, ignored, _ := arrange(tb, header)
			seen := map[int]bool{}
			for _, i := range append(append([]int{}, l.from...), l.others...) {
				if seen[i] {
					t.Fatalf("column %d of %q is used twice", i, header)
				}
				seen[i] = true
			}
			if len(seen) != len(header) || len(columns) != len(l.from) || len(ignored) != len(l.others) || l.columns != len(header) {
				t.Fatalf("%q: %d columns, %d used, %d ignored", header, len(header), len(columns), len(ignored))
			}
		}
	})
}

// FuzzDate demands that a date that is respelt names the same day, and that
// nothing else is touched.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"2020/01/02", "20200102", "02-JAN-2020", "02feb2020:01:02:03", "2020-13-45T10:00:00Z", "02/01/2020"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in := strings.TrimSpace(s)
		got := string((&normaliser{}).value(cdm.Date, []byte(s)))
		if got == in || got == "" {
			return
		}
		day, _, _ := strings.Cut(strings.ToUpper(in), " ")
		for _, layout := range []string{"2006-01-02", "2006/01/02", "20060102", "02-Jan-2006", "02Jan2006"} {
			n := len(layout)
			if len(day) < n {
				continue
			}
			if d, err := time.Parse(layout, day[:n]); err == nil && d.Format(time.DateOnly) == got {
				return
			}
		}
		if _, err := time.Parse(time.DateOnly, got); err == nil {
			t.Errorf("%q became %q", s, got)
		}
	})
}
