package deliver

import "github.com/havre-hub/havre/internal/havre"

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// isHex says whether c may belong to a longer hexadecimal number, such as a UUID.
func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// separator gives the length of a mark that people put between the groups of
// a number: blank, no-break blanks, point, hyphen, slash; 0 if there is none.
func separator(v []byte) int {
	if len(v) == 0 {
		return 0
	}
	switch v[0] {
	case ' ', '.', '-', '/', '_':
		return 1
	case 0xc2:
		if len(v) > 1 && v[1] == 0xa0 { // U+00A0
			return 2
		}
	case 0xe2:
		if len(v) > 2 && v[1] == 0x80 && (v[2] == 0xaf || v[2] == 0x89) { // U+202F, U+2009
			return 3
		}
	}
	return 0
}

// hasNIR says whether a NIR with a valid key stands in v, its groups parted or
// not. An identifier of a SNOMED CT extension, which has 15 digits too, is
// told apart by its own check digit.
func hasNIR(v []byte) bool {
	for i := range v {
		if !isDigit(v[i]) || v[i] == '0' || (i > 0 && isHex(v[i-1])) {
			continue
		}
		if number, plain, ok := fifteen(v[i:]); ok {
			if _, ok := havre.ParseNIR(number); ok && !(plain && snomedExtension(number)) {
				return true
			}
		}
	}
	return false
}

// groupEnd tells after how many characters a group of a NIR ends: sex, year,
// month, department, commune, order, key. Blanks may stand anywhere, other
// marks only there.
var groupEnd = [15]bool{1: true, 3: true, 5: true, 7: true, 10: true, 13: true}

// fifteen reads the 15 characters of a NIR at the start of v, A or B of
// Corsica allowed; plain tells that nothing parts them.
func fifteen(v []byte) (number string, plain, ok bool) {
	var b [15]byte
	n, i := 0, 0
	plain = true
	for ; i < len(v) && n < len(b); i++ {
		c := v[i]
		if isDigit(c) || (n == 6 && b[5] == '2' && (c|0x20 == 'a' || c|0x20 == 'b')) {
			b[n] = c
			n++
			continue
		}
		s := separator(v[i:])
		if s == 0 || (c != ' ' && s == 1 && !groupEnd[n]) {
			return "", false, false
		}
		plain = false
		i += s - 1
	}
	if n < len(b) || (i < len(v) && isHex(v[i])) {
		return "", false, false
	}
	return string(b[:]), plain, true
}

// snomedExtension says whether 15 digits are an identifier of a concept or a
// description in a SNOMED CT extension: partition 10 or 11 and a valid
// Verhoeff check digit (SNOMED CT Release File Specification, SCTID).
func snomedExtension(id string) bool {
	n := len(id)
	if p := id[n-3 : n-1]; p != "10" && p != "11" {
		return false
	}
	c := 0
	for i := range n {
		d := id[n-1-i]
		if !isDigit(d) {
			return false
		}
		c = int(verhoeffD[c][verhoeffP[i%8][d-'0']])
	}
	return c == 0
}

// Tables of the Verhoeff check digit: the dihedral group of order 10 and the
// powers of its permutation (J. Verhoeff, Error detecting decimal codes, 1969).
var (
	verhoeffD = [10]string{
		"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09", "\x01\x02\x03\x04\x00\x06\x07\x08\x09\x05",
		"\x02\x03\x04\x00\x01\x07\x08\x09\x05\x06", "\x03\x04\x00\x01\x02\x08\x09\x05\x06\x07",
		"\x04\x00\x01\x02\x03\x09\x05\x06\x07\x08", "\x05\x09\x08\x07\x06\x00\x04\x03\x02\x01",
		"\x06\x05\x09\x08\x07\x01\x00\x04\x03\x02", "\x07\x06\x05\x09\x08\x02\x01\x00\x04\x03",
		"\x08\x07\x06\x05\x09\x03\x02\x01\x00\x04", "\x09\x08\x07\x06\x05\x04\x03\x02\x01\x00",
	}
	verhoeffP = func() (p [8][10]byte) {
		p[0] = [10]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		p[1] = [10]byte{1, 5, 7, 6, 2, 8, 3, 0, 9, 4}
		for i := 2; i < 8; i++ {
			for j := range 10 {
				p[i][j] = p[i-1][p[1][j]]
			}
		}
		return p
	}()
)

// hasPhone says whether a French telephone number stands in v: in five pairs
// with one mark between them, or with +33 or 0033 before it; bare, only in prose.
func hasPhone(v []byte, prose bool) bool {
	for i := range v {
		if i > 0 && isDigit(v[i-1]) {
			continue
		}
		switch {
		case v[i] == '+' || v[i] == '0' && i+1 < len(v) && v[i+1] == '0':
			if international(v[i:]) {
				return true
			}
		case v[i] == '0' && (pairs(v[i:]) || prose && bare(v, i)):
			return true
		}
	}
	return false
}

func international(v []byte) bool {
	switch {
	case len(v) > 3 && string(v[:3]) == "+33":
		v = v[3:]
	case len(v) > 4 && string(v[:4]) == "0033":
		v = v[4:]
	default:
		return false
	}
	n := 0
	for i := 0; i < len(v); {
		switch s := separator(v[i:]); {
		case n == 0 && len(v) > i+2 && string(v[i:i+3]) == "(0)":
			i += 3
		case s > 0 && n < 9:
			i += s
		case isDigit(v[i]) && n < 10 && (n > 0 || v[i] != '0'):
			n++
			i++
		default:
			return n == 9
		}
	}
	return n == 9
}

// pairs reads 0d dd dd dd dd with the same mark between the pairs.
func pairs(v []byte) bool {
	if len(v) < 14 || !isDigit(v[1]) || v[1] == '0' {
		return false
	}
	size := separator(v[2:])
	if size == 0 {
		return false
	}
	mark, i := string(v[2:2+size]), 2
	for range 4 {
		if len(v) < i+size+2 || string(v[i:i+size]) != mark || !isDigit(v[i+size]) || !isDigit(v[i+size+1]) {
			return false
		}
		i += size + 2
	}
	return i == len(v) || !isDigit(v[i])
}

// bare reads ten digits that begin with 0 and a digit from 1 to 9.
func bare(v []byte, i int) bool {
	if len(v) < i+10 || v[i+1] == '0' || (i > 0 && isLetter(v[i-1])) {
		return false
	}
	for _, c := range v[i : i+10] {
		if !isDigit(c) {
			return false
		}
	}
	return len(v) == i+10 || !(isDigit(v[i+10]) || isLetter(v[i+10]))
}

// hasEmail says whether something like name@host.tld stands in v.
func hasEmail(v []byte) bool {
	for i, c := range v {
		if c != '@' || i == 0 || separator(v[i-1:]) > 0 && v[i-1] != '_' {
			continue
		}
		end, dot := i+1, -1
		for ; end < len(v) && (isLetter(v[end]) || isDigit(v[end]) || v[end] == '-' || v[end] == '.'); end++ {
			if v[end] == '.' && end > i+1 && end+2 < len(v) && isLetter(v[end+1]) && isLetter(v[end+2]) {
				dot = end
			}
		}
		if dot > 0 {
			return true
		}
	}
	return false
}
