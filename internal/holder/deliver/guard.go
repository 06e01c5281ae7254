package deliver

import (
	"bytes"
	"hash/maphash"
	"slices"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// rule names what the guard saw; the text stands in messages.
type rule string

const (
	nothing       rule = ""
	ruleNIR       rule = "a NIR with a valid key"
	ruleEmail     rule = "an e-mail address"
	rulePhone     rule = "a telephone number"
	ruleOwnName   rule = "the name of the person of that row"
	ruleBirthName rule = "a birth name of the identity file"
	ruleFullName  rule = "the name and a given name of a person of the identity file"
	ruleColumn    rule = "a value in a column whose name is that of an identity"
)

// guard looks for identities in the values of one file that are about to
// leave. It is the last look: a hit refuses the whole delivery. It has its own
// scratch space and is not safe for concurrent use; the names it looks up are.
//
// Most values cost one pass over their bytes, which counts digits and letters
// and notes the marks that matter; only what these counts leave possible is
// looked at closely. Verdicts on texts are remembered, since few distinct
// texts make most of a column.
type guard struct {
	names *names // nil without an identity file
	seed  maphash.Seed
	fold  folded
	found []found
}

func newGuard(n *names) *guard {
	if n != nil && len(n.ids) == 0 {
		n = nil
	}
	return &guard{names: n, seed: maphash.MakeSeed()}
}

// guarded is what the guard knows of a column.
type guarded struct {
	prose    bool // people write freely in it: bare numbers may be telephone numbers
	place    bool // it names places, which share their names with people
	verdicts []verdict
}

// verdict on a text that was seen before.
type verdict struct {
	text     string
	rule     rule
	families []nameID // names in it that may be those of the row's person
}

const (
	remembered  = 1 << 10 // verdicts a column
	longestKept = 80      // bytes of a text whose verdict is remembered
)

// proseColumns are the texts that people write, besides the notes, which stay
// with the holder altogether.
var proseColumns = set("sig stop_reason value_as_string value_source_value note_source_value term_modifiers term_temporal " +
	"source_description cohort_definition_description")

// placeColumns hold names of places and bodies.
var placeColumns = set("city county state country_source_value care_site_name cdm_holder")

func newGuarded(f omop.Field) *guarded {
	return &guarded{prose: proseColumns[f.Name], place: placeColumns[f.Name]}
}

// Marks of bytes, and counts of digits (low half) and letters (high half).
const (
	markAt = 1 << iota
	markPlus
	markOther // neither digit nor one of -:. and blank
)

var (
	markOf  [256]uint8
	countOf [256]uint64
)

func init() {
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9':
			countOf[c] = 1
		case c == '-' || c == ':' || c == '.' || c == ' ':
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80:
			countOf[c] = 1 << 32
			markOf[c] = markOther
		default:
			markOf[c] = markOther
		}
	}
	markOf['@'] |= markAt
	markOf['+'] |= markPlus
}

// check judges a value of a row whose person has the names own.
func (g *guard) check(c *guarded, v []byte, own ownNames) rule {
	var count uint64
	var marks uint8
	for _, b := range v {
		count += countOf[b]
		marks |= markOf[b]
	}
	digits, letters := int(uint32(count)), int(count>>32)
	if digits >= 10 {
		if r := g.numbers(c, v, digits, marks); r != nothing {
			return r
		}
	}
	if marks&markAt != 0 && hasEmail(v) {
		return ruleEmail
	}
	if letters < shortest || g.names == nil {
		return nothing
	}
	return g.name(c, v, own)
}

func (g *guard) numbers(c *guarded, v []byte, digits int, marks uint8) rule {
	if marks == 0 && (digits == len(v) && digits != 15 && !(digits == 10 && c.prose) && digits != 13 || timestamp(v) || decimal(v)) {
		return nothing
	}
	if digits >= 14 && hasNIR(v) {
		return ruleNIR
	}
	if hasPhone(v, c.prose) {
		return rulePhone
	}
	return nothing
}

// decimal says whether v is a number with a fraction. Thirteen digits before
// the point and two after it are none: that is how a NIR and its key may stand.
func decimal(v []byte) bool {
	point := -1
	for i, c := range v {
		switch {
		case isDigit(c) || (c == '-' && i == 0):
		case c == '.' && point < 0:
			point = i
		default:
			return false
		}
	}
	return point >= 0 && !(point == 13 && len(v) == 16)
}

// timestamp says whether v begins like 2006-01-02.
func timestamp(v []byte) bool {
	return len(v) >= 10 && v[4] == '-' && v[7] == '-' && (len(v) == 10 || v[10] == ' ') && (len(v) <= 13 || v[13] == ':')
}

func (g *guard) name(c *guarded, v []byte, own ownNames) rule {
	if len(v) > longestKept {
		return ownRule(g.judge(c, v), own)
	}
	if c.verdicts == nil {
		c.verdicts = make([]verdict, remembered)
	}
	at := &c.verdicts[maphash.Bytes(g.seed, v)%remembered]
	if at.text != string(v) {
		*at = g.judge(c, v)
		at.text = string(v)
	}
	return ownRule(*at, own)
}

func ownRule(v verdict, own ownNames) rule {
	for _, id := range v.families {
		if id == own[0] || id == own[1] {
			return ruleOwnName
		}
	}
	return v.rule
}

// judge looks for names in a text.
func (g *guard) judge(c *guarded, v []byte) verdict {
	g.fold.fold(v)
	all, whole, pair := g.names.find(&g.fold, g.found[:0])
	g.found = all
	var out verdict
	switch {
	case pair:
		out.rule = ruleFullName
	case whole && !c.place && !bytes.ContainsAny(v, "0123456789"):
		out.rule = ruleBirthName
	}
	for _, f := range all {
		if g.names.uses[f.id]&(isBirthName|isUsedName) != 0 && !c.place && !slices.Contains(out.families, f.id) {
			out.families = append(out.families, f.id)
		}
	}
	return out
}
