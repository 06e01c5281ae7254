package strict

import (
	"time"

	"github.com/havre-hub/havre/internal/havre"
)

// Date is a day, written 2006-01-02. The zero value is "not stated" and is
// written as the empty text.
type Date struct{ t time.Time }

// DateOf is the UTC day of an instant.
func DateOf(t time.Time) Date {
	y, m, d := t.UTC().Date()
	return Date{time.Date(y, m, d, 0, 0, 0, 0, time.UTC)}
}

// ParseDate reads "2006-01-02".
func ParseDate(s string) (Date, error) {
	if s == "" {
		return Date{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1900 {
		return Date{}, havre.E("date", havre.Invalid, "a date is written 2026-12-31")
	}
	return Date{t}, nil
}

// IsZero says whether no day is stated.
func (d Date) IsZero() bool { return d.t.IsZero() }

// Start is the first instant of the day, in UTC.
func (d Date) Start() time.Time { return d.t }

// End is the first instant after the day, in UTC: something that lasts until a
// day lasts through it.
func (d Date) End() time.Time { return d.t.AddDate(0, 0, 1) }

// AddDate is time.Time's.
func (d Date) AddDate(years, months, days int) Date { return Date{d.t.AddDate(years, months, days)} }

// Days is the number of whole days from at to the end of the day; below zero
// when it has passed.
func (d Date) Days(at time.Time) int {
	return int(d.t.Sub(DateOf(at).t).Hours() / 24)
}

func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.t.Format(time.DateOnly)
}

// MarshalText and UnmarshalText let a date stand in JSON and YAML.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Date) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDate(string(b))
	return err
}
