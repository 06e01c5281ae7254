// Package ingest turns the rows of a received delivery into warehouse segments:
// transport ids become person ids, text becomes the types of the OMOP CDM,
// every row is either stored or rejected and kept with its reason, and good
// rows are sorted into the buckets of their persons.
//
// It works in passes of bounded size, in memory only: parts -> rows (linked,
// typed, judged), packed bucket by bucket -> sorted -> Parquet -> the batch,
// which seals. docs/adr/0001-order-inside-a-segment.md has the order.
package ingest

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// Input is one delivery, verified and linked.
type Input struct {
	Manifest *envelope.Manifest
	// Open gives the CSV of a part: decrypted and decompressed. Called from
	// several goroutines.
	Open     func(context.Context, envelope.Part) ([]byte, error)
	Links    map[havre.TransportID]havre.PersonID // whose tid is absent is nobody: rows are rejected as unknown_person
	HolderID int                                  // the holder's small number, from 1
	Batch    Batch
	Now      havre.Now
	Memory   int64          // bytes to plan with; 0 = 1 GiB. The links come on top.
	Progress havre.Progress // nil shows nothing
}

// Report is what became of the delivery.
type Report struct {
	Account
	Already bool // it was in the warehouse before; nothing was done
}

// Run takes one delivery into the batch and closes its account there; the
// caller commits. A delivery that the warehouse holds already changes nothing.
//
// Reasons of rejection: unknown_table, unknown_person, missing:COLUMN,
// missing_date:COLUMN (1600-01-01), bad_integer:COLUMN (also beyond 64 bits),
// bad_number:COLUMN, bad_date:COLUMN, bad_datetime:COLUMN, and
// malformed:REASON for lines that were no rows at the holder. A row breaks the
// first rule in the order of its columns and is counted once.
// Warnings: concept_defaulted:COLUMN (a missing required concept became 0),
// placeholder_date:COLUMN (1600-01-01 in an optional column became no value),
// ignored_column:COLUMN (the CDM has no such column).
//
// It fails with Invalid when a part is not the table that the manifest
// describes, and with Refused when a part has an identifying column; nothing of
// the delivery is then in force, and the batch must not be committed.
func Run(ctx context.Context, in Input) (Report, error) {
	if a, ok := in.Batch.Ingested(in.Manifest.Delivery); ok {
		return Report{Account: a, Already: true}, nil
	}
	if in.HolderID < 1 {
		return Report{}, havre.E("ingest", havre.Internal, "the holder has no number")
	}
	if in.Memory <= 0 {
		in.Memory = 1 << 30
	}
	if in.Progress == nil {
		in.Progress = havre.NoProgress
	}
	// What is held here is large and lives for a whole pass: at the usual rate the
	// collector would let as much again lie about.
	defer debug.SetGCPercent(debug.SetGCPercent(40))
	r := &run{in: in, tables: map[string]*TableAccount{}}
	r.workers = int(max(1, min(int64(runtime.GOMAXPROCS(0)), in.Memory/workerMemory)))
	if err := r.all(ctx); err != nil {
		return Report{}, err
	}
	a := r.account()
	if err := a.check(); err != nil {
		return Report{}, err
	}
	if err := in.Batch.Account(a); err != nil {
		return Report{}, err
	}
	return Report{Account: a}, nil
}

// workerMemory is how much of Input.Memory stands behind each part on its way
// in: its sealed bytes, its text of up to 64 MiB, and what reading it leaves.
const workerMemory = 256 << 20

// run is one Run under way.
type run struct {
	in      Input
	workers int
	pieces  pool
	rows    havre.Counter

	mu     sync.Mutex // guards tables
	tables map[string]*TableAccount
}

// all takes the parts table by table.
func (r *run) all(ctx context.Context) error {
	byTable, order, total := map[string][]envelope.Part{}, []string{}, int64(0)
	for _, p := range r.in.Manifest.Parts {
		if p.Purpose == envelope.Identity {
			continue // the keeper's
		}
		key := p.Table
		if p.Purpose == envelope.Malformed {
			key = string(envelope.Malformed)
		}
		if byTable[key] == nil {
			order = append(order, key)
		}
		byTable[key] = append(byTable[key], p)
		total += p.Rows
	}
	r.rows = r.in.Progress.Step("ingest", total, "rows")
	defer r.rows.Done()
	for _, name := range order {
		table, known := omop.Lookup(name)
		var err error
		switch {
		case name == string(envelope.Malformed):
			err = r.eachPart(ctx, byTable[name], r.malformed)
		case !known:
			err = r.eachPart(ctx, byTable[name], r.unknownTable)
		default:
			err = r.table(ctx, table, byTable[name])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// table reads parts until a pass is full, writes its segments, and goes on.
func (r *run) table(ctx context.Context, t omop.Table, parts []envelope.Part) (err error) {
	for len(parts) > 0 {
		p := r.newPass(t)
		if parts, err = p.fill(ctx, parts); err != nil {
			return err
		}
		if err := p.write(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) eachPart(ctx context.Context, parts []envelope.Part, do func(context.Context, envelope.Part) error) error {
	for _, p := range parts {
		if err := do(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// tally adds to the account of a table.
func (r *run) tally(table string, in, stored int64, rejected, warnings map[string]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tables[table]
	if t == nil {
		t = &TableAccount{Table: table}
		r.tables[table] = t
	}
	t.RowsIn += in
	t.Stored += stored
	t.Rejected, t.Warnings = plus(t.Rejected, rejected), plus(t.Warnings, warnings)
	for _, n := range rejected {
		stored += n
	}
	r.rows.Add(stored)
}

// plus adds counts to a total, which stays nil while there are none.
func plus(total, counts map[string]int64) map[string]int64 {
	if total == nil && len(counts) > 0 {
		total = map[string]int64{}
	}
	for reason, n := range counts {
		total[reason] += n
	}
	return total
}

func (r *run) account() Account {
	m := r.in.Manifest
	a := Account{Delivery: m.Delivery, Holder: m.Holder, HolderID: r.in.HolderID, CDMVersion: m.CDMVersion,
		Ingested: r.in.Now().UTC().Truncate(1e9), Tables: []TableAccount{}}
	for _, t := range r.tables {
		a.Tables = append(a.Tables, *t)
	}
	slices.SortFunc(a.Tables, func(x, y TableAccount) int { return strings.Compare(x.Table, y.Table) })
	return a
}
