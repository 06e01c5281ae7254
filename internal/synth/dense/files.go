package dense

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/csv"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/havre-hub/havre/internal/ground/omop"
)

// atOnce is how many persons' rows are made before they are written: memory
// does not grow with the population.
const atOnce = 10_000

// sink takes the rows of one table.
type sink interface {
	Write(arrow.RecordBatch) error
	Close() error
}

// WriteParquet writes every table as table.parquet into a folder.
func (g *Generator) WriteParquet(ctx context.Context, folder string) error {
	return g.write(ctx, folder, ".parquet", func(w io.Writer, s *arrow.Schema) (sink, error) {
		return pqarrow.NewFileWriter(s, w, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.DefaultWriterProps())
	})
}

// WriteCSV writes every table as table.csv into a folder.
func (g *Generator) WriteCSV(ctx context.Context, folder string) error {
	return g.write(ctx, folder, ".csv", func(w io.Writer, s *arrow.Schema) (sink, error) {
		return csvSink{csv.NewWriter(w, s, csv.WithHeader(true), csv.WithNullWriter(""))}, nil
	})
}

type csvSink struct{ *csv.Writer }

func (c csvSink) Close() error {
	if err := c.Flush(); err != nil {
		return err
	}
	return c.Error()
}

func (g *Generator) write(ctx context.Context, folder, extension string, open func(io.Writer, *arrow.Schema) (sink, error)) error {
	for _, table := range append(PersonTables(), SharedTables()...) {
		if err := g.writeTable(ctx, table, filepath.Join(folder, table+extension), open); err != nil {
			return err
		}
	}
	return nil
}

func (g *Generator) writeTable(ctx context.Context, table, path string, open func(io.Writer, *arrow.Schema) (sink, error)) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	spec, _ := omop.Lookup(table)
	out, err := open(unclosed{buffered}, schemaOf(spec))
	if err != nil {
		return err
	}
	if err := g.Each(ctx, table, out.Write); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

// unclosed keeps a writer from being closed with what is written through it.
type unclosed struct{ io.Writer }

// Each gives the rows of a table, batch by batch; each batch is released when
// take returns.
func (g *Generator) Each(ctx context.Context, table string, take func(arrow.RecordBatch) error) error {
	one := func(b arrow.RecordBatch, err error) error {
		if err != nil {
			return err
		}
		defer b.Release()
		return take(b)
	}
	spec, ok := omop.Lookup(table)
	if !ok || !spec.PersonLevel {
		return one(g.Shared(table))
	}
	for from := 0; from < g.o.Persons; from += atOnce {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := one(g.Rows(table, from, min(from+atOnce, g.o.Persons))); err != nil {
			return err
		}
	}
	return nil
}
