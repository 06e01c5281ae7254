package cohort

import "math"

// Year gives the calendar year of a day counted from 1970-01-01.
func Year(day int32) int {
	// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
	// civil_from_days: years are counted from 1 March, eras of 400 years.
	z := int64(day) + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	year := yoe + era*400
	if doy >= 306 { // January and February belong to the next calendar year
		year++
	}
	return int(year)
}

// addDays adds without leaving the range of dates; sums beyond it stand at its ends.
func addDays(d date, n int32) date {
	sum := int64(d) + int64(n)
	return date(min(max(sum, math.MinInt32+1), math.MaxInt32))
}
