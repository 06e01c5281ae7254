package dense

import (
	"bufio"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/file"
)

func options(persons int) Options {
	return Options{Persons: persons, Seed: 7, Units: []int64{8713}, Values: []int64{4181412, 45884084},
		Sets: map[string][][]int64{"condition_occurrence": {{11, 12}, {13}}, "drug_exposure": {{21}}, "measurement": {{31, 32, 33}}, "visit_occurrence": {{9201, 9202}}}}
}

// TestSameSeedSameRows: rows do not hang on the order or the portions they are
// asked for in.
func TestSameSeedSameRows(t *testing.T) {
	a, b := New(options(30)), New(options(30))
	for _, table := range PersonTables() {
		whole, err := a.Rows(table, 0, 30)
		if err != nil {
			t.Fatal(err)
		}
		tail, err := b.Rows(table, 10, 30)
		if err != nil {
			t.Fatal(err)
		}
		from := whole.NumRows() - tail.NumRows()
		if rest := whole.NewSlice(from, whole.NumRows()); !array.RecordEqual(rest, tail) || tail.NumRows() == whole.NumRows() && table != "death" {
			t.Errorf("%s differs", table)
		}
		other := options(30)
		other.Seed = 8
		if again, err := New(other).Rows(table, 0, 30); err != nil || array.RecordEqual(whole, again) && table != "death" {
			t.Errorf("%s is the same with another seed, or %v", table, err)
		}
	}
}

func TestFiles(t *testing.T) {
	g, folder := New(options(25)), t.TempDir()
	if err := g.WriteParquet(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	if err := g.WriteCSV(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	for table, rows := range map[string]int64{"person": 25, "condition_occurrence": 1000, "concept": 9 * 5, "concept_ancestor": 9 * 9, "provider": 1} {
		p, err := file.OpenParquetFile(filepath.Join(folder, table+".parquet"), false)
		if err != nil {
			t.Fatal(err)
		}
		if p.NumRows() != rows {
			t.Errorf("%s.parquet has %d rows, want %d", table, p.NumRows(), rows)
		}
		p.Close()
		f, err := os.Open(filepath.Join(folder, table+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		lines := int64(0)
		for s := bufio.NewScanner(f); s.Scan(); lines++ {
		}
		f.Close()
		if lines != rows+1 {
			t.Errorf("%s.csv has %d lines, want %d", table, lines, rows+1)
		}
	}
}
