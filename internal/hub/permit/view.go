package permit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// unbucketed is the bucket of tables that are not about persons.
const unbucketed = -1

// View is what one permit lets one account see of one snapshot. Safe for
// concurrent use.
type View struct {
	gate    gate
	permit  string
	account string
	sha     string // of the version that the view was opened under
	snap    *warehouse.Snapshot
	names   *projectNames
}

// gate is what a view asks at each read: whether the account may read under the
// permit at this moment, and who is opted out. At the hub it is the Authority.
type gate interface {
	allowed(ctx context.Context, permit, account string) (*record.Permit, string, error)
	// mark sets keep for the rows of persons who are not opted out.
	mark(persons []int64, keep []bool)
}

func (a *Authority) mark(persons []int64, keep []bool) { a.optouts.mark(persons, keep) }

// Restrict opens a view of a snapshot under a permit. It fails with
// PermitDenied if the permit is not in force or does not name the account; the
// refusal is logged, as is the opening.
func (a *Authority) Restrict(ctx context.Context, permitID, account string, snap *warehouse.Snapshot) (*View, error) {
	p, sha, err := a.allowed(ctx, permitID, account)
	if err != nil {
		if rerr := a.record(ctx, "view.denied", account, permitID, map[string]string{"kind": string(havre.KindOf(err))}); rerr != nil {
			return nil, rerr
		}
		return nil, err
	}
	if err := a.record(ctx, "view.opened", account, permitID, map[string]string{"permit_sha256": sha, "snapshot": snap.Root()}); err != nil {
		return nil, err
	}
	return &View{gate: a, permit: p.ID, account: account, sha: sha, snap: snap, names: newProjectNames(a.Secret, p.ID)}, nil
}

// allowed gives a permit that is in force and names the account, and the hash
// of its signed bytes. Who is not named in a permit learns nothing of it: it
// looks like one that does not exist.
func (a *Authority) allowed(ctx context.Context, id, account string) (*record.Permit, string, error) {
	now := a.Now()
	if err := a.DB.CheckClock(ctx, now); err != nil {
		return nil, "", err
	}
	s, p, _, err := a.standing(ctx, id)
	if havre.KindOf(err) == havre.NotFound || err == nil && !slices.Contains(p.People, account) {
		return nil, "", denied("there is no permit "+id+" for this account", "check the id and the account, or apply for a permit")
	}
	if err != nil {
		return nil, "", err
	}
	if err := a.Standing(ctx); err != nil {
		return nil, "", err
	}
	return p, s.PermitSHA, inForce(s, p, now)
}

// Buckets is the number of buckets of the snapshot.
func (v *View) Buckets() int { return v.snap.Buckets() }

// Read gives rows as warehouse.Snapshot.Read does, cut to what the permit lets
// exist at this moment: it checks signature, state, dates, account, version,
// table and columns; then rows of persons who opted out and rows that start
// outside the period are not there, observation periods are clipped to it,
// person ids are the permit's own pseudonyms, and the table's own key is a rank
// within this read that keeps the order. Keys of visits are ranks within the
// bucket, the same in every read of a view; keys of professionals and
// establishments are pseudonyms of the permit, whose tables (bucket -1) give
// their kind and no more. Vocabulary tables (bucket -1) are read
// as they are. The caller releases the batches; their numbers must not be kept
// after that.
func (v *View) Read(ctx context.Context, bucket int, w warehouse.Want) ([]arrow.RecordBatch, error) {
	p, err := v.inForce(ctx)
	if err != nil {
		return nil, err
	}
	t, ok := omop.Lookup(w.Table)
	if !ok {
		return nil, denied(fmt.Sprintf("the permit %s does not cover a table %.60q", v.permit, w.Table), "the CDM has no such table")
	}
	if t.Vocabulary {
		if bucket != unbucketed {
			return nil, havre.E("permit.read", havre.Invalid, "the vocabulary table "+t.Name+" is in no bucket of persons")
		}
		return v.snap.Read(ctx, bucket, w)
	}
	if err := covers(p, t, w.Columns); err != nil {
		return nil, err
	}
	if !t.PersonLevel {
		return v.readLookup(ctx, t, bucket, w)
	}
	c, err := newCutter(v, p, t, w, bucket)
	if err != nil {
		return nil, err
	}
	batches, err := v.snap.Read(ctx, bucket, c.want)
	if err != nil {
		return nil, err
	}
	return c.cut(ctx, batches)
}

// inForce gives the permit if it is in force, in the version of the view.
func (v *View) inForce(ctx context.Context) (*record.Permit, error) {
	p, sha, err := v.gate.allowed(ctx, v.permit, v.account)
	if err != nil {
		return nil, err
	}
	if sha != v.sha {
		return nil, denied("the permit "+v.permit+" was amended after this run began", "start the run again: it must read under one version")
	}
	return p, nil
}

// covers says whether the permit lists the table and the columns.
func covers(p *record.Permit, t omop.Table, columns []string) error {
	if why := notPermitted(t); why != "" {
		return denied("the permit "+p.ID+" cannot cover table "+t.Name+": "+why, "leave the table out of the study")
	}
	i := slices.IndexFunc(p.Tables, func(x record.Table) bool { return x.Name == t.Name })
	if i < 0 {
		return denied("the permit "+p.ID+" does not cover table "+t.Name, "ask for an amendment that adds the table")
	}
	for _, c := range columns {
		if why := unreadable(t, c); why != "" {
			return denied(fmt.Sprintf("the permit %s cannot cover column %.60q of table %s: %s", p.ID, c, t.Name, why), "leave the column out of the study")
		}
		if !slices.Contains(p.Tables[i].Columns, c) {
			return denied(fmt.Sprintf("the permit %s does not cover column %s of table %s", p.ID, c, t.Name), "ask for an amendment that adds the column")
		}
	}
	return nil
}

// days is a period in days since 1970, open bounds as the extremes.
type days struct {
	from, to arrow.Date32
	bounded  bool
}

func daysOf(p record.Period) (d days, err error) {
	d = days{from: -1 << 31, to: 1<<31 - 1, bounded: p.From != "" || p.To != ""}
	for _, b := range []struct {
		text string
		into *arrow.Date32
	}{{p.From, &d.from}, {p.To, &d.to}} {
		if b.text == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, b.text)
		if err != nil {
			return d, havre.E("permit.read", havre.Tampered, "the permit's period has a bound that is no date").Wrap(err)
		}
		*b.into = arrow.Date32FromTime(t)
	}
	return d, nil
}
