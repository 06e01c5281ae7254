package deliver

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nameID numbers the distinct names of the identity file from 1; 0 is none.
type nameID uint32

const (
	isBirthName = 1 << iota
	isUsedName
	isGivenName
)

const (
	shortest = 3 // letters of a name that is looked for
	maxWords = 5 // words of a name
)

// names is the index of the names of the identity file in which the guard
// looks values up. Once sealed it is safe for concurrent use.
type names struct {
	ids   map[string]nameID
	uses  []uint8  // by nameID
	pairs []uint64 // birth or used name << 32 | given name, of one person; sorted
	words int      // of the longest name
}

func newNames() *names { return &names{ids: map[string]nameID{}, uses: make([]uint8, 1)} }

// add takes in the names of one person as they are written.
func (n *names) add(birth, used, given []byte) ownNames {
	own := ownNames{n.enter(birth, isBirthName), n.enter(used, isUsedName)}
	for _, g := range bytes.FieldsFunc(given, func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) }) {
		id := n.enter(g, isGivenName)
		for _, family := range own {
			if family != 0 && id != 0 {
				n.pairs = append(n.pairs, uint64(family)<<32|uint64(id))
			}
		}
	}
	return own
}

func (n *names) enter(name []byte, use uint8) nameID {
	f := folded{}
	f.fold(name)
	if len(f.ends) == 0 || len(f.ends) > maxWords || utf8.RuneCount(f.text) < shortest {
		return 0
	}
	id, ok := n.ids[string(f.text)]
	if !ok {
		id = nameID(len(n.uses))
		n.ids[string(f.text)] = id
		n.uses = append(n.uses, 0)
	}
	n.uses[id] |= use
	n.words = max(n.words, len(f.ends))
	return id
}

// seal ends the adding.
func (n *names) seal() {
	slices.Sort(n.pairs)
	n.pairs = slices.Clip(slices.Compact(n.pairs))
}

// found is a name that stands in a value as whole words.
type found struct {
	id         nameID
	start, end int // words
}

// find lists the names in the folded value, and says whether the whole value
// is a birth name, or it holds the family name and a given name of one person.
func (n *names) find(f *folded, into []found) (all []found, whole, pair bool) {
	start := 0
	for i := range f.ends {
		for j := i; j < len(f.ends) && j < i+n.words; j++ {
			id, ok := n.ids[string(f.text[start:f.ends[j]])]
			if !ok {
				continue
			}
			into = append(into, found{id, i, j + 1})
			whole = whole || (i == 0 && j+1 == len(f.ends) && n.uses[id]&isBirthName != 0)
		}
		start = f.ends[i] + 1
	}
	for _, a := range into {
		if n.uses[a.id]&(isBirthName|isUsedName) == 0 {
			continue
		}
		for _, b := range into {
			if n.uses[b.id]&isGivenName == 0 || (a.start < b.end && b.start < a.end) {
				continue
			}
			if _, ok := slices.BinarySearch(n.pairs, uint64(a.id)<<32|uint64(b.id)); ok {
				return into, whole, true
			}
		}
	}
	return into, whole, false
}

// folded is a text as names are compared: capitals without accents, words
// parted by one blank, everything else gone. It is scratch space.
type folded struct {
	text []byte
	ends []int // where each word ends
}

// fold takes the words of v that hold a letter.
func (f *folded) fold(v []byte) {
	f.text, f.ends = f.text[:0], f.ends[:0]
	if !ascii(v) {
		v = norm.NFD.Bytes(v)
	}
	inWord := false
	for i := 0; i < len(v); {
		r, size := rune(v[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(v[i:])
		}
		i += size
		switch {
		case r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		case r >= 'A' && r <= 'Z':
		case r >= utf8.RuneSelf && unicode.Is(unicode.Mn, r):
			continue // an accent of the letter before it
		case r < utf8.RuneSelf || !unicode.IsLetter(r):
			inWord = false
			continue
		}
		if !inWord {
			if len(f.text) > 0 {
				f.text = append(f.text, ' ')
			}
			f.ends = append(f.ends, 0)
			inWord = true
		}
		f.text = appendFolded(f.text, r)
		f.ends[len(f.ends)-1] = len(f.text)
	}
}

func appendFolded(b []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		return append(b, byte(r))
	}
	if s, ok := ligatures[unicode.ToUpper(r)]; ok {
		return append(b, s...)
	}
	return utf8.AppendRune(b, unicode.ToUpper(r))
}

// ligatures are letters that decomposition leaves whole.
var ligatures = map[rune]string{'Œ': "OE", 'Æ': "AE", 'ẞ': "SS", 'ß': "SS", 'Ø': "O", 'Đ': "D", 'Ð': "D", 'Ł': "L", 'Þ': "TH", 'ı': "I"}

func ascii(v []byte) bool {
	for _, c := range v {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// identityColumn says whether a column's name promises an identity.
func identityColumn(name string) bool {
	var words []string
	last := rune(0)
	for _, r := range norm.NFD.String(name) {
		switch {
		case unicode.Is(unicode.Mn, r):
			continue
		case !unicode.IsLetter(r):
		case len(words) == 0 || !unicode.IsLetter(last) || (unicode.IsUpper(r) && unicode.IsLower(last)):
			words = append(words, string(unicode.ToLower(r)))
		default:
			words[len(words)-1] += string(unicode.ToLower(r))
		}
		last = r
	}
	for i, w := range words {
		if identityWords[w] || (i+1 < len(words) && nameOf[w] && strings.TrimSuffix(words[i+1], "s") == "name") {
			return true
		}
	}
	return false
}

// Words that make a column's name that of an identity, alone or before "name".
var (
	identityWords = set("nom noms prenom prenoms patronyme nir nss ssn insee ins ipp passport passeport mrn email mail courriel phone telephone tel " +
		"mobile portable address adresse street rue firstname lastname surname givenname givennames birthname familyname maidenname fullname username")
	nameOf = set("birth given first last family maiden middle full used person patient sur")
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}
