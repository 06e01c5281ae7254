package permit

import (
	"context"
	"slices"
	"time"

	"github.com/havre-hub/havre/internal/ground/omop"
	"github.com/havre-hub/havre/internal/ground/record"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Grant is what another machine needs to read as a view reads here. It holds
// the key of the permit's pseudonyms: whoever hands it out seals it.
type Grant struct {
	Hub     string `json:"hub"`
	Account string `json:"account"`
	Permit  []byte `json:"permit"`  // as signed
	Names   []byte `json:"names"`   // key of the permit's pseudonyms
	OptOuts int64  `json:"optouts"` // serial of the opt-outs that hold for it
}

// Grant gives a view away. It checks the permit as a read does. serial is
// OptOutSerial as it was when the view was opened.
func (v *View) Grant(ctx context.Context) (Grant, error) {
	a, ok := v.gate.(*Authority)
	if !ok {
		return Grant{}, havre.E("permit.grant", havre.Refused, "only the hub gives a view away")
	}
	serial := a.OptOutSerial()
	p, sum, err := a.allowed(ctx, v.permit, v.account)
	if err != nil {
		return Grant{}, err
	}
	if sum != v.sha {
		return Grant{}, denied("the permit "+v.permit+" was amended after this run began", "start the run again: it must read under one version")
	}
	signed, err := a.Signed(ctx, v.permit, p.Version)
	if err != nil {
		return Grant{}, err
	}
	return Grant{Hub: a.Hub, Account: v.account, Permit: signed, Names: slices.Clone(v.names.key), OptOuts: serial}, nil
}

// OptedOutIn gives who is opted out now, by the bucket of the view's snapshot,
// each bucket in order.
func (v *View) OptedOutIn() map[int][]int64 {
	out := map[int][]int64{}
	a, ok := v.gate.(*Authority)
	if !ok {
		return out
	}
	a.optouts.mu.RLock()
	defer a.optouts.mu.RUnlock()
	for p, s := range a.optouts.latest {
		if s.out {
			b := v.snap.BucketOf(havre.PersonID(p))
			out[b] = append(out[b], p)
		}
	}
	for _, persons := range out {
		slices.Sort(persons)
	}
	return out
}

// Opens lists the tables whose segments a view opens to answer reads of the
// given columns: the table itself, and those whose rows its columns name.
func Opens(table string, columns []string) []string {
	out := []string{table}
	for _, c := range columns {
		t, _ := omop.Lookup(target(c))
		if t.PersonLevel && !slices.Contains(out, t.Name) {
			out = append(out, t.Name)
		}
	}
	return out
}

// Standing of a grant: the signatures hold and the document says what the grant
// says. It is the first thing that another machine looks at.
func (g Grant) verify(hub sign.PublicKey) (*record.Permit, error) {
	p, err := record.VerifyPermit(g.Permit, hub)
	if err != nil {
		return nil, havre.E("permit.grant", havre.PermitDenied, "the permit of this plan is not signed by the hub").
			WithHint("nothing is read under it").Wrap(err)
	}
	if p.Hub != g.Hub || !slices.Contains(p.People, g.Account) || len(g.Names) == 0 {
		return nil, denied("the permit "+p.ID+" is not one for this account of this hub", "let the hub make the plan again")
	}
	return p, nil
}

// Accept opens a view of a snapshot under a grant, away from the hub. Each of
// its reads checks the permit's dates by now and calls live, which says (with
// PermitDenied) when the permit is no longer in force; outs are the persons who
// are opted out among those that will be read, in order.
func Accept(g Grant, hub sign.PublicKey, outs []int64, live func(context.Context) error, now havre.Now, snap *warehouse.Snapshot) (*View, error) {
	p, err := g.verify(hub)
	if err != nil {
		return nil, err
	}
	v := &away{permit: p, sha: sha(g.Permit), live: live, now: now, outs: map[int64]bool{}}
	for _, person := range outs {
		v.outs[person] = true
	}
	return &View{gate: v, permit: p.ID, account: g.Account, sha: v.sha, snap: snap,
		names: &projectNames{key: g.Names, kept: map[int]*bucketNames{}}}, nil
}

// away is the gate of a view that is not at the hub.
type away struct {
	permit *record.Permit
	sha    string
	live   func(context.Context) error
	now    havre.Now
	outs   map[int64]bool
}

func (g *away) allowed(ctx context.Context, _, account string) (*record.Permit, string, error) {
	if !slices.Contains(g.permit.People, account) {
		return nil, "", denied("there is no permit "+g.permit.ID+" for this account", "let the hub make the plan again")
	}
	if err := inForce(Standing{State: Granted, Since: time.Time{}}, g.permit, g.now()); err != nil {
		return nil, "", err
	}
	if err := g.live(ctx); err != nil {
		return nil, "", err
	}
	return g.permit, g.sha, nil
}

func (g *away) mark(persons []int64, keep []bool) {
	for i, p := range persons {
		keep[i] = !g.outs[p]
	}
}
