package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// Bounds of one segment: a reader may hold a whole one in memory.
const (
	MaxSegmentRows  = 1 << 20
	MaxSegmentBytes = 32 << 20 // of Parquet, unless a single row is larger
)

// RowGroupRows is the number of rows in a row group
// (docs/adr/0001-order-inside-a-segment.md).
const RowGroupRows = 32 << 10

// copyOptions are DuckDB's for the Parquet of a segment.
var copyOptions = fmt.Sprintf("FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE %d", RowGroupRows)

func exportsAtOnce(workers int) int { return 2 * workers } // some wait for the store while others compute

// pass is the stage tables that are written out together.
type pass struct {
	*run
	table omop.Table

	mu     sync.Mutex // guards parts
	parts  []*staged
	fields []omop.Field // of the stored fields, those that any part has, and the person
}

func (p *pass) add(st *staged) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts = append(p.parts, st)
}

// full says whether what DuckDB holds fills the share of memory that is for
// stage tables; the rest is for sorting a group and for parts on their way in.
func (p *pass) full(ctx context.Context) (bool, error) {
	held, err := p.held(ctx)
	return held >= p.in.Memory*2/5, err
}

// held is how many bytes DuckDB holds of the memory it may use.
func (r *run) held(ctx context.Context) (bytes int64, err error) {
	err = r.db.Query(ctx, func(row func(...any) error) error { return row(&bytes) }, "SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()")
	return bytes, err
}

// write sorts the pass, group of buckets by group, into segments.
func (p *pass) write(ctx context.Context) error {
	if len(p.parts) == 0 {
		return nil
	}
	for _, f := range stored(p.table) {
		if p.isPerson(f) || slices.ContainsFunc(p.parts, func(st *staged) bool { return st.has(f) }) {
			p.fields = append(p.fields, f)
		}
	}
	first, last := Unbucketed, Unbucketed
	if p.table.PersonLevel {
		first, last = 0, p.in.Batch.Buckets()-1
	}
	held, err := p.held(ctx)
	if err != nil {
		return err
	}
	groups := max(1, held/(p.in.Memory/16)) // sorting takes three times what is sorted
	step := max(1, (last-first+1)/int(groups))
	for b := first; b <= last; b += step {
		if err := p.group(ctx, b, min(b+step-1, last)); err != nil {
			return err
		}
	}
	for _, st := range p.parts {
		if err := p.drop(ctx, st.name); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) isPerson(f omop.Field) bool { return p.table.PersonLevel && f.Name == p.table.Person }

// group sorts the rows of some buckets into a table and exports them.
func (p *pass) group(ctx context.Context, from, to int) error {
	name := fmt.Sprintf("group_%d", p.serial.Add(1))
	var selects []string
	for _, st := range p.parts {
		columns := []string{bucketColumn}
		for _, f := range p.fields {
			columns = append(columns, p.final(st, f)+" AS "+duck.Name(f.Name))
		}
		selects = append(selects, fmt.Sprintf("SELECT %s FROM %s WHERE %s = 0 AND %s BETWEEN %d AND %d",
			strings.Join(columns, ", "), st.name, reasonColumn, bucketColumn, from, to))
	}
	_, err := p.db.Exec(ctx, "CREATE TABLE "+name+" AS "+strings.Join(selects, " UNION ALL ")+" ORDER BY "+strings.Join(p.order(), ", "))
	if err != nil {
		return err
	}
	if err := p.export(ctx, name); err != nil {
		return err
	}
	return p.drop(ctx, name)
}

// final is the SQL expression of a field as it is stored.
func (p *pass) final(st *staged, f omop.Field) string {
	c := duck.Name(f.Name)
	switch {
	case p.isPerson(f):
		return c
	case !st.has(f):
		return absent(f)
	case defaults(f):
		return "coalesce(" + c + ", 0)"
	case dated(f) && !f.Required:
		return "CASE WHEN " + isPlaceholder(f, c) + " THEN NULL ELSE " + c + " END"
	}
	return c
}

// absent is the value of a field that was not delivered.
func absent(f omop.Field) string {
	if defaults(f) {
		return "0::BIGINT"
	}
	return "NULL::" + sqlType[f.Type]
}

// order is the physical order: bucket, main concept, person, start date, key.
func (p *pass) order() []string {
	keys := []string{bucketColumn}
	for _, name := range []string{p.table.Concept, p.table.Person, p.table.Start, p.table.ID} {
		has := slices.ContainsFunc(p.fields, func(f omop.Field) bool { return f.Name == name })
		if has && !slices.Contains(keys, duck.Name(name)) {
			keys = append(keys, duck.Name(name))
		}
	}
	return keys
}

// export cuts a sorted table into segments along its buckets.
func (p *pass) export(ctx context.Context, group string) error {
	dates := "NULL, NULL"
	if slices.ContainsFunc(p.fields, func(f omop.Field) bool { return f.Name == p.table.Start }) {
		c := duck.Name(p.table.Start)
		dates = "CAST(min(" + c + ") AS VARCHAR), CAST(max(" + c + ") AS VARCHAR)"
	}
	type slice struct {
		Segment
		lo, hi int64 // row ids, hi excluded
	}
	var slices []slice
	at := int64(0)
	err := p.db.Query(ctx, func(row func(...any) error) error {
		var bucket int
		var n int64
		var first, last *string
		if err := row(&bucket, &n, &first, &last); err != nil {
			return havre.E("ingest", havre.Internal, "buckets could not be counted").Wrap(err)
		}
		s := Segment{Table: p.table.Name, Bucket: bucket, Delivery: p.in.Manifest.Delivery, HolderID: p.in.HolderID}
		if first != nil && last != nil {
			s.First, s.Last = *first, *last
		}
		for end := at + n; at < end; {
			hi := min(end, at+MaxSegmentRows)
			slices = append(slices, slice{s, at, hi})
			at = hi
		}
		return nil
	}, "SELECT "+bucketColumn+", count(*), "+dates+" FROM "+group+" GROUP BY ALL ORDER BY ALL")
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(exportsAtOnce(p.workers))
	for _, s := range slices {
		g.Go(func() error { return p.segment(ctx, group, s.Segment, s.lo, s.hi) })
	}
	return g.Wait()
}

// segment writes the rows [lo, hi) of a sorted table, in halves where they
// make too large a file.
func (p *pass) segment(ctx context.Context, group string, s Segment, lo, hi int64) error {
	columns := []string{fmt.Sprintf("%d::BIGINT AS holder_id", p.in.HolderID)}
	for _, f := range stored(p.table) {
		c := duck.Name(f.Name)
		if !slices.ContainsFunc(p.fields, func(g omop.Field) bool { return g.Name == f.Name }) {
			c = absent(f) + " AS " + c
		}
		columns = append(columns, c)
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE rowid >= %d AND rowid < %d", strings.Join(columns, ", "), group, lo, hi)
	data, err := p.db.CopyOut(ctx, query, copyOptions)
	if err != nil {
		return err
	}
	if len(data) > MaxSegmentBytes && hi-lo > 1 {
		mid := lo + (hi-lo)/2
		if err := p.segment(ctx, group, s, lo, mid); err != nil {
			return err
		}
		return p.segment(ctx, group, s, mid, hi)
	}
	s.Rows, s.Parquet = hi-lo, data
	if err := p.in.Batch.Add(ctx, s); err != nil {
		return err
	}
	p.tally(s.Table, 0, s.Rows, nil, nil)
	return nil
}
