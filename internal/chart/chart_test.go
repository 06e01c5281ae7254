package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/havre"
)

var heading = Heading{Title: "Persons by age & sex <cohort A>", Description: "Persons of the cohort at their first event.", Axis: "persons", HiddenText: "suppressed (fewer than 11)"}

var nan = math.NaN()

func samples() map[string]interface{ SVG() ([]byte, error) } {
	return map[string]interface{ SVG() ([]byte, error) }{
		"bars": Bars{heading, []string{"0-19", "20-39", "40-59", "60-79", "80 and more"}, []Series{
			{"women", []Point{{Hidden: true}, Of(120), Of(980), Of(1520), Of(430)}},
			{"men", []Point{Of(0), Of(140), {Hidden: true}, Of(1375), {Absent: true}}}}},
		"bars-one": Bars{heading, []string{"short", "a category whose name goes on and on, far beyond what fits beside a bar"}, []Series{{"all", []Point{Of(12), {Hidden: true}}}}},
		"forest": Intervals{heading, []string{"drug A", "drug B", "hidden", "no upper bound", "no interval"}, []Point{
			{Value: 2.04, Low: 1.71, High: 2.44}, {Value: 0.31, Low: 0.19, High: 0.47}, {Hidden: true}, {Value: 3, Low: 0.9, High: math.Inf(1)}, Of(1.2)}, true, 1},
		"rates": Intervals{heading, []string{"drug A", "drug B"}, []Point{{Value: 21.4, Low: 18, High: 25.2}, {Value: 10.2, Low: 8, High: 12.9}}, false, nan},
		"lines": Lines{heading, []string{"2015", "2016", "2017", "2018", "2019", "2020"}, []Series{
			{"women", []Point{Of(10400), Of(12000), {Hidden: true}, Of(15000), Of(14000), Of(9000)}},
			{"men", []Point{Of(8400), Of(9000), Of(9900), Of(11000), {Absent: true}, Of(7000)}},
			{"unknown", []Point{Of(400), Of(500), Of(450), {Hidden: true}, Of(300), Of(200)}}}},
		"steps": steps(),
		"paths": Paths{heading, []Path{{[]string{"none"}, 412}, {[]string{"metformin"}, 640}, {[]string{"metformin", "metformin+sulfonylurea"}, 210}, {[]string{"metformin", "sulfonylurea"}, 96},
			{[]string{"metformin", "metformin+sulfonylurea", "insulin"}, 61}, {[]string{"metformin", "other"}, 44}, {[]string{"sulfonylurea"}, 130}, {[]string{"sulfonylurea", "other"}, 25},
			{[]string{"insulin"}, 80}, {[]string{"insulin", "insulin+metformin"}, 33}, {[]string{"other"}, 27}}, true, "+", "other", "none"},
		"path": Paths{heading, []Path{{[]string{"a"}, 12}}, true, "+", "other", "none"},
		"shares": Lines{heading, []string{"2015", "2016", "2017", "2018", "2019"}, []Series{
			{"female", []Point{{Value: 4.1, Low: 3.6, High: 4.7}, {Value: 4.4, Low: 3.9, High: 5}, {Hidden: true}, {Value: 5, Low: 4.4, High: 5.7}, {Value: 5.3, Low: 4.7, High: 6}}},
			{"male", []Point{{Value: 3.9, Low: 3.3, High: 4.6}, {Value: 4.2, Low: 3.6, High: 4.9}, {Value: 4.6, Low: 4, High: 5.3}, {Absent: true}, {Value: 5.1, Low: 4.5, High: 5.9}}},
			{"unknown", []Point{{Value: 3, Low: 1.3, High: 6.6}, {Hidden: true}, {Hidden: true}, {Value: 3.6, Low: 1.6, High: 7}, {Value: 3.7, Low: 1.7, High: 7.1}}}}},
		"differences": Differences{heading, [2]string{"target", "comparator"}, []Difference{
			{Section: "persons", Label: "all", Point: Point{Absent: true}, Words: [2]string{"1240", "3310"}},
			{Section: "sex", Label: "female", Point: Of(0.04), Words: [2]string{"620 (50 %)", "1580 (47.7 %)"}},
			{Section: "sex", Label: "male", Point: Of(-0.04), Words: [2]string{"620 (50 %)", "1730 (52.3 %)"}},
			{Section: "condition occurrence", Label: "201826 Type 2 diabetes mellitus without any complication at all", Point: Of(0.41), Words: [2]string{"410 (33.1 %)", "520 (15.7 %)"}},
			{Section: "condition occurrence", Label: "hidden", Point: Point{Absent: true}, Words: [2]string{"", "40 (1.21 %)"}, Hidden: [2]bool{true, false}}}, 0.1},
	}
}

func steps() Steps {
	at := func(v float64) Point { return Point{Value: v, Low: v - 0.06, High: math.Min(1, v+0.05)} }
	return Steps{heading, "days at risk", "at risk", []Panel{
		{"women", []Curve{
			{Name: "drug A", At: []float64{90, 180, 360, 730}, Points: []Point{at(0.94), at(0.86), at(0.71), at(0.4)}, Persons: []float64{1240, 1100, 900, 512, 77}},
			{Name: "drug B with a very long name", At: []float64{120, 240}, Points: []Point{at(0.97), Of(0.9)}, Persons: []float64{940, 850, 600}}}},
		{"men", []Curve{{Name: "drug A", Hidden: true}, {Name: "drug B", Persons: []float64{60}}}}}}
}

// Every chart is well-formed, speaks, and reaches for nothing outside itself.
func TestCharts(t *testing.T) {
	for name, c := range samples() {
		t.Run(name, func(t *testing.T) {
			b, err := c.SVG()
			if err != nil {
				t.Fatal(err)
			}
			if dir := os.Getenv("HAVRE_CHARTS"); dir != "" {
				if err := os.WriteFile(filepath.Join(dir, name+".svg"), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			again, _ := c.SVG()
			if !bytes.Equal(b, again) {
				t.Error("the same data gave other bytes")
			}
			harmless(t, b)
			for _, want := range []string{"<title>Persons by age &amp; sex &lt;cohort A&gt;</title>", "<desc>Persons of", `role="img"`, `font-family="sans-serif"`} {
				if !bytes.Contains(b, []byte(want)) {
					t.Errorf("%s is missing", want)
				}
			}
			if name != "rates" && !bytes.Contains(b, []byte("suppressed (fewer than 11)")) {
				t.Error("the hidden point is not said to be hidden")
			}
			if bytes.Contains(b, []byte("NaN")) || bytes.Contains(b, []byte("Inf")) {
				t.Error("a coordinate is no number")
			}
		})
	}
}

// harmless allows the elements that the package draws, no attribute that acts
// or refers outside, and the document's own pattern as the only reference.
func harmless(t testing.TB, b []byte) {
	t.Helper()
	allowed := map[string]bool{"svg": true, "title": true, "desc": true, "defs": true, "pattern": true, "rect": true,
		"line": true, "text": true, "path": true, "circle": true}
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if !allowed[e.Name.Local] {
			t.Errorf("element %s", e.Name.Local)
		}
		for _, a := range e.Attr {
			n := strings.ToLower(a.Name.Local)
			if strings.HasPrefix(n, "on") || n == "href" || n == "style" || strings.Contains(a.Value, "url(") && a.Value != "url(#havre-hidden)" {
				t.Errorf("attribute %s=%q", a.Name.Local, a.Value)
			}
		}
	}
}

func FuzzChart(f *testing.F) {
	f.Add("title", "label", "series", 1.5, 0.5, 9.0, false)
	f.Add(`"><script>alert(1)</script>`, "\x00\xff", "]]>", 1e-300, math.Inf(-1), math.Inf(1), true)
	f.Fuzz(func(t *testing.T, title, label, name string, v, low, high float64, log bool) {
		h := Heading{Title: title, Description: title, Axis: label, HiddenText: name}
		p := Point{Value: v, Low: low, High: high}
		for _, c := range []interface{ SVG() ([]byte, error) }{
			Bars{h, []string{label, name}, []Series{{name, []Point{p, {Hidden: true}}}, {title, []Point{{Absent: true}, p}}}},
			Intervals{h, []string{label, name}, []Point{p, {Hidden: true}}, log, low},
			Lines{h, []string{label, name}, []Series{{name, []Point{p, p}}}},
			Differences{h, [2]string{label, name}, []Difference{{Section: title, Label: label, Point: p, Words: [2]string{name, title}}, {Point: Point{Absent: true}, Hidden: [2]bool{log, true}}}, 0.1},
			Paths{h, []Path{{[]string{label, name}, v}, {[]string{title}, low}, {[]string{label, title, name}, 3}}, log, "+", name, title},
			Steps{h, label, name, []Panel{{title, []Curve{{name, []float64{low, high}, []Point{p, Of(v)}, []float64{v, low, high}, log}, {Name: title, Hidden: true}}}}},
		} {
			b, err := c.SVG()
			if err != nil {
				if havre.KindOf(err) != havre.Invalid {
					t.Fatal(err)
				}
				continue
			}
			harmless(t, b)
			if strings.Contains(string(b), `="NaN"`) || strings.Contains(string(b), `Inf"`) {
				t.Fatalf("a coordinate is no number: %s", b)
			}
		}
	})
}

func TestChartsRefuse(t *testing.T) {
	nine := make([]Series, 9)
	for i := range nine {
		nine[i].Points = []Point{Of(1)}
	}
	for name, c := range map[string]interface{ SVG() ([]byte, error) }{
		"nothing":                Bars{Heading: heading},
		"nine series":            Lines{heading, []string{"a"}, nine},
		"points without a label": Bars{heading, []string{"a"}, []Series{{"s", []Point{Of(1), Of(2)}}}},
		"no value":               Lines{heading, []string{"a"}, []Series{{"s", []Point{Of(nan)}}}},
		"negative bar":           Bars{heading, []string{"a"}, []Series{{"s", []Point{Of(-1)}}}},
		"no difference":          Differences{Heading: heading},
		"no path":                Paths{Heading: heading, Join: "+"},
		"a path without a step":  Paths{Heading: heading, Paths: []Path{{nil, 3}}, Join: "+"},
		"nobody on a path":       Paths{Heading: heading, Paths: []Path{{[]string{"a"}, 0}}, Join: "+"},
		"no curve":               Steps{Heading: heading},
		"a curve that goes back": Steps{heading, "", "", []Panel{{"", []Curve{{"c", []float64{2, 1}, []Point{Of(1), Of(1)}, []float64{3, 2}, false}}}}},
		"a share above 1":        Steps{heading, "", "", []Panel{{"", []Curve{{"c", []float64{2}, []Point{Of(1.1)}, []float64{3}, false}}}}},
		"a curve half hidden":    Steps{heading, "", "", []Panel{{"", []Curve{{"c", []float64{2}, []Point{Of(1)}, []float64{3}, true}}}}},
		"steps without persons":  Steps{heading, "", "", []Panel{{"", []Curve{{"c", []float64{2}, []Point{Of(1)}, nil, false}}}}},
		"nine curves":            Steps{heading, "", "", []Panel{{"", make([]Curve, 9)}}},
		"logarithm of 0":         Intervals{heading, []string{"a"}, []Point{Of(0)}, true, nan},
	} {
		if _, err := c.SVG(); havre.KindOf(err) != havre.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestLabel(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1234567: "1\u202f234\u202f567", 0.125: "0.125", -2.5: "−2.5", 1000: "1\u202f000", 0.00001: "1e-05", 19.999: "20", 2.04: "2.04"} {
		if got := label(v); got != want {
			t.Errorf("label(%g) = %q, want %q", v, got, want)
		}
	}
}

func TestScales(t *testing.T) {
	s := linear([]float64{3, 97}, 0, 100)
	if s.low != 0 || s.high != 100 || len(s.ticks) != 6 || s.at(50) != 50 {
		t.Errorf("linear: %+v", s)
	}
	l := logarithmic([]float64{0.3, 3}, 0, 100)
	if l.low != 0.2 || l.high != 5 || math.Abs(l.at(1)-50) > 1e-9 {
		t.Errorf("logarithmic: %+v", l)
	}
}
