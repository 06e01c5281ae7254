package havre

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// NIR is a French registration number ("numéro d'inscription au répertoire",
// the social security number) whose shape and key hold: 13 characters and a
// two-digit key. It is a personal value: it prints as "[personal]" and only
// Reveal gives the characters. NIRs may be compared with == and used as map
// keys. The zero NIR is no number at all.
//
// The 13 characters are sex (1), year of birth (2), month (2), department (2;
// 99 = born abroad), commune or country (3) and order in the register (3).
// Sources of the rules:
//   - layout: the CNAM's linkage circuit and the INSEE's definition c1409;
//   - key = 97 - (n mod 97), where Corsica's 2A and 2B count as 19 and 18:
//     INSEE;
//   - first digit 1 and 2 for certified persons, 3 and 4 for persons still
//     being registered, 7 and 8 for provisional numbers; months 20, 30 to 42
//     and 50 to 99 for incomplete civil records; departments 91 to 96 for
//     Algeria, Tunisia and Morocco before independence: the register's coding
//     as reported by service-public.fr and Wikipedia ("Numéro de sécurité
//     sociale en France");
//   - fictive numbers, year, month and department all 55 followed by the
//     fund's code and a care code, shared by many persons: CNAM billing
//     instructions for care under secrecy.
type NIR struct{ s string }

// ParseNIR reads a NIR with its key. Spaces (also no-break ones) between the
// characters and a lower-case a or b of Corsica are tolerated; everything else
// must be exact. It accepts provisional and fictive numbers, which are well
// formed but name nobody surely: see Provisional, Fictive and Certified.
func ParseNIR(s string) (NIR, bool) {
	c, ok := compactNIR(s)
	if !ok || !plausibleNIR(c) {
		return NIR{}, false
	}
	key, ok := NIRKey(c[:13])
	if !ok || key != c[13:] {
		return NIR{}, false
	}
	return NIR{c}, true
}

// ValidNIR says whether ParseNIR would take s.
func ValidNIR(s string) bool {
	_, ok := ParseNIR(s)
	return ok
}

// NIRKey gives the two-digit key of the 13 first characters of a NIR, or false
// when they are not digits with, at most, Corsica's 2A or 2B as department.
func NIRKey(body string) (string, bool) {
	if len(body) != 13 {
		return "", false
	}
	switch body[5:7] {
	case "2A":
		body = body[:5] + "19" + body[7:]
	case "2B":
		body = body[:5] + "18" + body[7:]
	}
	n := 0
	for i := range len(body) {
		d := body[i] - '0'
		if d > 9 {
			return "", false
		}
		n = (n*10 + int(d)) % 97
	}
	key := 97 - n
	return string([]byte{'0' + byte(key/10), '0' + byte(key%10)}), true
}

// Reveal gives the 15 characters, without spaces.
func (n NIR) Reveal() string { return n.s }

// IsZero says whether n holds no number.
func (n NIR) IsZero() bool { return n.s == "" }

// Sex is "M" or "F", as INS codes it; "" for the zero NIR.
func (n NIR) Sex() string {
	if n.s == "" {
		return ""
	}
	if (n.s[0]-'0')%2 == 1 {
		return "M"
	}
	return "F"
}

// YearMonth gives the two last digits of the year of birth and the month. The
// month is 0 where the number says that the civil record was incomplete, and
// in a fictive number. The century is not in the number.
func (n NIR) YearMonth() (year, month int) {
	if n.s == "" {
		return 0, 0
	}
	year, _ = strconv.Atoi(n.s[1:3])
	month, _ = strconv.Atoi(n.s[3:5])
	if month > 12 {
		month = 0
	}
	return year, month
}

// Department is the department of birth: "01" to "95" with "2A" and "2B",
// "971" to "989" overseas, "99" abroad; also the historic "20" (Corsica before
// 1976) and "91" to "96" (North Africa before independence).
func (n NIR) Department() string {
	if n.s == "" {
		return ""
	}
	if d := n.s[5:7]; d != "97" && d != "98" {
		return d
	}
	return n.s[5:8]
}

// BirthPlace is the five characters of the INSEE code of the commune of birth
// as it was then, or 99 and the country.
func (n NIR) BirthPlace() string {
	if n.s == "" {
		return ""
	}
	return n.s[5:10]
}

// Provisional says whether the number was given before the person was
// certified (first digit 3, 4, 7 or 8): it will be replaced.
func (n NIR) Provisional() bool {
	return n.s != "" && strings.IndexByte("3478", n.s[0]) >= 0
}

// Fictive says whether the number is a billing code in the shape of a NIR,
// shared by many persons.
func (n NIR) Fictive() bool {
	return n.s != "" && n.s[1:7] == "555555"
}

// Certified says whether the number names one person: neither zero,
// provisional nor fictive.
func (n NIR) Certified() bool {
	return n.s != "" && !n.Provisional() && !n.Fictive()
}

func (NIR) String() string               { return personalMark }
func (NIR) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(personalMark)) }
func (NIR) MarshalText() ([]byte, error) { return []byte(personalMark), nil }
func (NIR) MarshalJSON() ([]byte, error) { return []byte(`"` + personalMark + `"`), nil }
func (NIR) LogValue() slog.Value         { return slog.StringValue(personalMark) }

// compactNIR takes the spaces out and sets Corsica's letter in upper case; it
// fails when 15 characters do not remain.
func compactNIR(s string) (string, bool) {
	if len(s) == 15 && s[6] != 'a' && s[6] != 'b' {
		return s, true
	}
	var c [15]byte
	k := 0
	for _, r := range s {
		switch {
		case r == ' ' || r == '\u00a0' || r == '\u202f':
			continue
		case k == len(c) || r > 'z':
			return "", false
		case k == 6 && (r == 'a' || r == 'b'):
			r += 'A' - 'a'
		}
		c[k] = byte(r)
		k++
	}
	return string(c[:]), k == len(c)
}

// plausibleNIR checks the parts of a compact number, but not its key.
func plausibleNIR(c string) bool {
	for i := range len(c) {
		if (c[i] < '0' || c[i] > '9') && (i != 6 || (c[i] != 'A' && c[i] != 'B')) {
			return false
		}
	}
	if strings.IndexByte("123478", c[0]) < 0 {
		return false
	}
	month := int(c[3]-'0')*10 + int(c[4]-'0')
	if month == 0 || month > 12 && month < 20 || month > 20 && month < 30 || month > 42 && month < 50 {
		return false
	}
	if letter := c[6] > '9'; letter && c[5] != '2' {
		return false
	}
	return c[5:7] != "00" && c[7:10] != "000" && c[10:13] != "000"
}
