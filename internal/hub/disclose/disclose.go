// Package disclose decides which cells of a study's outputs may leave the hub.
//
// Check applies the rules of the permit to every cell (primary suppression),
// hides further cells until no hidden one can be computed back from what is
// shown (secondary suppression), and keeps the evidence. All outputs of one
// release are judged together, because a cell hidden in one table may follow
// from another.
//
// Protection is proved, not assumed: for each hidden cell the package builds
// alternative tables that agree with everything shown and in which the cell
// has other values, and checks them by exact arithmetic. So a fault in the
// search can only hide too much, never too little. The rules, the attacker
// that is assumed and the method are in docs/reference/disclosure.md.
package disclose

import (
	"slices"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// The rules that can hide a cell by itself; Cell.Suppressed says
// "primary:" + rule.
const (
	MinCount  = "min_count" // too few persons, or too few in a group of contributors
	ZeroCell  = "zero"      // nobody, on a sensitive trait: everybody is known not to have it
	MaxShare  = "max_share" // nearly everybody of a row or column, on a sensitive trait
	Dominance = "dominance" // one person makes too much of a sum
	Source    = "source"    // made from a cell that is hidden
)

// Marks in Cell.Suppressed.
const (
	primaryMark = "primary:"
	secondary   = "secondary"
)

// Result is what Check found. Outputs may leave; all else stays in the hub.
type Result struct {
	Outputs  []study.Output // as given, with hidden cells cleared and counts rounded
	Evidence Evidence
	Findings map[string]int // hidden cells by rule, "secondary" among them; nil if nothing was hidden
	Reasons  []string       // what the rules cannot mend: a person must look, and nothing leaves by itself
}

// Evidence is every number the decision rests on. It holds small counts: it is
// stored sealed and never leaves the hub.
type Evidence struct {
	Rules      record.Rules     `json:"rules"`
	Protection int              `json:"protection"` // least width of the range that a reader is left with for a small count
	Outputs    []OutputEvidence `json:"outputs"`
}

// OutputEvidence is the evidence of one output, with the cells that it left
// out because nobody was in them.
type OutputEvidence struct {
	Name  string         `json:"name"`
	Cells []CellEvidence `json:"cells"`
}

// CellEvidence is one cell before anything was hidden or rounded.
type CellEvidence struct {
	Key          []string           `json:"key"`
	Count        int64              `json:"count"`
	Contributors map[string]int64   `json:"contributors,omitempty"`
	MaxShare     float64            `json:"max_share,omitempty"`
	Values       map[string]float64 `json:"values,omitempty"`
	Findings     []string           `json:"findings,omitempty"` // every rule that the cell breaks
	Suppressed   string             `json:"suppressed,omitempty"`
	Ranges       map[string]Range   `json:"ranges,omitempty"` // for a hidden cell, by measure
}

// Range is a proven part of what a reader must still think possible: tables
// that agree with everything shown exist at both ends.
type Range struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Check applies rules to the outputs of one release. It changes nothing in
// outputs, gives the same result for the same input, and fails with Invalid
// when an output is not a well-formed table. It does not look at earlier
// releases.
func Check(outputs []study.Output, rules record.Rules) (Result, error) {
	if err := validRules(rules); err != nil {
		return Result{}, err
	}
	given := outputs
	outputs, err := joinRules(given, rules)
	if err != nil {
		return Result{}, err
	}
	tables := make([]*table, len(outputs))
	names := map[string]bool{}
	for i := range outputs {
		read := newTable
		switch outputs[i].Kind {
		case study.Survival:
			read = survivalTable
		case study.Characteristics:
			read = traitsTable
		case study.Proportions:
			read = proportionsTable
		case study.Pathways:
			read = pathwaysTable
		}
		t, err := read(&outputs[i], i)
		if err != nil {
			return Result{}, err
		}
		if names[t.out.Name] {
			return Result{}, invalid(t.out.Name, "two outputs have this name")
		}
		names[t.out.Name] = true
		t.judge(rules)
		tables[i] = t
	}
	groups, err := groupTables(tables, rules)
	if err != nil {
		return Result{}, err
	}
	hideDerived(tables, groups, rules)
	all := append(slices.DeleteFunc(slices.Clone(tables), func(t *table) bool { return t.traits != nil }), groups...)
	nest(all)
	for {
		for _, s := range systems(all, rules) {
			s.protect()
		}
		if !hideDerived(tables, groups, rules) {
			break
		}
	}
	chooseSteps(tables, rules)
	choosePaths(tables, rules)
	shown := 0
	res := Result{Evidence: Evidence{Rules: rules, Protection: protection(rules)}}
	for i, t := range tables {
		publish := t.publish
		switch {
		case t.curves != nil:
			publish = t.publishCurves
		case t.traits != nil:
			publish = t.publishTraits
		case t.out.Kind == study.Proportions:
			publish = t.publishProportions
		case t.paths != nil:
			publish = t.publishPaths
		}
		if t.out.Kind == study.Attrition {
			t.tellRemaining()
		}
		out, ev := publish(rules)
		ev.Cells = append(ev.Cells, joined(&given[i], t.out)...)
		res.Outputs = append(res.Outputs, out)
		res.Evidence.Outputs = append(res.Evidence.Outputs, ev)
		n, hidden := t.hiddenCells(&res)
		shown += n - hidden
	}
	if shown == 0 && len(res.Findings) > 0 {
		res.Reasons = []string{"every cell of every output had to be hidden"}
	}
	return res, nil
}

// hiddenCells counts the cells of somebody and those of them that are hidden,
// and adds to the findings.
func (t *table) hiddenCells(res *Result) (cells, hidden int) {
	for i := range t.cells {
		c := &t.cells[i]
		if c.virtual {
			continue
		}
		if c.Count > 0 {
			cells++
		}
		if c.mark == "" {
			continue
		}
		if c.Count > 0 {
			hidden++
		}
		if res.Findings == nil {
			res.Findings = map[string]int{}
		}
		for _, f := range c.findings {
			res.Findings[f]++
		}
		if c.mark == secondary {
			res.Findings[secondary]++
		}
	}
	if t.curves != nil && t.testHidden() { // then another cell is hidden, and there are findings
		res.Findings[Source]++
	}
	return cells, hidden
}

func validRules(r record.Rules) error {
	switch {
	case r.MinCount < 1:
		return ruleError("min_count must be at least 1")
	case !(r.MaxShare > 0 && r.MaxShare <= 1):
		return ruleError("max_share must be above 0 and at most 1")
	case !(r.MaxTop1 > 0 && r.MaxTop1 <= 1):
		return ruleError("max_top1 must be above 0 and at most 1")
	case r.RoundTo < 1:
		return ruleError("round_to must be at least 1")
	}
	return nil
}

func ruleError(msg string) error {
	return havre.E("disclose", havre.Invalid, "the disclosure rules are not usable: "+msg).
		WithHint("the permit pins the rules: a new version of it is needed")
}

func invalid(output, msg string) error {
	return havre.E("disclose", havre.Invalid, "output "+output+" is not a well-formed table: "+msg)
}

// protection is the least width (highest minus lowest possible value) of the
// range that must remain for a small count: a third of the threshold, rounded
// up, so that at the default of 11 at least five values stay possible.
func protection(r record.Rules) int { return (r.MinCount + 2) / 3 }
