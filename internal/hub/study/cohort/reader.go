package cohort

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
}

// Problem is one reason why a definition cannot be used.
type Problem struct {
	Path        string // JSON path of the place
	Unsupported bool   // Circe knows it and Havre does not evaluate it yet; else it is a mistake
	Text        string
}

func (p Problem) String() string { return p.Path + ": " + p.Text }

// shownProblems is how many problems an error spells out.
const shownProblems = 20

// err makes one error of all problems, nil if there are none. Its kind is
// Invalid if something is a mistake, else Refused.
func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	kind, hint := havre.Refused, "these features of Circe are not evaluated by this version of Havre; see docs/reference/study.md"
	var lines []string
	for i, p := range r.problems {
		if !p.Unsupported {
			kind, hint = havre.Invalid, "correct the definition in ATLAS or in the file and try again"
		}
		if i < shownProblems {
			lines = append(lines, p.String())
		}
	}
	if more := len(r.problems) - shownProblems; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return havre.E("cohort.parse", kind, "the cohort definition cannot be used: "+strings.Join(lines, "; ")).WithHint(hint)
}

func (r *reader) mistake(path, format string, args ...any) {
	r.problems = append(r.problems, Problem{path, false, fmt.Sprintf(format, args...)})
}

func (r *reader) unsupported(path, what string) {
	r.problems = append(r.problems, Problem{path, true, what + " is not evaluated by this version of Havre"})
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

// days reads a number of days; more than a million is a slip of the keyboard.
func (r *reader) days(n node, lo int64) int32 {
	const most = 1_000_000
	return int32(r.integer(n, lo, most))
}

// number reads a bound of a range. Circe writes bounds into its SQL as whole
// numbers (cutting off decimals) or with four decimals; a bound that this
// would change is refused rather than quietly rounded.
func (r *reader) number(n node, f form) float64 {
	if n.kind != numberNode {
		r.mistake(n.path, "this must be a number and is %s", n.kind)
		return 0
	}
	v, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.Abs(v) > 1e15 {
		r.mistake(n.path, "this number is out of range")
		return 0
	}
	if f == integers && v != math.Trunc(v) {
		r.mistake(n.path, "Circe takes whole numbers here and would cut this one off")
	}
	if f == decimals {
		if rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', 4, 64), 64); rounded != v {
			r.mistake(n.path, "Circe takes four decimals here and would round this number")
		}
	}
	return v
}

// day reads a date written 2006-01-02; ATLAS also leaves out leading zeros.
func (r *reader) day(n node) date {
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
		return noDate
	}
	return toDate(v[0], v[1], v[2])
}

func daysOfMonth(year, month int) int { return int(toDate(year, month+1, 1) - toDate(year, month, 1)) }
