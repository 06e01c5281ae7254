package release

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study"
)

// Names of the files that every release has.
const (
	OutputsName = "outputs.json"
	RecordName  = "record.json"
)

// Hidden is the mark of a suppressed cell in what leaves.
const Hidden = "suppressed"

// outputsFile is the format of outputs.json, canonical JSON (RFC 8785). A
// suppressed cell has a key and "suppressed": true, and no number at all.
type outputsFile struct {
	Format   string            `json:"format"`
	MinCount int               `json:"min_count"` // numbers of fewer persons are suppressed, and some that would give them away
	Outputs  []publishedOutput `json:"outputs"`
}

const outputsFormat = "havre-outputs-1"

type publishedOutput struct {
	Name       string               `json:"name"`
	Title      string               `json:"title"`
	Kind       study.Kind           `json:"kind"`
	Dimensions []publishedDimension `json:"dimensions"`
	Measures   []string             `json:"measures"`
	Cells      []publishedCell      `json:"cells"`
	Notes      []string             `json:"notes,omitempty"`
	Sources    []string             `json:"sources,omitempty"`
}

type publishedDimension struct {
	Name       string   `json:"name"`
	Categories []string `json:"categories"`
	Total      bool     `json:"total"`
}

type publishedCell struct {
	Key          []string           `json:"key"`
	Count        *int64             `json:"count,omitempty"`
	Contributors map[string]int64   `json:"contributors,omitempty"`
	Values       map[string]float64 `json:"values,omitempty"`
	Suppressed   bool               `json:"suppressed,omitempty"`
}

// EncodeOutputs gives the bytes of outputs.json. A cell that is marked
// suppressed is written without its numbers, whatever it holds.
func EncodeOutputs(outputs []study.Output, minCount int) ([]byte, error) {
	f := outputsFile{Format: outputsFormat, MinCount: minCount, Outputs: []publishedOutput{}}
	for _, o := range outputs {
		p := publishedOutput{Name: o.Name, Title: o.Title, Kind: o.Kind, Dimensions: []publishedDimension{},
			Measures: orEmpty(o.Measures), Cells: []publishedCell{}, Notes: o.Notes, Sources: o.Sources}
		for _, d := range o.Dimensions {
			p.Dimensions = append(p.Dimensions, publishedDimension{d.Name, orEmpty(d.Categories), d.Total})
		}
		for _, c := range o.Cells {
			cell := publishedCell{Key: orEmpty(c.Key), Suppressed: true}
			if c.Suppressed == "" {
				count := c.Count
				cell = publishedCell{Key: orEmpty(c.Key), Count: &count, Contributors: c.Contributors, Values: c.Values}
			}
			p.Cells = append(p.Cells, cell)
		}
		f.Outputs = append(f.Outputs, p)
	}
	b, err := sign.Canonical(f)
	return append(b, '\n'), err
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// DecodeOutputs reads outputs.json and the threshold it was made with. It
// takes only what EncodeOutputs writes, byte for byte; anything else is of
// kind Invalid.
func DecodeOutputs(b []byte) ([]study.Output, int, error) {
	const op = "release.outputs"
	var f outputsFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, 0, havre.E(op, havre.Invalid, OutputsName+" is not the JSON of a release's outputs").Wrap(err)
	}
	if f.Format != outputsFormat {
		return nil, 0, havre.E(op, havre.Invalid, OutputsName+" is of another format than "+outputsFormat)
	}
	var outputs []study.Output
	for _, p := range f.Outputs {
		o := study.Output{Name: p.Name, Title: p.Title, Kind: p.Kind, Measures: p.Measures, Notes: p.Notes, Sources: p.Sources}
		for _, d := range p.Dimensions {
			o.Dimensions = append(o.Dimensions, study.Dimension{Name: d.Name, Categories: d.Categories, Total: d.Total})
		}
		for _, c := range p.Cells {
			cell := study.Cell{Key: c.Key, Suppressed: Hidden}
			if !c.Suppressed {
				if c.Count == nil || len(c.Key) != len(o.Dimensions) {
					return nil, 0, havre.E(op, havre.Invalid, "a cell of "+OutputsName+" has no count or another number of dimensions than its table")
				}
				cell = study.Cell{Key: c.Key, Count: *c.Count, Contributors: c.Contributors, Values: c.Values}
			}
			o.Cells = append(o.Cells, cell)
		}
		outputs = append(outputs, o)
	}
	again, err := EncodeOutputs(outputs, f.MinCount)
	if err != nil || !slices.Equal(again, b) {
		return nil, 0, havre.E(op, havre.Invalid, OutputsName+" is not in its one canonical spelling")
	}
	return outputs, f.MinCount, nil
}
