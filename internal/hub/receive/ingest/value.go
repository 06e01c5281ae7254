package ingest

import (
	"bytes"
	"math"
	"strconv"
)

// The spellings of values that are taken. Blanks around a value are passed
// over. What is not listed is a bad value, never guessed at: 12.5 is no
// integer, 31 February no date, "infinity" no number.
//
//	integer   -12, +12, 12.0, 12.
//	float     12, .5, 1.5e-3
//	date      2006-01-02, 20060102, 2006-01-02T15:04:05Z (the day counts)
//	datetime  those; seconds, fractions and zone may be missing
//
// Years are 0001 to 9999. The clock is kept as written: the CDM holds local
// time, so a zone is dropped; of fractions, six digits are kept.

// integer reads a 64-bit integer.
func integer(v []byte) (int64, bool) {
	v = bytes.Trim(v, " ")
	digits, negative := v, false
	if len(v) > 0 && (v[0] == '-' || v[0] == '+') {
		digits, negative = v[1:], v[0] == '-'
	}
	if whole, zeros, ok := bytes.Cut(digits, []byte{'.'}); ok {
		if len(bytes.TrimLeft(zeros, "0")) > 0 {
			return 0, false
		}
		digits = whole
	}
	if len(digits) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-9)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= math.MaxInt64
}

// powers of ten that a float64 holds exactly.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// float reads a finite number.
func float(v []byte) (float64, bool) {
	v = bytes.Trim(v, " ")
	i, negative := 0, false
	if i < len(v) && (v[i] == '-' || v[i] == '+') {
		negative = v[i] == '-'
		i++
	}
	var mantissa uint64
	whole, fraction := 0, 0
	for ; i < len(v) && isDigit(v[i]); i++ {
		mantissa, whole = mantissa*10+uint64(v[i]-'0'), whole+1
	}
	if i < len(v) && v[i] == '.' {
		for i++; i < len(v) && isDigit(v[i]); i++ {
			mantissa, fraction = mantissa*10+uint64(v[i]-'0'), fraction+1
		}
	}
	if whole+fraction == 0 {
		return 0, false
	}
	if i == len(v) && whole+fraction <= 15 { // both sides of the division are exact, so its result is the nearest
		f := float64(mantissa) / powers[fraction]
		if negative {
			f = -f
		}
		return f, true
	}
	if i < len(v) && (v[i] == 'e' || v[i] == 'E') {
		i++
		if i < len(v) && (v[i] == '-' || v[i] == '+') {
			i++
		}
		if i == len(v) {
			return 0, false
		}
		for i < len(v) && isDigit(v[i]) {
			i++
		}
	}
	if i < len(v) {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	return f, err == nil
}

// date reads a day, counted from 1970-01-01.
func date(v []byte) (int64, bool) {
	v = bytes.Trim(v, " ")
	if len(v) == 8 {
		return compact(v)
	}
	days, rest, ok := day(v)
	if !ok {
		return 0, false
	}
	if len(rest) > 0 {
		_, ok = clock(rest)
	}
	return days, ok
}

const dayMicros = 24 * 60 * 60 * 1_000_000

// datetime reads an instant of local time, in microseconds from 1970-01-01.
func datetime(v []byte) (int64, bool) {
	v = bytes.Trim(v, " ")
	if len(v) == 8 {
		days, ok := compact(v)
		return days * dayMicros, ok
	}
	days, rest, ok := day(v)
	if !ok || len(rest) == 0 {
		return days * dayMicros, ok
	}
	micros, ok := clock(rest)
	return days*dayMicros + micros, ok
}

// day reads 2006-01-02 and gives what follows it.
func day(v []byte) (days int64, rest []byte, ok bool) {
	if len(v) < 10 || v[4] != '-' || v[7] != '-' {
		return 0, nil, false
	}
	y, ok1 := number(v[:4])
	m, ok2 := number(v[5:7])
	d, ok3 := number(v[8:10])
	days, ok = civil(y, m, d)
	return days, v[10:], ok && ok1 && ok2 && ok3
}

// compact reads 20060102.
func compact(v []byte) (int64, bool) {
	y, ok1 := number(v[:4])
	m, ok2 := number(v[4:6])
	d, ok3 := number(v[6:8])
	days, ok := civil(y, m, d)
	return days, ok && ok1 && ok2 && ok3
}

// clock reads " 15:04[:05[.000000]][zone]", after a T or a blank, in
// microseconds; the zone is checked and dropped.
func clock(v []byte) (micros int64, ok bool) {
	if len(v) < 6 || v[0] != 'T' && v[0] != ' ' || v[3] != ':' {
		return 0, false
	}
	h, ok1 := number(v[1:3])
	m, ok2 := number(v[4:6])
	if !ok1 || !ok2 || h > 23 || m > 59 {
		return 0, false
	}
	micros, v = (h*60+m)*60_000_000, v[6:]
	if len(v) >= 3 && v[0] == ':' {
		s, ok := number(v[1:3])
		if !ok || s > 59 {
			return 0, false
		}
		micros, v = micros+s*1_000_000, v[3:]
		if len(v) > 0 && v[0] == '.' {
			n, unit := 1, int64(100_000)
			for ; n < len(v) && isDigit(v[n]); n++ {
				micros, unit = micros+int64(v[n]-'0')*unit, unit/10
			}
			if n == 1 {
				return 0, false
			}
			v = v[n:]
		}
	}
	return micros, isZone(v)
}

// isZone says whether v is nothing, Z, +02, +0200 or +02:00.
func isZone(v []byte) bool {
	if len(v) == 0 || string(v) == "Z" {
		return true
	}
	if v[0] != '+' && v[0] != '-' {
		return false
	}
	v = v[1:]
	if len(v) == 5 && v[2] == ':' {
		v = append(append(make([]byte, 0, 4), v[:2]...), v[3:]...)
	}
	_, ok := number(v)
	return ok && (len(v) == 2 || len(v) == 4)
}

// number reads a few digits.
func number(v []byte) (n int64, ok bool) {
	for _, c := range v {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(v) > 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

var monthDays = [...]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// civil gives the days from 1970-01-01 to a day of the Gregorian calendar, if
// there is such a day in the years 1 to 9999.
func civil(y, m, d int64) (int64, bool) {
	if y < 1 || m < 1 || m > 12 || d < 1 {
		return 0, false
	}
	leap := y%4 == 0 && (y%100 != 0 || y%400 == 0)
	if d > monthDays[m-1] && !(leap && m == 2 && d == 29) {
		return 0, false
	}
	days := (y-1)*365 + (y-1)/4 - (y-1)/100 + (y-1)/400 - 719162 // to 1 January of y
	for _, n := range monthDays[:m-1] {
		days += n
	}
	if leap && m > 2 {
		days++
	}
	return days + d - 1, true
}
