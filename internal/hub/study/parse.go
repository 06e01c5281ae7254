package study

import (
	"bytes"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort/short"
	"github.com/havre-hub/havre/internal/hub/study/strictyaml"
)

// Parse reads a study.yaml and checks it. open gives the bytes of a cohort
// file that the study names, by a path relative to the study's folder that
// never leaves it. The error lists everything that is wrong, with line and
// column.
func Parse(data []byte, open func(name string) ([]byte, error)) (*Definition, error) {
	root, err := strictyaml.Parse(data, "study.parse", "study")
	if err != nil {
		return nil, err
	}
	p := yamlStudy{open: open, places: places{}}
	p.study(root)
	p.check(&p.d, p.places)
	if err := p.err(); err != nil {
		return nil, err
	}
	return &p.d, nil
}

type yamlStudy struct {
	problems
	d      Definition
	open   func(string) ([]byte, error)
	places places
}

// places says where in the file a part of the study stands, for messages. The
// key is a name such as "cohort drug-a" or "analysis 2".
type places map[string]ast.Node

func (p *yamlStudy) study(root ast.Node) {
	known := []string{"name", "title", "description", "cohorts", "analyses"}
	p.places["study"] = root
	p.Fields(root, "a study", known, func(key string, at, v ast.Node) {
		switch key {
		case "name":
			p.d.Name = p.Text(v)
			p.places["name"] = v
		case "title":
			p.d.Title = p.Text(v)
		case "description":
			p.d.Description = p.Text(v)
		case "cohorts":
			p.Fields(v, "the list of cohorts", nil, p.cohort)
		case "analyses":
			p.Items(v, p.analysis)
		}
	})
	slices.SortFunc(p.d.Cohorts, func(a, b Cohort) int { return strings.Compare(a.Name, b.Name) })
}

func (p *yamlStudy) cohort(name string, at, v ast.Node) {
	c := Cohort{Name: name}
	p.places["cohort "+name] = at
	p.Fields(v, "a cohort", []string{"circe", "short"}, func(key string, at, v ast.Node) {
		if c.Circe != nil {
			p.At(at, "a cohort is written as circe or as short, not as both")
			return
		}
		_, inline := strictyaml.Pairs(v)
		switch {
		case key == "short" && inline:
			c.Circe = short.ExpandNode(&p.Problems, v)
		case key == "short":
			data := p.file(v)
			if data == nil {
				return
			}
			var err error
			if c.Circe, err = short.Expand(data); err != nil {
				p.At(v, "%v", err)
			}
		case inline:
			var b strings.Builder
			p.ToJSON(v, &b)
			c.Circe = json.RawMessage(b.String())
		default:
			c.Circe = p.file(v)
		}
	})
	p.d.Cohorts = append(p.d.Cohorts, c)
}

// file reads the cohort file that the study names.
func (p *yamlStudy) file(n ast.Node) json.RawMessage {
	name := p.Text(n)
	if name == "" {
		return nil
	}
	if clean := path.Clean(name); path.IsAbs(name) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(name, "\\\x00") {
		p.At(n, "a cohort file lies in the folder of the study or below it")
		return nil
	}
	data, err := p.open(path.Clean(name))
	if err != nil {
		p.At(n, "the cohort file %q cannot be read: %v", name, err)
		return nil
	}
	return data
}

func (p *yamlStudy) analysis(n ast.Node) {
	var s Spec
	p.places[analysisPlace(len(p.d.Analyses))] = n
	known := []string{"name", "title", "kind", "cohort", "target", "comparator", "outcome", "by", "age_bands",
		"totals", "time_at_risk", "clean_window", "step", "adjust", "ties", "tables", "table", "top", "window", "min_prevalence",
		"type", "observed", "day", "events", "depth", "min_era", "collapse", "combination_window", "filter"}
	given := map[string]ast.Node{}
	p.Fields(n, "an analysis", known, func(key string, at, v ast.Node) {
		given[key] = at
		switch key {
		case "name":
			s.Name = p.Text(v)
		case "title":
			s.Title = p.Text(v)
		case "kind":
			s.Kind = AnalysisKind(p.Text(v))
		case "cohort":
			s.Cohort = p.Text(v)
		case "target":
			s.Target = p.Text(v)
		case "comparator":
			s.Comparator = p.Text(v)
		case "outcome":
			s.Outcome = p.Text(v)
		case "by":
			s.By = p.Texts(v)
		case "age_bands":
			p.Items(v, func(n ast.Node) { s.AgeBands = append(s.AgeBands, int(p.Whole(n, 150))) })
		case "totals":
			s.NoTotals = !p.Flag(v)
		case "time_at_risk":
			s.TimeAtRisk = p.timeAtRisk(v)
		case "clean_window":
			s.CleanWindow = p.cleanWindow(v)
		case "step":
			s.Step = int(p.Whole(v, most))
		case "adjust":
			s.Adjust = p.Texts(v)
		case "ties":
			s.Ties = p.Text(v)
		case "tables":
			s.Tables = p.Texts(v)
		case "table":
			s.Table = p.Text(v)
		case "top":
			s.Top = int(p.Whole(v, maxTop))
		case "window":
			s.Window = p.window(v)
		case "events":
			s.Events = p.Texts(v)
		case "depth":
			s.Depth = int(p.Whole(v, maxDepth))
		case "min_era":
			s.MinEra = int(p.Whole(v, most))
		case "collapse":
			s.Collapse = int(p.Whole(v, most))
		case "combination_window":
			s.CombinationWindow = int(p.Whole(v, most))
		case "filter":
			s.Filter = p.Text(v)
		case "type":
			s.Type = p.Text(v)
		case "observed":
			s.Observed = p.Text(v)
		case "day":
			s.Day = p.Text(v)
		case "min_prevalence":
			s.MinPrevalence = p.share(v)
		}
	})
	if k, ok := kinds[s.Kind]; ok {
		for key, at := range given {
			if !slices.Contains(k.keys, key) && key != "name" && key != "title" && key != "kind" {
				p.At(at, "an analysis of kind %s has no key %q%s", s.Kind, key, havre.Nearest(key, k.keys))
			}
		}
		if given["clean_window"] == nil && slices.Contains(k.keys, "clean_window") {
			s.CleanWindow = Ever
		}
		if given["time_at_risk"] == nil && slices.Contains(k.keys, "time_at_risk") {
			p.At(n, "an analysis of kind %s needs a time_at_risk", s.Kind)
		}
		if given["top"] == nil && slices.Contains(k.keys, "top") {
			s.Top = defaultTop
		}
	}
	s.prevalenceDefaults()
	s.pathwayDefaults(func(key string) bool { return given[key] != nil })
	s.characterisationDefaults(func(key string) bool { return given[key] != nil })
	s.timeDefaults(func(key string) bool { return given[key] != nil })
	p.d.Analyses = append(p.d.Analyses, s)
}

// most is the largest number of days that a study may name: longer than lives.
const most = 100_000

func (p *yamlStudy) timeAtRisk(n ast.Node) TimeAtRisk {
	var t TimeAtRisk
	hasEnd := false
	p.Fields(n, "a time at risk", []string{"start", "end"}, func(key string, _, v ast.Node) {
		if key == "start" {
			t.Start = int(p.Whole(v, most))
			return
		}
		hasEnd = true
		if s, ok := v.(*ast.StringNode); ok && s.Value == "cohort_end" {
			t.CohortEnd = true
		} else {
			t.End = int(p.Whole(v, most))
		}
	})
	if !hasEnd {
		p.At(n, "a time at risk needs an end: days after the first day, or cohort_end")
	}
	return t
}

func (p *yamlStudy) cleanWindow(n ast.Node) int {
	if s, ok := n.(*ast.StringNode); ok && s.Value == "ever" {
		return Ever
	}
	return int(p.Whole(n, most))
}

// compact writes JSON without needless blanks, so that the same cohort has the
// same digest however it was laid out.
func compact(data []byte) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return data
	}
	return b.Bytes()
}
