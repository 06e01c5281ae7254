package link

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/havre-hub/havre/internal/havre"
)

// Traits are identity traits as a holder delivered them; any may be "".
type Traits struct {
	BirthName  string
	GivenNames string // all given names, parted by blanks or commas
	BirthDate  string // "2006-01-02"
	Sex        string // "M", "F", as INS codes it; "1", "2" are understood too
	BirthPlace string // INSEE code of the commune, or 99 and the country
	NIR        string // with its key
}

// Record is Traits in the form that is compared. What is absent, unreadable or
// known to mean "unknown" is the zero value, and agrees and conflicts with nothing.
type Record struct {
	NIR   havre.NIR // certified ones only
	Birth int32     // yyyymmdd
	Sex   byte      // 'M' or 'F'
	Name  string
	Given string
	Place string
}

// NewRecord normalises traits and keeps none of their memory: upper case without accents; hyphens,
// apostrophes and other marks as single blanks; the first of the given names
// only (a hyphenated one is one name: Jean-Paul and Jean-Pierre may be twins).
func NewRecord(t Traits) Record {
	r := Record{
		Birth: birth(t.BirthDate),
		Sex:   sex(t.Sex),
		Name:  normalise(t.BirthName),
		Given: normalise(first(t.GivenNames)),
		Place: place(t.BirthPlace),
	}
	// The clone keeps the line that the NIR was cut from out of memory.
	if n, ok := havre.ParseNIR(strings.Clone(t.NIR)); ok && n.Certified() {
		r.NIR = n
	}
	return r
}

// HasNIR says whether the record has a certified NIR.
func (r *Record) HasNIR() bool { return !r.NIR.IsZero() }

// NIRFits says whether the record's NIR agrees with its own sex and month of
// birth. It does not when the number is another person's, such as the insured
// parent's.
func (r *Record) NIRFits() bool {
	if !r.HasNIR() {
		return true
	}
	if r.Sex != 0 && r.NIR.Sex() != string(r.Sex) {
		return false
	}
	year, month := r.NIR.YearMonth()
	return r.Birth == 0 ||
		int(r.Birth/10000)%100 == year && (month == 0 || int(r.Birth/100)%100 == month)
}

// IsZero says whether the record has no usable trait at all.
func (r *Record) IsZero() bool { return *r == Record{} }

// StrictKey is the five strict traits of the INS.
type StrictKey struct {
	name, given, place string
	birth              int32
	sex                byte
}

// Strict gives the five strict traits, if all five are known.
func (r *Record) Strict() (StrictKey, bool) {
	whole := r.Name != "" && r.Given != "" && r.Place != "" && r.Birth != 0 && r.Sex != 0
	return StrictKey{r.Name, r.Given, r.Place, r.Birth, r.Sex}, whole
}

// Agreement is the comparison of one trait.
type Agreement int8

// The three agreements.
const (
	Unknown   Agreement = iota // one side or both do not have it
	Same                       // equal after normalisation
	Different                  // both have it and it differs
)

// Comparison is the comparison of two records, trait by trait.
type Comparison struct{ NIR, Birth, Sex, Name, Given, Place Agreement }

// Compare compares two records.
func Compare(a, b *Record) Comparison {
	return Comparison{
		agree(a.NIR, b.NIR), agree(a.Birth, b.Birth), agree(a.Sex, b.Sex),
		agree(a.Name, b.Name), agree(a.Given, b.Given), agree(a.Place, b.Place),
	}
}

// Conflict says whether a trait differs that one person has only one of.
func (c Comparison) Conflict() bool {
	return c.NIR == Different || c.Birth == Different || c.Sex == Different
}

func agree[T comparable](a, b T) Agreement {
	var none T
	switch {
	case a == none || b == none:
		return Unknown
	case a == b:
		return Same
	}
	return Different
}

// birth reads a whole civil date. 1600-01-01 stands for "unknown" in the
// national data, as do days before 1850 in any register of the living.
func birth(s string) int32 {
	if len(s) != len(time.DateOnly) {
		return 0
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1850 {
		return 0
	}
	return int32(t.Year()*10000 + int(t.Month())*100 + t.Day())
}

func sex(s string) byte {
	switch strings.TrimSpace(s) {
	case "M", "m", "1":
		return 'M'
	case "F", "f", "2":
		return 'F'
	}
	return 0
}

// place takes an INSEE code; those that say "unknown" are nothing.
func place(s string) string {
	s = strings.Clone(strings.ToUpper(strings.TrimSpace(s)))
	if len(s) != 5 || s == "00000" || s == "99999" {
		return ""
	}
	return s
}

// first is the first given name of a list.
func first(names string) string {
	names = strings.TrimSpace(names)
	if i := strings.IndexFunc(names, func(c rune) bool { return c == ',' || c == ';' || unicode.IsSpace(c) }); i >= 0 {
		return names[:i]
	}
	return names
}

// normalise gives upper-case A to Z and digits with single blanks between.
func normalise(s string) string {
	if plainly(s) {
		return strings.Clone(s)
	}
	if !ascii(s) {
		s = plain(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	blank := false
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		default:
			blank = b.Len() > 0
			continue
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		b.WriteByte(c)
	}
	return b.String()
}

// plainly says whether s is one word of upper-case letters already.
func plainly(s string) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

// letters that do not fall apart into a base letter and marks.
var letters = strings.NewReplacer("œ", "oe", "Œ", "OE", "æ", "ae", "Æ", "AE", "ß", "ss", "ø", "o", "Ø", "O", "đ", "d", "Đ", "D", "ł", "l", "Ł", "L", "ð", "d", "Ð", "D", "þ", "th", "Þ", "TH", "ı", "i")

// plain takes accents off; what has no Latin letter stays out, except that a
// name wholly in another script is kept as it is, letter by letter.
func plain(s string) string {
	var b strings.Builder
	for _, c := range norm.NFKD.String(letters.Replace(s)) {
		switch {
		case c < utf8.RuneSelf:
			b.WriteByte(byte(c))
		case unicode.Is(unicode.Mn, c):
		case unicode.IsLetter(c):
			// Two bytes of letters stand for each code point, so that names
			// in other scripts differ when they differ.
			const hex = "ABCDEFGHIJKLMNOP"
			for shift := 20; shift >= 0; shift -= 4 {
				b.WriteByte(hex[(unicode.ToUpper(c)>>shift)&15])
			}
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
