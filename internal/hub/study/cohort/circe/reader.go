package circe

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// reader walks a document and collects everything that is wrong with it.
type reader struct {
	problems []Problem
	notes    []Problem
}

// Problem is something to be said about one place of a document.
type Problem struct {
	Path string `json:"path"` // JSON path of the place
	Text string `json:"text"`
}

func (p Problem) String() string { return p.Path + ": " + p.Text }

// shownProblems is how many problems an error spells out.
const shownProblems = 20

// Refuse makes one error of all problems, nil if there are none.
func Refuse(op string, kind havre.Kind, problems []Problem, hint string) error {
	if len(problems) == 0 {
		return nil
	}
	var lines []string
	for i, p := range problems {
		if i < shownProblems {
			lines = append(lines, p.String())
		}
	}
	if more := len(problems) - shownProblems; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return havre.E(op, kind, "the cohort definition cannot be used: "+strings.Join(lines, "; ")).WithHint(hint)
}

func (r *reader) mistake(path, format string, args ...any) {
	r.problems = append(r.problems, Problem{path, fmt.Sprintf(format, args...)})
}

func (r *reader) note(path, format string, args ...any) {
	r.notes = append(r.notes, Problem{path, fmt.Sprintf(format, args...)})
}

// object visits the members of n in the order of the document. Names that
// known does not list are mistakes; a null member counts as absent, as in
// Circe. It says whether n is an object at all.
func (r *reader) object(n node, known []string, visit func(name string, value node)) bool {
	if n.kind != objectNode {
		r.mistake(n.path, "this must be an object and is %s", n.kind)
		return false
	}
	for _, m := range n.members {
		switch {
		case !slices.Contains(known, m.name):
			r.mistake(m.value.path, "Circe has no such field here%s", havre.Nearest(m.name, known))
		case m.value.kind != nullNode:
			visit(m.name, m.value)
		}
	}
	return true
}

// fields gives the members of an object by name.
func (r *reader) fields(n node, known ...string) map[string]node {
	seen := map[string]node{}
	r.object(n, known, func(name string, n node) { seen[name] = n })
	return seen
}

func (r *reader) list(n node, visit func(node)) {
	if n.kind != listNode {
		r.mistake(n.path, "this must be a list and is %s", n.kind)
		return
	}
	for _, item := range n.items {
		visit(item)
	}
}

func (r *reader) text(n node) string {
	if n.kind != stringNode {
		r.mistake(n.path, "this must be text and is %s", n.kind)
	}
	return n.text
}

func (r *reader) flag(n node) bool {
	if n.kind != boolNode {
		r.mistake(n.path, "this must be true or false and is %s", n.kind)
	}
	return n.truth
}

// integer reads a whole number within [lo, hi].
func (r *reader) integer(n node, lo, hi int64) int64 {
	if n.kind != numberNode {
		r.mistake(n.path, "this must be a whole number and is %s", n.kind)
		return 0
	}
	v, err := strconv.ParseInt(n.text, 10, 64)
	if err != nil {
		r.mistake(n.path, "this must be a whole number")
		return 0
	}
	if v < lo || v > hi {
		r.mistake(n.path, "%d is outside %d to %d", v, lo, hi)
		return 0
	}
	return v
}

// mostDays is the largest number of days; more is a slip of the keyboard.
const mostDays = 1_000_000

// days reads a number of days.
func (r *reader) days(n node, lo int64) int32 { return int32(r.integer(n, lo, mostDays)) }

// number reads a bound of a range as Circe writes it into its SQL: cut off to a
// whole number, or rounded to four decimals. A bound that this changes is noted.
func (r *reader) number(n node, f Form) float64 {
	if n.kind != numberNode {
		r.mistake(n.path, "this must be a number and is %s", n.kind)
		return 0
	}
	v, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.Abs(v) > 1e15 {
		r.mistake(n.path, "this number is out of range")
		return 0
	}
	if f == Integers {
		if whole := math.Trunc(v); whole != v {
			r.note(n.path, "Circe takes whole numbers here: %s counts as %.0f", n.text, whole)
			v = whole
		}
		// Java's conversion to a 32-bit number stops at its ends.
		return min(max(v, math.MinInt32), math.MaxInt32)
	}
	if rounded := fourDecimals(v); rounded != v {
		r.note(n.path, "Circe takes four decimals here: %s counts as %.4f", n.text, rounded)
		v = rounded
	}
	return v
}

// fourDecimals rounds the shortest decimal form of v to four decimals, half
// away from zero, as java.util.Formatter does.
func fourDecimals(v float64) float64 {
	s := strconv.FormatFloat(math.Abs(v), 'f', -1, 64)
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) <= 4 {
		return v
	}
	n, err := strconv.ParseInt(whole+frac[:4], 10, 64)
	if err != nil {
		return v // more digits than a float64 has: nothing to round
	}
	if frac[4] >= '5' {
		n++
	}
	digits := fmt.Sprintf("%05d", n)
	out, _ := strconv.ParseFloat(digits[:len(digits)-4]+"."+digits[len(digits)-4:], 64)
	return math.Copysign(out, v)
}

// day reads a date written 2006-01-02; ATLAS also leaves out leading zeros.
func (r *reader) day(n node) Date {
	parts := strings.Split(r.text(n), "-")
	var v [3]int
	ok := len(parts) == 3
	for i := 0; ok && i < 3; i++ {
		u, err := strconv.ParseUint(parts[i], 10, 16)
		v[i], ok = int(u), err == nil
	}
	if ok = ok && v[0] >= 1 && v[0] <= 9999 && v[1] >= 1 && v[1] <= 12 && v[2] >= 1 && v[2] <= daysOfMonth(v[0], v[1]); !ok {
		if n.kind == stringNode {
			r.mistake(n.path, "this is no date of the form 2006-01-02")
		}
		return NoDate
	}
	return ToDate(v[0], v[1], v[2])
}
