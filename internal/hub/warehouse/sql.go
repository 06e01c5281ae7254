package warehouse

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/receive/ingest"
)

// OpenSQL opens tables of a snapshot for SQL: a private DuckDB session with one
// view per table, named like it, over the chosen buckets (nil = all; tables
// that are not about persons are opened whole). The views hold what Read gives,
// with all columns and holder_id. Plaintext lives in anonymous memory, as
// large as the Parquet of what is opened, until the session is closed: one memory
// file a table. o.Files are further memory files for the caller's own use.
//
// The session does not know any permit, and its SQL can name every memory file
// in it: text that people write must be checked before.
func (s *Snapshot) OpenSQL(ctx context.Context, tables []string, buckets []int, o duck.Options) (*duck.Session, error) {
	if buckets == nil {
		for b := range s.manifest.Buckets {
			buckets = append(buckets, b)
		}
	}
	for _, name := range tables {
		if _, ok := omop.Lookup(name); !ok {
			return nil, havre.E("warehouse.sql", havre.Invalid, fmt.Sprintf("there is no table %q in CDM %s", name, omop.Version))
		}
	}
	o.Files += filesPerTable * len(tables)
	db, err := duck.Open(o)
	if err != nil {
		return nil, err
	}
	for _, name := range tables {
		if err := s.view(ctx, db, name, buckets); err != nil {
			_ = db.Close()
			return nil, err
		}
	}
	return db, nil
}

// filesPerTable bounds the memory files of a table: one for each schema that its
// segments have, which changes with the version of the CDM only.
const filesPerTable = 4

// piece is one Parquet file: a segment as it is, or a bucket of a table whose
// rows are settled between holders first.
type piece struct {
	segment *Segment
	bucket  int
}

func (s *Snapshot) pieces(t omop.Table, buckets []int) (out []piece) {
	if !t.PersonLevel {
		buckets = []int{ingest.Unbucketed}
	}
	for _, b := range buckets {
		list := s.segments[t.Name][b]
		if len(list) > 0 && (t.Name == "person" || t.Name == "observation_period") {
			out = append(out, piece{bucket: b})
			continue
		}
		for i := range list {
			out = append(out, piece{segment: &list[i], bucket: b})
		}
	}
	return out
}

// view loads a table into memory files and names them.
func (s *Snapshot) view(ctx context.Context, db *duck.Session, table string, buckets []int) error {
	t, _ := omop.Lookup(table)
	columns := []string{HolderColumn}
	for _, f := range t.Fields {
		if !f.Identifying {
			columns = append(columns, f.Name)
		}
	}
	files := memoryFiles{db: db}
	for pieces := range slices.Chunk(s.pieces(t, buckets), 4) { // fetched and opened together
		data := make([][]byte, len(pieces))
		g, gctx := errgroup.WithContext(ctx)
		for i, p := range pieces {
			g.Go(func() (err error) {
				data[i], err = s.plaintext(gctx, t, columns, p)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for _, d := range data {
			if err := files.add(d); err != nil {
				return havre.E("warehouse.sql", havre.KindOf(err), "the segments of "+table+" could not be put together").Wrap(err)
			}
		}
	}
	if err := files.close(); err != nil {
		return err
	}
	from := "read_parquet([" + strings.Join(files.paths, ", ") + "])"
	if len(files.paths) == 0 { // a view of no rows, with its columns
		var empty []string
		for _, c := range columns {
			dt, _ := columnType(t, c)
			empty = append(empty, "NULL::"+duckType[dt.ID()]+" AS "+duck.Name(c))
		}
		from = "(SELECT " + strings.Join(empty, ", ") + " WHERE false)"
	}
	_, err := db.Exec(ctx, "CREATE VIEW "+duck.Name(table)+" AS SELECT * FROM "+from)
	return err
}

// memoryFiles are the memory files of one table, of which the last is open.
type memoryFiles struct {
	db    *duck.Session
	last  *joiner
	paths []string
}

// add appends Parquet to the file that is open, or to a new one if it does not
// fit there.
func (m *memoryFiles) add(data []byte) error {
	if m.last != nil {
		if fits, err := m.last.add(data); fits || err != nil {
			return err
		}
		if err := m.close(); err != nil {
			return err
		}
	}
	f, err := m.db.Create()
	if err != nil {
		return err
	}
	m.last, m.paths = &joiner{to: f}, append(m.paths, duck.Quote(f.Path()))
	_, err = m.last.add(data)
	return err
}

func (m *memoryFiles) close() error {
	if m.last == nil {
		return nil
	}
	return m.last.close()
}

var duckType = map[arrow.Type]string{
	arrow.INT64: "BIGINT", arrow.FLOAT64: "DOUBLE", arrow.DATE32: "DATE", arrow.TIMESTAMP: "TIMESTAMP", arrow.STRING: "VARCHAR",
}

func (s *Snapshot) plaintext(ctx context.Context, t omop.Table, columns []string, p piece) ([]byte, error) {
	if p.segment != nil {
		return s.w.openWhole(ctx, *p.segment, s.keys[p.segment.Delivery])
	}
	batches, err := s.Read(ctx, p.bucket, Want{Table: t.Name, Columns: columns})
	if err != nil {
		return nil, err
	}
	defer releaseAll(batches)
	var buf bytes.Buffer
	fw, err := pqarrow.NewFileWriter(schemaOf(t, columns), &buf, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.DefaultWriterProps())
	for _, b := range batches {
		if err == nil {
			err = fw.Write(b)
		}
	}
	if err == nil {
		err = fw.Close()
	}
	if err != nil {
		return nil, havre.E("warehouse.sql", havre.Internal, "settled rows of "+t.Name+" could not be written").Wrap(err)
	}
	return buf.Bytes(), nil
}

// openWhole fetches a segment and gives its plaintext, with every hash checked.
func (w *Warehouse) openWhole(ctx context.Context, e Segment, f *fileKeys) ([]byte, error) {
	key, err := w.fileKey(e, f)
	if err != nil {
		return nil, err
	}
	ciphertext, err := blob.GetAll(ctx, w.c.Store, e.Object)
	if err != nil {
		return nil, err
	}
	damaged := (&source{entry: e}).damaged
	if objectName("segment", ciphertext) != e.Object {
		return nil, damaged("its bytes are not those that its name promises", nil)
	}
	plain, err := key.Open(ciphertext)
	if err != nil {
		return nil, havre.E("warehouse.open", havre.KindOf(err), "segment "+e.Object+" could not be opened").Wrap(err)
	}
	if sum(plain) != e.PlainSHA {
		return nil, damaged("its plaintext is not what the snapshot says", nil)
	}
	return plain, nil
}
