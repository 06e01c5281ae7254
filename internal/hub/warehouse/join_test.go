package warehouse

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// TestJoiner: the file made of several has the rows of all, in order; one of
// another schema is left to the next file.
func TestJoiner(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var out bytes.Buffer
	j := &joiner{to: &out}
	var want []string
	groups := 0
	for i, rows := range []int{1000, 1, 0, 77} {
		b := randomRows(r, rows, 0.1)
		data, err := asParquet(b, 300, parquet.WithPageIndexEnabled(i%2 == 0), parquet.WithDictionaryDefault(i != 3))
		if err != nil {
			t.Fatal(err)
		}
		if fits, err := j.add(data); !fits || err != nil {
			t.Fatalf("file %d: %v, %v", i, fits, err)
		}
		for k := range rows {
			want = append(want, rowText(b, k))
		}
		groups += (rows + 299) / 300
	}
	before := out.Len()
	other, err := asParquet(randomRows(r, 5, -1), 5) // no column may have nulls
	if err != nil {
		t.Fatal(err)
	}
	if fits, err := j.add(other); fits || err != nil || out.Len() != before {
		t.Errorf("another schema: %v, %v, %d bytes more", fits, err, out.Len()-before)
	}
	if _, err := j.add([]byte("PAR1 this is not Parquet PAR1")); err == nil || out.Len() != before {
		t.Errorf("no Parquet: %v, %d bytes more", err, out.Len()-before)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	f, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil || f.NumRowGroups() != groups || f.NumRows() != int64(len(want)) {
		t.Fatalf("%d row groups, %d rows: %v", f.NumRowGroups(), f.NumRows(), err)
	}
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 1 << 20}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	batches, err := reader.GetRecordReader(context.Background(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer batches.Release()
	var got []string
	for batches.Next() {
		for i := range int(batches.RecordBatch().NumRows()) {
			got = append(got, rowText(batches.RecordBatch(), i))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rows came back changed, of %d", len(got), len(want))
	}
}
