// Package chart draws the pictures that a release needs as SVG that opens
// anywhere: no script, no outside reference, generic fonts, a title and a
// description that screen readers speak, colours that the colour-blind can
// tell apart and that stay apart in grey (Okabe and Ito's, with a second mark
// for each series). The same data gives the same bytes.
//
// Why not a library: docs/adr/0003-charts.md.
package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/havre"
)

// Heading is what every chart says in words.
type Heading struct {
	Title       string // one line, drawn on top
	Description string // for who cannot see the picture, and under the title in small
	Axis        string // what the numbers are, with the unit
	HiddenText  string // what the hatch of a hidden number means, for the legend
}

// Point is one number with, where it has one, its interval. NaN bounds are
// no interval; an infinite bound is drawn to the edge with an arrow. Hidden points
// have no numbers and are drawn hatched.
type Point struct {
	Value, Low, High float64
	Hidden           bool
	Absent           bool // nothing is drawn: the table has no such cell
}

// Of is a point without interval.
func Of(v float64) Point { return Point{Value: v, Low: math.NaN(), High: math.NaN()} }

// Series is a named row of points, one for each label of its chart.
type Series struct {
	Name   string
	Points []Point
}

const (
	width    = 760.0
	margin   = 16.0
	fontSize = 12.0
	ink      = "#1a1a1a"
	grid     = "#cccccc"

	hiddenWord = "suppressed"
)

// palette is Okabe and Ito's, dark ones first; each has a dash and a marker of
// its own so that nothing rests on colour alone.
var palette = []struct{ colour, dash string }{
	{"#0072b2", ""}, {"#e69f00", "7 3"}, {"#009e73", "2 3"}, {"#d55e00", "9 3 2 3"},
	{"#cc79a7", "4 2"}, {"#56b4e9", "12 3"}, {"#8a7f00", "1 4"}, {"#555555", "6 2 1 2 1 2"},
}

// MostSeries is how many series a chart can tell apart.
var MostSeries = len(palette)

// canvas collects the elements of one picture.
type canvas struct {
	bytes.Buffer
}

func (c *canvas) el(format string, args ...any) {
	for i, a := range args {
		switch v := a.(type) {
		case float64:
			args[i] = coord(v)
		case string:
			args[i] = escape(v)
		}
	}
	fmt.Fprintf(c, format+"\n", args...)
}

// coord is a coordinate with at most two decimals and no sign on zero.
func coord(v float64) string {
	s := strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
	if s == "-0" {
		return "0"
	}
	return s
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}

func (c *canvas) text(x, y float64, anchor, s string) {
	c.el(`<text x="%s" y="%s" text-anchor="%s">%s</text>`, x, y, anchor, s)
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string, w float64) {
	c.el(`<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s" stroke-width="%s"/>`, x1, y1, x2, y2, colour, w)
}

// finish wraps what was drawn into a document of the given height.
func (c *canvas) finish(h Heading, height float64) []byte {
	var out canvas
	out.el(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img" font-family="sans-serif" font-size="%s" fill="%s">`,
		width, height, width, height, fontSize, ink)
	out.el(`<title>%s</title>`, h.Title)
	out.el(`<desc>%s</desc>`, h.Description)
	out.WriteString(`<defs><pattern id="havre-hidden" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#ffffff"/><line x1="0" y1="0" x2="0" y2="6" stroke="#777777" stroke-width="2"/></pattern></defs>` + "\n")
	out.el(`<rect width="%s" height="%s" fill="#ffffff"/>`, width, height)
	out.Write(c.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// heading draws title and description and gives the y below them.
func (c *canvas) heading(h Heading) float64 {
	y := margin + 16
	for _, l := range wrap(h.Title, width-2*margin, 16) {
		c.el(`<text x="%s" y="%s" font-size="16" font-weight="bold">%s</text>`, margin, y, l)
		y += 20
	}
	for _, l := range wrap(h.Description, width-2*margin, fontSize) {
		c.el(`<text x="%s" y="%s" fill="#555555">%s</text>`, margin, y, l)
		y += 16
	}
	return y
}

// legend draws the series' names and, if one is needed, the hatch of hidden
// points, and gives the y below them.
func (c *canvas) legend(h Heading, series []Series, key func(x, y float64, n int), y float64) float64 {
	x := margin
	put := func(name string, draw func(x, y float64)) {
		w := 30 + textWidth(name, fontSize) + 18
		if x > margin && x+w > width-margin {
			x, y = margin, y+20
		}
		draw(x, y)
		c.text(x+28, y+4, "start", name)
		x += w
	}
	for n, s := range series {
		if len(series) > 1 {
			put(s.Name, func(x, y float64) { key(x, y, n) })
		}
	}
	if anyHidden(series) {
		put(h.HiddenText, func(x, y float64) { c.hatched(x, y-6, 22, 12) })
	}
	if x == margin {
		return y
	}
	return y + 18
}

func (c *canvas) hatched(x, y, w, h float64) {
	c.el(`<rect x="%s" y="%s" width="%s" height="%s" fill="url(#havre-hidden)" stroke="#777777"/>`, x, y, w, h)
}

func anyHidden(series []Series) bool {
	for _, s := range series {
		for _, p := range s.Points {
			if p.Hidden {
				return true
			}
		}
	}
	return false
}

// textWidth is about the width of s in a generic sans-serif font.
func textWidth(s string, size float64) float64 { return 0.56 * size * float64(len([]rune(s))) }

// wrap breaks s at spaces into lines of about the given width.
func wrap(s string, w, size float64) (lines []string) {
	for _, word := range strings.Fields(s) {
		if n := len(lines); n > 0 && textWidth(lines[n-1]+" "+word, size) <= w {
			lines[n-1] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

// cut shortens s to about the given width.
func cut(s string, w float64) string {
	r, most := []rune(s), max(1, int(w/textWidth("x", fontSize)))
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// tame maps what no picture can show to what it means there: beyond 1e15 is
// without bound, within 1e-12 of zero is zero.
func tame(v float64) float64 {
	switch a := math.Abs(v); {
	case a > 1e15:
		return math.Copysign(math.Inf(1), v)
	case a < 1e-12:
		return 0
	}
	return v
}

// check refuses charts that cannot be drawn truly.
func check(labels []string, series []Series) error {
	if len(labels) == 0 || len(series) == 0 {
		return bad("there is nothing to draw")
	}
	if len(series) > MostSeries {
		return bad("there are more series than can be told apart")
	}
	for _, s := range series {
		if len(s.Points) != len(labels) {
			return bad("series " + s.Name + " has another number of points than there are labels")
		}
		for _, p := range s.Points {
			if !p.Hidden && !p.Absent && (math.IsNaN(p.Value) || math.IsInf(tame(p.Value), 0)) {
				return bad("series " + s.Name + " has a point without a value that can be drawn")
			}
		}
	}
	return nil
}

func bad(msg string) error { return havre.E("chart", havre.Invalid, "the chart cannot be drawn: "+msg) }
