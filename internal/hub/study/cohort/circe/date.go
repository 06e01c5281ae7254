package circe

import (
	"math"
	"time"
)

// Date is a day, counted from 1970-01-01.
type Date = int32

// NoDate stands for a date that is not there. It compares as earlier than any
// day, so code that compares dates looks for it first.
const NoDate Date = math.MinInt32

const secondsPerDay = 24 * 60 * 60

// ToDate gives the day of a calendar date, proleptic Gregorian as in SQL.
func ToDate(year, month, day int) Date {
	return Date(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay)
}

func daysOfMonth(year, month int) int { return int(ToDate(year, month+1, 1) - ToDate(year, month, 1)) }
