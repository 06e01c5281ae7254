package ingest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/havre"
)

// part reads one part of a known table: good rows go to the pass, the others
// are kept aside, and all are accounted for.
func (p *pass) part(ctx context.Context, part envelope.Part) error {
	l, err := newLayout(p.table, part)
	if err != nil {
		return err
	}
	in := &packer{p: p}
	who := p.who()
	r, seen := newRow(len(l.fields)), noted{make(warned, len(l.fields)), make([]bool, len(l.fields))}
	aside := p.newAside(p.table.Name, part, l.person >= 0)
	good := int64(0)
	err = p.read(ctx, part, func(n int64, cells []cell) error {
		if n&0xfff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		l.read(r, cells, who)
		if reason := l.judge(r); reason != "" {
			aside.add(reason, n, cells)
			return nil
		}
		l.settle(r, seen)
		good++
		return in.add(r)
	})
	if err != nil {
		return err
	}
	p.use(seen.used)
	if err := aside.keep(ctx); err != nil {
		return err
	}
	if part.Rows > 0 {
		p.tally(p.table.Name, part.Rows, 0, aside.counts, l.warnings(seen.warned, good))
	}
	return nil
}

// read opens a part, checks that it is the table its manifest says, and gives
// its rows.
func (r *run) read(ctx context.Context, p envelope.Part, each func(int64, []cell) error) error {
	csv, err := r.in.Open(ctx, p)
	if err != nil {
		return err
	}
	rows, err := eachRow(p.Name, csv, p.Columns, each)
	if err == nil && rows != p.Rows {
		err = havre.E("ingest", havre.Invalid, fmt.Sprintf("part %s holds %d rows and its manifest says %d", p.Name, rows, p.Rows)).
			WithHint("manifest and part disagree: the holder must deliver again")
	}
	return err
}

// who gives a function that says whose a transport id is, and in which bucket
// that person is. It remembers the last answer, since holders write the rows
// of a person one after the other; so each goroutine needs its own.
func (r *run) who() func([]byte) (havre.PersonID, int, bool) {
	var last []byte
	var person havre.PersonID
	var bucket int
	var known bool
	return func(tid []byte) (havre.PersonID, int, bool) {
		if last == nil || !bytes.Equal(tid, last) {
			last = append(last[:0], tid...)
			if person, known = r.in.Links[havre.TransportID(tid)]; known {
				bucket = r.in.Batch.BucketOf(person)
			}
		}
		return person, bucket, known
	}
}

// aside collects the rejected rows of one part as CSV: reason, table, part and
// number of the row, then its values as delivered. Transport ids are left out,
// because they name persons and are to be destroyed.
type aside struct {
	*run
	table   string
	part    envelope.Part
	dropped []bool // columns that hold a transport id
	csv     []byte
	rows    int64
	counts  map[string]int64
}

func (r *run) newAside(table string, p envelope.Part, persons bool) *aside {
	a := &aside{run: r, table: table, part: p, counts: map[string]int64{}}
	columns := []string{"reason_", "table_", "part_", "row_"}
	for i, c := range p.Columns {
		a.dropped = append(a.dropped, c == "tid" || i == 0 && persons)
		if !a.dropped[i] {
			columns = append(columns, c)
		}
	}
	a.csv = append(a.csv, strings.Join(columns, ",")+"\n"...)
	return a
}

func (a *aside) add(reason string, row int64, cells []cell) {
	a.rows++
	a.counts[reason]++
	for _, text := range []string{reason, a.table, a.part.Name} {
		if strings.ContainsAny(text, ",\"\n\r") {
			text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
		}
		a.csv = append(append(a.csv, text...), ',')
	}
	a.csv = strconv.AppendInt(a.csv, row, 10)
	for i, c := range cells {
		if !a.dropped[i] {
			a.csv = append(append(a.csv, ','), c.raw...)
		}
	}
	a.csv = append(a.csv, '\n')
}

func (a *aside) keep(ctx context.Context) error {
	if a.rows == 0 {
		return nil
	}
	return a.in.Batch.Reject(ctx, a.in.Manifest.Delivery, a.rows, a.csv)
}

// rejectAll keeps every row of a part, whatever it holds, for a reason that
// its cells may give.
func (r *run) rejectAll(ctx context.Context, p envelope.Part, reason func([]cell) string) error {
	a := r.newAside(p.Table, p, false)
	err := r.read(ctx, p, func(n int64, cells []cell) error {
		a.add(reason(cells), n, cells)
		return nil
	})
	if err == nil {
		err = a.keep(ctx)
	}
	if err == nil && p.Rows > 0 {
		r.tally(p.Table, p.Rows, 0, a.counts, nil)
	}
	return err
}

// unknownTable keeps all rows of a part whose table the CDM does not have.
func (r *run) unknownTable(ctx context.Context, p envelope.Part) error {
	return r.rejectAll(ctx, p, func([]cell) string { return "unknown_table" })
}

// malformed keeps lines that were no rows at the holder, by the reason that
// the holder's reader gave them.
func (r *run) malformed(ctx context.Context, p envelope.Part) error {
	at := slices.Index(p.Columns, "reason")
	return r.rejectAll(ctx, p, func(cells []cell) string {
		if at < 0 || len(cells[at].text()) == 0 {
			return "malformed:unreadable"
		}
		return "malformed:" + string(cells[at].text())
	})
}
