package ingest

import (
	"bytes"
	"encoding/csv"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCivil compares with the standard library every day of the years 1 to 9999.
func TestCivil(t *testing.T) {
	for d := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() < 10000; d = d.AddDate(0, 0, 1) {
		got, ok := civil(int64(d.Year()), int64(d.Month()), int64(d.Day()))
		if want := d.Unix() / 86400; !ok || got != want {
			t.Fatalf("%s is day %d, %v; want %d", d.Format(time.DateOnly), got, ok, want)
		}
	}
	if d, _ := civil(1600, 1, 1); d != placeholder {
		t.Errorf("the placeholder is day %d", d)
	}
	for _, bad := range [][3]int64{{0, 1, 1}, {1900, 2, 29}, {2021, 2, 29}, {2020, 2, 30}, {2020, 13, 1}, {2020, 0, 1}, {2020, 4, 31}, {2020, 1, 0}} {
		if _, ok := civil(bad[0], bad[1], bad[2]); ok {
			t.Errorf("%v is a day", bad)
		}
	}
}

// FuzzValues holds the readers against the standard library's, which are the
// reference for every spelling that both take.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"0", "-12", "+7", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "12.0", "12.", "12.5", ".5", "1e5", "-1.5E-3",
		"1e400", "0x1F", "1_000", "inf", "NaN", "18446744073709551616", "123456789012345678901234567890.5", "0.1", "2020-02-29", "2021-02-29", "20200229",
		"2020-02-29T10:11:12.5+02:00", "2020-02-29 10:11", "2020-02-29 24:00:00", " 2020-02-29 ", "2020-02-29x", "0000-01-01", "9999-12-31 23:59:59.999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		trimmed := strings.Trim(s, " ")
		whole, zeros, _ := strings.Cut(trimmed, ".")
		want, err := strconv.ParseInt(whole, 10, 64)
		wantOK := err == nil && strings.Trim(zeros, "0") == ""
		if got, ok := integer([]byte(s)); ok != wantOK || ok && got != want {
			t.Errorf("integer %q: %d %v, want %d %v", s, got, ok, want, wantOK)
		}
		number, err := strconv.ParseFloat(trimmed, 64)
		wantOK = err == nil && !math.IsNaN(number) && !math.IsInf(number, 0) && !strings.ContainsAny(trimmed, "xX_pP")
		if got, ok := float([]byte(s)); ok != wantOK || ok && math.Float64bits(got) != math.Float64bits(number) {
			t.Errorf("float %q: %v %v, want %v %v", s, got, ok, number, wantOK)
		}
		var instant time.Time
		layouts := []string{"20060102", time.DateOnly}
		for _, sep := range []string{"T", " "} {
			for _, zone := range []string{"", "Z", "Z07", "Z0700", "Z07:00"} {
				layouts = append(layouts, time.DateOnly+sep+"15:04"+zone, time.DateOnly+sep+"15:04:05"+zone)
			}
		}
		found := false
		for _, layout := range layouts {
			if d, err := time.Parse(layout, trimmed); err == nil && d.Year() > 0 && !strings.Contains(trimmed, ",") {
				instant, found = d, true
			}
		}
		local := time.Date(instant.Year(), instant.Month(), instant.Day(), instant.Hour(), instant.Minute(), instant.Second(), instant.Nanosecond(), time.UTC)
		days, ok := date([]byte(s))
		micros, okTime := datetime([]byte(s))
		if ok != okTime {
			t.Errorf("%q is a date: %v, a datetime: %v", s, ok, okTime)
		}
		if found && ok && (days != local.Unix()/86400-b2i(local.Unix()%86400 < 0) || micros != local.UnixMicro()) {
			t.Errorf("%q: day %d, %d us; want %v", s, days, micros, local)
		}
		if found && !ok && !oddZone(trimmed) && spelt(trimmed, instant) {
			t.Errorf("%q is refused, and is %v", s, instant)
		}
	})
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// spelt says whether the text is in the spelling of the layouts: time.Parse
// also takes hours of one digit and more blanks.
func spelt(s string, d time.Time) bool {
	return len(s) <= 10 || len(s) >= 16 && s[:10] == d.Format(time.DateOnly) && s[11:16] == d.Format("15:04")
}

// oddZone says whether the text ends in a zone: time.Parse bounds its hours,
// and this package drops it unread.
func oddZone(s string) bool { return len(s) > 10 && strings.ContainsAny(s[10:], "+-") }

// FuzzRows holds the CSV walker against encoding/csv: what it takes is the
// same table there, and every value is the same.
func FuzzRows(f *testing.F) {
	for _, s := range []string{"1,2\n", "1,2", "\"a\"\"b\",\n", "\"a\nb\",2\n3,4\n", "1\n", "1,2,3\n", "\"a", "a\"b,1\n", ",\n", "\"a\"x,1\n", "é,\xff\n", "1,2\r\n", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got [][]string
		rows, err := eachRow("part", []byte("a,b\n"+s), []string{"a", "b"}, func(n int64, cells []cell) error {
			if n != int64(len(got)+1) {
				t.Errorf("row %d comes as number %d", len(got)+1, n)
			}
			got = append(got, []string{string(cells[0].text()), string(cells[1].text())})
			return nil
		})
		r := csv.NewReader(strings.NewReader(s))
		r.FieldsPerRecord = 2
		want, wantErr := r.ReadAll()
		if err != nil {
			// encoding/csv also takes \r\n, passes over empty lines and does not look at UTF-8.
			if wantErr == nil && !strings.ContainsAny(s, "\r") && !strings.Contains("\n"+s, "\n\n") && bytes.Equal([]byte(s), bytes.ToValidUTF8([]byte(s), nil)) {
				t.Errorf("%q is refused: %v", s, err)
			}
			return
		}
		if strings.Contains(s, "\r") {
			return // encoding/csv changes it inside quotes
		}
		if wantErr != nil || rows != int64(len(want)) || !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%q gives %q, encoding/csv gives %q, %v", s, got, want, wantErr)
		}
	})
}
