package shares

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/havre-hub/havre/internal/havre"
)

// ShareFormat is the first line of a share; the version only rises.
const ShareFormat = "havre-share/1"

// Share is one person's part. Its text can be kept on a medium or on paper:
//
//	havre-share/1
//	ring 0f3a9c5511aa22bb
//	set 9c1b77e0d4c3b2a1
//	person Claire Martin
//	number 2 of 3, 2 needed
//	part 8a41... (64 hex digits)
//	check 5f2e90ab
type Share struct {
	Ring   string // id of the key ring
	Set    string // id of the set: shares of two sets never go together
	Person string
	Number int // from 1
	People int
	Needed int
	Value  havre.Secret // 32 bytes: a scalar, little-endian
}

const shareLines = 7

// Text is the share as it is kept.
func (s Share) Text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nring %s\nset %s\nperson %s\nnumber %d of %d, %d needed\npart %s\n",
		ShareFormat, s.Ring, s.Set, s.Person, s.Number, s.People, s.Needed, hex.EncodeToString(s.Value.Reveal()))
	sum := sha256.Sum256(b.Bytes())
	fmt.Fprintf(&b, "check %s\n", hex.EncodeToString(sum[:4]))
	return b.Bytes()
}

// digest is SHA-256, hex, of the text.
func (s Share) digest() string {
	sum := sha256.Sum256(s.Text())
	return hex.EncodeToString(sum[:])
}

var numberLine = regexp.MustCompile(`^([1-9][0-9]{0,2}) of ([1-9][0-9]{0,2}), ([1-9][0-9]{0,2}) needed$`)

// Parse reads a share in its one spelling; carriage returns and space at the
// end of lines, which media and typists add, are taken away first. A wrong
// digit is found by the last line.
func Parse(b []byte) (Share, error) {
	var lines []string
	for in := bufio.NewScanner(bytes.NewReader(b)); in.Scan(); {
		if line := strings.TrimRight(in.Text(), " \t\r"); line != "" {
			lines = append(lines, line)
		}
	}
	bad := func(what string) (Share, error) {
		return Share{}, havre.E("shares.parse", havre.Invalid, what).WithHint("a share is the file that `havre key share` wrote for one person")
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "havre-share/") {
		return bad("this is not a share of a key ring")
	}
	if lines[0] != ShareFormat {
		return Share{}, havre.E("shares.parse", havre.Invalid, "the share has the format "+strconv.Quote(lines[0])+"; this program knows "+ShareFormat).
			WithHint("use a newer version of havre")
	}
	if len(lines) != shareLines {
		return bad(fmt.Sprintf("a share has %d lines, and this has %d", shareLines, len(lines)))
	}
	var values [shareLines]string
	for i, word := range []string{"", "ring ", "set ", "person ", "number ", "part ", "check "} {
		v, ok := strings.CutPrefix(lines[i], word)
		if !ok {
			return bad(fmt.Sprintf("line %d of the share does not begin with %q", i+1, word))
		}
		values[i] = v
	}
	s := Share{Ring: values[1], Set: values[2], Person: values[3]}
	n := numberLine.FindStringSubmatch(values[4])
	part, err := hex.DecodeString(values[5])
	if n == nil || err != nil || len(part) != 32 || !isID(s.Ring) || !isID(s.Set) || !validName(s.Person) {
		return bad("a line of the share is not in its form")
	}
	s.Number, _ = strconv.Atoi(n[1])
	s.People, _ = strconv.Atoi(n[2])
	s.Needed, _ = strconv.Atoi(n[3])
	s.Value = havre.NewSecret(part)
	if s.Number > s.People || s.Needed > s.People || s.People > MaxPeople {
		return bad("the numbers of the share cannot be")
	}
	if again := s.Text(); string(again) != strings.Join(lines, "\n")+"\n" {
		return Share{}, havre.E("shares.parse", havre.Tampered, "the share of "+s.Person+" was mistyped or is damaged: its last line does not fit the others").
			WithHint("compare it with its medium or paper, letter by letter")
	}
	return s, nil
}

func isID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 8 && strings.ToLower(s) == s
}

// validName allows a name on one line.
func validName(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= 100 && strings.TrimSpace(s) == s &&
		strings.IndexFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) < 0
}
