package omop

import (
	"bytes"
	"strconv"

	cdm "github.com/havre-hub/havre/internal/ground/omop"
)

// normaliser brings values to one spelling where that changes no meaning:
// integers printed as floats, dates with a time or without hyphens or with the
// month's name, the words that tools write for null. Whatever it does not know passes as it is, for
// the hub to judge. It owns scratch space, so each reader has its own.
type normaliser struct {
	comma   bool // decimal commas: the file's delimiter is a semicolon
	scratch []byte
}

// value gives v in the spelling of the field's type. The result may lie in v
// or in the scratch space, which reset empties.
func (n *normaliser) value(t cdm.Type, v []byte) []byte {
	if t == cdm.Text {
		if string(v) == `\N` { // what database dumps write for null, and nothing else
			return nil
		}
		return v
	}
	v = bytes.TrimSpace(v)
	if len(v) == 0 || nullWord(v) {
		return nil
	}
	switch t {
	case cdm.Integer:
		return n.integer(v)
	case cdm.Float:
		return n.float(v)
	case cdm.Date:
		return n.date(v)
	default:
		return n.datetime(v)
	}
}

func (n *normaliser) reset() { n.scratch = n.scratch[:0] }

// keep gives the scratch bytes from start on, safe against later growth.
func (n *normaliser) keep(start int) []byte { return n.scratch[start:len(n.scratch):len(n.scratch)] }

func nullWord(v []byte) bool {
	switch v[0] {
	case '\\', 'n', 'N':
	default:
		return false
	}
	switch string(v) {
	case `\N`, "NULL", "null", "Null", "NA", "N/A", "NaN", "nan", "NaT", "None", "<NA>":
		return true
	}
	return false
}

func digits(v []byte) bool {
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(v) > 0
}

// integer turns "1234.0", "1.0E7" and "+5" into digits when they are exactly
// integral.
func (n *normaliser) integer(v []byte) []byte {
	body := v
	if v[0] == '-' || v[0] == '+' {
		body = v[1:]
	}
	if digits(body) {
		if v[0] == '+' {
			return body
		}
		return v
	}
	mantissa, exponent := body, 0
	if i := bytes.IndexAny(body, "eE"); i >= 0 {
		e, err := strconv.Atoi(string(body[i+1:]))
		if err != nil || e < -40 || e > 40 {
			return v
		}
		mantissa, exponent = body[:i], e
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte{'.'})
	if len(whole)+len(fraction) == 0 || (len(whole) > 0 && !digits(whole)) || (len(fraction) > 0 && !digits(fraction)) {
		return v
	}
	start := len(n.scratch)
	if v[0] == '-' {
		n.scratch = append(n.scratch, '-')
	}
	first := len(n.scratch)
	n.scratch = append(append(n.scratch, whole...), fraction...)
	point := len(whole) + exponent // where the decimal point now stands among the digits
	all := n.scratch[first:]
	for i, c := range all {
		if i >= point && c != '0' {
			n.scratch = n.scratch[:start]
			return v // not integral
		}
	}
	for len(all) < point {
		n.scratch = append(n.scratch, '0')
		all = n.scratch[first:]
	}
	all = bytes.TrimLeft(all[:max(point, 0)], "0")
	if len(all) == 0 {
		n.scratch = append(n.scratch[:start], '0')
		return n.keep(start)
	}
	n.scratch = n.scratch[:first+copy(n.scratch[first:], all)]
	return n.keep(start)
}

// float turns the decimal comma of a file delimited by semicolons into a point.
func (n *normaliser) float(v []byte) []byte {
	i := bytes.IndexByte(v, ',')
	if !n.comma || i < 0 || !digits(v[i+1:]) || !digits(bytes.TrimPrefix(v[:i], []byte{'-'})) {
		return v
	}
	start := len(n.scratch)
	n.scratch = append(append(append(n.scratch, v[:i]...), '.'), v[i+1:]...)
	return n.keep(start)
}

// date takes the day from a date with or without a time.
func (n *normaliser) date(v []byte) []byte {
	day, rest, ok := n.day(v)
	if !ok || len(rest) > 0 && !clockFollows(rest) {
		return v
	}
	return day
}

// datetime gives a plain date the hour of midnight, and a blank the place of
// the T of ISO 8601; a zone other than Z stays, for the hub to judge.
func (n *normaliser) datetime(v []byte) []byte {
	start := len(n.scratch)
	day, rest, ok := n.day(v)
	if !ok || len(rest) > 0 && !clockFollows(rest) {
		return v
	}
	if len(n.scratch) == start {
		n.scratch = append(n.scratch, day...)
	}
	if len(rest) == 0 {
		n.scratch = append(n.scratch, " 00:00:00"...)
	} else {
		n.scratch = append(append(n.scratch, ' '), bytes.TrimSuffix(rest[1:], []byte{'Z'})...)
	}
	return n.keep(start)
}

// clockFollows says whether a time of day may stand in rest: after a blank,
// after the T of ISO 8601, or after the colon of SAS.
func clockFollows(rest []byte) bool { return rest[0] == ' ' || rest[0] == 'T' || rest[0] == ':' }

// day reads the date at the start of v in any spelling that has one meaning
// only, and gives it as 2006-01-02 with what follows it: 2006-01-02,
// 2006/01/02, 20060102, 02-JAN-2006 (Oracle) and 02JAN2006 (SAS). The calendar
// is not asked. 02/01/2006 is not read: some write the day first, some the
// month. A day that differs from its source lies in the scratch space.
func (n *normaliser) day(v []byte) (day, rest []byte, ok bool) {
	write := func(year, month, day []byte, rest []byte) ([]byte, []byte, bool) {
		start := len(n.scratch)
		n.scratch = append(append(append(n.scratch, year...), '-'), month...)
		n.scratch = append(append(n.scratch, '-'), day...)
		return n.keep(start), rest, true
	}
	switch {
	case len(v) >= 10 && v[4] == v[7] && (v[4] == '-' || v[4] == '/') && digits(v[:4]) && digits(v[5:7]) && digits(v[8:10]):
		if v[4] == '-' {
			return v[:10], v[10:], true
		}
		return write(v[:4], v[5:7], v[8:10], v[10:])
	case len(v) >= 8 && digits(v[:8]):
		return write(v[:4], v[4:6], v[6:8], v[8:])
	}
	const months = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"
	width, hyphen := 9, 0
	if len(v) > 2 && v[2] == '-' {
		width, hyphen = 11, 1
	}
	if len(v) < width || hyphen == 1 && v[6] != '-' || !digits(v[:2]) || !digits(v[width-4:width]) {
		return nil, nil, false
	}
	at := bytes.Index([]byte(months), bytes.ToUpper(v[2+hyphen:5+hyphen]))
	if at < 0 || at%3 != 0 {
		return nil, nil, false
	}
	month := []byte{byte('0' + (at/3+1)/10), byte('0' + (at/3+1)%10)}
	return write(v[width-4:width], month, v[:2], v[width:])
}
