package ingest

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/havre-hub/havre/internal/ground/duck"
	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/havre"
)

// staged is one part in a table of the session: typed, linked, judged.
type staged struct {
	name string // of the session's table
	*layout
}

// stage reads one part into a table of its own and accounts for its rows. It
// gives nil if no row of it is good.
func (r *run) stage(ctx context.Context, t omop.Table, p envelope.Part) (*staged, error) {
	l, err := newLayout(t, p)
	if err != nil {
		return nil, err
	}
	var who func([]byte) (havre.PersonID, int, bool)
	if t.PersonLevel {
		who = r.who()
	}
	csv, err := r.read(ctx, p, l.columns, l.types, who, func(s scanned) { l.used, l.plain = s.used, s.plain })
	if err != nil {
		return nil, err
	}
	defer csv.Release()
	if p.Rows == 0 {
		return nil, nil
	}
	st := &staged{name: fmt.Sprintf("stage_%d", r.serial.Add(1)), layout: l}
	create := func(how reading) error {
		_, err := r.db.Exec(ctx, "CREATE TABLE "+st.name+" AS "+l.judged(csv, how, false))
		return err
	}
	if l.plain {
		// Plain spelling still leaves 31 February and numbers too large.
		if err = create(typed); havre.KindOf(err) == havre.Invalid {
			l.plain = false
		}
	}
	if !l.plain {
		err = create(exact)
	}
	if err != nil {
		return nil, partError(p, err)
	}
	good, err := r.count(ctx, st, p)
	if err != nil {
		return nil, err
	}
	if good < p.Rows {
		if err := r.keepRejected(ctx, l, p, csv, p.Rows-good); err != nil {
			return nil, err
		}
	}
	if good == 0 {
		return nil, r.drop(ctx, st.name)
	}
	return st, nil
}

// read opens a part, checks that it is the table its manifest says, and puts
// its rows where SQL can read them, with persons in place of transport ids if
// who knows them.
func (r *run) read(ctx context.Context, p envelope.Part, columns []string, types []omop.Type, who func([]byte) (havre.PersonID, int, bool), look func(scanned)) (*duck.File, error) {
	csv, err := r.in.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	f, err := r.db.Create()
	if err != nil {
		return nil, err
	}
	s, err := scan(p.Name, csv, columns, types, who, f)
	if err == nil && s.rows != p.Rows {
		err = havre.E("ingest", havre.Invalid, fmt.Sprintf("part %s holds %d rows and its manifest says %d", p.Name, s.rows, p.Rows)).
			WithHint("manifest and part disagree: the holder must deliver again")
	}
	if err != nil {
		f.Release()
		return nil, err
	}
	look(s)
	return f, nil
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

func partError(p envelope.Part, err error) error {
	if havre.KindOf(err) == havre.Cancelled {
		return err
	}
	return havre.E("ingest", havre.KindOf(err), "part "+p.Name+" could not be read").Wrap(err)
}

// count adds a staged part to the account, by reason and warning, and says how
// many of its rows are good.
func (r *run) count(ctx context.Context, st *staged, p envelope.Part) (good int64, err error) {
	names, conditions := st.warnings()
	query := "SELECT " + reasonColumn + ", count(*)"
	for _, c := range conditions {
		query += ", count(*) FILTER (WHERE " + c + ")"
	}
	query += " FROM " + st.name + " GROUP BY ALL"
	rejected, warned, total := map[string]int64{}, map[string]int64{}, int64(0)
	err = r.db.Query(ctx, func(row func(...any) error) error {
		var reason int
		var n int64
		counts := make([]int64, len(names))
		into := []any{&reason, &n}
		for i := range counts {
			into = append(into, &counts[i])
		}
		if err := row(into...); err != nil {
			return havre.E("ingest", havre.Internal, "counts could not be read").Wrap(err)
		}
		total += n
		if reason > 0 {
			rejected[st.reasons[reason-1]] += n
			return nil
		}
		good = n
		for i, name := range names {
			if counts[i] > 0 {
				warned[name] += counts[i]
			}
		}
		return nil
	}, query)
	if err != nil {
		return 0, err
	}
	if total != p.Rows {
		return 0, havre.E("ingest", havre.Internal, fmt.Sprintf("part %s: %d rows were read of %d", p.Name, total, p.Rows))
	}
	r.tally(st.table.Name, p.Rows, 0, rejected, warned)
	return good, nil
}

// keepRejected seals the rows of a part that are not good, as they were
// delivered, with the reason; the transport id is left out, because it names a
// person and is to be destroyed.
func (r *run) keepRejected(ctx context.Context, l *layout, p envelope.Part, file *duck.File, want int64) error {
	how := exact
	if l.plain {
		how = plain
	}
	judged := l.judged(file, how, true)
	var quoted []string
	for _, reason := range l.reasons {
		quoted = append(quoted, duck.Quote(reason))
	}
	columns := []string{"([" + strings.Join(quoted, ", ") + "])[" + reasonColumn + "] AS reason",
		duck.Quote(l.table.Name) + ` AS "table"`, duck.Quote(p.Name) + " AS part", "row_ AS row"}
	for i, c := range l.columns {
		if i > 0 || !l.table.PersonLevel {
			columns = append(columns, csvColumn(i)+" AS "+duck.Name(c))
		}
	}
	return r.reject(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM ("+judged+") WHERE "+reasonColumn+" > 0 ORDER BY row_", want)
}

// reject hands the rows of a query to the batch as CSV and holds that there
// are as many as were counted.
func (r *run) reject(ctx context.Context, query string, want int64) error {
	name := fmt.Sprintf("rejected_%d", r.serial.Add(1))
	if _, err := r.db.Exec(ctx, "CREATE TABLE "+name+" AS "+query); err != nil {
		return err
	}
	var got int64
	if err := r.db.Query(ctx, func(row func(...any) error) error { return row(&got) }, "SELECT count(*) FROM "+name); err != nil {
		return err
	}
	if got != want {
		return havre.E("ingest", havre.Internal, fmt.Sprintf("%d rows were rejected and %d kept", want, got))
	}
	csv, err := r.db.CopyOut(ctx, "FROM "+name, "FORMAT csv, HEADER true")
	if err != nil {
		return err
	}
	if err := r.in.Batch.Reject(ctx, r.in.Manifest.Delivery, want, csv); err != nil {
		return err
	}
	return r.drop(ctx, name)
}

func (r *run) drop(ctx context.Context, table string) error {
	_, err := r.db.Exec(ctx, "DROP TABLE "+table)
	return err
}
