package release

import (
	"bytes"
	"context"
	"encoding/csv"
	"math"
	"sort"
	"strconv"

	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// file is one file as it leaves. The same release gives the same bytes.
type file struct {
	name string
	data []byte
}

// files makes all files of a release but its record.
func (a *Airlock) files(ctx context.Context, e *entry) ([]file, error) {
	s, err := a.content(ctx, e)
	if err != nil {
		return nil, err
	}
	return a.render(s.Outputs, e.draft.Rules)
}

// render gives outputs.json, and for each output a table and a chart.
func (a *Airlock) render(outputs []study.Output, rules record.Rules) ([]file, error) {
	outputs = unmarked(outputs)
	all, err := EncodeOutputs(outputs, rules.MinCount)
	if err != nil {
		return nil, err
	}
	files := []file{{OutputsName, all}}
	for _, o := range outputs {
		table, err := encodeCSV(o)
		if err != nil {
			return nil, err
		}
		picture, err := a.Drawer.Draw(o, rules)
		if err != nil {
			return nil, err
		}
		files = append(files, file{o.Name + ".csv", table}, file{o.Name + ".svg", picture})
	}
	return files, nil
}

// unmarked takes away which rule hid a cell: to know that a cell is hidden for
// being small, and not to cover another, is to know more about it.
func unmarked(outputs []study.Output) []study.Output {
	out := make([]study.Output, len(outputs))
	for i, o := range outputs {
		cells := make([]study.Cell, len(o.Cells))
		for k, c := range o.Cells {
			if c.Suppressed != "" {
				c = study.Cell{Key: c.Key, Suppressed: Hidden}
			}
			cells[k] = c
		}
		o.Cells = cells
		out[i] = o
	}
	return out
}

// encodeCSV writes an output as CSV (RFC 4180, LF): the dimensions, count,
// each group of contributors, the measures, and suppressed, which is "yes"
// where the numbers are left empty.
func encodeCSV(o study.Output) ([]byte, error) {
	groups := contributors(o)
	var header []string
	for _, d := range o.Dimensions {
		header = append(header, d.Name)
	}
	header = append(header, "count")
	for _, g := range groups {
		header = append(header, "persons_with_"+g)
	}
	header = append(append(header, o.Measures...), "suppressed")

	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{header}
	for _, c := range o.Cells {
		row := append([]string(nil), c.Key...)
		if c.Suppressed != "" {
			row = append(row, make([]string, 1+len(groups)+len(o.Measures))...)
			rows = append(rows, append(row, "yes"))
			continue
		}
		row = append(row, strconv.FormatInt(c.Count, 10))
		for _, g := range groups {
			text := ""
			if n, has := c.Contributors[g]; has {
				text = strconv.FormatInt(n, 10)
			}
			row = append(row, text)
		}
		for _, m := range o.Measures {
			row = append(row, number(c.Values, m))
		}
		rows = append(rows, append(row, ""))
	}
	if err := w.WriteAll(rows); err != nil {
		return nil, havre.E("release.files", havre.Internal, "the table of output "+o.Name+" cannot be written").Wrap(err)
	}
	return b.Bytes(), nil
}

// number is a value as text: shortest form that reads back the same, empty
// where the cell has none.
func number(values map[string]float64, m string) string {
	v, ok := values[m]
	if !ok {
		return ""
	}
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func contributors(o study.Output) []string {
	seen := map[string]bool{}
	var names []string
	for _, c := range o.Cells {
		for g := range c.Contributors {
			if !seen[g] {
				seen[g] = true
				names = append(names, g)
			}
		}
	}
	sort.Strings(names)
	return names
}
