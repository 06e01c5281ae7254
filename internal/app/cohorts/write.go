package cohorts

import (
	"bufio"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/chart"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/study/cohort"
	"github.com/havre-hub/havre/internal/hub/study/cohort/circe"
)

// columns are those of the reference's cohort table.
var columns = []string{"cohort_definition_id", "subject_id", "cohort_start_date", "cohort_end_date"}

// writerOf picks the form by the end of the file's name.
func writerOf(out string) (func(io.Writer, *Result) error, error) {
	switch strings.ToLower(filepath.Ext(out)) {
	case ".csv":
		return writeCSV, nil
	case ".parquet":
		return writeParquet, nil
	}
	return nil, havre.E("cohort.run", havre.Usage, "it is not clear how to write "+strconv.Quote(out)).
		WithHint("end the name in .parquet or .csv")
}

// replaceFile writes a file beside its place and puts it there whole, or not at
// all.
func replaceFile(name string, write func(*os.File) error) error {
	fail := func(err error) error {
		if _, ok := err.(*havre.Error); ok {
			return err
		}
		return havre.E("cohort.run", havre.NoSpace, "the file "+name+" cannot be written").WithHint("check that its folder is there, and the space on it").Wrap(err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already if all went well
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

func writeCSV(to io.Writer, r *Result) error {
	w := bufio.NewWriterSize(to, 1<<20)
	if _, err := w.WriteString(strings.Join(columns, ",") + "\n"); err != nil {
		return err
	}
	var line []byte
	for d, c := range r.cohorts {
		for i := range c.person {
			line = append(strconv.AppendInt(line[:0], r.named[d].ID, 10), ',')
			line = append(strconv.AppendInt(line, c.person[i], 10), ',')
			line = append(appendDay(line, c.start[i]), ',')
			line = append(appendDay(line, c.end[i]), '\n')
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

func appendDay(b []byte, day int32) []byte {
	return time.Unix(int64(day)*86400, 0).UTC().AppendFormat(b, time.DateOnly)
}

func writeParquet(to io.Writer, r *Result) error {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: columns[0], Type: arrow.PrimitiveTypes.Int64}, {Name: columns[1], Type: arrow.PrimitiveTypes.Int64},
		{Name: columns[2], Type: arrow.FixedWidthTypes.Date32}, {Name: columns[3], Type: arrow.FixedWidthTypes.Date32},
	}, nil)
	buffer := bufio.NewWriterSize(to, 1<<20)
	w, err := pqarrow.NewFileWriter(schema, buffer, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd)), pqarrow.DefaultWriterProps())
	if err != nil {
		return err
	}
	for d, c := range r.cohorts {
		if len(c.person) == 0 {
			continue
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		ids, persons := b.Field(0).(*array.Int64Builder), b.Field(1).(*array.Int64Builder)
		ids.AppendValues(slices.Repeat([]int64{r.named[d].ID}, len(c.person)), nil)
		persons.AppendValues(c.person, nil)
		for k, days := range [][]int32{c.start, c.end} {
			dates := b.Field(2 + k).(*array.Date32Builder)
			dates.Reserve(len(days))
			for _, day := range days {
				dates.UnsafeAppend(arrow.Date32(day))
			}
		}
		batch := b.NewRecordBatch()
		err := w.WriteBuffered(batch)
		batch.Release()
		b.Release()
		if err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return buffer.Flush()
}

// writeStats writes the statistics that the reference keeps, each table under
// its name there, and for each definition with rules a table and a picture of who
// is left after each.
func (r *Result) writeStats(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return havre.E("cohort.run", havre.Invalid, "the folder "+folder+" cannot be made").Wrap(err)
	}
	inclusion := [][]string{{"cohort_definition_id", "rule_sequence", "name", "description"}}
	results := [][]string{{"cohort_definition_id", "mode_id", "inclusion_rule_mask", "person_count"}}
	stats := [][]string{{"cohort_definition_id", "rule_sequence", "mode_id", "person_count", "gain_count", "person_total"}}
	summary := [][]string{{"cohort_definition_id", "mode_id", "base_count", "final_count"}}
	censor := [][]string{{"cohort_definition_id", "lost_count"}}
	left := [][]string{{"cohort_definition_id", "rule_sequence", "name", "persons", "events"}}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for d, def := range r.named {
		id, a, rules := number(def.ID), &r.attrition[d], def.Definition.Rules
		if def.Definition.CensorStart != circe.NoDate || def.Definition.CensorEnd != circe.NoDate {
			censor = append(censor, []string{id, number(a.Lost)})
		}
		if len(rules) == 0 {
			continue
		}
		for i, rule := range rules {
			inclusion = append(inclusion, []string{id, strconv.Itoa(i), rule.Name, rule.Description})
		}
		for _, x := range a.Results() {
			results = append(results, []string{id, strconv.Itoa(int(x.Mode)), strconv.FormatUint(x.Mask, 10), number(x.Count)})
		}
		for _, x := range a.Stats(len(rules)) {
			stats = append(stats, []string{id, strconv.Itoa(x.Rule), strconv.Itoa(int(x.Mode)), number(x.Count), number(x.Gain), number(x.Total)})
		}
		for _, x := range a.Summary(len(rules)) {
			summary = append(summary, []string{id, strconv.Itoa(int(x.Mode)), number(x.Base), number(x.Final)})
		}
		steps := attritionOf(def.Definition, a)
		for i, s := range steps {
			left = append(left, []string{id, strconv.Itoa(i - 1), s.name, number(s.persons), number(s.events)})
		}
		if err := drawAttrition(filepath.Join(folder, "attrition-"+id+".svg"), def.Name, steps); err != nil {
			return err
		}
	}
	for name, rows := range map[string][][]string{"cohort_inclusion": inclusion, "cohort_inclusion_result": results, "cohort_inclusion_stats": stats,
		"cohort_summary_stats": summary, "cohort_censor_stats": censor, "attrition": left} {
		if err := replaceFile(filepath.Join(folder, name+".csv"), func(f *os.File) error { return csv.NewWriter(f).WriteAll(rows) }); err != nil {
			return err
		}
	}
	return nil
}

// attritionStep is who is left after a rule and all before it; the first step
// is before any rule.
type attritionStep struct {
	name            string
	persons, events int64
}

func attritionOf(d *cohort.Definition, a *cohort.Attrition) []attritionStep {
	steps := []attritionStep{{name: "qualifying events"}}
	for _, r := range d.Rules {
		steps = append(steps, attritionStep{name: r.Name})
	}
	persons, events := a.Left(cohort.ByPerson, len(d.Rules)), a.Left(cohort.ByEvent, len(d.Rules))
	for i := range steps {
		steps[i].persons, steps[i].events = persons[i], events[i]
	}
	return steps
}

func drawAttrition(file, title string, steps []attritionStep) error {
	bars := chart.Bars{Heading: chart.Heading{Title: title, Description: "Persons left after each inclusion rule and all before it; of each person the event that meets most rules.", Axis: "persons"},
		Series: []chart.Series{{Name: "persons"}}}
	for _, s := range steps {
		bars.Labels = append(bars.Labels, s.name)
		bars.Series[0].Points = append(bars.Series[0].Points, chart.Of(float64(s.persons)))
	}
	svg, err := bars.SVG()
	if err != nil {
		return err
	}
	return replaceFile(file, func(f *os.File) error {
		_, err := f.Write(svg)
		return err
	})
}
