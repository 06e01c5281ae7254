package app

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/havre-hub/havre/internal/chart"
	"github.com/havre-hub/havre/internal/hub/study"
)

const (
	// closeDifference is the standardised difference below which groups are
	// taken to be alike (P. C. Austin, Stat Med 28 (2009) 3083-3107).
	closeDifference = 0.1
	// mostDrawn is how many concepts of a table a picture shows; the table has all.
	mostDrawn = 15
)

// traitRow is a category with its cells by group.
type traitRow struct {
	section, label string
	concept        bool
	cells          map[string]study.Cell
}

// drawTraits makes the chart of characteristics: of two groups a Love plot, of
// one the shares as bars.
func drawTraits(h chart.Heading, o study.Output) ([]byte, error) {
	rows := traitRows(o)
	if len(rows) == 0 {
		return chart.Bars{Heading: h, Labels: []string{"all"}, Series: []chart.Series{{Points: []chart.Point{{Absent: true}}}}}.SVG()
	}
	if !slices.Contains(o.Dimensions[2].Categories, study.GroupComparator) {
		h.Axis = "per cent of persons"
		b := chart.Bars{Heading: h, Series: []chart.Series{{Name: study.GroupTarget}}}
		for _, r := range rows {
			pt := pointOf(r.cells[study.GroupTarget], study.MeasureShare, "", "")
			if pt.Value *= 100; pt.Absent {
				continue // a mean is no share
			}
			b.Labels, b.Series[0].Points = append(b.Labels, r.label), append(b.Series[0].Points, pt)
		}
		return b.SVG()
	}
	h.Axis = "standardised difference, target less comparator"
	h.Description += fmt.Sprintf(" Shaded: differences below %g. Of each table the %d concepts that differ most are drawn.", closeDifference, mostDrawn)
	d := chart.Differences{Heading: h, Groups: [2]string{study.GroupTarget, study.GroupComparator}, Close: closeDifference}
	for _, r := range rows {
		row := chart.Difference{Section: r.section, Label: r.label, Point: pointOf(r.cells[study.GroupTarget], study.MeasureDifference, "", "")}
		for i, g := range d.Groups {
			c := r.cells[g]
			row.Hidden[i], row.Words[i] = c.Suppressed != "", traitWords(c)
		}
		if r.section == study.TraitPersons {
			row.Point = chart.Point{Absent: true}
		}
		d.Rows = append(d.Rows, row)
	}
	return d.SVG()
}

// traitRows gathers the cells by category. Of each table the concepts that
// differ most, or, with one group, that most have, come first; further ones
// are left out.
func traitRows(o study.Output) []traitRow {
	var rows []traitRow
	for _, c := range o.Cells {
		trait, category := c.Key[0], c.Key[1]
		table, concept, _ := strings.Cut(trait, " ")
		if _, name, named := strings.Cut(concept, " "); named {
			concept = name // the table has the id
		}
		r := traitRow{section: spaced(table), label: spaced(category), concept: concept != ""}
		switch {
		case r.concept && category == study.Present:
			r.label = concept
		case r.concept:
			r.label = concept + ": " + unitName.ReplaceAllString(category, "value in $1")
		case trait == study.TraitAge:
			r.section, r.label = spaced(study.TraitAgeBand), "mean (sd)"
		}
		if n := len(rows); n == 0 || rows[n-1].section != r.section || rows[n-1].label != r.label {
			r.cells = map[string]study.Cell{}
			rows = append(rows, r)
		}
		rows[len(rows)-1].cells[c.Key[2]] = c
	}
	weight := func(r traitRow) float64 {
		c := r.cells[study.GroupTarget]
		if d, ok := c.Values[study.MeasureDifference]; ok {
			return math.Abs(d)
		}
		return c.Values[study.MeasureShare] - 1 // after all differences
	}
	var out []traitRow
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].section == rows[0].section {
			n++
		}
		part := rows[:n]
		if part[0].concept {
			slices.SortStableFunc(part, func(a, b traitRow) int { return cmp.Compare(weight(b), weight(a)) })
			part = part[:min(n, mostDrawn)]
		}
		out, rows = append(out, part...), rows[n:]
	}
	return out
}

// unitName finds the name of the unit of a value, after its id.
var unitName = regexp.MustCompile(`^value in [0-9]+ (.+)$`)

func spaced(name string) string { return strings.ReplaceAll(name, "_", " ") }

// traitWords says what a group has.
func traitWords(c study.Cell) string {
	if m, ok := c.Values[study.MeasureMean]; ok {
		return fmt.Sprintf("%.3g (%.3g)", m, c.Values[study.MeasureSD])
	}
	if c.Key != nil && c.Key[0] == study.TraitPersons {
		return fmt.Sprint(c.Count)
	}
	if p, ok := c.Values[study.MeasureShare]; ok {
		return fmt.Sprintf("%d (%.3g %%)", c.Count, p*100)
	}
	return ""
}
