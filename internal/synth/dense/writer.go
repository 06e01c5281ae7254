package dense

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// writer builds the columns of a table row by row: what is not set in a row is
// null, and what the table does not have is passed over.
type writer struct {
	spec         omop.Table
	source, kind string // the source concept's column and that of the record's kind
	at           map[string]int
	builders     []array.Builder
	has          []bool
	ints         []int64
	floats       []float64
	texts        []string
	rows         int64
}

var arrowTypes = map[omop.Type]arrow.DataType{
	omop.Integer: arrow.PrimitiveTypes.Int64, omop.Float: arrow.PrimitiveTypes.Float64, omop.Date: arrow.FixedWidthTypes.Date32,
	omop.Datetime: &arrow.TimestampType{Unit: arrow.Microsecond}, omop.Text: arrow.BinaryTypes.String,
}

func newWriter(spec omop.Table) *writer {
	n := len(spec.Fields)
	w := &writer{spec: spec, at: map[string]int{}, has: make([]bool, n), ints: make([]int64, n), floats: make([]float64, n), texts: make([]string, n)}
	for i, f := range spec.Fields {
		w.at[f.Name] = i
		w.builders = append(w.builders, array.NewBuilder(memory.DefaultAllocator, arrowTypes[f.Type]))
		if base := strings.TrimSuffix(spec.Concept, "concept_id"); base != "" && f.Name == base+"source_concept_id" {
			w.source = f.Name
		}
		if strings.HasSuffix(f.Name, "_type_concept_id") {
			w.kind = f.Name
		}
	}
	return w
}

func (w *writer) set(name string, types ...omop.Type) (int, bool) {
	i, ok := w.at[name]
	if !ok {
		return 0, false
	}
	for _, t := range types {
		if w.spec.Fields[i].Type == t {
			w.has[i] = true
			return i, true
		}
	}
	return 0, false
}

// int sets a whole number or a day of the row at hand.
func (w *writer) int(name string, v int64) {
	if i, ok := w.set(name, omop.Integer, omop.Date); ok {
		w.ints[i] = v
	}
}

func (w *writer) float(name string, v float64) {
	if i, ok := w.set(name, omop.Float); ok {
		w.floats[i] = v
	}
}

func (w *writer) text(v string, names ...string) {
	for _, name := range names {
		if i, ok := w.set(name, omop.Text); ok {
			w.texts[i] = v
		}
	}
}

// next ends a row.
func (w *writer) next() {
	for i, b := range w.builders {
		if !w.has[i] {
			b.AppendNull()
			continue
		}
		w.has[i] = false
		switch b := b.(type) {
		case *array.Int64Builder:
			b.Append(w.ints[i])
		case *array.Float64Builder:
			b.Append(w.floats[i])
		case *array.Date32Builder:
			b.Append(arrow.Date32(w.ints[i]))
		case *array.StringBuilder:
			b.Append(w.texts[i])
		default:
			b.AppendNull()
		}
	}
	w.rows++
}

// batch gives the rows built so far.
func (w *writer) batch() arrow.RecordBatch {
	columns := make([]arrow.Array, len(w.builders))
	for i, b := range w.builders {
		columns[i] = b.NewArray()
	}
	out := array.NewRecordBatch(schemaOf(w.spec), columns, w.rows)
	for _, c := range columns {
		c.Release()
	}
	w.rows = 0
	return out
}

func (w *writer) release() {
	for _, b := range w.builders {
		b.Release()
	}
}

func schemaOf(spec omop.Table) *arrow.Schema {
	fields := make([]arrow.Field, len(spec.Fields))
	for i, f := range spec.Fields {
		fields[i] = arrow.Field{Name: f.Name, Type: arrowTypes[f.Type], Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}
