package permit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// rowKey names a row of one table in the warehouse.
type rowKey struct{ holder, id int64 }

// target is the table that a column names a row of, if its values are replaced
// by numbers that are the same in every read of a bucket; "" for the rest.
func target(column string) string { return named[column] }

// replaceKeys gives a column that names rows with the permit's own numbers in
// place of the warehouse's keys; what was null stays so.
func (c *cutter) replaceKeys(ctx context.Context, b arrow.RecordBatch, column string) (arrow.Array, error) {
	ids, err := intsOf(b, column)
	if err != nil {
		return nil, err
	}
	holders, err := intsOf(b, warehouse.HolderColumn)
	if err != nil {
		return nil, err
	}
	number, err := c.numbers(ctx, target(column))
	if err != nil {
		return nil, err
	}
	out := array.NewInt64Builder(memory.DefaultAllocator)
	defer out.Release()
	out.Reserve(ids.Len())
	for i := range ids.Len() {
		if ids.IsNull(i) {
			out.UnsafeAppendBoolToBitmap(false)
			continue
		}
		out.UnsafeAppend(number(rowKey{holders.Value(i), ids.Value(i)}))
	}
	return out.NewArray(), nil
}

// numbers gives the function from the keys of a table to the permit's numbers.
// Visits get their rank among those of the bucket, from 1, which keeps the order
// in which ties are broken; a visit that nobody delivered, and every row of a
// table that is in no bucket, gets a keyed pseudonym below zero.
func (c *cutter) numbers(ctx context.Context, table string) (func(rowKey) int64, error) {
	t, _ := omop.Lookup(table)
	mac := hmac.New(sha256.New, c.view.names.key)
	memo := map[rowKey]int64{}
	pseudonym := func(k rowKey) int64 {
		n, ok := memo[k]
		if !ok {
			mac.Reset()
			mac.Write([]byte("havre:row:" + table + ":"))
			mac.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(k.holder)), uint64(k.id)))
			n = -1 - int64(binary.BigEndian.Uint64(mac.Sum(nil))>>1)
			memo[k] = n
		}
		return n
	}
	if !t.PersonLevel {
		return pseudonym, nil
	}
	ranks, err := c.names.rowRanks(table, func() (map[rowKey]int64, error) { return c.rankRows(ctx, t) })
	if err != nil {
		return nil, err
	}
	return func(k rowKey) int64 {
		if r, ok := ranks[k]; ok {
			return r
		}
		return pseudonym(k)
	}, nil
}

// rankRows numbers all rows of a table in this bucket, whoever they are about,
// so that the numbers do not move when a person opts out between two reads.
func (c *cutter) rankRows(ctx context.Context, t omop.Table) (map[rowKey]int64, error) {
	batches, err := c.view.snap.Read(ctx, c.bucket, warehouse.Want{Table: t.Name, Columns: []string{t.ID, warehouse.HolderColumn}})
	if err != nil {
		return nil, err
	}
	var ids, holders []int64
	for _, b := range batches {
		ids = append(ids, b.Column(0).(*array.Int64).Int64Values()...)
		holders = append(holders, b.Column(1).(*array.Int64).Int64Values()...)
		b.Release()
	}
	ranks := make(map[rowKey]int64, len(ids))
	for i, r := range rank(ids, holders) {
		ranks[rowKey{holders[i], ids[i]}] = r
	}
	return ranks, nil
}

// readLookup reads a table of kinds of professionals or establishments.
func (v *View) readLookup(ctx context.Context, t omop.Table, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error) {
	if bucket != unbucketed {
		return nil, havre.E("permit.read", havre.Invalid, "the table "+t.Name+" is in no bucket of persons")
	}
	c := &cutter{view: v, table: t, asked: w.Columns, bucket: bucket, want: w}
	c.want.Columns = append(w.Columns[:len(w.Columns):len(w.Columns)], warehouse.HolderColumn)
	batches, err := v.snap.Read(ctx, bucket, c.want)
	if err != nil {
		return nil, err
	}
	return c.shown(ctx, batches, nil)
}
