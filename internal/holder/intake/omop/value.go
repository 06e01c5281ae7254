package omop

import (
	"bytes"
	"strconv"

	cdm "github.com/havre-hub/havre/internal/ground/omop"
)

// normaliser brings values to one spelling where that changes no meaning:
// integers printed as floats, dates with a time or without hyphens, the words
// that tools write for null. Whatever it does not know passes as it is, for
// the hub to judge. It owns scratch space, so each reader has its own.
type normaliser struct {
	comma   bool // decimal commas: the file's delimiter is a semicolon
	scratch []byte
}

// value gives v in the spelling of the field's type. The result may lie in v
// or in the scratch space, which reset empties.
func (n *normaliser) value(t cdm.Type, v []byte) []byte {
	if t == cdm.Text {
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

// date takes 2006-01-02 from a date with a time, and reads 20060102.
func (n *normaliser) date(v []byte) []byte {
	if isoDate(v) && (len(v) == 10 || v[10] == ' ' || v[10] == 'T') {
		return v[:10]
	}
	if len(v) == 8 && digits(v) {
		return n.compactDate(v, "")
	}
	return v
}

// datetime gives a plain date the hour of midnight, and a blank the place of
// the T of ISO 8601; a zone other than Z stays, for the hub to judge.
func (n *normaliser) datetime(v []byte) []byte {
	switch {
	case len(v) == 8 && digits(v):
		return n.compactDate(v, " 00:00:00")
	case !isoDate(v):
		return v
	case len(v) == 10:
		start := len(n.scratch)
		n.scratch = append(append(n.scratch, v...), " 00:00:00"...)
		return n.keep(start)
	case v[10] == 'T' || v[len(v)-1] == 'Z':
		start := len(n.scratch)
		n.scratch = append(n.scratch, bytes.TrimSuffix(v, []byte{'Z'})...)
		if v[10] == 'T' {
			n.scratch[start+10] = ' '
		}
		return n.keep(start)
	}
	return v
}

func (n *normaliser) compactDate(v []byte, after string) []byte {
	start := len(n.scratch)
	n.scratch = append(append(append(append(append(append(n.scratch, v[:4]...), '-'), v[4:6]...), '-'), v[6:]...), after...)
	return n.keep(start)
}

// isoDate says whether v begins like 2006-01-02; the calendar is not asked.
func isoDate(v []byte) bool {
	return len(v) >= 10 && v[4] == '-' && v[7] == '-' && digits(v[:4]) && digits(v[5:7]) && digits(v[8:10])
}
